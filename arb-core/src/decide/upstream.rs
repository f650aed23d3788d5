//! The outcome of every HTLC that we sent (R8): exactly one, never a failure with a usable preimage, failures as late
//! as the chain demands and as early as the upstream needs.
//!
//! One function decides for every kind of close: a rule that is written once cannot be patched on one branch only
//! (B5, B6, L2).

use super::Bench;
use super::closing::close_cost_sat;
use crate::bolt3::SpendPath;
use crate::channel::{CloseKind, HtlcState};
use crate::event::Acknowledged;
use crate::facts::Link;
use crate::ids::HtlcRef;
use crate::notice::{Alert, Notice};
use crate::outcome::{FailReason, Upstream};
use crate::record::Conclusion;
use crate::view::{ChannelView, Close, SpendOf, forget_height, give_up_height};
use alloc::boxed::Box;
use alloc::vec::Vec;
use bitcoin::OutPoint;

pub(super) fn judge(bench: &Bench<'_>, docket: &ChannelView<'_>, out: &mut Vec<Conclusion>) {
    // An open channel settles and fails by update messages: that is the node's.
    if docket.channel.ratchet.frozen.is_none() {
        return;
    }
    for (htlc, state) in docket.channel.htlcs.iter().filter(|(htlc, _)| htlc.is_offered()) {
        one(bench, docket, *htlc, state, out);
    }
}

fn one(bench: &Bench<'_>, docket: &ChannelView<'_>, htlc: HtlcRef, state: &HtlcState, out: &mut Vec<Conclusion>) {
    let ratchet = &docket.channel.ratchet;
    let released = ratchet.released.get(&htlc);
    let usable = ratchet.usable.get(&htlc).map(|known| known.preimage);
    let amount_sat = state.htlc.amount_sat();
    let raise = |alert: Alert, out: &mut Vec<Conclusion>| {
        let notice = Notice::Alert(alert);
        if !docket.channel.raised.contains(&notice.id(&docket.channel.facts.id)) {
            out.push(Conclusion::Noticed(Box::new(notice)));
        }
    };
    match (released.map(|released| (released.outcome, released.acknowledged)), usable) {
        // Settled already; if the node had failed the origin by then, that is a loss once the counterparty is paid.
        (Some((Upstream::Settled(_), acknowledged)), _) => {
            if acknowledged == Some(Acknowledged::Failed) && was_paid(docket, htlc, state) {
                raise(Alert::Loss { htlc, payment_hash: state.htlc.payment_hash, amount_sat }, out);
            }
        }
        // A preimage alone is no loss: another HTLC of the same hash may have shown it.
        (Some((Upstream::Failed(_), Some(Acknowledged::Failed | Acknowledged::Settled))), Some(_)) => {
            if was_paid(docket, htlc, state) {
                raise(Alert::Loss { htlc, payment_hash: state.htlc.payment_hash, amount_sat }, out);
            }
        }
        // A settlement overrides a failure that nobody acted on yet.
        (None | Some((Upstream::Failed(_), None)), Some(preimage)) => {
            out.push(Conclusion::Released { htlc, outcome: Upstream::Settled(preimage) });
        }
        (Some((Upstream::Failed(_), _)), None) => {}
        (None, None) => match failure(bench, docket, htlc, state) {
            Some(why) => {
                out.push(Conclusion::Released { htlc, outcome: Upstream::Failed(why) });
                if why.is_give_up() {
                    raise(Alert::Risk { htlc, why, amount_sat }, out);
                }
            }
            None => {
                if let Some(upstream_expiry) = at_risk(bench, docket, state) {
                    raise(Alert::UpstreamAtRisk { htlc, amount_sat, upstream_expiry }, out);
                }
            }
        },
    }
}

