//! What the sweeper has to know of a claim and of the wallet's coins that pay for it. It needs no transaction, key or channel.
//!
//! Tests: `arb-harness/lab/tests/sweeper_suite/groups.rs`, `arb-harness/lab/tests/sweeper_suite/curve.rs`.

use crate::api::plan::FeeInputs;
use crate::api::policy::Policy;
use crate::api::units::{Blocks, Height};
use crate::sweep::price::{FRAME_WEIGHT, WALLET_INPUT_WEIGHT, WEIGHT_MAX, WIDEST_DUST_SAT, fee_sat};
use alloc::vec::Vec;
use bitcoin::OutPoint;
use serde::{Deserialize, Serialize};

/// Claims share a transaction only within one class, so that trouble in one class delays no other (B10, B45).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Class {
    /// The counterparty can spend the output, too.
    Contested,
    /// Only we can spend the output, at once or after a delay.
    Delayed,
    /// A child that pays for its unconfirmed commitment: always alone (B48).
    Anchor,
    /// A revoked output that the counterparty can take only after a delay: `to_local`, and what an HTLC transaction left.
    PenaltySafe,
    /// A revoked HTLC output. The counterparty's own HTLC transaction may spend it in any block, and claims that share a
    /// transaction with its penalty must then be planned anew (V11, B44).
    PenaltyRaced,
}

impl Class {
    /// How many blocks before a deadline a claim of this class stands alone. Penalties do so early enough that a pin of their
    /// batch gains nothing (BOLT 5 V10, B45).
    pub(crate) const fn alone(self, policy: &Policy) -> Blocks {
        match self {
            Self::PenaltySafe | Self::PenaltyRaced => policy.penalty_split,
            Self::Contested | Self::Delayed | Self::Anchor => policy.alone,
        }
    }
}

/// Where the fee of a claim comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Pays {
    /// From the value of the output that it spends.
    FromValue,
    /// From the wallet's coins, because the counterparty's signature fixes the output (a zero-fee second level), or because the
    /// value is too small (an anchor).
    FromWallet,
    /// From the value, but the counterparty signed the whole transaction: the fee is fixed, outside the curve.
    Signed,
}

/// A deadline, and what may be spent on meeting it: no more than missing it loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stake {
    /// The height by which the claim should be confirmed; `None` if nobody contests it.
    pub deadline: Option<Height>,
    /// The most that may go to fees, in satoshi. A fee that comes from the value always leaves an output that nodes relay
    /// (B35).
    pub budget_sat: u64,
}

/// An unconfirmed transaction that a child pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Its weight, in weight units.
    pub weight: u64,
    /// The fee that it pays itself, in satoshi.
    pub fee_sat: u64,
    /// What it has for us, in satoshi: our main output, and the HTLCs that it is in time for.
    pub at_stake_sat: u64,
}

impl Parent {
    /// The parent of a claim that is no child: it weighs nothing and pays nothing.
    const NONE: Self = Self { weight: 0, fee_sat: 0, at_stake_sat: 0 };
}

/// A claim as the sweeper sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The output that it spends.
    pub outpoint: OutPoint,
    /// Which claims it may share a transaction with.
    pub class: Class,
    /// Where its fee comes from.
    pub pays: Pays,
    /// The most that its input weighs, witness included, in weight units.
    pub input_weight: u64,
    /// The weight of the output that the counterparty's signature fixes, in weight units; 0 if there is none.
    pub output_weight: u64,
    /// The value of the output that it spends, in satoshi.
    pub amount_sat: u64,
    /// The locktime that its transaction must have, as a height; 0 if it waits for none.
    pub lock_time: Height,
    /// Its deadline and budget. A child has one stake for each deadline of the claims that need its commitment, nearest first;
    /// the budget of each includes the budgets of those before it.
    pub stakes: Vec<Stake>,
    /// The part of its budget that it may spend at any feerate, in satoshi. It may spend the rest of its budget, too, but only
    /// up to the price of the next block.
    pub any_price_sat: u64,
    /// The commitment that it pays for in addition to itself; `None` if it is no child.
    pub parent: Option<Parent>,
}

/// The least change that is kept, in satoshi.
pub(crate) const CHANGE_MIN_SAT: u64 = WIDEST_DUST_SAT;

impl Terms {
    /// The nearest deadline; `None` if nobody contests it.
    pub fn deadline(&self) -> Option<Height> {
        self.stakes.first().and_then(|stake| stake.deadline)
    }

    /// The whole budget, in satoshi.
    pub fn budget_sat(&self) -> u64 {
        self.stakes.last().map_or(0, |stake| stake.budget_sat)
    }

    /// What is at stake, in satoshi: the claim's value; for a child, what its commitment has for us.
    pub(crate) fn at_stake_sat(&self) -> u64 {
        self.parent.map_or(self.amount_sat, |parent| parent.at_stake_sat)
    }

