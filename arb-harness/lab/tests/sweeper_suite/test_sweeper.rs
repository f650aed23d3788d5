//! A sweeper under test: claims are added and removed, the tip moves, and a scripted wallet answers requests for coins.
//!
//! The weights are chosen so that a transaction of one claim weighs 1,000 WU: its feerate in sat/kw equals its fee in satoshi.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::sweep::{
    Ask, Class, FeeInputs, Group, Now, Order, Parent, Pays, Plan, Stake, Sweeper, Terms, WALLET_INPUT_WEIGHT,
};
use arb_core::{BroadcastRejection, FeeInput, Fees, Height, Policy};
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, ScriptBuf, Txid};

/// Height of the tip at which every test begins.
pub const START: u32 = 1_000;
/// Weight of a P2WPKH output.
pub const OUTPUT: u64 = 124;
/// Weight of version, locktime, counts, and segwit marker and flag.
pub const FRAME: u64 = 42;
/// Weight of the input of a claim that pays from its value: alone it makes a transaction of 1,000 WU.
pub const INPUT: u64 = 1_000 - OUTPUT - FRAME;
/// Weight of the input of a claim that the wallet pays for: with one coin and change, 1,000 WU.
pub const WALLET_PAID: u64 = 1_000 - OUTPUT - FRAME - WALLET_INPUT_WEIGHT;
/// Value of every claim.
pub const AMOUNT_SAT: u64 = 10_000_000;
/// Most rounds of decisions at one tip; a test that needs more fails.
const ROUNDS: usize = 40;

pub fn op(n: u32) -> OutPoint {
    OutPoint::new(Txid::all_zeros(), n)
}

pub fn height(height: u32) -> Height {
    Height::new(height)
}

/// A contested claim that pays from its value, with its deadline `due_in` blocks after [`START`].
pub fn claim(n: u32, due_in: u32, budget_sat: u64) -> Terms {
    Terms {
        outpoint: op(n),
        class: Class::Contested,
        pays: Pays::FromValue,
        input_weight: INPUT,
        output_weight: 0,
        amount_sat: AMOUNT_SAT,
        lock_time: Height::new(0),
        stakes: vec![Stake { deadline: Some(height(START + due_in)), budget_sat }],
        any_price_sat: u64::MAX,
        parent: None,
    }
}

/// A delayed claim without a deadline.
pub fn lazy(n: u32, budget_sat: u64) -> Terms {
    let stakes = vec![Stake { deadline: None, budget_sat }];
    Terms { class: Class::Delayed, stakes, ..claim(n, 0, 0) }
}

/// A contested claim by a zero-fee second level, whose fee the wallet pays.
pub fn second(n: u32, due_in: u32, budget_sat: u64) -> Terms {
    let output_weight = 172;
    let input_weight = WALLET_PAID - output_weight;
    Terms { pays: Pays::FromWallet, input_weight, output_weight, ..claim(n, due_in, budget_sat) }
}

/// A child on an unconfirmed commitment of 2,000 WU that pays `parent_fee_sat`; a stake is (blocks to its deadline, budget).
pub fn child(n: u32, stakes: &[(Option<u32>, u64)], parent_fee_sat: u64) -> Terms {
    let stake = |(due_in, budget_sat): &(Option<u32>, u64)| Stake {
        deadline: due_in.map(|due_in| height(START + due_in)),
        budget_sat: *budget_sat,
    };
    Terms {
        class: Class::Anchor,
        amount_sat: 330,
        input_weight: WALLET_PAID,
        output_weight: 0,
        stakes: stakes.iter().map(stake).collect(),
        any_price_sat: u64::MAX,
        parent: Some(Parent { weight: 2_000, fee_sat: parent_fee_sat, at_stake_sat: AMOUNT_SAT }),
        ..second(n, 0, 0)
    }
}

/// What the wallet answers to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wallet {
    /// No answer.
    Silent,
    /// Always a coin worth twice what was asked for.
    Rich,
    /// A coin of exactly what was asked for, until this many satoshi are spent; then a refusal.
    Has(u64),
}

