//! An HTLC that we sent, expired: HTLC-timeout and its delayed output on our commitment, a direct claim on theirs. The
//! counterparty may still claim it with the preimage (BOLT 5 LL2, LL4, RL2).
//!
//! ```text
//! ClaimWanted ──spent──► (second level) ──► Spent ──irrevocable──► Done
//! ```
//!
//! Tests: `arb-harness/lab/tests/court_suite/scenarios.rs`, `arb-harness/lab/tests/court_suite/incidents_restart.rs`.

use crate::api::ids::HtlcRef;
use crate::api::outcome::ContractOutcome;
use crate::channel::outgoing_deadline;
use crate::resolver::Next;
use crate::resolver::kit::ResolverKit;
use bitcoin::OutPoint;

/// Owns the output of an expired HTLC that we sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutgoingTimeout {
    pub(crate) outpoint: OutPoint,
    pub(crate) htlc: HtlcRef,
}

impl OutgoingTimeout {
    pub(crate) fn next(&self, kit: &ResolverKit<'_>) -> Next {
        if let Some(spend) = kit.spend_of(&self.outpoint) {
            return kit.follow_htlc(self.htlc, spend);
        }
        let Some(state) = kit.htlc(self.htlc) else { return Next::Done(ContractOutcome::Unclaimed) };
        let deadline = outgoing_deadline(state, kit.close.height, kit.policy);
        match kit.htlc_claim(self.htlc, self.outpoint, deadline) {
            Some(claim) => kit.claim(claim),
            None => Next::Done(ContractOutcome::Unclaimed),
        }
    }
}
