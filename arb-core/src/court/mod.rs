//! The [`ChainArbitrator`]: every channel that is not fully resolved, the chain's tip, the policy, the indexes (I15).
//!
//! Tests: `arb-log/tests/journal.rs`, `arb-log/tests/checkpoint.rs`.

pub(crate) mod apply;
pub(crate) mod docket;
pub(crate) mod draft;
pub(crate) mod due;
pub(crate) mod early;
pub(crate) mod index;
pub(crate) mod reserve;
pub(crate) mod snapshot;
pub(crate) mod tombstone;

use crate::api::action::Action;
use crate::api::event::{JournalIdentity, Started, Tip};
use crate::api::facts::Link;
use crate::api::ids::{ChannelId, ChannelIndex, HtlcKey};
use crate::api::policy::Policy;
use crate::api::reject::Mismatch;
use crate::api::units::Height;
use crate::channel::{ChannelArbitrator, untold_until};
use crate::court::index::Indexes;
use crate::court::snapshot::Snapshot;
use crate::court::tombstone::Tombstone;
use crate::view::{ChannelView, Derived};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The chain contract court: a pure state machine over channels.
///
/// Feed it with [`step`](Self::step); what is due comes back from [`Step::commit`](crate::Step::commit) and, on a start
/// and in every block, from [`actions_due`](Self::actions_due).
#[derive(Clone, Debug)]
pub struct ChainArbitrator {
    pub(crate) state: Snapshot,
    pub(crate) channels: Vec<Option<Box<Slot>>>,
    /// The channels that irrevocable closes resolved (A52). Not in `state`, which every step copies.
    pub(crate) tombstones: BTreeMap<ChannelId, Tombstone>,
    pub(crate) indexes: Indexes,
}

/// The upstream HTLCs that may still be paid for, by the channel of the HTLC that we sent.
type Unfailed = BTreeMap<ChannelIndex, BTreeSet<HtlcKey>>;

/// A channel's place in the court or in a draft.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) channel: ChannelArbitrator,
    /// What followed from it when it was judged last, under the policy in force. In memory only; `None` while its funding is
    /// unspent.
    pub(crate) derived: Option<Arc<Derived>>,
}

impl Slot {
    pub(crate) const fn new(channel: ChannelArbitrator) -> Self {
        Self { channel, derived: None }
    }

    /// What follows from the channel at a tip; derived again only if it was not derived for that tip.
    pub(crate) fn view<'a>(&'a self, tip: Height, policy: &'a Policy) -> ChannelView<'a> {
        match self.derived.as_ref().filter(|derived| derived.tip == tip) {
            Some(derived) => ChannelView::kept(&self.channel, policy, derived.clone()),
            None => ChannelView::new(&self.channel, tip, policy),
        }
    }

    /// What follows from the channel at the tip at which it was judged last.
    pub(crate) fn view_as_judged<'a>(&'a self, policy: &'a Policy) -> ChannelView<'a> {
        self.view(self.channel.seen, policy)
    }
}

/// Compares what is durable; the indexes follow from that.
impl PartialEq for ChainArbitrator {
    fn eq(&self, other: &Self) -> bool {
        self.state == other.state && self.tombstones == other.tombstones && self.channels().eq(other.channels())
    }
}

impl Eq for ChainArbitrator {}

impl Default for ChainArbitrator {
    fn default() -> Self {
        Self::new()
    }
}

impl ChainArbitrator {
    /// A court that has heard nothing. Its first event is [`Event::JournalOpened`](crate::Event::JournalOpened).
    pub fn new() -> Self {
        Self {
            state: Snapshot::empty(),
            channels: Vec::new(),
            tombstones: BTreeMap::new(),
            indexes: Indexes::default(),
        }
    }

    /// Everything that is due now: ask on a start and in every block. The cost grows with the channels that have something
    /// due, not with those that are watched.
    pub fn actions_due(&self) -> Vec<Action> {
        let mut out = Vec::new();
        for index in self.indexes.owing() {
            if let Some(view) = self.view(index) {
                self.due_of(&view, &mut out);
            }
        }
        out.extend(self.resolved_again(&self.state.resolved_again));
        due::in_order(&mut out);
        out
    }

