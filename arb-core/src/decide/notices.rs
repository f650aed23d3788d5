//! What the outside is told once: alerts, the report of each contract, and the end of the channel (R13, I14).
//!
//! Tests: `arb-harness/lab/tests/court_suite/breach_state.rs`, `arb-harness/lab/tests/court_suite/incidents_restart.rs`.

use crate::api::event::BroadcastRejection;
use crate::api::ids::{ActionId, ContractId, report_id};
use crate::api::notice::{Alert, ContractReport, Notice};
use crate::api::outcome::ContractOutcome;
use crate::api::record::Conclusion;
use crate::api::sheet::Sheet;
use crate::api::stage::ContractKind;
use crate::channel::{Close, SweepState};
use crate::claims::path::{pays, unclaimed};
use crate::decide::bench::Bench;
use crate::decide::sheet;
use crate::resolver::ContractStage;
use crate::sweep::Pays;
use crate::view::{ChannelView, Contract, ContractState};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

pub(super) fn notices(bench: &Bench<'_>, view: &ChannelView<'_>, out: &mut Vec<Conclusion>) {
    let channel = view.channel;
    let mut notices = Vec::new();
    requests(view, &mut notices);
    if let Some(close) = &view.close {
        for contract in &view.contracts {
            of_contract(bench, view, close, contract, &mut notices);
        }
    }
    if let Some(sheet) = resolved(bench, view).filter(|_| bench.told) {
        notices.push(Notice::Resolved(sheet));
    }
    let raised = out.iter().filter_map(|conclusion| {
        let Conclusion::Noticed(notice) = conclusion else { return None };
        Some(notice.id(&channel.facts.id))
    });
    let mut raised: BTreeSet<ActionId> = raised.collect();
    let new = notices.into_iter().filter(|notice| raised.insert(notice.id(&channel.facts.id)));
    out.extend(new.filter_map(|notice| channel.raise(notice)));
}

/// Alerts about what signer, wallet and network refuse.
fn requests(view: &ChannelView<'_>, notices: &mut Vec<Notice>) {
    let requests = &view.channel.requests;
    let refused = requests.refused.iter().map(|request| Alert::SigningRefused { request: *request });
    let missing = requests.sweeper.missing.iter().filter(|(_, shortage)| shortage.missing_sat > 0);
    let missing =
        missing.map(|(owner, shortage)| Alert::FeeInputsMissing { owner: *owner, missing_sat: shortage.missing_sat });
    notices.extend(refused.chain(missing).map(Notice::Alert));
    let fixed = !view.channel.facts.channel_type.has_anchors();
    // Only what the counterparty signed with `SIGHASH_ALL` has a fixed fee; the sweeper raises the fee of everything else.
    let sweeps = requests
        .sweeps
        .values()
        .filter_map(|state| Some((state.txid, state.rejected?, fixed && has_fixed_fee(view, state))));
    let commitment = requests.commitment_rejected.map(|(txid, why)| (txid, why, fixed));
    for (txid, why, fixed) in sweeps.chain(commitment) {
        match why {
            BroadcastRejection::ScriptFailure => notices.push(Notice::Alert(Alert::ScriptFailure { txid })),
            BroadcastRejection::FeeTooLow if fixed => notices.push(Notice::Alert(Alert::FeeTooLow { txid })),
            BroadcastRejection::FeeTooLow
            | BroadcastRejection::MissingInputs
            | BroadcastRejection::ConflictInMempool
            | BroadcastRejection::NonFinal
            | BroadcastRejection::TooLongChain
            | BroadcastRejection::Unknown => {}
        }
    }
}

/// Whether the counterparty signed the whole transaction: a second level of static_remotekey.
fn has_fixed_fee(view: &ChannelView<'_>, state: &SweepState) -> bool {
    let member = state.sweep.plan.members.first();
    view.contracts.iter().any(|contract| match &contract.state {
        ContractState::Live(ContractStage::ClaimWanted(claim)) => {
            Some(&claim.outpoint) == member && pays(claim.way.path(), view.channel.facts.channel_type) == Pays::Signed
        }
        ContractState::Live(
            ContractStage::Waiting { .. } | ContractStage::Contested { .. } | ContractStage::Spent { .. },
        )
        | ContractState::Done(_) => false,
    })
}

fn of_contract(
    bench: &Bench<'_>,
    view: &ChannelView<'_>,
    close: &Close,
    contract: &Contract,
    notices: &mut Vec<Notice>,
) {
    match &contract.state {
        ContractState::Done(outcome) => {
            let txids = sheet::spenders(view, contract);
            // Anybody may take an anchor after sixteen blocks: that is a report, and no loss (A45).
            let lost = contract.kind != ContractKind::Anchor && *outcome == ContractOutcome::Lost;
            if let (true, ContractId::Output(outpoint), Some(by)) = (lost, contract.id, txids.last().copied()) {
                notices.push(Notice::Alert(Alert::OutputLost { outpoint, amount_sat: contract.amount_sat, by }));
            }
            // A contract that ended without a spend may still be spent, so it is reported once the close is irrevocable. What
            // kind of close it is depends on what the node tells.
            if bench.told && view.tip.buries(close.height, view.policy.irrevocable_depth) {
                notices.push(Notice::Report(ContractReport {
                    id: contract.id,
                    htlc: contract.htlc,
                    kind: contract.kind,
                    close: close.kind,
                    amount_sat: contract.amount_sat,
                    resolvers: contract.resolvers.clone(),
                    outcome: *outcome,
                    fee_sat: sheet::fees_of(view, contract),
                    txids,
                    unclaimed: view.given_up(contract).map(|claim| Box::new(unclaimed(&claim))),
                }));
            }
        }
        ContractState::Live(ContractStage::ClaimWanted(claim)) => {
            if let Some(deadline) = claim.deadline.filter(|deadline| bench.caught_up && view.tip > *deadline) {
                let (outpoint, amount_sat) = (claim.outpoint, claim.amount_sat);
                notices.push(Notice::Alert(Alert::DeadlineMissed { outpoint, deadline, amount_sat }));
            }
            // That it is unspent is a conclusion from absence (R11).
            if bench.caught_up && view.tip >= view.waits_too_long_at(claim) {
                let since = view.claimable_since(claim);
                notices.push(Notice::Alert(Alert::OutputWaits { output: unclaimed(claim), since }));
            }
        }
        ContractState::Live(
            ContractStage::Waiting { .. } | ContractStage::Contested { .. } | ContractStage::Spent { .. },
        ) => {}
    }
}

/// The balance sheet, once every contract is over and reported and the outside has carried out every notice.
fn resolved(bench: &Bench<'_>, view: &ChannelView<'_>) -> Option<Sheet> {
    let channel = view.channel;
    if !channel.outbox.is_empty() {
        return None;
    }
    let Some(close) = &view.close else {
        // A funding that is forgotten may have confirmed in a block that is still to be heard or searched (R11). If one that
        // never would has confirmed once, the channel is not forgotten, also if a reorg took it (A19, A33).
        let ratchet = &channel.ratchet;
        let closes = ratchet.went_to_chain || ratchet.close_requested.is_some();
        let is_over = channel.is_never_funded() || channel.is_searched() && !channel.can_pay_us() && !closes;
        let ends = ratchet.forgotten && ratchet.frozen.is_some() && bench.caught_up && is_over && view.is_answered();
        return ends.then(Sheet::default);
    };
    let id = &channel.facts.id;
    let reported = view.contracts.iter().all(|contract| channel.raised.contains(&report_id(id, &contract.id)));
    (view.is_resolved(close) && reported).then(|| sheet::sheet(view, close))
}
