//! What is accepted about a revoked commitment, or an old one of ours (R14): only while it is on chain, only in a commitment's
//! form, and nothing that its txid or its outputs contradict.
//!
//! Tests: `arb-harness/lab/tests/court_suite/breach_state.rs`, `arb-harness/lab/tests/court_suite/bad_input.rs`.

use crate::admit::admission::{Admission, channel};
use crate::api::ids::{ChannelId, Direction};
use crate::api::past::{RevokedCommitment, RevokedHtlc};
use crate::api::reject::Rejected;
use crate::bolt3::{HTLC_EXPIRY_LIMIT, Point};
use crate::channel::ChannelArbitrator;
use crate::court::draft::CourtView;

use super::commitments::{CANDIDATES_MAX, HTLCS_MAX};

pub(super) fn loaded(
    court: CourtView<'_>,
    id: &ChannelId,
    number: u64,
    candidates: &[RevokedCommitment],
) -> Result<Admission, Rejected> {
    let channel = channel(court, id)?;
    if number >= channel.set.next_revoked || channel.set.secrets.get(number).is_none() {
        return Err(Rejected::NotRevoked { number });
    }
    if candidates.len() > CANDIDATES_MAX {
        return Err(Rejected::TooManyCandidates { got: candidates.len(), max: CANDIDATES_MAX });
    }
    for candidate in candidates {
        form(channel, candidate)?;
    }
    // A reorg may have removed the commitment since the request. If it confirms again, the request is due again.
    if !channel.shows(number) {
        return Ok(Admission::Duplicate);
    }
    let known = channel.revoked.get(&number);
    let proven = known.is_some_and(|known| channel.gives_a_txid(number, known));
    match known {
        Some(known) if known == candidates => Ok(Admission::Duplicate),
        Some(known) if candidates.is_empty() && (proven || known.is_empty()) => Ok(Admission::Duplicate),
        // What gave the txid stands.
        Some(_) if proven => Err(Rejected::RevokedContradicts { number }),
        // Candidates that do not give the txid are refused: the right one may still be told (A13).
        Some(_) | None if candidates.is_empty() || channel.gives_a_txid(number, candidates) => Ok(Admission::New),
        Some(_) | None => Err(Rejected::RevokedContradicts { number }),
    }
}

/// Our point of a commitment that confirmed and may be ours. One that does not give an output of it proves nothing, so a later
/// one may; what gave an output stands.
pub(super) fn point_loaded(
    court: CourtView<'_>,
    id: &ChannelId,
    number: u64,
    point: Option<Point>,
) -> Result<Admission, Rejected> {
    let channel = channel(court, id)?;
    if point.is_some_and(|point| point.parse().is_err()) {
        return Err(Rejected::BadKey);
    }
    // A reorg may have removed the commitment since the request. If it confirms again, the request is due again.
    if !channel.shows(number) {
        return Ok(Admission::Duplicate);
    }
    let known = channel.points.get(&number).copied();
    let proven = known.flatten().is_some_and(|known| channel.fits_own(number, &known));
    match (known, point) {
        (Some(known), point) if known == point => Ok(Admission::Duplicate),
        (Some(Some(_)), None) => Ok(Admission::Duplicate),
        (_, Some(_)) if proven => Err(Rejected::PointContradicts { number }),
        (_, Some(_)) | (None | Some(None), None) => Ok(Admission::New),
    }
}

/// Checks a commitment's form: HTLCs in rising order, no more than BOLT 2 allows, known ones unchanged, and no more in all
/// than a funding holds.
fn form(channel: &ChannelArbitrator, candidate: &RevokedCommitment) -> Result<(), Rejected> {
    let pairs = candidate.htlcs.iter().zip(candidate.htlcs.iter().skip(1));
    if let Some((before, htlc)) = pairs.into_iter().find(|(a, b)| a.key >= b.key) {
        let twice = before.key == htlc.key;
        let bad = Rejected::BadHtlc { htlc: htlc.key, why: "HTLCs must be listed in rising order of their keys" };
        return Err(if twice { Rejected::HtlcTwice(htlc.key) } else { bad });
    }
    for direction in [Direction::Offered, Direction::Received] {
        let got = candidate.htlcs.iter().filter(|htlc| htlc.key.direction == direction).count();
        if got > HTLCS_MAX {
            return Err(Rejected::TooManyHtlcs { got });
        }
    }
    if let Some(htlc) = candidate.htlcs.iter().find(|htlc| htlc.cltv_expiry.get() >= HTLC_EXPIRY_LIMIT) {
        return Err(Rejected::BadHtlc { htlc: htlc.key, why: "its expiry is a time, not a height" });
    }
    // A txid proves an HTLC's content, not its id: an HTLC that is known under this id must have this content (R7).
    let other = |htlc: &&RevokedHtlc| {
        channel.htlcs.get(&htlc.key).is_some_and(|state| RevokedHtlc::from(&state.htlc) != **htlc)
    };
    if let Some(htlc) = candidate.htlcs.iter().find(other) {
        return Err(Rejected::BadHtlc { htlc: htlc.key, why: "it is known with another amount, hash or expiry" });
    }
    let amounts = candidate.htlcs.iter().map(|htlc| htlc.amount_msat);
    let sum_msat = amounts
        .chain([candidate.local_msat, candidate.remote_msat])
        .try_fold(0_u64, u64::checked_add)
        .unwrap_or(u64::MAX);
    let capacity_msat = channel.facts.fundings.iter().map(|funding| funding.value_sat.saturating_mul(1000)).max();
    match capacity_msat {
        Some(capacity_msat) if sum_msat > capacity_msat => Err(Rejected::AboveCapacity { sum_msat, capacity_msat }),
        Some(_) | None => Ok(()),
    }
}