    /// The last action of each of these channels, which are resolved.
    pub(crate) fn resolved_again<'a>(
        &'a self,
        ids: impl IntoIterator<Item = &'a ChannelId>,
    ) -> impl Iterator<Item = Action> {
        ids.into_iter().filter_map(|id| self.tombstones.get(id)).map(Tombstone::resolved)
    }

    /// What [`Event::JournalOpened`](crate::Event::JournalOpened) said; `None` before it was heard.
    pub const fn identity(&self) -> Option<&JournalIdentity> {
        self.state.identity.as_ref()
    }

    /// The policy in force.
    pub const fn policy(&self) -> &Policy {
        &self.state.policy
    }

    /// The tip of the chain, as far as the court has heard blocks.
    pub const fn tip(&self) -> Tip {
        self.state.tip
    }

    /// The last [`Event::Started`](crate::Event::Started); `None` before the first.
    pub const fn started(&self) -> Option<&Started> {
        self.state.started.as_ref()
    }

    /// The sequence number of the last frame; 0 before the first.
    pub const fn sequence(&self) -> u64 {
        self.state.sequence
    }

    /// A channel by its number; `None` if there is no such channel, or no longer.
    pub fn channel(&self, index: ChannelIndex) -> Option<&ChannelArbitrator> {
        self.slot(index).map(|slot| &slot.channel)
    }

    pub(crate) fn slot(&self, index: ChannelIndex) -> Option<&Slot> {
        self.channels.get(place(index)?)?.as_deref()
    }

    /// What follows from a channel at the tip.
    pub(crate) fn view(&self, index: ChannelIndex) -> Option<ChannelView<'_>> {
        self.slot(index).map(|slot| slot.view(self.state.tip.height, &self.state.policy))
    }

    /// The number of a channel; `None` if the court has no such channel, or no longer.
    pub fn index_of(&self, id: &ChannelId) -> Option<ChannelIndex> {
        self.indexes.id(id)
    }

    /// Appends what is due for a channel now. An upstream HTLC is not failed while another HTLC may still be paid for it, or be
    /// told (A9).
    pub(crate) fn due_of(&self, view: &ChannelView<'_>, out: &mut Vec<Action>) {
        let (mut due, mut known) = (Vec::new(), Unfailed::new());
        due::actions(&self.state, view, &mut due);
        due.retain(|action| {
            let Action::FailUpstream { htlc, .. } = action else { return true };
            !self.waits_for_node(view, htlc) && !self.may_be_paid(view, htlc, &mut known)
        });
        out.append(&mut due);
    }

    /// Whether the failure of an upstream HTLC waits because the node has not told every channel (A9, R11).
    fn waits_for_node(&self, view: &ChannelView<'_>, failed: &HtlcKey) -> bool {
        let state = &self.state;
        let untold = self.indexes.told_at().first_key_value().is_some_and(|(at, _)| !state.is_told_at(*at));
        let htlc = view.channel.htlcs.get(&failed.htlc).filter(|_| untold);
        let until = htlc.and_then(|htlc| untold_until(htlc, view.policy));
        until.is_some_and(|until| state.tip.height < until || !state.is_caught_up())
    }

    /// Whether another HTLC that we sent for the same upstream HTLC has no failure: then the upstream HTLC is not failed yet (A9).
    /// `known` keeps what was found of each channel, so that each is searched once, however many HTLCs fail.
    fn may_be_paid(&self, view: &ChannelView<'_>, failed: &HtlcKey, known: &mut Unfailed) -> bool {
        let Some(state) = view.channel.htlcs.get(&failed.htlc) else { return false };
        let Link::Forward(upstream) = state.htlc.link else { return false };
        let mut channels = self.indexes.hash(&state.htlc.payment_hash);
        channels.any(|index| {
            let of_channel = || self.channel(index).map(ChannelArbitrator::unfailed_upstreams).unwrap_or_default();
            known.entry(index).or_insert_with(of_channel).contains(&upstream)
        })
    }

    /// Every channel, in rising order of its number.
    pub fn channels(&self) -> impl Iterator<Item = (ChannelIndex, &ChannelArbitrator)> {
        let slots = (0..).map(ChannelIndex::new).zip(&self.channels);
        slots.filter_map(|(index, slot)| Some((index, &slot.as_deref()?.channel)))
    }

    /// Every channel that an irrevocable close resolved, in rising order of its id.
    pub fn tombstones(&self) -> impl Iterator<Item = &Tombstone> {
        self.tombstones.values()
    }

    /// Whether a channel was ever opened in this court, resolved ones included.
    pub const fn has_had_channels(&self) -> bool {
        self.state.next_index > 0
    }

    /// The court without its channels, for a checkpoint's row.
    pub fn snapshot(&self) -> Snapshot {
        self.state.clone()
    }

    /// A court from a checkpoint's rows. A channel's row may be newer than the court's, never older: the frames in between
    /// are folded into the court and skipped for that channel. Tombstones are those of the court's row, not of later frames.
    ///
    /// # Errors
    /// None at present: a channel's number may be above those that the court's row has given out, since its row may be newer.
    pub fn restore(
        snapshot: Snapshot,
        tombstones: impl IntoIterator<Item = Tombstone>,
        channels: impl IntoIterator<Item = (ChannelIndex, ChannelArbitrator)>,
    ) -> Result<Self, Mismatch> {
        let tombstones = tombstones.into_iter().map(|tombstone| (tombstone.facts.id, tombstone)).collect();
        let mut court = Self { state: snapshot, channels: Vec::new(), tombstones, indexes: Indexes::default() };
        for (index, mut channel) in channels {
            channel.reclassify();
            court.put(index, Some(Slot::new(channel)), &court.state.policy.clone());
        }
        Ok(court)
    }

    /// Replaces a channel in its slot and in the indexes; `None` removes it.
    pub(crate) fn put(&mut self, index: ChannelIndex, slot: Option<Slot>, old_policy: &Policy) {
        let Some(place) = place(index) else { return };
        if self.channels.len() <= place {
            self.channels.resize_with(place.saturating_add(1), || None);
        }
        let Some(place) = self.channels.get_mut(place) else { return };
        let old = core::mem::replace(place, slot.map(Box::new));
        let old = old.as_ref().map(|slot| slot.view_as_judged(old_policy));
        let new = place.as_ref().map(|slot| slot.view_as_judged(&self.state.policy));
        self.indexes.replace(index, old.as_ref(), new.as_ref());
        let derived = new.and_then(|view| view.keep());
        if let Some(slot) = place {
            slot.derived = derived;
        }
    }

    /// Indexes an unchanged channel again, because the policy has changed.
    pub(crate) fn reindex(&mut self, index: ChannelIndex, old_policy: &Policy) {
        let place = place(index).and_then(|place| self.channels.get_mut(place));
        let Some(slot) = place.and_then(Option::as_deref_mut) else { return };
        let old = slot.view_as_judged(old_policy);
        let new = ChannelView::new(&slot.channel, slot.channel.seen, &self.state.policy);
        self.indexes.replace(index, Some(&old), Some(&new));
        slot.derived = new.keep();
    }

    /// The indexes built anew from the channels: I15 says that they equal [`indexes`](Self::indexes).
    pub fn rebuilt_indexes(&self) -> Indexes {
        let mut indexes = Indexes::default();
        for (index, channel) in self.channels() {
            indexes.replace(index, None, Some(&ChannelView::new(channel, channel.seen, &self.state.policy)));
        }
        indexes
    }

    /// The indexes as they were kept up to date.
    pub const fn indexes(&self) -> &Indexes {
        &self.indexes
    }
}

fn place(index: ChannelIndex) -> Option<usize> {
    usize::try_from(index.get()).ok()
}
