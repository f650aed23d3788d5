//! What few coins pay for, when they do not pay for all claims of a group.
//!
//! Tests: `arb-harness/lab/tests/sweeper_suite/faults_coins.rs`.

use super::{Round, room_sat};
use crate::api::plan::FeeInputs;
use crate::api::units::Blocks;
use crate::sweep::price::fee_sat;
use crate::sweep::sweeper::{Group, Sweeper};
use crate::sweep::terms::{Bundle, CHANGE_MIN_SAT, Class, Pays, Terms};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bitcoin::OutPoint;
use core::cmp::Reverse;

impl Sweeper {
    /// Of these claims, those that the wallet pays for, and that are in no group and have no coins.
    pub(super) fn without_coins(&self, terms: &BTreeMap<OutPoint, Terms>) -> BTreeSet<OutPoint> {
        let waits = |terms: &&Terms| terms.pays == Pays::FromWallet && terms.class != Class::Anchor;
        let waiting = terms.values().filter(waits).map(|terms| terms.outpoint);
        let mut waiting: BTreeSet<OutPoint> = waiting.filter(|outpoint| !self.unused.contains_key(outpoint)).collect();
        for member in self.groups.values().flat_map(|group| &group.members) {
            waiting.remove(member);
        }
        waiting
    }
}

impl<'a> Round<'a> {
    /// The estimate for the next block, in satoshi per kiloweight.
    pub(super) fn next_block(&self) -> u32 {
        self.now.estimate(Blocks::new(1))
    }

    /// Whether the wallet pays for these claims, and has too little for some claims of the channel. Then none of them begins
    /// above the price of the next block: what it does not spend pays for the next one.
    pub(super) fn is_short(&self, bundle: &Bundle<'_>) -> bool {
        let here = bundle.members.iter().filter(|terms| self.waiting.contains(&terms.outpoint)).count();
        bundle.members.iter().all(|terms| terms.pays == Pays::FromWallet)
            && (self.waiting.len() > here
                || self.sweeper.missing.keys().any(|outpoint| self.terms.contains_key(outpoint)))
    }

    /// Loose claims that the wallet pays for, and that have no coins of their own although they asked in an earlier block or were
    /// in a transaction before.
    pub(super) fn waiting_for_coins(&self) -> BTreeSet<OutPoint> {
        let asked = |outpoint: &OutPoint| self.sweeper.first_asked.get(outpoint).is_some_and(|at| *at < self.now.tip);
        let waits = |terms: &&Terms| {
            let outpoint = &terms.outpoint;
            terms.pays == Pays::FromWallet
                && terms.class != Class::Anchor
                && !self.sweeper.unused.contains_key(outpoint)
                && (asked(outpoint) || self.sweeper.price(outpoint).is_some())
        };
        let loose = self.loose.iter().filter_map(|outpoint| self.terms.get(outpoint));
        loose.filter(waits).map(|terms| terms.outpoint).collect()
    }

    /// Adds claims that have no coins to a group whose coins pay for them, too, once the wallet has said that it has no more. Such
    /// claims were to stand alone, so the first had all coins. Returns whether one was added. A transaction of several claims takes
    /// more only in a later block: each time it pays for being replaced.
    pub(super) fn take_more(&mut self, number: u32, group: &Group, bundle: &Bundle<'a>) -> bool {
        let Some(first) = bundle.members.first().copied() else { return false };
        let waiting = self.without_coins.iter().filter_map(|outpoint| self.terms.get(outpoint));
        let is_short = waiting.clone().any(|terms| self.lacks_coins(terms));
        let is_again = group.planned >= self.now.tip && group.members.len() > 1;
        if !is_short
            || is_again
            || first.pays != Pays::FromWallet
            || first.class == Class::Anchor
            || group.trouble.is_some()
        {
            return false;
        }
        // Nodes take a replacement only at a higher feerate, counted in whole vbytes. Its claims may pay that much more, too.
        let higher = |feerate: u32| feerate.saturating_add(feerate.div_ceil(100));
        let price = higher(group.feerate_sat_per_kw).max(self.next_block());
        let next = higher(self.now.pressing(self.next_block()));
        let mut waiting: Vec<&Terms> = waiting.filter(|terms| self.shares_coins(first, terms)).collect();
        waiting.sort_by_key(|terms| (Reverse(terms.budget_sat()), terms.outpoint));
        let mut with = bundle.clone();
        for terms in waiting.into_iter().filter(|terms| self.loose.contains(&terms.outpoint)) {
            if !self.joins(&with, terms) {
                continue;
            }
            let mut members = with.members.clone();
            members.push(terms);
            let more = with.of(members);
            let fee = first.fee_of(price, more.weight()).max(self.replacement_sat(group, more.weight()));
            let bears = |terms: &&Terms| more.cap(terms, next, self.now.policy) >= price;
            if room_sat(&more, &group.fee_inputs) >= fee && more.members.iter().all(bears) {
                with = more;
            }
        }
        let least = self.replacement_sat(group, with.weight());
        let fee = with.fee_sat(price).max(least);
        // To replace a large transaction for one more claim costs more than that claim alone, with the next coin.
        let joined = with.members.iter().skip(bundle.members.len());
        let alone = joined.map(|terms| fee_sat(self.bundle([*terms].into(), &FeeInputs::default()).weight(), price));
        let is_dear = fee.saturating_sub(group.fee_sat) > alone.fold(0, u64::saturating_add);
        if is_dear || with.members.len() == bundle.members.len() {
            return false;
        }
        for terms in &with.members {
            self.loose.remove(&terms.outpoint);
            self.without_coins.remove(&terms.outpoint);
        }
        self.plan(number, &with, group.fee_inputs.clone(), price, fee, least);
        true
    }

