//! Weights and fees, before anything is signed.

use crate::bolt3::{HTLC_OUTPUT_WEIGHT, INPUT_BASE_WEIGHT};
use bitcoin::Script;

/// The weight of version, lock time, one-byte counts, and the two bytes that mark a segwit transaction.
pub(crate) const FRAME_WEIGHT: u64 = 42;
/// The weight of a P2WPKH input in weight units: its base, then its witness of count, signature (73 bytes at most) and key.
pub const WALLET_INPUT_WEIGHT: u64 = INPUT_BASE_WEIGHT + 1 + 74 + 34;
/// The most that one sweep may weigh: Core's `MAX_STANDARD_TX_WEIGHT`, less room for counts above 252.
pub(crate) const WEIGHT_MAX: u64 = 400_000 - 100;
/// The lowest feerate that a claim with a deadline is offered at, in satoshi per kiloweight: 1 sat/vB (250), with rounding to
/// spare.
pub(crate) const FEERATE_MIN: u32 = 253;
/// The lowest feerate that any node relays (0.1 sat/vB since Bitcoin Core 29.1): what nobody contests may go down to it, if
/// the node's own floor is that low (A43).
pub(crate) const FEERATE_LEAST: u32 = 25;

/// The weight of a P2WSH or P2TR output, the widest, for a script that is not known yet.
pub(crate) const WIDEST_OUTPUT_WEIGHT: u64 = HTLC_OUTPUT_WEIGHT;

/// The dust limit of such an output in satoshi (Core's `GetDustThreshold` at 3 sat/vB): enough for an output of any script.
pub(crate) const WIDEST_DUST_SAT: u64 = 330;

/// The weight of a P2WPKH output, the narrowest that wallets have.
pub(crate) const NARROWEST_OUTPUT_WEIGHT: u64 = 124;

/// The weight of one output.
pub(crate) fn output_weight(script: &Script) -> u64 {
    let len = u64::try_from(script.len()).unwrap_or(u64::MAX);
    len.saturating_add(9).saturating_mul(4)
}

/// The fee of a weight in satoshi, rounded up, so that it is not below the feerate.
///
/// Nodes count whole virtual bytes, so a weight counts as the next multiple of four (A59).
pub(crate) fn fee_sat(weight: u64, feerate_sat_per_kw: u32) -> u64 {
    weight.div_ceil(4).saturating_mul(4).saturating_mul(u64::from(feerate_sat_per_kw)).div_ceil(1000)
}

/// The fee of one coin's own input in satoshi, as an offer of coins is counted: what a coin is worth less this has to make up
/// the amount of [`Action::RequestFeeInputs`](crate::Action::RequestFeeInputs). Whole virtual bytes, as for all fees (A59).
pub fn wallet_input_fee_sat(feerate_sat_per_kw: u32) -> u64 {
    fee_sat(WALLET_INPUT_WEIGHT, feerate_sat_per_kw)
}

/// The least value of an output with this script that nodes relay, in satoshi.
pub(crate) fn dust_sat(script: &Script) -> u64 {
    script.minimal_non_dust().to_sat()
}
