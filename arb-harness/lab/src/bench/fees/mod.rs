//! Fee policies on the same claims in the same markets: who misses deadlines, and what it costs.
//!
//! The claims of a seed are drawn before anybody plays. Every policy plays every close in each of four markets; the engine,
//! not the policy, decides what BIP 125 allows, what is mined, and what a deadline costs. Policies of other implementations
//! are written from their documented behaviour.

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

/// The blocks of a market: eight weeks, so that what was closed last has its time too.
const BLOCKS: u32 = 8_064;

/// Who plays.
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
    /// Everybody.
    pub const ALL: [Self; 4] = [Self::Arb, Self::Lnd, Self::Ldk, Self::Eclair];

    /// Its policy, for one close.
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

/// How much is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeesOptions {
    /// The first seed.
    pub seed: u64,
    /// How many closes for each seed.
    pub closes: u32,
    /// How many seeds; the accounts are added.
    pub seeds: u32,
}

/// Everything that was counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FeesReport {
    /// The first seed.
    pub seed: u64,
    /// How many closes, of all seeds.
    pub closes: u64,
    /// One for each market.
    pub markets: Vec<MarketReport>,
}

/// What was counted in a market.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MarketReport {
    /// Its name.
    pub market: &'static str,
    /// One for each policy.
    pub policies: Vec<PolicyReport>,
}

/// What was counted for a policy in a market.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyReport {
    /// Its name.
    pub policy: &'static str,
    /// Claims with a deadline.
    pub claims_due: u64,
    /// Claims whose deadline nobody could have kept; they are in no other number.
    pub hopeless: u64,
    /// Deadlines that were not kept.
    pub deadlines_missed: u64,
    /// All fees, out of values and out of the wallet.
    pub fees_sat: u64,
    /// What reached the wallet.
    pub recovered_sat: i64,
    /// What did not.
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

/// Plays everything, on two threads, and tells how many of the seeds' markets are done.
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
                // Nobody listens only if the other side has panicked, and that is told by the scope.
                let _told = done.send((market, play(kinds[market], seed, options.closes))).is_ok();
            }
        };
        let other = done.clone();
        scope.spawn(move || work(other));
        scope.spawn(move || work(done));
        // Sums do not depend on the order in which they come.
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
