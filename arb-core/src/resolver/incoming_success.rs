//! A received HTLC with a usable preimage: HTLC-success and its delayed output on our commitment, a direct claim on
//! theirs (BOLT 5 LR1, LR3, RR1).
//!
//! ```text
//! ClaimWanted ──spent──► (second level) ──► Spent ──irrevocable──► Done
//! ```
//!
//! Tests: `arb-harness/lab/tests/court_suite/scenarios.rs`, `arb-harness/lab/tests/thief_suite/fees.rs`.

use crate::api::ids::HtlcRef;
use crate::api::outcome::ContractOutcome;
use crate::resolver::Next;
use crate::resolver::kit::ResolverKit;
use bitcoin::OutPoint;

/// Owns the output of a received HTLC that we can claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IncomingSuccess {
    pub(crate) outpoint: OutPoint,
    pub(crate) htlc: HtlcRef,
}

impl IncomingSuccess {
    pub(crate) fn next(&self, kit: &ResolverKit<'_>) -> Next {
        if let Some(spend) = kit.spend_of(&self.outpoint) {
            return kit.follow_htlc(self.htlc, spend);
        }
        let Some(state) = kit.htlc(self.htlc) else { return Next::Done(ContractOutcome::Unclaimed) };
        // From its expiry on, the counterparty may take it back.
        match kit.htlc_claim(self.htlc, self.outpoint, state.htlc.cltv_expiry) {
            Some(claim) => kit.claim(claim),
            None => Next::Done(ContractOutcome::Unclaimed),
        }
    }
}
