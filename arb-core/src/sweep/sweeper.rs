//! The sweeper's state: prices, groups, and the coins that the wallet gave. Only orders and answers of the outside change it.
//! The orders come from [`Sweeper::decide`], a pure function of this state, the claims and the chain, so the same state groups
//! the same way after a restart or a reorg (B13).
//!
//! Tests: `arb-harness/lab/tests/sweeper_suite/refusals.rs`, `arb-harness/lab/tests/sweeper_suite/properties.rs`.

use crate::api::event::{BroadcastRejection, FeeInput};
use crate::api::plan::{Ask, Declined, FeeInputs, Plan};
use crate::api::units::{Blocks, Height};
use crate::sweep::curve::Price;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bitcoin::OutPoint;
use core::cmp::Reverse;
use serde::{Deserialize, Serialize};

/// The sweeper of one channel: what it remembers from one decision to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweeper {
    /// What was ever wanted for an outpoint: a ratchet (R10).
    pub(crate) prices: BTreeMap<OutPoint, Price>,
    pub(crate) groups: BTreeMap<u32, Group>,
    pub(crate) next_group: u32,
    /// Coins that were given for a claim and that no transaction uses yet.
    pub(crate) unused: BTreeMap<OutPoint, FeeInputs>,
    /// Coins that were asked for, by the claim that owns the answer.
    pub(crate) asked: BTreeMap<OutPoint, Ask>,
    /// The tip when coins were first asked for in the name of each claim.
    pub(crate) first_asked: BTreeMap<OutPoint, Height>,
    /// Claims for which the wallet has too little, and its last answer.
    pub(crate) missing: BTreeMap<OutPoint, Shortage>,
    /// Claims that are declined, and why: what they would have cost then, and what they might.
    pub(crate) uneconomic: BTreeMap<OutPoint, Declined>,
    /// Members of groups that were refused for one of their inputs. The refusal does not say which (B19, L29), so a refused
    /// group is halved, and each half is sent. The number says which half of which half a claim is in: claims of one number may
    /// share a transaction (A3).
    pub(crate) suspects: BTreeMap<OutPoint, u32>,
    /// Claims whose transaction was refused for a conflict that is theirs alone.
    pub(crate) kept_out: BTreeSet<OutPoint>,
    /// Outputs that the operator gave up for good.
    pub(crate) abandoned: BTreeSet<OutPoint>,
    /// Coins that the network, or the signer, refused for a claim alone, and the tip then: not taken again for a while (A11,
    /// A36).
    pub(crate) bad_coins: BTreeMap<OutPoint, Height>,
    /// Those of them that were refused together with others, in the order in which they were left out: the refusal may be about
    /// another one.
    pub(crate) suspected_coins: Vec<OutPoint>,
    /// The tip when a claim's transaction was dropped because a coin was missing. It is planned again only in a later block, so
    /// that sweeper, wallet and network cannot loop.
    pub(crate) paused: BTreeMap<OutPoint, Height>,
}

/// Coins that are exchanged for the signer's refusals before it is the signer that is believed to be ill.
const EXCHANGED_MAX: usize = 3;

/// Claims that share a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The claims, in the order of the inputs; the first one owns the coins.
    pub members: Vec<OutPoint>,
    /// The wallet's coins in it.
    pub fee_inputs: FeeInputs,
    /// The feerate that its transaction offers, in satoshi per kiloweight.
    pub feerate_sat_per_kw: u32,
    /// The fee of its transaction in satoshi, which a replacement has to exceed (BIP 125).
    pub fee_sat: u64,
    /// The tip when it was planned.
    pub planned: Height,
    /// The network took the last version that it answered.
    pub is_in_mempool: bool,
    /// What the last refusal means for the next plan; `None` if there was none, or if it changes nothing.
    pub trouble: Option<Trouble>,
}

/// What a refusal means for the next plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    /// The network wants more fee, or somebody's unconfirmed spend has to be outbid.
    TooCheap,
    /// One of the wallet's coins is missing or spent.
    BadCoins,
}

/// The wallet's answer that it has too little. What the wallet has is the difference of the two amounts; a later request may
/// be for less, so the amount asked for is kept with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shortage {
    pub(crate) asked_sat: u64,
    /// How much of that the wallet lacks.
    pub(crate) missing_sat: u64,
}

