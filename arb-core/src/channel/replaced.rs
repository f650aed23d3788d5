//! What another version of our newest commitment replaces (A18): HTLCs that only the first version added never were.
//!
//! Tests: `arb-harness/lab/tests/court_suite/signed_again.rs`.

use crate::api::event::CommitmentUpdate;
use crate::api::facts::{Htlc, Side};
use crate::api::ids::HtlcRef;
use crate::channel::state::ChannelArbitrator;
use alloc::collections::{BTreeMap, BTreeSet};

impl ChannelArbitrator {
    /// The received HTLCs of our newest commitment that an update of its number replaces: those that it added, that no commitment
    /// of theirs has, and that the update has not, or has with another content. After a reconnection the counterparty
    /// counts their ids again (BOLT 2).
    pub(crate) fn replaced_by(&self, side: Side, update: &CommitmentUpdate) -> BTreeSet<HtlcRef> {
        let local = self.set.local.as_ref().filter(|local| local.commitment.number == update.number);
        let Some(local) = local.filter(|_| side == Side::Local) else { return BTreeSet::new() };
        let told: BTreeMap<HtlcRef, &Htlc> = update.added.iter().map(|htlc| (htlc.key, htlc)).collect();
        let stays = |key: &HtlcRef| {
            let state = self.htlcs.get(key);
            state.zip(told.get(key)).is_some_and(|(state, told)| state.htlc == **told)
        };
        let added = local.added.iter().filter(|key| !key.is_offered() && !self.set.is_on_remote(**key));
        added.filter(|key| !stays(key)).copied().collect()
    }

    /// Forgets the HTLCs that an update of our newest commitment replaces, as if they had never been told.
    pub(super) fn forget_replaced(&mut self, update: &CommitmentUpdate) {
        let replaced = self.replaced_by(Side::Local, update);
        let Some(lowest) = replaced.first() else { return };
        for key in &replaced {
            self.state.htlcs.remove(key);
            self.state.ratchet.usable.remove(key);
            self.state.ratchet.given_up.remove(key);
        }
        let newest = self.state.htlcs.keys().next_back().filter(|key| !key.is_offered());
        self.state.next_htlc.1 = newest.map_or(0, |key| key.id.saturating_add(1)).max(lowest.id);
    }
}
