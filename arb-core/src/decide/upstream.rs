//! The outcome of every HTLC that we sent (R8): exactly one, never a failure with a usable preimage, failures as late
//! as the chain demands and as early as the upstream needs.
//!
//! One function decides for every kind of close: a rule that is written once cannot be patched on one branch only
//! (B5, B6, L2).

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
use crate::decide::going_to_chain::close_cost_sat;
use crate::view::ChannelView;
use alloc::vec::Vec;
use bitcoin::OutPoint;

pub(super) fn outcomes(bench: &Bench<'_>, view: &ChannelView<'_>, out: &mut Vec<Conclusion>) {
    for (htlc, state) in view.channel.htlcs.iter().filter(|(htlc, _)| htlc.is_offered()) {
        one(bench, view, *htlc, state, out);
    }
}

fn one(bench: &Bench<'_>, view: &ChannelView<'_>, htlc: HtlcRef, state: &HtlcState, out: &mut Vec<Conclusion>) {
    let ratchet = &view.channel.ratchet;
    let released = ratchet.released.get(&htlc);
    let usable = ratchet.usable.get(&htlc).map(|known| known.preimage);
    let amount_sat = state.htlc.amount_sat();
    let raise = |alert: Alert, out: &mut Vec<Conclusion>| out.extend(view.channel.raise(Notice::Alert(alert)));
    match (released.map(|released| (released.outcome, released.acknowledged)), usable) {
        // Settled already; if the node had failed the origin by then, that is a loss once the counterparty is paid.
        (Some((Upstream::Settled(_), acknowledged)), _) => {
            if acknowledged == Some(Acknowledged::Failed) && was_paid(view, htlc, state) {
                raise(Alert::Loss { htlc, payment_hash: state.htlc.payment_hash, amount_sat }, out);
            }
        }
        // A preimage alone is no loss: a twin with the same hash may have shown it (R7).
        (Some((Upstream::Failed(_), Some(Acknowledged::Failed | Acknowledged::Settled))), Some(_)) => {
            if was_paid(view, htlc, state) {
                raise(Alert::Loss { htlc, payment_hash: state.htlc.payment_hash, amount_sat }, out);
            }
        }
        // An open channel settles by update messages: that is the node's.
        (None, Some(_)) if is_open(view) => {}
        // A settlement overrides a failure that nobody acted on yet.
        (None | Some((Upstream::Failed(_), None)), Some(preimage)) => {
            out.push(Conclusion::Released { htlc, outcome: Upstream::Settled(preimage) });
        }
        (Some((Upstream::Failed(_), _)), None) => {}
        (None, None) => match failure(bench, view, htlc, state) {
            Some(why) => {
                out.push(Conclusion::Released { htlc, outcome: Upstream::Failed(why) });
                if why.is_give_up() {
                    raise(Alert::Risk { htlc, why, amount_sat }, out);
                }
            }
            None => {
                if let Some(upstream_expiry) = at_risk(bench, view, state) {
                    raise(Alert::UpstreamAtRisk { htlc, amount_sat, upstream_expiry }, out);
                }
            }
        },
    }
}

/// Whether the channel still takes updates: settling and failing are the node's then, except for a give-up, which is for
/// HTLCs that are too small to go to chain for (B30, L8).
fn is_open(view: &ChannelView<'_>) -> bool {
    view.channel.ratchet.frozen.is_none()
}

/// Whether the counterparty took this HTLC with its preimage: its own output, or, where nobody can tell which output that
/// is, one of its amount.
fn was_paid(view: &ChannelView<'_>, htlc: HtlcRef, state: &HtlcState) -> bool {
    let shows = |spend: &SpendOf| spend.path.preimage().is_some_and(|shown| shown.hash() == state.htlc.payment_hash);
    let is_its_amount = |outpoint: &OutPoint| {
        let output = view.channel.chain.output(outpoint);
        output.is_some_and(|output| output.value.to_sat() == state.htlc.amount_sat())
    };
    match view.close.as_ref().map(|close| close.kind) {
        // Off chain: the node told us of the preimage.
        None => is_open(view),
        Some(CloseKind::Mutual) => false,
        // What the cheat took with a preimage is ours again once it is penalised.
        Some(CloseKind::Revoked) => match view.output_of(htlc) {
            Some(outpoint) => view.spends.get(&outpoint).is_some_and(shows) && cheat_has(view, outpoint),
            None => {
                let mut shown = view.spends.iter().filter(|(outpoint, spend)| is_its_amount(outpoint) && shows(spend));
                shown.any(|(outpoint, _)| cheat_has(view, *outpoint))
            }
        },
        Some(CloseKind::Unknown) => view.spends.iter().any(|(outpoint, spend)| is_its_amount(outpoint) && shows(spend)),
        Some(CloseKind::Local | CloseKind::Remote | CloseKind::RemotePending) => {
            view.output_of(htlc).and_then(|outpoint| view.spends.get(&outpoint)).is_some_and(shows)
        }
    }
}

