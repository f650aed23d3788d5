//! The commitments that can confirm: ours, theirs, their pending ones. Revoked ones are not in the set.

use super::ChannelArbitrator;
use crate::bolt3::{BuiltCommitment, CommitmentHtlc, CommitmentTerms, Point, SecretStore};
use crate::event::{CommitmentSignatures, CommitmentUpdate};
use crate::facts::{Funding, Htlc, Side, Standing};
use crate::ids::{Direction, HtlcRef};
use crate::revoked::{CommitmentChange, CommitmentRow, RevokedCommitment, RevokedHtlc, RowsSince};
use alloc::vec::Vec;
use bitcoin::secp256k1::{All, Secp256k1};
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

impl ChannelArbitrator {
    /// What the log is to keep of the remote commitment that was signed last.
    pub(crate) fn row_of_last(&mut self, update: &CommitmentUpdate) -> CommitmentRow {
        let mut rows = self.set.rows;
        let candidates = self.set.remotes.iter().filter(|remote| remote.number == update.number);
        let size = (candidates.clone().count(), self.set.remotes.last().map_or(0, |last| last.htlcs.len()));
        let whole = || candidates.map(|candidate| self.as_past(candidate)).collect();
        let has_base = self.set.base(Side::Remote, update.number).is_some();
        let row = rows.row(update.number, CommitmentChange::of(update), has_base, whole, size);
        self.set.rows = rows;
        row
    }

    /// A commitment of the set as it will be known once it is revoked.
    pub(super) fn as_past(&self, commitment: &Commitment) -> RevokedCommitment {
        let htlcs = commitment.htlcs.iter().filter_map(|htlc| self.htlcs.get(htlc));
        RevokedCommitment {
            feerate_sat_per_kw: commitment.feerate_sat_per_kw,
            local_msat: commitment.local_msat,
            remote_msat: commitment.remote_msat,
            htlcs: htlcs.map(|state| RevokedHtlc::from(&state.htlc)).collect(),
        }
    }

    /// The HTLCs of a commitment as BOLT 3 sees them, in the commitment's own order. `added` are not in the channel's
    /// table yet.
    pub(crate) fn bolt3_htlcs(&self, owner: Side, commitment: &Commitment, added: &[Htlc]) -> Vec<CommitmentHtlc> {
        let find = |key: &HtlcRef| {
            let known = self.htlcs.get(key).map(|state| &state.htlc);
            known.or_else(|| added.iter().find(|htlc| htlc.key == *key))
        };
        commitment.htlcs.iter().filter_map(find).map(|htlc| bolt3_htlc(owner, htlc)).collect()
    }

    /// The terms of a commitment of one funding.
    pub(crate) fn terms<'a>(
        &'a self,
        owner: Side,
        commitment: &Commitment,
        funding: &Funding,
        htlcs: &'a [CommitmentHtlc],
    ) -> CommitmentTerms<'a> {
        let (owner_msat, other_msat, owner_funding, other_funding) = match owner {
            Side::Local => (commitment.local_msat, commitment.remote_msat, funding.local_key, funding.remote_key),
            Side::Remote => (commitment.remote_msat, commitment.local_msat, funding.remote_key, funding.local_key),
        };
        let side = self.facts.side(owner);
        CommitmentTerms {
            channel_type: self.facts.channel_type,
            funding: funding.outpoint,
            funding_value_sat: funding.value_sat,
            owner_funding,
            other_funding,
            owner: &side.basepoints,
            other: &self.facts.side(owner.other()).basepoints,
            owner_is_opener: self.facts.opener == owner,
            owner_delay_blocks: side.delay_blocks,
            owner_dust_limit_sat: side.dust_limit_sat,
            number: commitment.number,
            point: commitment.point,
            feerate_sat_per_kw: commitment.feerate_sat_per_kw,
            owner_msat,
            other_msat,
            htlcs,
        }
    }

    /// Builds a commitment of one funding; `None` only for facts that admission would have refused.
    pub(crate) fn rebuild(
        &self,
        secp: &Secp256k1<All>,
        owner: Side,
        commitment: &Commitment,
        funding: &Funding,
        added: &[Htlc],
    ) -> Option<Rebuilt> {
        self.build(secp, owner, commitment, funding, self.bolt3_htlcs(owner, commitment, added))
    }

    /// Builds a commitment from these HTLCs, which are in the commitment's own order.
    pub(crate) fn build(
        &self,
        secp: &Secp256k1<All>,
        owner: Side,
        commitment: &Commitment,
        funding: &Funding,
        htlcs: Vec<CommitmentHtlc>,
    ) -> Option<Rebuilt> {
        let built = self.terms(owner, commitment, funding, &htlcs).build(secp).ok()?;
        Some(Rebuilt { htlcs, built })
    }

    /// Whether an unrevoked commitment has an output for this HTLC, each side's own trimming counted (B63).
    pub(crate) fn has_output_somewhere(&self, htlc: HtlcRef) -> bool {
        let Some(state) = self.htlcs.get(&htlc) else { return false };
        self.set.all().any(|(owner, commitment)| {
            commitment.position(htlc).is_some()
                && !crate::bolt3::is_trimmed(
                    self.facts.channel_type,
                    commitment.feerate_sat_per_kw,
                    self.facts.side(owner).dust_limit_sat,
                    bolt3_htlc(owner, &state.htlc).offered_by_owner,
                    state.htlc.amount_msat,
                )
        })
    }
}

fn bolt3_htlc(owner: Side, htlc: &Htlc) -> CommitmentHtlc {
    let by_us = htlc.key.direction == Direction::Offered;
    CommitmentHtlc {
        offered_by_owner: match owner {
            Side::Local => by_us,
            Side::Remote => !by_us,
        },
        amount_msat: htlc.amount_msat,
        payment_hash: htlc.payment_hash,
        cltv_expiry: htlc.cltv_expiry.get(),
    }
}