    /// The weight that this claim adds to a transaction, in weight units.
    pub(crate) const fn own_weight(&self) -> u64 {
        self.input_weight.saturating_add(self.output_weight)
    }

    /// The highest feerate that a budget buys for `weight`, the parent's included; never above the policy's cap.
    pub(crate) fn feerate_of(&self, budget_sat: u64, weight: u64, policy: &Policy) -> u32 {
        let parent = self.parent.unwrap_or(Parent::NONE);
        let weight = weight.saturating_add(parent.weight).max(1);
        let feerate = budget_sat.saturating_add(parent.fee_sat).saturating_mul(1000).checked_div(weight).unwrap_or(0);
        u32::try_from(feerate).unwrap_or(u32::MAX).min(policy.max_feerate_sat_per_kw)
    }

    /// The fee of a transaction of `weight` at a feerate in satoshi, its parent included, less what that pays already.
    pub(crate) fn fee_of(&self, feerate_sat_per_kw: u32, weight: u64) -> u64 {
        let parent = self.parent.unwrap_or(Parent::NONE);
        fee_sat(weight.saturating_add(parent.weight), feerate_sat_per_kw).saturating_sub(parent.fee_sat)
    }
}

/// Claims that could share a transaction, and the weight that they share.
#[derive(Clone, Debug)]
pub(crate) struct Bundle<'a> {
    pub(crate) members: Vec<&'a Terms>,
    pub(crate) shared_weight: u64,
}

impl<'a> Bundle<'a> {
    /// These claims with these coins, or with an output to the wallet.
    pub(crate) fn new(members: Vec<&'a Terms>, fee_inputs: Option<&FeeInputs>, wallet_output_weight: u64) -> Self {
        let pays = members.first().map_or(Pays::FromValue, |terms| terms.pays);
        let shared = match (pays, fee_inputs) {
            (Pays::FromValue, _) => wallet_output_weight,
            (Pays::FromWallet, Some(fee_inputs)) if !fee_inputs.coins.is_empty() => fee_inputs.weight(),
            (Pays::FromWallet, _) => WALLET_INPUT_WEIGHT.saturating_add(wallet_output_weight),
            (Pays::Signed, _) => 0,
        };
        Self { members, shared_weight: shared.saturating_add(FRAME_WEIGHT) }
    }

    /// The same without some of its members.
    pub(crate) fn of(&self, members: Vec<&'a Terms>) -> Self {
        Self { members, shared_weight: self.shared_weight }
    }

    /// The weight of the transaction.
    pub(crate) fn weight(&self) -> u64 {
        self.shared_weight.saturating_add(self.claims_weight())
    }

    /// The weight of its claims: all but frame, coins and the wallet's output.
    pub(crate) fn claims_weight(&self) -> u64 {
        self.members.iter().fold(0, |sum, terms| sum.saturating_add(terms.own_weight()))
    }

    /// The part of the weight that one member pays for: its own, and an equal part of the shared weight.
    pub(crate) fn share(&self, terms: &Terms) -> u64 {
        let count = u64::try_from(self.members.len()).unwrap_or(u64::MAX).max(1);
        terms.own_weight().saturating_add(self.shared_weight.div_ceil(count))
    }

    /// The highest feerate that one member's own budget bears here, where `next` is what the next block costs, in satoshi per
    /// kiloweight. In a group a claim weighs less than alone, so what it may spend for the next block would buy more than that.
    pub(crate) fn cap(&self, terms: &Terms, next: u32, policy: &Policy) -> u32 {
        let share = self.share(terms);
        let whole = terms.feerate_of(terms.budget_sat(), share, policy);
        if terms.any_price_sat >= terms.budget_sat() {
            return whole;
        }
        terms.feerate_of(terms.any_price_sat, share, policy).max(next.min(whole))
    }

    /// The fee at a feerate in satoshi: rounded up, but not above the budgets.
    pub(crate) fn fee_sat(&self, feerate_sat_per_kw: u32) -> u64 {
        let fee = match self.members.first() {
            Some(first) => first.fee_of(feerate_sat_per_kw, self.weight()),
            None => 0,
        };
        fee.min(self.budget_sat())
    }

    /// What all budgets together bear.
    pub(crate) fn budget_sat(&self) -> u64 {
        self.members.iter().fold(0, |sum, terms| sum.saturating_add(terms.budget_sat()))
    }

    /// The nearest deadline of a member.
    pub(crate) fn deadline(&self) -> Option<Height> {
        self.members.iter().filter_map(|terms| terms.deadline()).min()
    }

    /// Whether another claim fits: by the policy's count of inputs, and by the weight that nodes relay.
    pub(crate) fn has_room(&self, terms: &Terms, policy: &Policy) -> bool {
        let count = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        count < policy.max_inputs && self.weight().saturating_add(terms.own_weight()) <= WEIGHT_MAX
    }
}
