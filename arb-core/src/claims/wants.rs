//! What a channel wants spent now, with all it takes to build and sign it: the claims of its contracts, and the children
//! that pay for its commitment while that is unconfirmed.

use crate::api::ids::{ContractId, HtlcRef};
use crate::api::stage::ContractKind;
use crate::api::units::Height;
use crate::bolt3::{ClaimPath, INPUT_BASE_WEIGHT, claim_witness_weight, second_level_fee_sat};
use crate::channel::ScriptsRequest;
use crate::claims::path::{class, is_second_level, pays};
use crate::claims::{Want, child};
use crate::resolver::{Claim, ContractStage};
use crate::sweep::curve::{NEXT, Now};
use crate::sweep::price::{
    FRAME_WEIGHT, WALLET_INPUT_WEIGHT, WIDEST_DUST_SAT, WIDEST_OUTPUT_WEIGHT, dust_sat, fee_sat,
};
use crate::sweep::terms::{Parent, Pays, Stake, Terms};
use crate::view::{ChannelView, Contract, ContractState};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bitcoin::{OutPoint, ScriptBuf};

/// Everything that this channel wants spent at this tip.
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

/// Where sweeps of this close pay to. `None`: the wallet was not asked yet, or may still answer in this block; one that does
/// not answer within a block delays nothing.
pub(crate) fn sweep_script(view: &ChannelView<'_>) -> Option<ScriptBuf> {
    match &view.channel.requests.scripts {
        ScriptsRequest::Offered(script) => Some(script.clone()),
        ScriptsRequest::Asked { at } if view.tip > *at => Some(view.channel.facts.fallback_script.clone()),
        ScriptsRequest::Asked { .. } | ScriptsRequest::NotAsked => None,
    }
}

/// A claim as the sweeper sees it.
pub(crate) fn terms(
    view: &ChannelView<'_>,
    want: &Want,
    script: Option<&ScriptBuf>,
    spent: &ChildSpent,
    now: &Now<'_>,
) -> Terms {
    let claim = &want.claim;
    let channel_type = view.channel.facts.channel_type;
    let path = claim.way.path();
    let pays = pays(path, channel_type);
    let script_len = claim.witness_script.as_ref().and_then(|script| u64::try_from(script.len()).ok());
    let witness = claim_witness_weight(path, channel_type, script_len);
    let input_weight = INPUT_BASE_WEIGHT.saturating_add(witness);
    // A second-level output is P2WSH.
    let output_weight = if is_second_level(path) { WIDEST_OUTPUT_WEIGHT } else { 0 };
    let (stakes, any_price_sat) = match &want.parent {
        Some(parent) => (parent.stakes.clone(), u64::MAX),
        None => {
            let dust = script.map_or(WIDEST_DUST_SAT, |script| dust_sat(script));
            let alone = Alone { weight: input_weight.saturating_add(output_weight), pays, dust_sat: dust };
            let Budget { whole_sat, any_price_sat } = match pays {
                Pays::Signed => Budget::at_any_price(signed_fee_sat(view, claim)),
                Pays::FromWallet => budget(view, claim, spent, &alone, now),
                Pays::FromValue => {
                    budget(view, claim, spent, &alone, now).at_most(claim.amount_sat.saturating_sub(dust))
                }
            };
            ([Stake { deadline: view.bumped_deadline(claim), budget_sat: whole_sat }].into(), any_price_sat)
        }
    };
    Terms {
        outpoint: claim.outpoint,
        class: class(path),
        pays,
        input_weight,
        output_weight,
        amount_sat: claim.amount_sat,
        lock_time: claim.lock_time,
        stakes,
        any_price_sat,
        parent: want.parent.as_ref().map(|parent| Parent {
            weight: parent.tx.weight().to_wu(),
            fee_sat: parent.fee_sat,
            at_stake_sat: parent.at_stake_sat,
        }),
    }
}

/// The fee of a second-level transaction that the counterparty signed with ALL.
fn signed_fee_sat(view: &ChannelView<'_>, claim: &Claim) -> u64 {
    let commitment = view.close.as_ref().and_then(|close| close.commitment(&view.channel.set));
    let feerate = commitment.map_or(0, |commitment| commitment.feerate_sat_per_kw);
    second_level_fee_sat(view.channel.facts.channel_type, feerate, claim.way.path() == ClaimPath::HtlcTimeout)
}

