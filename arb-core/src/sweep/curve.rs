//! The feerate that a claim wants: from the estimate to all that its budget bears, one block before the deadline.
//!
//! ```text
//! sat/kw │                            ┌──── min(budget, cap): stays until spent
//!        │                           ╱
//!        │                        .·´        square of the time that has passed
//!        │  estimate ___....--·´´
//!        └──┬──────────────────────┬──┬──► blocks
//!         first wanted      deadline−1  deadline
//! ```
//!
//! In a market that the estimator understands, the estimate for the blocks that are left is enough. The curve is for all other
//! markets: as a square it stays low for long and pays only when time runs out. The feerate wanted never falls (I8), so an
//! attacker who makes us start again gains nothing (L3, B20).
//!
//! Tests: `arb-harness/lab/tests/sweeper_suite/curve.rs`, `arb-harness/lab/tests/sweeper_suite/properties.rs`.

use crate::api::fees::Fees;
use crate::api::plan::Branch;
use crate::api::policy::Policy;
use crate::api::units::{Blocks, Height};
use crate::sweep::price::{FEERATE_LEAST, FEERATE_MIN, NARROWEST_OUTPUT_WEIGHT};
use crate::sweep::terms::{Bundle, Class, Stake, Terms};
use serde::{Deserialize, Serialize};

/// What the sweeper knows of the world when it decides.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// The tip: what is sent now is mined in the next block at the earliest.
    pub tip: Height,
    /// The policy in force.
    pub policy: &'a Policy,
    /// The last estimate, and the tip when it came; `None` before the first.
    pub fees: Option<&'a (Fees, Height)>,
    /// The estimates before it, each with the tip when it came, oldest first.
    pub fees_before: &'a [(Fees, Height)],
    /// The weight of an output to the wallet, in weight units.
    pub wallet_output_weight: u64,
}

/// What is remembered of a claim's feerate: a ratchet, which no reorg undoes (R10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// The tip when it was first wanted: where its curve begins.
    pub since: Height,
    /// What was wanted then, in satoshi per kiloweight.
    pub start_sat_per_kw: u32,
    /// The most that was ever wanted, in satoshi per kiloweight.
    pub wanted_sat_per_kw: u32,
    /// The most that the operator asked for, in satoshi per kiloweight; 0 for nothing.
    pub bumped_sat_per_kw: u32,
    /// The tip when the claim was last planned or bumped.
    pub at: Height,
}

/// What a claim wants now, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) sat_per_kw: u32,
    pub(crate) branch: Branch,
    /// The estimate that was used.
    pub(crate) estimate_sat_per_kw: u32,
}

