//! The commitments that can confirm: ours, theirs, their pending ones. Revoked ones are not in the set.

use crate::api::event::{CommitmentSignatures, CommitmentUpdate};
use crate::api::facts::{Side, Standing};
use crate::api::ids::HtlcRef;
use crate::bolt3::{BuiltCommitment, CommitmentHtlc, Point, SecretStore};
use crate::channel::rows::RowsSince;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// One commitment: what differs from the channel's facts. Its HTLCs are in the channel's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Commitment {
    pub(crate) number: u64,
    pub(crate) point: Point,
    pub(crate) feerate_sat_per_kw: u32,
    pub(crate) local_msat: u64,
    pub(crate) remote_msat: u64,
    /// In rising order.
    pub(crate) htlcs: Vec<HtlcRef>,
}

/// Our commitment and the counterparty's signatures for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LocalCommitment {
    pub(crate) commitment: Commitment,
    /// By funding, in the order of the channel's facts.
    pub(crate) signatures: Vec<CommitmentSignatures>,
}

/// The commitments that can confirm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommitmentSet {
    pub(crate) local: Option<LocalCommitment>,
    /// Oldest first. Two with one number are candidates: a reconnection may have changed what was signed (R14).
    pub(crate) remotes: Vec<Commitment>,
    pub(crate) next_local: u64,
    /// The remote commitment that is revoked next.
    pub(crate) next_revoked: u64,
    /// The number of the first remote commitment, for a channel that was adopted while it ran.
    pub(crate) first_remote: u64,
    /// A point that was announced for a remote commitment.
    pub(crate) announced: Option<(u64, Point)>,
    pub(crate) secrets: SecretStore,
    /// What the log has of past remote commitments.
    pub(crate) rows: RowsSince,
}

impl CommitmentSet {
    pub(crate) fn new(standing: Standing) -> Self {
        let Standing { next_local, next_remote, secrets } = standing;
        Self {
            local: None,
            remotes: Vec::new(),
            next_local,
            next_revoked: next_remote,
            first_remote: next_remote,
            announced: None,
            secrets,
            rows: RowsSince::default(),
        }
    }

    /// The newest remote commitments' number.
    pub(crate) fn newest_remote(&self) -> Option<u64> {
        self.remotes.last().map(|remote| remote.number)
    }

    /// Every commitment that can confirm, with its owner.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Side, &Commitment)> {
        let local = self.local.iter().map(|local| (Side::Local, &local.commitment));
        local.chain(self.remotes.iter().map(|remote| (Side::Remote, remote)))
    }

    /// The commitment that an update is the change from; `None` for the first of a side.
    pub(crate) fn base(&self, side: Side, number: u64) -> Option<&Commitment> {
        match side {
            Side::Local => self.local.as_ref().map(|local| &local.commitment),
            Side::Remote => {
                let before = number.checked_sub(1)?;
                self.remotes.iter().rev().find(|remote| remote.number == before)
            }
        }
    }
}

impl Commitment {
    /// The commitment after an update, whose content was checked.
    pub(crate) fn updated(base: Option<&Self>, update: &CommitmentUpdate) -> Self {
        let kept = base.into_iter().flat_map(|base| &base.htlcs).copied();
        let mut htlcs: Vec<HtlcRef> = kept.filter(|htlc| !update.removed.contains(htlc)).collect();
        htlcs.extend(update.added.iter().map(|htlc| htlc.key));
        htlcs.sort_unstable();
        Self {
            number: update.number,
            point: update.point,
            feerate_sat_per_kw: update.feerate_sat_per_kw,
            local_msat: update.local_msat,
            remote_msat: update.remote_msat,
            htlcs,
        }
    }

    /// The position of an HTLC in this commitment's list, which is also its index in the terms.
    pub(crate) fn position(&self, htlc: HtlcRef) -> Option<usize> {
        self.htlcs.binary_search(&htlc).ok()
    }
}

/// A commitment as BOLT 3 sees it: built, with the list of HTLCs that it was built from.
#[derive(Clone, Debug)]
pub(crate) struct Rebuilt {
    pub(crate) htlcs: Vec<CommitmentHtlc>,
    pub(crate) built: BuiltCommitment,
}
