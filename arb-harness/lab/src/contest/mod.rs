//! A contest: many HTLCs on one close, and an adversary that acts on our claims before every block.
//!
//! We forwarded every HTLC. All expire downstream together, and each has its own upstream expiry. The court runs with its
//! driver, a signer, a wallet and a node on the embedded chain; the miner is neutral and takes what waits. The adversary
//! knows all preimages and pays for each of its acts. The outcome of each HTLC is read from the chain and from the node.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::bolt3::{ChannelType, Preimage};
use arb_core::{
    Acknowledged, ChainArbitrator, CloseReason, Event, Freshness, Height, Htlc, HtlcKey, HtlcRef, JournalIdentity,
    Link, Policy, Side, Started,
};
use arb_harness::driver::Driver;
use arb_harness::host::Host;
use arb_harness::keys::WalletKeys;
use arb_harness::signer::KeySigner;
use arb_harness::source;
use arb_log::memory::Memory;
use bitcoin::{Network, Transaction, Txid};

use crate::adversary::{ActKind, Adversary, Tactic};
use crate::chain::{Chain, ChainConfig, flat_fees};
use crate::fixture::{ChannelFixture, ChannelSetup, CommitmentState};
use crate::notebook::Notebook;
use crate::peer::{Peer, PeerPlan, Publish};
use crate::process::{BUILD, all_told, tip};
use crate::wallet::SmallWallet;

/// The height at which every contest begins.
const START: u32 = 1_000;
/// The height at which all HTLCs expire downstream.
const EXPIRY: u32 = START + 12;
/// The prices that are shown: 2, 20 and 100 sat/vB, in satoshi per kiloweight.
pub const PRICES_SAT_PER_KW: [u32; 3] = [500, 5_000, 25_000];
/// The least and the most blocks from the downstream to the upstream expiry.
const DELTAS: (u32, u32) = (34, 144);
/// The adversary's coins: how many, and of how many satoshi.
const ADVERSARY_COINS: (u32, u64) = (60, 5_000_000);

/// The settings of a contest.
#[derive(Clone, Copy, Debug)]
pub struct Contest {
    /// Whose commitment confirms.
    pub owner: Side,
    /// The adversary's tactic.
    pub tactic: Tactic,
    /// Whether the court hears of the transactions that the adversary puts into the mempool.
    pub sees_mempool: bool,
    /// The estimate for every target, all the time (sat per kw).
    pub feerate_sat_per_kw: u32,
    /// Our coins: how many, and of how many satoshi.
    pub coins: (u32, u64),
    /// The number of HTLCs.
    pub htlcs: u64,
    /// The amount of each, in satoshi.
    pub amount_sat: u64,
}

/// The outcome of one HTLC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// The height at which its upstream HTLC expires: afterwards it is lost.
    pub upstream_expiry: u32,
    /// The height at which our claim confirmed.
    pub claimed: Option<u32>,
    /// The tip when its upstream HTLC was settled, with a preimage that the adversary had shown.
    pub settled: Option<u32>,
    /// What the adversary paid until then, or until the upstream expiry, to keep it from us (sat). The confirmed fees of
    /// each attack are split among the HTLCs whose claims it removed from the mempool, by what those claims offered.
    pub spent_on_it_sat: u64,
}

/// The result of a contest.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Blocks from the first to the last.
    pub blocks: u32,
    /// How often the adversary did what.
    pub acts: BTreeMap<ActKind, u32>,
    /// What the adversary paid (sat).
    pub spend_sat: u64,
    /// The fees of our confirmed transactions without the commitment (sat).
    pub fees_sat: u64,
    /// The outcome of each HTLC.
    pub fates: Vec<Fate>,
    /// Whether the court is done with the channel.
    pub is_resolved: bool,
}

impl Fate {
    /// The height at which the money was safe: claimed downstream or settled upstream.
    pub fn safe(&self) -> Option<u32> {
        [self.claimed, self.settled].into_iter().flatten().min()
    }

    /// Whether the upstream HTLC had expired before the money was safe.
    pub fn is_lost(&self) -> bool {
        self.safe().is_none_or(|at| at >= self.upstream_expiry)
    }

    /// Whether the money was not safe at the deadline, which is a margin before the upstream expiry.
    pub fn is_late(&self) -> bool {
        let deadline = self.upstream_expiry - Policy::default().upstream_margin.get();
        self.safe().is_none_or(|at| at > deadline)
    }
}