/// A sweeper with claims, policy, estimate and wallet.
#[derive(Clone)]
pub struct TestSweeper {
    pub sweeper: Sweeper,
    pub terms: BTreeMap<OutPoint, Terms>,
    pub policy: Policy,
    pub fees: Option<(Fees, Height)>,
    /// The estimates before it, oldest first.
    pub fees_before: Vec<(Fees, Height)>,
    /// Whether every new tip renews the estimate's height.
    pub fresh: bool,
    pub tip: u32,
    pub wallet: Wallet,
    /// Every order, with the height of the tip.
    pub orders: Vec<(u32, Order)>,
    coins: u32,
}

impl TestSweeper {
    /// A sweeper without claims, with the same estimate for all targets.
    pub fn new(feerate: u32) -> Self {
        let mut test = Self {
            sweeper: Sweeper::default(),
            terms: BTreeMap::new(),
            policy: Policy::default(),
            fees: None,
            fees_before: Vec::new(),
            fresh: true,
            tip: START,
            wallet: Wallet::Rich,
            orders: Vec::new(),
            coins: 0,
        };
        test.estimate(&[(1, feerate)]);
        test
    }

    pub fn with(feerate: u32, terms: impl IntoIterator<Item = Terms>) -> Self {
        let mut test = Self::new(feerate);
        test.put(terms);
        test.settle();
        test
    }

    pub fn estimate(&mut self, by_target: &[(u16, u32)]) {
        let fees = Fees::new(by_target.to_vec(), 253);
        self.hear(fees);
    }

    /// An estimate that is replaced in its own block was never in force.
    pub fn hear(&mut self, fees: Fees) {
        let tip = height(self.tip);
        self.fees_before.extend(self.fees.replace((fees, tip)).filter(|(_, at)| *at < tip));
    }

    pub fn floor(&mut self, sat_per_kw: u32) {
        self.fees.as_mut().unwrap().0.relay_floor_sat_per_kw = sat_per_kw;
    }

    pub fn put(&mut self, terms: impl IntoIterator<Item = Terms>) {
        self.terms.extend(terms.into_iter().map(|terms| (terms.outpoint, terms)));
    }

    pub fn take(&mut self, n: u32) -> Terms {
        self.terms.remove(&op(n)).unwrap()
    }

