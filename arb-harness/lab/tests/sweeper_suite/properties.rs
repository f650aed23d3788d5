//! Properties over drawn claims, estimates, wallets, refusals, spends and reorgs: I7 and I8 on the desk alone.

use std::collections::BTreeMap;

use arb_core::sweep::{Order, Pays, Terms};
use arb_core::{BroadcastRejection, Height};
use bitcoin::OutPoint;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::table::{FRAME, OUTPUT, START, Table, Till, child, claim, fee_of, height, lazy, op, second};

/// What happens before the next decision.
#[derive(Clone, Debug)]
enum Turn {
    Blocks(u32),
    Estimate(u32, u32),
    /// A claim appears.
    Put(Kind, u32, u64),
    /// One of the claims is spent by somebody else.
    Spent(usize),
    /// A whole group confirms.
    Confirmed(usize),
    /// What was taken away last comes back.
    Reorg,
    Rejected(usize, usize),
    Accepted(usize),
    /// A coin of a group is spent by somebody else.
    Broken(usize),
    Wallet(Till),
    /// The wallet answers all that is asked.
    Asked,
    /// The process restarts.
    Restart,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Claim,
    Lazy,
    Second,
    Child,
}

const WHY: [BroadcastRejection; 7] = [
    BroadcastRejection::FeeTooLow,
    BroadcastRejection::ConflictInMempool,
    BroadcastRejection::MissingInputs,
    BroadcastRejection::ScriptFailure,
    BroadcastRejection::NonFinal,
    BroadcastRejection::TooLongChain,
    BroadcastRejection::Unknown,
];

fn turn() -> impl Strategy<Value = Turn> {
    let kind =
        prop_oneof![4 => Just(Kind::Claim), 1 => Just(Kind::Lazy), 3 => Just(Kind::Second), 1 => Just(Kind::Child)];
    let till = prop_oneof![Just(Till::Silent), Just(Till::Rich), (0..200_000_u64).prop_map(Till::Has)];
    let due = prop_oneof![0..12_u32, 12..60_u32, 60..200_u32];
    let budget = prop_oneof![0..2_000_u64, 2_000..60_000_u64, 60_000..2_000_000_u64, 2_000_000..9_000_000_u64];
    prop_oneof![
        5 => prop_oneof![Just(1_u32), Just(1), 2..9_u32].prop_map(Turn::Blocks),
        2 => (253..20_000_u32, prop_oneof![Just(253_u32), 253..8_000_u32]).prop_map(|(rate, floor)| Turn::Estimate(rate, floor)),
        8 => (kind, due, budget).prop_map(|(kind, due, budget)| Turn::Put(kind, due, budget)),
        2 => any::<usize>().prop_map(Turn::Spent),
        1 => any::<usize>().prop_map(Turn::Confirmed),
        2 => Just(Turn::Reorg),
        2 => (any::<usize>(), 0..7_usize).prop_map(|(group, why)| Turn::Rejected(group, why)),
        1 => any::<usize>().prop_map(Turn::Accepted),
        1 => any::<usize>().prop_map(Turn::Broken),
        2 => till.prop_map(Turn::Wallet),
        2 => Just(Turn::Asked),
        1 => Just(Turn::Restart),
    ]
}

struct Run {
    table: Table,
    next: u32,
    gone: Vec<Vec<Terms>>,
    prices: BTreeMap<OutPoint, u32>,
    /// Live transactions: what a replacement has to pay.
    offers: BTreeMap<u32, (Vec<OutPoint>, u32)>,
}

fn pick(len: usize, at: usize) -> Option<usize> {
    at.checked_rem(len)
}

impl Run {
    fn new() -> Self {
        let table = Table::new(1_000);
        Self { table, next: 0, gone: Vec::new(), prices: BTreeMap::new(), offers: BTreeMap::new() }
    }

    fn live(&self, at: usize) -> Option<u32> {
        let terms = &self.table.terms;
        let live = |members: &[OutPoint]| members.iter().any(|member| terms.contains_key(member));
        let groups = self.table.sweeper.groups().filter(|(_, group)| live(&group.members));
        let numbers: Vec<u32> = groups.map(|(number, _)| number).collect();
        numbers.get(pick(numbers.len(), at)?).copied()
    }

    fn remove(&mut self, outpoints: &[OutPoint]) {
        let gone: Vec<Terms> = outpoints.iter().filter_map(|outpoint| self.table.terms.remove(outpoint)).collect();
        self.gone.push(gone);
    }

