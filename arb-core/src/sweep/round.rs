//! One round of decisions: which groups stay, which are opened, how loose claims are grouped, and what each group offers.
//!
//! Tests: `arb-harness/lab/tests/sweeper_suite/groups.rs`, `arb-harness/lab/tests/sweeper_suite/coins.rs`.

mod few_coins;
mod partition;
mod reasons;
mod reuse;

use crate::api::plan::{Ask, FeeInputs, Limit, Plan};
use crate::sweep::curve::{Now, Wanted};
use crate::sweep::fee_inputs::coins_max;
use crate::sweep::price::{FEERATE_MIN, WALLET_INPUT_WEIGHT, fee_sat};
use crate::sweep::sweeper::{Group, Order, Sweeper, Trouble};
use crate::sweep::terms::{Bundle, CHANGE_MIN_SAT, Class, Pays, Terms};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bitcoin::OutPoint;
use core::cmp::Reverse;

/// A group that was opened: its claims are grouped anew, and one of the new groups takes its number and coins.
struct Opened<'a> {
    number: u32,
    group: &'a Group,
    /// Its transaction is still in mempools, so the new group that takes its number pays for replacing all of it (BIP 125).
    in_mempool: bool,
    /// The claim whose new group takes number and coins, because it can pay that. `None`: the first new group that has one of
    /// the claims.
    successor: Option<OutPoint>,
    /// A new group has taken number and coins.
    taken: bool,
}

struct Round<'a> {
    sweeper: &'a Sweeper,
    terms: &'a BTreeMap<OutPoint, Terms>,
    now: &'a Now<'a>,
    /// What each claim wants now, worked out once: settling a group reads it many times.
    wanted: BTreeMap<OutPoint, Wanted>,
    /// Claims that the wallet pays for, and that are in no group and have no coins.
    without_coins: BTreeSet<OutPoint>,
    /// Loose claims that the wallet pays for and that are known to need its coins: they asked in vain, or had a transaction before.
    waiting: BTreeSet<OutPoint>,
    loose: BTreeSet<OutPoint>,
    opened: Vec<Opened<'a>>,
    next: u32,
    orders: Vec<Order>,
    asks: Vec<Ask>,
}

impl Sweeper {
    /// The orders that follow for these claims, to be applied with [`apply`](Self::apply). `broken` are the numbers of groups
    /// whose transaction cannot confirm: somebody else has spent one of its coins, or it waits for an expiry that its claims do
    /// not need. If none of its claims is wanted, and all its coins are there, other claims may take them over (A11).
    ///
    /// Once its orders are applied, it returns none until the chain, the claims or an answer change.
    pub fn decide(&self, terms: &BTreeMap<OutPoint, Terms>, broken: &BTreeSet<u32>, now: &Now<'_>) -> Vec<Order> {
        let orders = self.round(terms, broken, now);
        self.reuse(&orders, terms, broken, now).unwrap_or(orders)
    }

    /// The orders that follow if every group keeps its coins.
    fn round(&self, terms: &BTreeMap<OutPoint, Terms>, broken: &BTreeSet<u32>, now: &Now<'_>) -> Vec<Order> {
        let mut round = Round {
            sweeper: self,
            terms,
            now,
            wanted: terms
                .values()
                .map(|terms| (terms.outpoint, now.wanted_with_reason(terms, self.price(&terms.outpoint))))
                .collect(),
            without_coins: self.without_coins(terms),
            waiting: BTreeSet::new(),
            loose: terms.keys().copied().collect(),
            opened: Vec::new(),
            next: self.next_group,
            orders: Vec::new(),
            asks: Vec::new(),
        };
        for (number, group) in &self.groups {
            round.look_at(*number, group, broken.contains(number));
        }
        round.waiting = round.waiting_for_coins();
        for members in round.partition() {
            round.place(members);
        }
        round.finish();
        round.orders
    }
}

impl<'a> Round<'a> {
    fn wanted(&self, terms: &Terms) -> u32 {
        self.wanted.get(&terms.outpoint).map_or(0, |wanted| wanted.sat_per_kw)
    }

