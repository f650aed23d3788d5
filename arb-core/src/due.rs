//! What is due, as a view of the state (R4): remember nothing, ask what is owed.

use crate::action::Action;
use crate::channel::{ChannelArbitrator, CloseKind, Level, ScriptsRequest};
use crate::court::Snapshot;
use crate::facts::{Funding, Side};
use crate::ids::{ActionId, HtlcKey};
use crate::notice::{Notice, htlc_bytes, outpoint_bytes};
use crate::outcome::Upstream;
use crate::resolver::{ResolverKind, Stage};
use crate::sweep;
use crate::units::Height;
use crate::view::{ChannelView, ContractState};
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{OutPoint, Transaction, Txid};

/// What the court-wide state holds back for now.
#[derive(Clone, Copy)]
struct Hold {
    /// The journal may be older than the node: nothing of ours is signed.
    suspect: bool,
    /// Blocks are being caught up: a give-up is not due (R11).
    behind: bool,
}

/// Appends everything that is due for a channel now.
pub(crate) fn actions(court: &Snapshot, channel: &ChannelArbitrator, out: &mut Vec<Action>) {
    let view = ChannelView::new(channel, court.tip.height, &court.policy);
    let hold = Hold { suspect: court.suspects(channel), behind: !court.is_caught_up() };
    collect(&view, hold, out);
}

/// Whether anything could be due for a channel: what the index of owing channels holds.
pub(crate) fn owes(view: &ChannelView<'_>) -> bool {
    // Most channels most of the time: open, searched, silent.
    let channel = view.channel;
    if channel.ratchet.frozen.is_none()
        && channel.outbox.is_empty()
        && channel.chain.kept.is_empty()
        && channel.chain.fundings.iter().all(|funding| funding.scanned)
    {
        return false;
    }
    let mut out = Vec::new();
    collect(view, Hold { suspect: false, behind: false }, &mut out);
    !out.is_empty()
}

fn collect(view: &ChannelView<'_>, hold: Hold, out: &mut Vec<Action>) {
    watch(view, out);
    notices(view.channel, out);
    outcomes(view, hold, out);
    match &view.close {
        None => commitment(view, hold, out),
        Some(_) => {
            requests(view, out);
            sweeps(view, out);
            questions(view, out);
        }
    }
}

