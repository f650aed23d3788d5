//! What the sweeper has to know of a claim, and of the wallet's coins that pay for it: no transaction, no key, no channel.

use crate::api::plan::FeeInputs;
use crate::api::policy::Policy;
use crate::api::units::{Blocks, Height};
use crate::sweep::price::{FRAME_WEIGHT, WALLET_INPUT_WEIGHT, WEIGHT_MAX, WIDEST_DUST_SAT, fee_sat};
use alloc::vec::Vec;
use bitcoin::OutPoint;
use serde::{Deserialize, Serialize};

/// What claims may share a transaction with: only their own class, so that nobody's trouble is another one's (B10, B45).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Class {
    /// The counterparty has a branch, too.
    Contested,
    /// Only ours, after a delay or at once.
    Delayed,
    /// A child that pays for its unconfirmed commitment: always alone (B48).
    Anchor,
    /// A revoked output that the cheat can only take after a delay: `to_local`, and what an HTLC transaction left.
    PenaltySafe,
    /// A revoked HTLC output: the cheat's own HTLC transaction may spend it at any time, and whatever shares a transaction
    /// with its penalty then has to begin anew (V11, B44).
    PenaltyRaced,
}

impl Class {
    /// How many blocks before a deadline a claim of this class stands alone: penalties early enough that who pins a batch
    /// gains nothing (BOLT 5 V10, B45).
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
    /// From the value that it claims.
    FromValue,
    /// From the wallet's coins: the counterparty's signature fixes the output (zero-fee second level), or the value is
    /// next to nothing (an anchor).
    FromWallet,
    /// The counterparty signed the whole transaction: its fee is what it is, outside the curve.
    Signed,
}

/// What is lost by missing a deadline: everything up to this budget may be spent on making it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stake {
    /// It should be confirmed by then; `None`: nobody contests it.
    pub deadline: Option<Height>,
    /// The most that may go to fees, in satoshi. Where the fee comes from the value, no more than leaves an output that
    /// nodes relay (B35).
    pub budget_sat: u64,
}

/// An unconfirmed transaction that a child pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Its weight.
    pub weight: u64,
    /// What it pays itself.
    pub fee_sat: u64,
}

/// A claim as the sweeper sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The output.
    pub outpoint: OutPoint,
    /// Its class.
    pub class: Class,
    /// Where its fee comes from.
    pub pays: Pays,
    /// The most that its input weighs, witness included.
    pub input_weight: u64,
    /// What the output weighs that its signature fixes; 0 where none does.
    pub output_weight: u64,
    /// Its value.
    pub amount_sat: u64,
    /// The locktime that its transaction must have.
    pub lock_time: Height,
    /// Its deadline and budget. A commitment has one for each deadline of a claim that needs it, nearest first, each with
    /// the budgets of all deadlines so far: what is lost by missing that one.
    pub stakes: Vec<Stake>,
    /// What it pays for besides itself.
    pub parent: Option<Parent>,
}

/// The least change that is kept.
pub(crate) const CHANGE_MIN_SAT: u64 = WIDEST_DUST_SAT;

impl Terms {
    /// The nearest deadline.
    pub fn deadline(&self) -> Option<Height> {
        self.stakes.first().and_then(|stake| stake.deadline)
    }

    /// The whole budget.
    pub fn budget_sat(&self) -> u64 {
        self.stakes.last().map_or(0, |stake| stake.budget_sat)
    }

    /// What this claim adds to a transaction.
    pub(crate) const fn own_weight(&self) -> u64 {
        self.input_weight.saturating_add(self.output_weight)
    }

    /// The highest feerate that a budget buys for `weight`, the parent's included; never above the policy's cap.
    pub(crate) fn feerate_of(&self, budget_sat: u64, weight: u64, policy: &Policy) -> u32 {
        let parent = self.parent.unwrap_or(Parent { weight: 0, fee_sat: 0 });
        let weight = weight.saturating_add(parent.weight).max(1);
        let feerate = budget_sat.saturating_add(parent.fee_sat).saturating_mul(1000).checked_div(weight).unwrap_or(0);
        u32::try_from(feerate).unwrap_or(u32::MAX).min(policy.max_feerate_sat_per_kw)
    }

    /// The fee of a transaction of `weight` at a feerate, less what the parent pays already.
    pub(crate) fn fee_of(&self, feerate_sat_per_kw: u32, weight: u64) -> u64 {
        let parent = self.parent.unwrap_or(Parent { weight: 0, fee_sat: 0 });
        fee_sat(weight.saturating_add(parent.weight), feerate_sat_per_kw).saturating_sub(parent.fee_sat)
    }
}

/// A transaction to be: claims, and what they share.
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
        self.members.iter().fold(self.shared_weight, |sum, terms| sum.saturating_add(terms.own_weight()))
    }

    /// The part of the weight that one member pays for: its own, and an equal part of what all share.
    pub(crate) fn share(&self, terms: &Terms) -> u64 {
        let count = u64::try_from(self.members.len()).unwrap_or(u64::MAX).max(1);
        terms.own_weight().saturating_add(self.shared_weight.div_ceil(count))
    }

    /// The highest feerate that one member's own budget bears here.
    pub(crate) fn cap(&self, terms: &Terms, policy: &Policy) -> u32 {
        terms.feerate_of(terms.budget_sat(), self.share(terms), policy)
    }

    /// The lowest of its members' caps.
    pub(crate) fn lowest_cap(&self, policy: &Policy) -> u32 {
        self.members.iter().map(|terms| self.cap(terms, policy)).min().unwrap_or(0)
    }

    /// The fee at a feerate: never below the feerate that was meant, and never above the budgets for a rounded satoshi.
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

    /// Whether another claim still fits: count, and what nodes relay.
    pub(crate) fn has_room(&self, terms: &Terms, policy: &Policy) -> bool {
        let count = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        count < policy.max_inputs && self.weight().saturating_add(terms.own_weight()) <= WEIGHT_MAX
    }
}
