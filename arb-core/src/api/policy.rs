//! The policy: every number that a decision rests on. It is heard as an event, so every value is in the log (R3).

use crate::api::units::Blocks;
use serde::{Deserialize, Serialize};

/// Every tunable of the court. The defaults are documented field by field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Blocks after its expiry at which an unresolved forwarded HTLC that we sent takes us to chain. Default 0, as lnd.
    pub outgoing_grace: Blocks,
    /// The same for our own payments, which have no upstream to save. Default 72.
    pub own_grace: Blocks,
    /// Blocks before its expiry at which a received HTLC with a usable preimage takes us to chain. Default 18:
    /// BOLT 2's 2R + G + S.
    pub incoming_margin: Blocks,
    /// A claim of an HTLC that we forwarded is due this many blocks before the upstream expiry. Default 6, as Core
    /// Lightning.
    pub upstream_margin: Blocks,
    /// A claim of our own payment is due this many blocks after the later of its expiry and its commitment's
    /// confirmation, so that the deadline does not tell the origin. Default 34: BOLT 2's delta.
    pub own_delta: Blocks,
    /// Unused: nothing reads it but the check that it is one block at least. It stays because the format has it, and goes
    /// with the next version of the format.
    pub claim_depth: Blocks,
    /// The least and the most confirmations at which rights are given up; in between they grow with the channel's
    /// capacity. Defaults 3 and 6.
    pub fail_depth: (Blocks, Blocks),
    /// Confirmations at which something is irrevocable (BOLT 5 G2), and blocks past an expiry at which waiting ends.
    /// Default 100.
    pub irrevocable_depth: Blocks,
    /// Blocks before the upstream expiry at which an unresolved small HTLC is failed upstream anyway. Default 3.
    pub upstream_giveup: Blocks,
    /// The most that may be given up so, as a multiple of `close_cost`. Default 20.
    pub giveup_max_close_costs: u32,
    /// Blocks after which even a small overdue HTLC takes us to chain. Default 2,016.
    pub overdue_max: Blocks,
    /// The share of a claim's value that may go to fees, as a divisor. Default 2: half of it.
    pub budget_divisor: u32,
    /// The highest feerate that is ever offered, in satoshi per kiloweight. Default 250,000 (1,000 sat/vB).
    pub max_feerate_sat_per_kw: u32,
    /// The feerate used without a fresh estimate. Default 2,500 (10 sat/vB).
    pub fallback_feerate_sat_per_kw: u32,
    /// Blocks after which an estimate is no longer fresh. Default 6.
    pub fee_stale: Blocks,
    /// What a replacement has to pay for itself on top of what it replaces, in satoshi per kiloweight (BIP 125 rule 4).
    /// Default 250: Core's incremental relay feerate of 1 sat/vB.
    pub incremental_sat_per_kw: u32,
    /// The share of the budgets of the claims that need a commitment which may go to its child, as a divisor; taken from
    /// theirs. Default 2: half of it.
    pub child_divisor: u32,
    /// The share of our main output that a child may cost when nothing is at stake, in permille. Default 50.
    pub idle_child_permille: u32,
    /// The most that such a child may cost, in satoshi. Default 10,000.
    pub idle_child_sat: u64,
    /// How long a fee spike may last: a claim with a deadline is offered at the estimate for a block so much earlier. Default
    /// 60, ten hours.
    pub spike: Blocks,
    /// What such a claim offers once there is no time left to wait a spike out, in permille of the next block's estimate.
    /// Default 1,200.
    pub pressing_permille: u32,
    /// A budget that buys no more than this many permille of the next block's estimate is offered whole at once: there is
    /// no room for a curve. Default 1,500.
    pub tight_permille: u32,
    /// Blocks before a deadline at which a claim stands alone. Default 6.
    pub alone: Blocks,
    /// Blocks before the end at which penalties are split. Default 18 (BOLT 5 `security_delay`).
    pub penalty_split: Blocks,
    /// The confirmation target of claims that nobody contests. Default 144.
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
            claim_depth: Blocks::new(1),
            fail_depth: (Blocks::new(3), Blocks::new(6)),
            irrevocable_depth: Blocks::new(100),
            upstream_giveup: Blocks::new(3),
            giveup_max_close_costs: 20,
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

/// The largest channel without `option_support_large_channel`, in satoshi: lnd's scale for depths.
const WUMBO_SAT: u64 = 16_777_215;

impl Policy {
    /// Confirmations at which rights in a channel of this capacity are given up:
    /// clamp(⌈6 · capacity / 16,777,215⌉, 3, 6) by default.
    pub fn fail_depth(&self, capacity_sat: u64) -> Blocks {
        let scaled = capacity_sat.saturating_mul(6).div_ceil(WUMBO_SAT);
        let (least, most) = self.fail_depth;
        Blocks::new(u32::try_from(scaled).unwrap_or(u32::MAX)).clamp(least, most.max(least))
    }

    /// Whether the numbers can be worked with: nothing that divides is zero and no range is empty.
    pub fn is_sound(&self) -> bool {
        self.budget_divisor > 0
            && self.child_divisor > 0
            && self.idle_child_permille <= 1000
            && self.fail_depth.0 <= self.fail_depth.1
            && self.fail_depth.0 >= Blocks::new(1)
            && self.claim_depth >= Blocks::new(1)
            && self.irrevocable_depth >= self.fail_depth.1
            && self.max_inputs > 0
            && self.max_feerate_sat_per_kw > 0
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
