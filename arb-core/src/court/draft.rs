//! A step's draft: copies of just the channels that it touches (R2), and the [`CourtView`] through which admission and
//! judgement read court and draft together. Dropping a draft undoes everything.
//!
//! Tests: `arb-harness/lab/tests/court_suite/log_order.rs`.

use crate::api::ids::{ChannelId, ChannelIndex, HtlcRef};
use crate::api::past::StoredCommitment;
use crate::api::policy::Policy;
use crate::bolt3::{PaymentHash, Preimage};
use crate::channel::ChannelArbitrator;
use crate::court::snapshot::Snapshot;
use crate::court::tombstone::Tombstone;
use crate::court::{ChainArbitrator, Slot};
use crate::view::ChannelView;
use crate::view::explain::Explained;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bitcoin::{OutPoint, Transaction, Txid};

/// What the court becomes if the step is committed.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) state: Snapshot,
    /// `None`: the channel leaves the court.
    pub(crate) channels: BTreeMap<ChannelIndex, Option<Slot>>,
    /// The channels that this step saw resolved for good.
    pub(crate) tombstones: BTreeMap<ChannelId, Tombstone>,
    /// The channels that this step opened.
    pub(crate) ids: BTreeMap<ChannelId, ChannelIndex>,
    /// Outpoints that drafted channels watch, or watched earlier in this step: a reader asks the channel.
    pub(crate) watched: BTreeSet<(OutPoint, ChannelIndex)>,
    /// The unconfirmed funding transactions of the channels that this step opened, or whose block it disconnected.
    pub(crate) parents: BTreeSet<(Txid, ChannelIndex)>,
    /// How many channels more, or fewer, than in the court were told at each count of starts; the count is `None` while they join.
    pub(crate) told_at: BTreeMap<Option<u64>, i64>,
    /// The channels that waited until the node had told every channel, and that are judged because it has. In a step only: what
    /// they conclude is recorded.
    pub(crate) woken: BTreeSet<ChannelIndex>,
    /// Rows of the counterparty's commitments that become durable with the frame (R15).
    pub(crate) commitments: Vec<StoredCommitment>,
    /// The channels that the current entry touched, with what followed from each before it.
    pub(super) touched: BTreeMap<ChannelIndex, Explained>,
    /// Whether stages and hand-offs are recorded: in a step, not while a log is folded.
    pub(super) explains: bool,
    /// The policy before the current entry.
    pub(super) policy_before: Policy,
}

impl Draft {
    /// A draft of the frame after the court's last.
    pub(crate) fn new(base: &ChainArbitrator, explains: bool) -> Self {
        let mut state = base.state.clone();
        state.sequence = state.sequence.saturating_add(1);
        Self {
            state,
            channels: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            ids: BTreeMap::new(),
            watched: BTreeSet::new(),
            parents: BTreeSet::new(),
            told_at: BTreeMap::new(),
            woken: BTreeSet::new(),
            commitments: Vec::new(),
            touched: BTreeMap::new(),
            explains,
            policy_before: base.state.policy.clone(),
        }
    }

    /// Ends an entry. Returns the channels that it touched, with what followed from each before.
    pub(crate) fn take_touched(&mut self) -> BTreeMap<ChannelIndex, Explained> {
        if self.policy_before != self.state.policy {
            self.policy_before = self.state.policy.clone();
        }
        core::mem::take(&mut self.touched)
    }

    /// Derives what follows from a drafted channel, once for all who read it until it is touched again.
    pub(crate) fn derive(&mut self, index: ChannelIndex) {
        if let Some(Some(slot)) = self.channels.get_mut(&index) {
            slot.derived = slot.view(self.state.tip.height, &self.state.policy).keep();
        }
    }

    /// A channel that was told at one count of starts is now told at another. The outer `None`: it is not in the court.
    pub(super) fn move_told(&mut self, from: Option<Option<u64>>, to: Option<Option<u64>>) {
        for (at, change) in [(from, -1), (to, 1)] {
            if let Some(at) = at {
                let sum = self.told_at.entry(at).or_default();
                *sum = sum.saturating_add(change);
            }
        }
    }

    /// The channels that the current entry has touched so far.
    pub(crate) fn touched(&self) -> Vec<ChannelIndex> {
        self.touched.keys().copied().collect()
    }
}

/// The court and a step's draft read as one state: a drafted channel hides the court's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CourtView<'a> {
    base: &'a ChainArbitrator,
    draft: &'a Draft,
}

impl<'a> CourtView<'a> {
    pub(crate) const fn new(base: &'a ChainArbitrator, draft: &'a Draft) -> Self {
        Self { base, draft }
    }

