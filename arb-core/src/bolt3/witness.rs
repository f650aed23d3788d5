//! Witnesses for every claim of BOLT 3 and BOLT 5, the messages that they sign, and the check of a peer's signature.
//!
//! Each builder puts items in script order, the witness script last. It takes signatures as r and s, and writes DER with
//! the sighash byte. The owner of an output signs ALL. Nothing is verified: a wrong signature makes a wrong witness.
//!
//! Tests: in this file, arb-core/tests/bolt3_interpreter.rs

use crate::bolt3::keys::KeyError;
use crate::bolt3::scripts::{funding_redeem_script, p2wpkh};
use crate::bolt3::types::{CompactSig, Point, Preimage};
use alloc::vec::Vec;
use bitcoin::secp256k1::{Message, Secp256k1, Verification, ecdsa};
use bitcoin::sighash::SighashCache;
use bitcoin::{Amount, EcdsaSighashType, Script, Transaction, Witness, hashes::Hash};

/// Why there is no message to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SighashError {
    /// The transaction has no such input.
    #[error("the transaction has no input {0}")]
    NoSuchInput(usize),
}

/// The message (BIP 143) for input `index` of `tx`, which spends a P2WSH output of `value_sat` satoshi with this
/// witness script.
///
/// # Errors
/// If there is no such input.
pub fn sighash_p2wsh(
    tx: &Transaction,
    index: usize,
    script: &Script,
    value_sat: u64,
    sighash_type: EcdsaSighashType,
) -> Result<[u8; 32], SighashError> {
    SighashCache::new(tx)
        .p2wsh_signature_hash(index, script, Amount::from_sat(value_sat), sighash_type)
        .map(|hash| hash.to_byte_array())
        .map_err(|_| SighashError::NoSuchInput(index))
}

/// The message (BIP 143) for input `index` of `tx`, which spends the P2WPKH output of `key`, worth `value_sat` satoshi.
///
/// # Errors
/// If there is no such input.
pub fn sighash_p2wpkh(
    tx: &Transaction,
    index: usize,
    key: &Point,
    value_sat: u64,
    sighash_type: EcdsaSighashType,
) -> Result<[u8; 32], SighashError> {
    SighashCache::new(tx)
        .p2wpkh_signature_hash(index, &p2wpkh(key), Amount::from_sat(value_sat), sighash_type)
        .map(|hash| hash.to_byte_array())
        .map_err(|_| SighashError::NoSuchInput(index))
}

/// Checks a peer's signature, and that nodes relay it: a high s is refused although consensus accepts it (B26).
///
/// # Errors
/// What is wrong with the key or the signature.
pub fn verify_sig<C: Verification>(
    secp: &Secp256k1<C>,
    sighash: &[u8; 32],
    sig: &CompactSig,
    key: &Point,
) -> Result<(), KeyError> {
    let key = key.parse()?;
    let parsed = ecdsa::Signature::from_compact(&sig.0).map_err(|_| KeyError::MalformedSignature)?;
    let mut low = parsed;
    low.normalize_s();
    if low != parsed {
        return Err(KeyError::HighS);
    }
    secp.verify_ecdsa(&Message::from_digest(*sighash), &parsed, &key).map_err(|_| KeyError::WrongSignature)
}

/// The owner's spend of the funding output: both signatures, in the order of the keys in the script.
pub fn commitment(
    owner_funding: &Point,
    owner_sig: &CompactSig,
    other_funding: &Point,
    other_sig: &CompactSig,
) -> Witness {
    let (first, second) = if owner_funding <= other_funding { (owner_sig, other_sig) } else { (other_sig, owner_sig) };
    let script = funding_redeem_script(owner_funding, other_funding);
    stack(&[&[], &all(first), &all(second), script.as_bytes()])
}

/// HTLC-timeout: the owner takes back an HTLC that it offered.
pub fn htlc_timeout(
    other_sig: &CompactSig,
    other_type: EcdsaSighashType,
    owner_sig: &CompactSig,
    script: &Script,
) -> Witness {
    stack(&[&[], &der(other_sig, other_type), &all(owner_sig), &[], script.as_bytes()])
}

/// HTLC-success: the owner takes an HTLC that it received.
pub fn htlc_success(
    other_sig: &CompactSig,
    other_type: EcdsaSighashType,
    owner_sig: &CompactSig,
    preimage: &Preimage,
    script: &Script,
) -> Witness {
    stack(&[&[], &der(other_sig, other_type), &all(owner_sig), &preimage.0, script.as_bytes()])
}