/// Whether the cheat has got away with a revoked output: its HTLC transaction's output is spent, and not by us.
fn cheat_has(view: &ChannelView<'_>, outpoint: OutPoint) -> bool {
    let kit = view.close.as_deref().map(|close| view.kit(close));
    kit.zip(view.spends.get(&outpoint)).is_some_and(|(kit, spend)| match kit.stolen_second_level(spend) {
        Some((second, _)) => view.spends.get(&second).is_some_and(|last| last.path != SpendPath::Revocation),
        None => spend.path != SpendPath::Revocation,
    })
}

/// The rule by which an HTLC without a usable preimage is failed now, if one applies.
fn failure(bench: &Bench<'_>, view: &ChannelView<'_>, htlc: HtlcRef, state: &HtlcState) -> Option<FailReason> {
    if is_open(view) {
        let may = bench.caught_up && view.is_scanned();
        return if may { give_up(bench, view, state) } else { None };
    }
    // Presence decides at once: a buried spend without a preimage, wherever blocks are being caught up.
    if let Some(close) = &view.close {
        if let Some(why) = by_the_chain(bench, view, close, htlc) {
            return Some(why);
        }
    }
    // The rest is absence: only at the best known block, and once the past was searched (R5, R11).
    if !bench.caught_up || !view.is_scanned() {
        return None;
    }
    if !view.channel.has_output_somewhere(htlc) && view.output_of(htlc).is_none() {
        // A commitment that we do not know, or no longer know, may have an output for it all the same; so may one that
        // an old journal misses.
        let foreign = view.close.as_ref().is_some_and(|close| close.is_foreign());
        let suspect = bench.court.state().suspects(view.channel);
        if !foreign && !suspect && !view.channel.ratchet.outdated {
            return Some(FailReason::OnNoCommitment);
        }
    }
    if view.tip >= forget_height(state, view.policy) {
        return Some(FailReason::ForgetDepth);
    }
    give_up(bench, view, state)
}

/// The upstream is about to expire, can still be saved, and the HTLC is small enough for the wager.
fn give_up(bench: &Bench<'_>, view: &ChannelView<'_>, state: &HtlcState) -> Option<FailReason> {
    let small = state.htlc.amount_sat() <= give_up_max_sat(bench, view);
    (upstream_is_near(view, state) && small && !upstream_on_chain(bench, state))
        .then_some(FailReason::GivenUpForUpstream)
}

/// What the confirmed close says (LL3, LL6, RL2, RL4).
fn by_the_chain(bench: &Bench<'_>, view: &ChannelView<'_>, close: &Close, htlc: HtlcRef) -> Option<FailReason> {
    let buried = view.tip.buries(close.height, view.fail_depth);
    match close.kind {
        CloseKind::Unknown => None,
        CloseKind::Revoked => {
            // Its output may be spent with the preimage in a block that was not heard yet, or was not searched (R5, R11): a
            // cheat that was not watched for a while must not make us fail what it has been paid for.
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

/// An upstream that is about to expire over an HTLC that is too large to be given up.
fn at_risk(bench: &Bench<'_>, view: &ChannelView<'_>, state: &HtlcState) -> Option<Height> {
    let near = bench.caught_up && upstream_is_near(view, state) && !upstream_on_chain(bench, state);
    if near { state.upstream_expiry } else { None }
}

fn upstream_is_near(view: &ChannelView<'_>, state: &HtlcState) -> bool {
    give_up_height(state, view.policy).is_some_and(|height| view.tip >= height)
}

/// An upstream that is itself on chain cannot be saved by failing it: it just waits for its own timeout (LL9).
fn upstream_on_chain(bench: &Bench<'_>, state: &HtlcState) -> bool {
    let Link::Forward(key) = state.htlc.link else { return false };
    let upstream = bench.court.channel_of(&key.channel);
    upstream.is_some_and(|upstream| upstream.ratchet.frozen.is_some())
}

fn give_up_max_sat(bench: &Bench<'_>, view: &ChannelView<'_>) -> u64 {
    close_cost_sat(bench, view).saturating_mul(u64::from(view.policy.giveup_max_close_costs))
}