    fn bundle(&self, members: Vec<&'a Terms>, fee_inputs: &FeeInputs) -> Bundle<'a> {
        Bundle::new(members, Some(fee_inputs), self.now.wallet_output_weight)
    }

    /// Which half of a refused group a claim is in; 0 if none of its groups was refused for one of its inputs.
    fn suspicion(&self, terms: &Terms) -> u32 {
        self.sweeper.suspects.get(&terms.outpoint).copied().unwrap_or(0)
    }

    /// Keeps a group, drops it, or opens it. Only a foreign spend, a refusal or a near deadline opens a group.
    fn look_at(&mut self, number: u32, group: &'a Group, broken: bool) {
        let members: Vec<&Terms> = group.members.iter().filter_map(|member| self.terms.get(member)).collect();
        if members.is_empty() {
            // Its claims are over, or its commitment did not confirm: its coins are held until that is buried (B56).
            return;
        }
        if broken || group.trouble == Some(Trouble::BadCoins) {
            let pauses = !broken;
            if pauses {
                for member in &members {
                    self.loose.remove(&member.outpoint);
                }
            }
            self.orders.push(Order::Drop { group: number, pauses });
            return;
        }
        let several = members.len() > 1;
        let spent = members.len() < group.members.len();
        let refused = several && (self.is_divided(&members) || self.is_pinned(group, &members));
        let bundle = self.bundle(members, &group.fee_inputs);
        let successor = if several && !spent && !refused { self.successor(group, &bundle) } else { None };
        if spent || refused || successor.is_some() {
            // A confirmed conflict removed its transaction from every mempool, and a refused one never was in one.
            self.opened.push(Opened { number, group, in_mempool: successor.is_some(), successor, taken: false });
            return;
        }
        for member in &bundle.members {
            self.loose.remove(&member.outpoint);
        }
        if !self.take_more(number, group, &bundle) {
            self.raise(number, group, bundle);
        }
    }

    /// Whether a refusal has put its members into two halves.
    fn is_divided(&self, members: &[&Terms]) -> bool {
        let first = members.first().map(|terms| self.suspicion(terms));
        members.iter().any(|terms| Some(self.suspicion(terms)) != first)
    }

    /// Whether an urgent batch of penalties was refused for its fee: then somebody has pinned one of its outputs (BOLT 5 V10),
    /// and nothing of ours is in mempools that single penalties would have to replace.
    fn is_pinned(&self, group: &Group, members: &[&Terms]) -> bool {
        let penalty = |class| matches!(class, Class::PenaltySafe | Class::PenaltyRaced);
        group.trouble == Some(Trouble::TooCheap)
            && members.iter().any(|terms| penalty(terms.class) && self.now.is_urgent(terms.class, terms.deadline()))
    }

    /// Near a deadline every claim stands alone, so that a pin of one does not pin all. Returns the claim that replaces the
    /// whole group's transaction (BIP 125). `None` if the group is not urgent, or if the split cannot be paid: each claim that
    /// the wallet pays for needs coins of its own.
    fn successor(&mut self, group: &Group, bundle: &Bundle<'a>) -> Option<OutPoint> {
        let first = *bundle.members.first()?;
        if !self.now.is_urgent(first.class, bundle.deadline()) {
            return None;
        }
        let successor = match first.pays {
            // The first claim owns the coins and keeps them.
            Pays::FromWallet => first,
            Pays::FromValue | Pays::Signed => {
                *bundle.members.iter().max_by_key(|terms| (terms.budget_sat(), Reverse(terms.outpoint)))?
            }
        };
        let mut all_can = true;
        for terms in &bundle.members {
            let own = self.sweeper.unused.get(&terms.outpoint).cloned().unwrap_or_default();
            let fee_inputs = if terms.outpoint == successor.outpoint { &group.fee_inputs } else { &own };
            let single = self.bundle([*terms].into(), fee_inputs);
            let cap = self.cap(&single, terms);
            let least = if terms.outpoint == successor.outpoint {
                self.replacement_sat(group, single.weight())
            } else {
                single.fee_sat(group.feerate_sat_per_kw)
            };
            // The replacement of a group stays below the policy's cap, too. A claim weighs more alone, so a tight budget buys a
            // place only in a group.
            if cap < group.feerate_sat_per_kw || self.now.is_tight(cap) || least > single.fee_sat(cap) {
                return None;
            }
            if terms.pays == Pays::FromWallet && room_sat(&single, fee_inputs) < least {
                all_can = false;
                // One for which the wallet has too little stays in the group.
                if terms.outpoint != successor.outpoint && !self.lacks_coins(terms) {
                    self.ask(&single, fee_inputs, self.wanted(terms).min(cap), 0);
                }
            }
        }
        all_can.then_some(successor.outpoint)
    }

    /// The least fee of a replacement of a group's transaction, in satoshi (BIP 125 rules 3 and 4).
    fn replacement_sat(&self, group: &Group, weight: u64) -> u64 {
        group.fee_sat.saturating_add(fee_sat(weight, self.now.incremental()))
    }

    /// Raises a live group's offer to the highest feerate that a member wants and bears. Members that bear less leave with the
    /// replacement.
    fn raise(&mut self, number: u32, group: &Group, mut bundle: Bundle<'a>) {
        let Some(first) = bundle.members.first().copied() else { return };
        if first.pays == Pays::Signed {
            return;
        }
        let refused = group.trouble == Some(Trouble::TooCheap) && group.planned < self.now.tip;
        let pressed = refused && !self.conflicts_with_own_child(number, first);
        let least = if pressed { self.pressed(group, &bundle) } else { 0 };
        let (mut stay, mut wanted, mut leave) = self.settle(&bundle, least);
        let mut fee_inputs = group.fee_inputs.clone();
        // The members that stay may have to pay for replacing those that leave. Coins that were given for that are used, too.
        let replaced = if leave.is_empty() { 0 } else { self.replacement_sat(group, stay.weight()) };
        let needed = stay.fee_sat(wanted).max(replaced);
        let more = self.sweeper.unused.get(&first.outpoint).filter(|_| room_sat(&stay, &fee_inputs) < needed);
        if let Some(more) = more {
            fee_inputs.add(more.clone());
            fee_inputs.fit(bundle.claims_weight());
            bundle = self.bundle(bundle.members, &fee_inputs);
            (stay, wanted, leave) = self.settle(&bundle, least);
        }
        // Estimates come at any time; between blocks only a steep rise is worth another signature. What a claim does not spend
        // pays for one that has no coins, so none goes above the price of the next block before that block was too dear.
        let soon = group.planned >= self.now.tip && fee_inputs == group.fee_inputs;
        if soon && first.pays == Pays::FromWallet && !self.without_coins.is_empty() {
            wanted = wanted.min(self.next_block());
        }
        let steep = u64::from(wanted).saturating_mul(4) >= u64::from(group.feerate_sat_per_kw).saturating_mul(5);
        if wanted <= group.feerate_sat_per_kw || (soon && !steep) {
            return;
        }
        let needed = self.replacement_sat(group, stay.weight());
        let mut offer = (stay, wanted);
        let mut fee = offer.0.fee_sat(offer.1);
        if fee < needed {
            if leave.is_empty() {
                return;
            }
            // The members that stay pay for the replacement if their budgets bear it; if not, no member leaves.
            fee = needed;
            let borne = fee <= fee_sat(offer.0.weight(), self.now.policy.max_feerate_sat_per_kw)
                && offer.0.members.iter().all(|terms| self.bears(&offer.0, terms, fee));
            if !borne {
                let lowest = self.lowest_cap(&bundle);
                leave.clear();
                fee = bundle.fee_sat(lowest);
                offer = (bundle, lowest);
                if lowest <= group.feerate_sat_per_kw || fee < self.replacement_sat(group, offer.0.weight()) {
                    return;
                }
            }
        }
        let needed = self.replacement_sat(group, offer.0.weight());
        let before = self.orders.len();
        self.plan(number, &offer.0, fee_inputs, offer.1, fee, needed);
        if self.orders.iter().skip(before).any(|order| matches!(order, Order::Plan(_))) {
            self.loose.extend(leave.iter().map(|terms| terms.outpoint));
        }
    }

    /// The highest feerate that one member's budget bears in a transaction.
    fn cap(&self, bundle: &Bundle<'_>, terms: &Terms) -> u32 {
        bundle.cap(terms, self.now.pressing(self.next_block()), self.now.policy)
    }

    /// The lowest of its members' caps.
    fn lowest_cap(&self, bundle: &Bundle<'_>) -> u32 {
        bundle.members.iter().map(|terms| self.cap(bundle, terms)).min().unwrap_or(0)
    }

    /// Whether one member's part of a fee is within what its budget bears.
    fn bears(&self, bundle: &Bundle<'_>, terms: &Terms, fee: u64) -> bool {
        let most = fee_sat(bundle.share(terms), self.cap(bundle, terms));
        share_sat(bundle, terms, fee) <= most.min(terms.budget_sat())
    }

    /// Whether another child of this channel is in mempools: its commitment conflicts with this one's, and to outbid it would
    /// be to outbid ourselves.
    fn conflicts_with_own_child(&self, number: u32, first: &Terms) -> bool {
        let is_anchor =
            |outpoint: &OutPoint| self.terms.get(outpoint).is_some_and(|terms| terms.class == Class::Anchor);
        let in_mempool = |group: &Group| group.is_in_mempool && group.members.first().is_some_and(is_anchor);
        first.class == Class::Anchor
            && self.sweeper.groups.iter().any(|(other, group)| *other != number && in_mempool(group))
    }

    /// The least that a group offers after a refusal for its fee, in satoshi per kiloweight: a quarter more while a deadline
    /// runs; without one, the estimate.
    fn pressed(&self, group: &Group, bundle: &Bundle<'_>) -> u32 {
        let more = u64::from(group.feerate_sat_per_kw).saturating_mul(5).div_ceil(4);
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        match bundle.deadline() {
            Some(_) => more.max(self.now.floor()),
            // The estimate may be what was refused just now: it rises, too (A59).
            None => more.max(self.now.lazy()),
        }
    }

    /// Which members stay together, at what feerate, and which leave. The feerate is the highest that a member wants and bears;
    /// a member that bears less leaves. The shares of the others grow with that, so it repeats until none leaves.
    fn settle(&self, bundle: &Bundle<'a>, least: u32) -> (Bundle<'a>, u32, Vec<&'a Terms>) {
        let mut stay = bundle.clone();
        let mut leave = Vec::new();
        loop {
            let offer = |terms: &&Terms| self.wanted(terms).max(least).min(self.cap(&stay, terms));
            let feerate = stay.members.iter().map(offer).max().unwrap_or(0);
            let can = |terms: &&Terms| self.cap(&stay, terms) >= feerate;
            let (fit, out): (Vec<&Terms>, Vec<&Terms>) = stay.members.iter().copied().partition(can);
            if out.is_empty() {
                return (stay, feerate, leave);
            }
            leave.extend(out);
            stay = stay.of(fit);
        }
    }

    /// Plans a transaction for these claims, and further ones for those that it leaves out.
    fn place(&mut self, mut members: Vec<&'a Terms>) {
        while !members.is_empty() {
            let opened = self.opened.iter_mut().find(|opened| {
                let ours = |member: &OutPoint| members.iter().any(|terms| terms.outpoint == *member);
                !opened.taken
                    && opened.successor.map_or_else(|| opened.group.members.iter().any(ours), |one| ours(&one))
            });
            let (number, mut fee_inputs, replaced) = match opened {
                Some(opened) => {
                    opened.taken = true;
                    (Some(opened.number), opened.group.fee_inputs.clone(), opened.in_mempool.then_some(opened.group))
                }
                None => (None, FeeInputs::default(), None),
            };
            for member in &members {
                fee_inputs.add(self.sweeper.unused.get(&member.outpoint).cloned().unwrap_or_default());
            }
            if number.is_none() {
                fee_inputs.keep_needed(members.iter().fold(0, |sum, terms| sum.saturating_add(terms.budget_sat())));
            }
            fee_inputs.fit(members.iter().fold(0, |sum, terms| sum.saturating_add(terms.own_weight())));
            let bundle = self.bundle(members, &fee_inputs);
            let (mut stay, wanted, leave) = self.settle(&bundle, 0);
            // A claim that leaves takes its coins with it, so no coin is in two transactions.
            let left: BTreeSet<OutPoint> = leave
                .iter()
                .filter_map(|terms| self.sweeper.unused.get(&terms.outpoint))
                .flat_map(|fee_inputs| &fee_inputs.coins)
                .map(|coin| coin.outpoint)
                .collect();
            if !left.is_empty() {
                fee_inputs.coins.retain(|coin| !left.contains(&coin.outpoint));
                stay = self.bundle(stay.members, &fee_inputs);
            }
            members = leave;
            // The first member owns the coins. It has the largest budget, so it can pay for a later split.
            stay.members.sort_by_key(|terms| (Reverse(terms.budget_sat()), terms.outpoint));
            if replaced.is_none() {
                let (paid, rest) = self.paid_for(stay, &fee_inputs, wanted);
                stay = paid;
                members.extend(rest);
            }
            if self.is_worth_it(&stay, wanted) {
                let number = number.unwrap_or_else(|| self.number());
                let least = replaced.map_or(0, |group| self.replacement_sat(group, stay.weight()));
                let offer = if self.is_short(&stay) { wanted.min(self.next_block()) } else { wanted };
                let offer = offer.max(replaced.map_or(0, |group| group.feerate_sat_per_kw));
                let fee = stay.fee_sat(offer).max(least);
                self.plan(number, &stay, fee_inputs, offer, fee, least);
            } else {
                self.uneconomic(&stay);
                if let Some(number) = number {
                    self.orders.push(Order::Drop { group: number, pauses: false });
                }
            }
        }
    }

    fn number(&mut self) -> u32 {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        number
    }

    /// Orders a transaction at this feerate. If its coins do not pay for that, asks for more, and offers what they do pay for.
    fn plan(&mut self, number: u32, bundle: &Bundle<'_>, fee_inputs: FeeInputs, feerate: u32, fee: u64, least: u64) {
        let Some(first) = bundle.members.first() else { return };
        let wanted = bundle.members.iter().map(|terms| self.wanted(terms)).max().unwrap_or(feerate).max(feerate);
        let mut plan = Plan {
            group: number,
            members: bundle.members.iter().map(|terms| terms.outpoint).collect(),
            fee_inputs,
            wanted_sat_per_kw: wanted,
            feerate_sat_per_kw: feerate,
            fee_sat: fee,
            limit: (feerate < wanted).then_some(if self.is_short(bundle) { Limit::Coins } else { Limit::Budget }),
            reason: self.reason(bundle, first, feerate, fee),
        };
        match first.pays {
            Pays::Signed => plan.fee_sat = first.budget_sat(),
            Pays::FromValue => plan.fee_inputs = FeeInputs::default(),
            Pays::FromWallet => {
                if fee == 0 {
                    // The commitment pays enough alone.
                    return;
                }
                let room = room_sat(bundle, &plan.fee_inputs);
                if room < fee {
                    self.ask(bundle, &plan.fee_inputs, feerate, fee);
                    let affordable = first.feerate_of(room, bundle.weight(), self.now.policy);
                    let parent_floor = if first.parent.is_some() { FEERATE_MIN } else { self.now.floor() };
                    if plan.fee_inputs.coins.is_empty() || room < least.max(1) || affordable < parent_floor {
                        return;
                    }
                    plan.fee_sat = room;
                    plan.feerate_sat_per_kw = affordable.min(feerate);
                    plan.limit = Some(Limit::Coins);
                }
            }
        }
        for member in &plan.members {
            self.waiting.remove(member);
        }
        self.orders.push(Order::Plan(plan));
    }

    /// Asks the wallet for coins: first for twice the feerate, so that the next replacements need not ask again. After a
    /// refusal, for what is needed, or for what the wallet has if that buys anything.
    fn ask(&mut self, bundle: &Bundle<'_>, fee_inputs: &FeeInputs, feerate: u32, fee: u64) {
        let Some(first) = bundle.members.first() else { return };
        if fee_inputs.coins.len() >= coins_max(bundle.claims_weight()) {
            return;
        }
        // The first claim of a live group owns its coins; another of its claims may be asking for coins of its own.
        let live = self.sweeper.groups.values().any(|group| group.members.first() == Some(&first.outpoint));
        let asking = bundle.members.iter().find(|terms| self.sweeper.asked.contains_key(&terms.outpoint));
        let owner = asking.filter(|_| !live).unwrap_or(first);
        let coins = u64::try_from(fee_inputs.coins.len()).unwrap_or(u64::MAX);
        let assumed = WALLET_INPUT_WEIGHT.saturating_mul(coins.max(1));
        let need_of = |bundle: &Bundle<'_>, feerate: u32| {
            let weight = bundle.weight().saturating_sub(assumed);
            let inputs = fee_sat(WALLET_INPUT_WEIGHT.saturating_mul(coins), feerate);
            let held = fee_inputs.value_sat().saturating_sub(inputs).saturating_add(anchor_sat(bundle));
            first.fee_of(feerate, weight).saturating_add(CHANGE_MIN_SAT).saturating_sub(held).max(1)
        };
        let need = |feerate: u32| need_of(bundle, feerate);
        let cap = self.lowest_cap(bundle).max(feerate);
        // A replacement may have to pay more than its feerate says (BIP 125).
        let short = match coins {
            0 => 0,
            _ => fee.saturating_sub(room_sat(bundle, fee_inputs)),
        };
        let exact = need(feerate).max(short);
        let ample = need(feerate.saturating_mul(2).min(cap)).max(exact);
        let before = self.sweeper.asked.get(&owner.outpoint);
        let missing = self.sweeper.missing.get(&owner.outpoint);
        let (amount, feerate) = match (before, missing) {
            (Some(_), Some(shortage)) => {
                // Counted from the amount that was refused: the amount asked for by now may be less.
                let there = shortage.asked_sat.saturating_sub(shortage.missing_sat);
                let floor = self.now.floor();
                if there >= need(floor) {
                    (there.min(exact), feerate)
                } else if coins > 0 {
                    (exact, feerate)
                } else {
                    // What the wallet has may pay for some of the claims (A3). A coin whose own input costs more than it
                    // brings at this feerate buys a place at a lower one (A39).
                    let one = bundle.of([*first].into());
                    let one_sat = need_of(&one, feerate.min(self.next_block()));
                    if there >= one_sat { (there, feerate) } else { (need_of(&one, floor), floor.min(feerate)) }
                }
            }
            (_, None) | (None, Some(_)) => (ample, feerate),
        };
        let is_enough = before.is_some_and(|asked| match missing {
            Some(_) => asked.amount_sat == amount,
            None => asked.amount_sat >= exact,
        });
        if is_enough || self.asks.iter().any(|ask| ask.owner == owner.outpoint) {
            return;
        }
        self.asks.push(Ask {
            owner: owner.outpoint,
            amount_sat: amount,
            feerate_sat_per_kw: feerate,
            deadline: bundle.deadline(),
            value_sat: bundle.budget_sat(),
            at: self.now.tip,
        });
    }