/// Whether the counterparty took this HTLC with its preimage: its own output, or, where nobody can tell which output that
/// is, one of its amount.
fn was_paid(docket: &ChannelView<'_>, htlc: HtlcRef, state: &HtlcState) -> bool {
    let shows = |spend: &SpendOf| match &spend.path {
        SpendPath::Preimage(preimage) | SpendPath::SecondLevelSuccess(preimage) => {
            preimage.hash() == state.htlc.payment_hash
        }
        SpendPath::Revocation
        | SpendPath::Delayed
        | SpendPath::SecondLevelTimeout
        | SpendPath::Timeout
        | SpendPath::Funding
        | SpendPath::ToRemote
        | SpendPath::AnchorKey
        | SpendPath::AnchorAnyone
        | SpendPath::Unknown => false,
    };
    let is_its_amount = |outpoint: &OutPoint| {
        let output = docket.channel.chain.output(outpoint);
        output.is_some_and(|output| output.value.to_sat() == state.htlc.amount_sat())
    };
    match docket.close.as_ref().map(|close| close.kind) {
        None | Some(CloseKind::Mutual) => false,
        Some(CloseKind::Unknown | CloseKind::Revoked) => {
            docket.spends.iter().any(|(outpoint, spend)| is_its_amount(outpoint) && shows(spend))
        }
        Some(CloseKind::Local | CloseKind::Remote | CloseKind::RemotePending) => {
            docket.output_of(htlc).and_then(|outpoint| docket.spends.get(&outpoint)).is_some_and(shows)
        }
    }
}

/// The rule by which an HTLC without a usable preimage is failed now, if one applies.
fn failure(bench: &Bench<'_>, docket: &ChannelView<'_>, htlc: HtlcRef, state: &HtlcState) -> Option<FailReason> {
    // Presence decides at once: a buried spend without a preimage, wherever blocks are being caught up.
    if let Some(close) = &docket.close {
        if let Some(why) = by_the_chain(docket, close, htlc) {
            return Some(why);
        }
    }
    // The rest is absence: only at the best known block, and once the past was searched (R5, R11).
    if !bench.caught_up || !docket.is_scanned() {
        return None;
    }
    if !docket.channel.has_output_somewhere(htlc) && docket.output_of(htlc).is_none() {
        // An unknown commitment may have an output for it all the same.
        let unknown = docket.close.as_ref().is_some_and(|close| close.kind == CloseKind::Unknown);
        if !unknown && !docket.channel.ratchet.outdated {
            return Some(FailReason::OnNoCommitment);
        }
    }
    if docket.tip >= forget_height(state, docket.policy) {
        return Some(FailReason::ForgetDepth);
    }
    let small = state.htlc.amount_sat() <= give_up_max_sat(bench, docket);
    (upstream_is_near(docket, state) && small && !upstream_on_chain(bench, state))
        .then_some(FailReason::GivenUpForUpstream)
}

/// What the confirmed close says (LL3, LL6, RL2, RL4).
fn by_the_chain(docket: &ChannelView<'_>, close: &Close, htlc: HtlcRef) -> Option<FailReason> {
    let buried = docket.tip.buries(close.height, docket.fail_depth);
    match close.kind {
        CloseKind::Unknown => None,
        CloseKind::Revoked => buried.then_some(FailReason::Revoked),
        CloseKind::Mutual => buried.then_some(FailReason::MutualClose),
        CloseKind::Local | CloseKind::Remote | CloseKind::RemotePending => match docket.output_of(htlc) {
            None => buried.then_some(FailReason::NotOnConfirmed),
            Some(outpoint) => {
                let spend = docket.spends.get(&outpoint)?;
                let preimage = matches!(spend.path, SpendPath::Preimage(_) | SpendPath::SecondLevelSuccess(_));
                (!preimage && buried && docket.tip.buries(spend.height, docket.fail_depth))
                    .then_some(FailReason::TimedOut)
            }
        },
    }
}

/// An upstream that is about to expire over an HTLC that is too large to be given up.
fn at_risk(bench: &Bench<'_>, docket: &ChannelView<'_>, state: &HtlcState) -> Option<crate::units::Height> {
    let near = bench.caught_up && upstream_is_near(docket, state) && !upstream_on_chain(bench, state);
    if near { state.upstream_expiry } else { None }
}

fn upstream_is_near(docket: &ChannelView<'_>, state: &HtlcState) -> bool {
    give_up_height(state, docket.policy).is_some_and(|height| docket.tip >= height)
}

/// An upstream that is itself on chain cannot be saved by failing it: it just waits for its own timeout (LL9).
fn upstream_on_chain(bench: &Bench<'_>, state: &HtlcState) -> bool {
    let Link::Forward(key) = state.htlc.link else { return false };
    let upstream = bench.view.index_of(&key.channel).and_then(|index| bench.view.channel(index));
    upstream.is_some_and(|upstream| upstream.ratchet.frozen.is_some())
}

fn give_up_max_sat(bench: &Bench<'_>, docket: &ChannelView<'_>) -> u64 {
    close_cost_sat(bench, docket).saturating_mul(u64::from(docket.policy.giveup_max_close_costs))
}
