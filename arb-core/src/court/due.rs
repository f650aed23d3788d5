//! What is due, worked out from the state (R4): no list of actions is kept that a crash could lose.
//!
//! Tests: `arb-harness/lab/tests/court_suite/ratchets.rs`, `arb-harness/lab/tests/sweeper_suite/closes.rs`.

use crate::api::action::Action;
use crate::api::facts::{Funding, Side};
use crate::api::ids::{ActionId, HtlcKey, htlc_bytes, outpoint_bytes};
use crate::api::notice::Notice;
use crate::api::outcome::Upstream;
use crate::api::plan::FeeInputs;
use crate::api::stage::{CloseKind, ResolverKind};
use crate::api::units::Height;
use crate::channel::{ChannelArbitrator, ScriptsRequest, SignedTx, ask_id, scripts_id};
use crate::claims::Want;
use crate::claims::child::{local_commitment, newest_funding, waits_for_child};
use crate::claims::preference::{waits_for_cheat, waits_for_theirs};
use crate::claims::sign::{commitment_request, sweep_request};
use crate::claims::wants::wants;
use crate::court::snapshot::Snapshot;
use crate::resolver::ContractStage;
use crate::view::{ChannelView, ContractState};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{OutPoint, Transaction, Txid};
use core::cmp::Reverse;

/// What the state of the whole court holds back for now.
#[derive(Clone, Copy)]
struct Hold {
    /// The journal may be older than the node's state: our commitment is neither signed nor sent (F5).
    suspect: bool,
    /// Blocks are being caught up: a give-up is not due (R11).
    behind: bool,
    /// The node has not told everything: our commitment is not signed (R11).
    untold: bool,
}

/// Appends everything that is due for a channel now.
pub(crate) fn actions(court: &Snapshot, view: &ChannelView<'_>, out: &mut Vec<Action>) {
    let (suspect, behind) = (court.suspects(view.channel), !court.is_caught_up());
    let hold = Hold { suspect, behind, untold: !court.is_told(view.channel) };
    collect(view, hold, out);
}

/// Sorts actions into the order in which the wallet has to carry them out: releases, holds, everything else, requests. A
/// wallet that lost its memory could otherwise offer held coins again. Requests go by nearest deadline, then greatest value.
pub(crate) fn in_order(actions: &mut [Action]) {
    actions.sort_by_key(|action| match action {
        // A release may still be due for coins that their claim was given again since: the hold comes later and wins.
        Action::ReleaseFeeInputs { .. } => (0, Height::new(0), Reverse(0)),
        Action::HoldFeeInputs { .. } => (1, Height::new(0), Reverse(0)),
        Action::RequestFeeInputs { deadline, value_sat, .. } => {
            (3, deadline.unwrap_or(Height::MAX), Reverse(*value_sat))
        }
        Action::SearchSpends { .. }
        | Action::Broadcast { .. }
        | Action::Sign(_)
        | Action::RequestScripts { .. }
        | Action::FreezeChannel { .. }
        | Action::SettleUpstream { .. }
        | Action::FailUpstream { .. }
        | Action::AskForPreimage { .. }
        | Action::LoadRevoked { .. }
        | Action::LoadPoint { .. }
        | Action::Alert { .. }
        | Action::ReportOutcome { .. }
        | Action::ChannelResolved { .. } => (2, Height::new(0), Reverse(0)),
    });
}

/// Whether anything could be due for a channel; the index of owing channels holds those for which it could.
pub(crate) fn owes(view: &ChannelView<'_>) -> bool {
    // A cheap answer for most channels at most times: open, searched, nothing to tell.
    let channel = view.channel;
    if channel.ratchet.frozen.is_none()
        && channel.outbox.is_empty()
        && channel.ratchet.released.is_empty()
        && channel.chain.kept.is_empty()
        && channel.is_searched()
    {
        return false;
    }
    let mut out = Vec::new();
    collect(view, Hold { suspect: false, behind: false, untold: false }, &mut out);
    !out.is_empty()
}

