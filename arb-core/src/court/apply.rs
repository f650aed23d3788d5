//! The only place where heard events and conclusions change a draft, and where a draft becomes the court (R1).
//!
//! Tests: `arb-harness/lab/tests/court_suite/log_order.rs`, `arb-harness/lab/tests/court_suite/properties.rs`.

use crate::api::event::{
    Block, ChannelOpened, CommitmentUpdate, Disconnected, Event, LocalCommitmentSigned, RemoteCommitmentSigned,
    Scanned, Signed,
};
use crate::api::facts::{ChannelFacts, Side, Standing};
use crate::api::ids::{ActionId, ChannelId, ChannelIndex, HtlcKey};
use crate::api::notice::Notice;
use crate::api::past::StoredCommitment;
use crate::api::record::{Conclusion, Record};
use crate::api::reject::Mismatch;
use crate::api::units::Height;
use crate::bolt3::CompactSig;
use crate::channel::{ChannelArbitrator, Shown, THEIRS_FIRST};
use crate::claims::sign::{commitment_signature, complete_sweep};
use crate::claims::wants::wants;
use crate::court::draft::{CourtView, Draft};
use crate::court::tombstone::Tombstone;
use crate::court::{ChainArbitrator, Slot};
use crate::view::explain::Explained;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{OutPoint, Transaction, Txid};

/// What [`crate::check`] verified of an event and built on the way, so that it is done once.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// The event has nothing to verify, or it is folded from the log: it was verified when it was heard.
    Nothing,
    /// The signer's answer completes the transaction of this group.
    Sweep { group: u32, tx: Transaction },
    /// Our signature for our commitment that spends this funding output.
    Commitment { funding: OutPoint, signature: CompactSig },
}

impl Draft {
    /// The draft's copy of a channel, made at the first touch. `None` if there is no such channel, or if its row came from
    /// a checkpoint that is newer than this frame.
    fn touch(&mut self, base: &ChainArbitrator, index: ChannelIndex) -> Option<&mut ChannelArbitrator> {
        let caught_up = self.state.is_caught_up();
        if let alloc::collections::btree_map::Entry::Vacant(vacant) = self.channels.entry(index) {
            let slot = base.slot(index).filter(|slot| slot.channel.changed_at < self.state.sequence)?;
            vacant.insert(Some(slot.clone()));
        }
        let slot = self.channels.get_mut(&index)?.as_mut()?;
        if !self.touched.contains_key(&index) {
            let before = if self.explains && !slot.channel.chain.kept.is_empty() {
                Explained::of(&slot.view_as_judged(&self.policy_before))
            } else {
                Explained::default()
            };
            self.touched.insert(index, before);
        }
        // The caller may change the channel, so what was derived from it is dropped.
        slot.derived = None;
        let channel = &mut slot.channel;
        let told = self.state.is_told(channel);
        channel.touched(self.state.tip.height, caught_up, told);
        Some(channel)
    }

