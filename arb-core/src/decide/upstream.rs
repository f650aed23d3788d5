//! The outcome for the upstream of every HTLC that we sent (R8): exactly one, and never a failure with a usable preimage. A
//! failure comes as late as the chain demands and as early as the upstream needs.
//!
//! One function decides for every kind of close, so that no rule can be mended on one branch only (B5, B6, L2).
//!
//! Tests: `arb-harness/lab/tests/court_suite/outcomes.rs`, `arb-harness/lab/tests/court_suite/incidents_outcomes.rs`.

use crate::api::event::Acknowledged;
use crate::api::facts::Link;
use crate::api::ids::HtlcRef;
use crate::api::notice::{Alert, Notice};
use crate::api::outcome::{FailReason, Upstream};
use crate::api::record::Conclusion;
use crate::api::stage::CloseKind;
use crate::api::units::Height;
use crate::bolt3::SpendPath;
use crate::channel::{Close, HtlcState, SpendOf, forget_height, give_up_height};
use crate::decide::bench::Bench;
use crate::decide::going_to_chain::{close_cost_sat, give_up_left_sat};
use crate::view::ChannelView;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bitcoin::OutPoint;

pub(super) fn outcomes(bench: &Bench<'_>, view: &ChannelView<'_>, out: &mut Vec<Conclusion>) {
    let mut left_sat = give_up_left_sat(view);
    // One alert for all that expire upstream at one height.
    let mut at_risk: BTreeMap<Height, (HtlcRef, u32, u64)> = BTreeMap::new();
    for (htlc, state) in view.channel.htlcs.iter().filter(|(htlc, _)| htlc.is_offered()) {
        out.extend(expires_late(view, *htlc, state));
        if let Some(upstream_expiry) = one(bench, view, (*htlc, state), &mut left_sat, out) {
            let (_, htlcs, amount_sat) = at_risk.entry(upstream_expiry).or_insert((*htlc, 0, 0));
            *htlcs = htlcs.saturating_add(1);
            *amount_sat = amount_sat.saturating_add(state.htlc.amount_sat());
        }
    }
    for (upstream_expiry, (htlc, htlcs, amount_sat)) in at_risk {
        let alert = Alert::UpstreamAtRisk { htlc, htlcs, amount_sat, upstream_expiry };
        out.extend(view.channel.raise(Notice::Alert(alert)));
    }
    exposure(bench, view, out);
}

/// The alert for an HTLC that expires after its upstream HTLC. A new one is refused, but a channel may join with one, or the
/// upstream HTLC may be told later (A49).
fn expires_late(view: &ChannelView<'_>, htlc: HtlcRef, state: &HtlcState) -> Option<Conclusion> {
    let (amount_sat, cltv_expiry) = (state.htlc.amount_sat(), state.htlc.cltv_expiry);
    let upstream_expiry = state.upstream_expiry.filter(|upstream| *upstream < cltv_expiry)?;
    let alert = Alert::UpstreamExpiresFirst { htlc, amount_sat, cltv_expiry, upstream_expiry };
    view.channel.raise(Notice::Alert(alert))
}

