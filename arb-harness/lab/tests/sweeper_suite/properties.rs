//! Properties over drawn claims, estimates, wallets, refusals, spends and reorgs: I7 and I8 for the sweeper alone.

use std::collections::BTreeMap;

use arb_core::sweep::{Order, Pays, Terms};
use arb_core::{BroadcastRejection, Height};
use bitcoin::OutPoint;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::test_sweeper::{FRAME, OUTPUT, START, TestSweeper, Wallet, child, claim, fee_of, height, lazy, op, second};

/// What happens before the next decision.
#[derive(Clone, Debug)]
enum Turn {
    Blocks(u32),
    Estimate(u32, u32),
    /// A claim appears: blocks to its deadline, budget in sat.
    Put(Kind, u32, u64),
    /// A foreign transaction spends one of the claims.
    Spent(usize),
    /// A whole group confirms.
    Confirmed(usize),
    /// The claims that went last come back.
    Reorg,
    Rejected(usize, usize),
    Accepted(usize),
    /// A foreign transaction spends a coin of a group.
    Broken(usize),
    Wallet(Wallet),
    /// The wallet answers every open request.
    AnswerAll,
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
    let wallet = prop_oneof![Just(Wallet::Silent), Just(Wallet::Rich), (0..200_000_u64).prop_map(Wallet::Has)];
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
        2 => wallet.prop_map(Turn::Wallet),
        2 => Just(Turn::AnswerAll),
        1 => Just(Turn::Restart),
    ]
}

struct Run {
    test: TestSweeper,
    next: u32,
    gone: Vec<Vec<Terms>>,
    prices: BTreeMap<OutPoint, u32>,
    /// Members and feerate of each group after the turn before.
    offers: BTreeMap<u32, (Vec<OutPoint>, u32)>,
}

fn pick(len: usize, at: usize) -> Option<usize> {
    at.checked_rem(len)
}

impl Run {
    fn new() -> Self {
        let test = TestSweeper::new(1_000);
        Self { test, next: 0, gone: Vec::new(), prices: BTreeMap::new(), offers: BTreeMap::new() }
    }

    fn live(&self, at: usize) -> Option<u32> {
        let terms = &self.test.terms;
        let live = |members: &[OutPoint]| members.iter().any(|member| terms.contains_key(member));
        let groups = self.test.sweeper.groups().filter(|(_, group)| live(&group.members));
        let numbers: Vec<u32> = groups.map(|(number, _)| number).collect();
        numbers.get(pick(numbers.len(), at)?).copied()
    }

    fn remove(&mut self, outpoints: &[OutPoint]) {
        let gone: Vec<Terms> = outpoints.iter().filter_map(|outpoint| self.test.terms.remove(outpoint)).collect();
        self.gone.push(gone);
    }

    fn play(&mut self, turn: &Turn) {
        let mut broken = Vec::new();
        match turn {
            Turn::Blocks(blocks) => {
                self.test.tip += blocks;
                let tip = height(self.test.tip);
                self.test.fees = self.test.fees.take().map(|(fees, _)| (fees, tip));
            }
            Turn::Estimate(rate, floor) => {
                self.test.estimate(&[(1, 2 * rate), (6, *rate), (144, rate / 2)]);
                self.test.floor(*floor);
            }
            Turn::Put(kind, due, budget) => {
                self.next += 1;
                let (n, due) = (self.next, self.test.tip - START + due);
                self.test.put([match kind {
                    Kind::Claim => claim(n, due, *budget),
                    Kind::Lazy => lazy(n, *budget),
                    Kind::Second => second(n, due, *budget),
                    Kind::Child => child(n, &[(Some(due), budget / 2), (Some(due + 20), *budget)], 500),
                }]);
            }
            Turn::Spent(at) => {
                let all: Vec<OutPoint> = self.test.terms.keys().copied().collect();
                if let Some(at) = pick(all.len(), *at) {
                    self.remove(&[all[at]]);
                }
            }
            Turn::Confirmed(at) => {
                if let Some(number) = self.live(*at) {
                    let members =
                        self.test.sweeper.groups().find(|(other, _)| *other == number).unwrap().1.members.clone();
                    self.remove(&members);
                }
            }
            Turn::Reorg => {
                let back = self.gone.pop().unwrap_or_default();
                self.test.put(back);
            }
            Turn::Rejected(at, why) => {
                if let Some(number) = self.live(*at) {
                    self.test.sweeper.rejected(number, WHY[*why]);
                }
            }
            Turn::Accepted(at) => {
                if let Some(number) = self.live(*at) {
                    self.test.sweeper.accepted(number);
                }
            }
            Turn::Broken(at) => broken.extend(self.live(*at)),
            Turn::Wallet(wallet) => self.test.wallet = *wallet,
            Turn::AnswerAll => self.test.answer_all(),
            Turn::Restart => {
                let bytes = postcard::to_allocvec(&self.test.sweeper).unwrap();
                self.test.sweeper = postcard::from_bytes(&bytes).unwrap();
            }
        }
        self.test.settle_broken(&broken);
    }

    fn check(&mut self) {
        assert!(self.test.decide().is_empty(), "orders follow from an unchanged state: {:?}", self.test.decide());
        self.every_claim_has_one_place();
        self.prices_never_fall();
        self.fees_fit_budgets();
        self.at_the_end_all_is_on_offer();
    }

