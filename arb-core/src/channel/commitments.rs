//! The commitments that can confirm: ours, theirs, their pending ones. A commitment leaves the set with its revocation, ours
//! with the acceptance of the next one (R10), or of another version of the same number (A18).
//!
//! Tests: `arb-harness/lab/tests/court_suite/ratchets.rs`, `arb-harness/lab/tests/court_suite/bad_commitments.rs`.

use crate::api::event::{CommitmentSignatures, CommitmentUpdate};
use crate::api::facts::{Side, Standing};
use crate::api::ids::HtlcRef;
use crate::bolt3::{BuiltCommitment, CommitmentHtlc, OutputKind, Point, SecretStore};
use crate::channel::rows::RowsSince;
use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use bitcoin::OutPoint;
use serde::{Deserialize, Serialize};

/// One commitment: what varies from commitment to commitment. Its HTLCs are keys into the channel's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Commitment {
    pub(crate) number: u64,
    /// The owner's per-commitment point.
    pub(crate) point: Point,
    pub(crate) feerate_sat_per_kw: u32,
    pub(crate) local_msat: u64,
    pub(crate) remote_msat: u64,
    /// In rising order: [`position`](Self::position) searches by halves.
    pub(crate) htlcs: Vec<HtlcRef>,
}

/// Our commitment and the counterparty's signatures for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LocalCommitment {
    pub(crate) commitment: Commitment,
    /// One entry for each funding, in the order of the channel's facts.
    pub(crate) signatures: Vec<CommitmentSignatures>,
    /// The HTLCs that it has and our commitment before had not, and those that only that one had: another version of it is told
    /// as a change from that one, too (A18).
    pub(crate) added: Vec<HtlcRef>,
    pub(crate) removed: Vec<HtlcRef>,
}

impl LocalCommitment {
    /// The HTLCs of our commitment before, in the form of a commitment to which a change is applied.
    fn before(&self) -> Commitment {
        let (mut before, added) = (self.commitment.clone(), BTreeSet::from_iter(&self.added));
        before.htlcs.retain(|htlc| !added.contains(htlc));
        before.htlcs.extend(&self.removed);
        before.htlcs.sort_unstable();
        before
    }
}

/// The commitments that can confirm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CommitmentSet {
    pub(crate) local: Option<LocalCommitment>,
    /// Oldest first. Several with one number are candidates: a reconnection may have changed what was signed (R14).
    pub(crate) remotes: Vec<Commitment>,
    /// The number of our next commitment.
    pub(crate) next_local: u64,
    /// The number of the remote commitment that is revoked next: the oldest that is not revoked.
    pub(crate) next_revoked: u64,
    /// The number of the first remote commitment that the court hears of: above 0 for a channel that was adopted while it ran.
    pub(crate) first_remote: u64,
    /// The per-commitment point that the last revocation announced, and the number of the remote commitment it is for.
    pub(crate) announced: Option<(u64, Point)>,
    pub(crate) secrets: SecretStore,
    /// What the log has written since its last whole row of a remote commitment.
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

    /// The standing that it began with, while no commitment has been told.
    pub(crate) fn standing(&self) -> Standing {
        Standing { next_local: self.next_local, next_remote: self.next_revoked, secrets: self.secrets.clone() }
    }

    /// The highest number among the remote commitments; `None` before the first.
    pub(crate) fn newest_remote(&self) -> Option<u64> {
        self.remotes.last().map(|remote| remote.number)
    }

    /// The number of the next remote commitment.
    pub(crate) fn next_remote(&self) -> u64 {
        self.newest_remote().map_or(self.first_remote, |newest| newest.saturating_add(1))
    }

    /// Every commitment that can confirm, with its owner.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Side, &Commitment)> {
        let local = self.local.iter().map(|local| (Side::Local, &local.commitment));
        local.chain(self.remotes.iter().map(|remote| (Side::Remote, remote)))
    }

    /// An update as the change from the commitment before, in which form the log keeps it.
    pub(crate) fn change(&self, side: Side, update: &CommitmentUpdate) -> CommitmentUpdate {
        Commitment::change(self.base(side, update.number).as_deref(), update)
    }

    /// The commitment that an update with this number changes; `None` for a side's first one, and if the set no longer
    /// holds it. Of our commitment before the newest only the HTLCs are known.
    pub(crate) fn base(&self, side: Side, number: u64) -> Option<Cow<'_, Commitment>> {
        match side {
            Side::Local => self.local.as_ref().map(|local| {
                let replaces = local.commitment.number == number;
                if replaces { Cow::Owned(local.before()) } else { Cow::Borrowed(&local.commitment) }
            }),
            Side::Remote => {
                let before = number.checked_sub(1)?;
                self.remotes.iter().rev().find(|remote| remote.number == before).map(Cow::Borrowed)
            }
        }
    }

    /// Whether a commitment of theirs has this HTLC.
    pub(crate) fn is_on_remote(&self, htlc: HtlcRef) -> bool {
        self.remotes.iter().any(|remote| remote.position(htlc).is_some())
    }
}

impl Commitment {
    /// The commitment after an update, whose content admission checked.
    pub(crate) fn updated(base: Option<&Self>, update: &CommitmentUpdate) -> Self {
        let kept = base.filter(|_| !update.whole).into_iter().flat_map(|base| &base.htlcs).copied();
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

    /// An update as the change from this commitment, whose HTLCs keep their content.
    fn change(base: Option<&Self>, update: &CommitmentUpdate) -> CommitmentUpdate {
        let mut update = update.clone();
        if let (true, Some(base)) = (update.whole, base) {
            let stays = |key: &HtlcRef| update.added.iter().any(|htlc| htlc.key == *key);
            update.removed = base.htlcs.iter().filter(|key| !stays(key)).copied().collect();
            update.added.retain(|htlc| base.position(htlc.key).is_none());
        }
        update.whole = false;
        update
    }

    /// The position of an HTLC in this commitment's list, and so in [`Rebuilt::htlcs`]; `None` if it is not on it.
    pub(crate) fn position(&self, htlc: HtlcRef) -> Option<usize> {
        self.htlcs.binary_search(&htlc).ok()
    }
}

/// A commitment as BOLT 3 sees it: the transaction, and the HTLCs that it was built from, in the commitment's order.
#[derive(Clone, Debug)]
pub(crate) struct Rebuilt {
    pub(crate) htlcs: Vec<CommitmentHtlc>,
    pub(crate) built: BuiltCommitment,
}

impl Rebuilt {
    /// The value of our main output on a commitment of this owner, in sat; 0 if it has none.
    pub(crate) fn main_sat(&self, owner: Side) -> u64 {
        let kind = match owner {
            Side::Local => OutputKind::ToOwner,
            Side::Remote => OutputKind::ToOther,
        };
        let outputs = self.built.outputs.iter().zip(&self.built.tx.output);
        outputs.filter(|(output, _)| **output == kind).map(|(_, output)| output.value.to_sat()).sum()
    }

    /// Our anchor on a commitment of this owner.
    pub(crate) fn anchor(&self, owner: Side) -> Option<OutPoint> {
        let kind = match owner {
            Side::Local => OutputKind::OwnerAnchor,
            Side::Remote => OutputKind::OtherAnchor,
        };
        let vout = self.built.outputs.iter().position(|output| *output == kind)?;
        Some(OutPoint { txid: self.built.txid, vout: u32::try_from(vout).ok()? })
    }
}
