//! When the log's row of a remote commitment is whole, and when it is a change (R15).
//!
//! A row is whole once the changes since the last whole row outweigh it, so a commitment costs what changed and is found in
//! two reads.
//!
//! Tests: `arb-log/tests/rows.rs`, `arb-harness/lab/tests/rows_suite/main.rs`.

use crate::api::event::CommitmentUpdate;
use crate::api::past::{CommitmentChange, CommitmentRow, RevokedCommitment, RevokedHtlc};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The last whole row and what was written since, which decides when the next whole row is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RowsSince {
    /// The number of the commitment whose row was whole last.
    whole: u64,
    /// The estimated size of the changes since, in bytes.
    changes: u32,
}

/// Estimated size of a row without its HTLCs, in bytes.
const ROW_SIZE: u32 = 24;

/// Estimated size of an HTLC in a row, in bytes.
const HTLC_SIZE: u32 = 48;

/// Estimated size of a removed HTLC's key, in bytes.
const REMOVED_SIZE: u32 = 3;

impl CommitmentChange {
    /// The part of an update that a penalty needs: enough to rebuild the commitment once its secret is known.
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
    /// The row of the commitment with this number. `change` leads to the last of its candidates, of which there are `count`
    /// and which has `htlcs` HTLCs; `has_base` says whether the set still holds the commitment before.
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
        // A change unfolds to one candidate, so a number with several candidates needs a whole row.
        if has_base && count == 1 && changes <= whole {
            self.changes = changes;
            return CommitmentRow::Change { whole: self.whole, change };
        }
        *self = Self { whole: number, changes: 0 };
        CommitmentRow::Whole(candidates())
    }
}

/// Saturates: the estimate only decides whether a row is whole, and either form is correct.
fn size(count: usize, each: u32) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX).saturating_mul(each)
}
