//! Admission (R1): every refusal, first. What passes is applied and judged; what does not leaves the step as it was.
//!
//! Pure: reads the court and the step's draft, changes nothing. Signatures are checked in [`crate::check`].

pub(crate) mod admission;
mod answers;
mod chain;
mod commitments;
mod opening;
mod revoked;

use crate::admit::admission::{Admission, channel, htlc, text};
use crate::api::event::{Acknowledged, ClosingSigned, Event, Freshness, PeerState};
use crate::api::ids::{HtlcKey, HtlcRef};
use crate::api::outcome::Upstream;
use crate::api::reject::Rejected;
use crate::bolt3::Preimage;
use crate::court::draft::View;

/// Whether an event may be heard.
pub(crate) fn admit(view: View<'_>, event: &Event) -> Result<Admission, Rejected> {
    if let Event::Genesis(genesis) = event {
        return opening::genesis(view, genesis);
    }
    if view.court().genesis.is_none() {
        return Err(Rejected::NoGenesis);
    }
    match event {
        Event::Genesis(_) => Err(Rejected::OtherGenesis),
        Event::PolicySet(policy) if !policy.is_sound() => Err(Rejected::UnsoundPolicy),
        Event::PolicySet(policy) => Ok(Admission::new_if(view.court().policy != *policy)),
        Event::Started(started) => {
            text("build", &started.build)?;
            // What blocks said about the best height since is as good as the start's own word.
            let court = view.court();
            let same = court.started.as_ref().is_some_and(|known| {
                // A suspicion is news every time: what cleared the last one may be what was lost.
                known.build == started.build
                    && started.freshness == Freshness::Trusted
                    && known.freshness == started.freshness
            });
            Ok(Admission::new_if(!same || started.best_height > court.best_height))
        }
        Event::ChannelOpened(opened) => opening::opened(view, opened),
        Event::ChannelRestored(facts) => opening::restored(view, facts),
        Event::LocalCommitmentSigned(heard) => commitments::local(view, heard),
        Event::RemoteCommitmentSigned(heard) => commitments::remote(view, heard),
        Event::RemoteRevoked(heard) => commitments::revoked(view, heard),
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
        Event::Performed { channel, id } => {
            // A resolved channel is gone once that was performed: said again, it is no news.
            let known = view.index_of(channel).and_then(|index| view.channel(index));
            Ok(Admission::new_if(known.is_some_and(|channel| channel.outbox.contains_key(id))))
        }
        // It stays due: nothing to keep.
        Event::Failed { why, .. } => text("reason", why).map(|()| Admission::Duplicate),
        Event::ChannelSignals { .. }
        | Event::PreimageLearned { .. }
        | Event::HtlcGivenUp { .. }
        | Event::UpstreamAcknowledged { .. }
        | Event::PeerStateSeen { .. }
        | Event::CloseRequested { .. }
        | Event::ClosingSigned(_)
        | Event::ChannelForgotten { .. } => of_channel(view, event),
        Event::BumpRequested { channel, outpoint, bump } => answers::bump(view, channel, *outpoint, bump),
        Event::RevokedLoaded { channel, number, candidates } => revoked::loaded(view, channel, *number, candidates),
    }
}

