//! Past commitments of the counterparty: what the log keeps of each (R15), and what comes back when one confirms.
//!
//! An open channel has no history in memory. Each commitment that we sign for the counterparty becomes one row of the log,
//! found by (channel, number). A row is a change from the commitment before, or a whole set if the changes since the last
//! whole row, this one included, would be larger. So a row costs what changed, and any commitment is found in two reads:
//! its own row, which names the last whole one, and the rows from there on.
//!
//! Tests: arb-log/tests/rows.rs, arb-log/tests/rows_damage.rs, arb-harness/lab/tests/rows_suite/main.rs

use crate::api::facts::Htlc;
use crate::api::ids::{ChannelIndex, HtlcRef};
use crate::api::units::Height;
use crate::bolt3::{CommitmentHtlc, PaymentHash};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// An HTLC of a past commitment: everything that its script, and a tweak of its key, is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub struct RevokedHtlc {
    /// Direction and id, seen from us.
    pub key: HtlcRef,
    /// Amount in millisatoshi.
    pub amount_msat: u64,
    pub payment_hash: PaymentHash,
    /// The absolute timelock (BOLT 2 `cltv_expiry`).
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

/// A past commitment of the counterparty, without its number, which is known where it is used, and its point, which
/// follows from its secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub struct RevokedCommitment {
    pub feerate_sat_per_kw: u32,
    /// Our balance in millisatoshi.
    pub local_msat: u64,
    /// The counterparty's balance in millisatoshi.
    pub remote_msat: u64,
    /// Its HTLCs, in rising order of their keys.
    pub htlcs: Vec<RevokedHtlc>,
}

/// What the log keeps of one past commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub enum CommitmentRow {
    /// Every commitment that was signed under this number, the last one at the end: a reconnection may have changed
    /// what was signed.
    Whole(Vec<RevokedCommitment>),
    /// The change from the commitment before.
    Change {
        /// The number of the last commitment whose row is whole.
        whole: u64,
        change: CommitmentChange,
    },
}

/// The change from one commitment to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub struct CommitmentChange {
    pub feerate_sat_per_kw: u32,
    /// Our new balance in millisatoshi.
    pub local_msat: u64,
    /// The counterparty's new balance in millisatoshi.
    pub remote_msat: u64,
    /// HTLCs that the commitment before does not have.
    pub added: Vec<RevokedHtlc>,
    /// HTLCs that only the commitment before has.
    pub removed: Vec<HtlcRef>,
}

/// A row that belongs to a frame, and is written in the same batch (R3).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "name and type say it")]
pub struct StoredCommitment {
    pub channel: ChannelIndex,
    /// The commitment number.
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
    /// The number of the whole row that this one builds on, from which rows must be read; `None` if this one is whole.
    pub const fn builds_on(&self) -> Option<u64> {
        match self {
            Self::Whole(_) => None,
            Self::Change { whole, .. } => Some(*whole),
        }
    }

    /// The commitments of the last of consecutive rows; `None` if the first is not whole.
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
