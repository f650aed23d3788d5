//! The balance sheet of a closed channel (I11): every term is computed on its own, none as a remainder.
//!
//! Tests: `arb-harness/lab/tests/closes/main.rs`, `arb-harness/lab/tests/breach_suite/main.rs`.

use crate::api::facts::Side;
use crate::api::ids::ContractId;
use crate::api::outcome::ContractOutcome;
use crate::api::sheet::Sheet;
use crate::api::stage::{CloseKind, ContractKind};
use crate::bolt3::{ScriptTemplate, SpendPath, anchor_script, parse_script, to_remote_script_pubkey};
use crate::channel::{Close, KeptTx, SpendOf};
use crate::resolver::{Taker, taker};
use crate::view::{ChannelView, Contract, ContractState};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bitcoin::{OutPoint, Script, Txid};

/// The transactions that spent a contract, in order: the one that spent its output, then the one that spent its second level.
pub(crate) fn spenders(view: &ChannelView<'_>, contract: &Contract) -> Vec<Txid> {
    let ContractId::Output(outpoint) = contract.id else { return Vec::new() };
    let Some(first) = view.spends.get(&outpoint) else { return Vec::new() };
    let second = view.second_level(contract, first).and_then(|outpoint| view.spends.get(&outpoint));
    [Some(first), second].into_iter().flatten().map(|spend| spend.txid).collect()
}

/// What our transactions for a contract paid in fees, in satoshi.
pub(crate) fn fees_of(view: &ChannelView<'_>, contract: &Contract) -> u64 {
    let mut sheet = Sheet::default();
    if let (Some(close), ContractId::Output(outpoint)) = (&view.close, contract.id) {
        let penal = match contract.kind {
            ContractKind::RevokedToLocal | ContractKind::RevokedSecondLevel => true,
            ContractKind::Htlc => close.kind == CloseKind::Revoked,
            ContractKind::ToLocal | ContractKind::ToRemote | ContractKind::Anchor => false,
        };
        // What was paid for a first stage stays paid if the second one is given up (A55).
        let paid =
            matches!(contract.state, ContractState::Done(ContractOutcome::Claimed | ContractOutcome::Uneconomic));
        if penal {
            // The counterparty's HTLC transaction paid a fee of its own: only the fee of our penalty counts.
            if let Some((spend, amount_sat)) = penalised(view, close, outpoint) {
                swept(view, spend, amount_sat, &mut sheet);
            }
        } else if paid && view.spends.contains_key(&outpoint) {
            of_output(view, close, contract, outpoint, &mut sheet);
        }
    }
    sheet.fees_sat
}

/// The balance sheet of a close whose contracts are all over.
pub(crate) fn sheet(view: &ChannelView<'_>, close: &Close) -> Sheet {
    let facts = &view.channel.facts;
    let mut sheet =
        Sheet { capacity_sat: close.funding(facts).map_or(0, |funding| funding.value_sat), ..Sheet::default() };
    let Some(kept) = view.channel.chain.kept.get(&close.txid) else { return sheet };
    let outputs = kept.output_sat;
    sheet.fees_sat = sheet.capacity_sat.saturating_sub(outputs);
    let contracts: BTreeMap<ContractId, &Contract> =
        view.contracts.iter().map(|contract| (contract.id, contract)).collect();
    for (vout, output) in &kept.outputs {
        let outpoint = OutPoint { txid: close.txid, vout: *vout };
        match contracts.get(&ContractId::Output(outpoint)) {
            Some(contract) => of_output(view, close, contract, outpoint, &mut sheet),
            None => of_foreign(view, close, outpoint, output.value.to_sat(), &mut sheet),
        }
    }
    sheet
}

