//! Past commitments of the counterparty: what the log keeps of each (R15), and what comes back when one confirms.
//!
//! An open channel has no history in memory. Each commitment that we sign for the counterparty becomes one row of the log,
//! found by (channel, number): a change from the one before, or a whole set whenever the changes since the last whole one
//! are larger than that. So a row costs what changed, and any commitment is found in two reads: its own row, which names
//! the last whole one, and the rows from there on.

use crate::bolt3::{CommitmentHtlc, PaymentHash};
use crate::event::CommitmentUpdate;
use crate::facts::Htlc;
use crate::ids::{ChannelIndex, HtlcRef};
use crate::units::Height;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// An HTLC of a past commitment: everything that its script, and a tweak of its key, is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedHtlc {
    /// Direction and id, seen from us.
    pub key: HtlcRef,
    /// Amount in millisatoshi.
    pub amount_msat: u64,
    /// The payment hash.
    pub payment_hash: PaymentHash,
    /// The absolute timelock.
    pub cltv_expiry: Height,
}

impl From<&Htlc> for RevokedHtlc {
    fn from(htlc: &Htlc) -> Self {
        Self {
            key: htlc.key,
            amount_msat: htlc.amount_msat,
            payment_hash: htlc.payment_hash,
            cltv_expiry: htlc.cltv_expiry,
        }
    }
}

impl RevokedHtlc {
    /// The HTLC as the counterparty's commitment has it.
    pub(crate) const fn on_theirs(&self) -> CommitmentHtlc {
        CommitmentHtlc {
            offered_by_owner: !self.key.is_offered(),
            amount_msat: self.amount_msat,
            payment_hash: self.payment_hash,
            cltv_expiry: self.cltv_expiry.get(),
        }
    }
}

/// A past commitment of the counterparty. Its number is known where it is used, and its point follows from its secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedCommitment {
    /// Its feerate.
    pub feerate_sat_per_kw: u32,
    /// Our balance.
    pub local_msat: u64,
    /// The counterparty's balance.
    pub remote_msat: u64,
    /// Its HTLCs, in rising order of their keys.
    pub htlcs: Vec<RevokedHtlc>,
}

/// What the log keeps of one past commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommitmentRow {
    /// Every candidate of this number whole, the one that was signed last at the end: a reconnection may have changed what
    /// was signed (R14).
    Whole(Vec<RevokedCommitment>),
    /// The change from the commitment before.
    Change {
        /// The last number whose row is whole.
        whole: u64,
        /// What changed.
        change: CommitmentChange,
    },
}

/// The change from one commitment to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitmentChange {
    /// The new feerate.
    pub feerate_sat_per_kw: u32,
    /// Our new balance.
    pub local_msat: u64,
    /// The counterparty's new balance.
    pub remote_msat: u64,
    /// HTLCs that came.
    pub added: Vec<RevokedHtlc>,
    /// HTLCs that went.
    pub removed: Vec<HtlcRef>,
}

/// A row that belongs to a frame: whoever appends the frame writes it in the same batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCommitment {
    /// The channel.
    pub channel: ChannelIndex,
    /// The commitment.
    pub number: u64,
    /// The row; it replaces an earlier one of the same number.
    pub row: CommitmentRow,
}

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

impl RevokedCommitment {
    /// The commitment after a change.
    fn changed(&self, change: &CommitmentChange) -> Self {
        let kept = self.htlcs.iter().filter(|htlc| !change.removed.contains(&htlc.key));
        let mut htlcs: Vec<RevokedHtlc> = kept.chain(&change.added).copied().collect();
        htlcs.sort_unstable_by_key(|htlc| htlc.key);
        Self {
            feerate_sat_per_kw: change.feerate_sat_per_kw,
            local_msat: change.local_msat,
            remote_msat: change.remote_msat,
            htlcs,
        }
    }
}

impl CommitmentRow {
    /// The number of the whole row that this one builds on, if it is not whole itself: where to read from.
    pub const fn builds_on(&self) -> Option<u64> {
        match self {
            Self::Whole(_) => None,
            Self::Change { whole, .. } => Some(*whole),
        }
    }

    /// The candidates that consecutive rows end with, the first of them whole; `None` if it is not.
    pub fn unfold<'a>(rows: impl IntoIterator<Item = &'a Self>) -> Option<Vec<RevokedCommitment>> {
        let mut last: Option<Vec<RevokedCommitment>> = None;
        for row in rows {
            last = Some(match row {
                Self::Whole(candidates) => candidates.clone(),
                Self::Change { change, .. } => [last?.last()?.changed(change)].into(),
            });
        }
        last
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