/// The owner's spend of a delayed output, once the delay is over.
pub fn delayed(sig: &CompactSig, script: &Script) -> Witness {
    stack(&[&all(sig), &[], script.as_bytes()])
}

/// The other side's spend of a revoked delayed output, with the revocation key.
pub fn penalty(sig: &CompactSig, script: &Script) -> Witness {
    // Exactly the byte 01: nodes relay no other true value (MINIMALIF).
    stack(&[&all(sig), &[1], script.as_bytes()])
}

/// The other side's spend of its `to_remote`: with the key itself without anchors (P2WPKH), with the witness script
/// with anchors.
pub fn to_remote(sig: &CompactSig, key: &Point, script: Option<&Script>) -> Witness {
    match script {
        None => stack(&[&all(sig), &key.0]),
        Some(script) => stack(&[&all(sig), script.as_bytes()]),
    }
}

/// The spend of an anchor by the funding key in it.
pub fn anchor_by_key(sig: &CompactSig, script: &Script) -> Witness {
    stack(&[&all(sig), script.as_bytes()])
}

/// The spend of an anchor by anybody, sixteen blocks after its confirmation.
pub fn anchor_by_anyone(script: &Script) -> Witness {
    stack(&[&[], script.as_bytes()])
}

/// The other side's spend of an HTLC that the owner offered, with the preimage.
pub fn direct_preimage(sig: &CompactSig, preimage: &Preimage, script: &Script) -> Witness {
    stack(&[&all(sig), &preimage.0, script.as_bytes()])
}

/// The other side's spend of an HTLC that the owner received, after its expiry.
pub fn direct_timeout(sig: &CompactSig, script: &Script) -> Witness {
    stack(&[&all(sig), &[], script.as_bytes()])
}

/// The other side's spend of an HTLC output of a revoked commitment, with the revocation key.
pub fn htlc_penalty(sig: &CompactSig, revocation: &Point, script: &Script) -> Witness {
    stack(&[&all(sig), &revocation.0, script.as_bytes()])
}

fn stack(items: &[&[u8]]) -> Witness {
    Witness::from_slice(items)
}

fn all(sig: &CompactSig) -> Vec<u8> {
    der(sig, EcdsaSighashType::All)
}

/// DER and the sighash byte. The library's encoder takes only signatures in range; a builder of witnesses does not fail
/// on bytes that the interpreter refuses anyway.
fn der(sig: &CompactSig, sighash_type: EcdsaSighashType) -> Vec<u8> {
    let (r, s) = sig.halves();
    let (r, s) = (der_integer(&r), der_integer(&s));
    let mut out = Vec::with_capacity(73);
    out.push(0x30);
    out.push(byte_len(&r).saturating_add(byte_len(&s)));
    out.extend_from_slice(&r);
    out.extend_from_slice(&s);
    let [.., sighash_byte] = sighash_type.to_u32().to_be_bytes();
    out.push(sighash_byte);
    out
}

/// DER's tag, length and shortest form of a positive number.
fn der_integer(number: &[u8; 32]) -> Vec<u8> {
    let mut body: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
    // Zero needs one byte, and a leading one bit would make the number negative.
    if body.first().is_none_or(|first| *first >= 0x80) {
        body.insert(0, 0);
    }
    let mut out = Vec::with_capacity(35);
    out.push(0x02);
    out.push(byte_len(&body));
    out.append(&mut body);
    out
}

/// The length of a part of a signature: at most 35 for an integer, 70 for both.
fn byte_len(part: &[u8]) -> u8 {
    u8::try_from(part.len()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn der_is_the_library_s_for_every_length_of_number() {
        for r_zeros in 0..=32 {
            for (s_zeros, fill) in [(0, 0x01), (0, 0x7f), (1, 0x80), (31, 0xfe), (32, 0x01), (5, 0x55)] {
                let number = |zeros| core::array::from_fn(|place| if place < zeros { 0 } else { fill });
                let sig = CompactSig::from((number(r_zeros), number(s_zeros)));
                let library = ecdsa::Signature::from_compact(&sig.0).unwrap().serialize_der();
                let mut expected = library.to_vec();
                expected.push(0x83);
                assert_eq!(der(&sig, EcdsaSighashType::SinglePlusAnyoneCanPay), expected, "{sig:?}");
            }
        }
        // Out of range for the library, and for the interpreter to refuse: still 73 bytes at most.
        assert_eq!(all(&CompactSig([0xff; 64])).len(), 73);
    }
}
