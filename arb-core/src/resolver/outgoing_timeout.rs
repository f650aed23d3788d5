//! An HTLC that we sent, expired: HTLC-timeout and its delayed output on our commitment, a direct claim on theirs. The
//! counterparty's preimage may still win (BOLT 5 LL2, LL4, RL2).
//!
//! ```text
//! ClaimWanted ──spent──► (second level) ──► Spent ──irrevocable──► Done
//! ```

use super::{Next, ResolverKit};
use crate::facts::Link;
use crate::ids::HtlcRef;
use crate::outcome::ContractOutcome;
use crate::units::Height;
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
        match kit.htlc_claim(self.htlc, self.outpoint, self.deadline(kit)) {
            Some(claim) => kit.claim(claim),
            None => Next::Done(ContractOutcome::Unclaimed),
        }
    }

    /// The upstream's expiry less a margin (B34, B50, D2). An own payment's is the same whoever closed when, so that it
    /// does not tell the origin.
    fn deadline(&self, kit: &ResolverKit<'_>) -> Height {
        let Some(state) = kit.htlc(self.htlc) else { return kit.tip };
        let own = || state.htlc.cltv_expiry.max(kit.close.height).after(kit.policy.own_delta);
        match (state.htlc.link, state.upstream_expiry) {
            (Link::Forward(_) | Link::Relay { .. }, Some(upstream)) => upstream.before(kit.policy.upstream_margin),
            (Link::Own | Link::Received | Link::Forward(_) | Link::Relay { .. }, _) => own(),
        }
    }
}
