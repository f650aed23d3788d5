//! What the BOLT 3 tests share: signing, and Bitcoin Core's interpreter.
#![allow(dead_code, reason = "each test crate uses its own part")]

use arb_core::bolt3::{CompactSig, Secret};
use bitcoin::secp256k1::{All, Message, Secp256k1, SecretKey, ecdsa};
use bitcoin::{Transaction, TxOut, consensus};
use bitcoinconsensus::{Error, VERIFY_ALL_PRE_TAPROOT, verify_with_flags};

pub(crate) fn unhex<const N: usize>(hex: &str) -> [u8; N] {
    bitcoin::hex::FromHex::from_hex(hex).unwrap_or_else(|error| panic!("{hex}: {error}"))
}

/// Signs with plain RFC 6979, as the vectors of BOLT 3 were signed: no grinding for a low r.
pub(crate) fn sign(secp: &Secp256k1<All>, sighash: [u8; 32], secret: &Secret) -> CompactSig {
    let key = SecretKey::from_slice(&secret.0).unwrap();
    CompactSig(secp.sign_ecdsa(&Message::from_digest(sighash), &key).serialize_compact())
}

pub(crate) fn from_der(hex: &str) -> CompactSig {
    let der: Vec<u8> = bitcoin::hex::FromHex::from_hex(hex).unwrap();
    CompactSig(ecdsa::Signature::from_der(&der).unwrap().serialize_compact())
}

pub(crate) fn serialized(tx: &Transaction) -> String {
    consensus::encode::serialize_hex(tx)
}

/// Bitcoin Core's verdict on one input, under every consensus rule before taproot: P2SH, DERSIG, NULLDUMMY, CLTV, CSV, WITNESS.
pub(crate) fn judge(spent: &TxOut, tx: &Transaction, input: usize) -> Result<(), Error> {
    let bytes = consensus::serialize(tx);
    verify_with_flags(spent.script_pubkey.as_bytes(), spent.value.to_sat(), &bytes, None, input, VERIFY_ALL_PRE_TAPROOT)
}
