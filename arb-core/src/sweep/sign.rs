//! What is asked of the signer, and what a complete transaction looks like once it answered.
//!
//! Every answer is verified against the very transaction and key before it is taken (R14).

use crate::action::{InputToSign, SignRequest, SigningKey};
use crate::bolt3::{
    CompactSig, Point, counterparty_sighash_type, derive_public_key, sighash_p2wpkh, sighash_p2wsh, verify_sig, witness,
};
use crate::channel::{ChannelArbitrator, Rebuilt};
use crate::event::InputSignature;
use crate::facts::{Funding, Side};
use crate::ids::ActionId;
use crate::notice::outpoint_bytes;
use crate::record::{ClaimPath, Sweep};
use alloc::vec;
use alloc::vec::Vec;
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::sighash::EcdsaSighashType;
use bitcoin::{Amount, ScriptBuf, Transaction, TxOut, Witness};

/// Why an answer of the signer was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Another number of signatures was asked for.
    Count { expected: usize },
    /// This signature does not fit.
    Wrong { input: usize },
}

/// The request to sign a planned sweep.
pub(crate) fn sweep_request(channel: &ChannelArbitrator, sweep: &Sweep) -> SignRequest {
    let claimed = TxOut { value: Amount::from_sat(sweep.amount_sat), script_pubkey: sweep.script_pubkey.clone() };
    let script = sweep.witness_script.clone().unwrap_or_else(|| sweep.script_pubkey.clone());
    let mut prevouts = vec![claimed];
    let mut inputs = vec![InputToSign { index: 0, key: key(sweep), script, sighash: EcdsaSighashType::All }];
    if let Some(coin) = &sweep.fee_input {
        prevouts.push(TxOut { value: Amount::from_sat(coin.value_sat), script_pubkey: coin.script.clone() });
        let key = SigningKey::Wallet(coin.outpoint);
        inputs.push(InputToSign { index: 1, key, script: coin.script.clone(), sighash: EcdsaSighashType::All });
    }
    SignRequest { id: sweep_id(channel, sweep), channel: channel.facts.id, tx: sweep.tx.clone(), prevouts, inputs }
}

/// The identity of that request.
pub(crate) fn sweep_id(channel: &ChannelArbitrator, sweep: &Sweep) -> ActionId {
    let txid = sweep.tx.compute_txid().to_byte_array();
    ActionId::of("sign sweep", &channel.facts.id, &[&txid, &outpoint_bytes(&sweep.outpoint), &sweep.point.0])
}

/// The request to sign our commitment of one funding.
pub(crate) fn commitment_request(channel: &ChannelArbitrator, funding: &Funding, rebuilt: &Rebuilt) -> SignRequest {
    let script = rebuilt.built.funding_script.clone();
    SignRequest {
        id: commitment_id(channel, rebuilt),
        channel: channel.facts.id,
        tx: rebuilt.built.tx.clone(),
        prevouts: vec![TxOut { value: Amount::from_sat(funding.value_sat), script_pubkey: script.to_p2wsh() }],
        inputs: vec![InputToSign {
            index: 0,
            key: SigningKey::Funding(funding.outpoint),
            script,
            sighash: EcdsaSighashType::All,
        }],
    }
}

/// The identity of that request.
pub(crate) fn commitment_id(channel: &ChannelArbitrator, rebuilt: &Rebuilt) -> ActionId {
    ActionId::of("sign commitment", &channel.facts.id, &[&rebuilt.built.txid.to_byte_array()])
}

/// Our signature for our commitment, verified.
pub(crate) fn complete_commitment(
    secp: &Secp256k1<All>,
    funding: &Funding,
    rebuilt: &Rebuilt,
    signatures: &[InputSignature],
) -> Result<CompactSig, Refusal> {
    let [InputSignature::Channel(signature)] = signatures else { return Err(Refusal::Count { expected: 1 }) };
    verify_sig(secp, &rebuilt.built.sighash(funding.value_sat), signature, &funding.local_key)
        .map_err(|_| Refusal::Wrong { input: 0 })?;
    Ok(*signature)
}