/// A claim in a transaction of its own.
struct Alone {
    /// Its input, and the output that its signature fixes.
    weight: u64,
    pays: Pays,
    /// The dust limit of the script that it pays to.
    dust_sat: u64,
}

impl Alone {
    /// The fee at a feerate, with the wallet's output, or with a coin and change.
    fn fee_sat(&self, feerate_sat_per_kw: u32, now: &Now<'_>) -> u64 {
        let coin = if self.pays == Pays::FromWallet { WALLET_INPUT_WEIGHT } else { 0 };
        let weight = [FRAME_WEIGHT, now.wallet_output_weight, coin].into_iter().fold(self.weight, u64::saturating_add);
        fee_sat(weight, feerate_sat_per_kw)
    }
}

/// What a claim may cost, in satoshi.
#[derive(Clone, Copy, Debug)]
struct Budget {
    whole_sat: u64,
    /// The part that may be spent at any feerate; the rest, up to the price of the next block.
    any_price_sat: u64,
}

impl Budget {
    const fn at_any_price(whole_sat: u64) -> Self {
        Self { whole_sat, any_price_sat: whole_sat }
    }

    fn at_most(self, sat: u64) -> Self {
        Self { whole_sat: self.whole_sat.min(sat), any_price_sat: self.any_price_sat.min(sat) }
    }

    fn at_least(self, sat: u64) -> Self {
        Self { whole_sat: self.whole_sat.max(sat), any_price_sat: self.any_price_sat.max(sat) }
    }
}

/// What a claim may cost from now on. Worth is what is still to be gained: what was spent before is no argument (A1).
fn budget(view: &ChannelView<'_>, claim: &Claim, spent: &ChildSpent, alone: &Alone, now: &Now<'_>) -> Budget {
    let part = claim.amount_sat.checked_div(u64::from(view.policy.budget_divisor)).unwrap_or(0);
    let budget = match claim.way.path() {
        // Nobody contests it. It can wait for a better price, until there is none.
        ClaimPath::ToLocal | ClaimPath::ToRemote | ClaimPath::SecondLevelOutput => {
            Budget::at_any_price(if now.is_cheapest() { claim.amount_sat } else { part })
        }
        ClaimPath::HtlcTimeout | ClaimPath::HtlcSuccess | ClaimPath::DirectTimeout | ClaimPath::DirectPreimage => {
            let gave = spent.part_of(claim.way.htlc());
            contested(view, claim, part.saturating_sub(gave), alone, now)
        }
        // The cheat shall not save anything by making it expensive.
        ClaimPath::ToLocalPenalty
        | ClaimPath::OfferedPenalty
        | ClaimPath::ReceivedPenalty
        | ClaimPath::SecondLevelPenalty => {
            let near = claim.deadline.is_some_and(|deadline| view.tip.after(view.policy.penalty_split) >= deadline);
            Budget::at_any_price(if near { claim.amount_sat } else { part })
        }
        // A child has stakes of its own.
        ClaimPath::Anchor | ClaimPath::AnchorByAnyone => Budget::at_any_price(0),
    };
    // A bump raises, and lowers nothing (A16).
    let bumped_sat = view.channel.requests.bumped_budget_sat(&claim.outpoint, claim.amount_sat);
    budget.at_least(bumped_sat.unwrap_or(0))
}

/// A contested claim: half of its value, less what its second stage will cost, so that this stage is not paid for in vain
/// (A31). But a place in the next block may cost all that leaves something when both stages are paid.
fn contested(view: &ChannelView<'_>, claim: &Claim, part: u64, alone: &Alone, now: &Now<'_>) -> Budget {
    let second_sat = if is_second_level(claim.way.path()) { second_stage_sat(view, now) } else { 0 };
    let left_sat = claim.amount_sat.saturating_sub(second_sat).saturating_sub(alone.dust_sat);
    // The estimate says whether it pays; the fifth above it that a pressing claim offers is paid as far as there is room.
    let next = now.estimate(NEXT);
    let pays = alone.fee_sat(next, now) < left_sat;
    let least_sat = if pays { alone.fee_sat(now.pressing(next), now) } else { 0 };
    let any_price_sat = part.saturating_sub(second_sat);
    Budget { whole_sat: any_price_sat.max(least_sat), any_price_sat }.at_most(left_sat)
}