    /// Applies a heard event. Returns what the log keeps of it: a block is reduced to the transactions that concern a channel.
    #[expect(clippy::too_many_lines, reason = "one match over every event: an arm cannot be forgotten")]
    pub(crate) fn apply_heard(&mut self, base: &ChainArbitrator, event: &Event, proof: Proof) -> Event {
        match event {
            Event::BlockConnected(block) => return self.connect(base, block),
            Event::BlockDisconnected(block) => self.disconnect(base, block),
            Event::JournalOpened(identity) => {
                self.state.begin_at(identity.tip);
                self.state.policy = identity.policy.clone();
                self.state.identity = Some(identity.clone());
            }
            Event::PolicySet(policy) => {
                self.state.policy = policy.clone();
                // Every deadline may have moved, so every channel is judged again. Only an operator does this, and rarely.
                let all: BTreeSet<_> =
                    base.channels().map(|(index, _)| index).chain(self.channels.keys().copied()).collect();
                self.touch_all(base, all);
            }
            Event::ChannelPolicySet { channel, policy } => {
                self.with(base, channel, |channel| channel.hear_policy(policy.as_deref()));
            }
            Event::Started(started) => {
                let best = self.state.best_height;
                self.state.hear_started(started);
                self.wake_deferred(base);
                self.wake_behind(base, best);
            }
            Event::FeesEstimated(fees) => {
                self.state.hear_fees(fees);
                let wanting = self.undrafted(base.indexes.uneconomic());
                let drafted = self.drafted(|slot| slot.channel.waits_for_fees());
                self.touch_all(base, wanting.into_iter().chain(drafted));
            }
            Event::ChannelOpened(opened) => {
                let ChannelOpened { facts, standing } = (**opened).clone();
                self.open(base, facts, standing);
            }
            Event::ChannelRestored(facts) => {
                let index = self.open(base, (**facts).clone(), Standing::default());
                if let Some(channel) = index.and_then(|index| self.touch(base, index)) {
                    channel.hear_restored();
                }
            }
            Event::MempoolSeen { tx } => self.mempool(base, tx),
            Event::PreimageLearned { preimage, usable_for } => {
                let tip = self.state.tip.height;
                for key in usable_for {
                    self.with(base, &key.channel, |channel| channel.hear_usable(key.htlc, *preimage, tip, false));
                }
            }
            Event::Signed(signed) => self.signed(base, signed, proof),
            Event::Performed { channel, id } => self.performed(base, channel, id),
            Event::LocalCommitmentSigned(heard) => {
                return self.local_signed(base, heard).map_or_else(|| event.clone(), Event::LocalCommitmentSigned);
            }
            Event::LocalCommitmentSignedAgain(heard) => {
                return self.local_signed(base, heard).map_or_else(|| event.clone(), Event::LocalCommitmentSignedAgain);
            }
            Event::RemoteCommitmentSigned(heard) => {
                if self.newer(base, &heard.update.channel, |channel| channel.newer_remote(&heard.update)) {
                    return event.clone();
                }
                let heard = RemoteCommitmentSigned { update: self.change(base, Side::Remote, &heard.update) };
                self.remote_signed(base, &heard);
                return Event::RemoteCommitmentSigned(Box::new(heard));
            }
            Event::RemoteRevoked(heard) => {
                if !self.newer(base, &heard.channel, |channel| channel.newer_revoked(heard)) {
                    self.with(base, &heard.channel, |channel| channel.hear_revoked(heard));
                }
            }
            Event::ChannelSignals { channel, short_channel_id } => {
                self.with(base, channel, |channel| channel.hear_signals(*short_channel_id));
            }
            Event::HtlcGivenUp { htlc } => {
                self.with(base, &htlc.channel, |channel| channel.hear_given_up(htlc.htlc));
            }
            Event::UpstreamAcknowledged { htlc, outcome } => {
                self.with(base, &htlc.channel, |channel| channel.hear_acknowledged(htlc.htlc, *outcome));
            }
            Event::PeerStateSeen { channel, peer } => {
                let suspicions = self.state.suspicions;
                self.with(base, channel, |channel| channel.hear_peer_state(peer, suspicions));
            }
            Event::CloseRequested { channel, why } => {
                self.with(base, channel, |channel| channel.hear_close_requested(*why));
            }
            Event::ClosingSigned(heard) => self.with(base, &heard.channel, |channel| channel.hear_closing(heard)),
            Event::ChannelForgotten { channel } => self.with(base, channel, ChannelArbitrator::hear_forgotten),
            Event::Scanned(heard) => self.scanned(base, heard, true),
            Event::ScannedPart(heard) => self.scanned(base, heard, false),
            Event::BroadcastAnswered { channel, txid, answer } => {
                let caught_up = self.state.is_caught_up();
                self.with(base, channel, |channel| channel.hear_broadcast(txid, *answer, caught_up));
            }
            Event::SigningRefused { channel, request, .. } => {
                let (tip, court) = (self.state.tip.height, self.state.policy.lazy_target);
                self.with(base, channel, |channel| {
                    let pause = channel.own_policy().map_or(court, |own| own.lazy_target);
                    channel.hear_signing_refused(*request, tip, pause);
                });
            }
            Event::ScriptsOffered { channel, script, .. } => {
                self.with(base, channel, |channel| channel.hear_script(script));
            }
            Event::FeeInputsOffered(heard) => {
                self.with(base, &heard.channel, |channel| channel.hear_fee_inputs(heard));
                if let Some(index) = CourtView::new(base, self).index_of(&heard.channel) {
                    self.watched.extend(heard.inputs.iter().map(|coin| (coin.outpoint, index)));
                }
            }
            Event::FeeInputsRefused { channel, request, missing_sat } => {
                self.with(base, channel, |channel| channel.hear_fee_inputs_refused(request, *missing_sat));
            }
            Event::RevokedLoaded { channel, number, candidates } => {
                self.with(base, channel, |channel| channel.hear_revoked_loaded(*number, candidates));
            }
            Event::NeverFunded { channel } => self.with(base, channel, ChannelArbitrator::hear_never_funded),
            Event::PointLoaded { channel, number, point } => {
                self.with(base, channel, |channel| channel.hear_point_loaded(*number, *point));
            }
            Event::ClaimAbandoned { channel, outpoint } => {
                let court = CourtView::new(base, self);
                let view = court.index_of(channel).and_then(|index| court.channel_view(index));
                let meant = view.map_or(*outpoint, |view| view.meant(outpoint));
                self.with(base, channel, |channel| channel.hear_abandoned(meant));
            }
            Event::BumpRequested { channel, outpoint, bump } => {
                self.with(base, channel, |channel| channel.hear_bump(*outpoint, bump));
            }
            // Nothing to keep.
            Event::Failed { .. } => {}
            Event::ChannelAdoptedAnew { channel, standing } => {
                let (standing, suspicions) = ((**standing).clone(), self.state.suspicions);
                let mut before = None;
                self.with(base, channel, |channel| {
                    before = Some(channel.adopted);
                    channel.hear_adopted_anew(standing, suspicions);
                });
                self.move_told(before, before.map(|_| None));
                // Touched again, it waits for the node to tell everything.
                self.with(base, channel, |_| {});
            }
            Event::AdoptionComplete { channel, committed } => self.adopted(base, channel.as_ref(), committed),
        }
        event.clone()
    }

