//! Admission (R1): every refusal, first. What passes is applied and judged; what does not leaves the step as it was.
//!
//! Pure: reads the court and the step's draft, changes nothing. Signatures are checked in [`crate::check`].

pub(crate) mod admission;
mod answers;
mod chain;
mod commitments;
mod node;
mod opening;
mod revoked;

use crate::admit::admission::{Admission, text};
use crate::api::event::Event;
use crate::api::reject::Rejected;
use crate::court::draft::View;

/// Whether an event may be heard.
pub(crate) fn admit(view: View<'_>, event: &Event) -> Result<Admission, Rejected> {
    if view.court().genesis.is_none() && !matches!(event, Event::Genesis(_)) {
        return Err(Rejected::NoGenesis);
    }
    match event {
        Event::Genesis(genesis) => opening::genesis(view, genesis),
        Event::PolicySet(policy) => opening::policy(view, policy),
        Event::Started(started) => opening::started(view, started),
        Event::ChannelOpened(opened) => opening::opened(view, opened),
        Event::ChannelRestored(facts) => opening::restored(view, facts),
        Event::ChannelSignals { channel, short_channel_id } => node::signals(view, channel, *short_channel_id),
        Event::LocalCommitmentSigned(heard) => commitments::local(view, heard),
        Event::RemoteCommitmentSigned(heard) => commitments::remote(view, heard),
        Event::RemoteRevoked(heard) => commitments::revoked(view, heard),
        Event::PreimageLearned { preimage, usable_for } => node::preimage_learned(view, preimage, usable_for),
        Event::HtlcGivenUp { htlc } => node::given_up(view, htlc),
        Event::UpstreamAcknowledged { htlc, outcome } => node::acknowledged(view, htlc, *outcome),
        Event::PeerStateSeen { channel, peer } => node::peer_state(view, channel, *peer),
        Event::CloseRequested { channel, .. } => node::close_requested(view, channel),
        Event::ClosingSigned(closing) => node::closing(view, closing),
        Event::ChannelForgotten { channel } => node::forgotten(view, channel),
        Event::BlockConnected(block) => chain::connected(view, block),
        Event::BlockDisconnected(block) => chain::disconnected(view, block),
        Event::Scanned(scanned) => chain::scanned(view, scanned),
        Event::MempoolSeen { tx } => Ok(chain::mempool(view, tx)),
        Event::FeesEstimated(fees) => chain::fees(view, fees),
        Event::BroadcastAnswered { channel, txid, answer } => answers::broadcast(view, channel, txid, *answer),
        Event::Signed(signed) => answers::signed(view, signed),
        Event::SigningRefused { channel, request, why } => {
            text("reason", why)?;
            answers::signing_refused(view, channel, request)
        }
        Event::ScriptsOffered { channel, request, script } => answers::scripts(view, channel, request, script),
        Event::FeeInputsOffered(offered) => answers::fee_inputs(view, offered),
        Event::FeeInputsRefused { channel, request, missing_sat } => {
            answers::fee_inputs_refused(view, channel, request, *missing_sat)
        }
        Event::BumpRequested { channel, outpoint, bump } => answers::bump(view, channel, *outpoint, bump),
        Event::RevokedLoaded { channel, number, candidates } => revoked::loaded(view, channel, *number, candidates),
        Event::Performed { channel, id } => Ok(answers::performed(view, channel, id)),
        // It stays due: nothing to keep.
        Event::Failed { why, .. } => text("reason", why).map(|()| Admission::Duplicate),
    }
}
