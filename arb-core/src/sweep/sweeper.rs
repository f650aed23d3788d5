//! The sweeper's own state: prices, groups, and the coins that the wallet gave. Changed by orders and by answers of the
//! outside, and by nothing else; the orders come from [`Sweeper::decide`], a pure function of this state, the claims and the
//! chain, so that the same state groups the same way after a restart or a reorg (B13).

use crate::api::event::{BroadcastRejection, FeeInput};
use crate::api::plan::{Ask, FeeInputs, Plan};
use crate::api::units::Height;
use crate::sweep::curve::Price;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bitcoin::OutPoint;
use serde::{Deserialize, Serialize};

/// What the sweeper remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweeper {
    /// Ratchet: what was ever wanted for an outpoint.
    pub(crate) prices: BTreeMap<OutPoint, Price>,
    pub(crate) groups: BTreeMap<u32, Group>,
    pub(crate) next_group: u32,
    /// Coins that were given for a claim and that no transaction uses yet.
    pub(crate) unused: BTreeMap<OutPoint, FeeInputs>,
    /// Coins that were asked for, by the claim that owns the answer.
    pub(crate) asked: BTreeMap<OutPoint, Ask>,
    /// Claims for which the wallet has too little, and its last answer.
    pub(crate) missing: BTreeMap<OutPoint, Shortage>,
    /// Claims that cost more than they are worth at the last look.
    pub(crate) uneconomic: BTreeSet<OutPoint>,
    /// Members of groups that were refused for one of their inputs: nobody knows which one, so each goes alone (B19, L29).
    pub(crate) suspects: BTreeSet<OutPoint>,
    /// When a claim's transaction was given up for its coins: it is planned again in a later block, whatever network and
    /// wallet answer, so that the three cannot run in a circle.
    pub(crate) paused: BTreeMap<OutPoint, Height>,
}

/// Claims that share a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The claims, in the order of the inputs; the first one owns the coins.
    pub members: Vec<OutPoint>,
    /// The wallet's coins in it.
    pub fee_inputs: FeeInputs,
    /// What is on offer, in satoshi per kiloweight.
    pub feerate_sat_per_kw: u32,
    /// Its fee: what a replacement has to exceed (BIP 125).
    pub fee_sat: u64,
    /// The tip when it was planned.
    pub planned: Height,
    /// What the network had against it.
    pub trouble: Option<Trouble>,
}

/// What a refusal means for the next plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    /// The network wants more fee, or somebody's unconfirmed spend has to be outbid.
    TooCheap,
    /// One of the wallet's coins is not there.
    BadCoins,
}

/// The wallet's answer that it has too little. The amount is part of it: what is asked for since may be less, and what there
/// is follows from both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shortage {
    /// What was asked for.
    pub(crate) asked_sat: u64,
    /// How much of it is missing.
    pub(crate) missing_sat: u64,
}

/// What the sweeper decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// A transaction, new or instead of the group's last.
    Plan(Plan),
    /// Coins are wanted.
    Ask(Ask),
    /// A group's transaction cannot confirm any more, or is not worth it.
    Drop {
        /// The group.
        group: u32,
        /// Whether its claims rest until the next block.
        pauses: bool,
    },
    /// Coins that were given for a claim which does not need them any more.
    Return {
        /// The claim.
        owner: OutPoint,
    },
    /// A claim costs more than it is worth.
    Uneconomic {
        /// The claim.
        outpoint: OutPoint,
    },
}

impl Sweeper {
    /// The groups, by number.
    pub fn groups(&self) -> impl Iterator<Item = (u32, &Group)> {
        self.groups.iter().map(|(number, group)| (*number, group))
    }

    /// What is remembered of a claim's price.
    pub fn price(&self, outpoint: &OutPoint) -> Option<&Price> {
        self.prices.get(outpoint)
    }

    /// The requests for coins that are not answered, most urgent first: by deadline, then by value.
    pub fn asked(&self) -> Vec<&Ask> {
        let mut asked: Vec<&Ask> = self.asked.values().collect();
        asked.sort_by_key(|ask| (ask.deadline.unwrap_or(Height::MAX), core::cmp::Reverse(ask.value_sat), ask.owner));
        asked
    }

    /// What the wallet said is missing for a claim.
    pub fn missing_sat(&self, owner: &OutPoint) -> Option<u64> {
        self.missing.get(owner).map(|shortage| shortage.missing_sat)
    }