    fn play(&mut self, turn: &Turn) {
        let mut broken = Vec::new();
        match turn {
            Turn::Blocks(blocks) => {
                self.table.tip += blocks;
                let tip = height(self.table.tip);
                self.table.fees = self.table.fees.take().map(|(fees, _)| (fees, tip));
            }
            Turn::Estimate(rate, floor) => {
                self.table.estimate(&[(1, 2 * rate), (6, *rate), (144, rate / 2)]);
                self.table.floor(*floor);
            }
            Turn::Put(kind, due, budget) => {
                self.next += 1;
                let (n, due) = (self.next, self.table.tip - START + due);
                self.table.put([match kind {
                    Kind::Claim => claim(n, due, *budget),
                    Kind::Lazy => lazy(n, *budget),
                    Kind::Second => second(n, due, *budget),
                    Kind::Child => child(n, &[(Some(due), budget / 2), (Some(due + 20), *budget)], 500),
                }]);
            }
            Turn::Spent(at) => {
                let all: Vec<OutPoint> = self.table.terms.keys().copied().collect();
                if let Some(at) = pick(all.len(), *at) {
                    self.remove(&[all[at]]);
                }
            }
            Turn::Confirmed(at) => {
                if let Some(number) = self.live(*at) {
                    let members =
                        self.table.sweeper.groups().find(|(other, _)| *other == number).unwrap().1.members.clone();
                    self.remove(&members);
                }
            }
            Turn::Reorg => {
                let back = self.gone.pop().unwrap_or_default();
                self.table.put(back);
            }
            Turn::Rejected(at, why) => {
                if let Some(number) = self.live(*at) {
                    self.table.sweeper.rejected(number, WHY[*why]);
                }
            }
            Turn::Accepted(at) => {
                if let Some(number) = self.live(*at) {
                    self.table.sweeper.accepted(number);
                }
            }
            Turn::Broken(at) => broken.extend(self.live(*at)),
            Turn::Wallet(till) => self.table.till = *till,
            Turn::Asked => self.table.answer_all(),
            Turn::Restart => {
                let bytes = postcard::to_allocvec(&self.table.sweeper).unwrap();
                self.table.sweeper = postcard::from_bytes(&bytes).unwrap();
            }
        }
        self.table.settle_broken(&broken);
    }

    fn check(&mut self) {
        assert!(self.table.decide().is_empty(), "decided, and decided otherwise: {:?}", self.table.decide());
        self.every_claim_has_one_place();
        self.prices_never_fall();
        self.fees_fit_budgets();
        self.at_the_end_all_is_on_offer();
    }

    /// I7.
    fn every_claim_has_one_place(&self) {
        for (outpoint, terms) in &self.table.terms {
            let n = outpoint.vout;
            if self.table.group_of(n).is_some() {
                continue;
            }
            let sweeper = &self.table.sweeper;
            // What is asked for may be asked under the name of another of its pool.
            let waits = terms.pays == Pays::FromWallet && !sweeper.asked().is_empty();
            let rests = self.ordered_now(|order| matches!(order, Order::Drop { pauses: true, .. }));
            let given_up = self.ordered(|order| *order == Order::Uneconomic { outpoint: *outpoint });
            assert!(waits || rests || given_up || terms.parent.is_some(), "{n} has no place: {terms:?}");
        }
    }

    fn ordered(&self, is: impl Fn(&Order) -> bool) -> bool {
        self.table.orders.iter().any(|(_, order)| is(order))
    }

    fn ordered_now(&self, is: impl Fn(&Order) -> bool) -> bool {
        self.table.orders.iter().any(|(tip, order)| *tip == self.table.tip && is(order))
    }

    /// I8, first part.
    fn prices_never_fall(&mut self) {
        for n in 1..=self.next {
            let Some(price) = self.table.sweeper.price(&op(n)) else { continue };
            let before = self.prices.insert(op(n), price.wanted_sat_per_kw).unwrap_or(0);
            assert!(price.wanted_sat_per_kw >= before, "{n}");
        }
        let groups = self.table.sweeper.groups();
        let offers: BTreeMap<u32, (Vec<OutPoint>, u32)> =
            groups.map(|(number, group)| (number, (group.members.clone(), group.feerate_sat_per_kw))).collect();
        for (number, (members, feerate)) in &offers {
            if let Some((before, offered)) = self.offers.get(number) {
                assert!(before != members || feerate >= offered, "group {number}: {offered} to {feerate}");
            }
        }
        self.offers = offers;
    }