/// Adds an output that a resolver owned.
fn of_output(view: &ChannelView<'_>, close: &Close, contract: &Contract, outpoint: OutPoint, sheet: &mut Sheet) {
    let amount_sat = contract.amount_sat;
    let ContractState::Done(outcome) = contract.state else { return };
    let Some(spend) = view.spends.get(&outpoint) else {
        match outcome {
            ContractOutcome::Uneconomic => add(&mut sheet.uneconomic_sat, amount_sat),
            ContractOutcome::Claimed
            | ContractOutcome::TakenByPeer
            | ContractOutcome::Lost
            | ContractOutcome::Unclaimed
            | ContractOutcome::NoOutput => add(&mut sheet.contested_unclaimed_sat, amount_sat),
        }
        return;
    };
    if matches!(contract.kind, ContractKind::RevokedToLocal | ContractKind::RevokedSecondLevel)
        || (contract.kind == ContractKind::Htlc && close.kind == CloseKind::Revoked)
    {
        return of_revoked(view, close, outpoint, amount_sat, sheet);
    }
    let ours = contract.kind != ContractKind::Htlc || taker(close.owner, &spend.path) == Taker::UsDirect;
    match (outcome, view.second_level(contract, spend)) {
        (ContractOutcome::Claimed, None) if contract.kind == ContractKind::Anchor => {
            with_coins(view, spend, amount_sat, 0, sheet);
        }
        (ContractOutcome::Claimed, None) if ours => swept(view, spend, amount_sat, sheet),
        (_, Some(second)) => of_second_level(view, contract, spend, second, sheet),
        (ContractOutcome::TakenByPeer, None) => left(view, spend, amount_sat, &mut sheet.fees_sat, &mut sheet.peer_sat),
        (
            ContractOutcome::Claimed
            | ContractOutcome::Lost
            | ContractOutcome::Unclaimed
            | ContractOutcome::Uneconomic
            | ContractOutcome::NoOutput,
            None,
        ) => left(view, spend, amount_sat, &mut sheet.fees_sat, &mut sheet.lost_sat),
    }
}

/// Adds a spent output of a revoked commitment. It is swept if we took it, or took what the counterparty's HTLC transaction
/// left of it; lost if the counterparty kept it; uneconomic if nobody took what was left.
fn of_revoked(view: &ChannelView<'_>, close: &Close, outpoint: OutPoint, amount_sat: u64, sheet: &mut Sheet) {
    let Some(spend) = view.spends.get(&outpoint) else { return add(&mut sheet.contested_unclaimed_sat, amount_sat) };
    let left_sat = match view.revoked_second_level(close, spend) {
        Some((_, left_sat)) => left_sat.min(amount_sat),
        None => amount_sat,
    };
    add(&mut sheet.fees_sat, amount_sat.saturating_sub(left_sat));
    match (penalised(view, close, outpoint), view.revoked_second_level(close, spend)) {
        (Some((ours, _)), _) => swept(view, ours, left_sat, sheet),
        (None, Some((second, _))) if !view.spends.contains_key(&second) => add(&mut sheet.uneconomic_sat, left_sat),
        (None, _) => add(&mut sheet.lost_sat, left_sat),
    }
}

/// Our spend of a revoked output, or of what the counterparty's HTLC transaction left of it, and the value of what we spent.
fn penalised<'a>(view: &'a ChannelView<'_>, close: &Close, outpoint: OutPoint) -> Option<(&'a SpendOf, u64)> {
    let amount_sat = view.channel.chain.output(&outpoint)?.value.to_sat();
    let spend = view.spends.get(&outpoint)?;
    // A direct spend on their commitment is our own: a claim from before it was revoked.
    if spend.path == SpendPath::Revocation || spend.path.is_direct() {
        return Some((spend, amount_sat));
    }
    let (second, left_sat) = view.revoked_second_level(close, spend)?;
    let last = view.spends.get(&second)?;
    (last.path == SpendPath::Revocation).then_some((last, left_sat))
}

/// Adds our second-level transaction: the wallet's coins go in, change and a delayed output come out.
fn of_second_level(view: &ChannelView<'_>, contract: &Contract, spend: &SpendOf, second: OutPoint, sheet: &mut Sheet) {
    let delayed_sat = view.channel.chain.output(&second).map_or(0, |output| output.value.to_sat());
    with_coins(view, spend, contract.amount_sat, delayed_sat, sheet);
    match view.spends.get(&second) {
        Some(last) if last.path == SpendPath::Delayed => swept(view, last, delayed_sat, sheet),
        Some(_) => add(&mut sheet.lost_sat, delayed_sat),
        None => add(&mut sheet.uneconomic_sat, delayed_sat),
    }
}