/// Decides for one HTLC; `left_sat`: what may still be given up in this channel. Answers the expiry of its upstream HTLC, if
/// that is at risk.
fn one(
    bench: &Bench<'_>,
    view: &ChannelView<'_>,
    (htlc, state): (HtlcRef, &HtlcState),
    left_sat: &mut u64,
    out: &mut Vec<Conclusion>,
) -> Option<Height> {
    let ratchet = &view.channel.ratchet;
    let released = ratchet.released.get(&htlc);
    let usable = ratchet.usable.get(&htlc).map(|known| known.preimage);
    let shown = ratchet.usable.get(&htlc).is_some_and(|known| known.shown);
    let amount_sat = state.htlc.amount_sat();
    let raise = |alert: Alert, out: &mut Vec<Conclusion>| out.extend(view.channel.raise(Notice::Alert(alert)));
    match (released.map(|released| (released.outcome, released.acknowledged)), usable) {
        // Settled already. If the node had failed the upstream HTLC by then, it is a loss once the counterparty is paid.
        (Some((Upstream::Settled(_), acknowledged)), _) => {
            if acknowledged == Some(Acknowledged::Failed) && was_paid(view, htlc, state) {
                raise(Alert::Loss { htlc, payment_hash: state.htlc.payment_hash, amount_sat }, out);
            }
        }
        // The node had settled it, for another HTLC with the same upstream HTLC (A9).
        (Some((Upstream::Failed(_), Some(Acknowledged::Settled))), Some(_)) => {}
        // A preimage alone is no loss: another HTLC with the same hash may have shown it (R7).
        (Some((Upstream::Failed(_), Some(Acknowledged::Failed))), Some(_)) => {
            if was_paid(view, htlc, state) {
                raise(Alert::Loss { htlc, payment_hash: state.htlc.payment_hash, amount_sat }, out);
            }
        }
        // While the channel is open, the node settles what it told, by update messages. It may not know what a transaction
        // showed (A5).
        (None, Some(_)) if is_open(view) && !shown => {}
        // A settlement overrides a failure that the node has not acknowledged.
        (None | Some((Upstream::Failed(_), None)), Some(preimage)) => {
            out.push(Conclusion::Released { htlc, outcome: Upstream::Settled(preimage) });
        }
        // A channel that the node has not told in time may hold another HTLC for the same upstream HTLC (A9).
        (Some((Upstream::Failed(why), None)), None) => {
            let until = bench.untold_until(view, state);
            if bench.caught_up && until.is_some_and(|until| view.tip >= until) {
                raise(Alert::Risk { htlc, why, amount_sat }, out);
            }
        }
        (Some((Upstream::Failed(_), Some(_))), None) => {}
        (None, None) => match failure(bench, view, htlc, state, *left_sat) {
            Some(why) => {
                if why == FailReason::GivenUpForUpstream {
                    *left_sat = left_sat.saturating_sub(amount_sat);
                }
                out.push(Conclusion::Released { htlc, outcome: Upstream::Failed(why) });
                if why.is_give_up() {
                    raise(Alert::Risk { htlc, why, amount_sat }, out);
                }
            }
            None => return at_risk(bench, view, state),
        },
    }
    None
}

/// Whether the channel still takes updates. Then the node settles and fails, and the court only gives up HTLCs that are too
/// small to go to chain for (B30, L8).
fn is_open(view: &ChannelView<'_>) -> bool {
    view.channel.ratchet.frozen.is_none()
}

/// Whether the counterparty took this HTLC with its preimage. If the HTLC's own output is not known, any output of its
/// amount counts.
fn was_paid(view: &ChannelView<'_>, htlc: HtlcRef, state: &HtlcState) -> bool {
    let shows = |spend: &SpendOf| spend.path.preimage().is_some_and(|shown| shown.hash() == state.htlc.payment_hash);
    let is_its_amount = |outpoint: &OutPoint| {
        let output = view.channel.chain.output(outpoint);
        output.is_some_and(|output| output.value.to_sat() == state.htlc.amount_sat())
    };
    match view.close.as_ref().map(|close| close.kind) {
        // Off chain: in an open channel, the preimage came with an update message.
        None => is_open(view),
        Some(CloseKind::Mutual) => false,
        // What the counterparty took with a preimage is ours again once our penalty has spent it.
        Some(CloseKind::Revoked) => match view.output_of(htlc) {
            Some(outpoint) => view.spends.get(&outpoint).is_some_and(shows) && counterparty_keeps(view, outpoint),
            // What is known to have no output there was not paid there (A54).
            None if view.close.as_ref().is_some_and(|close| close.rebuilt.is_some()) => false,
            None => {
                let mut shown = view.spends.iter().filter(|(outpoint, spend)| is_its_amount(outpoint) && shows(spend));
                shown.any(|(outpoint, _)| counterparty_keeps(view, *outpoint))
            }
        },
        Some(CloseKind::Unknown | CloseKind::Superseded) => {
            view.spends.iter().any(|(outpoint, spend)| is_its_amount(outpoint) && shows(spend))
        }
        Some(CloseKind::Local | CloseKind::Remote | CloseKind::RemotePending) => {
            view.output_of(htlc).and_then(|outpoint| view.spends.get(&outpoint)).is_some_and(shows)
        }
    }
}