    pub(crate) const fn state(self) -> &'a Snapshot {
        &self.draft.state
    }

    pub(crate) fn channel(self, index: ChannelIndex) -> Option<&'a ChannelArbitrator> {
        match self.draft.channels.get(&index) {
            Some(drafted) => drafted.as_ref().map(|slot| &slot.channel),
            None => self.base.channel(index),
        }
    }

    /// What follows from a channel at the tip.
    pub(crate) fn channel_view(self, index: ChannelIndex) -> Option<ChannelView<'a>> {
        let slot = match self.draft.channels.get(&index) {
            Some(drafted) => drafted.as_ref(),
            None => self.base.slot(index),
        };
        let court = self.state();
        slot.map(|slot| slot.view(court.tip.height, &court.policy))
    }

    pub(crate) fn index_of(self, id: &ChannelId) -> Option<ChannelIndex> {
        let drafted = self.draft.ids.get(id).copied();
        drafted.or_else(|| self.base.indexes.id(id)).filter(|index| self.channel(*index).is_some())
    }

    /// A channel by the id that the node knows it by.
    pub(crate) fn channel_of(self, id: &ChannelId) -> Option<&'a ChannelArbitrator> {
        self.channel(self.index_of(id)?)
    }

    /// What stays of a channel that an irrevocable close resolved.
    pub(crate) fn tombstone(self, id: &ChannelId) -> Option<&'a Tombstone> {
        self.draft.tombstones.get(id).or_else(|| self.base.tombstones.get(id))
    }

    /// The channels that watch an outpoint, in rising order.
    pub(crate) fn watchers(self, outpoint: &OutPoint) -> BTreeSet<ChannelIndex> {
        let drafted = self.draft.watched.range((*outpoint, ChannelIndex::new(0))..);
        let drafted = drafted.take_while(|(watched, _)| watched == outpoint).map(|(_, index)| *index);
        let all = self.base.indexes.outpoint(outpoint).chain(drafted);
        all.filter(|index| self.channel(*index).is_some_and(|channel| channel.watches(outpoint))).collect()
    }

    /// The channels that watch an outpoint that this transaction spends, in rising order.
    pub(crate) fn spent_by(self, tx: &Transaction) -> BTreeSet<ChannelIndex> {
        let mut all = BTreeSet::new();
        for input in &tx.input {
            let outpoint = &input.previous_output;
            if self.base.indexes.has_outpoint(outpoint) || !self.draft.watched.is_empty() {
                all.append(&mut self.watchers(outpoint));
            }
        }
        all
    }

    /// Whether a channel waits for its funding transaction to confirm. If none does, no transaction is looked up by its txid.
    pub(crate) fn awaits_fundings(self) -> bool {
        self.base.indexes.awaits_fundings() || !self.draft.parents.is_empty()
    }

    /// The channels that have an unconfirmed funding output in this transaction, in rising order.
    pub(crate) fn parents(self, txid: &Txid) -> BTreeSet<ChannelIndex> {
        let drafted = self.draft.parents.range((*txid, ChannelIndex::new(0))..);
        let drafted = drafted.take_while(|(parent, _)| parent == txid).map(|(_, index)| *index);
        let all = self.base.indexes.parent(txid).chain(drafted);
        all.filter(|index| self.channel(*index).is_some_and(|channel| channel.watches_parent(txid))).collect()
    }

    /// Whether the node has not told everything of some channel since this start. The cost does not grow with the channels.
    pub(crate) fn any_untold(self) -> bool {
        let (base, draft) = (self.base.indexes.told_at(), &self.draft.told_at);
        let count = |at: &Option<u64>| {
            let count = base.get(at).copied().map_or(0, i64::from);
            count.saturating_add(draft.get(at).copied().unwrap_or(0))
        };
        let untold = |at: &&Option<u64>| !self.state().is_told_at(**at);
        // The later it was told, the sooner that suffices.
        let mut all = base.keys().take_while(untold).chain(draft.keys().take_while(untold));
        all.any(|at| count(at) > 0)
    }

    /// The channels that keep preimages that were shown before an HTLC was told that they fit.
    pub(crate) fn early_kept(self) -> BTreeSet<ChannelIndex> {
        let drafted = self.draft.channels.keys().copied();
        let mut all: BTreeSet<ChannelIndex> = self.base.indexes.early().chain(drafted).collect();
        all.retain(|index| self.channel(*index).is_some_and(|channel| !channel.ratchet.shown_early.is_empty()));
        all
    }

    /// The channels with a failure for the upstream HTLC of a forward.
    pub(crate) fn failing(self) -> BTreeSet<ChannelIndex> {
        let drafted = self.draft.channels.keys().copied();
        let mut all: BTreeSet<ChannelIndex> = self.base.indexes.failing().chain(drafted).collect();
        all.retain(|index| self.channel(*index).is_some_and(ChannelArbitrator::is_failing_forwards));
        all
    }

    /// A preimage for this hash that was shown before an HTLC was told that it fits.
    pub(crate) fn shown_early(self, hash: &PaymentHash) -> Option<Preimage> {
        let drafted = self.draft.channels.keys().copied();
        let mut channels = self.base.indexes.hash(hash).chain(drafted).filter_map(|index| self.channel(index));
        channels.find_map(|channel| channel.ratchet.shown_early.get(hash).map(|known| known.preimage))
    }

    /// Every HTLC that we sent with this hash, in any channel.
    pub(crate) fn offered_with(self, hash: &PaymentHash) -> Vec<(ChannelIndex, HtlcRef)> {
        self.offered_with_any(&BTreeSet::from([*hash])).into_iter().map(|(_, index, htlc)| (index, htlc)).collect()
    }

    /// Every HTLC that we sent with one of these hashes, in any channel, with its hash. Each channel is searched once, however
    /// many hashes a transaction shows (A25).
    pub(crate) fn offered_with_any(self, hashes: &BTreeSet<PaymentHash>) -> Vec<(PaymentHash, ChannelIndex, HtlcRef)> {
        let drafted = self.draft.channels.keys().copied();
        let indexed = hashes.iter().flat_map(|hash| self.base.indexes.hash(hash));
        let channels: BTreeSet<ChannelIndex> = indexed.chain(drafted).collect();
        let mut out = Vec::new();
        for index in channels {
            let htlcs = self.channel(index).into_iter().flat_map(|channel| channel.htlcs.values());
            let htlcs = htlcs.filter(|state| state.htlc.key.is_offered() && hashes.contains(&state.htlc.payment_hash));
            out.extend(htlcs.map(|state| (state.htlc.payment_hash, index, state.htlc.key)));
        }
        out
    }
}
