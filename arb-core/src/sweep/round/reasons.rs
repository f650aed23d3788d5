//! What a group must offer at least, and the reasons that the records give: for an offer, and for a claim that is declined.
//!
//! Tests: `arb-harness/lab/tests/sweeper_suite/reasons.rs`.

use super::Round;
use crate::api::plan::{Branch, Declined, Reason};
use crate::api::units::Height;
use crate::sweep::sweeper::Order;
use crate::sweep::terms::{Bundle, Class, Pays, Terms};
use core::cmp::Reverse;

impl Round<'_> {
    /// Whether the offer is enough.
    pub(super) fn is_worth_it(&self, bundle: &Bundle<'_>, feerate_sat_per_kw: u32) -> bool {
        bundle.members.first().is_some_and(|first| feerate_sat_per_kw >= self.least_useful(first))
    }

    /// The least feerate that is of use to a group, by its first claim, in satoshi per kiloweight: with a deadline, what nodes
    /// relay; without one, the estimate.
    fn least_useful(&self, first: &Terms) -> u32 {
        let least = match (first.pays, first.deadline()) {
            (Pays::Signed, _) => return 0,
            // A child helps with any feerate that is relayed, also without a deadline.
            (Pays::FromWallet, _) if first.class == Class::Anchor => self.now.floor(),
            (Pays::FromValue | Pays::FromWallet, Some(_)) => self.now.floor(),
            (Pays::FromValue | Pays::FromWallet, None) => self.now.lazy(),
        };
        least.min(self.wanted(first)).max(self.now.lazy_floor())
    }

    /// Declines claims, each once until it is planned again.
    pub(super) fn uneconomic(&mut self, bundle: &Bundle<'_>) {
        let least_sat_per_kw = bundle.members.first().map_or(0, |first| self.least_useful(first));
        for terms in &bundle.members {
            // A commitment that pays enough, or for which nothing is at stake, needs no child: nothing is given up.
            if terms.class != Class::Anchor && !self.sweeper.uneconomic.contains_key(&terms.outpoint) {
                let cost_sat = terms.fee_of(least_sat_per_kw, bundle.share(terms));
                let why = Declined { least_sat_per_kw, cost_sat, budget_sat: terms.budget_sat() };
                self.orders.push(Order::Uneconomic { outpoint: terms.outpoint, why });
            }
        }
    }

    /// Why a transaction of these claims offers this feerate and this fee.
    pub(super) fn reason(&self, bundle: &Bundle<'_>, first: &Terms, feerate: u32, fee: u64) -> Reason {
        let urgency =
            |terms: &&&Terms| (terms.deadline().unwrap_or(Height::MAX), Reverse(self.wanted(terms)), terms.outpoint);
        let urgent = bundle.members.iter().min_by_key(urgency).copied().unwrap_or(first);
        let wanted = self.wanted.get(&urgent.outpoint);
        let most = bundle.members.iter().map(|terms| self.wanted(terms)).max().unwrap_or(0);
        let branch = match wanted.map(|wanted| wanted.branch) {
            _ if urgent.pays == Pays::Signed => Branch::Signed,
            _ if fee > bundle.fee_sat(feerate) => Branch::Replaces,
            // Only a refusal leads above what every claim wants.
            _ if feerate > most => Branch::Pressed,
            branch => branch.unwrap_or(Branch::Kept),
        };
        Reason {
            outpoint: urgent.outpoint,
            branch,
            deadline: urgent.deadline(),
            budget_sat: urgent.budget_sat(),
            at_stake_sat: urgent.at_stake_sat(),
            estimate_sat_per_kw: wanted.map_or(0, |wanted| wanted.estimate_sat_per_kw),
            estimate_age: self.now.fees.map(|(_, at)| self.now.tip.since(*at).unwrap_or_default()),
        }
    }
}