/// Whether the counterparty keeps a revoked output: the output of its HTLC transaction is spent, and not by our penalty.
fn counterparty_keeps(view: &ChannelView<'_>, outpoint: OutPoint) -> bool {
    let kit = view.close.as_deref().map(|close| view.kit(close));
    kit.zip(view.spends.get(&outpoint)).is_some_and(|(kit, spend)| match kit.stolen_second_level(spend) {
        Some((second, _)) => view.spends.get(&second).is_some_and(|last| last.path != SpendPath::Revocation),
        None => spend.path != SpendPath::Revocation,
    })
}

/// The rule by which an HTLC without a usable preimage is failed now, if one applies.
fn failure(
    bench: &Bench<'_>,
    view: &ChannelView<'_>,
    htlc: HtlcRef,
    state: &HtlcState,
    left_sat: u64,
) -> Option<FailReason> {
    // A preimage may be among what the node is still to tell.
    if !bench.told {
        return None;
    }
    if is_open(view) {
        let may = bench.caught_up && view.is_scanned();
        return if may { give_up(bench, view, state, left_sat) } else { None };
    }
    if view.channel.is_never_funded() {
        // No commitment can confirm. That none has is a conclusion from absence (R11).
        return bench.caught_up.then_some(FailReason::OnNoCommitment);
    }
    // What the chain shows decides at once, also while blocks are caught up: for example a buried spend without a preimage.
    if let Some(close) = &view.close {
        if let Some(why) = by_the_chain(bench, view, close, htlc) {
            return Some(why);
        }
    }
    // The rest follows from absence, so it waits for the best known block and for the search of the past (R5, R11).
    if !bench.caught_up || !view.is_scanned() {
        return None;
    }
    if !view.channel.has_output_somewhere(htlc) && view.output_of(htlc).is_none() {
        // An unknown commitment may still have an output for it; so may one that a stale journal never recorded.
        let foreign = view.close.as_ref().is_some_and(|close| close.is_foreign());
        let suspect = bench.court.state().suspects(view.channel);
        if !foreign && !suspect && !view.channel.ratchet.outdated {
            return Some(FailReason::OnNoCommitment);
        }
    }
    if view.tip >= forget_height(state, view.policy) {
        return Some(FailReason::ForgetDepth);
    }
    give_up(bench, view, state, left_sat)
}

/// The upstream HTLC is about to expire, its channel can still be saved by failing it, and the HTLC is small enough to risk,
/// alone and with all that was given up before (A12).
fn give_up(bench: &Bench<'_>, view: &ChannelView<'_>, state: &HtlcState, left_sat: u64) -> Option<FailReason> {
    let small = state.htlc.amount_sat() <= give_up_max_sat(bench, view).min(left_sat);
    (upstream_is_near(view, state) && small && !upstream_on_chain(bench, state))
        .then_some(FailReason::GivenUpForUpstream)
}

