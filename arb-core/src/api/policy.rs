//! The policy: every number that a decision depends on. It is heard as an event, so every value is in the log (R3). A channel may
//! have one of its own.
//!
//! Tests: in this file, arb-harness/lab/tests/court_suite/going_to_chain.rs, arb-harness/lab/tests/court_suite/outcomes.rs,
//! arb-harness/lab/tests/sweeper_suite/curve.rs, arb-harness/lab/tests/sweeper_suite/groups.rs

use crate::api::units::Blocks;
use serde::{Deserialize, Serialize};

/// Every number that can be tuned, with its default; why each is what it is stands in the table of the crate's front
/// page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Blocks after its expiry at which an unresolved HTLC that we forwarded takes the channel to chain. Default 0, as
    /// lnd.
    pub outgoing_grace: Blocks,
    /// The same for our own payments, which have no upstream to save. Default 72.
    pub own_grace: Blocks,
    /// Blocks before its expiry at which a received HTLC with a usable preimage takes the channel to chain. Default 18:
    /// 2R + G + S of BOLT 2.
    pub incoming_margin: Blocks,
    /// Blocks before the upstream expiry by which the claim of an HTLC that we forwarded should be confirmed. Default
    /// 6, as Core Lightning.
    pub upstream_margin: Blocks,
    /// Blocks after the later of its expiry and its commitment's confirmation by which the claim of our own payment
    /// should be confirmed: the deadline does not tell that the payment is ours. Default 34: the `cltv_expiry_delta`
    /// that BOLT 2 works out.
    pub own_delta: Blocks,
    /// The least and the most confirmations at which rights are given up; between them they grow with the channel's
    /// capacity. Defaults 3 and 6.
    pub fail_depth: (Blocks, Blocks),
    /// Confirmations at which a spend is irrevocable (BOLT 5 G2), and blocks past an expiry at which waiting ends.
    /// Default 100.
    pub irrevocable_depth: Blocks,
    /// Blocks before the upstream expiry at which the upstream of an unresolved small HTLC is failed anyway. Default 3.
    pub upstream_giveup: Blocks,
    /// The largest HTLC that may be given up so, as a multiple of what a close costs: a commitment and one sweep at the
    /// lazy estimate. Default 20.
    pub giveup_max_close_costs: u32,
    /// The most that may be given up so, in satoshi, however high feerates are. Default 100,000.
    pub giveup_max_sat: u64,
    /// The most that may be given up so in one channel, in satoshi, all HTLCs together that ever were: what is failed upstream
    /// while the counterparty still holds it is at its mercy (A12). HTLCs too small for an output are at its mercy from the
    /// start, so an alert counts them, too. Once it is used up, a larger value gives the channel more. Default 200,000.
    pub giveup_sum_sat: u64,
    /// Blocks after which an overdue HTLC that is not worth a close still takes the channel to chain. Default 2,016.
    pub overdue_max: Blocks,
    /// The part of a claim's value that may go to fees, as a divisor. Default 2: half of it.
    pub budget_divisor: u32,
    /// The highest feerate that is ever offered, in satoshi per kiloweight. Default 250,000 (1,000 sat/vB).
    pub max_feerate_sat_per_kw: u32,
    /// The feerate without an estimate, and the least that a stale one is trusted for, in satoshi per kiloweight.
    /// Default 2,500 (10 sat/vB).
    pub fallback_feerate_sat_per_kw: u32,
    /// Blocks after which an estimate is stale. Default 6.
    pub fee_stale: Blocks,
    /// What a replacement pays for its own weight on top of what it replaces, in satoshi per kiloweight (BIP 125 rule
    /// 4). Default 250: Bitcoin Core's incremental relay feerate of 1 sat/vB.
    pub incremental_sat_per_kw: u32,
    /// The part of the claims' budgets that the child of their commitment may cost, as a divisor; their budgets shrink
    /// by what it was given. Default 2: half of them.
    pub child_divisor: u32,
    /// The part of our main output that a child may cost when nothing is at stake, in permille. Default 50.
    pub idle_child_permille: u32,
    /// The most that such a child may cost, in satoshi. Default 10,000.
    pub idle_child_sat: u64,
    /// How long a fee spike may last, in blocks: a claim with a deadline follows the estimate for so many blocks fewer
    /// than are left. Default 60, ten hours.
    pub spike: Blocks,
    /// What such a claim offers once no time is left to wait a spike out, in permille of the next block's estimate.
    /// Default 1,200.
    pub pressing_permille: u32,
    /// A budget that buys at most this many permille of the next block's estimate is offered whole at once: it has no
    /// room for a curve. Default 1,500.
    pub tight_permille: u32,
    /// Blocks before a deadline at which a claim shares its transaction with no other. Default 6.
    pub alone: Blocks,
    /// The same for penalties, whose whole value may go to fees from then on. Default 18 (BOLT 5 `security_delay`).
    pub penalty_split: Blocks,
    /// The confirmation target of claims that nobody contests, in blocks, and how often they follow the estimate.
    /// Default 144.
    pub lazy_target: Blocks,
    /// The most inputs of one sweep. Default 100.
    pub max_inputs: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            outgoing_grace: Blocks::new(0),
            own_grace: Blocks::new(72),
            incoming_margin: Blocks::new(18),
            upstream_margin: Blocks::new(6),
            own_delta: Blocks::new(34),
            fail_depth: (Blocks::new(3), Blocks::new(6)),
            irrevocable_depth: Blocks::new(100),
            upstream_giveup: Blocks::new(3),
            giveup_max_close_costs: 20,
            giveup_max_sat: 100_000,
            giveup_sum_sat: 200_000,
            overdue_max: Blocks::new(2016),
            budget_divisor: 2,
            max_feerate_sat_per_kw: 250_000,
            fallback_feerate_sat_per_kw: 2_500,
            fee_stale: Blocks::new(6),
            incremental_sat_per_kw: 250,
            child_divisor: 2,
            idle_child_permille: 50,
            idle_child_sat: 10_000,
            spike: Blocks::new(60),
            pressing_permille: 1_200,
            tight_permille: 1_500,
            alone: Blocks::new(6),
            penalty_split: Blocks::new(18),
            lazy_target: Blocks::new(144),
            max_inputs: 100,
        }
    }
}

