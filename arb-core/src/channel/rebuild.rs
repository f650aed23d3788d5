//! Commitments rebuilt from what is stored, and in the form in which the log keeps them for a breach (R15).
//!
//! Tests: `arb-harness/lab/tests/world_suite/court.rs`, `arb-harness/lab/tests/court_suite/incidents_outcomes.rs`.

use crate::api::event::CommitmentUpdate;
use crate::api::facts::{Funding, Htlc, Side};
use crate::api::ids::{Direction, HtlcRef};
use crate::api::past::{CommitmentChange, CommitmentRow, RevokedCommitment, RevokedHtlc};
use crate::bolt3::{CommitmentHtlc, CommitmentTerms, is_trimmed};
use crate::channel::commitments::{Commitment, Rebuilt};
use crate::channel::state::ChannelArbitrator;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bitcoin::secp256k1::{All, Secp256k1};

impl ChannelArbitrator {
    /// The log's row for the remote commitment that was signed last, which this update led to.
    pub(crate) fn row_of_last(&mut self, update: &CommitmentUpdate) -> CommitmentRow {
        let mut rows = self.state.set.rows;
        let candidates = self.state.set.remotes.iter().filter(|remote| remote.number == update.number);
        let size = (candidates.clone().count(), self.state.set.remotes.last().map_or(0, |last| last.htlcs.len()));
        let whole = || candidates.map(|candidate| self.as_past(candidate)).collect();
        let has_base = self.state.set.base(Side::Remote, update.number).is_some();
        let row = rows.row(update.number, CommitmentChange::of(update), has_base, whole, size);
        self.state.set.rows = rows;
        row
    }

    /// A remote commitment of the set in the form in which a revoked one is known.
    pub(super) fn as_past(&self, commitment: &Commitment) -> RevokedCommitment {
        let htlcs = commitment.htlcs.iter().filter_map(|htlc| self.htlcs.get(htlc));
        RevokedCommitment {
            feerate_sat_per_kw: commitment.feerate_sat_per_kw,
            local_msat: commitment.local_msat,
            remote_msat: commitment.remote_msat,
            htlcs: htlcs.map(|state| RevokedHtlc::from(&state.htlc)).collect(),
        }
    }

    /// The HTLCs of a commitment as BOLT 3 sees them, in the commitment's order. `added` are those of an update, which counts
    /// before the channel's table: another version of our commitment may have another HTLC under an id (A18).
    pub(crate) fn bolt3_htlcs(&self, owner: Side, commitment: &Commitment, added: &[Htlc]) -> Vec<CommitmentHtlc> {
        let added: BTreeMap<HtlcRef, &Htlc> = added.iter().map(|htlc| (htlc.key, htlc)).collect();
        let find = |key: &HtlcRef| {
            let known = || self.htlcs.get(key).map(|state| &state.htlc);
            added.get(key).copied().or_else(known)
        };
        commitment.htlcs.iter().filter_map(find).map(|htlc| bolt3_htlc(owner, htlc)).collect()
    }

    /// The terms (BOLT 3) of a commitment that spends this funding.
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

    /// Builds a commitment that spends this funding; `None` only for facts that admission refuses.
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

    /// Builds a commitment from these HTLCs, which are in the commitment's order.
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

    /// Whether a commitment of the set has an output for this HTLC, each trimmed at its own feerate and its owner's dust
    /// limit (B63).
    pub(crate) fn has_output_somewhere(&self, htlc: HtlcRef) -> bool {
        let Some(state) = self.htlcs.get(&htlc) else { return false };
        self.set.all().any(|(owner, commitment)| {
            commitment.position(htlc).is_some()
                && !is_trimmed(
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