/// Every output below a funding spend is searched for, also in the past (R5).
fn watch(view: &ChannelView<'_>, out: &mut Vec<Action>) {
    let channel = view.channel;
    let id = |parent: &Txid| ActionId::of("watch", &channel.facts.id, &[&parent.to_byte_array()]);
    let fundings = channel.facts.fundings.iter().zip(&channel.chain.fundings);
    let parents: BTreeSet<Txid> =
        fundings.filter(|(_, facts)| !facts.scanned).map(|(funding, _)| funding.outpoint.txid).collect();
    for parent in parents {
        let of_parent = || channel.facts.fundings.iter().filter(|funding| funding.outpoint.txid == parent);
        let script =
            |funding: &Funding| crate::bolt3::funding_redeem_script(&funding.local_key, &funding.remote_key).to_p2wsh();
        out.push(Action::Watch {
            id: id(&parent),
            channel: channel.facts.id,
            parent,
            outpoints: of_parent().map(|funding| funding.outpoint).collect(),
            scripts: of_parent().map(script).collect(),
            from: channel.facts.watch_from,
        });
    }
    for (txid, kept) in &channel.chain.kept {
        let outputs = (0..).zip(&kept.tx.output).map(|(vout, output)| (OutPoint { txid: *txid, vout }, output));
        let outputs: Vec<_> = outputs.filter(|(outpoint, _)| channel.watches(outpoint)).collect();
        if !kept.scanned && kept.level != Level::Second && !outputs.is_empty() {
            out.push(Action::Watch {
                id: id(txid),
                channel: channel.facts.id,
                parent: *txid,
                outpoints: outputs.iter().map(|(outpoint, _)| *outpoint).collect(),
                scripts: outputs.iter().map(|(_, output)| output.script_pubkey.clone()).collect(),
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

/// The outbox of origins: until the node acknowledges (B52).
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

/// Our commitment, while nothing has spent the funding: signed, then sent in every block (BOLT 5 F6).
fn commitment(view: &ChannelView<'_>, hold: Hold, out: &mut Vec<Action>) {
    let channel = view.channel;
    let ratchet = &channel.ratchet;
    if !ratchet.went_to_chain || ratchet.outdated || hold.suspect {
        return;
    }
    let Some(local) = &channel.set.local else { return };
    // Sent alone only where its parent is in view: the newest confirmed funding.
    let fundings = channel.facts.fundings.iter().zip(&channel.chain.fundings);
    let confirmed = fundings.filter_map(|(funding, facts)| Some((facts.confirmed?, funding)));
    let Some((_, funding)) = confirmed.max_by_key(|(height, funding)| (*height, funding.outpoint)) else { return };
    let index = channel.facts.fundings.iter().position(|other| other == funding);
    let Some(rebuilt) = channel.rebuild(&Secp256k1::new(), Side::Local, &local.commitment, funding, &[]) else {
        return;
    };
    match ratchet.commitment_signed.get(&funding.outpoint) {
        None => out.push(Action::Sign(sweep::commitment_request(channel, funding, &rebuilt))),
        Some(ours) => {
            let Some(theirs) = index.and_then(|index| local.signatures.get(index)) else { return };
            let mut tx = rebuilt.built.tx.clone();
            let witness =
                crate::bolt3::witness::commitment(&funding.local_key, ours, &funding.remote_key, &theirs.commitment);
            for input in &mut tx.input {
                input.witness = witness.clone();
            }
            out.push(broadcast(view, tx, rebuilt.built.fee_sat));
        }
    }
}

fn broadcast(view: &ChannelView<'_>, tx: Transaction, fee_sat: u64) -> Action {
    let channel = view.channel.facts.id;
    // What it really pays: trimmed HTLCs are fee, and signatures are shorter than planned for.
    let feerate = fee_sat.saturating_mul(1000).div_ceil(tx.weight().to_wu().max(1));
    let max_feerate_sat_per_kw = u32::try_from(feerate).unwrap_or(u32::MAX);
    let txid = tx.compute_txid().to_byte_array();
    let id = ActionId::of("broadcast", &channel, &[&txid, &view.tip.get().to_le_bytes()]);
    Action::Broadcast { id, channel, tx, max_feerate_sat_per_kw }
}

fn requests(view: &ChannelView<'_>, out: &mut Vec<Action>) {
    let channel = view.channel;
    if let ScriptsRequest::Asked { .. } = channel.requests.scripts {
        out.push(Action::RequestScripts { id: scripts_id(channel), channel: channel.facts.id });
    }
    let live = wanted(view);
    for asked in channel.requests.fee_inputs.values() {
        let request = &asked.request;
        if asked.offered.is_none() && live.contains(&request.owner) {
            out.push(Action::RequestFeeInputs {
                id: request.id,
                channel: channel.facts.id,
                owner: request.owner,
                amount_sat: request.amount_sat,
                feerate_sat_per_kw: request.feerate_sat_per_kw,
            });
        }
    }
}

/// The identity of the request for this close's script.
pub(crate) fn scripts_id(channel: &ChannelArbitrator) -> ActionId {
    ActionId::of("scripts", &channel.facts.id, &[])
}

/// Planned transactions: coins held, signatures asked for, and sent while their claim is wanted.
fn sweeps(view: &ChannelView<'_>, out: &mut Vec<Action>) {
    let channel = view.channel;
    let live = wanted(view);
    for (outpoint, state) in &channel.requests.sweeps {
        // A coin is held until its sweep is dropped, or confirmed beyond recall (B49, B56).
        let spent = view.spends.get(outpoint);
        let irrevocable = spent.is_some_and(|spend| view.tip.buries(spend.height, view.policy.forget_depth));
        if let (Some(coin), false) = (&state.sweep.fee_input, irrevocable) {
            out.push(Action::HoldFeeInputs {
                id: ActionId::of(
                    "hold",
                    &channel.facts.id,
                    &[&outpoint_bytes(outpoint), &outpoint_bytes(&coin.outpoint)],
                ),
                channel: channel.facts.id,
                owner: *outpoint,
                coins: vec![coin.outpoint],
            });
        }
        if live.contains(outpoint) {
            match &state.signed {
                None => out.push(Action::Sign(sweep::sweep_request(channel, &state.sweep))),
                Some(signed) => out.push(broadcast(view, signed.0.clone(), state.sweep.fee_sat)),
            }
        }
    }
}

/// The outpoints that contracts want claimed now.
fn wanted(view: &ChannelView<'_>) -> Vec<OutPoint> {
    let wanted = |state: &ContractState| match state {
        ContractState::Live(Stage::ClaimWanted(claim)) => Some(claim.outpoint),
        ContractState::Live(Stage::Waiting { .. } | Stage::Contested { .. } | Stage::Spent { .. })
        | ContractState::Done(_) => None,
    };
    view.contracts.iter().filter_map(|contract| wanted(&contract.state)).collect()
}

/// A received HTLC whose output is live and whose preimage nobody has: ask.
fn questions(view: &ChannelView<'_>, out: &mut Vec<Action>) {
    let channel = view.channel;
    if view.close.as_ref().is_some_and(|close| close.kind == CloseKind::Mutual) {
        return;
    }
    for contract in &view.contracts {
        let contested = matches!(contract.state, ContractState::Live(Stage::Contested { .. }));
        let (true, Some(htlc)) = (contested, contract.htlc) else { continue };
        let Some(state) = channel.htlcs.get(&htlc) else { continue };
        if contract.resolvers.last() == Some(&ResolverKind::IncomingContest) && state.irrevocable {
            out.push(Action::AskForPreimage {
                id: ActionId::of("ask", &channel.facts.id, &[&htlc_bytes(&htlc)]),
                htlc: HtlcKey { channel: channel.facts.id, htlc },
                until: last_use(state.htlc.cltv_expiry),
                tag: state.htlc.tag.clone(),
            });
        }
    }
}

/// A preimage is of use until the counterparty's timeout can confirm, and after that for as long as it has not.
const fn last_use(expiry: Height) -> Height {
    expiry
}