    fn with(&mut self, base: &ChainArbitrator, id: &ChannelId, change: impl FnOnce(&mut ChannelArbitrator)) {
        let index = CourtView::new(base, self).index_of(id);
        if let Some(channel) = index.and_then(|index| self.touch(base, index)) {
            change(channel);
        }
    }

    /// Opens a channel. One that is resolved stays so: its last action is due once more (A52).
    fn open(&mut self, base: &ChainArbitrator, facts: ChannelFacts, standing: Standing) -> Option<ChannelIndex> {
        if CourtView::new(base, self).tombstone(&facts.id).is_some() {
            self.state.resolved_again.insert(facts.id);
            return None;
        }
        let index = ChannelIndex::new(self.state.next_index);
        self.state.next_index = self.state.next_index.saturating_add(1);
        self.ids.insert(facts.id, index);
        // A checkpoint's row may have the channel already.
        if base.channel(index).is_none() {
            let mut channel = ChannelArbitrator::new(facts, standing, self.state.tip.height);
            channel.opened(self.state.is_caught_up(), self.state.suspicions);
            self.parents.extend(channel.unconfirmed().map(|txid| (txid, index)));
            self.watched.extend(channel.watched().into_iter().map(|outpoint| (outpoint, index)));
            self.channels.insert(index, Some(Slot::new(channel)));
            self.move_told(None, Some(None));
            self.touched.insert(index, Explained::default());
        }
        Some(index)
    }

    /// The node has told everything of one channel, or of all: those that waited for it are judged again.
    fn adopted(&mut self, base: &ChainArbitrator, channel: Option<&ChannelId>, committed: &[HtlcKey]) {
        for key in committed {
            self.with(base, &key.channel, |channel| channel.hear_committed(key.htlc));
        }
        let starts = self.state.starts;
        let untold: Vec<ChannelIndex> = match channel {
            Some(id) => CourtView::new(base, self).index_of(id).into_iter().collect(),
            None => {
                self.state.retold = starts;
                let drafted = self.drafted(|slot| slot.channel.untold);
                self.undrafted(base.indexes.untold()).into_iter().chain(drafted).collect()
            }
        };
        for index in untold {
            if let Some(channel) = self.touch(base, index) {
                let before = channel.adopted;
                channel.hear_adopted(starts);
                self.move_told(Some(before), Some(Some(starts)));
            }
            // Touched again, it waits for the node no more.
            let _touched = self.touch(base, index);
        }
    }

    /// Puts on record that our state of a channel is old, if an event shows it; whether it does.
    fn newer(
        &mut self,
        base: &ChainArbitrator,
        id: &ChannelId,
        shows: impl FnOnce(&ChannelArbitrator) -> Option<Shown>,
    ) -> bool {
        let shown = CourtView::new(base, self).channel_of(id).and_then(shows);
        if let Some(shown) = shown {
            self.with(base, id, |channel| channel.hear_newer(shown));
        }
        shown.is_some()
    }

