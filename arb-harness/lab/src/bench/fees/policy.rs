//! The interface of a fee policy: what it is asked, and what it answers.

use arb_core::Fees;

use super::claims::Claim;

/// The block that was just mined, and the estimate after it.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// The height of that block.
    pub tip: u32,
    /// The estimate.
    pub fees: &'a Fees,
}

impl Now<'_> {
    /// The estimate for this many blocks: that of the longest known target that is not longer (sat per kw).
    #[must_use]
    pub fn feerate(&self, blocks: u32) -> u32 {
        let known = &self.fees.by_target;
        let fits = known.iter().rev().find(|(target, _)| u32::from(*target) <= blocks).or(known.first());
        fits.map_or(0, |(_, feerate)| *feerate).max(self.fees.least_sat_per_kw())
    }
}

/// An output that can be claimed and is unspent.
#[derive(Clone, Copy, Debug)]
pub struct OpenClaim<'a> {
    /// The claim of this output.
    pub claim: &'a Claim,
    /// The transaction in the mempool that claims it, if there is one.
    pub standing: Option<Standing>,
}

/// A transaction in the mempool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The weight in weight units.
    pub weight: u64,
    /// The fee in satoshi.
    pub fee_sat: u64,
}

impl Standing {
    /// The feerate in sat per kw, rounded down.
    #[must_use]
    pub fn feerate(&self) -> u64 {
        (self.fee_sat * 1_000).checked_div(self.weight).unwrap_or(0)
    }
}

/// A transaction that a policy wants in the mempool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// The ids of the claims that it spends.
    pub claims: Vec<usize>,
    /// The weight in weight units.
    pub weight: u64,
    /// The fee in satoshi.
    pub fee_sat: u64,
}

/// A way to set fees. One instance plays one close.
pub trait FeePolicy {
    /// The name in reports.
    fn name(&self) -> &'static str;

    /// Called once after every block in which a claim is open, with all open claims. A transaction in the mempool stays
    /// there if it is not answered again. One that conflicts with it replaces it if BIP 125 allows that, and is dropped
    /// otherwise.
    fn block(&mut self, now: &Now<'_>, open: &[OpenClaim<'_>]) -> Vec<Offered>;
}

/// The fee of a weight in satoshi, rounded up: never below the wanted feerate.
#[must_use]
pub fn fee_sat(weight: u64, feerate_sat_per_kw: u64) -> u64 {
    (weight * feerate_sat_per_kw).div_ceil(1_000)
}

/// The highest feerate that this fee allows for a weight (sat per kw).
#[must_use]
pub fn feerate(weight: u64, fee_sat: u64) -> u64 {
    (fee_sat * 1_000).checked_div(weight).unwrap_or(0)
}
