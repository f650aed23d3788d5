//! What is known of HTLCs that are not told yet: preimages that a transaction showed, kept by their hash while the node is still
//! telling (A15), and what the node said of an HTLC before it told the HTLC, kept by its id while the channel joins.
//!
//! Both are bounded. What the node said counts for that HTLC alone (R8).
//!
//! Tests: `arb-harness/lab/tests/court_suite/early.rs`.

use crate::api::ids::HtlcRef;
use crate::api::units::Height;
use crate::bolt3::{PaymentHash, Preimage};
use crate::channel::state::{ChannelArbitrator, ShownEarly, ToldEarly};
use alloc::collections::BTreeMap;

/// How many preimages are kept that fit no HTLC yet: as many as one commitment has HTLCs in one direction (BOLT 2).
const SHOWN_MAX: usize = 483;

/// Of how many HTLCs it is kept what the node said before it told them: as many as one commitment has (BOLT 2).
const TOLD_MAX: usize = 2 * 483;

/// How many more preimages a channel keeps, as a batch of them is chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Places that are free.
    free: usize,
    /// Places that are free, or hold a preimage of an input that spends nothing watched.
    for_watched: usize,
}

impl Room {
    /// Takes a place, if there is one.
    pub(crate) fn take(&mut self, is_watched: bool) -> bool {
        let has = if is_watched { self.for_watched > 0 } else { self.free > 0 };
        if has {
            self.free = self.free.saturating_sub(1);
            self.for_watched = self.for_watched.saturating_sub(usize::from(is_watched));
        }
        has
    }
}

impl ChannelArbitrator {
    /// Whether a preimage for this hash, which an input showed that spends something watched or not, is not kept like that yet.
    pub(crate) fn lacks_early(&self, hash: &PaymentHash, is_watched: bool) -> bool {
        self.ratchet.shown_early.get(hash).is_none_or(|known| is_watched && !known.is_watched)
    }

    /// How many more preimages it keeps that fit no HTLC yet (A15).
    pub(crate) fn room_for_early(&self) -> Room {
        let early = &self.ratchet.shown_early;
        let watched = early.values().filter(|known| known.is_watched).count();
        Room { free: SHOWN_MAX.saturating_sub(early.len()), for_watched: SHOWN_MAX.saturating_sub(watched) }
    }

    /// Keeps a preimage that fits no HTLC yet. What spends something watched takes the place of what does not.
    pub(super) fn hear_shown_early(&mut self, preimage: Preimage, is_watched: bool) {
        let early = &mut self.state.ratchet.shown_early;
        let hash = preimage.hash();
        if early.len() >= SHOWN_MAX && !early.contains_key(&hash) {
            let other = early.iter().find(|(_, known)| is_watched && !known.is_watched).map(|(hash, _)| *hash);
            let Some(other) = other else { return };
            early.remove(&other);
        }
        early.insert(hash, ShownEarly { preimage, is_watched });
    }

    /// Everything is told: no HTLC comes any more that a preimage was kept for.
    pub(super) fn forget_shown_early(&mut self) {
        self.state.ratchet.shown_early.clear();
    }

    /// Whether the channel joins and this HTLC is not told yet, and what the node says of it is kept, after that of so many more.
    pub(crate) fn keeps_for(&self, htlc: HtlcRef, more: usize) -> bool {
        let told = &self.ratchet.told_early;
        let has_room = told.len().saturating_add(more) < TOLD_MAX || told.contains_key(&htlc);
        self.adopted.is_none() && !self.htlcs.contains_key(&htlc) && has_room
    }

    /// What the node said of an HTLC that it has not told yet.
    pub(crate) fn told_early(&self, htlc: HtlcRef) -> ToldEarly {
        self.ratchet.told_early.get(&htlc).copied().unwrap_or_default()
    }

    /// The node says of an HTLC that is not told yet that it may use this preimage for it.
    pub(super) fn hear_usable_early(&mut self, htlc: HtlcRef, preimage: Preimage) {
        if self.keeps_for(htlc, 0) {
            self.state.ratchet.told_early.entry(htlc).or_default().preimage = Some(preimage);
        }
    }

    /// The node says of an HTLC that is not told yet that it is irrevocably committed (A7).
    pub(super) fn hear_committed_early(&mut self, htlc: HtlcRef) {
        if self.keeps_for(htlc, 0) {
            self.state.ratchet.told_early.entry(htlc).or_default().is_committed = true;
        }
    }

    /// The HTLCs are told of which the node said something before.
    pub(crate) fn hear_what_was_told_early(&mut self, tip: Height) {
        let htlcs = &self.state.htlcs;
        let is_told = |htlc: &HtlcRef| htlcs.contains_key(htlc);
        if !self.ratchet.told_early.keys().any(is_told) {
            return;
        }
        let all = core::mem::take(&mut self.state.ratchet.told_early);
        let (told, rest): (BTreeMap<_, _>, BTreeMap<_, _>) = all.into_iter().partition(|(htlc, _)| is_told(htlc));
        self.state.ratchet.told_early = rest;
        for (htlc, said) in told {
            let hash = self.htlcs.get(&htlc).map(|state| state.htlc.payment_hash);
            if let Some(preimage) = said.preimage.filter(|preimage| Some(preimage.hash()) == hash) {
                self.hear_usable(htlc, preimage, tip, false);
            }
            if said.is_committed {
                self.hear_committed(htlc);
            }
        }
    }
}
