//! Requests to the signer, and the complete transactions from its answers.
//!
//! Every signature is verified against its own sighash and key before the answer counts (R14).
//!
//! Tests: `arb-harness/lab/tests/court_suite/bad_answers.rs`.

use crate::api::action::{InputToSign, SignRequest};
use crate::api::event::{FeeInput, InputSignature};
use crate::api::facts::Funding;
use crate::api::plan::Sweep;
use crate::api::unclaimed::SigningKey;
use crate::bolt3::{CompactSig, Point, p2wpkh, verify_sig, witness};
use crate::channel::{ChannelArbitrator, Rebuilt, SweepState, commitment_id, sweep_id};
use crate::claims::Want;
use crate::claims::path::{public_key, signing_key, witness_of};
use crate::resolver::Claim;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::{Amount, OutPoint, Transaction, TxOut};

/// Why an answer of the signer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request asked for `expected` signatures, and the answer has another number.
    Count { expected: usize },
    /// The signature for the input with this index is of the wrong kind or does not verify.
    Wrong { input: usize },
}

/// The request to sign a planned sweep; `None` if one of its claims is no longer wanted.
pub(crate) fn sweep_request(
    channel: &ChannelArbitrator,
    wants: &BTreeMap<OutPoint, Want>,
    state: &SweepState,
) -> Option<SignRequest> {
    let plan = &state.sweep.plan;
    let mut prevouts = Vec::new();
    let mut inputs = Vec::new();
    let mut sign = |prevout: TxOut, key, script| {
        // A transaction has far fewer inputs than `u32` counts, so the fallback is not reached.
        let index = u32::try_from(prevouts.len()).unwrap_or(u32::MAX);
        prevouts.push(prevout);
        inputs.push(InputToSign { index, key, script, sighash: EcdsaSighashType::All });
    };
    for member in &plan.members {
        let claim = &wants.get(member)?.claim;
        let prevout = TxOut { value: Amount::from_sat(claim.amount_sat), script_pubkey: claim.script_pubkey.clone() };
        let script = claim.witness_script.clone().unwrap_or_else(|| claim.script_pubkey.clone());
        sign(prevout, signing_key(&claim.way), script);
    }
    for coin in &plan.fee_inputs.coins {
        let prevout = TxOut { value: Amount::from_sat(coin.value_sat), script_pubkey: coin.script.clone() };
        sign(prevout, SigningKey::Wallet(coin.outpoint), coin.script.clone());
    }
    let id = sweep_id(channel, &state.txid);
    Some(SignRequest { id, channel: channel.facts.id, tx: state.sweep.tx.clone(), prevouts, inputs })
}

/// The request to sign our commitment that spends this funding.
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

/// Our signature for our commitment from the signer's answer, not verified yet.
///
/// # Errors
/// [`Refusal::Count`] if the answer is not exactly one signature by a channel key.
pub(crate) fn commitment_signature(signatures: &[InputSignature]) -> Result<CompactSig, Refusal> {
    match signatures {
        [InputSignature::Channel(signature)] => Ok(*signature),
        _ => Err(Refusal::Count { expected: 1 }),
    }
}

/// Verifies that signature.
///
/// # Errors
/// [`Refusal::Wrong`] if it does not verify.
pub(crate) fn verify_commitment(
    secp: &Secp256k1<All>,
    funding: &Funding,
    rebuilt: &Rebuilt,
    signature: &CompactSig,
) -> Result<(), Refusal> {
    verify_sig(secp, &rebuilt.built.sighash(funding.value_sat), signature, &funding.local_key)
        .map_err(|_| Refusal::Wrong { input: 0 })
}

