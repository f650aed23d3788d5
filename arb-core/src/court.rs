//! The ChainArbitrator: every channel that is not fully resolved, the chain's tip, the policy; and the [`View`] through
//! which judgement reads it together with a step's draft.

use crate::action::Action;
use crate::bolt3::PaymentHash;
use crate::channel::ChannelArbitrator;
use crate::draft::Draft;
use crate::due;
use crate::event::{Fees, Freshness, Genesis, Started, Tip};
use crate::ids::{ChannelId, ChannelIndex, HtlcRef};
use crate::index::Indexes;
use crate::policy::Policy;
use crate::reject::Mismatch;
use crate::step::Step;
use crate::sweep::Now;
use crate::units::{Blocks, Height};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, OutPoint, Txid};
use serde::{Deserialize, Serialize};

/// The court's state without its channels: what a checkpoint stores as one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The last frame folded into it.
    pub sequence: u64,
    pub(crate) genesis: Option<Genesis>,
    pub(crate) policy: Policy,
    pub(crate) tip: Tip,
    pub(crate) best_height: Height,
    pub(crate) fees: Option<(Fees, Height)>,
    pub(crate) started: Option<Started>,
    /// How often the embedder started with a suspicion: a channel is treated as outdated until its counterparty cleared
    /// the last one.
    pub(crate) suspicions: u64,
    pub(crate) next_index: u32,
}

impl Snapshot {
    fn empty() -> Self {
        Self {
            sequence: 0,
            genesis: None,
            policy: Policy::default(),
            tip: Tip { height: Height::new(0), hash: BlockHash::all_zeros() },
            best_height: Height::new(0),
            fees: None,
            started: None,
            suspicions: 0,
            next_index: 0,
        }
    }

    /// Whether the tip is the best block that the chain source knows (R11).
    pub(crate) fn is_caught_up(&self) -> bool {
        self.tip.height >= self.best_height
    }

    /// The feerate for a confirmation target; see [`Now::estimate`].
    pub(crate) fn feerate(&self, target: Option<Blocks>) -> u32 {
        let now = Now { tip: self.tip.height, policy: &self.policy, fees: self.fees.as_ref(), wallet_output_weight: 0 };
        now.estimate(target.unwrap_or(self.policy.lazy_target))
    }

    /// Whether our commitment must not be signed because the journal may be old (F5).
    pub(crate) fn suspects(&self, channel: &ChannelArbitrator) -> bool {
        self.suspicions > channel.ratchet.cleared
    }

    pub(crate) fn hear_started(&mut self, started: &Started) {
        self.best_height = self.best_height.max(started.best_height);
        if started.freshness == Freshness::Suspect {
            self.suspicions = self.suspicions.saturating_add(1);
        }
        self.started = Some(started.clone());
    }
}

/// The chain contract court: a pure state machine over channels.
///
/// Feed it with [`step`](Self::step); what is due comes back from [`Step::commit`](crate::Step::commit) and, on a start
/// and in every block, from [`actions_due`](Self::actions_due).
#[derive(Clone, Debug)]
pub struct ChainArbitrator {
    pub(crate) state: Snapshot,
    pub(crate) channels: Vec<Option<Box<ChannelArbitrator>>>,
    pub(crate) indexes: Indexes,
}

/// Durable state decides; the indexes follow from it.
impl PartialEq for ChainArbitrator {
    fn eq(&self, other: &Self) -> bool {
        self.state == other.state && self.channels().eq(other.channels())
    }
}

impl Eq for ChainArbitrator {}

impl Default for ChainArbitrator {
    fn default() -> Self {
        Self::new()
    }
}

impl ChainArbitrator {
    /// A court that has heard nothing. Its first event is [`Event::Genesis`](crate::Event::Genesis).
    pub fn new() -> Self {
        Self { state: Snapshot::empty(), channels: Vec::new(), indexes: Indexes::default() }
    }

