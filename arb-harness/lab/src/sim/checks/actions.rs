//! I7 and I10, over actions that are due: nothing spends a spent output, every claimable output has a claim or a recorded
//! reason, and only our newest commitment is signed or sent.

use arb_core::{Action, ContractId, Docket, Side, StageRecord};
use bitcoin::{OutPoint, Transaction};

use super::{Verdict, violated};
use crate::chain::Chain;
use crate::sim::world::channel::SimChannel;

/// I7: no transaction that is sent spends an output whose spend the court has heard.
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

/// I7: every output that can be claimed has an action that is due, or a recorded reason (`is_excused`). `below` names the
/// second-level output after an output's confirmed spend, which is claimed then.
pub(crate) fn invariant_i7_claims_are_live(
    docket: &Docket,
    due: &[Action],
    below: impl Fn(&OutPoint) -> Option<OutPoint>,
    is_excused: impl Fn(&OutPoint) -> bool,
) -> Verdict {
    let wanted = docket.contracts.iter().filter(|contract| contract.stage == StageRecord::ClaimWanted);
    let outpoints = wanted.filter_map(|contract| match contract.id {
        ContractId::Output(outpoint) => Some(below(&outpoint).unwrap_or(outpoint)),
        ContractId::NoOutput(_) => None,
    });
    let mut idle = outpoints.filter(|outpoint| !due.iter().any(|action| concerns(action, outpoint)));
    match idle.find(|outpoint| !is_excused(outpoint)) {
        Some(outpoint) => {
            violated("I7", format!("{outpoint} can be claimed; nothing is due, and no reason is recorded"))
        }
        None => Ok(()),
    }
}

/// Whether an action leads to a claim of this output.
fn concerns(action: &Action, outpoint: &OutPoint) -> bool {
    let spends = |tx: &Transaction| tx.input.iter().any(|input| input.previous_output == *outpoint);
    match action {
        Action::Broadcast { txs, .. } => txs.iter().any(spends),
        Action::Sign(request) => spends(&request.tx),
        // Claims of one commitment may share the coins that were asked for in the name of one of them.
        Action::RequestFeeInputs { owner, .. } => owner.txid == outpoint.txid,
        Action::RequestScripts { .. } => true,
        Action::SearchSpends { .. }
        | Action::HoldFeeInputs { .. }
        | Action::ReleaseFeeInputs { .. }
        | Action::FreezeChannel { .. }
        | Action::SettleUpstream { .. }
        | Action::FailUpstream { .. }
        | Action::AskForPreimage { .. }
        | Action::LoadRevoked { .. }
        | Action::LoadPoint { .. }
        | Action::Alert { .. }
        | Action::ReportOutcome { .. }
        | Action::ChannelResolved { .. } => false,
    }
}

/// I10: of our commitments, only the newest is signed or sent.
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
        None => violated("I10", format!("{} spends the funding output and is not a commitment", tx.compute_txid())),
    }
}