    /// An update in the form in which the log keeps it.
    fn change(&self, base: &ChainArbitrator, side: Side, update: &CommitmentUpdate) -> CommitmentUpdate {
        let channel = CourtView::new(base, self).channel_of(&update.channel);
        channel.map_or_else(|| update.clone(), |channel| channel.set.change(side, update))
    }

    /// Our commitment, new or another version of the newest, in the form in which the log keeps it; `None` if it only shows that
    /// our state is old.
    fn local_signed(
        &mut self,
        base: &ChainArbitrator,
        heard: &LocalCommitmentSigned,
    ) -> Option<Box<LocalCommitmentSigned>> {
        if self.newer(base, &heard.update.channel, |channel| channel.newer_local(&heard.update)) {
            return None;
        }
        let update = self.change(base, Side::Local, &heard.update);
        let heard = Box::new(LocalCommitmentSigned { update, signatures: heard.signatures.clone() });
        let tip = self.state.tip.height;
        self.with(base, &heard.update.channel, |channel| {
            channel.hear_local_signed(&heard);
            channel.hear_what_was_told_early(tip);
        });
        Some(heard)
    }

    fn remote_signed(&mut self, base: &ChainArbitrator, heard: &RemoteCommitmentSigned) {
        let Some(index) = CourtView::new(base, self).index_of(&heard.update.channel) else { return };
        let tip = self.state.tip.height;
        if let Some(channel) = self.touch(base, index) {
            let row = channel.hear_remote_signed(heard);
            channel.hear_what_was_told_early(tip);
            self.commitments.push(StoredCommitment { channel: index, number: heard.update.number, row });
        }
    }

    fn scanned(&mut self, base: &ChainArbitrator, heard: &Scanned, whole: bool) {
        let txids: Vec<Txid> = heard.spends.iter().map(|spend| spend.tx.compute_txid()).collect();
        let Some(index) = CourtView::new(base, self).index_of(&heard.channel) else { return };
        let Some(channel) = self.touch(base, index) else { return };
        channel.hear_found(heard, &txids);
        if whole {
            channel.hear_scanned(heard);
        }
        for txid in &txids {
            self.note_outputs(index, txid);
        }
    }

    /// Adds the watched outputs of one transaction to the draft's own index. Only these: a block may have thousands of spends of
    /// one channel (A24).
    fn note_outputs(&mut self, index: ChannelIndex, txid: &Txid) {
        if let Some(Some(Slot { channel, .. })) = self.channels.get(&index) {
            self.watched.extend(channel.watched_of(txid).map(|outpoint| (outpoint, index)));
        }
    }

    fn connect(&mut self, base: &ChainArbitrator, block: &Block) -> Event {
        let best = self.state.best_height;
        self.state.connect(block);
        let mut kept = Vec::new();
        for tx in &block.txs {
            if !self.hear_tx(base, block.height, tx).is_empty() {
                kept.push(tx.clone());
            }
        }
        let due = self.undrafted(base.indexes.alarms(block.height));
        let policy = &self.state.policy;
        let is_due = |slot: &Slot| slot.view_as_judged(policy).alarm().is_some_and(|alarm| alarm <= block.height);
        let drafted = self.drafted(is_due);
        self.touch_all(base, due.into_iter().chain(drafted));
        self.wake_deferred(base);
        self.wake_behind(base, best);
        Event::BlockConnected(Box::new(Block { txs: kept, ..*block }))
    }

    /// The chain source announces blocks that it has not delivered: channels that have something to do in them are judged, so that
    /// a deadline there is told (I17). Only when it announces a greater height than before, so not in every block.
    fn wake_behind(&mut self, base: &ChainArbitrator, before: Height) {
        let best = self.state.best_height;
        if self.state.is_caught_up() || best <= before {
            return;
        }
        let due = self.undrafted(base.indexes.alarms(best));
        let policy = &self.state.policy;
        let is_due = |slot: &Slot| slot.view_as_judged(policy).alarm().is_some_and(|alarm| alarm <= best);
        let drafted = self.drafted(is_due);
        self.touch_all(base, due.into_iter().chain(drafted));
    }

