//! Answers to what was asked: by the request's own id, and only while it is outstanding.

use super::{Admission, channel};
use crate::channel::ScriptsRequest;
use crate::court::View;
use crate::due::scripts_id;
use crate::event::{BroadcastAnswer, FeeInput, FeeInputsOffered, Signed};
use crate::ids::{ActionId, ChannelId};
use crate::reject::Rejected;
use crate::sweep::sweep_id;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{ScriptBuf, Txid};

pub(super) fn broadcast(
    view: View<'_>,
    id: &ChannelId,
    txid: &Txid,
    answer: BroadcastAnswer,
) -> Result<Admission, Rejected> {
    // A channel that is resolved by now has no use for the answer.
    let Some(channel) = view.index_of(id).and_then(|index| view.channel(index)) else {
        return Ok(Admission::Duplicate);
    };
    let why = match answer {
        BroadcastAnswer::Accepted | BroadcastAnswer::Known => None,
        BroadcastAnswer::Rejected(why) => Some(why),
    };
    let requests = &channel.requests;
    let sweep = requests.sweeps.values().find(|state| state.sweep.tx.compute_txid() == *txid);
    Ok(Admission::new_if(match (sweep, channel.ratchet.commitment_signed.is_empty()) {
        (Some(state), _) => state.rejected != why,
        (None, false) => requests.commitment_rejected != why.map(|why| (*txid, why)),
        // A sweep that was dropped since.
        (None, true) => false,
    }))
}

pub(super) fn signed(view: View<'_>, signed: &Signed) -> Result<Admission, Rejected> {
    let channel = channel(view, &signed.channel)?;
    let sweep = channel.requests.sweeps.values().find(|state| sweep_id(channel, &state.sweep) == signed.request);
    if let Some(state) = sweep {
        return Ok(Admission::new_if(state.signed.is_none()));
    }
    match channel.commitment_asked(&Secp256k1::new(), &signed.request) {
        Some((funding, _)) => Ok(Admission::new_if(!channel.ratchet.commitment_signed.contains_key(&funding.outpoint))),
        None => Err(Rejected::UnknownRequest(signed.request)),
    }
}

pub(super) fn signing_refused(view: View<'_>, id: &ChannelId, request: &ActionId) -> Result<Admission, Rejected> {
    let channel = channel(view, id)?;
    let mut sweeps = channel.requests.sweeps.values();
    let known = sweeps.any(|state| sweep_id(channel, &state.sweep) == *request)
        || channel.commitment_asked(&Secp256k1::new(), request).is_some();
    if known {
        Ok(Admission::new_if(!channel.requests.refused.contains(request)))
    } else {
        Err(Rejected::UnknownRequest(*request))
    }
}

pub(super) fn scripts(
    view: View<'_>,
    id: &ChannelId,
    request: &ActionId,
    script: &ScriptBuf,
) -> Result<Admission, Rejected> {
    let channel = channel(view, id)?;
    if *request != scripts_id(channel) {
        return Err(Rejected::UnknownRequest(*request));
    }
    if script.is_empty() {
        return Err(Rejected::BadScript);
    }
    match channel.requests.scripts {
        ScriptsRequest::Asked { .. } => Ok(Admission::New),
        // The first answer is the one that is used.
        ScriptsRequest::Offered(_) => Ok(Admission::Duplicate),
        ScriptsRequest::NotAsked => Err(Rejected::UnknownRequest(*request)),
    }
}

pub(super) fn fee_inputs(view: View<'_>, offered: &FeeInputsOffered) -> Result<Admission, Rejected> {
    let channel = channel(view, &offered.channel)?;
    let asked = channel.requests.fee_inputs.values().find(|asked| asked.request.id == offered.request);
    let Some(asked) = asked else {
        // Planned since with an earlier answer.
        return Ok(Admission::Duplicate);
    };
    if asked.offered.is_some() {
        return Ok(Admission::Duplicate);
    }
    if offered.change.is_empty() {
        return Err(Rejected::BadScript);
    }
    let [coin] = offered.inputs.as_slice() else {
        return Err(Rejected::NotSupported("more than one fee input for a transaction"));
    };
    if !usable(view, coin, asked.request.amount_sat) {
        return Err(Rejected::BadFeeInput(coin.outpoint));
    }
    Ok(Admission::New)
}

fn usable(view: View<'_>, coin: &FeeInput, amount_sat: u64) -> bool {
    // Whoever uses a coin, or was offered it, watches it.
    coin.script.is_p2wpkh() && coin.value_sat >= amount_sat && view.watchers(&coin.outpoint).is_empty()
}

pub(super) fn fee_inputs_refused(
    view: View<'_>,
    id: &ChannelId,
    request: &ActionId,
    missing_sat: u64,
) -> Result<Admission, Rejected> {
    let channel = channel(view, id)?;
    let asked = channel.requests.fee_inputs.values().find(|asked| asked.request.id == *request);
    let Some(asked) = asked else { return Err(Rejected::UnknownRequest(*request)) };
    Ok(Admission::new_if(channel.requests.missing.get(&asked.request.owner) != Some(&missing_sat)))
}
