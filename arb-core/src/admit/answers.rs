//! Answers of signer, wallet and network, and the operator's bumps. An answer names the request by its own id, and is heard
//! only while that is outstanding (R14).
//!
//! Tests: `arb-harness/lab/tests/court_suite/bad_answers.rs`.

use crate::admit::admission::{Admission, channel, channel_view, is_payable};
use crate::api::event::{BroadcastAnswer, Bump, FeeInput, FeeInputsOffered, Signed};
use crate::api::ids::{ActionId, ChannelId};
use crate::api::reject::Rejected;
use crate::api::stage::ContractKind;
use crate::channel::{ScriptsRequest, scripts_id};
use crate::claims::path::pays;
use crate::claims::wants::wants;
use crate::court::draft::CourtView;
use crate::resolver::ContractStage;
use crate::sweep::terms::Pays;
use crate::sweep::{Shortage, wallet_input_fee_sat};
use crate::view::{ChannelView, ContractState};
use alloc::collections::BTreeSet;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{OutPoint, ScriptBuf, Txid};

pub(super) fn broadcast(
    court: CourtView<'_>,
    id: &ChannelId,
    txid: &Txid,
    answer: BroadcastAnswer,
) -> Result<Admission, Rejected> {
    // The channel is resolved and gone: the answer changes nothing.
    let Some(channel) = court.channel_of(id) else {
        return Ok(Admission::Duplicate);
    };
    let why = match answer {
        BroadcastAnswer::Accepted | BroadcastAnswer::Known => None,
        BroadcastAnswer::Rejected(why) => Some(why),
    };
    let requests = &channel.requests;
    if requests.sweeps.values().any(|state| state.txid != *txid && state.is_before(txid)) {
        // About the version before, which is sent while the last one is unsigned: nothing follows from it.
        return Ok(Admission::Duplicate);
    }
    let sweep = requests.sweeps.values().find(|state| state.txid == *txid);
    Ok(Admission::new_if(match (sweep, channel.ratchet.commitment_signed.is_empty()) {
        (Some(state), _) => state.rejected != why,
        (None, false) => requests.commitment_rejected != why.map(|why| (*txid, why)),
        // It is about a sweep that was dropped since.
        (None, true) => false,
    }))
}

pub(super) fn signed(court: CourtView<'_>, signed: &Signed) -> Result<Admission, Rejected> {
    let view = channel_view(court, &signed.channel)?;
    let channel = view.channel;
    if let Some((_, state, sweep)) = channel.sweep_asked(&signed.request) {
        // The claims may be over by now: then no signature is needed.
        let wants = wants(&view);
        let wanted = sweep.plan.members.iter().all(|member| wants.contains_key(member));
        return Ok(Admission::new_if(wanted && state.signed.is_none()));
    }
    match channel.commitment_asked(&Secp256k1::new(), &signed.request) {
        Some((funding, _)) => Ok(Admission::new_if(!channel.ratchet.commitment_signed.contains_key(&funding.outpoint))),
        None => Err(Rejected::UnknownRequest(signed.request)),
    }
}

pub(super) fn signing_refused(court: CourtView<'_>, id: &ChannelId, request: &ActionId) -> Result<Admission, Rejected> {
    let channel = channel(court, id)?;
    if channel.requests.refused.contains(request) {
        // Its sweep may have been dropped for that refusal.
        return Ok(Admission::Duplicate);
    }
    let known =
        channel.sweep_asked(request).is_some() || channel.commitment_asked(&Secp256k1::new(), request).is_some();
    if known { Ok(Admission::New) } else { Err(Rejected::UnknownRequest(*request)) }
}

pub(super) fn scripts(
    court: CourtView<'_>,
    id: &ChannelId,
    request: &ActionId,
    script: &ScriptBuf,
) -> Result<Admission, Rejected> {
    let channel = channel(court, id)?;
    if *request != scripts_id(channel) {
        return Err(Rejected::UnknownRequest(*request));
    }
    if !is_payable(script) {
        return Err(Rejected::BadScript);
    }
    match channel.requests.scripts {
        ScriptsRequest::Asked { .. } => Ok(Admission::New),
        // The first answer counts.
        ScriptsRequest::Offered(_) => Ok(Admission::Duplicate),
        ScriptsRequest::NotAsked => Err(Rejected::UnknownRequest(*request)),
    }
}

pub(super) fn fee_inputs(court: CourtView<'_>, offered: &FeeInputsOffered) -> Result<Admission, Rejected> {
    let channel = channel(court, &offered.channel)?;
    let Some(ask) = channel.coins_asked(&offered.request) else {
        // It was answered before, or the claim was planned since with the coins that there were.
        return Ok(Admission::Duplicate);
    };
    // Plans leave enough change for these scripts to be relayed. Another script may need more: the plan could not be built.
    let change = &offered.change;
    if !(change.is_p2wpkh() || change.is_p2wsh() || change.is_p2tr()) {
        return Err(Rejected::BadScript);
    }
    let got = offered.inputs.len();
    if got > COINS_MAX {
        return Err(Rejected::TooMany { what: "offered coins", got, max: COINS_MAX });
    }
    let mut seen = BTreeSet::new();
    let state = court.state();
    let pause = channel.policy_or(&state.policy).lazy_target;
    let refused = channel.requests.sweeper.refused_coins(state.tip.height, pause);
    let unfit =
        |coin: &&FeeInput| refused.contains(&coin.outpoint) || !usable(court, coin) || !seen.insert(coin.outpoint);
    let bad = offered.inputs.iter().find(unfit);
    if let Some(coin) = bad {
        return Err(Rejected::BadFeeInput(coin.outpoint));
    }
    let own_fee_sat = wallet_input_fee_sat(ask.feerate_sat_per_kw);
    let net = offered.inputs.iter().map(|coin| coin.value_sat.saturating_sub(own_fee_sat));
    let net_sat = net.fold(0, u64::saturating_add);
    if net_sat < ask.amount_sat {
        return Err(Rejected::FeeInputsTooSmall { amount_sat: ask.amount_sat, net_sat });
    }
    Ok(Admission::New)
}