/// The largest channel without `option_support_large_channel`, in satoshi, by which lnd scales depths.
const WUMBO_SAT: u64 = 16_777_215;

impl Policy {
    /// Confirmations at which rights in a channel of this capacity are given up:
    /// clamp(⌈6 · capacity / 16,777,215⌉, 3, 6) by default.
    pub fn fail_depth(&self, capacity_sat: u64) -> Blocks {
        let scaled = capacity_sat.saturating_mul(6).div_ceil(WUMBO_SAT);
        let (least, most) = self.fail_depth;
        Blocks::new(u32::try_from(scaled).unwrap_or(u32::MAX)).clamp(least, most.max(least))
    }

    /// Whether the policy can be used: divisors, depths, the cap and `max_inputs` are above zero, `idle_child_permille`
    /// is at most 1,000, and depths rise.
    pub fn is_sound(&self) -> bool {
        self.budget_divisor > 0
            && self.child_divisor > 0
            && self.idle_child_permille <= 1000
            && self.fail_depth.0 <= self.fail_depth.1
            && self.fail_depth.0 >= Blocks::new(1)
            && self.irrevocable_depth >= self.fail_depth.1
            && self.max_inputs > 0
            && self.max_feerate_sat_per_kw > 0
            // A replacement that pays nothing more is none (A23).
            && self.incremental_sat_per_kw > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_grows_with_capacity() {
        let policy = Policy::default();
        assert!(policy.is_sound());
        assert_eq!(policy.fail_depth(100_000), Blocks::new(3));
        assert_eq!(policy.fail_depth(10_000_000), Blocks::new(4));
        assert_eq!(policy.fail_depth(16_777_215), Blocks::new(6));
        assert_eq!(policy.fail_depth(u64::MAX), Blocks::new(6));
    }
}
