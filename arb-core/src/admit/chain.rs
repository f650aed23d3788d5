//! Blocks follow each other (R5): a gap, an unknown parent, and a disconnected block that is not the tip are refused by name.
//!
//! Tests: `arb-harness/lab/tests/court_suite/bad_input.rs`, `arb-harness/lab/tests/court_suite/ratchets.rs`.

use crate::admit::admission::{Admission, channel};
use crate::api::event::{Block, Disconnected, FoundSpend, Scanned};
use crate::api::fees::Fees;
use crate::api::reject::Rejected;
use crate::api::units::Height;
use crate::bolt3::revealed_by;
use crate::court::draft::CourtView;
use alloc::vec::Vec;
use bitcoin::Transaction;

pub(super) fn connected(court: CourtView<'_>, block: &Block) -> Result<Admission, Rejected> {
    let tip = court.state().tip;
    if block.height == tip.height && block.hash == tip.hash {
        return Ok(Admission::Duplicate);
    }
    if block.height != tip.height.next() {
        return Err(Rejected::HeightGap { tip, got: block.height });
    }
    if block.parent != tip.hash {
        return Err(Rejected::UnknownParent { tip, got: block.parent });
    }
    if block.best_height < block.height {
        return Err(Rejected::BadBestHeight { height: block.height, best: block.best_height });
    }
    Ok(Admission::New)
}

pub(super) fn disconnected(court: CourtView<'_>, block: &Disconnected) -> Result<Admission, Rejected> {
    let tip = court.state().tip;
    if block.height == tip.height.next() && block.parent == tip.hash {
        return Ok(Admission::Duplicate);
    }
    if block.height != tip.height || block.hash != tip.hash || block.height.get() == 0 {
        return Err(Rejected::NotTheTip { tip });
    }
    Ok(Admission::New)
}

/// `whole`: it brings the end of what the search found.
pub(super) fn scanned(court: CourtView<'_>, scanned: &Scanned, whole: bool) -> Result<Admission, Rejected> {
    let channel = channel(court, &scanned.channel)?;
    let state = court.state();
    let (tip, through) = (state.tip, scanned.through);
    if !state.remembers(&through) {
        return Err(Rejected::SearchedElsewhere { reached: through, tip, kept: state.hashes.len() });
    }
    let mut found = scanned.spends.iter().map(|spend| spend.height).chain(scanned.confirmed);
    if let Some(got) = found.find(|height| *height > through.height) {
        return Err(Rejected::HeightGap { tip: through, got });
    }
    let kept = channel.chain.kept.get(&scanned.parent).map(|kept| (kept.since, kept.scanned));
    let fundings = channel.facts.fundings.iter().zip(&channel.chain.fundings);
    let fundings = fundings.filter(|(funding, _)| funding.outpoint.txid == scanned.parent);
    let asked: Vec<(Height, bool)> =
        fundings.map(|(_, facts)| (facts.since, facts.scanned)).chain(kept).filter(|(_, scanned)| !scanned).collect();
    // Every block since the request was heard; the scan has to cover the blocks before it.
    match asked.iter().map(|(since, _)| *since).max() {
        // A reorg may have led the tip below that height: the blocks above it will be heard again.
        Some(needed) if through.height < needed.min(tip.height) => {
            Err(Rejected::ScanTooShort { through: through.height, needed: needed.min(tip.height) })
        }
        None => Ok(Admission::Duplicate),
        Some(_) => {
            let got = scanned.spends.iter().fold(0, |sum: usize, spend| sum.saturating_add(spend.tx.total_size()));
            if got > Scanned::BYTES_MAX {
                let what = "list of what a search found";
                return Err(Rejected::TooLong { what, got, max: Scanned::BYTES_MAX });
            }
            let is_new = |spend: &FoundSpend| {
                let kept = channel.chain.kept.get(&spend.tx.compute_txid());
                kept.is_none_or(|kept| kept.height != spend.height)
            };
            Ok(Admission::new_if(whole || scanned.spends.iter().any(is_new)))
        }
    }
}

/// An unconfirmed transaction is new if it reveals a preimage, or is the first sight of a close.
pub(super) fn mempool(court: CourtView<'_>, tx: &Transaction) -> Admission {
    let concerned = court.spent_by(tx);
    if concerned.is_empty() {
        return Admission::Duplicate;
    }
    let txid = tx.compute_txid();
    let first_sight = concerned.iter().filter_map(|index| court.channel(*index)).any(|channel| {
        let is_close = channel.is_funding_spend(tx) && !channel.is_closing(&txid, tx);
        // The first sight of a close, of a commitment that a child of ours could pay for, or of a cheat.
        let ratchet = &channel.ratchet;
        let known = ratchet.seen.contains_key(&txid);
        let cheats = || ratchet.cheat_seen.is_none() && channel.is_revoked(tx);
        is_close
            && channel.chain.kept.is_empty()
            && (!ratchet.peer_on_chain
                || channel.is_new_in_view(&txid, tx)
                || cheats()
                || (!known && channel.is_remote_of_set(tx)))
    });
    let reveals = || {
        let hashes = revealed_by([tx]).into_keys().collect();
        let mut offered = court.offered_with_any(&hashes).into_iter();
        offered.any(|(_, index, htlc)| court.channel(index).is_some_and(|channel| channel.usable(htlc).is_none()))
    };
    let early = || !court.early(concerned.first().map(|index| (*index, tx))).is_empty();
    Admission::new_if(first_sight || reveals() || early())
}

pub(super) fn fees(court: CourtView<'_>, fees: &Fees) -> Result<Admission, Rejected> {
    let rising = fees.by_target.windows(2).all(|pair| matches!(pair, [(a, _), (b, _)] if a < b));
    let valued = fees.by_target.iter().all(|(_, feerate)| *feerate > 0);
    if !rising || !valued || fees.by_target.is_empty() {
        return Err(Rejected::BadFees);
    }
    let court = court.state();
    let Some((known, at)) = &court.fees else { return Ok(Admission::New) };
    // An estimate of the same buckets is a duplicate, unless the last one is growing old.
    let half_stale = court.policy.fee_stale.get() / 2;
    let aging = court.tip.height.since(*at).is_none_or(|age| age.get() > half_stale);
    Ok(Admission::new_if(aging || bucketed(known) != bucketed(fees)))
}

/// Feerates cut to their four leading bits: a bucket is as wide as a sixteenth to an eighth of the feerate.
fn bucketed(fees: &Fees) -> Fees {
    let bucket = |feerate: u32| {
        let shift = u32::BITS.saturating_sub(feerate.leading_zeros()).saturating_sub(4);
        feerate.checked_shr(shift).unwrap_or(0).checked_shl(shift).unwrap_or(0)
    };
    Fees {
        by_target: fees.by_target.iter().map(|(target, feerate)| (*target, bucket(*feerate))).collect(),
        relay_floor_sat_per_kw: bucket(fees.relay_floor_sat_per_kw),
        mempool_min_sat_per_kw: bucket(fees.mempool_min_sat_per_kw),
        incremental_sat_per_kw: bucket(fees.incremental_sat_per_kw),
    }
}