/// The events about one channel that need little more than the channel.
fn of_channel(view: View<'_>, event: &Event) -> Result<Admission, Rejected> {
    match event {
        Event::ChannelSignals { channel: id, short_channel_id } => {
            Ok(Admission::new_if(channel(view, id)?.short_channel_id != Some(*short_channel_id)))
        }
        Event::PreimageLearned { preimage, usable_for } => preimage_learned(view, preimage, usable_for),
        Event::HtlcGivenUp { htlc: key } => {
            let (channel, _) = htlc(view, key)?;
            let received = !key.htlc.is_offered();
            if received {
                Ok(Admission::new_if(!channel.ratchet.given_up.contains(&key.htlc)))
            } else {
                Err(not_received(key.htlc))
            }
        }
        Event::UpstreamAcknowledged { htlc: key, outcome } => acknowledged(view, key, *outcome),
        Event::PeerStateSeen { channel: id, peer } => {
            let channel = channel(view, id)?;
            Ok(Admission::new_if(match peer {
                PeerState::WeAreBehind => !channel.ratchet.outdated,
                PeerState::Current => view.court().suspects(channel),
            }))
        }
        Event::CloseRequested { channel: id, .. } => {
            Ok(Admission::new_if(channel(view, id)?.ratchet.close_requested.is_none()))
        }
        Event::ClosingSigned(closing) => self::closing(view, closing),
        Event::ChannelForgotten { channel: id } => {
            let channel = channel(view, id)?;
            let held = channel.ratchet.held_htlc || !channel.chain.kept.is_empty();
            if held || (channel.ratchet.frozen.is_some() && !channel.ratchet.forgotten) {
                return Err(Rejected::CannotForget(*id));
            }
            Ok(Admission::new_if(!channel.ratchet.forgotten))
        }
        Event::BumpRequested { .. }
        | Event::RevokedLoaded { .. }
        | Event::Genesis(_)
        | Event::PolicySet(_)
        | Event::Started(_)
        | Event::ChannelOpened(_)
        | Event::ChannelRestored(_)
        | Event::LocalCommitmentSigned(_)
        | Event::RemoteCommitmentSigned(_)
        | Event::RemoteRevoked(_)
        | Event::BlockConnected(_)
        | Event::BlockDisconnected(_)
        | Event::Scanned(_)
        | Event::MempoolSeen { .. }
        | Event::FeesEstimated(_)
        | Event::BroadcastAnswered { .. }
        | Event::Signed(_)
        | Event::SigningRefused { .. }
        | Event::ScriptsOffered { .. }
        | Event::FeeInputsOffered(_)
        | Event::FeeInputsRefused { .. }
        | Event::Performed { .. }
        | Event::Failed { .. } => Ok(Admission::Duplicate),
    }
}

fn closing(view: View<'_>, closing: &ClosingSigned) -> Result<Admission, Rejected> {
    let channel = channel(view, &closing.channel)?;
    let spends = channel
        .facts
        .fundings
        .iter()
        .any(|funding| closing.tx.input.iter().any(|input| input.previous_output == funding.outpoint));
    let outputs = closing.tx.output.len();
    let in_range = closing.local_output.is_none_or(|vout| usize::try_from(vout).is_ok_and(|vout| vout < outputs));
    if !spends || !in_range {
        return Err(Rejected::NotAClosing);
    }
    Ok(Admission::new_if(!channel.ratchet.closings.contains_key(&closing.tx.compute_txid())))
}

/// HTLCs that are over by now do not keep the preimage from the others.
fn preimage_learned(view: View<'_>, preimage: &Preimage, usable_for: &[HtlcKey]) -> Result<Admission, Rejected> {
    let (mut new, mut known, mut unknown) = (false, false, None);
    for key in usable_for {
        match htlc(view, key) {
            Ok((channel, state)) if state.htlc.payment_hash == preimage.hash() => {
                known = true;
                new |= channel.usable(key.htlc).is_none();
            }
            Ok(_) => return Err(Rejected::WrongPreimage(*key)),
            Err(why) => unknown = Some(why),
        }
    }
    match unknown {
        Some(why) if !known => Err(why),
        Some(_) | None => Ok(Admission::new_if(new)),
    }
}

fn acknowledged(view: View<'_>, key: &HtlcKey, outcome: Acknowledged) -> Result<Admission, Rejected> {
    let (channel, _) = htlc(view, key)?;
    let released = channel.ratchet.released.get(&key.htlc).ok_or(Rejected::NoSuchOutcome(*key))?;
    match (released.outcome, released.acknowledged, outcome) {
        (_, Some(before), now) if before == now => Ok(Admission::Duplicate),
        (Upstream::Settled(_), None, Acknowledged::Settled)
        // The node may have failed the origin while the settlement that overrides it was on its way.
        | (Upstream::Failed(_) | Upstream::Settled(_), None, Acknowledged::Failed) => Ok(Admission::New),
        (Upstream::Failed(_), None, Acknowledged::Settled) | (_, Some(_), _) => Err(Rejected::NoSuchOutcome(*key)),
    }
}

fn not_received(htlc: HtlcRef) -> Rejected {
    Rejected::BadHtlc { htlc, why: "only a received HTLC is given up" }
}
