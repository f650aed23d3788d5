//! Going to chain (front page, Stages and resolvers): when, why, and whether our commitment may be sent at all.

use crate::api::event::CloseReason;
use crate::api::facts::Link;
use crate::api::ids::HtlcRef;
use crate::api::notice::{Alert, FreezeReason, Notice};
use crate::api::record::Conclusion;
use crate::api::stage::CloseKind;
use crate::bolt3::{ChannelType, commitment_weight};
use crate::channel::chain_height;
use crate::decide::bench::Bench;
use crate::view::ChannelView;
use alloc::boxed::Box;
use alloc::vec::Vec;

pub(super) fn freezes(bench: &Bench<'_>, view: &ChannelView<'_>, out: &mut Vec<Conclusion>) {
    let ratchet = &view.channel.ratchet;
    alerts(view, out);
    let reason = reason(bench, view);
    if let (Some(why), None) = (reason, ratchet.frozen) {
        out.push(Conclusion::Frozen(why));
        out.push(Conclusion::Noticed(Box::new(Notice::Freeze(why))));
    }
    // Frozen for whatever reason: ours goes to chain too, unless something of ours must not, or the funding is spent.
    let frozen = ratchet.frozen.or(reason);
    let wanted = frozen.is_some_and(|why| match why {
        FreezeReason::Outdated | FreezeReason::Forgotten => false,
        // A mutual close that a reorg took away comes back by itself: no reason for a commitment (B62), unless an HTLC is
        // at stake.
        FreezeReason::FundingSpent => ratchet.closings.is_empty() || !view.channel.htlcs.is_empty(),
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

fn alerts(view: &ChannelView<'_>, out: &mut Vec<Conclusion>) {
    let mut raise = |alert: Alert| out.extend(view.channel.raise(Notice::Alert(alert)));
    if view.channel.ratchet.outdated {
        raise(Alert::Outdated);
    }
    if let Some(close) = &view.close {
        match close.kind {
            CloseKind::Unknown => raise(Alert::UnknownCommitment { txid: close.txid }),
            // What was stored may still say that it is another one; but nobody waits in silence for an answer that does not
            // come (R13).
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

/// Why the channel has to be frozen, by falling certainty.
fn reason(bench: &Bench<'_>, view: &ChannelView<'_>) -> Option<FreezeReason> {
    let ratchet = &view.channel.ratchet;
    if view.close.is_some() {
        return Some(FreezeReason::FundingSpent);
    }
    if ratchet.outdated {
        return Some(FreezeReason::Outdated);
    }
    if ratchet.forgotten {
        return Some(FreezeReason::Forgotten);
    }
    match ratchet.close_requested {
        Some(CloseReason::Operator) => return Some(FreezeReason::Operator),
        Some(CloseReason::PeerError) => return Some(FreezeReason::PeerError),
        None => {}
    }
    if ratchet.peer_on_chain {
        return Some(FreezeReason::PeerOnChain);
    }
    // Rests on the funding being unspent: only at the best known block (R11).
    if bench.caught_up { deadline(bench, view) } else { None }
}

/// An HTLC asks for the chain. Dust never does; small ones do together, or when long overdue.
fn deadline(bench: &Bench<'_>, view: &ChannelView<'_>) -> Option<FreezeReason> {
    let channel = view.channel;
    let close_cost_sat = close_cost_sat(bench, view);
    let mut small_sat: u64 = 0;
    for (htlc, state) in &channel.htlcs {
        let usable = channel.ratchet.usable.contains_key(htlc);
        let Some(due) = chain_height(state, usable, view.policy).filter(|due| view.tip >= *due) else { continue };
        if answered(view, *htlc) || !channel.has_output_somewhere(*htlc) {
            continue;
        }
        let amount_sat = state.htlc.amount_sat();
        if amount_sat >= close_cost_sat || view.tip >= due.after(view.policy.overdue_max) {
            return Some(FreezeReason::Deadline(*htlc));
        }
        small_sat = small_sat.saturating_add(amount_sat);
    }
    (small_sat > close_cost_sat).then_some(FreezeReason::OverdueSum)
}

/// An HTLC that we sent and whose preimage is known costs nobody anything: its origin can be settled off chain.
fn answered(view: &ChannelView<'_>, htlc: HtlcRef) -> bool {
    let Some(state) = view.channel.htlcs.get(&htlc) else { return true };
    state.htlc.link != Link::Received && view.channel.ratchet.usable.contains_key(&htlc)
}

/// Weight of one sweep: an input with a witness script, and an output.
const SWEEP_WEIGHT: u64 = 600;
/// Weight that going to chain costs at least: a commitment without HTLCs, and one sweep. The same for every channel type.
const CLOSE_WEIGHT: u64 = commitment_weight(ChannelType::AnchorsZeroFeeHtlcTx) + SWEEP_WEIGHT;

/// The policy's `close_cost`: commitment and sweep at the current estimate, in satoshi.
pub(crate) fn close_cost_sat(bench: &Bench<'_>, view: &ChannelView<'_>) -> u64 {
    let feerate = bench.court.state().feerate(Some(view.policy.lazy_target));
    u64::from(feerate).saturating_mul(CLOSE_WEIGHT).div_ceil(1000)
}