/// A sweep with its witnesses, every signature verified.
pub(crate) fn complete_sweep(
    secp: &Secp256k1<All>,
    channel: &ChannelArbitrator,
    sweep: &Sweep,
    signatures: &[InputSignature],
) -> Result<Transaction, Refusal> {
    let mut tx = sweep.tx.clone();
    let mut witnesses = Vec::new();
    match (signatures, &sweep.fee_input) {
        ([InputSignature::Channel(ours)], None) => {
            witnesses.push(claim_witness(secp, channel, sweep, ours).ok_or(Refusal::Wrong { input: 0 })?);
        }
        ([InputSignature::Channel(ours), InputSignature::Wallet { signature, key }], Some(coin)) => {
            witnesses.push(claim_witness(secp, channel, sweep, ours).ok_or(Refusal::Wrong { input: 0 })?);
            let pays_key = coin.script == p2wpkh(key);
            let sighash = sighash_p2wpkh(&tx, 1, key, coin.value_sat, EcdsaSighashType::All);
            let valid = sighash.is_ok_and(|sighash| verify_sig(secp, &sighash, signature, key).is_ok());
            if !pays_key || !valid {
                return Err(Refusal::Wrong { input: 1 });
            }
            witnesses.push(witness::to_remote(signature, key, None));
        }
        (_, None) => return Err(Refusal::Count { expected: 1 }),
        (_, Some(_)) => return Err(Refusal::Count { expected: 2 }),
    }
    for (input, witness) in tx.input.iter_mut().zip(witnesses) {
        input.witness = witness;
    }
    Ok(tx)
}

/// The witness of the claimed output; `None` if our signature does not fit.
fn claim_witness(
    secp: &Secp256k1<All>,
    channel: &ChannelArbitrator,
    sweep: &Sweep,
    ours: &CompactSig,
) -> Option<Witness> {
    let key = public_key(secp, channel, sweep)?;
    let sighash = match &sweep.witness_script {
        Some(script) => sighash_p2wsh(&sweep.tx, 0, script, sweep.amount_sat, EcdsaSighashType::All),
        None => sighash_p2wpkh(&sweep.tx, 0, &key, sweep.amount_sat, EcdsaSighashType::All),
    };
    verify_sig(secp, &sighash.ok()?, ours, &key).ok()?;
    let peer_type = counterparty_sighash_type(channel.facts.channel_type);
    let script = sweep.witness_script.as_ref();
    Some(match sweep.path {
        ClaimPath::ToRemote => witness::to_remote(ours, &key, script.map(ScriptBuf::as_script)),
        ClaimPath::ToLocal | ClaimPath::SecondLevelOutput => witness::delayed(ours, script?),
        ClaimPath::HtlcTimeout => witness::htlc_timeout(&sweep.peer_signature?, peer_type, ours, script?),
        ClaimPath::HtlcSuccess => {
            witness::htlc_success(&sweep.peer_signature?, peer_type, ours, &sweep.preimage?, script?)
        }
        ClaimPath::DirectTimeout => witness::direct_timeout(ours, script?),
        ClaimPath::DirectPreimage => witness::direct_preimage(ours, &sweep.preimage?, script?),
    })
}

const fn key(sweep: &Sweep) -> SigningKey {
    match sweep.path {
        ClaimPath::ToLocal | ClaimPath::SecondLevelOutput => SigningKey::DelayedPayment(sweep.point),
        ClaimPath::ToRemote => SigningKey::Payment,
        ClaimPath::HtlcTimeout | ClaimPath::HtlcSuccess | ClaimPath::DirectTimeout | ClaimPath::DirectPreimage => {
            SigningKey::Htlc(sweep.point)
        }
    }
}

fn public_key(secp: &Secp256k1<All>, channel: &ChannelArbitrator, sweep: &Sweep) -> Option<Point> {
    let basepoints = &channel.facts.side(Side::Local).basepoints;
    match sweep.path {
        ClaimPath::ToRemote => Some(basepoints.payment),
        ClaimPath::ToLocal | ClaimPath::SecondLevelOutput => {
            derive_public_key(secp, &basepoints.delayed_payment, &sweep.point).ok()
        }
        ClaimPath::HtlcTimeout | ClaimPath::HtlcSuccess | ClaimPath::DirectTimeout | ClaimPath::DirectPreimage => {
            derive_public_key(secp, &basepoints.htlc, &sweep.point).ok()
        }
    }
}

/// The script of a P2WPKH output of this key.
pub(crate) fn p2wpkh(key: &Point) -> ScriptBuf {
    crate::bolt3::to_remote_script_pubkey(crate::bolt3::ChannelType::StaticRemotekey, key)
}
