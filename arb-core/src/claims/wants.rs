//! What a channel wants spent now: the claims of its contracts, and the children that pay for its commitment while that is
//! unconfirmed. Each becomes terms for the sweeper, and no satoshi is budgeted twice.
//!
//! Tests: `arb-harness/lab/tests/sweeper_suite/closes.rs`, `arb-harness/lab/tests/thief_suite/fees.rs`.

use crate::api::ids::ContractId;
use crate::api::stage::ContractKind;
use crate::api::units::Height;
use crate::bolt3::{ClaimPath, INPUT_BASE_WEIGHT, claim_witness_weight, second_level_fee_sat};
use crate::channel::ScriptsRequest;
use crate::claims::path::{class, is_second_level, pays};
use crate::claims::{Want, child};
use crate::resolver::{Claim, ContractStage};
use crate::sweep::price::{WIDEST_DUST_SAT, WIDEST_OUTPUT_WEIGHT, dust_sat};
use crate::sweep::terms::{Parent, Pays, Stake, Terms};
use crate::view::{ChannelView, Contract, ContractState};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bitcoin::{OutPoint, ScriptBuf, TxIn};

/// Everything that this channel wants spent at this tip, by outpoint.
pub(crate) fn wants(view: &ChannelView<'_>) -> BTreeMap<OutPoint, Want> {
    let wanted = |state: &ContractState| match state {
        ContractState::Live(ContractStage::ClaimWanted(claim)) => Some(claim.clone()),
        ContractState::Live(
            ContractStage::Waiting { .. } | ContractStage::Contested { .. } | ContractStage::Spent { .. },
        )
        | ContractState::Done(_) => None,
    };
    let claims = view.contracts.iter().filter_map(|contract| wanted(&contract.state));
    let mut wants: BTreeMap<OutPoint, Want> =
        claims.map(|claim| (claim.outpoint, Want { claim, parent: None })).collect();
    if view.close.is_none() {
        wants.extend(child::children(view).into_iter().map(|want| (want.claim.outpoint, want)));
    }
    wants
}

/// The script that sweeps of this close pay to. `None` if the wallet was not asked yet, or was asked at this tip and may still
/// answer. A wallet that does not answer within a block is not waited for: the fallback script is used.
pub(crate) fn sweep_script(view: &ChannelView<'_>) -> Option<ScriptBuf> {
    match &view.channel.requests.scripts {
        ScriptsRequest::Offered(script) => Some(script.clone()),
        ScriptsRequest::Asked { at } if view.tip > *at => Some(view.channel.facts.fallback_script.clone()),
        ScriptsRequest::Asked { .. } | ScriptsRequest::NotAsked => None,
    }
}

/// A claim as the sweeper sees it. `script` is what sweeps pay to; until it is known, the widest script is assumed.
pub(crate) fn terms(view: &ChannelView<'_>, want: &Want, script: Option<&ScriptBuf>, spent: &ChildSpent) -> Terms {
    let claim = &want.claim;
    let channel_type = view.channel.facts.channel_type;
    let path = claim.way.path();
    let pays = pays(path, channel_type);
    let script_len = claim.witness_script.as_ref().and_then(|script| u64::try_from(script.len()).ok());
    let witness = claim_witness_weight(path, channel_type, script_len);
    let stakes = match &want.parent {
        Some(parent) => parent.stakes.clone(),
        None => {
            let budget_sat = match pays {
                Pays::Signed => signed_fee_sat(view, claim),
                Pays::FromWallet => budget_sat(view, claim, spent),
                Pays::FromValue => {
                    let dust = script.map_or(WIDEST_DUST_SAT, |script| dust_sat(script));
                    budget_sat(view, claim, spent).min(claim.amount_sat.saturating_sub(dust))
                }
            };
            [Stake { deadline: view.bumped_deadline(claim), budget_sat }].into()
        }
    };
    Terms {
        outpoint: claim.outpoint,
        class: class(path),
        pays,
        input_weight: INPUT_BASE_WEIGHT.saturating_add(witness),
        // A second-level output is P2WSH.
        output_weight: if is_second_level(path) { WIDEST_OUTPUT_WEIGHT } else { 0 },
        amount_sat: claim.amount_sat,
        lock_time: claim.lock_time,
        stakes,
        parent: want
            .parent
            .as_ref()
            .map(|parent| Parent { weight: parent.tx.weight().to_wu(), fee_sat: parent.fee_sat }),
    }
}

/// The fee, in sat, of a second-level transaction that the counterparty signed with `SIGHASH_ALL`: fixed by the commitment's
/// feerate (BOLT 3).
fn signed_fee_sat(view: &ChannelView<'_>, claim: &Claim) -> u64 {
    let commitment = view.close.as_ref().and_then(|close| close.commitment(&view.channel.set));
    let feerate = commitment.map_or(0, |commitment| commitment.feerate_sat_per_kw);
    second_level_fee_sat(view.channel.facts.channel_type, feerate, claim.way.path() == ClaimPath::HtlcTimeout)
}