    /// I8, second part: together, and each by its share of the weight.
    fn fees_fit_budgets(&self) {
        for (number, group) in self.table.sweeper.groups() {
            let known: Option<Vec<&Terms>> = group.members.iter().map(|member| self.table.terms.get(member)).collect();
            let Some(members) = known else { continue };
            let budgets: u64 = members.iter().map(|terms| terms.stakes.last().unwrap().budget_sat).sum();
            assert!(group.fee_sat <= budgets, "{number}: {} of {budgets}", group.fee_sat);
            let shared = FRAME
                + if members[0].pays == Pays::FromWallet {
                    let coins = u64::try_from(group.fee_inputs.coins.len()).unwrap();
                    coins * arb_core::sweep::WALLET_INPUT_WEIGHT + OUTPUT
                } else {
                    OUTPUT
                };
            let count = u64::try_from(members.len()).unwrap();
            let own: u64 = members.iter().map(|terms| terms.input_weight + terms.output_weight).sum();
            let weight = own + shared;
            let parent = members[0].parent.map_or(0, |parent| parent.weight);
            let most = fee_of(weight + parent, self.table.policy.max_feerate_sat_per_kw);
            assert!(group.fee_sat <= most, "{number}: {} is above the cap for {weight}", group.fee_sat);
            for terms in members {
                let part = terms.input_weight + terms.output_weight + shared.div_ceil(count);
                let pays = group.fee_sat * part / weight;
                let budget = terms.stakes.last().unwrap().budget_sat;
                assert!(pays <= budget + 1 + count, "{}: {pays} of {budget}: {group:?}", terms.outpoint.vout);
            }
        }
    }

    /// I8, third part: one block before a deadline all is on offer that a claim's budget, the cap, BIP 125 and the coins allow.
    fn at_the_end_all_is_on_offer(&self) {
        for (number, group) in self.table.sweeper.groups() {
            let [only] = group.members[..] else { continue };
            let Some(terms) = self.table.terms.get(&only) else { continue };
            let Some(deadline) = terms.stakes.last().and_then(|stake| stake.deadline) else { continue };
            if self.table.tip + 1 < deadline.get() || group.planned == Height::new(self.table.tip) {
                continue;
            }
            let coins = u64::try_from(group.fee_inputs.coins.len()).unwrap();
            let shared = FRAME + OUTPUT + coins * arb_core::sweep::WALLET_INPUT_WEIGHT;
            let weight = terms.input_weight + terms.output_weight + shared;
            let parent = terms.parent.map_or((0, 0), |parent| (parent.weight, parent.fee_sat));
            let cap = fee_of(weight + parent.0, self.table.policy.max_feerate_sat_per_kw) - parent.1;
            let anchor = if terms.parent.is_some() { terms.amount_sat } else { 0 };
            let paid = match terms.pays {
                Pays::FromWallet => group.fee_inputs.value_sat() + anchor - 330,
                Pays::FromValue | Pays::Signed => u64::MAX,
            };
            let all = terms.stakes.last().unwrap().budget_sat.min(cap).min(paid);
            // Coins that do not buy what nodes relay are not sent.
            let relayed = self.table.fees.as_ref().map_or(0, |(fees, _)| fees.relay_floor_sat_per_kw);
            if all == paid && all < fee_of(weight, relayed) {
                continue;
            }
            // A replacement has to pay for itself; further coins weigh something, and a feerate is rounded down.
            let step = fee_of(weight, self.table.policy.incremental_sat_per_kw) + weight / 1_000 + parent.0 / 1_000 + 2;
            let heavier = fee_of(coins * 273, group.feerate_sat_per_kw);
            assert!(group.fee_sat + step + heavier >= all, "{number}: {} of {all}: {group:?} {terms:?}", group.fee_sat);
        }
    }
}

fn config() -> ProptestConfig {
    // Cheap; `PROPTEST_CASES` asks for more of them.
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400);
    ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x5eed),
        max_shrink_iters: 4_000,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn i7_i8_hold_over_any_market(turns in vec(turn(), 1..80)) {
        let mut run = Run::new();
        for turn in &turns {
            run.play(turn);
            run.check();
        }
    }

    #[test]
    fn the_same_state_groups_the_same_way_after_a_restart(turns in vec(turn(), 1..40)) {
        let mut run = Run::new();
        for turn in &turns {
            run.play(turn);
            let bytes = postcard::to_allocvec(&run.table.sweeper).unwrap();
            let mut other = run.table.clone();
            other.sweeper = postcard::from_bytes(&bytes).unwrap();
            prop_assert_eq!(&other.sweeper, &run.table.sweeper);
            let (mut one, mut two) = (run.table.clone(), other);
            one.fees = None;
            two.fees = None;
            prop_assert_eq!(one.next(), two.next());
        }
    }
}
