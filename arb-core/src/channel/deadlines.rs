//! Every height that the policy names for an HTLC: going to chain, giving up, forgetting, and claiming.

use crate::api::facts::Link;
use crate::api::ids::HtlcRef;
use crate::api::policy::Policy;
use crate::api::units::Height;
use crate::channel::state::{ChannelArbitrator, HtlcState};

/// The tip height at which this HTLC asks for the chain; `None` while it does not.
pub(crate) fn chain_height(state: &HtlcState, usable: bool, policy: &Policy) -> Option<Height> {
    let expiry = state.htlc.cltv_expiry;
    match state.htlc.link {
        Link::Own => Some(expiry.after(policy.own_grace)),
        Link::Forward(_) | Link::Relay { .. } => Some(expiry.after(policy.outgoing_grace)),
        Link::Received => (usable && state.irrevocable).then(|| expiry.before(policy.incoming_margin)),
    }
}

/// The tip height at which an unresolved HTLC's origin is given up to save the upstream.
pub(crate) fn give_up_height(state: &HtlcState, policy: &Policy) -> Option<Height> {
    state.upstream_expiry.map(|expiry| expiry.before(policy.upstream_giveup))
}

/// The tip height at which waiting for an HTLC that we sent ends.
pub(crate) fn forget_height(state: &HtlcState, policy: &Policy) -> Height {
    let expiry = state.htlc.cltv_expiry;
    state.upstream_expiry.map_or(expiry, |upstream| upstream.max(expiry)).after(policy.irrevocable_depth)
}

/// Until when a claim of this HTLC has to be confirmed; `None` where there is nothing to claim in time. `confirmed` is the
/// block of the commitment, or the tip while it is unconfirmed.
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
        // Its origin is settled whoever gets the output.
        return None;
    }
    Some(outgoing_deadline(state, confirmed, policy))
}

/// Until when an HTLC that we sent has to be claimed: the upstream's expiry less a margin (B34, B50, D2). An own payment's
/// is the same whoever closed when, so that it does not tell the origin.
pub(crate) fn outgoing_deadline(state: &HtlcState, confirmed: Height, policy: &Policy) -> Height {
    match (state.htlc.link, state.upstream_expiry) {
        (Link::Forward(_) | Link::Relay { .. }, Some(upstream)) => upstream.before(policy.upstream_margin),
        (Link::Own | Link::Received | Link::Forward(_) | Link::Relay { .. }, _) => {
            state.htlc.cltv_expiry.max(confirmed).after(policy.own_delta)
        }
    }
}