/// What the sweeper decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Plan a transaction: the first of a group, or the replacement of its last one.
    Plan(Plan),
    /// Ask the wallet for coins.
    Ask(Ask),
    /// Drop a group: its transaction cannot confirm any more, or is not worth its fee.
    Drop {
        /// The group's number.
        group: u32,
        /// Whether its claims are planned again in a later block only.
        pauses: bool,
    },
    /// Return coins: the claim that they were given for does not need them any more.
    Return {
        /// The claim that the coins were given for.
        owner: OutPoint,
    },
    /// Record that a claim costs more than it may cost.
    Uneconomic {
        /// The output that it would spend.
        outpoint: OutPoint,
        /// What it would cost, and what it may cost.
        why: Declined,
    },
}

impl Sweeper {
    /// The groups, by number.
    pub fn groups(&self) -> impl Iterator<Item = (u32, &Group)> {
        self.groups.iter().map(|(number, group)| (*number, group))
    }

    /// What is remembered of a claim's feerate; `None` before it was planned or bumped.
    pub fn price(&self, outpoint: &OutPoint) -> Option<&Price> {
        self.prices.get(outpoint)
    }

    /// The requests for coins that are not answered, most urgent first: by deadline, then by value.
    pub fn asked(&self) -> Vec<&Ask> {
        let mut asked: Vec<&Ask> = self.asked.values().collect();
        asked.sort_by_key(|ask| by_urgency(ask));
        asked
    }

    /// How much the wallet lacks for a claim, in satoshi; `None` if it did not refuse.
    pub fn missing_sat(&self, owner: &OutPoint) -> Option<u64> {
        self.missing.get(owner).map(|shortage| shortage.missing_sat)
    }

    /// Applies an order of [`decide`](Self::decide); `tip` is the tip at which it was decided.
    pub fn apply(&mut self, order: &Order, tip: Height) {
        match order {
            Order::Plan(plan) => self.plan(plan, tip),
            Order::Ask(ask) => {
                // No feerate is remembered: until something is on offer, what is wanted may fall with the estimate.
                self.asked.insert(ask.owner, *ask);
                self.first_asked.entry(ask.owner).or_insert(ask.at);
            }
            Order::Drop { group, pauses } => {
                if let (Some(group), true) = (self.groups.remove(group), *pauses) {
                    self.blame(&group.fee_inputs.coins, tip);
                    self.paused.extend(group.members.iter().map(|member| (*member, tip)));
                }
            }
            Order::Return { owner } => {
                self.unused.remove(owner);
            }
            Order::Uneconomic { outpoint, why } => {
                self.uneconomic.insert(*outpoint, *why);
            }
        }
    }

    fn plan(&mut self, plan: &Plan, tip: Height) {
        for member in &plan.members {
            self.want(member, plan.wanted_sat_per_kw, tip);
            self.uneconomic.remove(member);
            // Coins that the plan leaves out stay with their claim, for a split that has to wait or for a later plan.
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
            // The version before stays there until this one is answered.
            is_in_mempool: self.groups.get(&plan.group).is_some_and(|group| group.is_in_mempool),
            trouble: None,
        };
        self.groups.insert(plan.group, group);
    }

    /// The feerate wanted for an outpoint never falls (I8; L3, B20).
    pub(crate) fn want(&mut self, outpoint: &OutPoint, feerate_sat_per_kw: u32, tip: Height) {
        let new = Price {
            since: tip,
            start_sat_per_kw: feerate_sat_per_kw,
            wanted_sat_per_kw: feerate_sat_per_kw,
            bumped_sat_per_kw: 0,
            at: tip,
        };
        let price = self.prices.entry(*outpoint).or_insert(new);
        price.wanted_sat_per_kw = price.wanted_sat_per_kw.max(feerate_sat_per_kw);
        price.at = tip;
    }

    /// The operator wants this feerate for an outpoint, which is more than is wanted.
    pub(crate) fn bump(&mut self, outpoint: &OutPoint, feerate_sat_per_kw: u32, tip: Height) {
        self.want(outpoint, feerate_sat_per_kw, tip);
        if let Some(price) = self.prices.get_mut(outpoint) {
            price.bumped_sat_per_kw = price.bumped_sat_per_kw.max(feerate_sat_per_kw);
        }
    }

    /// The wallet gave coins for a claim. A shortage that it reported before is remembered until the coins are used: they may
    /// be for several urgent claims that share them, not only for the one in whose name they were asked for.
    pub fn offered(&mut self, owner: &OutPoint, fee_inputs: FeeInputs) {
        self.asked.remove(owner);
        self.unused.entry(*owner).or_default().add(fee_inputs);
    }

