//! No deadline passes in silence (I17): what waits too long, told to a person before it is too late, with what they can do.
//!
//! Where many HTLCs share a cause there is one alert for each commitment and height.
//!
//! Tests: `arb-harness/lab/tests/court_suite/silence.rs`.

use crate::api::event::CloseReason;
use crate::api::ids::HtlcRef;
use crate::api::notice::{Alert, Held, Notice};
use crate::api::record::Conclusion;
use crate::api::units::Height;
use crate::channel::{SECOND_STAGE_MIN, chain_height, told_deadline};
use crate::claims::child::newest_funding;
use crate::decide::bench::Bench;
use crate::resolver::{Claim, ContractStage};
use crate::view::{ChannelView, ContractState};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bitcoin::OutPoint;

/// How many HTLCs or outputs there are, and their amounts together.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    count: u32,
    amount_sat: u64,
}

impl Sum {
    const fn add(&mut self, amount_sat: u64) {
        self.count = self.count.saturating_add(1);
        self.amount_sat = self.amount_sat.saturating_add(amount_sat);
    }
}

pub(super) fn alerts(bench: &Bench<'_>, view: &ChannelView<'_>, out: &mut Vec<Conclusion>) {
    let mut alerts = Vec::new();
    if !bench.caught_up {
        alerts.extend(behind(bench, view));
    } else if view.close.is_none() {
        commitment_waits(bench, view, &mut alerts);
    } else {
        claims_wait(view, &mut alerts);
    }
    out.extend(alerts.into_iter().filter_map(|alert| view.channel.raise(Notice::Alert(alert))));
}

/// Alerts about a commitment of ours that should be on its way to the chain: before each deadline of its HTLCs, and at once if
/// it is held back for a reason that no block ends.
fn commitment_waits(bench: &Bench<'_>, view: &ChannelView<'_>, alerts: &mut Vec<Alert>) {
    let (channel, ratchet) = (view.channel, &view.channel.ratchet);
    let local = channel.set.local.as_ref().map(|local| local.commitment.number);
    // A channel from a backup has none.
    if local.is_none() && !ratchet.outdated {
        return;
    }
    let number = local.unwrap_or(0);
    let open = ratchet.frozen.is_none();
    // That an open channel holds it is a conclusion from absence (R11): the node may be telling that it is gone.
    if open && !bench.told {
        return;
    }
    let suspect = bench.court.state().suspects(channel);
    let why = if open {
        Held::TooSmall
    } else if ratchet.outdated {
        Held::Outdated
    } else if suspect {
        Held::Suspect
    } else if newest_funding(channel).is_none() {
        Held::FundingUnconfirmed
    } else if ratchet.commitment_signed.is_empty() {
        Held::Unsigned
    } else {
        Held::Unconfirmed
    };
    let mut due: BTreeMap<Height, Sum> = BTreeMap::new();
    for (htlc, deadline) in deadlines(view) {
        let Some(state) = channel.htlcs.get(&htlc) else { continue };
        // A close that is refused for ever loses it from the start; any other is told while it can still be hurried.
        let near = view.tip >= deadline.before(SECOND_STAGE_MIN);
        // In an open channel, one that we sent is given up at its upstream's height, or told then.
        let is_due = if open { near && !htlc.is_offered() } else { near || suspect };
        if is_due {
            due.entry(deadline).or_default().add(state.htlc.amount_sat());
        }
    }
    let asked = ratchet.close_requested == Some(CloseReason::Operator);
    if due.is_empty() && !open && (asked && ratchet.outdated || suspect && ratchet.went_to_chain) {
        alerts.push(Alert::CommitmentWaits { number, why, deadline: None, htlcs: 0, amount_sat: 0 });
    }
    for (deadline, Sum { count: htlcs, amount_sat }) in due {
        alerts.push(Alert::CommitmentWaits { number, why, deadline: Some(deadline), htlcs, amount_sat });
    }
}

