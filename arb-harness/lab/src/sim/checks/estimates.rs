//! The fee estimates that a journal has heard, at each point of it.

use arb_core::{Event, Fees, Policy};

/// What the court had heard of feerates by now.
pub(super) struct Estimates<'a> {
    policy: &'a Policy,
    /// The last estimate, and the tip then.
    fees: Option<(&'a Fees, u32)>,
    pub(super) tip: u32,
}

/// The lowest feerate that nodes relay: 0.1 sat/vB.
const LEAST_SAT_PER_KW: u32 = 25;

impl<'a> Estimates<'a> {
    pub(super) fn new(policy: &'a Policy) -> Self {
        Self { policy, fees: None, tip: 0 }
    }

    /// Hears the next event of the journal.
    pub(super) fn hear(&mut self, event: &'a Event) {
        if let Event::BlockConnected(block) = event {
            self.tip = block.height.get();
        } else if let Event::BlockDisconnected(block) = event {
            self.tip = block.height.get().saturating_sub(1);
        } else if let Event::FeesEstimated(fees) = event {
            self.fees = Some((fees, self.tip));
        }
    }

    /// The feerate (sat per kw) that is estimated for a target now.
    pub(super) fn estimate(&self, target: u32) -> u32 {
        let fallback = self.policy.fallback_feerate_sat_per_kw;
        let Some((fees, at)) = self.fees else { return fallback };
        let fits = fees.by_target.iter().rev().find(|(blocks, _)| u32::from(*blocks) <= target);
        let known = fits.or(fees.by_target.first()).map_or(fallback, |(_, feerate)| *feerate);
        let known = known.max(fees.least_sat_per_kw());
        let is_fresh = self.tip <= at.saturating_add(self.policy.fee_stale.get());
        if is_fresh { known } else { known.max(fallback) }
    }

    /// The estimate for what nobody contests (sat per kw).
    pub(super) fn lazy(&self) -> u32 {
        self.estimate(self.policy.lazy_target.get())
    }

    /// The lowest feerate that the node takes now (sat per kw).
    pub(super) fn floor(&self) -> u32 {
        self.fees.map_or(0, |(fees, _)| fees.least_sat_per_kw()).max(LEAST_SAT_PER_KW)
    }
}
