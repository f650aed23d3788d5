//! What a fee policy is asked, and what it may answer.

use arb_core::Fees;

use super::claims::Claim;

/// The block that was just mined, and what is known then.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// That block.
    pub tip: u32,
    /// What the estimator says.
    pub fees: &'a Fees,
}

impl Now<'_> {
    /// The estimate for this many blocks: that of the longest known target that is not longer.
    #[must_use]
    pub fn feerate(&self, blocks: u32) -> u32 {
        let known = &self.fees.by_target;
        let fits = known.iter().rev().find(|(target, _)| u32::from(*target) <= blocks).or(known.first());
        fits.map_or(0, |(_, feerate)| *feerate).max(self.fees.relay_floor_sat_per_kw)
    }
}

/// A claim that is claimable and that nobody has claimed.
#[derive(Clone, Copy, Debug)]
pub struct OpenClaim<'a> {
    /// The claim.
    pub claim: &'a Claim,
    /// The transaction in the mempool that would claim it.
    pub standing: Option<Standing>,
}

/// A transaction in the mempool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its weight.
    pub weight: u64,
    /// Its fee.
    pub fee_sat: u64,
}

impl Standing {
    /// What it pays for a kiloweight, rounded down.
    #[must_use]
    pub fn feerate(&self) -> u64 {
        (self.fee_sat * 1_000).checked_div(self.weight).unwrap_or(0)
    }
}

/// A transaction that a policy wants in the mempool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// The claims that it spends.
    pub claims: Vec<usize>,
    /// Its weight.
    pub weight: u64,
    /// Its fee.
    pub fee_sat: u64,
}

/// A way to set fees. One plays one close.
pub trait FeePolicy {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Called once after every block in which something is open, with everything that is open. What is in the mempool and
    /// not answered again stays there; what conflicts with it replaces it if BIP 125 allows it, and is forgotten if not.
    fn block(&mut self, now: &Now<'_>, open: &[OpenClaim<'_>]) -> Vec<Offered>;
}

/// The fee of a weight, rounded up: never below the feerate that was meant.
#[must_use]
pub fn fee_sat(weight: u64, feerate_sat_per_kw: u64) -> u64 {
    (weight * feerate_sat_per_kw).div_ceil(1_000)
}

/// The highest feerate that this fee buys for a weight.
#[must_use]
pub fn feerate(weight: u64, fee_sat: u64) -> u64 {
    (fee_sat * 1_000).checked_div(weight).unwrap_or(0)
}