impl Now<'_> {
    /// The feerate for a confirmation target in blocks, in satoshi per kiloweight: from the last estimate, or the fallback
    /// before there was one. An estimate that is not fresh counts only where it is above the fallback. Never above the cap.
    pub fn estimate(&self, target: Blocks) -> u32 {
        self.estimate_above(FEERATE_MIN, target)
    }

    fn estimate_above(&self, least: u32, target: Blocks) -> u32 {
        let Some((fees, at)) = self.fees else {
            return self.policy.fallback_feerate_sat_per_kw.min(self.policy.max_feerate_sat_per_kw);
        };
        let known = self.of_target(fees, target).max(fees.least_sat_per_kw());
        let fresh = self.tip <= at.after(self.policy.fee_stale);
        let trusted = if fresh { known } else { known.max(self.policy.fallback_feerate_sat_per_kw) };
        trusted.max(least).min(self.policy.max_feerate_sat_per_kw)
    }

    /// The lowest feerate that nodes take now, for a claim with a deadline, in satoshi per kiloweight.
    pub fn floor(&self) -> u32 {
        self.lazy_floor().max(FEERATE_MIN)
    }

    /// The same for what nobody contests: the node's own floor, however low. Before any estimate, the usual floor.
    pub(crate) fn lazy_floor(&self) -> u32 {
        self.fees.map_or(FEERATE_MIN, |(fees, _)| fees.least_sat_per_kw()).max(FEERATE_LEAST)
    }

    /// What a replacement pays for its own weight on top of what it replaces, in satoshi per kiloweight: the policy's, or more
    /// if the node asks for more.
    pub(crate) fn incremental(&self) -> u32 {
        let of_node = self.fees.map_or(0, |(fees, _)| fees.incremental_sat_per_kw);
        of_node.max(self.policy.incremental_sat_per_kw)
    }

    /// One estimate's feerate for a target: that of the greatest target that is not above it.
    fn of_target(&self, fees: &Fees, target: Blocks) -> u32 {
        let fits = fees.by_target.iter().rev().find(|(blocks, _)| u32::from(*blocks) <= target.get());
        let fits = fits.or(fees.by_target.first()).map(|(_, feerate)| *feerate);
        fits.unwrap_or(self.policy.fallback_feerate_sat_per_kw)
    }

    /// What a claim that nobody contests is offered at: the estimate for `lazy_target` blocks, down to the node's floor (A43).
    /// The lowest of the last `fee_stale` blocks counts: what can wait does not follow a jump at once (A47).
    pub fn lazy(&self) -> u32 {
        let target = self.policy.lazy_target;
        let ends = self.fees_before.iter().skip(1).chain(self.fees).map(|(_, at)| at.after(self.policy.fee_stale));
        let recent = self.fees_before.iter().zip(ends).filter(|(_, end)| self.tip < *end);
        let lowest = recent.map(|((fees, _), _)| self.of_target(fees, target)).min();
        let now = self.estimate_above(self.lazy_floor(), target);
        lowest.map_or(now, |lowest| lowest.max(self.lazy_floor()).min(now))
    }

    /// Whether the lazy estimate is as low as nodes relay at all: it will not get cheaper. A full mempool's minimum will.
    pub(crate) fn is_cheapest(&self) -> bool {
        let floor = self.fees.map_or(FEERATE_MIN, |(fees, _)| fees.relay_floor_sat_per_kw);
        self.lazy() <= floor.max(FEERATE_LEAST)
    }

    /// Blocks until a deadline; 0 once it is missed.
    pub(crate) fn left(&self, deadline: Height) -> Blocks {
        deadline.since(self.tip).unwrap_or_default()
    }

    /// Whether a deadline is so near that its claim stands alone, so that a pin or a spend of another claim cannot delay it.
    pub(crate) fn is_urgent(&self, class: Class, deadline: Option<Height>) -> bool {
        deadline.is_some_and(|deadline| self.left(deadline) <= class.alone(self.policy))
    }

    /// The feerate that a claim wants, in satoshi per kiloweight. It may be more than the claim's budget bears alone: what is
    /// offered is decided for the whole transaction.
    pub fn wanted(&self, terms: &Terms, price: Option<&Price>) -> u32 {
        self.wanted_with_reason(terms, price).sat_per_kw
    }

    /// [`wanted`](Self::wanted) with its reason. If several stakes want the same, the nearest deadline decides.
    pub(crate) fn wanted_with_reason(&self, terms: &Terms, price: Option<&Price>) -> Wanted {
        // Counted with the narrowest output that a wallet may have; what is offered is cut to the true weight.
        let output_weight = self.wallet_output_weight.min(NARROWEST_OUTPUT_WEIGHT);
        let single = Bundle::new([terms].into(), None, output_weight);
        let weight = single.weight();
        let of_stakes = terms.stakes.iter().rev().map(|stake| {
            let end = terms.feerate_of(stake.budget_sat, weight, self.policy);
            let wanted = self.of_stake(stake, end, price);
            // A child may not cost more than missing this deadline loses (B34).
            let most = if terms.parent.is_some() { end } else { u32::MAX };
            Wanted { sat_per_kw: wanted.sat_per_kw.min(most), ..wanted }
        });
        let nothing = Wanted { sat_per_kw: 0, branch: Branch::Lazy, estimate_sat_per_kw: 0 };
        let mut wanted = of_stakes.max_by_key(|wanted| wanted.sat_per_kw).unwrap_or(nothing);
        wanted.sat_per_kw = wanted.sat_per_kw.min(self.policy.max_feerate_sat_per_kw);
        // A lower cap bounds what is offered from now on, not what was wanted (R10).
        if let Some(price) = price.filter(|price| price.wanted_sat_per_kw > wanted.sat_per_kw) {
            let is_bump = price.bumped_sat_per_kw == price.wanted_sat_per_kw;
            wanted.branch = if is_bump { Branch::Bumped } else { Branch::Kept };
            wanted.sat_per_kw = price.wanted_sat_per_kw;
        }
        wanted
    }

    /// Whether the most that a budget buys is hardly enough for the next block.
    pub(crate) fn is_tight(&self, end: u32) -> bool {
        let next = u64::from(self.estimate(NEXT)).saturating_mul(u64::from(self.policy.tight_permille));
        u64::from(end).saturating_mul(1000) <= next
    }

    pub(crate) fn pressing(&self, estimate: u32) -> u32 {
        let part = u64::from(estimate).saturating_mul(u64::from(self.policy.pressing_permille)).div_ceil(1000);
        u32::try_from(part).unwrap_or(u32::MAX)
    }

    fn of_stake(&self, stake: &Stake, end: u32, price: Option<&Price>) -> Wanted {
        let Some(deadline) = stake.deadline else {
            // Nobody contests it: it follows the estimate every `lazy_target` blocks, so that it does not stay unconfirmed.
            let is_recent = price.is_some_and(|price| self.tip < price.at.after(self.policy.lazy_target));
            let lazy = self.lazy();
            let sat_per_kw = if is_recent { 0 } else { lazy };
            return Wanted { sat_per_kw, branch: Branch::Lazy, estimate_sat_per_kw: lazy };
        };
        // A fee spike of common length must fit between the wait and the deadline.
        let patience = self.left(deadline).get().saturating_sub(self.policy.spike.get());
        let estimate = self.estimate(Blocks::new(patience).max(NEXT));
        // No time is left to wait for the end of a spike, so more than the next block's estimate is offered.
        let (least, by_estimate) =
            if patience == 0 { (self.pressing(estimate), Branch::Pressing) } else { (estimate, Branch::Estimate) };
        let since = price.map_or(self.tip, |price| price.since);
        // First wanted when the deadline was over: the next block's price first, and everything a few blocks later (A40).
        let late = since >= deadline;
        let last = if late { since.after(LATE) } else { deadline.before(NEXT) };
        let start = price.map_or(least, |price| price.start_sat_per_kw);
        // A tight budget has no room for a curve: the market may rise before the curve does.
        let (curve, by_curve) = if self.tip >= last {
            (end, Branch::Deadline)
        } else if self.is_tight(end) && !late {
            (end, Branch::Tight)
        } else {
            let passed = self.tip.since(since).unwrap_or_default();
            (squared(start, end, passed, last.since(since).unwrap_or_default()), Branch::Curve)
        };
        let branch = match (late, curve > least) {
            (true, _) => Branch::Late,
            (false, true) => by_curve,
            (false, false) => by_estimate,
        };
        Wanted { sat_per_kw: curve.max(least), branch, estimate_sat_per_kw: estimate }
    }
}

/// The shortest confirmation target: the next block.
pub(crate) const NEXT: Blocks = Blocks::new(1);

/// Blocks in which a claim that came too late reaches its whole budget.
const LATE: Blocks = Blocks::new(6);

/// Rises from `start` to `end` with the square of the part of `width` that has passed. The area below the curve is a third of
/// the whole, so an attacker who replaces a claim in every block pays several times its budget (B21).
fn squared(start: u32, end: u32, passed: Blocks, width: Blocks) -> u32 {
    if end <= start {
        return start;
    }
    if passed >= width {
        return end;
    }
    let square = |blocks: Blocks| u128::from(blocks.get()).saturating_pow(2);
    let rise = u128::from(end.saturating_sub(start));
    let risen = rise.saturating_mul(square(passed)).checked_div(square(width)).unwrap_or(rise);
    start.saturating_add(u32::try_from(risen).unwrap_or(u32::MAX))
}