    /// Whether the wallet has said that it cannot pay for this claim alone, at the price of the next block.
    pub(super) fn lacks_coins(&self, terms: &'a Terms) -> bool {
        let alone = self.bundle([terms].into(), &FeeInputs::default());
        let cost = alone.fee_sat(self.next_block()).saturating_add(CHANGE_MIN_SAT);
        let missing = self.sweeper.missing.get(&terms.outpoint);
        missing.is_some_and(|shortage| shortage.asked_sat.saturating_sub(shortage.missing_sat) < cost)
    }

    fn shares_coins(&self, first: &Terms, terms: &Terms) -> bool {
        let urgent = |terms: &Terms| self.now.is_urgent(terms.class, terms.deadline());
        let place = |terms: &Terms| (terms.class, terms.pays, terms.lock_time, urgent(terms), self.suspicion(terms));
        place(first) == place(terms) && !self.pauses(terms)
    }

    /// Parts claims that share coins into those that the coins pay for, and the rest: at the price of the next block, if that
    /// buys a place for any of them; if not, at the lazy estimate; if that buys none, one claim has all coins. Few claims that
    /// confirm are worth more than many at a price at which none does (A3). The dearest stay, after those whose own coins are
    /// used.
    pub(super) fn paid_for(
        &self,
        bundle: Bundle<'a>,
        fee_inputs: &FeeInputs,
        wanted: u32,
    ) -> (Bundle<'a>, Vec<&'a Terms>) {
        let shares = bundle.members.len() > 1 && bundle.members.iter().all(|terms| terms.pays == Pays::FromWallet);
        if !shares || fee_inputs.coins.is_empty() {
            return (bundle, Vec::new());
        }
        let prices = [self.next_block(), self.now.lazy()];
        let parted = prices.into_iter().find_map(|price| self.paid_at(&bundle, fee_inputs, price.min(wanted)));
        parted.unwrap_or_else(|| {
            let one = |terms: &&Terms| self.sweeper.unused.contains_key(&terms.outpoint);
            let (mut stay, mut rest): (Vec<&Terms>, Vec<&Terms>) = bundle.members.iter().copied().partition(one);
            if stay.is_empty() && !rest.is_empty() {
                stay.push(rest.remove(0));
            }
            (bundle.of(stay), rest)
        })
    }

    /// The same at one price; `None` if the coins pay for none of the claims.
    fn paid_at(&self, bundle: &Bundle<'a>, fee_inputs: &FeeInputs, price: u32) -> Option<(Bundle<'a>, Vec<&'a Terms>)> {
        let brings_coins = |terms: &&Terms| self.sweeper.unused.contains_key(&terms.outpoint);
        let is_paid = |bundle: &Bundle<'_>| {
            let first = bundle.members.first();
            first.is_some_and(|terms| room_sat(bundle, fee_inputs) >= terms.fee_of(price, bundle.weight()))
        };
        let (mut stay, mut rest) = (bundle.clone(), Vec::new());
        while !is_paid(&stay) {
            let last = stay.members.iter().rposition(|terms| !brings_coins(terms))?;
            if stay.members.len() == 1 {
                return None;
            }
            rest.push(stay.members.remove(last));
        }
        Some((stay, rest))
    }
}