/// What it costs to sweep the output of a second-level transaction alone, at the lazy estimate.
fn second_stage_sat(view: &ChannelView<'_>, now: &Now<'_>) -> u64 {
    let channel_type = view.channel.facts.channel_type;
    let witness = claim_witness_weight(ClaimPath::SecondLevelOutput, channel_type, None);
    let weight = INPUT_BASE_WEIGHT.saturating_add(witness);
    Alone { weight, pays: Pays::FromValue, dust_sat: 0 }.fee_sat(now.lazy(), now)
}

/// What the child of the confirmed commitment was given: it came out of the budgets of the claims that it was made for, and out of
/// what our main output may pay to come back sooner.
#[derive(Clone, Debug)]
pub(crate) struct ChildSpent {
    fee_sat: u64,
    /// The HTLCs that needed the commitment when its child was planned last, each with the most that it gives.
    stakes: BTreeMap<HtlcRef, u64>,
    /// What all stakes give at most, that of the main output included.
    stakes_sat: u64,
}

impl ChildSpent {
    /// One HTLC's part, by what each stake gives; nothing for one that the child was not made for (A2).
    fn part_of(&self, htlc: Option<HtlcRef>) -> u64 {
        let Some(gives_sat) = htlc.and_then(|htlc| self.stakes.get(&htlc)) else { return 0 };
        let part = u128::from(self.fee_sat).saturating_mul(u128::from(*gives_sat));
        let part = part.div_ceil(u128::from(self.stakes_sat.max(1)));
        u64::try_from(part).unwrap_or(u64::MAX)
    }
}

impl ChannelView<'_> {
    /// What the child of the commitment that confirmed costs, and which HTLCs it was made for. A child that did not confirm
    /// with its commitment cost nothing.
    pub(crate) fn child_spent(&self) -> ChildSpent {
        let outpoint = |contract: &Contract| match contract.id {
            ContractId::Output(outpoint) => Some(outpoint),
            ContractId::NoOutput(_) => None,
        };
        let of_kind = |kind| self.contracts.iter().filter(move |contract| contract.kind == kind);
        let anchors: Vec<OutPoint> = of_kind(ContractKind::Anchor).filter_map(outpoint).collect();
        let spent = anchors.iter().any(|anchor| self.spends.contains_key(anchor));
        let groups = self.channel.requests.sweeper.groups.values().filter(|_| spent);
        let child = groups.filter(|group| group.members.iter().any(|member| anchors.contains(member)));
        let (mut fee_sat, mut planned) = (0_u64, None);
        for group in child {
            fee_sat = fee_sat.saturating_add(group.fee_sat);
            planned = planned.max(Some(group.planned));
        }
        let known = |htlc: &HtlcRef| {
            let usable = self.channel.ratchet.usable.get(htlc);
            usable.is_some_and(|usable| planned.is_some_and(|planned| usable.since <= planned))
        };
        // A received one with its preimage, or one that we sent and whose preimage was not known.
        let with_output = of_kind(ContractKind::Htlc).filter(|contract| outpoint(contract).is_some());
        let stakes = with_output.filter(|contract| contract.htlc.is_some_and(|htlc| htlc.is_offered() != known(&htlc)));
        let main = of_kind(ContractKind::ToLocal).chain(of_kind(ContractKind::ToRemote));
        let main_sat = main.fold(0_u64, |sum, contract| sum.saturating_add(contract.amount_sat));
        let (mut stakes_sat, mut htlcs) = (child::idle_budget_sat(self.policy, main_sat), BTreeMap::new());
        for contract in stakes {
            let Some(htlc) = contract.htlc else { continue };
            let part_sat = contract.amount_sat.checked_div(u64::from(self.policy.budget_divisor)).unwrap_or(0);
            let gives_sat = child::part_of(part_sat, self.policy);
            stakes_sat = stakes_sat.saturating_add(gives_sat);
            htlcs.insert(htlc, gives_sat);
        }
        ChildSpent { fee_sat, stakes: htlcs, stakes_sat }
    }

    /// A claim's deadline, or an earlier one that the operator set.
    fn bumped_deadline(&self, claim: &Claim) -> Option<Height> {
        let bumped = self.channel.requests.bumps_of(&claim.outpoint).filter_map(|bump| bump.deadline).min();
        [claim.deadline, bumped].into_iter().flatten().min()
    }
}