/// The adversary's transactions before one block, and what they did to our claims.
struct Attack {
    tip: u32,
    txids: Vec<Txid>,
    /// The HTLCs whose claims were removed, each with its part of the fee that its claim offered (sat).
    victims: Vec<(HtlcRef, u64)>,
}

/// A contest in progress.
struct RunningContest {
    contest: Contest,
    fixture: ChannelFixture,
    chain: Chain,
    adversary: Adversary,
    signer: KeySigner,
    wallet: SmallWallet,
    node: Notebook,
    driver: Driver<Memory>,
    /// The tip at which each upstream HTLC was first seen settled.
    settled: BTreeMap<HtlcRef, u32>,
    /// The adversary's transactions.
    own: BTreeSet<Txid>,
    /// What the adversary did, block by block.
    history: Vec<Attack>,
}

/// Plays a contest to its end.
///
/// # Errors
/// The text of the error of a fixture or of the journal.
pub fn play(contest: Contest) -> Result<Ended, String> {
    let mut running = RunningContest::new(contest)?;
    running.open()?;
    let (owner, id) = (contest.owner, running.fixture.id());
    match owner {
        Side::Local => running.driver.tell(Event::CloseRequested { channel: id, why: CloseReason::Operator }),
        Side::Remote => running.adversary.plan_mut().publishes = Some((START, Publish::Commitment(1))),
    }
    let end = EXPIRY + DELTAS.1 + 400;
    while running.chain.tip().0 < end && running.is_watched() {
        running.settle()?;
        // After the last upstream expiry there is nothing left to win.
        if running.chain.tip().0 < EXPIRY + DELTAS.1 {
            running.adversary_acts()?;
        }
        running.chain.mine();
    }
    running.settle()?;
    running.end()
}

fn preimage(id: u64) -> Preimage {
    let mut bytes = [0x5a; 32];
    bytes[..8].copy_from_slice(&id.to_le_bytes());
    Preimage(bytes)
}

/// The upstream expiries are spread evenly, so that few deadlines are equal.
fn upstream_expiry(id: u64, count: u64) -> u32 {
    let span = u64::from(DELTAS.1 - DELTAS.0);
    let part = span * id / count.saturating_sub(1).max(1);
    EXPIRY + DELTAS.0 + u32::try_from(part).unwrap_or(0)
}

fn text(why: impl core::fmt::Display) -> String {
    why.to_string()
}

impl RunningContest {
    fn new(contest: Contest) -> Result<Self, String> {
        let mut chain = Chain::new(ChainConfig { start_height: START, ..ChainConfig::default() });
        let setup = ChannelSetup::from_seed(&[0x61; 32], 1, ChannelType::AnchorsZeroFeeHtlcTx, 16_000_000);
        let fixture = ChannelFixture::new(setup);
        fixture.plant(&mut chain).map_err(text)?;
        let preimages = (0..contest.htlcs).map(|id| (preimage(id), 0)).collect();
        let peer = Peer::new(PeerPlan { preimages, sweeps: false, ..PeerPlan::default() }, &[0x62; 32]);
        let adversary = Adversary::new(peer, contest.tactic, 1);
        for _ in 0..ADVERSARY_COINS.0 {
            chain.mint(adversary.deposit_script(), ADVERSARY_COINS.1);
        }
        let keys = WalletKeys::from_seed(&[0x63; 32]);
        let wallet = SmallWallet::new(keys.clone());
        for _ in 0..contest.coins.0 {
            chain.mint(wallet.deposit_script(), contest.coins.1);
        }
        let mut signer = KeySigner::new(keys);
        let setup = fixture.setup();
        signer.add_channel(setup.id, setup.funding, setup.local.clone());
        let (network, policy) = (Network::Regtest, Policy::default());
        let identity = JournalIdentity { network, journal: [0x64; 32], tip: tip(&chain), policy };
        let best_height = Height::new(START);
        let started = Started { build: BUILD.into(), freshness: Freshness::Trusted, best_height, run: 0 };
        let driver = Driver::start(Memory::new(), &identity, started).map_err(text)?;
        let (node, settled) = (Notebook::default(), BTreeMap::new());
        let (own, history) = (BTreeSet::new(), Vec::new());
        Ok(Self { contest, fixture, chain, adversary, signer, wallet, node, driver, settled, own, history })
    }