fn collect(view: &ChannelView<'_>, hold: Hold, out: &mut Vec<Action>) {
    searches(view, out);
    notices(view.channel, out);
    outcomes(view, hold, out);
    match &view.close {
        None => {
            let wants = if view.channel.requests.sweeper.asked.is_empty() { BTreeMap::new() } else { wants(view) };
            holds(view, out);
            requests(view, &wants, out);
            commitment(view, hold, out);
        }
        Some(_) => {
            let wants = wants(view);
            holds(view, out);
            requests(view, &wants, out);
            sweeps(view, hold, &wants, out);
            questions(view, out);
            load(view, out);
        }
    }
}

/// Asks for a revoked commitment of which only the number and the secret are known, and for our point of a commitment that is,
/// or may be, an old one of ours (A32).
fn load(view: &ChannelView<'_>, out: &mut Vec<Action>) {
    let of = view.channel.facts.id;
    let Some(close) = &view.close else { return };
    let (Some(number), Some(funding)) = (close.number, close.funding(&view.channel.facts)) else { return };
    if close.loading {
        let id = ActionId::of("load revoked", &of, &[&number.to_le_bytes()]);
        out.push(Action::LoadRevoked { id, channel: of, funding: funding.outpoint, number });
    }
    if close.asks_point {
        let id = ActionId::of("load point", &of, &[&number.to_le_bytes()]);
        out.push(Action::LoadPoint { id, channel: of, number });
    }
}

/// Asks for a search of past blocks for spends of the funding outputs and of the watched outputs below them (R5).
fn searches(view: &ChannelView<'_>, out: &mut Vec<Action>) {
    let channel = view.channel;
    let id = |parent: &Txid| ActionId::of("watch", &channel.facts.id, &[&parent.to_byte_array()]);
    let fundings = channel.facts.fundings.iter().zip(&channel.chain.fundings);
    let parents: BTreeSet<Txid> =
        fundings.filter(|(_, facts)| !facts.scanned).map(|(funding, _)| funding.outpoint.txid).collect();
    for parent in parents {
        let of_parent = || channel.facts.fundings.iter().filter(|funding| funding.outpoint.txid == parent);
        let script =
            |funding: &Funding| crate::bolt3::funding_redeem_script(&funding.local_key, &funding.remote_key).to_p2wsh();
        out.push(Action::SearchSpends {
            id: id(&parent),
            channel: channel.facts.id,
            parent,
            outpoints: of_parent().map(|funding| funding.outpoint).collect(),
            scripts: of_parent().map(script).collect(),
            from: channel.facts.watch_from,
        });
    }
    for (txid, kept) in &channel.chain.kept {
        if !kept.scanned && channel.watches_outputs(txid, kept) {
            out.push(Action::SearchSpends {
                id: id(txid),
                channel: channel.facts.id,
                parent: *txid,
                outpoints: kept.outputs.keys().map(|vout| OutPoint { txid: *txid, vout: *vout }).collect(),
                scripts: kept.outputs.values().map(|output| output.script_pubkey.clone()).collect(),
                from: kept.height,
            });
        }
    }
}

fn notices(channel: &ChannelArbitrator, out: &mut Vec<Action>) {
    let of = channel.facts.id;
    out.extend(channel.outbox.iter().map(|(id, notice)| match notice {
        Notice::Freeze(why) => Action::FreezeChannel { id: *id, channel: of, why: *why },
        Notice::Alert(alert) => Action::Alert { id: *id, channel: of, alert: alert.clone() },
        Notice::Report(report) => Action::ReportOutcome { id: *id, channel: of, report: report.clone() },
        Notice::Release { owner, coins, .. } => {
            Action::ReleaseFeeInputs { id: *id, channel: of, owner: *owner, coins: coins.clone() }
        }
        Notice::Resolved(sheet) => Action::ChannelResolved { id: *id, channel: of, sheet: *sheet },
    }));
}

/// Every outcome that was released for an upstream HTLC, until the node acknowledges it (B52).
fn outcomes(view: &ChannelView<'_>, hold: Hold, out: &mut Vec<Action>) {
    let channel = view.channel;
    for (htlc, released) in &channel.ratchet.released {
        let (None, Some(state)) = (released.acknowledged, channel.htlcs.get(htlc)) else { continue };
        let key = HtlcKey { channel: channel.facts.id, htlc: *htlc };
        let id = |tag| ActionId::of(tag, &channel.facts.id, &[&htlc_bytes(htlc)]);
        let tag = state.htlc.tag.clone();
        match released.outcome {
            Upstream::Settled(preimage) => {
                out.push(Action::SettleUpstream { id: id("settle"), htlc: key, preimage, tag });
            }
            Upstream::Failed(why) if why.is_give_up() && hold.behind => {}
            Upstream::Failed(why) => out.push(Action::FailUpstream { id: id("fail"), htlc: key, why, tag }),
        }
    }
}