    pub fn now(&self) -> Now<'_> {
        Now {
            tip: height(self.tip),
            policy: &self.policy,
            fees: self.fees.as_ref(),
            fees_before: &self.fees_before,
            wallet_output_weight: OUTPUT,
        }
    }

    /// The feerate that a claim wants, in sat/kw.
    pub fn wanted(&self, n: u32) -> u32 {
        self.now().wanted(&self.terms[&op(n)], self.sweeper.price(&op(n)))
    }

    pub fn decide(&self) -> Vec<Order> {
        self.sweeper.decide(&self.terms, &BTreeSet::new(), &self.now())
    }

    /// Decides and lets the wallet answer until no order follows; all orders.
    pub fn settle(&mut self) -> Vec<Order> {
        self.settle_broken(&[])
    }

    /// [`settle`](Self::settle), with coins of these groups spent by a foreign transaction.
    pub fn settle_broken(&mut self, broken: &[u32]) -> Vec<Order> {
        let mut broken: BTreeSet<u32> = broken.iter().copied().collect();
        let mut all = Vec::new();
        for _ in 0..ROUNDS {
            let orders = self.sweeper.decide(&self.terms, &broken, &self.now());
            let answered = self.carry_out(&orders);
            broken.clear();
            all.extend(orders);
            if !answered {
                self.orders.extend(all.iter().map(|order| (self.tip, order.clone())));
                return all;
            }
        }
        panic!("orders do not end: {all:#?}");
    }

    fn carry_out(&mut self, orders: &[Order]) -> bool {
        for order in orders {
            self.sweeper.apply(order, height(self.tip));
        }
        for order in orders {
            let Order::Ask(ask) = order else { continue };
            self.answer(ask);
        }
        !orders.is_empty()
    }

    /// The wallet's answer to one request.
    pub fn answer(&mut self, ask: &Ask) {
        let own = fee_of(WALLET_INPUT_WEIGHT, ask.feerate_sat_per_kw);
        match self.wallet {
            Wallet::Silent => {}
            Wallet::Rich => {
                let coin = self.coin(2 * (ask.amount_sat + own));
                self.sweeper.offered(&ask.owner, coin);
            }
            Wallet::Has(sat) if sat >= ask.amount_sat => {
                self.wallet = Wallet::Has(sat - ask.amount_sat);
                let coin = self.coin(ask.amount_sat + own);
                self.sweeper.offered(&ask.owner, coin);
            }
            Wallet::Has(sat) => self.sweeper.refused(&ask.owner, ask.amount_sat - sat),
        }
    }

    /// The wallet, as it is now, answers every open request.
    pub fn answer_all(&mut self) {
        let asks: Vec<Ask> = self.sweeper.asked().into_iter().copied().collect();
        asks.iter().for_each(|ask| self.answer(ask));
        self.settle();
    }

    pub fn coin(&mut self, value_sat: u64) -> FeeInputs {
        self.coins += 1;
        let script = ScriptBuf::from(vec![0; 22]);
        let outpoint = OutPoint::new(Txid::from_byte_array([1; 32]), self.coins);
        FeeInputs { coins: vec![FeeInput { outpoint, value_sat, script: script.clone() }], change: script }
    }

    /// Moves the tip to `after` blocks after [`START`] and decides.
    pub fn at(&mut self, after: u32) -> Vec<Order> {
        self.tip = START + after;
        if self.fresh {
            let fees = self.fees.clone().map(|(fees, _)| fees);
            fees.into_iter().for_each(|fees| self.hear(fees));
        }
        self.settle()
    }

    pub fn next(&mut self) -> Vec<Order> {
        self.at(self.tip + 1 - START)
    }

    /// The group of a claim, with its number.
    pub fn group_of(&self, n: u32) -> Option<(u32, &Group)> {
        let mut groups = self.sweeper.groups().filter(|(_, group)| group.members.contains(&op(n)));
        let group = groups.next();
        assert!(groups.next().is_none(), "{n} is in two groups");
        group
    }

    /// The feerate that the claim's group offers, in sat/kw.
    pub fn offer(&self, n: u32) -> u32 {
        self.group_of(n).unwrap_or_else(|| panic!("{n} is in no group")).1.feerate_sat_per_kw
    }

    /// The fee of the claim's group, in sat.
    pub fn fee(&self, n: u32) -> u64 {
        self.group_of(n).unwrap().1.fee_sat
    }

    pub fn reject(&mut self, n: u32, why: BroadcastRejection) {
        let number = self.group_of(n).unwrap().0;
        self.sweeper.rejected(number, why);
    }

    /// Groups with a claim that is still wanted, as sorted lists of claims.
    pub fn partition(&self) -> BTreeSet<Vec<u32>> {
        let live = self.sweeper.groups().filter(|(_, group)| group.members.iter().any(|m| self.terms.contains_key(m)));
        live.map(|(_, group)| {
            let mut members: Vec<u32> = group.members.iter().map(|member| member.vout).collect();
            members.sort_unstable();
            members
        })
        .collect()
    }

    pub fn asks(&self) -> Vec<Ask> {
        let ask = |(_, order): &(u32, Order)| match order {
            Order::Ask(ask) => Some(*ask),
            _ => None,
        };
        self.orders.iter().filter_map(ask).collect()
    }
}

pub fn fee_of(weight: u64, feerate: u32) -> u64 {
    // Nodes charge whole virtual bytes.
    (weight.div_ceil(4) * 4 * u64::from(feerate)).div_ceil(1_000)
}

pub fn plans(orders: &[Order]) -> Vec<&Plan> {
    let mut plans = Vec::new();
    for order in orders {
        if let Order::Plan(plan) = order {
            plans.push(plan);
        }
    }
    plans
}

/// The partition that [`TestSweeper::partition`] is compared with.
pub fn parts(parts: &[&[u32]]) -> BTreeSet<Vec<u32>> {
    parts.iter().map(|part| part.to_vec()).collect()
}
