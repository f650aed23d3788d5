//! Preimages that transactions show and that fit no HTLC that we sent, while the node is still telling: one that fits may be told
//! later (A15).
//!
//! Tests: `arb-harness/lab/tests/court_suite/preimages.rs`, `arb-harness/lab/tests/court_suite/early.rs`.

use crate::api::ids::ChannelIndex;
use crate::bolt3::{PaymentHash, Preimage, preimages_in};
use crate::court::draft::CourtView;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bitcoin::Transaction;

/// A preimage to be kept in a channel; `is_watched`: an input showed it that spends something watched. Everybody can add inputs of
/// their own to a transaction, so others are kept only while there is room.
pub(crate) struct ToKeep {
    pub(crate) channel: ChannelIndex,
    pub(crate) preimage: Preimage,
    pub(crate) is_watched: bool,
}

impl CourtView<'_> {
    /// Whether the node is still telling: of a channel that joins, or everything after a start.
    pub(crate) fn is_telling(self) -> bool {
        self.state().retold < self.state().starts || self.any_untold()
    }

    /// What these transactions show that is to be kept, each with a channel that watches what it spends. Nothing once everything
    /// is told.
    pub(crate) fn early<'b>(self, spends: impl IntoIterator<Item = (ChannelIndex, &'b Transaction)>) -> Vec<ToKeep> {
        let mut shown = if self.is_telling() { self.shown_by(spends) } else { BTreeMap::new() };
        if shown.is_empty() {
            return Vec::new();
        }
        for (hash, ..) in self.offered_with_any(&shown.keys().copied().collect()) {
            shown.remove(&hash);
        }
        let (first, second): (Vec<_>, Vec<_>) = shown.into_iter().partition(|(_, kept)| kept.is_watched);
        let mut rooms = BTreeMap::new();
        let mut out = Vec::new();
        for (hash, kept) in first.into_iter().chain(second) {
            let Some(channel) = self.channel(kept.channel) else { continue };
            let room = rooms.entry(kept.channel).or_insert_with(|| channel.room_for_early());
            if channel.lacks_early(&hash, kept.is_watched) && room.take(kept.is_watched) {
                out.push(kept);
            }
        }
        out
    }

    /// Every 32-byte item by its hash. An item is hashed once, however often a transaction shows it (A25).
    fn shown_by<'b>(
        self,
        spends: impl IntoIterator<Item = (ChannelIndex, &'b Transaction)>,
    ) -> BTreeMap<PaymentHash, ToKeep> {
        let mut shown: BTreeMap<Preimage, ToKeep> = BTreeMap::new();
        for (channel, tx) in spends {
            let inputs = (0_usize..).zip(&tx.input);
            let watched = inputs.filter(|(_, input)| !self.watchers(&input.previous_output).is_empty());
            let watched: BTreeSet<usize> = watched.map(|(index, _)| index).collect();
            for (input, preimage) in preimages_in(tx) {
                let is_watched = watched.contains(&input);
                let kept = shown.entry(preimage).or_insert(ToKeep { channel, preimage, is_watched });
                kept.is_watched |= is_watched;
            }
        }
        shown.into_iter().map(|(preimage, kept)| (preimage.hash(), kept)).collect()
    }
}