/// The deadlines of the HTLCs that a commitment of the set has an output for, while none is confirmed. In an open channel that of
/// a received one without an output, too: no close brings it, but the peer can still settle it.
fn deadlines<'a>(view: &'a ChannelView<'_>) -> impl Iterator<Item = (HtlcRef, Height)> + 'a {
    let channel = view.channel;
    let open = channel.htlcs.keys().filter(|htlc| !channel.ratchet.released.contains_key(htlc));
    let may_be_settled = |htlc: &HtlcRef| channel.ratchet.frozen.is_none() && !htlc.is_offered();
    let open = open.filter(move |htlc| channel.has_output_somewhere(**htlc) || may_be_settled(htlc));
    open.filter_map(|htlc| Some((*htlc, told_deadline(channel, *htlc, view.policy)?)))
}

/// An alert for each deadline of the confirmed close before which nothing is on offer that was to be claimed in the block before.
fn claims_wait(view: &ChannelView<'_>, alerts: &mut Vec<Alert>) {
    let Some(close) = &view.close else { return };
    let mut due: BTreeMap<Height, Sum> = BTreeMap::new();
    for claim in wanted(view) {
        let Some(deadline) = claim.deadline.filter(|deadline| view.tip.next() >= *deadline && view.tip <= *deadline)
        else {
            continue;
        };
        if view.claimable_since(claim) < view.tip && !is_on_offer(view, &claim.outpoint) {
            due.entry(deadline).or_default().add(claim.amount_sat);
        }
    }
    for (deadline, Sum { count: outputs, amount_sat }) in due {
        alerts.push(Alert::ClaimWaits { txid: close.txid, deadline, outputs, amount_sat });
    }
}

fn wanted<'a>(view: &'a ChannelView<'_>) -> impl Iterator<Item = &'a Claim> + 'a {
    view.contracts.iter().filter_map(|contract| match &contract.state {
        ContractState::Live(ContractStage::ClaimWanted(claim)) => Some(&**claim),
        ContractState::Live(
            ContractStage::Waiting { .. } | ContractStage::Contested { .. } | ContractStage::Spent { .. },
        )
        | ContractState::Done(_) => None,
    })
}

/// Whether a signed transaction for this output is sent in every block.
fn is_on_offer(view: &ChannelView<'_>, outpoint: &OutPoint) -> bool {
    let mut sweeps = view.channel.requests.sweeps.values();
    sweeps
        .any(|state| (state.signed.is_some() || state.before.is_some()) && state.sweep.plan.members.contains(outpoint))
}

/// The alert about blocks that the chain source announces and does not deliver, if a deadline lies in them: nothing is decided
/// or sent before they are heard (R11).
fn behind(bench: &Bench<'_>, view: &ChannelView<'_>) -> Option<Alert> {
    let channel = view.channel;
    let best = bench.court.state().best_height;
    let mut sum = Sum::default();
    let mut nearest: Option<Height> = None;
    let mut add = |due: Option<Height>, amount_sat: u64| {
        if let Some(due) = due.filter(|due| *due <= best) {
            nearest = Some(nearest.map_or(due, |nearest| nearest.min(due)));
            sum.add(amount_sat);
        }
    };
    if view.close.is_none() {
        for (htlc, state) in &channel.htlcs {
            let usable = channel.ratchet.usable.contains_key(htlc);
            let due = chain_height(state, usable, view.policy).filter(|due| *due <= best);
            let is_over = || channel.is_answered(*htlc) || channel.ratchet.released.contains_key(htlc);
            if due.is_some() && !is_over() && channel.has_output_somewhere(*htlc) {
                add(due, state.htlc.amount_sat());
            }
        }
    } else {
        wanted(view).for_each(|claim| add(claim.deadline, claim.amount_sat));
    }
    let (tip, Sum { count: outputs, amount_sat }) = (view.tip, sum);
    nearest.map(|deadline| Alert::SourceBehind { tip, best, deadline, outputs, amount_sat })
}