/// What is due for commitments while the funding is unspent. Ours is signed, then sent in every block (BOLT 5 F6), with its
/// child once there is one. It waits for the child's coins (A61), for one of theirs that serves as well (A38), and for a revoked
/// one (A62). Theirs is sent only with our child, once it was seen unconfirmed.
fn commitment(view: &ChannelView<'_>, hold: Hold, out: &mut Vec<Action>) {
    let channel = view.channel;
    let ratchet = &channel.ratchet;
    let secp = Secp256k1::new();
    let with_child = if hold.suspect { BTreeSet::new() } else { children(view, out) };
    if !ratchet.went_to_chain || ratchet.outdated || hold.suspect {
        return;
    }
    let (Some(local), Some((_, funding))) = (&channel.set.local, newest_funding(channel)) else { return };
    match local_commitment(channel, &secp) {
        Some((_, rebuilt, tx)) => {
            let waits =
                waits_for_child(view, &rebuilt, hold.behind) || waits_for_cheat(view) || waits_for_theirs(view, &secp);
            if !waits && !with_child.contains(&rebuilt.built.txid) {
                out.push(broadcast(view, [tx].into(), &[rebuilt.built.fee_sat]));
            }
        }
        None if hold.untold => {}
        None => {
            let rebuilt = channel.rebuild(&secp, Side::Local, &local.commitment, funding, &[]);
            out.extend(rebuilt.map(|rebuilt| Action::Sign(commitment_request(channel, funding, &rebuilt))));
        }
    }
}

/// Asks for the signatures of children of unconfirmed commitments, and sends each child in one package with its parent.
/// Returns the parents that need not be sent alone.
fn children(view: &ChannelView<'_>, out: &mut Vec<Action>) -> BTreeSet<Txid> {
    let channel = view.channel;
    let mut parents = BTreeSet::new();
    if channel.requests.sweeps.is_empty() {
        return parents;
    }
    let wants = wants(view);
    for state in channel.requests.sweeps.values() {
        let parent = state.sweep.plan.members.first().and_then(|member| wants.get(member)?.parent.as_ref());
        let Some(parent) = parent else { continue };
        if state.signed.is_none() {
            out.extend(sweep_request(channel, &wants, state).map(Action::Sign));
        }
        if let Some(child) = state.signed.as_ref().or(state.before.as_ref()) {
            let txs = [parent.tx.clone(), child.0.clone()];
            out.push(broadcast(view, txs.into(), &[parent.fee_sat, state.sweep.plan.fee_sat]));
            // Where the package was refused, the commitment alone may be accepted.
            if state.rejected.is_none() {
                parents.insert(parent.tx.compute_txid());
            }
        }
    }
    parents
}

/// Sends transactions, each with its fee. Nodes hold the greatest feerate against every transaction of a package, so it is
/// that of the dearest (A60).
fn broadcast(view: &ChannelView<'_>, txs: Vec<Transaction>, fees_sat: &[u64]) -> Action {
    let channel = view.channel.facts.id;
    // What each really pays: trimmed HTLCs are fee, and signatures are shorter than planned for.
    let feerates = txs.iter().zip(fees_sat).map(|(tx, fee_sat)| {
        let feerate = fee_sat.saturating_mul(1000).div_ceil(tx.weight().to_wu().max(1));
        u32::try_from(feerate).unwrap_or(u32::MAX)
    });
    let max_feerate_sat_per_kw = feerates.max().unwrap_or(u32::MAX);
    let txid = txs.last().map_or([0; 32], |tx| tx.compute_txid().to_byte_array());
    let id = ActionId::of("broadcast", &channel, &[&txid, &view.tip.get().to_le_bytes()]);
    Action::Broadcast { id, channel, txs, max_feerate_sat_per_kw }
}

