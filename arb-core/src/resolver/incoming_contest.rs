//! A received HTLC without a usable preimage (BOLT 5 LR5, RR3).
//!
//! ```text
//! Contested ──preimage──► IncomingSuccess
//!    ├──given up, or irrevocable_depth past its expiry──► Done(Unclaimed)
//!    └──spent──► Spent ──irrevocable──► Done
//! ```
//!
//! `Done(Unclaimed)` is not final: the view is derived anew each time, so a preimage that comes before the channel is resolved
//! still hands the contract off to IncomingSuccess.
//!
//! Tests: `arb-harness/lab/tests/court_suite/scenarios.rs`, `arb-harness/lab/tests/court_suite/ratchets.rs`.

use crate::api::ids::HtlcRef;
use crate::api::outcome::ContractOutcome;
use crate::resolver::kit::{ContractStage, ResolverKit};
use crate::resolver::{IncomingSuccess, Next, Resolver};
use bitcoin::OutPoint;

/// Owns the output of a received HTLC that we cannot claim yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IncomingContest {
    pub(crate) outpoint: OutPoint,
    pub(crate) htlc: HtlcRef,
}

impl IncomingContest {
    pub(crate) fn next(&self, kit: &ResolverKit<'_>) -> Next {
        let Some(state) = kit.htlc(self.htlc) else { return Next::Done(ContractOutcome::Unclaimed) };
        // Without irrevocable commitment by both sides the preimage must not be shown (LR4).
        if kit.channel.usable(self.htlc).is_some() && state.irrevocable {
            let next = IncomingSuccess { outpoint: self.outpoint, htlc: self.htlc };
            return Next::HandOff(Resolver::IncomingSuccess(next));
        }
        if let Some(spend) = kit.spend_of(&self.outpoint) {
            return kit.follow_htlc(self.htlc, spend);
        }
        let last = state.htlc.cltv_expiry.after(kit.policy.irrevocable_depth);
        let given_up = kit.channel.ratchet.given_up.contains(&self.htlc);
        if given_up || kit.tip >= last {
            return Next::Done(ContractOutcome::Unclaimed);
        }
        Next::Stay(ContractStage::Contested { until: last })
    }
}