/// A sweep with its witnesses from the signer's answer: number and kinds of the signatures are checked here, the signatures
/// themselves by [`verify_sweep`].
///
/// # Errors
/// [`Refusal::Count`] for another number of signatures, [`Refusal::Wrong`] for one of the wrong kind.
pub(crate) fn complete_sweep(
    channel: &ChannelArbitrator,
    wants: &BTreeMap<OutPoint, Want>,
    sweep: &Sweep,
    signatures: &[InputSignature],
) -> Result<Transaction, Refusal> {
    let (members, coins) = (&sweep.plan.members, &sweep.plan.fee_inputs.coins);
    let expected = members.len().saturating_add(coins.len());
    if signatures.len() != expected {
        return Err(Refusal::Count { expected });
    }
    let mut witnesses = Vec::new();
    for (input, signature) in signatures.iter().enumerate() {
        let coin = || coins.get(input.checked_sub(members.len())?);
        let witness = match (members.get(input), signature) {
            (Some(member), InputSignature::Channel(ours)) => {
                wants.get(member).and_then(|want| witness_of(channel, &want.claim, ours))
            }
            (None, InputSignature::Wallet { signature, key }) => {
                coin().filter(|coin| coin.script == p2wpkh(key)).map(|_| witness::to_remote(signature, key, None))
            }
            (Some(_), InputSignature::Wallet { .. }) | (None, InputSignature::Channel(_)) => None,
        };
        witnesses.push(witness.ok_or(Refusal::Wrong { input })?);
    }
    let mut tx = sweep.tx.clone();
    for (input, witness) in tx.input.iter_mut().zip(witnesses) {
        input.witness = witness;
    }
    Ok(tx)
}

/// Verifies every signature of the signer's answer (R14). [`complete_sweep`] checks their number.
///
/// # Errors
/// [`Refusal::Wrong`] for the first signature that does not verify.
pub(crate) fn verify_sweep(
    secp: &Secp256k1<All>,
    channel: &ChannelArbitrator,
    wants: &BTreeMap<OutPoint, Want>,
    sweep: &Sweep,
    signatures: &[InputSignature],
) -> Result<(), Refusal> {
    let mut cache = SighashCache::new(&sweep.tx);
    let members = &sweep.plan.members;
    for (input, signature) in signatures.iter().enumerate() {
        let valid = match signature {
            InputSignature::Channel(ours) => members
                .get(input)
                .and_then(|member| claim_fits(secp, channel, &wants.get(member)?.claim, &mut cache, input, ours)),
            InputSignature::Wallet { signature, key } => {
                let coin = input.checked_sub(members.len()).and_then(|place| sweep.plan.fee_inputs.coins.get(place));
                coin.and_then(|coin| coin_fits(secp, coin, &mut cache, input, signature, key))
            }
        };
        valid.ok_or(Refusal::Wrong { input })?;
    }
    Ok(())
}

/// Verifies a signature for a coin of the wallet; `None` if it is not valid.
fn coin_fits(
    secp: &Secp256k1<All>,
    coin: &FeeInput,
    cache: &mut SighashCache<&Transaction>,
    input: usize,
    signature: &CompactSig,
    key: &Point,
) -> Option<()> {
    let sighash =
        cache.p2wpkh_signature_hash(input, &coin.script, Amount::from_sat(coin.value_sat), EcdsaSighashType::All);
    verify_sig(secp, &sighash.ok()?.to_byte_array(), signature, key).ok()
}

/// Verifies our signature for a claimed output; `None` if it is not valid.
fn claim_fits(
    secp: &Secp256k1<All>,
    channel: &ChannelArbitrator,
    claim: &Claim,
    cache: &mut SighashCache<&Transaction>,
    input: usize,
    ours: &CompactSig,
) -> Option<()> {
    let key = public_key(secp, channel, &claim.way)?;
    let amount = Amount::from_sat(claim.amount_sat);
    let sighash = match &claim.witness_script {
        Some(script) => cache.p2wsh_signature_hash(input, script, amount, EcdsaSighashType::All).ok()?.to_byte_array(),
        None => cache
            .p2wpkh_signature_hash(input, &claim.script_pubkey, amount, EcdsaSighashType::All)
            .ok()?
            .to_byte_array(),
    };
    verify_sig(secp, &sighash, ours, &key).ok()
}