fn requests(view: &ChannelView<'_>, wants: &BTreeMap<OutPoint, Want>, out: &mut Vec<Action>) {
    let channel = view.channel;
    if let ScriptsRequest::Asked { .. } = channel.requests.scripts {
        out.push(Action::RequestScripts { id: scripts_id(channel), channel: channel.facts.id });
    }
    for ask in channel.requests.sweeper.asked().into_iter().filter(|ask| wants.contains_key(&ask.owner)) {
        out.push(Action::RequestFeeInputs {
            id: ask_id(channel, ask),
            channel: channel.facts.id,
            owner: ask.owner,
            amount_sat: ask.amount_sat,
            feerate_sat_per_kw: ask.feerate_sat_per_kw,
            deadline: ask.deadline,
            value_sat: ask.value_sat,
            exclude: channel.requests.sweeper.refused_coins(view.tip, view.policy.lazy_target),
        });
    }
}

/// Holds coins until their group is dropped, or all its claims are irrevocably spent (B49, B56).
fn holds(view: &ChannelView<'_>, out: &mut Vec<Action>) {
    let channel = view.channel;
    let mut hold = |owner: OutPoint, fee_inputs: &FeeInputs| {
        let coins: Vec<OutPoint> = fee_inputs.coins.iter().map(|coin| coin.outpoint).collect();
        if !coins.is_empty() {
            let bytes: Vec<[u8; 36]> = coins.iter().map(outpoint_bytes).collect();
            let id = ActionId::of("hold", &channel.facts.id, &[&outpoint_bytes(&owner), &bytes.concat()]);
            out.push(Action::HoldFeeInputs { id, channel: channel.facts.id, owner, coins });
        }
    };
    for group in channel.requests.sweeper.groups.values() {
        let irrevocable = group.members.iter().all(|member| {
            let spend = view.spends.get(member);
            spend.is_some_and(|spend| view.tip.buries(spend.height, view.policy.irrevocable_depth))
        });
        if let (Some(owner), false) = (group.members.first(), irrevocable) {
            hold(*owner, &group.fee_inputs);
        }
    }
    for (owner, fee_inputs) in &channel.requests.sweeper.unused {
        hold(*owner, fee_inputs);
    }
}

/// Asks for the signatures of planned transactions, and sends them while all their claims are wanted.
fn sweeps(view: &ChannelView<'_>, hold: Hold, wants: &BTreeMap<OutPoint, Want>, out: &mut Vec<Action>) {
    let channel = view.channel;
    for state in channel.requests.sweeps.values() {
        let members = &state.sweep.plan.members;
        if members.is_empty() || !members.iter().all(|member| wants.contains_key(member)) {
            continue;
        }
        if state.signed.is_none() {
            out.extend(sweep_request(channel, wants, state).map(Action::Sign));
        }
        // A block that is still to be heard may say what became of it: until then an answer would be misread (A3).
        if hold.behind {
            continue;
        }
        // The version before may have claims that left the group since, and a reorg may have removed what they spend.
        let is_there = |outpoint: &OutPoint| wants.contains_key(outpoint) || channel.coin_value_sat(outpoint).is_some();
        let is_whole = |before: &&SignedTx| before.0.input.iter().all(|input| is_there(&input.previous_output));
        if let Some(signed) = state.signed.as_ref().or_else(|| state.before.as_ref().filter(is_whole)) {
            out.push(broadcast(view, [signed.0.clone()].into(), &[state.sweep.plan.fee_sat]));
        }
    }
}

/// Asks the node for the preimage of each received HTLC whose output is unspent and waits for one.
fn questions(view: &ChannelView<'_>, out: &mut Vec<Action>) {
    let channel = view.channel;
    if view.close.as_ref().is_some_and(|close| close.kind == CloseKind::Mutual) {
        return;
    }
    for contract in &view.contracts {
        let contested = matches!(contract.state, ContractState::Live(ContractStage::Contested { .. }));
        let (true, Some(htlc)) = (contested, contract.htlc) else { continue };
        let Some(state) = channel.htlcs.get(&htlc) else { continue };
        if contract.resolvers.last() == Some(&ResolverKind::IncomingContest) && state.irrevocable {
            out.push(Action::AskForPreimage {
                id: ActionId::of("ask", &channel.facts.id, &[&htlc_bytes(&htlc)]),
                htlc: HtlcKey { channel: channel.facts.id, htlc },
                // From the expiry on, the counterparty's timeout can confirm first.
                until: state.htlc.cltv_expiry,
                tag: state.htlc.tag.clone(),
            });
        }
    }
}