    /// I7: each claim is in a group, waits for coins, is paused, or is recorded as uneconomic.
    fn every_claim_has_one_place(&self) {
        for (outpoint, terms) in &self.test.terms {
            let n = outpoint.vout;
            if self.test.group_of(n).is_some() {
                continue;
            }
            let sweeper = &self.test.sweeper;
            // Several claims may share one request, which names only one of them.
            let waits = terms.pays == Pays::FromWallet && !sweeper.asked().is_empty();
            let paused = self.ordered_now(|order| matches!(order, Order::Drop { pauses: true, .. }));
            let given_up =
                self.ordered(|order| matches!(order, Order::Uneconomic { outpoint: of, .. } if of == outpoint));
            assert!(
                waits || paused || given_up || terms.parent.is_some(),
                "{n} is in no group, waits for nothing, and is not recorded: {terms:?}"
            );
        }
    }

    fn ordered(&self, is: impl Fn(&Order) -> bool) -> bool {
        self.test.orders.iter().any(|(_, order)| is(order))
    }

    fn ordered_now(&self, is: impl Fn(&Order) -> bool) -> bool {
        self.test.orders.iter().any(|(tip, order)| *tip == self.test.tip && is(order))
    }

    /// I8, first part: no wanted feerate falls, and no group's offer while its members stay.
    fn prices_never_fall(&mut self) {
        for n in 1..=self.next {
            let Some(price) = self.test.sweeper.price(&op(n)) else { continue };
            let before = self.prices.insert(op(n), price.wanted_sat_per_kw).unwrap_or(0);
            assert!(price.wanted_sat_per_kw >= before, "{n}");
        }
        let groups = self.test.sweeper.groups();
        let offers: BTreeMap<u32, (Vec<OutPoint>, u32)> =
            groups.map(|(number, group)| (number, (group.members.clone(), group.feerate_sat_per_kw))).collect();
        for (number, (members, feerate)) in &offers {
            if let Some((before, offered)) = self.offers.get(number) {
                assert!(before != members || feerate >= offered, "group {number}: {offered} to {feerate}");
            }
        }
        self.offers = offers;
    }

    /// I8, second part: no group pays more than its budgets, and no claim more than its own by its share of the weight.
    fn fees_fit_budgets(&self) {
        for (number, group) in self.test.sweeper.groups() {
            let known: Option<Vec<&Terms>> = group.members.iter().map(|member| self.test.terms.get(member)).collect();
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
            let most = fee_of(weight + parent, self.test.policy.max_feerate_sat_per_kw);
            assert!(group.fee_sat <= most, "{number}: {} is above the cap for {weight}", group.fee_sat);
            for terms in members {
                let part = terms.input_weight + terms.output_weight + shared.div_ceil(count);
                let pays = group.fee_sat * part / weight;
                let budget = terms.stakes.last().unwrap().budget_sat;
                assert!(pays <= budget + 1 + count, "{}: {pays} of {budget}: {group:?}", terms.outpoint.vout);
            }
        }
    }

    /// I8, third part: one block before its deadline a claim offers all that budget, cap, BIP 125 and coins allow.
    fn at_the_end_all_is_on_offer(&self) {
        for (number, group) in self.test.sweeper.groups() {
            let [only] = group.members[..] else { continue };
            let Some(terms) = self.test.terms.get(&only) else { continue };
            let Some(deadline) = terms.stakes.last().and_then(|stake| stake.deadline) else { continue };
            if self.test.tip + 1 < deadline.get() || group.planned == Height::new(self.test.tip) {
                continue;
            }
            // First wanted when its deadline was over: everything is on offer six blocks later (A40).
            let since = self.test.sweeper.price(&only).map_or(0, |price| price.since.get());
            if since >= deadline.get() && self.test.tip < since + 7 {
                continue;
            }
            let coins = u64::try_from(group.fee_inputs.coins.len()).unwrap();
            let shared = FRAME + OUTPUT + coins * arb_core::sweep::WALLET_INPUT_WEIGHT;
            let weight = terms.input_weight + terms.output_weight + shared;
            let parent = terms.parent.map_or((0, 0), |parent| (parent.weight, parent.fee_sat));
            let cap = fee_of(weight + parent.0, self.test.policy.max_feerate_sat_per_kw) - parent.1;
            let anchor = if terms.parent.is_some() { terms.amount_sat } else { 0 };
            let paid = match terms.pays {
                Pays::FromWallet => group.fee_inputs.value_sat() + anchor - 330,
                Pays::FromValue | Pays::Signed => u64::MAX,
            };
            let all = terms.stakes.last().unwrap().budget_sat.min(cap).min(paid);
            // Coins that do not pay the relay feerate are not used.
            let relayed = self.test.fees.as_ref().map_or(0, |(fees, _)| fees.relay_floor_sat_per_kw);
            if all == paid && all < fee_of(weight, relayed) {
                continue;
            }
            // Allowance: a replacement pays for its own relay, further coins add weight, and feerates are rounded down.
            let step = fee_of(weight, self.test.policy.incremental_sat_per_kw) + weight / 1_000 + parent.0 / 1_000 + 2;
            let heavier = fee_of(coins * 273, group.feerate_sat_per_kw);
            assert!(group.fee_sat + step + heavier >= all, "{number}: {} of {all}: {group:?} {terms:?}", group.fee_sat);
        }
    }
}

fn config() -> ProptestConfig {
    // Cases are cheap; `PROPTEST_CASES` sets another number.
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
            let bytes = postcard::to_allocvec(&run.test.sweeper).unwrap();
            let mut other = run.test.clone();
            other.sweeper = postcard::from_bytes(&bytes).unwrap();
            prop_assert_eq!(&other.sweeper, &run.test.sweeper);
            let (mut one, mut two) = (run.test.clone(), other);
            one.fees = None;
            two.fees = None;
            prop_assert_eq!(one.next(), two.next());
        }
    }
}
