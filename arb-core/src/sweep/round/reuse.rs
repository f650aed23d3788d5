//! Coins of one transaction for another of the same channel, where the wallet has too few.
//!
//! A claim takes over the coins of a transaction that cannot confirm any more, at once; to the wallet they go back later,
//! because a reorg may bring the transaction back (A11). It also takes those of a transaction that somebody's unconfirmed spend
//! keeps out of the mempools, so that a pin of one claim binds no coin that another one needs (A3).
//!
//! Tests: `arb-harness/lab/tests/sweeper_suite/faults_coins.rs`.

use crate::api::plan::{Ask, FeeInputs};
use crate::sweep::curve::Now;
use crate::sweep::sweeper::{Group, Order, Sweeper, Trouble, by_urgency};
use crate::sweep::terms::{Class, Terms};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bitcoin::OutPoint;

/// How many of the most urgent requests are tried: each costs another round.
const TRIES: usize = 3;

impl Sweeper {
    /// The orders that follow if the coins of a group that has no use for them are given to the most urgent claim that asks for
    /// coins. `None` if no claim puts all of them to use.
    pub(super) fn reuse(
        &self,
        orders: &[Order],
        terms: &BTreeMap<OutPoint, Terms>,
        broken: &BTreeSet<u32>,
        now: &Now<'_>,
    ) -> Option<Vec<Order>> {
        let is_over = |number: &u32, group: &Group| {
            broken.contains(number) && group.members.iter().all(|member| !terms.contains_key(member))
        };
        let idle = |(number, group): &(&u32, &Group)| {
            let has_coins = !group.fee_inputs.coins.is_empty();
            has_coins && (is_over(number, group) || self.is_kept_out(group, terms, now))
        };
        let mut groups = self.groups.iter().filter(idle).peekable();
        groups.peek()?;
        let asks = self.urgent_asks(orders, terms);
        groups.find_map(|(number, group)| {
            // Two that are kept out would take the coins from each other in every block, and neither would outbid.
            let is_stuck = |ask: &Ask| self.kept_out.contains(&ask.owner);
            let lends =
                |ask: &Ask| !is_stuck(ask) && self.is_unplanned(&ask.owner) && comes_first(ask, group, terms, now);
            let may = |ask: &&Ask| is_over(number, group) || lends(ask);
            asks.iter().filter(may).find_map(|ask| {
                let mut without = self.clone();
                without.groups.remove(number);
                without.unused.entry(ask.owner).or_default().add(group.fee_inputs.clone());
                let orders = without.round(terms, broken, now);
                let drop = Order::Drop { group: *number, pauses: false };
                let helps = self.uses(&orders, &group.fee_inputs);
                helps.then(|| [drop].into_iter().chain(orders).collect())
            })
        })
    }

    /// Whether no transaction claims this output.
    fn is_unplanned(&self, owner: &OutPoint) -> bool {
        self.groups.values().all(|group| !group.members.contains(owner))
    }

    /// Whether the transactions that these orders plan spend all of these coins, and none offers less than before: a coin adds
    /// weight, too.
    fn uses(&self, orders: &[Order], fee_inputs: &FeeInputs) -> bool {
        let (mut planned, mut falls) = (BTreeSet::new(), false);
        for order in orders {
            match order {
                Order::Plan(plan) => {
                    planned.extend(plan.fee_inputs.coins.iter().map(|coin| coin.outpoint));
                    let before = self.groups.get(&plan.group);
                    falls |= before.is_some_and(|group| plan.feerate_sat_per_kw < group.feerate_sat_per_kw);
                }
                Order::Ask(_) | Order::Drop { .. } | Order::Return { .. } | Order::Uneconomic { .. } => {}
            }
        }
        !falls && fee_inputs.coins.iter().all(|coin| planned.contains(&coin.outpoint))
    }

    /// Whether somebody's unconfirmed spend kept its transaction out of the mempools in an earlier block: it was refused for
    /// that, and so it holds its coins in vain. A child is outbid by no other claim.
    fn is_kept_out(&self, group: &Group, terms: &BTreeMap<OutPoint, Terms>, now: &Now<'_>) -> bool {
        let pinned = |member: &OutPoint| {
            let is_child = terms.get(member).is_none_or(|terms| terms.class == Class::Anchor);
            self.kept_out.contains(member) && !is_child
        };
        group.trouble == Some(Trouble::TooCheap) && group.planned < now.tip && group.members.iter().all(pinned)
    }

    /// The most urgent requests for coins: those that were made before, and those among these orders.
    fn urgent_asks(&self, orders: &[Order], terms: &BTreeMap<OutPoint, Terms>) -> Vec<Ask> {
        let mut asked = self.asked.clone();
        for order in orders {
            match order {
                Order::Ask(ask) => {
                    asked.insert(ask.owner, *ask);
                }
                // What gets a transaction with these orders needs no more.
                Order::Plan(plan) => plan.members.iter().for_each(|member| {
                    asked.remove(member);
                }),
                Order::Drop { .. } | Order::Return { .. } | Order::Uneconomic { .. } => {}
            }
        }
        let mut asks: Vec<Ask> = asked.into_values().filter(|ask| terms.contains_key(&ask.owner)).collect();
        asks.sort_by_key(by_urgency);
        asks.truncate(TRIES);
        asks
    }
}

/// Whether a claim may have the coins of a group that is kept out. Near its own deadline the group keeps them and outbids, unless
/// the claim's deadline is no later.
fn comes_first(ask: &Ask, group: &Group, terms: &BTreeMap<OutPoint, Terms>, now: &Now<'_>) -> bool {
    let members = || group.members.iter().filter_map(|member| terms.get(member));
    let Some(nearest) = members().filter_map(Terms::deadline).min() else { return true };
    let urgent = members().any(|terms| now.is_urgent(terms.class, terms.deadline()));
    !urgent || ask.deadline.is_some_and(|deadline| deadline <= nearest)
}
