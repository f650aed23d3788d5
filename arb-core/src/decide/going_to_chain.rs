//! Going to chain (front page, Stages and resolvers; R11): when, why, and whether our commitment may be sent at all.
//!
//! Tests: `arb-harness/lab/tests/court_suite/going_to_chain.rs`.

use crate::api::event::CloseReason;
use crate::api::notice::{Alert, FreezeReason, Notice};
use crate::api::record::Conclusion;
use crate::api::stage::CloseKind;
use crate::bolt3::{ChannelType, commitment_weight};
use crate::channel::chain_height;
use crate::claims::child::newest_funding;
use crate::decide::bench::Bench;
use crate::view::ChannelView;
use alloc::boxed::Box;
use alloc::vec::Vec;

pub(super) fn freezes(bench: &Bench<'_>, view: &ChannelView<'_>, out: &mut Vec<Conclusion>) {
    let ratchet = &view.channel.ratchet;
    alerts(bench, view, out);
    let reason = reason(bench, view);
    if let (Some(why), None) = (reason, ratchet.frozen) {
        out.push(Conclusion::Frozen(why));
        out.push(Conclusion::Noticed(Box::new(Notice::Freeze(why))));
    }
    // Our commitment follows every freeze, unless it must not be sent, or the funding is spent.
    let frozen = ratchet.frozen.or(reason);
    let wanted = frozen.is_some_and(|why| match why {
        FreezeReason::Outdated => false,
        // Its funding has confirmed since, and holds something of ours (A33); or somebody asks for it.
        FreezeReason::Forgotten => view.channel.can_pay_us() || ratchet.close_requested.is_some(),
        // A mutual close that a reorg removed can confirm again, so our commitment is not needed (B62), unless an HTLC is at
        // stake, or somebody asks for it (A20).
        FreezeReason::FundingSpent => {
            ratchet.closings.is_empty() || !view.channel.htlcs.is_empty() || ratchet.close_requested.is_some()
        }
        FreezeReason::Deadline(_)
        | FreezeReason::OverdueSum
        | FreezeReason::Operator
        | FreezeReason::PeerError
        | FreezeReason::PeerOnChain => true,
    });
    if wanted && !ratchet.went_to_chain && !ratchet.outdated && view.close.is_none() {
        out.push(Conclusion::WentToChain);
    }
}

fn alerts(bench: &Bench<'_>, view: &ChannelView<'_>, out: &mut Vec<Conclusion>) {
    let mut raise = |alert: Alert| out.extend(view.channel.raise(Notice::Alert(alert)));
    let start = bench.court.state().starts;
    // A deadline does not lead to chain before the node has told everything; but it does not pass in silence.
    let waits =
        bench.caught_up && !bench.told && view.close.is_none() && view.channel.ratchet.commitment_signed.is_empty();
    let asked = view.channel.ratchet.close_requested == Some(CloseReason::Operator);
    if waits && (asked || deadline(bench, view).is_some()) {
        raise(Alert::AdoptionIncomplete { since: view.tip, start });
    }
    if view.channel.ratchet.outdated {
        raise(Alert::Outdated);
    } else if let (Some(local), true) = (&view.channel.set.local, waits_for_funding(bench, view)) {
        let amount_sat = local.commitment.local_msat.checked_div(1000).unwrap_or(0);
        raise(Alert::FundingUnconfirmed { number: local.commitment.number, amount_sat });
    }
    if let Some((next_commitment_number, next_revocation_number)) = view.channel.ratchet.claimed {
        raise(Alert::PeerClaimsNewer { next_commitment_number, next_revocation_number, start });
    }
    if let Some(close) = &view.close {
        if let (true, Some(number)) = (view.channel.told_no_output(close), close.number) {
            raise(Alert::PointGivesNoOutput { number, txid: close.txid });
        }
        match close.kind {
            // It may still be told while the channel joins.
            CloseKind::Unknown | CloseKind::Superseded if !bench.told => {}
            // The answer may show whose it is, so the alert waits for it; but one block only (R13).
            CloseKind::Unknown if close.is_asked() && view.tip <= close.height => {}
            CloseKind::Superseded => {
                raise(Alert::SupersededCommitment { number: close.number.unwrap_or(0), txid: close.txid });
            }
            CloseKind::Unknown => raise(Alert::UnknownCommitment { txid: close.txid }),
            // What is loaded may still show that it is unknown, so the alert waits for the answer; but one block only (R13).
            CloseKind::Revoked if close.loading && view.tip <= close.height => {}
            CloseKind::Revoked => {
                let (number, txid) = (close.number.unwrap_or(0), close.txid);
                raise(Alert::RevokedCommitment { number, txid });
                if close.rebuilt.is_none() && !close.loading {
                    raise(Alert::RevokedStateMissing { number, txid });
                }
            }
            CloseKind::Local | CloseKind::Remote | CloseKind::RemotePending | CloseKind::Mutual => {}
        }
    }
}