    /// Opens a step: a draft on the side, which becomes the court's state only in
    /// [`Step::commit`](crate::Step::commit). A second step before that does not compile.
    pub fn step(&mut self) -> Step<'_> {
        Step::new(self)
    }

    /// Everything that is due, for a start and for each block's repetition. Costs what is owed, not what is watched.
    pub fn actions_due(&self) -> Vec<Action> {
        let mut out = Vec::new();
        for index in self.indexes.owing() {
            if let Some(channel) = self.channel(index) {
                due::actions(&self.state, channel, &mut out);
            }
        }
        due::in_order(&mut out);
        out
    }

    /// The genesis, once it was heard.
    pub const fn genesis(&self) -> Option<&Genesis> {
        self.state.genesis.as_ref()
    }

    /// The policy in force.
    pub const fn policy(&self) -> &Policy {
        &self.state.policy
    }

    /// The tip of the chain as the court has it.
    pub const fn tip(&self) -> Tip {
        self.state.tip
    }

    /// The last start that was heard.
    pub const fn started(&self) -> Option<&Started> {
        self.state.started.as_ref()
    }

    /// The sequence of the last frame.
    pub const fn sequence(&self) -> u64 {
        self.state.sequence
    }

    /// A channel by its number.
    pub fn channel(&self, index: ChannelIndex) -> Option<&ChannelArbitrator> {
        self.channels.get(slot(index)?)?.as_deref()
    }

    /// The number of a channel.
    pub fn index_of(&self, id: &ChannelId) -> Option<ChannelIndex> {
        self.indexes.id(id)
    }

    /// Every channel, in rising order of its number.
    pub fn channels(&self) -> impl Iterator<Item = (ChannelIndex, &ChannelArbitrator)> {
        let slots = (0..).map(ChannelIndex::new).zip(&self.channels);
        slots.filter_map(|(index, slot)| Some((index, slot.as_deref()?)))
    }

    /// Whether a channel was ever opened in this court, resolved ones included.
    pub const fn has_had_channels(&self) -> bool {
        self.state.next_index > 0
    }

    /// The court without its channels, for a checkpoint's row.
    pub fn snapshot(&self) -> Snapshot {
        self.state.clone()
    }

    /// A court from a checkpoint's rows. A channel's row may be newer than the court's, never older: frames are then
    /// folded into the court and skipped for that channel.
    ///
    /// # Errors
    /// If a channel's number was never given out.
    pub fn restore(
        snapshot: Snapshot,
        channels: impl IntoIterator<Item = (ChannelIndex, ChannelArbitrator)>,
    ) -> Result<Self, Mismatch> {
        let mut court = Self { state: snapshot, channels: Vec::new(), indexes: Indexes::default() };
        for (index, mut channel) in channels {
            channel.reclassify();
            court.put(index, Some(channel), &court.state.policy.clone());
        }
        Ok(court)
    }

    /// Puts a channel in, or out, of its slot and the indexes.
    pub(crate) fn put(&mut self, index: ChannelIndex, channel: Option<ChannelArbitrator>, old_policy: &Policy) {
        let Some(slot) = slot(index) else { return };
        if self.channels.len() <= slot {
            self.channels.resize_with(slot.saturating_add(1), || None);
        }
        let Some(place) = self.channels.get_mut(slot) else { return };
        let old = core::mem::replace(place, channel.map(Box::new));
        self.indexes.replace(index, old.as_deref(), place.as_deref(), (old_policy, &self.state.policy));
    }

    /// Enters a channel that is as it was into the indexes again: the policy is another one.
    pub(crate) fn reindex(&mut self, index: ChannelIndex, old_policy: &Policy) {
        let channel = slot(index).and_then(|slot| self.channels.get(slot)).and_then(Option::as_deref);
        self.indexes.replace(index, channel, channel, (old_policy, &self.state.policy));
    }

    /// The indexes as they would be if they were built from the channels now: the other side of invariant I15.
    pub fn rebuilt_indexes(&self) -> Indexes {
        let mut indexes = Indexes::default();
        for (index, channel) in self.channels() {
            indexes.replace(index, None, Some(channel), (&self.state.policy, &self.state.policy));
        }
        indexes
    }

    /// The indexes as they are.
    pub const fn indexes(&self) -> &Indexes {
        &self.indexes
    }
}

fn slot(index: ChannelIndex) -> Option<usize> {
    usize::try_from(index.get()).ok()
}

/// The court and a step's draft, as judgement sees them: it never knows which of the two it reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    base: &'a ChainArbitrator,
    draft: &'a Draft,
}

impl<'a> View<'a> {
    pub(crate) const fn new(base: &'a ChainArbitrator, draft: &'a Draft) -> Self {
        Self { base, draft }
    }

    pub(crate) const fn court(self) -> &'a Snapshot {
        &self.draft.state
    }

    pub(crate) fn channel(self, index: ChannelIndex) -> Option<&'a ChannelArbitrator> {
        match self.draft.channels.get(&index) {
            Some(drafted) => drafted.as_ref(),
            None => self.base.channel(index),
        }
    }

    pub(crate) fn index_of(self, id: &ChannelId) -> Option<ChannelIndex> {
        let drafted = self.draft.ids.get(id).copied();
        drafted.or_else(|| self.base.indexes.id(id)).filter(|index| self.channel(*index).is_some())
    }

    /// The channels that watch an outpoint, in rising order.
    pub(crate) fn watchers(self, outpoint: &OutPoint) -> BTreeSet<ChannelIndex> {
        let drafted = self.draft.watched.range((*outpoint, ChannelIndex::new(0))..);
        let drafted = drafted.take_while(|(watched, _)| watched == outpoint).map(|(_, index)| *index);
        let all = self.base.indexes.outpoint(outpoint).chain(drafted);
        all.filter(|index| self.channel(*index).is_some_and(|channel| channel.watches(outpoint))).collect()
    }

    /// The channels whose funding a transaction carries.
    pub(crate) fn parents(self, txid: &Txid) -> BTreeSet<ChannelIndex> {
        let drafted = self.draft.parents.range((*txid, ChannelIndex::new(0))..);
        let drafted = drafted.take_while(|(parent, _)| parent == txid).map(|(_, index)| *index);
        let all = self.base.indexes.parent(txid).chain(drafted);
        all.filter(|index| self.channel(*index).is_some_and(|channel| channel.watches_parent(txid))).collect()
    }

    /// Every HTLC that we sent with this hash, in any channel.
    pub(crate) fn offered_with(self, hash: &PaymentHash) -> Vec<(ChannelIndex, HtlcRef)> {
        let drafted = self.draft.channels.keys().copied();
        let channels: BTreeSet<ChannelIndex> = self.base.indexes.hash(hash).chain(drafted).collect();
        let mut out = Vec::new();
        for index in channels {
            let htlcs = self.channel(index).into_iter().flat_map(|channel| channel.htlcs.values());
            let htlcs = htlcs.filter(|state| state.htlc.key.is_offered() && state.htlc.payment_hash == *hash);
            out.extend(htlcs.map(|state| (index, state.htlc.key)));
        }
        out
    }
}
