//! When a row of a past commitment is whole, and when it is a change (R15).

use crate::api::event::CommitmentUpdate;
use crate::api::past::{CommitmentChange, CommitmentRow, RevokedCommitment, RevokedHtlc};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// How much was written since the last whole row: decides when the next one is due. Sizes are in bytes, roughly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RowsSince {
    whole: u64,
    changes: u32,
}

/// What a row has besides HTLCs.
const ROW_SIZE: u32 = 24;

/// An HTLC in a row.
const HTLC_SIZE: u32 = 48;

/// An HTLC that went.
const REMOVED_SIZE: u32 = 3;

impl CommitmentChange {
    /// The part of an update that a penalty needs.
    pub(crate) fn of(update: &CommitmentUpdate) -> Self {
        Self {
            feerate_sat_per_kw: update.feerate_sat_per_kw,
            local_msat: update.local_msat,
            remote_msat: update.remote_msat,
            added: update.added.iter().map(RevokedHtlc::from).collect(),
            removed: update.removed.clone(),
        }
    }

    fn size(&self) -> u32 {
        size(self.added.len(), HTLC_SIZE)
            .saturating_add(size(self.removed.len(), REMOVED_SIZE))
            .saturating_add(ROW_SIZE)
    }
}

impl RowsSince {
    /// The row of a commitment with these candidates, of which the last one is this change from the one before.
    pub(crate) fn row(
        &mut self,
        number: u64,
        change: CommitmentChange,
        has_base: bool,
        candidates: impl FnOnce() -> Vec<RevokedCommitment>,
        (count, htlcs): (usize, usize),
    ) -> CommitmentRow {
        let changes = self.changes.saturating_add(change.size());
        let whole = ROW_SIZE.saturating_add(size(htlcs, HTLC_SIZE));
        // One candidate among several is no base that the next change could be told from.
        if has_base && count == 1 && changes <= whole {
            self.changes = changes;
            return CommitmentRow::Change { whole: self.whole, change };
        }
        *self = Self { whole: number, changes: 0 };
        CommitmentRow::Whole(candidates())
    }
}

fn size(count: usize, each: u32) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX).saturating_mul(each)
}