    /// Gives a confirmed transaction to every channel that watches one of its inputs or has a funding output in it, which it
    /// returns.
    fn hear_tx(&mut self, base: &ChainArbitrator, height: Height, tx: &Transaction) -> BTreeSet<ChannelIndex> {
        let view = CourtView::new(base, self);
        let mut concerned = view.spent_by(tx);
        // To hash every transaction of every block would cost more than all look-ups together (I20).
        if concerned.is_empty() && !view.awaits_fundings() {
            return concerned;
        }
        let txid = tx.compute_txid();
        concerned.append(&mut view.parents(&txid));
        for index in &concerned {
            if let Some(channel) = self.touch(base, *index) {
                channel.hear_tx(height, txid, tx);
                // A later transaction of the same block may spend an output of this one (R5).
                self.note_outputs(*index, &txid);
            }
        }
        concerned
    }

    fn disconnect(&mut self, base: &ChainArbitrator, block: &Disconnected) {
        self.state.disconnect(block);
        let known = self.undrafted(base.indexes.heights(block.height));
        let drafted = self.drafted(|slot| slot.channel.knows_of(block.height));
        for index in known.into_iter().chain(drafted) {
            if let Some(channel) = self.touch(base, index) {
                channel.disconnect(block.height);
                let unconfirmed: Vec<Txid> = channel.unconfirmed().collect();
                let seen = seen_outputs(channel, index);
                self.watched.extend(seen);
                self.parents.extend(unconfirmed.into_iter().map(|txid| (txid, index)));
            }
        }
        self.wake_deferred(base);
    }

    fn mempool(&mut self, base: &ChainArbitrator, tx: &Transaction) {
        let tip = self.state.tip.height;
        let concerned = CourtView::new(base, self).spent_by(tx);
        let txid = tx.compute_txid();
        for index in concerned {
            let Some(channel) = CourtView::new(base, self).channel(index) else { continue };
            let estimate_sat_per_kw = self.state.feerate(channel.policy_or(&self.state.policy), THEIRS_FIRST);
            let Some(channel) = self.touch(base, index) else { continue };
            if channel.is_funding_spend(tx) && !channel.is_closing(&txid, tx) {
                channel.hear_seen(tx, txid, tip, estimate_sat_per_kw);
                // A later transaction of the same step may spend an output of it.
                let seen = seen_outputs(channel, index);
                self.watched.extend(seen);
            }
        }
    }

    fn signed(&mut self, base: &ChainArbitrator, heard: &Signed, proof: Proof) {
        let proof = match proof {
            Proof::Nothing => self.completed(base, heard),
            proof @ (Proof::Sweep { .. } | Proof::Commitment { .. }) => Some(proof),
        };
        self.with(base, &heard.channel, |channel| {
            match proof {
                Some(Proof::Sweep { group, tx }) => channel.hear_sweep_signed(group, tx),
                Some(Proof::Commitment { funding, signature }) => channel.hear_commitment_signature(funding, signature),
                Some(Proof::Nothing) | None => {}
            }
            channel.hear_signer_answered(&heard.request);
        });
        let view = CourtView::new(base, self);
        if let Some(index) = view.index_of(&heard.channel) {
            let seen = view.channel(index).map(|channel| seen_outputs(channel, index));
            self.watched.extend(seen.into_iter().flatten());
        }
    }

    /// What a signer's answer completes when the log is folded: it was verified when it was heard.
    fn completed(&self, base: &ChainArbitrator, heard: &Signed) -> Option<Proof> {
        let view = CourtView::new(base, self);
        let view = view.channel_view(view.index_of(&heard.channel)?)?;
        let channel = view.channel;
        if let Some((group, _, sweep)) = channel.sweep_asked(&heard.request) {
            let tx = complete_sweep(channel, &wants(&view), sweep, &heard.signatures).ok()?;
            return Some(Proof::Sweep { group, tx });
        }
        let (funding, _) = channel.commitment_asked(&Secp256k1::new(), &heard.request)?;
        let signature = commitment_signature(&heard.signatures).ok()?;
        Some(Proof::Commitment { funding: funding.outpoint, signature })
    }

