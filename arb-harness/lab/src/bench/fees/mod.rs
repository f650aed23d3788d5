//! Fee policies on the same claims in the same markets: how many deadlines each misses, and at what cost.
//!
//! The claims of a seed are drawn before any policy plays. Every policy plays every close in each of four markets. The
//! engine, not the policy, decides what BIP 125 allows, what is mined, and what a missed deadline costs. The policies of
//! other implementations are written from their documented behaviour.

pub mod arb;
pub mod claims;
pub mod eclair;
pub mod engine;
pub mod ldk;
pub mod lnd;
pub mod mempool;
pub mod policy;
#[cfg(test)]
mod support;
pub mod verdict;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use serde::Serialize;

use crate::market::{Market, MarketKind, Tape};
use engine::Account;
use policy::FeePolicy;

/// The blocks of a market: eight weeks, so that the last closes have enough time.
const BLOCKS: u32 = 8_064;

/// A policy that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contestant {
    /// This project's sweeper.
    Arb,
    /// lnd's sweeper.
    Lnd,
    /// LDK's packages.
    Ldk,
    /// eclair's publisher.
    Eclair,
}

impl Contestant {
    /// Every policy.
    pub const ALL: [Self; 4] = [Self::Arb, Self::Lnd, Self::Ldk, Self::Eclair];

    /// A new instance of the policy, for one close.
    #[must_use]
    pub fn policy(self) -> Box<dyn FeePolicy> {
        match self {
            Self::Arb => Box::<arb::Arb>::default(),
            Self::Lnd => Box::<lnd::Lnd>::default(),
            Self::Ldk => Box::<ldk::Ldk>::default(),
            Self::Eclair => Box::<eclair::Eclair>::default(),
        }
    }
}

/// The seeds and closes of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeesOptions {
    /// The first seed.
    pub seed: u64,
    /// How many closes for each seed.
    pub closes: u32,
    /// How many seeds; their accounts are added.
    pub seeds: u32,
}

/// The result of a measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FeesReport {
    /// The first seed.
    pub seed: u64,
    /// The number of closes over all seeds.
    pub closes: u64,
    /// The results by market.
    pub markets: Vec<MarketReport>,
}

/// The results in one market.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MarketReport {
    /// The name of the market.
    pub market: &'static str,
    /// The results by policy.
    pub policies: Vec<PolicyReport>,
}

/// The results of one policy in one market.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyReport {
    /// The name of the policy.
    pub policy: &'static str,
    /// Claims with a deadline.
    pub claims_due: u64,
    /// Claims whose deadline no budget could have met; no other number counts them.
    pub hopeless: u64,
    /// Missed deadlines.
    pub deadlines_missed: u64,
    /// All fees, paid from claims and from the wallet (sat).
    pub fees_sat: u64,
    /// What reached the wallet (sat).
    pub recovered_sat: i64,
    /// What did not reach it (sat).
    pub lost_sat: u64,
    /// How often a transaction replaced others.
    pub replacements: u64,
}

impl PolicyReport {
    fn of(contestant: Contestant, account: &Account) -> Self {
        Self {
            policy: contestant.policy().name(),
            claims_due: account.claims_due,
            hopeless: account.hopeless,
            deadlines_missed: account.deadlines_missed,
            fees_sat: account.fees_from_value_sat + account.fees_from_wallet_sat,
            recovered_sat: account.recovered_sat,
            lost_sat: account.lost_sat,
            replacements: account.replacements,
        }
    }
}

/// The accounts of one seed in one market, in the order of [`Contestant::ALL`].
#[must_use]
pub fn play(kind: MarketKind, seed: u64, closes: u32) -> [Account; Contestant::ALL.len()] {
    let tape = Tape::of(&Market::new(kind, seed), BLOCKS);
    let mut accounts = Contestant::ALL.map(|_| Account::default());
    for close in claims::draw(seed, closes) {
        let verdicts = verdict::judge(&close, &tape);
        for (account, contestant) in accounts.iter_mut().zip(Contestant::ALL) {
            account.add(&engine::play(&close, &verdicts, &tape, &mut *contestant.policy()));
        }
    }
    accounts
}

/// Plays everything on two threads, and calls `progress` with the number of markets done, over all seeds.
#[must_use]
pub fn run(options: &FeesOptions, progress: &mut dyn FnMut(u64)) -> FeesReport {
    let kinds = MarketKind::ALL;
    let rounds = usize::try_from(options.seeds).unwrap_or(usize::MAX) * kinds.len();
    let next = AtomicUsize::new(0);
    let mut sums = kinds.map(|_| Contestant::ALL.map(|_| Account::default()));
    thread::scope(|scope| {
        let (done, doing) = mpsc::channel();
        let work = |done: mpsc::Sender<_>| {
            while let round = next.fetch_add(1, Ordering::Relaxed)
                && round < rounds
            {
                let (seed, market) = (round / kinds.len(), round % kinds.len());
                let seed = options.seed.wrapping_add(seed as u64);
                // Sending fails only if the receiver has panicked, which the scope reports.
                let _told = done.send((market, play(kinds[market], seed, options.closes))).is_ok();
            }
        };
        let other = done.clone();
        scope.spawn(move || work(other));
        scope.spawn(move || work(done));
        // The sums do not depend on the order of the accounts.
        for (count, (market, accounts)) in (1..).zip(doing) {
            sums[market].iter_mut().zip(&accounts).for_each(|(sum, account)| sum.add(account));
            progress(count);
        }
    });
    let policies = |accounts: [Account; Contestant::ALL.len()]| {
        Contestant::ALL.iter().zip(&accounts).map(|(one, account)| PolicyReport::of(*one, account)).collect()
    };
    let markets = kinds.iter().zip(sums);
    let markets = markets.map(|(kind, sums)| MarketReport { market: kind.name(), policies: policies(sums) }).collect();
    FeesReport { seed: options.seed, closes: u64::from(options.closes) * u64::from(options.seeds), markets }
}
