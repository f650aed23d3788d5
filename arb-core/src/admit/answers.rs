//! Answers of signer, wallet and network, and the operator's bumps. An answer names the request by its own id, and is heard
//! only while that is outstanding (R14).
//!
//! Tests: `arb-harness/lab/tests/court_suite/bad_answers.rs`.

use crate::admit::admission::{Admission, channel, channel_view};
use crate::api::event::{BroadcastAnswer, Bump, FeeInput, FeeInputsOffered, Signed};
use crate::api::ids::{ActionId, ChannelId};
use crate::api::reject::Rejected;
use crate::channel::{ScriptsRequest, scripts_id};
use crate::claims::wants::wants;
use crate::court::draft::CourtView;
use crate::sweep::{Shortage, WALLET_INPUT_WEIGHT, fee_sat};
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
    let known =
        channel.sweep_asked(request).is_some() || channel.commitment_asked(&Secp256k1::new(), request).is_some();
    if known {
        Ok(Admission::new_if(!channel.requests.refused.contains(request)))
    } else {
        Err(Rejected::UnknownRequest(*request))
    }
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
    if script.is_empty() {
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
    let mut seen = BTreeSet::new();
    let bad = offered.inputs.iter().find(|coin| !usable(court, coin) || !seen.insert(coin.outpoint));
    if let Some(coin) = bad {
        return Err(Rejected::BadFeeInput(coin.outpoint));
    }
    let own_fee_sat = fee_sat(WALLET_INPUT_WEIGHT, ask.feerate_sat_per_kw);
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

/// A bump is for an output that is being claimed, or for the whole close.
pub(super) fn bump(
    court: CourtView<'_>,
    id: &ChannelId,
    outpoint: Option<OutPoint>,
    bump: &Bump,
) -> Result<Admission, Rejected> {
    let view = channel_view(court, id)?;
    let channel = view.channel;
    if let Some(outpoint) = outpoint {
        let known = channel.requests.bumps.contains_key(&Some(outpoint));
        if !known && !wants(&view).contains_key(&outpoint) {
            return Err(Rejected::NothingToBump(outpoint));
        }
    }
    let known = channel.requests.bumps.get(&outpoint);
    Ok(Admission::new_if(known.is_none_or(|known| {
        bump.feerate_sat_per_kw > known.feerate_sat_per_kw
            || bump.deadline.is_some_and(|new| known.deadline.is_none_or(|known| new < known))
            || bump.budget_sat.is_some_and(|new| known.budget_sat.is_none_or(|known| new > known))
    })))
}

/// A repetition is a duplicate, also if the channel was resolved and the first time removed it.
pub(super) fn performed(court: CourtView<'_>, id: &ChannelId, action: &ActionId) -> Admission {
    let known = court.channel_of(id);
    Admission::new_if(known.is_some_and(|channel| channel.outbox.contains_key(action)))
}
