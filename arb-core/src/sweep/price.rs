//! What a claim's transaction weighs and costs, before anything is signed.

use crate::bolt3::{ChannelType, ClaimKind, INPUT_BASE_WEIGHT, claim_witness_weight};
use crate::record::ClaimPath;
use bitcoin::{Amount, Script};

/// Version, lock time, one-byte counts, and the two bytes that mark a segwit transaction.
const FRAME_WEIGHT: u64 = 42;
/// A P2WPKH input with its witness, a 73-byte signature counted (count, signature, key).
const WALLET_INPUT_WEIGHT: u64 = INPUT_BASE_WEIGHT + 1 + 74 + 34;

/// The weight of one output.
pub(super) fn output_weight(script: &Script) -> u64 {
    let len = u64::try_from(script.len()).unwrap_or(u64::MAX);
    len.saturating_add(9).saturating_mul(4)
}

/// The most that a transaction of one claim weighs.
pub(super) fn claim_weight(
    path: ClaimPath,
    channel_type: ChannelType,
    witness_script: Option<&Script>,
    outputs: &[&Script],
    fee_inputs: u64,
) -> u64 {
    let script_len = witness_script.and_then(|script| u64::try_from(script.len()).ok());
    let witness = claim_witness_weight(kind(path), channel_type, script_len);
    outputs
        .iter()
        .fold(FRAME_WEIGHT, |sum, script| sum.saturating_add(output_weight(script)))
        .saturating_add(INPUT_BASE_WEIGHT)
        .saturating_add(witness)
        .saturating_add(WALLET_INPUT_WEIGHT.saturating_mul(fee_inputs))
}

/// The fee of a weight, rounded up: never below the feerate that was meant.
pub(super) fn fee_sat(weight: u64, feerate_sat_per_kw: u32) -> u64 {
    weight.saturating_mul(u64::from(feerate_sat_per_kw)).div_ceil(1000)
}

/// The least value of an output that nodes relay.
pub(super) fn dust_sat(script: &Script) -> u64 {
    script.minimal_non_dust().to_sat()
}

/// The value of an output after a fee; `None` where it would be dust, or the fee above the budget (B16, B35).
pub(super) fn after_fee(amount_sat: u64, fee_sat: u64, budget_sat: u64, script: &Script) -> Option<Amount> {
    let left = amount_sat.checked_sub(fee_sat)?;
    (fee_sat <= budget_sat && left >= dust_sat(script)).then(|| Amount::from_sat(left))
}

const fn kind(path: ClaimPath) -> ClaimKind {
    match path {
        ClaimPath::ToLocal => ClaimKind::ToLocalDelayed,
        ClaimPath::ToRemote => ClaimKind::ToRemote,
        ClaimPath::HtlcTimeout => ClaimKind::HtlcTimeout,
        ClaimPath::HtlcSuccess => ClaimKind::HtlcSuccess,
        ClaimPath::SecondLevelOutput => ClaimKind::SecondLevelDelayed,
        ClaimPath::DirectTimeout => ClaimKind::DirectTimeout,
        ClaimPath::DirectPreimage => ClaimKind::DirectPreimage,
    }
}