fn usable(court: CourtView<'_>, coin: &FeeInput) -> bool {
    // A channel that uses a coin, or was offered it, watches it.
    coin.script.is_p2wpkh() && court.watchers(&coin.outpoint).is_empty()
}

pub(super) fn fee_inputs_refused(
    court: CourtView<'_>,
    id: &ChannelId,
    request: &ActionId,
    missing_sat: u64,
) -> Result<Admission, Rejected> {
    let channel = channel(court, id)?;
    // It was answered before, or another amount was asked for since.
    let Some(ask) = channel.coins_asked(request) else { return Ok(Admission::Duplicate) };
    let answer = Shortage { asked_sat: ask.amount_sat, missing_sat };
    Ok(Admission::new_if(channel.requests.sweeper.missing.get(&ask.owner) != Some(&answer)))
}

/// The coins of one answer (A29): their inputs and a hundred claims still make a transaction that nodes relay.
const COINS_MAX: usize = 100;

/// A bump is for an output that is being claimed, or for the whole close.
pub(super) fn bump(
    court: CourtView<'_>,
    id: &ChannelId,
    outpoint: Option<OutPoint>,
    bump: &Bump,
) -> Result<Admission, Rejected> {
    let view = channel_view(court, id)?;
    // What was heard before is no error, also if its claim is over by now.
    let known = view.channel.requests.bumps.get(&outpoint).copied().unwrap_or_default();
    let asks_more = bump.feerate_sat_per_kw > known.feerate_sat_per_kw
        || bump.deadline.is_some_and(|new| known.deadline.is_none_or(|known| new < known))
        || bump.budget_sat > known.budget_sat
        || bump.bound_sat > known.bound_sat;
    if !asks_more {
        return Ok(Admission::Duplicate);
    }
    if let Some(outpoint) = outpoint.filter(|outpoint| !wants(&view).contains_key(outpoint)) {
        return Err(Rejected::NothingToBump(outpoint));
    }
    if can_be_raised(&view, outpoint) { Ok(Admission::New) } else { Err(Rejected::NothingToRaise(*id)) }
}

pub(super) fn abandoned(court: CourtView<'_>, id: &ChannelId, outpoint: &OutPoint) -> Result<Admission, Rejected> {
    let view = channel_view(court, id)?;
    let meant = view.meant(outpoint);
    let abandoned = &view.channel.requests.sweeper.abandoned;
    // Under either name: a repetition must not give up more, if the HTLC transaction has confirmed since.
    if abandoned.contains(outpoint) || abandoned.contains(&meant) {
        return Ok(Admission::Duplicate);
    }
    // A child of an unconfirmed commitment is no output that a channel waits for.
    let is_claimed = wants(&view).get(&meant).is_some_and(|want| want.parent.is_none());
    if is_claimed { Ok(Admission::New) } else { Err(Rejected::NothingToAbandon(*outpoint)) }
}

/// Whether anything of this close has a fee that we can raise, now or later (A41): without anchors an unconfirmed commitment
/// has none, and neither have the HTLC transactions of ours. A mutual close has none, and nothing is left of one that is over.
fn can_be_raised(view: &ChannelView<'_>, outpoint: Option<OutPoint>) -> bool {
    let channel_type = view.channel.facts.channel_type;
    let ratchet = &view.channel.ratchet;
    if view.close.is_none() {
        return !ratchet.forgotten && (channel_type.has_anchors() || ratchet.frozen.is_none());
    }
    let mut wants = wants(view).into_values().filter(|want| outpoint.is_none_or(|only| only == want.claim.outpoint));
    let pending = view.contracts.iter().any(|contract| match contract.state {
        ContractState::Live(ContractStage::Waiting { .. } | ContractStage::Contested { .. }) => {
            // An anchor without a child waits for nothing but its end, and without an output there is no claim.
            contract.kind != ContractKind::Anchor && view.next_output(contract).is_some()
        }
        ContractState::Live(ContractStage::ClaimWanted(_) | ContractStage::Spent { .. }) | ContractState::Done(_) => {
            false
        }
    });
    (pending && outpoint.is_none()) || wants.any(|want| pays(want.claim.way.path(), channel_type) != Pays::Signed)
}

/// A repetition is a duplicate, also if the channel was resolved and the first time removed it.
pub(super) fn performed(court: CourtView<'_>, id: &ChannelId, action: &ActionId) -> Admission {
    let again = |id: &ChannelId| {
        let due = court.tombstone(id).filter(|_| court.state().resolved_again.contains(id));
        due.is_some_and(|tombstone| tombstone.resolved_id() == *action)
    };
    Admission::new_if(court.channel_of(id).map_or_else(|| again(id), |channel| channel.outbox.contains_key(action)))
}
