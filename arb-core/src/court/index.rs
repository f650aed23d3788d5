//! Indexes carry the cost (R5): they find the channels that a block or a transaction concerns without a look at the others.
//!
//! A channel's entries are a pure function of the channel and the policy, and [`Indexes::replace`] is the only mutator (I15).
//! The outpoint index is a multiset of (32-bit fingerprint, channel), and a reader asks the channel whether it is meant. In a
//! map keyed by a truncated txid, an attacker could grind a collision that removes another channel's entry. Nothing is
//! iterated in hash order.
//!
//! Tests: `arb-log/tests/journal.rs`, `arb-log/tests/checkpoint.rs`.

use crate::api::ids::{ChannelId, ChannelIndex};
use crate::api::units::Height;
use crate::bolt3::PaymentHash;
use crate::court::due;
use crate::view::ChannelView;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, Txid};
use hashbrown::HashTable;

/// Everything the indexes hold for one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    id: Option<ChannelId>,
    outpoints: Vec<u32>,
    parents: Vec<u32>,
    hashes: Vec<u32>,
    alarm: Option<Height>,
    heights: Vec<Height>,
    owes: bool,
    deferred: bool,
    untold: bool,
    uneconomic: bool,
    failing: bool,
    early: bool,
    /// The count of starts when it was told; the inner `None` while it joins.
    told_at: Option<Option<u64>>,
}

impl Row {
    fn of(view: &ChannelView<'_>) -> Self {
        let channel = view.channel;
        let sorted = |mut prints: Vec<u32>| {
            prints.sort_unstable();
            prints
        };
        let offered = channel.htlcs.values().filter(|state| state.htlc.key.is_offered());
        let hashes = offered.map(|state| &state.htlc.payment_hash).chain(channel.ratchet.shown_early.keys());
        Self {
            id: Some(channel.facts.id),
            outpoints: sorted(channel.watched().iter().map(print_outpoint).collect()),
            parents: sorted(channel.unconfirmed().map(|txid| print_txid(&txid)).collect()),
            hashes: sorted(hashes.map(print_hash).collect()),
            alarm: view.alarm(),
            heights: channel.heights(),
            owes: due::owes(view),
            deferred: channel.deferred,
            untold: channel.untold,
            uneconomic: channel.waits_for_fees(),
            failing: channel.is_failing_forwards(),
            early: !channel.ratchet.shown_early.is_empty(),
            told_at: Some(channel.adopted),
        }
    }
}

/// A multiset of (fingerprint, channel).
#[derive(Clone, Debug, Default)]
struct Fingerprints(HashTable<(u32, ChannelIndex)>);

impl Fingerprints {
    /// Replaces a channel's fingerprints. Both lists are sorted, so the cost is that of their difference.
    fn replace(&mut self, index: ChannelIndex, old: &[u32], new: &[u32]) {
        let (mut old, mut new) = (old.iter().copied().peekable(), new.iter().copied().peekable());
        loop {
            match (old.peek().copied(), new.peek().copied()) {
                (None, None) => return,
                (Some(a), Some(b)) if a == b => {
                    old.next();
                    new.next();
                }
                (Some(a), b) if b.is_none_or(|b| a < b) => {
                    self.remove(a, index);
                    old.next();
                }
                (_, Some(b)) => {
                    self.0.insert_unique(spread(b), (b, index), |(print, _)| spread(*print));
                    new.next();
                }
                // Never reached: an `a` that is alone or smaller than `b` was removed above.
                (Some(_), None) => return,
            }
        }
    }

    fn remove(&mut self, print: u32, index: ChannelIndex) {
        if let Ok(entry) = self.0.find_entry(spread(print), |entry| *entry == (print, index)) {
            entry.remove();
        }
    }

    /// The channels that may be meant, in rising order.
    fn get(&self, print: u32) -> impl Iterator<Item = ChannelIndex> {
        let hits = self.0.iter_hash(spread(print)).filter(move |(other, _)| *other == print);
        let channels: BTreeSet<ChannelIndex> = hits.map(|(_, index)| *index).collect();
        channels.into_iter()
    }

    /// Whether any channel may be meant. Most look-ups are for what concerns no channel.
    fn has(&self, print: u32) -> bool {
        self.0.find(spread(print), |(other, _)| *other == print).is_some()
    }

    /// Sorted, for comparisons.
    fn sorted(&self) -> Vec<(u32, ChannelIndex)> {
        let mut all: Vec<_> = self.0.iter().copied().collect();
        all.sort_unstable();
        all
    }
}

/// All indexes of a court. Two are equal if they have the same entries, whatever the order in which those were made.
#[derive(Clone, Debug, Default)]
pub struct Indexes {
    ids: BTreeMap<ChannelId, ChannelIndex>,
    outpoints: Fingerprints,
    parents: Fingerprints,
    hashes: Fingerprints,
    alarms: BTreeSet<(Height, ChannelIndex)>,
    heights: BTreeSet<(Height, ChannelIndex)>,
    owing: BTreeSet<ChannelIndex>,
    deferred: BTreeSet<ChannelIndex>,
    untold: BTreeSet<ChannelIndex>,
    uneconomic: BTreeSet<ChannelIndex>,
    failing: BTreeSet<ChannelIndex>,
    early: BTreeSet<ChannelIndex>,
    /// How many channels were told at each count of starts.
    told_at: BTreeMap<Option<u64>, u32>,
}

impl PartialEq for Indexes {
    fn eq(&self, other: &Self) -> bool {
        self.ids == other.ids
            && self.outpoints.sorted() == other.outpoints.sorted()
            && self.parents.sorted() == other.parents.sorted()
            && self.hashes.sorted() == other.hashes.sorted()
            && self.alarms == other.alarms
            && self.heights == other.heights
            && self.owing == other.owing
            && self.deferred == other.deferred
            && self.untold == other.untold
            && self.uneconomic == other.uneconomic
            && self.failing == other.failing
            && self.early == other.early
            && self.told_at == other.told_at
    }
}