/// Whether our commitment would be sent if its funding were known to be confirmed (A21). That it is not is a conclusion from
/// absence (R11).
fn waits_for_funding(bench: &Bench<'_>, view: &ChannelView<'_>) -> bool {
    view.channel.ratchet.went_to_chain
        && view.close.is_none()
        && bench.caught_up
        && newest_funding(view.channel).is_none()
}

/// Why the channel must be frozen. If several reasons apply, the most certain one.
fn reason(bench: &Bench<'_>, view: &ChannelView<'_>) -> Option<FreezeReason> {
    let ratchet = &view.channel.ratchet;
    if view.close.is_some() {
        return Some(FreezeReason::FundingSpent);
    }
    if ratchet.outdated {
        return Some(FreezeReason::Outdated);
    }
    match ratchet.close_requested {
        Some(CloseReason::Operator) => return Some(FreezeReason::Operator),
        Some(CloseReason::PeerError) => return Some(FreezeReason::PeerError),
        None => {}
    }
    if ratchet.forgotten {
        return Some(FreezeReason::Forgotten);
    }
    if ratchet.peer_on_chain {
        return Some(FreezeReason::PeerOnChain);
    }
    // A deadline counts only while the funding is unspent and the HTLC is there, so it waits for the best known block and for
    // the node (R11).
    if bench.is_present() { deadline(bench, view) } else { None }
}

/// The HTLC, or the sum of HTLCs, that asks for the chain. One that is dust on every commitment never does; small ones do if
/// together they are worth more than a close, or once they are long overdue; or if those that pay for their own claim are more
/// than may still be given up for their upstream HTLCs (A12).
fn deadline(bench: &Bench<'_>, view: &ChannelView<'_>) -> Option<FreezeReason> {
    let channel = view.channel;
    let close_cost_sat = close_cost_sat(bench, view);
    // Two stages, and with anchors a coin of the wallet's with its change.
    let stages = if channel.facts.channel_type.has_anchors() { 3 } else { 2 };
    let claim_cost_sat = cost_sat(bench, view, SWEEP_WEIGHT.saturating_mul(stages));
    let (mut small_sat, mut forwarded_sat): (u64, u64) = (0, 0);
    for (htlc, state) in &channel.htlcs {
        let usable = channel.ratchet.usable.contains_key(htlc);
        let Some(due) = chain_height(state, usable, view.policy).filter(|due| view.tip >= *due) else { continue };
        if channel.is_answered(*htlc) || !channel.has_output_somewhere(*htlc) {
            continue;
        }
        let amount_sat = state.htlc.amount_sat();
        if amount_sat >= close_cost_sat || view.tip >= due.after(view.policy.overdue_max) {
            return Some(FreezeReason::Deadline(*htlc));
        }
        small_sat = small_sat.saturating_add(amount_sat);
        let pays = amount_sat >= claim_cost_sat && !channel.ratchet.released.contains_key(htlc);
        if state.upstream_expiry.is_some() && pays {
            forwarded_sat = forwarded_sat.saturating_add(amount_sat);
        }
    }
    let too_many = small_sat > close_cost_sat || forwarded_sat > give_up_left_sat(view);
    too_many.then_some(FreezeReason::OverdueSum)
}

/// What may still be given up in this channel, in satoshi.
pub(super) fn give_up_left_sat(view: &ChannelView<'_>) -> u64 {
    view.policy.giveup_sum_sat.saturating_sub(view.channel.ratchet.wagered_sat)
}

/// Weight of one sweep, in weight units: an input with a witness script, and an output.
const SWEEP_WEIGHT: u64 = 600;
/// The least weight of going to chain, in weight units: a commitment without HTLCs, and one sweep. The same for every channel
/// type.
const CLOSE_WEIGHT: u64 = commitment_weight(ChannelType::AnchorsZeroFeeHtlcTx) + SWEEP_WEIGHT;

/// The policy's `close_cost`: the commitment and one sweep at the current lazy estimate, in satoshi.
pub(crate) fn close_cost_sat(bench: &Bench<'_>, view: &ChannelView<'_>) -> u64 {
    cost_sat(bench, view, CLOSE_WEIGHT)
}

/// What so many weight units cost at the current lazy estimate, in satoshi.
fn cost_sat(bench: &Bench<'_>, view: &ChannelView<'_>, weight: u64) -> u64 {
    let feerate = bench.court.state().feerate(view.policy, view.policy.lazy_target);
    u64::from(feerate).saturating_mul(weight).div_ceil(1000)
}