    /// One of these coins is why a transaction was refused. If there are several, the refusal does not say which: the largest is
    /// left out, and the others are tried without it. Once one is refused alone, those that were only suspected are free (A36).
    fn blame(&mut self, coins: &[FeeInput], tip: Height) {
        let is_alone = coins.len() == 1;
        if is_alone {
            self.clear_suspected();
        }
        if let Some(blamed) = coins.iter().max_by_key(|coin| (coin.value_sat, coin.outpoint)) {
            self.bad_coins.insert(blamed.outpoint, tip);
            if !is_alone && !self.suspected_coins.contains(&blamed.outpoint) {
                self.suspected_coins.push(blamed.outpoint);
            }
        }
    }

    /// The culprit is found: those that were only suspected are free.
    fn clear_suspected(&mut self) {
        let suspected = core::mem::take(&mut self.suspected_coins);
        self.bad_coins.retain(|coin, _| !suspected.contains(coin));
    }

    /// Coins that are not to be offered for now: refused within the last `pause` blocks.
    pub fn refused_coins(&self, tip: Height, pause: Blocks) -> Vec<OutPoint> {
        let recent = self.bad_coins.iter().filter(|(_, at)| tip < at.after(pause));
        recent.map(|(coin, _)| *coin).collect()
    }

    /// Forgets coins that were refused `pause` blocks ago or earlier: they may be offered again.
    pub(crate) fn forget_coins(&mut self, tip: Height, pause: Blocks) {
        self.bad_coins.retain(|_, at| tip < at.after(pause));
        let bad = &self.bad_coins;
        self.suspected_coins.retain(|coin| bad.contains_key(coin));
    }

    /// The signer refused a transaction with coins. One of them may be why: others are tried (A36), but not again and again,
    /// for a signer may refuse everything.
    pub(crate) fn signing_refused(&mut self, number: u32, tip: Height, pause: Blocks) {
        let tried = self.refused_coins(tip, pause).len();
        if let Some(group) = self.groups.get_mut(&number).filter(|_| tried < EXCHANGED_MAX) {
            if !group.fee_inputs.coins.is_empty() {
                group.trouble = Some(Trouble::BadCoins);
            }
        }
    }

    /// An outpoint was spent in a block: if it was a suspect, the culprit is found (A3).
    pub(crate) fn spent(&mut self, outpoint: &OutPoint) {
        if self.suspects.contains_key(outpoint) {
            self.suspects.clear();
        }
        self.kept_out.remove(outpoint);
    }

    /// The wallet has too little for a claim: of what was asked for, it lacks `missing_sat`.
    pub fn refused(&mut self, owner: &OutPoint, missing_sat: u64) {
        let asked_sat = self.asked.get(owner).map_or(missing_sat, |ask| ask.amount_sat);
        self.missing.insert(*owner, Shortage { asked_sat, missing_sat });
    }

    /// The network took a group's transaction.
    pub fn accepted(&mut self, group: u32) {
        if let Some(group) = self.groups.get_mut(&group) {
            group.trouble = None;
            group.is_in_mempool = true;
            for member in &group.members {
                self.suspects.remove(member);
                self.kept_out.remove(member);
            }
            // Nothing is wrong with these coins. So it was the one that was left out last, and not those before it.
            if !group.fee_inputs.coins.is_empty() && self.suspected_coins.pop().is_some() {
                self.clear_suspected();
            }
        }
    }

