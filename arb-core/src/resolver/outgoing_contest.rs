//! An HTLC that we sent, not expired: the counterparty may claim it with the preimage (BOLT 5 LL1, RL1).
//!
//! ```text
//! Waiting ──expiry──► OutgoingTimeout
//!    └──spent──► Spent ──irrevocable──► Done
//! ```
//!
//! Tests: `arb-harness/lab/tests/court_suite/scenarios.rs`, `arb-harness/lab/tests/court_suite/properties.rs`.

use crate::api::ids::HtlcRef;
use crate::api::outcome::ContractOutcome;
use crate::resolver::kit::{ContractStage, ResolverKit};
use crate::resolver::{Next, OutgoingTimeout, Resolver};
use bitcoin::OutPoint;

/// Owns the output of an HTLC that we sent and that has not expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutgoingContest {
    pub(crate) outpoint: OutPoint,
    pub(crate) htlc: HtlcRef,
}

impl OutgoingContest {
    pub(crate) fn next(&self, kit: &ResolverKit<'_>) -> Next {
        let Some(state) = kit.htlc(self.htlc) else { return Next::Done(ContractOutcome::Unclaimed) };
        let expiry = state.htlc.cltv_expiry;
        match kit.spend_of(&self.outpoint) {
            // Spent before our timeout path was open, so there is no hand-off, also when looked at after the expiry.
            Some(spend) if spend.height <= expiry => kit.follow_htlc(self.htlc, spend),
            _ if kit.tip >= expiry => {
                let next = OutgoingTimeout { outpoint: self.outpoint, htlc: self.htlc };
                Next::HandOff(Resolver::OutgoingTimeout(next))
            }
            Some(spend) => kit.follow_htlc(self.htlc, spend),
            None => Next::Stay(ContractStage::Waiting { until: expiry }),
        }
    }
}