/// Adds a claim whose fee the wallet paid: its parts of fee and change, and as much of the coins as those parts need.
fn with_coins(view: &ChannelView<'_>, spend: &SpendOf, amount_sat: u64, fixed_sat: u64, sheet: &mut Sheet) {
    let Some(shared) = Shared::of(view, spend) else { return };
    let (fee_sat, change_sat) = (shared.part(shared.fee_sat), shared.part(shared.change_sat(fixed_sat > 0)));
    let out = [fixed_sat, change_sat, fee_sat].into_iter().fold(0, u64::saturating_add);
    add(&mut sheet.wallet_in_sat, out.saturating_sub(amount_sat));
    add(&mut sheet.wallet_change_sat, change_sat);
    add(&mut sheet.fees_sat, fee_sat);
}

/// A transaction of ours that several claims share. Its fee is split by the weight of their inputs; the remainder of the
/// division goes to the first.
struct Shared<'a> {
    kept: &'a KeptTx,
    /// The inputs that are claims, with their weights.
    claims: Vec<(u32, u64)>,
    /// The claim in question: its place in `claims`.
    position: usize,
    fee_sat: u64,
}

impl<'a> Shared<'a> {
    fn of(view: &'a ChannelView<'_>, spend: &SpendOf) -> Option<Self> {
        let channel = view.channel;
        let kept = channel.chain.kept.get(&spend.txid)?;
        let mut claims = Vec::new();
        let mut in_sat: u64 = 0;
        for (index, input) in &kept.inputs {
            // Coins come first: one may be the change of a kept transaction, and would then pass for a claim.
            match channel.coin_value_sat(&input.previous_output) {
                Some(coin_sat) => add(&mut in_sat, coin_sat),
                None => {
                    claims.push((*index, input.weight));
                    let output = channel.chain.output(&input.previous_output);
                    add(&mut in_sat, output.map_or(0, |output| output.value.to_sat()));
                }
            }
        }
        let position = claims.iter().position(|(index, _)| *index == spend.input)?;
        let fee_sat = in_sat.saturating_sub(kept.output_sat);
        Some(Self { kept, claims, position, fee_sat })
    }

    fn part(&self, total_sat: u64) -> u64 {
        let all = sum(self.claims.iter().map(|(_, weight)| *weight)).max(1);
        let part = |weight: u64| {
            let part =
                u128::from(total_sat).saturating_mul(u128::from(weight)).checked_div(u128::from(all)).unwrap_or(0);
            u64::try_from(part).unwrap_or(u64::MAX)
        };
        let own = self.claims.get(self.position).map_or(0, |(_, weight)| part(*weight));
        if self.position > 0 {
            return own;
        }
        let others = sum(self.claims.iter().skip(1).map(|(_, weight)| part(*weight)));
        total_sat.saturating_sub(others)
    }

    /// What comes back to the wallet: all outputs, except those that the counterparty's signatures fix at the claims' indexes.
    fn change_sat(&self, fixed: bool) -> u64 {
        let output = |(index, _): &(u32, u64)| self.kept.outputs.get(index).map_or(0, |output| output.value.to_sat());
        let fixed_sat = if fixed { sum(self.claims.iter().map(output)) } else { 0 };
        self.kept.output_sat.saturating_sub(fixed_sat)
    }
}

/// Adds an output that no resolver owned. It is the counterparty's, except our output of a mutual close, and what we may have
/// lost on a commitment that we cannot rebuild.
fn of_foreign(view: &ChannelView<'_>, close: &Close, outpoint: OutPoint, amount_sat: u64, sheet: &mut Sheet) {
    match close.kind {
        CloseKind::Local | CloseKind::Remote | CloseKind::RemotePending => add(&mut sheet.peer_sat, amount_sat),
        CloseKind::Mutual => {
            let ours = view.channel.ratchet.closings.get(&close.txid).copied().flatten();
            let term = if ours == Some(outpoint.vout) { &mut sheet.swept_sat } else { &mut sheet.peer_sat };
            add(term, amount_sat);
        }
        CloseKind::Revoked | CloseKind::Unknown | CloseKind::Superseded => {
            of_unknown(view, close, outpoint, amount_sat, sheet);
        }
    }
}

