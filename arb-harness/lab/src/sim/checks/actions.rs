//! I7 and I10: what is sent spends nothing that is spent, every claimable output has a claim, and of our commitments only the
//! newest is ever used.

use std::collections::BTreeSet;

use arb_core::{Action, ContractId, Docket, Side, StageRecord};
use bitcoin::{OutPoint, Transaction};

use super::{Verdict, violated};
use crate::chain::Chain;
use crate::sim::world::channel::SimChannel;

/// I7: nothing that is sent spends what the court has seen spent.
pub(crate) fn invariant_i7_no_sweep_spends_the_spent(chain: &Chain, tip: u32, tx: &Transaction) -> Verdict {
    for input in &tx.input {
        let spent = chain.spender_of(&input.previous_output).filter(|(height, _, _)| *height <= tip);
        if let Some((height, by, _)) = spent {
            let (txid, outpoint) = (tx.compute_txid(), input.previous_output);
            return violated("I7", format!("{txid} is sent at {tip}; {by} spent {outpoint} at {height}"));
        }
    }
    Ok(())
}

/// I7: every output that can be claimed has something under way, or a reason why not. `below` names the confirmed spend of
/// an output: what is claimed then is the second level.
pub(crate) fn invariant_i7_claims_are_live(
    docket: &Docket,
    due: &[Action],
    below: impl Fn(&OutPoint) -> Option<OutPoint>,
    excused: impl FnOnce() -> BTreeSet<OutPoint>,
) -> Verdict {
    let wanted = docket.contracts.iter().filter(|contract| contract.stage == StageRecord::ClaimWanted);
    let outpoints = wanted.filter_map(|contract| match contract.id {
        ContractId::Output(outpoint) => Some(below(&outpoint).unwrap_or(outpoint)),
        ContractId::NoOutput(_) => None,
    });
    let idle: Vec<OutPoint> =
        outpoints.filter(|outpoint| !due.iter().any(|action| concerns(action, outpoint))).collect();
    if idle.is_empty() {
        return Ok(());
    }
    let excused = excused();
    match idle.iter().find(|outpoint| !excused.contains(outpoint)) {
        Some(outpoint) => {
            violated("I7", format!("{outpoint} can be claimed; nothing is due, and no reason is recorded"))
        }
        None => Ok(()),
    }
}

/// Whether an action is on its way to claim an output.
fn concerns(action: &Action, outpoint: &OutPoint) -> bool {
    let spends = |tx: &Transaction| tx.input.iter().any(|input| input.previous_output == *outpoint);
    match action {
        Action::Broadcast { txs, .. } => txs.iter().any(spends),
        Action::Sign(request) => spends(&request.tx),
        Action::RequestFeeInputs { owner, .. } => owner == outpoint,
        Action::RequestScripts { .. } => true,
        Action::SearchSpends { .. }
        | Action::HoldFeeInputs { .. }
        | Action::ReleaseFeeInputs { .. }
        | Action::FreezeChannel { .. }
        | Action::SettleUpstream { .. }
        | Action::FailUpstream { .. }
        | Action::AskForPreimage { .. }
        | Action::LoadRevoked { .. }
        | Action::Alert { .. }
        | Action::ReportOutcome { .. }
        | Action::ChannelResolved { .. } => false,
    }
}

/// I10: of our commitments only the newest is ever signed or sent.
pub(crate) fn invariant_i10_only_our_newest_commitment(channel: &SimChannel, tx: &Transaction) -> Verdict {
    match channel.fixture.recognise(tx).ok().flatten() {
        Some(commitment) if commitment.owner == Side::Local && commitment.number == channel.local => Ok(()),
        Some(commitment)
            if commitment.owner == Side::Local && channel.arriving && commitment.number == channel.local + 1 =>
        {
            Ok(())
        }
        Some(commitment) => violated(
            "I10",
            format!(
                "{:?} commitment {} is signed or sent; ours is {}",
                commitment.owner, commitment.number, channel.local
            ),
        ),
        None => violated("I10", format!("{} spends the funding and is no commitment", tx.compute_txid())),
    }
}
