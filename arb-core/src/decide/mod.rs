//! Judgement (R1): what follows from the state, one file for each subject, asked again until nothing more follows.
//!
//! Nothing here can fail or change anything: every function reads a [`CourtView`] of the court and the step's draft, and
//! returns conclusions, which `apply` then carries out.
//!
//! Tests: `arb-harness/lab/tests/court_suite/properties.rs`, `arb-log/tests/earlier_journals.rs`.

pub(crate) mod bench;
mod going_to_chain;
mod notices;
pub(crate) mod sheet;
mod silence;
mod sweeps;
mod upstream;

use crate::api::event::{Acknowledged, CommitmentUpdate, Event};
use crate::api::facts::{Htlc, Link};
use crate::api::ids::{ChannelIndex, HtlcKey, HtlcRef};
use crate::api::notice::{Alert, Notice};
use crate::api::record::{Conclusion, Record};
use crate::bolt3::{Preimage, revealed_by};
use crate::channel::HtlcState;
use crate::court::draft::CourtView;
use crate::court::early::ToKeep;
use crate::decide::bench::{Bench, upstream_of};
use crate::view::ChannelView;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use bitcoin::Transaction;

/// What follows for one channel as it stands now. The step applies it and asks again until nothing follows.
pub(crate) fn judge(court: CourtView<'_>, index: ChannelIndex) -> Vec<Record> {
    let Some(view) = court.channel_view(index) else { return Vec::new() };
    let state = court.state();
    let bench = Bench { court, caught_up: state.is_caught_up(), told: state.is_told(view.channel) };
    let mut out = Vec::new();
    link_upstream(&bench, &view, &mut out);
    going_to_chain::freezes(&bench, &view, &mut out);
    upstream::outcomes(&bench, &view, &mut out);
    sweeps::plans(&bench, &view, &mut out);
    silence::alerts(&bench, &view, &mut out);
    notices::notices(&bench, &view, &mut out);
    let own = out.into_iter().map(|what| Record { channel: index, what });
    own.chain(upstream_over(&bench, &view)).collect()
}

/// What follows from an event itself, also for channels that it does not name, before any channel is judged.
pub(crate) fn consequences(court: CourtView<'_>, event: &Event) -> Vec<Record> {
    match event {
        Event::BlockConnected(block) => revealed(court, &block.txs, |tx| first_watcher(court, tx)),
        Event::MempoolSeen { tx } => revealed(court, [tx], |tx| first_watcher(court, tx)),
        Event::Scanned(scanned) | Event::ScannedPart(scanned) => {
            let channel = court.index_of(&scanned.channel);
            revealed(court, scanned.spends.iter().map(|spend| &spend.tx), |_| channel)
        }
        Event::PreimageLearned { preimage, usable_for } => paid_by_another(court, usable_for, *preimage),
        Event::LocalCommitmentSigned(heard) | Event::LocalCommitmentSignedAgain(heard) => linked(court, &heard.update),
        Event::RemoteCommitmentSigned(heard) => linked(court, &heard.update),
        Event::JournalOpened(_)
        | Event::PolicySet(_)
        | Event::Started(_)
        | Event::ChannelOpened(_)
        | Event::ChannelRestored(_)
        | Event::ChannelSignals { .. }
        | Event::RemoteRevoked(_)
        | Event::HtlcGivenUp { .. }
        | Event::UpstreamAcknowledged { .. }
        | Event::PeerStateSeen { .. }
        | Event::CloseRequested { .. }
        | Event::ClosingSigned(_)
        | Event::ChannelForgotten { .. }
        | Event::BumpRequested { .. }
        | Event::ClaimAbandoned { .. }
        | Event::ChannelPolicySet { .. }
        | Event::AdoptionComplete { .. }
        | Event::ChannelAdoptedAnew { .. }
        | Event::BlockDisconnected(_)
        | Event::FeesEstimated(_)
        | Event::BroadcastAnswered { .. }
        | Event::Signed(_)
        | Event::SigningRefused { .. }
        | Event::ScriptsOffered { .. }
        | Event::FeeInputsOffered(_)
        | Event::FeeInputsRefused { .. }
        | Event::RevokedLoaded { .. }
        | Event::PointLoaded { .. }
        | Event::NeverFunded { .. }
        | Event::Performed { .. }
        | Event::Failed { .. } => Vec::new(),
    }
}

