//! Past commitments of the counterparty: what the log keeps of each (R15), and what comes back when one confirms.
//!
//! An open channel has no history in memory. Each commitment that we sign for the counterparty becomes one row of the log,
//! found by (channel, number): a change from the one before, or a whole set whenever the changes since the last whole one
//! are larger than that. So a row costs what changed, and any commitment is found in two reads: its own row, which names
//! the last whole one, and the rows from there on.

use crate::api::facts::Htlc;
use crate::api::ids::{ChannelIndex, HtlcRef};
use crate::api::units::Height;
use crate::bolt3::{CommitmentHtlc, PaymentHash};
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
