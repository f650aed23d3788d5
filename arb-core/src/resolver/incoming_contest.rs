//! A received HTLC without a usable preimage (BOLT 5 LR5, RR3).
//!
//! ```text
//! Contested ──preimage──► IncomingSuccess
//!    ├──given up, or irrevocable_depth past its expiry──► Done(Unclaimed)
//!    └──spent──► Spent ──irrevocable──► Done
//! ```
//!
//! `Done(Unclaimed)` is not the end of hope: the view is derived, so a preimage before the channel is resolved takes
//! the contract on to IncomingSuccess all the same.

use crate::api::ids::HtlcRef;
use crate::api::outcome::ContractOutcome;
use crate::resolver::kit::{ContractStage, ResolverKit};
use crate::resolver::{IncomingSuccess, Next, Resolver};
use bitcoin::OutPoint;

/// Owns the output of a received HTLC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IncomingContest {
    pub(crate) outpoint: OutPoint,
    pub(crate) htlc: HtlcRef,
}

impl IncomingContest {
    pub(crate) fn next(&self, kit: &ResolverKit<'_>) -> Next {
        let Some(state) = kit.htlc(self.htlc) else { return Next::Done(ContractOutcome::Unclaimed) };
        // A preimage is of use only where the HTLC was irrevocably committed (LR4).
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