impl Eq for Indexes {}

impl Indexes {
    /// Replaces a channel's entries: the only place where indexes change.
    pub(crate) fn replace(
        &mut self,
        index: ChannelIndex,
        old: Option<&ChannelView<'_>>,
        new: Option<&ChannelView<'_>>,
    ) {
        let old = old.map(Row::of).unwrap_or_default();
        let new = new.map(Row::of).unwrap_or_default();
        self.outpoints.replace(index, &old.outpoints, &new.outpoints);
        self.parents.replace(index, &old.parents, &new.parents);
        self.hashes.replace(index, &old.hashes, &new.hashes);
        if let Some(id) = old.id {
            self.ids.remove(&id);
        }
        if let Some(id) = new.id {
            self.ids.insert(id, index);
        }
        if let Some(alarm) = old.alarm {
            self.alarms.remove(&(alarm, index));
        }
        self.alarms.extend(new.alarm.map(|alarm| (alarm, index)));
        for height in old.heights {
            self.heights.remove(&(height, index));
        }
        self.heights.extend(new.heights.iter().map(|height| (*height, index)));
        for (set, member) in [
            (&mut self.owing, new.owes),
            (&mut self.deferred, new.deferred),
            (&mut self.untold, new.untold),
            (&mut self.uneconomic, new.uneconomic),
            (&mut self.failing, new.failing),
            (&mut self.early, new.early),
        ] {
            if member {
                set.insert(index);
            } else {
                set.remove(&index);
            }
        }
        if old.told_at != new.told_at {
            if let Some(at) = old.told_at {
                let left = self.told_at.get(&at).map_or(0, |count| count.saturating_sub(1));
                if left == 0 {
                    self.told_at.remove(&at);
                } else {
                    self.told_at.insert(at, left);
                }
            }
            if let Some(at) = new.told_at {
                let count = self.told_at.entry(at).or_default();
                *count = count.saturating_add(1);
            }
        }
    }

    pub(crate) fn id(&self, id: &ChannelId) -> Option<ChannelIndex> {
        self.ids.get(id).copied()
    }

    pub(crate) fn outpoint(&self, outpoint: &OutPoint) -> impl Iterator<Item = ChannelIndex> {
        self.outpoints.get(print_outpoint(outpoint))
    }

    pub(crate) fn has_outpoint(&self, outpoint: &OutPoint) -> bool {
        self.outpoints.has(print_outpoint(outpoint))
    }

    pub(crate) fn parent(&self, txid: &Txid) -> impl Iterator<Item = ChannelIndex> {
        self.parents.get(print_txid(txid))
    }

    /// Whether any funding transaction is not confirmed.
    pub(crate) fn awaits_fundings(&self) -> bool {
        !self.parents.0.is_empty()
    }

    pub(crate) fn hash(&self, hash: &PaymentHash) -> impl Iterator<Item = ChannelIndex> {
        self.hashes.get(print_hash(hash))
    }

    /// Channels whose alarm is at or below this height.
    pub(crate) fn alarms(&self, height: Height) -> impl Iterator<Item = ChannelIndex> {
        let range = ..=(height, ChannelIndex::new(u32::MAX));
        self.alarms.range(range).map(|(_, index)| *index)
    }

    /// Channels that hold a fact of this height or above.
    pub(crate) fn heights(&self, height: Height) -> impl Iterator<Item = ChannelIndex> {
        self.heights.range((height, ChannelIndex::new(0))..).map(|(_, index)| *index)
    }

    pub(crate) fn owing(&self) -> impl Iterator<Item = ChannelIndex> {
        self.owing.iter().copied()
    }

    pub(crate) fn deferred(&self) -> impl Iterator<Item = ChannelIndex> {
        self.deferred.iter().copied()
    }

    /// Channels of which the node had not told everything when they were touched last.
    pub(crate) fn untold(&self) -> impl Iterator<Item = ChannelIndex> {
        self.untold.iter().copied()
    }

    /// How many channels were told at each count of starts, those that join first.
    pub(crate) fn told_at(&self) -> &BTreeMap<Option<u64>, u32> {
        &self.told_at
    }

    /// Channels with a failure for the upstream HTLC of a forward.
    pub(crate) fn failing(&self) -> impl Iterator<Item = ChannelIndex> {
        self.failing.iter().copied()
    }

    /// Channels that keep preimages that fit no HTLC yet.
    pub(crate) fn early(&self) -> impl Iterator<Item = ChannelIndex> {
        self.early.iter().copied()
    }

    pub(crate) fn uneconomic(&self) -> impl Iterator<Item = ChannelIndex> {
        self.uneconomic.iter().copied()
    }
}

/// A cheap fingerprint: a collision costs one look at a channel, nothing else.
fn print(bytes: &[u8; 32], salt: u32) -> u32 {
    let (head, _) = bytes.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
    u32::from_le_bytes(*head) ^ salt.wrapping_mul(0x9e37_79b1)
}

fn print_outpoint(outpoint: &OutPoint) -> u32 {
    print(&outpoint.txid.to_byte_array(), outpoint.vout.wrapping_add(1))
}

fn print_txid(txid: &Txid) -> u32 {
    print(&txid.to_byte_array(), 0)
}

fn print_hash(hash: &PaymentHash) -> u32 {
    print(&hash.0, 0)
}

/// Spreads a fingerprint over the table's 64 bits. The function is fixed, so that every process builds the same table.
fn spread(print: u32) -> u64 {
    u64::from(print).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