/// What a claim may cost, in sat: a part of its value, so that replacement cycling (B21) costs the attacker more than the HTLC.
/// What its commitment's child or its first stage was given is subtracted, so no satoshi is budgeted twice.
fn budget_sat(view: &ChannelView<'_>, claim: &Claim, spent: &ChildSpent) -> u64 {
    if let Some(budget_sat) = view.bumped_budget(claim) {
        return budget_sat.min(claim.amount_sat);
    }
    let whole = claim.amount_sat.checked_div(u64::from(view.policy.budget_divisor)).unwrap_or(0);
    match claim.way.path() {
        ClaimPath::SecondLevelOutput => whole.saturating_sub(first_stage_sat(view, claim)),
        ClaimPath::HtlcTimeout | ClaimPath::HtlcSuccess | ClaimPath::DirectTimeout | ClaimPath::DirectPreimage => {
            whole.saturating_sub(spent.part_of(claim.amount_sat))
        }
        // Near the deadline the whole value may go to fees: the cheating peer must not get it by making us pay.
        ClaimPath::ToLocalPenalty
        | ClaimPath::OfferedPenalty
        | ClaimPath::ReceivedPenalty
        | ClaimPath::SecondLevelPenalty => {
            let near = claim.deadline.is_some_and(|deadline| view.tip.after(view.policy.penalty_split) >= deadline);
            if near { claim.amount_sat } else { whole }
        }
        ClaimPath::ToLocal | ClaimPath::ToRemote => whole,
        // A child has its stakes, and an anchor is not worth a claim without one.
        ClaimPath::Anchor | ClaimPath::AnchorByAnyone => 0,
    }
}

/// What the child of the confirmed commitment was given. It comes out of the budgets of the claims that needed the commitment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChildSpent {
    /// The fee that the child offers, in sat.
    fee_sat: u64,
    /// The value of all HTLC outputs of the commitment, in sat.
    htlcs_sat: u64,
}

impl ChildSpent {
    /// The part of one HTLC, in sat, in proportion to its value; rounded up.
    fn part_of(&self, amount_sat: u64) -> u64 {
        let part = u128::from(self.fee_sat).saturating_mul(u128::from(amount_sat));
        let part = part.div_ceil(u128::from(self.htlcs_sat.max(1)));
        // If the part does not fit, it exceeds every budget.
        u64::try_from(part).unwrap_or(u64::MAX)
    }
}

/// What our second-level transaction paid for this output, in sat: its fee, in equal parts for the HTLCs that it spent.
fn first_stage_sat(view: &ChannelView<'_>, claim: &Claim) -> u64 {
    let channel = view.channel;
    let Some(kept) = channel.chain.kept.get(&claim.outpoint.txid) else { return 0 };
    let of_input = |outpoint: &OutPoint| {
        let claimed = || channel.chain.output(outpoint).map(|output| output.value.to_sat());
        channel.coin_value_sat(outpoint).or_else(claimed).unwrap_or(0)
    };
    let inputs = kept.tx.input.iter().map(|input| of_input(&input.previous_output)).fold(0, u64::saturating_add);
    let outputs = kept.tx.output.iter().map(|output| output.value.to_sat()).fold(0, u64::saturating_add);
    let is_coin = |input: &&TxIn| channel.coin_value_sat(&input.previous_output).is_some();
    let claims = kept.tx.input.iter().filter(|input| !is_coin(input)).count();
    // The bounds are not reached: the transaction spends at least one HTLC, and far fewer than `u64` counts.
    let claims = u64::try_from(claims).unwrap_or(u64::MAX).max(1);
    inputs.saturating_sub(outputs).div_ceil(claims)
}

impl ChannelView<'_> {
    /// What the child of the confirmed commitment offers, whether or not the child confirms.
    pub(crate) fn child_spent(&self) -> ChildSpent {
        let outpoint = |contract: &Contract| match contract.id {
            ContractId::Output(outpoint) => Some(outpoint),
            ContractId::NoOutput(_) => None,
        };
        let of_kind = |kind| self.contracts.iter().filter(move |contract| contract.kind == kind);
        let anchors: Vec<OutPoint> = of_kind(ContractKind::Anchor).filter_map(outpoint).collect();
        let groups = self.channel.requests.sweeper.groups.values();
        let children = groups.filter(|group| group.members.iter().any(|member| anchors.contains(member)));
        let with_output = of_kind(ContractKind::Htlc).filter(|contract| outpoint(contract).is_some());
        ChildSpent {
            fee_sat: children.fold(0, |sum, group| sum.saturating_add(group.fee_sat)),
            htlcs_sat: with_output.fold(0, |sum, contract| sum.saturating_add(contract.amount_sat)),
        }
    }

    /// The claim's deadline, or the operator's if that is earlier.
    fn bumped_deadline(&self, claim: &Claim) -> Option<Height> {
        let bumped = self.channel.requests.bumps_of(&claim.outpoint).filter_map(|bump| bump.deadline).min();
        [claim.deadline, bumped].into_iter().flatten().min()
    }

    /// The largest budget, in sat, that the operator set for a claim.
    fn bumped_budget(&self, claim: &Claim) -> Option<u64> {
        self.channel.requests.bumps_of(&claim.outpoint).filter_map(|bump| bump.budget_sat).max()
    }
}