    fn performed(&mut self, base: &ChainArbitrator, id: &ChannelId, action: &ActionId) {
        let Some(index) = CourtView::new(base, self).index_of(id) else {
            self.state.resolved_again.remove(id);
            return;
        };
        let (sequence, caught_up) = (self.state.sequence, self.state.is_caught_up());
        let Some(channel) = self.touch(base, index) else { return };
        let over = if let Some(Notice::Resolved(sheet)) = channel.outbox.get(action) { Some(*sheet) } else { None };
        if over.is_some() && channel.close.0.is_none() && !caught_up {
            // Blocks were announced since, and the funding may be in one of them: it is judged again after them (R11).
            channel.take_back_end();
            return;
        }
        channel.hear_performed(action);
        let told_at = channel.adopted;
        // The outside knows that the channel is resolved: only now may its rows go (front page, Stages and resolvers).
        if let Some(sheet) = over {
            // Without a close it was forgotten, and may be opened again.
            let closed = channel.close.0.is_some();
            let tombstone = closed.then(|| Tombstone { channel: index, sequence, facts: channel.facts.clone(), sheet });
            self.tombstones.extend(tombstone.map(|tombstone| (*id, tombstone)));
            self.channels.insert(index, None);
            self.move_told(Some(told_at), None);
        }
    }

    /// Once the tip is the best known block, touches every channel that was touched while blocks were missing, so that it is
    /// judged again (R11).
    fn wake_deferred(&mut self, base: &ChainArbitrator) {
        if self.state.is_caught_up() {
            let deferred = self.undrafted(base.indexes.deferred());
            let drafted = self.drafted(|slot| slot.channel.deferred);
            self.touch_all(base, deferred.into_iter().chain(drafted));
        }
    }

    /// Indexed channels that the draft has no newer copy of.
    fn undrafted(&self, indexed: impl Iterator<Item = ChannelIndex>) -> BTreeSet<ChannelIndex> {
        indexed.filter(|index| !self.channels.contains_key(index)).collect()
    }

    /// Drafted channels that `has` is true for.
    fn drafted(&self, has: impl Fn(&Slot) -> bool) -> Vec<ChannelIndex> {
        let drafted = self.channels.iter().filter_map(|(index, slot)| Some((*index, slot.as_ref()?)));
        drafted.filter(|(_, slot)| has(slot)).map(|(index, _)| index).collect()
    }

    fn touch_all(&mut self, base: &ChainArbitrator, all: impl IntoIterator<Item = ChannelIndex>) {
        for index in all {
            let _touched = self.touch(base, index);
        }
    }

    /// Applies a conclusion. Does nothing if the channel's row came from a checkpoint that is newer than this frame.
    ///
    /// # Errors
    /// If there is no such channel, or if the conclusion cannot follow from its state.
    pub(crate) fn apply(&mut self, base: &ChainArbitrator, record: &Record) -> Result<(), Mismatch> {
        let sequence = self.state.sequence;
        let tip = self.state.tip.height;
        let court_pause = self.state.policy.lazy_target;
        let ahead = base.channel(record.channel).is_some_and(|channel| channel.changed_at >= sequence);
        let Some(channel) = self.touch(base, record.channel) else {
            return if ahead { Ok(()) } else { Err(Mismatch::NoChannel { sequence }) };
        };
        let pause = channel.own_policy().map_or(court_pause, |own| own.lazy_target);
        channel.conclude(&record.what, tip, pause).map_err(|what| Mismatch::Impossible { sequence, what })?;
        if let Conclusion::SweepPlanned(sweep) = &record.what {
            let coins = sweep.plan.fee_inputs.coins.iter();
            self.watched.extend(coins.map(|coin| (coin.outpoint, record.channel)));
        }
        Ok(())
    }
}

/// The outputs of unconfirmed commitments that a channel sees, for the draft's own index.
fn seen_outputs(channel: &ChannelArbitrator, index: ChannelIndex) -> Vec<(OutPoint, ChannelIndex)> {
    channel.seen_outputs().map(|outpoint| (outpoint, index)).collect()
}

impl ChainArbitrator {
    /// Makes a draft the court's state: the only place where the court changes.
    pub(crate) fn absorb(&mut self, draft: Draft) {
        let old_policy = core::mem::replace(&mut self.state, draft.state).policy;
        self.tombstones.extend(draft.tombstones);
        let sequence = self.state.sequence;
        if old_policy != self.state.policy {
            // A channel whose row is newer than this frame is not in the draft, but its indexes follow the policy, too.
            let ahead = self.channels().map(|(index, _)| index).filter(|index| !draft.channels.contains_key(index));
            for index in ahead.collect::<Vec<_>>() {
                self.reindex(index, &old_policy);
            }
        }
        for (index, mut slot) in draft.channels {
            if let Some(slot) = &mut slot {
                slot.channel.committed(sequence);
            }
            self.put(index, slot, &old_policy);
        }
    }
}
