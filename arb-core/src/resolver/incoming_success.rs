//! A received HTLC with a usable preimage: HTLC-success and its delayed output on our commitment, a direct claim on
//! theirs (BOLT 5 LR1, LR3, RR1).
//!
//! ```text
//! ClaimWanted ──spent──► (second level) ──► Spent ──irrevocable──► Done
//! ```

use crate::api::ids::HtlcRef;
use crate::api::outcome::ContractOutcome;
use crate::api::units::Height;
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
        let deadline = kit.htlc(self.htlc).map_or(Height::new(0), |state| state.htlc.cltv_expiry);
        match kit.htlc_claim(self.htlc, self.outpoint, deadline) {
            Some(claim) => kit.claim(claim),
            None => Next::Done(ContractOutcome::Unclaimed),
        }
    }
}
