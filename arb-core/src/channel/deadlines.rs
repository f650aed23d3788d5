//! Every height that the policy sets for an HTLC: going to chain, giving up, forgetting, and claiming.
//!
//! Tests: `arb-harness/lab/tests/court_suite/going_to_chain.rs`, `arb-harness/lab/tests/court_suite/outcomes.rs`.

use crate::api::facts::Link;
use crate::api::ids::HtlcRef;
use crate::api::policy::Policy;
use crate::api::units::{Blocks, Height};
use crate::channel::state::{ChannelArbitrator, HtlcState};

/// The tip height from which this HTLC calls for going to chain; `None` for a received one that we could not claim there.
pub(crate) fn chain_height(state: &HtlcState, usable: bool, policy: &Policy) -> Option<Height> {
    let expiry = state.htlc.cltv_expiry;
    match state.htlc.link {
        Link::Own => Some(expiry.after(policy.own_grace)),
        Link::Forward(_) | Link::Relay { .. } => Some(expiry.after(policy.outgoing_grace)),
        Link::Received => (usable && state.irrevocable).then(|| expiry.before(policy.incoming_margin)),
    }
}

/// The tip height at which the upstream HTLC of an unresolved HTLC is failed to save the upstream channel; `None` if the
/// court knows no upstream expiry.
pub(crate) fn give_up_height(state: &HtlcState, policy: &Policy) -> Option<Height> {
    state.upstream_expiry.map(|expiry| expiry.before(policy.upstream_giveup))
}

/// The tip height at which we stop waiting for an HTLC that we sent: `irrevocable_depth` past the later of its expiry and its
/// upstream's.
pub(crate) fn forget_height(state: &HtlcState, policy: &Policy) -> Height {
    let expiry = state.htlc.cltv_expiry;
    state.upstream_expiry.map_or(expiry, |upstream| upstream.max(expiry)).after(policy.irrevocable_depth)
}

/// The tip height until which a failure of an upstream HTLC waits while the node has not told every channel: another HTLC that we
/// sent for it may be told (A9). `None` for an HTLC that shares its upstream HTLC with none.
pub(crate) fn untold_until(state: &HtlcState, policy: &Policy) -> Option<Height> {
    let is_forward = matches!(state.htlc.link, Link::Forward(_));
    is_forward.then(|| give_up_height(state, policy).unwrap_or_else(|| forget_height(state, policy)))
}

/// The fewest blocks that are kept for the second stage.
pub(crate) const SECOND_STAGE_MIN: Blocks = Blocks::new(6);

/// How many blocks our commitment waits for one of the counterparty's to confirm.
pub(crate) const THEIRS_FIRST: Blocks = Blocks::new(6);

/// The tip height until which ours waits for a commitment of theirs that was first seen at `since`: [`THEIRS_FIRST`] blocks,
/// but at most half of those to the nearest deadline, less the time for the second stage of claims on ours.
pub(crate) fn theirs_first_until(since: Height, deadline: Option<Height>) -> Height {
    let half = |deadline: Height| deadline.since(since).unwrap_or_default().get().checked_div(2).unwrap_or(0);
    let most = deadline.map_or(u32::MAX, |deadline| half(deadline).saturating_sub(SECOND_STAGE_MIN.get()));
    since.after(THEIRS_FIRST.min(Blocks::new(most)))
}

/// The last block in which a claim of this HTLC should confirm; `None` if nothing is to be claimed in time. `confirmed` is
/// the block of the commitment, or the tip while it is unconfirmed.
pub(crate) fn claim_deadline(
    channel: &ChannelArbitrator,
    htlc: HtlcRef,
    confirmed: Height,
    policy: &Policy,
) -> Option<Height> {
    let state = channel.htlcs.get(&htlc)?;
    let usable = channel.usable(htlc).is_some();
    if !htlc.is_offered() {
        return (usable && state.irrevocable).then_some(state.htlc.cltv_expiry);
    }
    if usable {
        // The upstream HTLC is settled with the preimage, whichever side gets this output.
        return None;
    }
    Some(outgoing_deadline(state, confirmed, policy))
}

/// The same while no commitment is confirmed, for those who are told that none is: a height that does not move with the tip, so
/// that they are told once.
pub(crate) fn told_deadline(channel: &ChannelArbitrator, htlc: HtlcRef, policy: &Policy) -> Option<Height> {
    claim_deadline(channel, htlc, Height::new(0), policy)
}

/// The last block in which a claim of an HTLC that we sent should confirm: the upstream expiry less a margin (B34, B50, D2).
/// Without a known upstream it is `own_delta` past the later of its expiry and `confirmed`: about where a forward's would be,
/// so that the deadline does not show that the payment is our own.
pub(crate) fn outgoing_deadline(state: &HtlcState, confirmed: Height, policy: &Policy) -> Height {
    match (state.htlc.link, state.upstream_expiry) {
        (Link::Forward(_) | Link::Relay { .. }, Some(upstream)) => upstream.before(policy.upstream_margin),
        (Link::Own | Link::Received | Link::Forward(_) | Link::Relay { .. }, _) => {
            state.htlc.cltv_expiry.max(confirmed).after(policy.own_delta)
        }
    }
}
