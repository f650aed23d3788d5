//! Weights and fees, before anything is signed.

use crate::bolt3::{HTLC_OUTPUT_WEIGHT, INPUT_BASE_WEIGHT};
use bitcoin::Script;

/// Version, lock time, one-byte counts, and the two bytes that mark a segwit transaction.
pub(crate) const FRAME_WEIGHT: u64 = 42;
/// A P2WPKH input with its witness, a 73-byte signature counted (count, signature, key).
pub const WALLET_INPUT_WEIGHT: u64 = INPUT_BASE_WEIGHT + 1 + 74 + 34;
/// What nodes relay at most as one transaction (Core's `MAX_STANDARD_TX_WEIGHT`), less room for counts above 252.
pub(crate) const WEIGHT_MAX: u64 = 400_000 - 100;
/// The lowest feerate that is ever offered: one satoshi per virtual byte, with the rounding of weights paid for.
pub(crate) const FEERATE_MIN: u32 = 253;

/// The weight of a P2WSH or P2TR output: the widest there is where a script is not known yet.
pub(crate) const WIDEST_OUTPUT_WEIGHT: u64 = HTLC_OUTPUT_WEIGHT;

/// The dust limit of such an output (Core's `GetDustThreshold` at 3 sat/vB): what any script's output may need to be relayed.
pub(crate) const WIDEST_DUST_SAT: u64 = 330;

/// The weight of a P2WPKH output, the narrowest that wallets have.
pub(crate) const NARROWEST_OUTPUT_WEIGHT: u64 = 124;

/// The weight of one output.
pub(crate) fn output_weight(script: &Script) -> u64 {
    let len = u64::try_from(script.len()).unwrap_or(u64::MAX);
    len.saturating_add(9).saturating_mul(4)
}

/// The fee of a weight, rounded up: never below the feerate that was meant.
pub(crate) fn fee_sat(weight: u64, feerate_sat_per_kw: u32) -> u64 {
    weight.saturating_mul(u64::from(feerate_sat_per_kw)).div_ceil(1000)
}

/// The least value of an output that nodes relay.
pub(crate) fn dust_sat(script: &Script) -> u64 {
    script.minimal_non_dust().to_sat()
}
