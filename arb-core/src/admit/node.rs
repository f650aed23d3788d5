//! What the node and its operator say of a channel (R14).
//!
//! Tests: `arb-harness/lab/tests/court_suite/bad_input.rs`.

use crate::admit::admission::{Admission, NotTold, channel, htlc, is_over};
use crate::api::event::{Acknowledged, ClosingSigned, PeerState};
use crate::api::facts::Link;
use crate::api::ids::{ChannelId, HtlcKey};
use crate::api::outcome::Upstream;
use crate::api::reject::Rejected;
use crate::bolt3::Preimage;
use crate::channel::Reading;
use crate::court::draft::CourtView;

/// The closing transactions that are kept of one channel (A28): a negotiation has a few, and replacements a few more.
const CLOSINGS_MAX: usize = 1_000;

pub(super) fn signals(court: CourtView<'_>, id: &ChannelId, short_channel_id: u64) -> Result<Admission, Rejected> {
    Ok(Admission::new_if(channel(court, id)?.short_channel_id != Some(short_channel_id)))
}

pub(super) fn given_up(court: CourtView<'_>, key: &HtlcKey) -> Result<Admission, Rejected> {
    if is_over(court, key) {
        return Ok(Admission::Past);
    }
    let (channel, _) = htlc(court, key)?;
    if key.htlc.is_offered() {
        return Err(Rejected::BadHtlc { htlc: key.htlc, why: "only a received HTLC can be given up" });
    }
    Ok(Admission::new_if(!channel.ratchet.given_up.contains(&key.htlc)))
}

pub(super) fn peer_state(court: CourtView<'_>, id: &ChannelId, peer: &PeerState) -> Result<Admission, Rejected> {
    let channel = channel(court, id)?;
    let claim = Some((peer.next_commitment_number, peer.next_revocation_number));
    Ok(Admission::new_if(match channel.reads(peer) {
        Reading::Newer => !channel.ratchet.outdated,
        Reading::Claim => claim > channel.ratchet.claimed && !channel.ratchet.outdated,
        Reading::Current => court.state().suspects(channel),
        Reading::Nothing => false,
    }))
}

/// Of a forgotten channel there is something to close once a funding is known to be confirmed (I17).
pub(super) fn close_requested(court: CourtView<'_>, id: &ChannelId) -> Result<Admission, Rejected> {
    let channel = channel(court, id)?;
    let is_new = channel.ratchet.close_requested.is_none();
    let has_close = channel.is_funded() && channel.set.local.is_some() || !channel.chain.kept.is_empty();
    if is_new && channel.ratchet.forgotten && !has_close {
        return Err(Rejected::NothingToClose(*id));
    }
    Ok(Admission::new_if(is_new))
}

pub(super) fn forgotten(court: CourtView<'_>, id: &ChannelId) -> Result<Admission, Rejected> {
    let channel = channel(court, id)?;
    // An unconfirmed funding may still confirm, so a balance of ours counts also then (A33).
    let held = channel.ratchet.held_htlc || channel.holds_ours() || !channel.chain.kept.is_empty();
    if held || (channel.ratchet.frozen.is_some() && !channel.ratchet.forgotten) {
        return Err(Rejected::CannotForget(*id));
    }
    let state = court.state();
    if channel.ratchet.forgotten {
        Ok(Admission::Duplicate)
    } else if state.is_caught_up() && state.is_told(channel) && channel.is_searched() {
        Ok(Admission::New)
    } else {
        Err(Rejected::ForgottenTooSoon(*id))
    }
}

/// The node's word that no funding can confirm any more (A19). The chain must not say otherwise, and must have been asked: what a
/// confirmed funding holds is never forgotten.
pub(super) fn never_funded(court: CourtView<'_>, id: &ChannelId) -> Result<Admission, Rejected> {
    let channel = channel(court, id)?;
    if channel.is_funded() || !channel.chain.kept.is_empty() {
        return Err(Rejected::CannotForget(*id));
    }
    if channel.ratchet.never_funded {
        return Ok(Admission::Duplicate);
    }
    // That none is confirmed follows from absence (R11).
    if !channel.is_searched() || !court.state().is_caught_up() {
        return Err(Rejected::ForgottenTooSoon(*id));
    }
    Ok(Admission::New)
}

pub(super) fn closing(court: CourtView<'_>, closing: &ClosingSigned) -> Result<Admission, Rejected> {
    let channel = channel(court, &closing.channel)?;
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
    let known = channel.ratchet.closings.contains_key(&closing.tx.compute_txid());
    let pending = channel.set.all().flat_map(|(_, commitment)| &commitment.htlcs).next();
    if let (Some(htlc), false) = (pending, known) {
        return Err(Rejected::HtlcPending(*htlc));
    }
    let got = channel.ratchet.closings.len();
    if !known && got >= CLOSINGS_MAX {
        return Err(Rejected::TooMany { what: "closing transactions", got, max: CLOSINGS_MAX });
    }
    Ok(Admission::new_if(!known))
}

/// HTLCs that are over are ignored. For one that its channel, which joins, has not told yet, the preimage is kept (A15). Any other
/// unknown one refuses the event by name.
pub(super) fn preimage_learned(
    court: CourtView<'_>,
    preimage: &Preimage,
    usable_for: &[HtlcKey],
) -> Result<Admission, Rejected> {
    let (mut new, mut known, mut over, mut unknown) = (false, false, false, None);
    let mut not_told = NotTold::default();
    for key in usable_for {
        match htlc(court, key) {
            Ok((channel, state)) if state.htlc.payment_hash == preimage.hash() => {
                known = true;
                new |= channel.usable(key.htlc).is_none();
            }
            Ok(_) => return Err(Rejected::WrongPreimage(*key)),
            Err(_) if is_over(court, key) => over = true,
            Err(why) => match not_told.keeps(court, key) {
                Some(channel) => {
                    known = true;
                    new |= channel.told_early(key.htlc).preimage != Some(*preimage);
                }
                None => unknown = Some(why),
            },
        }
    }
    match unknown {
        Some(why) => Err(why),
        None if over && !known => Ok(Admission::Past),
        None => Ok(Admission::new_if(new)),
    }
}

pub(super) fn acknowledged(court: CourtView<'_>, key: &HtlcKey, outcome: Acknowledged) -> Result<Admission, Rejected> {
    if is_over(court, key) {
        return Ok(Admission::Past);
    }
    let (channel, state) = htlc(court, key)?;
    let released = channel.ratchet.released.get(&key.htlc).ok_or(Rejected::NoSuchOutcome(*key))?;
    match (released.outcome, released.acknowledged, outcome) {
        (_, Some(before), now) if before == now => Ok(Admission::Duplicate),
        // Another HTLC with the same upstream HTLC, which the court does not know any more, may have paid for it (A9).
        (Upstream::Failed(_), None, Acknowledged::Settled) if state.htlc.link != Link::Own => Ok(Admission::New),
        (Upstream::Settled(_), None, Acknowledged::Settled)
        // The node may have failed the upstream HTLC before the settlement that overrides the failure reached it.
        | (Upstream::Failed(_) | Upstream::Settled(_), None, Acknowledged::Failed) => Ok(Admission::New),
        (Upstream::Failed(_), None, Acknowledged::Settled) | (_, Some(_), _) => Err(Rejected::NoSuchOutcome(*key)),
    }
}