    /// Opens the channel and commits both sides to all HTLCs.
    fn open(&mut self) -> Result<(), String> {
        let Contest { htlcs: count, amount_sat, .. } = self.contest;
        let htlc = |id| Htlc {
            key: HtlcRef::offered(id),
            amount_msat: amount_sat * 1000,
            payment_hash: preimage(id).hash(),
            cltv_expiry: Height::new(EXPIRY),
            link: Link::Relay { deadline: Height::new(upstream_expiry(id, count)) },
            tag: Vec::new(),
        };
        let state = |htlcs: Vec<Htlc>| {
            let sent_msat = htlcs.iter().map(|htlc| htlc.amount_msat).sum::<u64>();
            let local_msat = 10_000_000_000 - sent_msat;
            CommitmentState { local_msat, remote_msat: 6_000_000_000, feerate_sat_per_kw: 1_000, htlcs }
        };
        let full = state((0..count).map(htlc).collect());
        let fixture = &mut self.fixture;
        let opened = fixture.opened(fixture.standing(0, 0).map_err(text)?);
        let events = [
            opened,
            all_told(),
            fixture.local_signed(0, state(Vec::new())).map_err(text)?,
            fixture.remote_signed(0, state(Vec::new())).map_err(text)?,
            fixture.remote_signed(1, full.clone()).map_err(text)?,
            fixture.remote_revoked(0).map_err(text)?,
            fixture.local_signed(1, full).map_err(text)?,
        ];
        self.driver.tell_all(events);
        self.settle()
    }

    fn is_watched(&self) -> bool {
        let court: &ChainArbitrator = self.driver.court();
        court.index_of(&self.fixture.id()).is_some()
    }

    /// Lets the court hear the chain and carries its actions out, until none leads to a new event.
    fn settle(&mut self) -> Result<(), String> {
        let floor = self.chain.config().relay_floor_sat_per_kvb.div_ceil(4);
        let floor = u32::try_from(floor).unwrap_or(u32::MAX);
        self.driver.tell(flat_fees(self.contest.feerate_sat_per_kw, floor));
        let Ok(blocks) = source::next_blocks(&self.chain, self.driver.court().tip(), usize::MAX);
        self.driver.tell_all(blocks);
        self.wallet.refresh(&self.chain);
        let heard = tip(&self.chain);
        let mut host = Host::new(&mut self.chain, &mut self.signer, &mut self.wallet, &mut self.node, heard);
        self.driver.commit(&mut host).map_err(text)?;
        self.driver.settle(&mut host).map_err(text)?;
        let settled = self.node.origins.iter().filter(|(_, (done, _))| *done == Acknowledged::Settled);
        for (HtlcKey { htlc, .. }, _) in settled {
            self.settled.entry(*htlc).or_insert(heard.height.get());
        }
        Ok(())
    }

    /// The HTLCs that our transactions in the mempool claim, each with its part of the fee.
    fn claimed(&self) -> Result<BTreeMap<HtlcRef, u64>, String> {
        let commitment = self.fixture.commitment(self.contest.owner, 1).map_err(text)?;
        let mut by_tx: BTreeMap<Txid, Vec<HtlcRef>> = BTreeMap::new();
        for (position, htlc) in commitment.htlcs.iter().enumerate() {
            let (outpoint, _, _) = commitment.htlc_output(position).map_err(text)?;
            let txid = self.chain.mempool_spender(&outpoint).map(Transaction::compute_txid);
            if let Some(txid) = txid.filter(|txid| !self.own.contains(txid)) {
                by_tx.entry(txid).or_default().push(htlc.key);
            }
        }
        let shares = by_tx.into_iter().flat_map(|(txid, htlcs)| {
            let count = u64::try_from(htlcs.len()).unwrap_or(1);
            let share = self.chain.fee_of(&txid).unwrap_or(0).checked_div(count).unwrap_or(0);
            htlcs.into_iter().map(move |htlc| (htlc, share))
        });
        Ok(shares.collect())
    }