/// Makes preimages that transactions reveal usable: for every HTLC that we sent with that hash, in any channel, and for its
/// upstream HTLC, and for nothing else (R8). While the node is still telling, one that fits no HTLC is kept in the channel that the
/// transaction concerns (A15).
fn revealed<'a>(
    court: CourtView<'_>,
    txs: impl IntoIterator<Item = &'a Transaction> + Clone,
    concerns: impl Fn(&Transaction) -> Option<ChannelIndex>,
) -> Vec<Record> {
    let preimages = revealed_by(txs.clone());
    if preimages.is_empty() {
        return Vec::new();
    }
    let early = court.early(txs.into_iter().filter_map(|tx| Some((concerns(tx)?, tx))));
    let early = early.into_iter().map(|ToKeep { channel, preimage, is_watched }| {
        let what = Conclusion::ShownEarly { preimage, is_watched };
        Record { channel, what }
    });
    let (mut out, mut concluded): (Vec<Record>, _) = (early.collect(), BTreeSet::new());
    for (hash, channel, htlc) in court.offered_with_any(&preimages.keys().copied().collect()) {
        let Some(preimage) = preimages.get(&hash).copied() else { continue };
        for (channel, htlc) in [Some((channel, htlc)), upstream_of(court, channel, htlc)].into_iter().flatten() {
            let known = court.channel(channel).is_none_or(|channel| channel.usable(htlc).is_some());
            if !known && concluded.insert((channel, htlc)) {
                out.push(Record { channel, what: Conclusion::PreimageUsable { htlc, preimage } });
            }
        }
    }
    out
}

/// The first channel that watches what a transaction spends.
fn first_watcher(court: CourtView<'_>, tx: &Transaction) -> Option<ChannelIndex> {
    court.spent_by(tx).first().copied()
}

/// Everything is told, so no HTLC will be told that a preimage was kept for (A15).
pub(crate) fn all_told(court: CourtView<'_>) -> Vec<Record> {
    let channels = court.early_kept().into_iter();
    channels.map(|channel| Record { channel, what: Conclusion::EarlyForgotten }).collect()
}

/// Upstream HTLCs that the node has failed with the last of the HTLCs that we sent for each: no preimage will be used for them any
/// more. While the node has not told every channel, another one may be told (A9).
fn upstream_over(bench: &Bench<'_>, view: &ChannelView<'_>) -> Vec<Record> {
    let court = bench.court;
    let mut out = Vec::new();
    let released = view.channel.ratchet.released.iter();
    for (sent, _) in released.filter(|(_, released)| released.acknowledged == Some(Acknowledged::Failed)) {
        let key = HtlcKey { channel: view.channel.facts.id, htlc: *sent };
        let upstream = court.index_of(&key.channel).and_then(|index| upstream_of(court, index, *sent));
        let is_new = |(channel, htlc): &(ChannelIndex, HtlcRef)| {
            court.channel(*channel).is_some_and(|channel| !channel.ratchet.given_up.contains(htlc))
        };
        let Some((channel, htlc)) = upstream.filter(is_new) else { continue };
        let until = view.channel.htlcs.get(sent).and_then(|state| bench.untold_until(view, state));
        let waits = until.is_some_and(|until| !bench.caught_up || view.tip < until);
        let may_be_paid =
            |(index, htlc): (ChannelIndex, HtlcRef)| court.channel(index).is_some_and(|of| !of.is_failed(htlc));
        let is_again =
            out.iter().any(|known: &Record| (known.channel, &known.what) == (channel, &Conclusion::GaveUp { htlc }));
        if !waits && !is_again && !others(court, &key).into_iter().any(may_be_paid) {
            out.push(Record { channel, what: Conclusion::GaveUp { htlc } });
        }
    }
    out
}

/// The other HTLCs that we sent for the upstream HTLC of this one (A9).
fn others(court: CourtView<'_>, key: &HtlcKey) -> Vec<(ChannelIndex, HtlcRef)> {
    let own = court.index_of(&key.channel);
    let state = own.and_then(|index| court.channel(index)).and_then(|channel| channel.htlcs.get(&key.htlc));
    let Some((own, state)) = own.zip(state) else { return Vec::new() };
    let link = state.htlc.link;
    let mut all =
        if matches!(link, Link::Forward(_)) { court.offered_with(&state.htlc.payment_hash) } else { Vec::new() };
    all.retain(|(index, htlc)| {
        let state = court.channel(*index).and_then(|channel| channel.htlcs.get(htlc));
        (*index, *htlc) != (own, key.htlc) && state.is_some_and(|state| state.htlc.link == link)
    });
    all
}

/// The upstream HTLC is settled with the first of its links, which may be gone when another one ends: so none of them fails it
/// any more, and a failure that the node has not carried out becomes a settlement (A9, R8).
fn paid_by_another(court: CourtView<'_>, keys: &[HtlcKey], preimage: Preimage) -> Vec<Record> {
    let others: BTreeSet<(ChannelIndex, HtlcRef)> = keys.iter().flat_map(|key| others(court, key)).collect();
    let new = others.into_iter().filter(|(channel, htlc)| {
        // Those that the event itself names know it already.
        court.channel(*channel).is_some_and(|channel| channel.usable(*htlc).is_none())
    });
    new.map(|(channel, htlc)| Record { channel, what: Conclusion::PreimageUsable { htlc, preimage } }).collect()
}