    /// Carries an order out.
    pub fn apply(&mut self, order: &Order, tip: Height) {
        match order {
            Order::Plan(plan) => self.plan(plan, tip),
            Order::Ask(ask) => {
                // Nothing is on offer yet: what is wanted may still fall with the estimate.
                self.asked.insert(ask.owner, *ask);
            }
            Order::Drop { group, pauses } => {
                if let (Some(group), true) = (self.groups.remove(group), *pauses) {
                    self.paused.extend(group.members.iter().map(|member| (*member, tip)));
                }
            }
            Order::Return { owner } => {
                self.unused.remove(owner);
            }
            Order::Uneconomic { outpoint } => {
                self.uneconomic.insert(*outpoint);
            }
        }
    }

    fn plan(&mut self, plan: &Plan, tip: Height) {
        for member in &plan.members {
            self.want(member, plan.wanted_sat_per_kw, tip);
            self.uneconomic.remove(member);
            // Coins that it leaves out stay with their claim: for a split that has to wait, or for another day.
            let used = |coin: &FeeInput| plan.fee_inputs.coins.iter().any(|used| used.outpoint == coin.outpoint);
            if self.unused.get(member).is_some_and(|fee_inputs| fee_inputs.coins.iter().all(used)) {
                self.unused.remove(member);
            }
            self.asked.remove(member);
            self.missing.remove(member);
        }
        self.next_group = self.next_group.max(plan.group.saturating_add(1));
        let group = Group {
            members: plan.members.clone(),
            fee_inputs: plan.fee_inputs.clone(),
            feerate_sat_per_kw: plan.feerate_sat_per_kw,
            fee_sat: plan.fee_sat,
            planned: tip,
            trouble: None,
        };
        self.groups.insert(plan.group, group);
    }

    /// What is wanted for an outpoint only ever rises (L3, B20).
    pub(crate) fn want(&mut self, outpoint: &OutPoint, feerate_sat_per_kw: u32, tip: Height) {
        let new =
            Price { since: tip, start_sat_per_kw: feerate_sat_per_kw, wanted_sat_per_kw: feerate_sat_per_kw, at: tip };
        let price = self.prices.entry(*outpoint).or_insert(new);
        price.wanted_sat_per_kw = price.wanted_sat_per_kw.max(feerate_sat_per_kw);
        price.at = tip;
    }

    /// The wallet gave coins for a claim. That it had too few is remembered until they are used: what was asked for a pool of
    /// urgent claims is for all of them, not for the one in whose name it was asked.
    pub fn offered(&mut self, owner: &OutPoint, fee_inputs: FeeInputs) {
        self.asked.remove(owner);
        self.unused.entry(*owner).or_default().add(fee_inputs);
    }

    /// The wallet has too little for a claim.
    pub fn refused(&mut self, owner: &OutPoint, missing_sat: u64) {
        let asked_sat = self.asked.get(owner).map_or(missing_sat, |ask| ask.amount_sat);
        self.missing.insert(*owner, Shortage { asked_sat, missing_sat });
    }

    /// The network took a group's transaction.
    pub fn accepted(&mut self, group: u32) {
        if let Some(group) = self.groups.get_mut(&group) {
            group.trouble = None;
            for member in &group.members {
                self.suspects.remove(member);
            }
        }
    }

    /// The network refused a group's transaction. One policy for each reason; nothing with a deadline is ever dropped:
    ///
    /// | reason | policy |
    /// |---|---|
    /// | fee too low | offer more in the next block, a quarter at least while a deadline runs (L34) |
    /// | conflict in the mempool | several claims: each alone (L10); one: outbid it, as above (B21) |
    /// | missing inputs | several claims: each alone (L29); one with coins: other coins; one without: again |
    /// | script failure | several claims: each alone; one: again, and an alert |
    /// | too long a chain, non-final, unknown | again in every block |
    pub fn rejected(&mut self, number: u32, why: BroadcastRejection) {
        let Some(group) = self.groups.get_mut(&number) else { return };
        let several = group.members.len() > 1;
        let one_input = match why {
            BroadcastRejection::ConflictInMempool
            | BroadcastRejection::MissingInputs
            | BroadcastRejection::ScriptFailure => true,
            BroadcastRejection::FeeTooLow
            | BroadcastRejection::NonFinal
            | BroadcastRejection::TooLongChain
            | BroadcastRejection::Unknown => false,
        };
        if one_input && several {
            self.suspects.extend(group.members.iter().copied());
            return;
        }
        group.trouble = match why {
            BroadcastRejection::FeeTooLow | BroadcastRejection::ConflictInMempool => Some(Trouble::TooCheap),
            BroadcastRejection::MissingInputs if !group.fee_inputs.coins.is_empty() => Some(Trouble::BadCoins),
            BroadcastRejection::MissingInputs
            | BroadcastRejection::ScriptFailure
            | BroadcastRejection::NonFinal
            | BroadcastRejection::TooLongChain
            | BroadcastRejection::Unknown => None,
        };
    }
}