/// The rule by which the confirmed close fails an HTLC (LL3, LL6, RL2, RL4).
fn by_the_chain(bench: &Bench<'_>, view: &ChannelView<'_>, close: &Close, htlc: HtlcRef) -> Option<FailReason> {
    let buried = view.tip.buries(close.height, view.fail_depth);
    match close.kind {
        // Whose it is, or which HTLCs it has, is not known.
        CloseKind::Unknown | CloseKind::Superseded => None,
        CloseKind::Revoked => {
            // A block that was not heard or searched yet may hold a spend of its output with the preimage (R5, R11): then the
            // counterparty was paid, and failing the upstream HTLC would lose the amount.
            let without = !close.is_foreign() && view.output_of(htlc).is_none();
            let present = bench.caught_up && view.is_scanned();
            (buried && !close.loading && (without || present)).then_some(FailReason::Revoked)
        }
        CloseKind::Mutual => buried.then_some(FailReason::MutualClose),
        CloseKind::Local | CloseKind::Remote | CloseKind::RemotePending => match view.output_of(htlc) {
            None => buried.then_some(FailReason::NotOnConfirmed),
            Some(outpoint) => {
                let spend = view.spends.get(&outpoint)?;
                let paid = spend.path.preimage().is_some();
                (!paid && buried && view.tip.buries(spend.height, view.fail_depth)).then_some(FailReason::TimedOut)
            }
        },
    }
}

/// The expiry of an upstream HTLC, if it is near and the channel could still be saved by failing it. An HTLC that was small
/// enough to be given up is failed by now.
fn at_risk(bench: &Bench<'_>, view: &ChannelView<'_>, state: &HtlcState) -> Option<Height> {
    let near = bench.caught_up && upstream_is_near(view, state) && !upstream_on_chain(bench, state);
    if near { state.upstream_expiry } else { None }
}

fn upstream_is_near(view: &ChannelView<'_>, state: &HtlcState) -> bool {
    give_up_height(state, view.policy).is_some_and(|height| view.tip >= height)
}

/// Whether the upstream channel goes to chain itself, or did: then failing its HTLC saves nothing, and it waits for its own timeout
/// (LL9).
fn upstream_on_chain(bench: &Bench<'_>, state: &HtlcState) -> bool {
    let Link::Forward(key) = state.htlc.link else { return false };
    // A channel that left the court is resolved, so nothing of it can be saved (A50).
    let upstream = bench.court.channel_of(&key.channel);
    upstream.is_none_or(|upstream| upstream.ratchet.frozen.is_some())
}

/// The largest HTLC that is given up, in satoshi.
fn give_up_max_sat(bench: &Bench<'_>, view: &ChannelView<'_>) -> u64 {
    // Feerates grow with a flood that the counterparty may have made: the wager does not grow with them for ever (A48).
    let costs_sat = close_cost_sat(bench, view).saturating_mul(u64::from(view.policy.giveup_max_close_costs));
    costs_sat.min(view.policy.giveup_max_sat)
}

/// Tells when HTLCs that are too small for an output, with all that was given up before, are more than may be given up: the
/// node should add no more of them, for a close only burns them (A12).
fn exposure(bench: &Bench<'_>, view: &ChannelView<'_>, out: &mut Vec<Conclusion>) {
    let (channel, bound_sat) = (view.channel, view.policy.giveup_sum_sat);
    if !is_open(view) || !bench.told {
        return;
    }
    let waits = |htlc: &HtlcRef| !channel.ratchet.released.contains_key(htlc) && channel.usable(*htlc).is_none();
    let small = channel.htlcs.iter().filter(|(htlc, state)| state.upstream_expiry.is_some() && waits(htlc));
    let small = small.filter(|(htlc, _)| !channel.has_output_somewhere(**htlc));
    let pending_sat = small.fold(0, |sum: u64, (_, state)| sum.saturating_add(state.htlc.amount_sat()));
    let given_up_sat = channel.ratchet.wagered_sat;
    if pending_sat > 0 && given_up_sat.saturating_add(pending_sat) > bound_sat {
        out.extend(channel.raise(Notice::Alert(Alert::DustExposure { pending_sat, given_up_sat, bound_sat })));
    }
}