/// Links received HTLCs to HTLCs that we sent for them and that were heard before: channels are adopted in any order.
fn linked(court: CourtView<'_>, update: &CommitmentUpdate) -> Vec<Record> {
    let (mut out, mut shown) = (Vec::new(), BTreeSet::new());
    for received in update.added.iter().filter(|htlc| !htlc.key.is_offered()) {
        let key = HtlcKey { channel: update.channel, htlc: received.key };
        for (channel, htlc) in court.offered_with(&received.payment_hash) {
            let state = court.channel(channel).and_then(|channel| channel.htlcs.get(&htlc));
            let Some(state) = state.filter(|state| state.htlc.link == Link::Forward(key)) else { continue };
            if state.upstream_expiry.is_none() {
                let what = Conclusion::UpstreamLinked { htlc, expiry: received.cltv_expiry };
                out.push(Record { channel, what });
            }
            // A transaction showed its preimage before its channel told it (A15), or told it anew (A4).
            let known = court.channel(channel).and_then(|channel| channel.ratchet.usable.get(&htlc));
            let upstream = court.index_of(&update.channel);
            let is_new = |index| court.channel(index).is_some_and(|channel| channel.usable(received.key).is_none());
            if let (Some(known), Some(channel)) = (known.filter(|known| known.shown), upstream) {
                if is_new(channel) && shown.insert(received.key) {
                    let what = Conclusion::PreimageUsable { htlc: received.key, preimage: known.preimage };
                    out.push(Record { channel, what });
                }
            }
        }
    }
    for sent in update.added.iter().filter(|htlc| htlc.key.is_offered()) {
        out.extend(shown_before(court, update, sent));
        // The node told its preimage before it told the HTLC.
        let key = HtlcKey { channel: update.channel, htlc: sent.key };
        let known = court.channel_of(&update.channel).and_then(|channel| channel.usable(sent.key));
        out.extend(known.into_iter().flat_map(|preimage| paid_by_another(court, &[key], preimage)));
    }
    out
}

/// The preimage of an HTLC that we sent, and that is told only now, if it is known already: a transaction showed it to another
/// HTLC with its hash, in what is kept of the channel's close, or while nothing fitted it (A15), or it paid for the same upstream HTLC (A9).
fn shown_before(court: CourtView<'_>, update: &CommitmentUpdate, sent: &Htlc) -> Vec<Record> {
    let Some(own) = court.index_of(&update.channel) else { return Vec::new() };
    let Some(channel) = court.channel(own).filter(|channel| channel.usable(sent.key).is_none()) else {
        return Vec::new();
    };
    let hash = &sent.payment_hash;
    let of_twin = || {
        let is_split = |state: &HtlcState| matches!(sent.link, Link::Forward(_)) && state.htlc.link == sent.link;
        let twins = court.offered_with(hash).into_iter();
        let mut known = twins.filter_map(|(index, htlc)| {
            let channel = court.channel(index)?;
            let known = channel.ratchet.usable.get(&htlc)?;
            (known.shown || channel.htlcs.get(&htlc).is_some_and(is_split)).then_some(known.preimage)
        });
        known.next()
    };
    let shown = channel.kept_preimage(hash).or_else(of_twin).or_else(|| court.shown_early(hash));
    let Some(preimage) = shown else { return Vec::new() };
    let upstream = upstream_of(court, own, sent.key);
    let upstream =
        upstream.filter(|(index, htlc)| court.channel(*index).is_some_and(|channel| channel.usable(*htlc).is_none()));
    let all = [Some((own, sent.key)), upstream].into_iter().flatten();
    all.map(|(channel, htlc)| Record { channel, what: Conclusion::PreimageUsable { htlc, preimage } }).collect()
}

/// Links HTLCs that we sent to upstream HTLCs that are known by now. The node may have told a wrong one first (A49).
fn link_upstream(bench: &Bench<'_>, view: &ChannelView<'_>, out: &mut Vec<Conclusion>) {
    for (htlc, state) in &view.channel.htlcs {
        let (Link::Forward(key), None) = (state.htlc.link, state.upstream_expiry) else { continue };
        let upstream = bench.court.channel_of(&key.channel);
        let Some(upstream) = upstream.and_then(|upstream| upstream.htlcs.get(&key.htlc)) else { continue };
        if upstream.htlc.payment_hash == state.htlc.payment_hash {
            out.push(Conclusion::UpstreamLinked { htlc: *htlc, expiry: upstream.htlc.cltv_expiry });
        } else {
            let alert = Alert::UpstreamOfOtherHash { htlc: *htlc, amount_sat: state.htlc.amount_sat(), upstream: key };
            out.extend(view.channel.raise(Notice::Alert(alert)));
        }
    }
}
