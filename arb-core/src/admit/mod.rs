//! Admission (R1, R14): every refusal, before anything changes. An admitted event is applied and judged; a refused one leaves
//! the step as it was.
//!
//! Admission reads the court and the step's draft and changes nothing. Signatures are checked in [`crate::check`].
//!
//! Tests: `arb-harness/lab/tests/court_suite/bad_input.rs`, `arb-harness/lab/tests/court_suite/duplicates.rs`.

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
use crate::court::draft::CourtView;

/// Whether an event may be heard.
pub(crate) fn admit(court: CourtView<'_>, event: &Event) -> Result<Admission, Rejected> {
    if court.state().identity.is_none() && !matches!(event, Event::JournalOpened(_)) {
        return Err(Rejected::JournalNotOpened);
    }
    match of_event(court, event) {
        // Whatever the node tells again of a resolved channel is over (A52). What a person asks for it is refused.
        Err(Rejected::UnknownChannel(id)) if is_retold(event) && court.tombstone(&id).is_some() => Ok(Admission::Past),
        admitted => admitted,
    }
}

/// Whether a node tells this again at every start.
const fn is_retold(event: &Event) -> bool {
    matches!(
        event,
        Event::LocalCommitmentSigned(_)
            | Event::LocalCommitmentSignedAgain(_)
            | Event::RemoteCommitmentSigned(_)
            | Event::RemoteRevoked(_)
            | Event::ChannelSignals { .. }
            | Event::PeerStateSeen { .. }
            | Event::ClosingSigned(_)
            | Event::AdoptionComplete { .. }
    )
}

fn of_event(court: CourtView<'_>, event: &Event) -> Result<Admission, Rejected> {
    match event {
        Event::JournalOpened(identity) => opening::identity(court, identity),
        Event::PolicySet(policy) => opening::policy(court, policy),
        Event::ChannelPolicySet { channel, policy } => opening::channel_policy(court, channel, policy.as_deref()),
        Event::Started(started) => opening::started(court, started),
        Event::ChannelOpened(opened) => opening::opened(court, opened),
        Event::ChannelRestored(facts) => opening::restored(court, facts),
        Event::ChannelSignals { channel, short_channel_id } => node::signals(court, channel, *short_channel_id),
        Event::LocalCommitmentSigned(heard) => commitments::local(court, heard, false),
        Event::LocalCommitmentSignedAgain(heard) => commitments::local(court, heard, true),
        Event::RemoteCommitmentSigned(heard) => commitments::remote(court, heard),
        Event::RemoteRevoked(heard) => commitments::revoked(court, heard),
        Event::PreimageLearned { preimage, usable_for } => node::preimage_learned(court, preimage, usable_for),
        Event::HtlcGivenUp { htlc } => node::given_up(court, htlc),
        Event::UpstreamAcknowledged { htlc, outcome } => node::acknowledged(court, htlc, *outcome),
        Event::PeerStateSeen { channel, peer } => node::peer_state(court, channel, peer),
        Event::CloseRequested { channel, .. } => node::close_requested(court, channel),
        Event::ClosingSigned(closing) => node::closing(court, closing),
        Event::ChannelForgotten { channel } => node::forgotten(court, channel),
        Event::BlockConnected(block) => chain::connected(court, block),
        Event::BlockDisconnected(block) => chain::disconnected(court, block),
        Event::Scanned(scanned) => chain::scanned(court, scanned, true),
        Event::ScannedPart(part) => chain::scanned(court, part, false),
        Event::MempoolSeen { tx } => Ok(chain::mempool(court, tx)),
        Event::FeesEstimated(fees) => chain::fees(court, fees),
        Event::BroadcastAnswered { channel, txid, answer } => answers::broadcast(court, channel, txid, *answer),
        Event::Signed(signed) => answers::signed(court, signed),
        Event::SigningRefused { channel, request, why } => {
            text("reason", why)?;
            answers::signing_refused(court, channel, request)
        }
        Event::ScriptsOffered { channel, request, script } => answers::scripts(court, channel, request, script),
        Event::FeeInputsOffered(offered) => answers::fee_inputs(court, offered),
        Event::FeeInputsRefused { channel, request, missing_sat } => {
            answers::fee_inputs_refused(court, channel, request, *missing_sat)
        }
        Event::BumpRequested { channel, outpoint, bump } => answers::bump(court, channel, *outpoint, bump),
        Event::ClaimAbandoned { channel, outpoint } => answers::abandoned(court, channel, outpoint),
        Event::RevokedLoaded { channel, number, candidates } => revoked::loaded(court, channel, *number, candidates),
        Event::NeverFunded { channel } => node::never_funded(court, channel),
        Event::PointLoaded { channel, number, point } => revoked::point_loaded(court, channel, *number, *point),
        Event::Performed { channel, id } => Ok(answers::performed(court, channel, id)),
        Event::ChannelAdoptedAnew { channel, standing } => opening::adopted_anew(court, channel, standing),
        Event::AdoptionComplete { channel, committed } => opening::adopted(court, channel.as_ref(), committed),
        // The action stays due, so there is nothing to keep.
        Event::Failed { why, .. } => text("reason", why).map(|()| Admission::Duplicate),
    }
}
