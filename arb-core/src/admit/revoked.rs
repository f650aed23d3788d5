//! What may be said of a revoked commitment: only while one is on chain, in a commitment's form, and never against what
//! its txid proves.

use crate::admit::admission::{Admission, channel};
use crate::api::ids::{ChannelId, Direction};
use crate::api::past::{RevokedCommitment, RevokedHtlc};
use crate::api::reject::Rejected;
use crate::bolt3::HTLC_EXPIRY_LIMIT;
use crate::channel::ChannelArbitrator;
use crate::court::draft::CourtView;
use bitcoin::secp256k1::Secp256k1;

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
    // A reorg may have taken it away since it was asked for: then it is asked for again when it comes back.
    if !channel.shows(number) {
        return Ok(Admission::Duplicate);
    }
    match channel.revoked.get(&number) {
        Some(known) if candidates.is_empty() || known == candidates => return Ok(Admission::Duplicate),
        // What was stored decides, unless it was nothing.
        Some(known) if !known.is_empty() => return Err(Rejected::RevokedContradicts { number }),
        Some(_) | None => {}
    }
    // The log's own word about a commitment that it saw signed stands, and makes another transaction an unknown one. From
    // everybody else only what the txid proves is taken.
    let unproven = number < channel.set.first_remote || channel.revoked.contains_key(&number);
    if !candidates.is_empty() && unproven && !fits(channel, number, candidates) {
        return Err(Rejected::RevokedContradicts { number });
    }
    Ok(Admission::New)
}

/// Whether one of the candidates is a transaction that is on chain.
fn fits(channel: &ChannelArbitrator, number: u64, candidates: &[RevokedCommitment]) -> bool {
    let secp = Secp256k1::new();
    channel.chain.kept.keys().any(|txid| {
        let mut fundings = channel.facts.fundings.iter();
        fundings.any(|funding| channel.rebuild_past(&secp, number, candidates, funding, *txid).is_some())
    })
}

/// The form of a commitment: HTLCs in rising order, no more than two sides may add, and no more than a funding holds.
fn form(channel: &ChannelArbitrator, candidate: &RevokedCommitment) -> Result<(), Rejected> {
    let pairs = candidate.htlcs.iter().zip(candidate.htlcs.iter().skip(1));
    if let Some((before, htlc)) = pairs.into_iter().find(|(a, b)| a.key >= b.key) {
        let twice = before.key == htlc.key;
        let bad = Rejected::BadHtlc { htlc: htlc.key, why: "HTLCs are listed in rising order of their keys" };
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
    // A txid proves an HTLC's content, not its id: one that we know must be that one (R7).
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