    /// Lets the adversary act, and records what it removed from the mempool.
    fn adversary_acts(&mut self) -> Result<(), String> {
        let before = self.claimed()?;
        let acts = self.adversary.act(&self.fixture, &mut self.chain).map_err(text)?;
        let txs: Vec<Transaction> = acts.into_iter().filter_map(|act| act.tx).collect();
        let txids: Vec<Txid> = txs.iter().map(Transaction::compute_txid).collect();
        self.own.extend(&txids);
        let after = self.claimed()?;
        let victims = before.into_iter().filter(|(htlc, _)| !after.contains_key(htlc)).collect();
        self.history.push(Attack { tip: self.chain.tip().0, txids, victims });
        if self.contest.sees_mempool && !txs.is_empty() {
            self.driver.tell_all(txs.into_iter().map(|tx| Event::MempoolSeen { tx }));
            self.settle()?;
        }
        Ok(())
    }

    /// What the adversary paid to keep each HTLC from us, as long as that could still cost us the HTLC.
    fn spent_on(&self) -> BTreeMap<HtlcRef, u64> {
        let mut spent_on: BTreeMap<HtlcRef, u64> = BTreeMap::new();
        for Attack { tip, txids, victims } in &self.history {
            let stands = txids.iter().filter(|txid| self.chain.confirmed(txid).is_some());
            let fee_sat: u64 = stands.filter_map(|txid| self.chain.fee_of(txid)).sum();
            let offered_sat: u64 = victims.iter().map(|(_, offered)| offered).sum();
            // A claim that misses the last block before the upstream expiry is lost, so later acts do not count.
            let is_of_use = |(htlc, _): &&(HtlcRef, u64)| tip + 1 < upstream_expiry(htlc.id, self.contest.htlcs);
            for (htlc, offered) in victims.iter().filter(is_of_use) {
                let share = (fee_sat * offered).checked_div(offered_sat).unwrap_or(0);
                *spent_on.entry(*htlc).or_default() += share;
            }
        }
        spent_on
    }

    fn end(mut self) -> Result<Ended, String> {
        self.adversary.settle(&self.chain);
        let spent_on = self.spent_on();
        let commitment = self.fixture.commitment(self.contest.owner, 1).map_err(text)?;
        let mut fates = Vec::new();
        let mut ours: BTreeMap<Txid, u64> = BTreeMap::new();
        for (position, htlc) in commitment.htlcs.iter().enumerate() {
            let (outpoint, _, _) = commitment.htlc_output(position).map_err(text)?;
            let spend = self.chain.spender_of(&outpoint);
            let is_ours = spend.filter(|(_, txid, _)| !self.own.contains(txid));
            ours.extend(is_ours.map(|(_, txid, _)| (txid, self.chain.fee_of(&txid).unwrap_or(0))));
            fates.push(Fate {
                upstream_expiry: upstream_expiry(htlc.key.id, self.contest.htlcs),
                claimed: is_ours.map(|(height, _, _)| height),
                settled: self.settled.get(&htlc.key).copied(),
                spent_on_it_sat: spent_on.get(&htlc.key).copied().unwrap_or(0),
            });
        }
        Ok(Ended {
            blocks: self.chain.tip().0 - START,
            acts: self.adversary.counts().clone(),
            spend_sat: self.adversary.spend_sat(),
            fees_sat: ours.values().sum(),
            fates,
            is_resolved: !self.is_watched(),
        })
    }
}

/// The contests that are shown, each with the name of its wallet: both commitments, both tactics, with and without a view of
/// the mempool, at every price. The wallet has many coins, one that is worth all claims, or two that are not.
pub fn all() -> Vec<(&'static str, Contest)> {
    PRICES_SAT_PER_KW.into_iter().flat_map(at_price).collect()
}

fn at_price(feerate_sat_per_kw: u32) -> Vec<(&'static str, Contest)> {
    let base = Contest {
        owner: Side::Local,
        tactic: Tactic::Stall,
        sees_mempool: true,
        feerate_sat_per_kw,
        coins: (80, 400_000),
        htlcs: 40,
        amount_sat: 100_000,
    };
    let mut all = Vec::new();
    for owner in [Side::Local, Side::Remote] {
        for tactic in [Tactic::Stall, Tactic::Cycle] {
            for sees_mempool in [true, false] {
                all.push(("ample", Contest { owner, tactic, sees_mempool, ..base }));
            }
        }
    }
    for tactic in [Tactic::Stall, Tactic::Cycle] {
        all.push(("one", Contest { tactic, coins: (1, 2_000_000), ..base }));
    }
    for tactic in [Tactic::Stall, Tactic::Cycle] {
        all.push(("poor", Contest { tactic, sees_mempool: false, coins: (2, 60_000), ..base }));
    }
    all
}