/// Adds an output whose purpose only its spend can show.
fn of_unknown(view: &ChannelView<'_>, close: &Close, outpoint: OutPoint, amount_sat: u64, sheet: &mut Sheet) {
    let facts = &view.channel.facts;
    let remote_anchor = close.funding(facts).map(|funding| anchor_script(&funding.remote_key).to_p2wsh());
    let script = view.channel.chain.output(&outpoint).map(|output| &output.script_pubkey);
    // On our own commitment: the counterparty's main output.
    let theirs = (close.owner == Side::Local)
        .then(|| to_remote_script_pubkey(facts.channel_type, &facts.remote.basepoints.payment));
    if script.is_some_and(|script| !script.is_p2wsh()) || script == remote_anchor.as_ref() || script == theirs.as_ref()
    {
        return add(&mut sheet.peer_sat, amount_sat);
    }
    let Some(spend) = view.spends.get(&outpoint) else {
        return add(&mut sheet.contested_unclaimed_sat, amount_sat);
    };
    if close.kind == CloseKind::Revoked {
        return of_revoked(view, close, outpoint, amount_sat, sheet);
    }
    // What the counterparty takes with the revocation key of an old commitment of ours was ours (A32).
    let punished = close.kind == CloseKind::Superseded && spend.path == SpendPath::Revocation;
    let ours = punished || could_have_been_ours(view, spend, amount_sat);
    let term = if ours { &mut sheet.lost_sat } else { &mut sheet.peer_sat };
    left(view, spend, amount_sat, &mut sheet.fees_sat, term);
}

/// Whether the script that a spend revealed is an HTLC that we could have claimed with a preimage before that spend. The
/// script of an offered HTLC has the hash and no expiry, so two HTLCs with one hash are told apart by their amounts only.
fn could_have_been_ours(view: &ChannelView<'_>, spend: &SpendOf, amount_sat: u64) -> bool {
    let kept = view.channel.chain.kept.get(&spend.txid);
    let input = kept.and_then(|kept| kept.inputs.get(&spend.input));
    let script = input.and_then(|input| input.witness.last()).map(Script::from_bytes);
    let Some(ScriptTemplate::Offered { payment_hash160, .. }) = script.and_then(parse_script) else { return false };
    view.channel.htlcs.iter().any(|(htlc, state)| {
        !htlc.is_offered()
            && state.irrevocable
            && state.htlc.payment_hash.script_hash() == payment_hash160
            && state.htlc.amount_sat() == amount_sat
            && view.channel.ratchet.usable.get(htlc).is_some_and(|known| known.since < spend.height)
    })
}

/// Adds a claim of ours: its part of the fee is a fee, the rest is swept.
fn swept(view: &ChannelView<'_>, spend: &SpendOf, amount_sat: u64, sheet: &mut Sheet) {
    let fee_sat = Shared::of(view, spend).map_or(0, |shared| shared.part(shared.fee_sat)).min(amount_sat);
    add(&mut sheet.swept_sat, amount_sat.saturating_sub(fee_sat));
    add(&mut sheet.fees_sat, fee_sat);
}

/// Adds an output that somebody else took to `term`. If a second-level transaction took it, that transaction's fee goes to
/// `fees`.
fn left(view: &ChannelView<'_>, spend: &SpendOf, amount_sat: u64, fees: &mut u64, term: &mut u64) {
    let vout = spend.path.is_second_level().then_some(spend.input);
    let second = vout.and_then(|vout| view.channel.chain.output(&OutPoint { txid: spend.txid, vout }));
    let second = second.map(|output| output.value.to_sat());
    let gone = second.map_or(amount_sat, |second| second.min(amount_sat));
    add(term, gone);
    add(fees, amount_sat.saturating_sub(gone));
}

fn add(term: &mut u64, amount_sat: u64) {
    *term = term.saturating_add(amount_sat);
}

fn sum(values: impl Iterator<Item = u64>) -> u64 {
    values.fold(0, u64::saturating_add)
}