    /// Drops opened groups whose number no new group took, and returns coins of claims that are over.
    fn finish(&mut self) {
        for opened in self.opened.iter().filter(|opened| !opened.taken) {
            self.orders.push(Order::Drop { group: opened.number, pauses: false });
        }
        for owner in self.sweeper.unused.keys().filter(|owner| !self.terms.contains_key(*owner)) {
            self.orders.push(Order::Return { owner: *owner });
        }
        // Requests come last: applying a plan clears what was asked for its claims before.
        self.orders.extend(self.asks.drain(..).map(Order::Ask));
    }
}

/// The most that coins can pay as a fee and leave change that nodes relay, in satoshi.
fn room_sat(bundle: &Bundle<'_>, fee_inputs: &FeeInputs) -> u64 {
    fee_inputs.value_sat().saturating_add(anchor_sat(bundle)).saturating_sub(CHANGE_MIN_SAT)
}

/// The value that anchors bring to their child, in satoshi.
fn anchor_sat(bundle: &Bundle<'_>) -> u64 {
    let anchors = bundle.members.iter().filter(|terms| terms.class == Class::Anchor);
    anchors.fold(0, |sum, terms| sum.saturating_add(terms.amount_sat))
}

/// One member's part of a fee, by weight.
fn share_sat(bundle: &Bundle<'_>, terms: &Terms, fee_sat: u64) -> u64 {
    let weight = bundle.weight().max(1);
    fee_sat.saturating_mul(bundle.share(terms)).div_ceil(weight)
}