    /// The network refused a group's transaction. One policy for each reason; no claim with a deadline is ever given up:
    ///
    /// | reason | policy |
    /// |---|---|
    /// | fee too low | offer more in the next block, a quarter at least while a deadline runs (L34) |
    /// | conflict in the mempool | several claims: halves (A3, L10); one: outbid it, as above (B21) |
    /// | missing inputs | several claims: halves (A3, L29); one with coins: other coins in a later block; one without: again |
    /// | script failure | several claims: halves; one: again, and an alert |
    /// | too long a chain, non-final, unknown | again in every block |
    pub fn rejected(&mut self, number: u32, why: BroadcastRejection) {
        let Some(group) = self.groups.get_mut(&number) else { return };
        group.is_in_mempool = false;
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
            let of = group.members.first().and_then(|first| self.suspects.get(first)).copied().unwrap_or(1);
            let half = group.members.len().div_ceil(2);
            let halves = group.members.iter().enumerate();
            self.suspects.extend(halves.map(|(place, member)| {
                let number = of.saturating_mul(2).saturating_add(u32::from(place >= half));
                (*member, number)
            }));
            return;
        }
        if why == BroadcastRejection::ConflictInMempool {
            // Alone, it is the culprit. Its coins may go to others meanwhile.
            self.kept_out.extend(&group.members);
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

/// The order in which requests for coins are served: by deadline, then by value.
pub(super) fn by_urgency(ask: &Ask) -> (Height, Reverse<u64>, OutPoint) {
    (ask.deadline.unwrap_or(Height::MAX), Reverse(ask.value_sat), ask.owner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::plan::{Branch, Reason};
    use bitcoin::hashes::Hash;
    use bitcoin::{ScriptBuf, Txid};

    const PAUSE: Blocks = Blocks::new(144);

    fn coin(number: u8, value_sat: u64) -> FeeInput {
        let outpoint = OutPoint::new(Txid::from_byte_array([number; 32]), 0);
        FeeInput { outpoint, value_sat, script: ScriptBuf::new() }
    }

    /// Plans a transaction with these coins; its group.
    fn plan(sweeper: &mut Sweeper, coins: &[&FeeInput], tip: Height) -> u32 {
        let fee_inputs =
            FeeInputs { coins: coins.iter().map(|coin| (*coin).clone()).collect(), change: ScriptBuf::new() };
        let (group, members) = (sweeper.next_group, [OutPoint::null()].into());
        let (wanted_sat_per_kw, feerate_sat_per_kw) = (500, 500);
        let reason = Reason {
            outpoint: OutPoint::null(),
            branch: Branch::Lazy,
            deadline: None,
            budget_sat: 500,
            at_stake_sat: 1_000,
            estimate_sat_per_kw: 500,
            estimate_age: None,
        };
        let (fee_sat, limit) = (500, None);
        let plan = Plan { group, members, fee_inputs, wanted_sat_per_kw, feerate_sat_per_kw, fee_sat, limit, reason };
        sweeper.apply(&Order::Plan(plan), tip);
        group
    }

    /// A transaction with these coins is refused at this tip for a reason that only a coin can have.
    fn refused(sweeper: &mut Sweeper, coins: &[&FeeInput], tip: u32) -> Vec<OutPoint> {
        let tip = Height::new(tip);
        let group = plan(sweeper, coins, tip);
        sweeper.apply(&Order::Drop { group, pauses: true }, tip);
        sweeper.refused_coins(tip, PAUSE)
    }

    /// A36: the simulator's wallet of two coins, one of which the signer refuses. Both were left out for a day.
    #[test]
    fn of_several_coins_one_is_blamed_and_the_culprit_clears_the_others() {
        let (small, middle, large) = (coin(1, 3_000), coin(2, 9_000), coin(3, 20_000));
        let mut sweeper = Sweeper::default();
        assert_eq!(refused(&mut sweeper, &[&small, &middle, &large], 100), [large.outpoint]);
        assert_eq!(refused(&mut sweeper, &[&small, &middle], 101), [middle.outpoint, large.outpoint]);
        assert_eq!(refused(&mut sweeper, &[&small], 102), [small.outpoint], "it was the small one");
        assert_eq!(refused(&mut sweeper, &[&large], 103), [small.outpoint, large.outpoint], "two are bad");
        assert_eq!(sweeper.refused_coins(Height::new(102 + 144), PAUSE), [large.outpoint]);
        assert!(sweeper.suspected_coins.is_empty(), "both are known to be bad");
    }

    /// A36: three coins, of which the signer refuses the middle one. The largest was left out for a day.
    #[test]
    fn a_transaction_that_is_taken_without_the_culprit_clears_those_that_were_left_out_before_it() {
        let (small, middle, large) = (coin(1, 3_000), coin(2, 9_000), coin(3, 20_000));
        let mut sweeper = Sweeper::default();
        let tip = Height::new(100);
        assert_eq!(refused(&mut sweeper, &[&small, &middle, &large], 100), [large.outpoint]);
        assert_eq!(refused(&mut sweeper, &[&small, &middle], 100), [middle.outpoint, large.outpoint]);
        let group = plan(&mut sweeper, &[&small], tip);
        sweeper.accepted(group);
        assert_eq!(sweeper.refused_coins(tip, PAUSE), [middle.outpoint]);
    }
}
