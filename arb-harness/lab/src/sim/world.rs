//! The world of one run: a chain, one or two channels with their counterparties, a node, a wallet, a signer, and a process
//! that runs the court and may die.
//!
//! Whatever happens outside happens between two rests of the process: [`World::settle`] lets it run, through crashes and failed
//! writes, until the court knows the chain's tip and nothing new comes of anything that is due. So the outside schedule
//! does not depend on the faults.

use std::collections::{BTreeMap, BTreeSet};

use arb_core::bolt3::Preimage;
use arb_core::{ChainArbitrator, Event, Freshness, Height, HtlcKey, JournalIdentity, Rejected, Started, Tip};
use arb_harness::driver::Driver;
use arb_harness::host::Host;
use arb_harness::signer::KeySigner;
use arb_harness::source;
use arb_log::memory::{Fault as WriteFault, Memory};
use bitcoin::{Network, OutPoint};

use super::Violation;
use super::counts::Counts;
use super::faults::{Fault, Faults};
use super::invariants;
use super::journal;
use super::lane::Lane;
use super::outside::{Street, Watchman};
use super::plan::Plan;
use super::rng::Rng;
use super::seeds::{OUR_KEYS, PEERS, bytes_of, setup, short};
use super::weather::{FOES_COINS, Weather};
use crate::adversary::Adversary;
use crate::chain::{Chain, ChainConfig};
use crate::fixture::ChannelFixture;
use crate::notebook::Notebook;
use crate::peer::PeerPlan;
use crate::process::{BUILD, tip};
use crate::wallet::SmallWallet;

/// The height at which every run begins.
pub(super) const START: u32 = 1000;
/// Turns of the process after which it should have come to rest.
const TURNS: usize = 400;
/// Frames after which a checkpoint is written.
const FRAMES_A_CHECKPOINT: u64 = 24;
/// The most blocks that the process hears in one step: an estimate must not grow stale on the way.
pub(super) const BLOCKS_A_STEP: usize = 6;

/// A received HTLC and what the node is going to do about it.
#[derive(Clone, Debug)]
pub(super) struct Payment {
    pub(super) lane: usize,
    pub(super) received: HtlcKey,
    pub(super) preimage: Preimage,
    pub(super) destiny: Destiny,
    /// The HTLC that it was forwarded with.
    pub(super) forwarded: Option<(usize, HtlcKey)>,
    /// The node has told the court what it had to tell.
    pub(super) told: bool,
}

/// What a received HTLC is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destiny {
    /// Another channel.
    Forward,
    /// Us: the node has the preimage from this height on.
    Known(u32),
    /// Us: the node gives it up at this height.
    GivenUp(u32),
    /// Us, and the node never says anything.
    Never,
}

/// Everything.
pub(super) struct World {
    pub(super) rng: Rng,
    pub(super) plan: Plan,
    pub(super) weather: Weather,
    /// Whose counterparty fights, while it does.
    pub(super) foe: Option<(usize, Adversary)>,
    pub(super) faults: Faults,
    pub(super) chain: Chain,
    pub(super) lanes: Vec<Lane>,
    pub(super) node: Notebook,
    pub(super) payments: Vec<Payment>,
    /// Which preimages there are, in the order in which they were made.
    pub(super) preimages: Vec<Preimage>,
    /// The tip at which the court first could use a received HTLC's preimage.
    pub(super) usable_since: BTreeMap<HtlcKey, u32>,
    /// HTLCs that a counterparty fulfilled off chain: their origins need nothing more.
    pub(super) fulfilled: BTreeSet<HtlcKey>,
    pub(super) watchman: Watchman,
    /// The blocks that took whatever of ours waited and paid for it.
    pub(super) fair: BTreeSet<u32>,
    pub(super) counts: Counts,
    pub(super) trace: Option<Vec<String>>,
    pub(super) steps: u64,
    pub(super) memory: Memory,
    pub(super) identity: JournalIdentity,
    wallet: SmallWallet,
    signer: KeySigner,
    driver: Option<Driver<Memory>>,
    /// The court of the process that died: recovery must give the same.
    dead: Option<ChainArbitrator>,
    /// Events that the node has not seen answered.
    inbox: Vec<Event>,
    /// The process has been told what waits, and holds it.
    told: bool,
    refusals: Vec<(Event, Rejected)>,
    /// A write was durable and reported failed since the last rest.
    heard_again: bool,
    /// The frame after which the court was looked at last, and its next alarm then.
    looked: u64,
    /// The frame of the last checkpoint.
    checkpointed: u64,
    pub(super) alarm: Option<u32>,
    seed: u64,
}

impl World {
    /// The world of a seed before anything has happened.
    pub(super) fn new(seed: u64, faults: Faults, traced: bool) -> Result<Self, Violation> {
        let mut rng = Rng::new(seed, 1);
        let plan = Plan::draw(&mut rng);
        let weather = Weather::draw(seed, plan.lanes.len());
        Self::of(seed, rng, plan, weather, faults, traced)
    }

    /// The world of a seed without a market, without an opponent and without a past.
    #[cfg(test)]
    pub(super) fn fair(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 1);
        let mut plan = Plan::draw(&mut rng);
        plan.lanes.iter_mut().for_each(|lane| lane.adopted = (0, 0));
        Self::of(seed, rng, plan, Weather::fair(), Faults::none(), false).ok().unwrap()
    }

    fn of(
        seed: u64,
        rng: Rng,
        mut plan: Plan,
        weather: Weather,
        faults: Faults,
        traced: bool,
    ) -> Result<Self, Violation> {
        weather.suit(&mut plan);
        let config = ChainConfig { network: Network::Regtest, start_height: START, ..ChainConfig::default() };
        let mut chain = Chain::new(config);
        let wallet = SmallWallet::new(OUR_KEYS.clone());
        let mut signer = KeySigner::new(OUR_KEYS.clone());
        let mut lanes = Vec::new();
        for (number, (lane, peer)) in (0_u64..).zip(plan.lanes.iter().zip(PEERS.iter())) {
            let fixture = ChannelFixture::new(setup(seed, number, lane));
            let setup = fixture.setup();
            signer.add_channel(setup.id, setup.funding, setup.local.clone());
            fixture.plant(&mut chain).map_err(Violation::world)?;
            let mut peer = peer.clone();
            *peer.plan_mut() = PeerPlan {
                claims: !lane.dead,
                sweeps: !lane.dead,
                patience_blocks: lane.patience_blocks,
                order: lane.cheat.order,
                together: lane.cheat.together,
                ..PeerPlan::default()
            };
            for _ in 0..12 {
                chain.mint(peer.wallet().deposit_script(), 40_000);
            }
            lanes.push(Lane::new(lane.clone(), fixture, peer));
        }
        let foe = weather.foe.map(|(lane, tactic)| {
            let foe = Adversary::new(lanes[lane].peer.clone(), tactic, seed);
            for _ in 0..FOES_COINS.0 {
                chain.mint(foe.deposit_script(), FOES_COINS.1);
            }
            (lane, foe)
        });
        for _ in 0..24 {
            chain.mint(wallet.deposit_script(), 60_000);
        }
        let (network, policy) = (Network::Regtest, plan.policy.clone());
        let identity = JournalIdentity { network, journal: bytes_of(seed, "journal", 0), tip: tip(&chain), policy };
        Ok(Self {
            rng,
            plan,
            weather,
            foe,
            faults,
            chain,
            lanes,
            node: Notebook::default(),
            payments: Vec::new(),
            preimages: Vec::new(),
            usable_since: BTreeMap::new(),
            fulfilled: BTreeSet::new(),
            watchman: Watchman::default(),
            fair: BTreeSet::new(),
            counts: Counts::new(),
            trace: traced.then(Vec::new),
            steps: 0,
            memory: Memory::new(),
            identity,
            wallet,
            signer,
            driver: None,
            dead: None,
            inbox: Vec::new(),
            told: false,
            refusals: Vec::new(),
            heard_again: false,
            looked: 0,
            checkpointed: 0,
            alarm: None,
            seed,
        })
    }

    /// A new preimage of this run.
    pub(super) fn new_preimage(&mut self) -> Preimage {
        let number = u64::try_from(self.preimages.len()).unwrap_or(u64::MAX);
        let preimage = Preimage(bytes_of(self.seed, "preimage", number));
        self.preimages.push(preimage);
        preimage
    }

    /// Opens the channels.
    pub(super) fn open(&mut self) -> Result<(), Violation> {
        for lane in 0..self.lanes.len() {
            let mut first = self.adopt(lane)?;
            self.inbox.append(&mut first);
        }
        self.fees();
        self.settle()
    }

    /// The court, as it is now or was last.
    pub(super) fn court(&self) -> Option<&ChainArbitrator> {
        self.driver.as_ref().map(Driver::court).or(self.dead.as_ref())
    }

    /// Queues an event of the node.
    pub(super) fn tell(&mut self, event: Event) {
        self.note(|| format!("told {}", short(&event)));
        self.inbox.push(event);
    }

    /// Queues the estimate.
    pub(super) fn fees(&mut self) {
        let estimate = self.weather.estimate(&self.chain, self.plan.feerate_sat_per_kw);
        self.inbox.push(estimate);
    }

    /// Tells one event and says whether it was heard.
    pub(super) fn ask(&mut self, event: Event) -> Result<bool, Violation> {
        self.tell(event.clone());
        self.settle()?;
        Ok(!self.refusals.iter().any(|(refused, _)| *refused == event))
    }

    /// Writes a line of the trace.
    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        let height = self.chain.tip().0;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{height}: {}", line()));
        }
    }

    /// Lets the process run until nothing waits and nothing new comes of anything.
    pub(super) fn settle(&mut self) -> Result<(), Violation> {
        self.steps += 1;
        self.refusals.clear();
        self.wallet.refresh(&self.chain);
        for _ in 0..TURNS {
            if self.turn()? {
                self.watchman.verdict()?;
                return self.look();
            }
        }
        Err(Violation::new("I1", "the process does not come to rest"))
    }

    /// One turn of the process; whether it rests.
    fn turn(&mut self) -> Result<bool, Violation> {
        let mut driver = self.alive()?;
        let mut idle = false;
        if !self.told {
            let Ok(blocks) = source::next_blocks(&self.chain, driver.court().tip(), BLOCKS_A_STEP);
            idle = blocks.is_empty();
            driver.tell_all(blocks);
            driver.tell_all(self.inbox.iter().cloned());
            self.told = true;
        }
        let fault = self.faults.draw();
        if fault == Some(Fault::CrashBefore) {
            return self.die(driver, "fault/crash_before_append");
        }
        if let Some(fault) = write_fault(fault) {
            self.memory.fail_write(0, fault);
        }
        let writes = self.memory.writes();
        let appended = {
            let mut street = self.street(driver.court().tip());
            driver.commit(&mut street)
        };
        let appended = appended.map_err(|why| Violation::new("I2", format!("the journal: {why}")))?;
        self.memory.heal();
        let failed = driver.has_waiting();
        if failed && self.memory.writes() > writes {
            let name = if fault == Some(Fault::Lost) { "fault/lost_write" } else { "fault/unreported_write" };
            self.heard_again |= fault == Some(Fault::Unreported);
            self.counts.one(name);
            self.note(|| name.into());
        }
        if fault == Some(Fault::CrashAfter) {
            return self.die(driver, "fault/crash_after_append");
        }
        if !failed {
            self.told = false;
            if fault != Some(Fault::CrashPerformed) {
                self.inbox.clear();
            }
        }
        {
            let mut street = self.street(driver.court().tip());
            driver.perform(&mut street);
        }
        if fault == Some(Fault::CrashPerformed) {
            return self.die(driver, "fault/crash_after_actions");
        }
        // What was performed after a failed write waits with what waited before.
        let rests = idle && !appended && !driver.has_waiting();
        if driver.has_waiting() && !failed {
            self.told = false;
        }
        self.checkpoint(&mut driver)?;
        self.driver = Some(driver);
        Ok(rests)
    }

    /// Writes a checkpoint now and then: recovery begins at the last one.
    fn checkpoint(&mut self, driver: &mut Driver<Memory>) -> Result<(), Violation> {
        if driver.court().sequence() < self.checkpointed + FRAMES_A_CHECKPOINT {
            return Ok(());
        }
        self.checkpointed = driver.court().sequence();
        let court = driver.court().clone();
        let Some(journal) = driver.journal() else { return Ok(()) };
        journal.checkpoint(&court, 1).map_err(|why| Violation::new("I2", format!("a checkpoint: {why}")))?;
        Ok(())
    }

    /// The process, started anew if it died.
    fn alive(&mut self) -> Result<Driver<Memory>, Violation> {
        if let Some(driver) = self.driver.take() {
            return Ok(driver);
        }
        let best_height = Height::new(self.chain.tip().0);
        let started = Started { build: BUILD.into(), freshness: Freshness::Trusted, best_height };
        let driver = Driver::start(self.memory.clone(), &self.identity, started)
            .map_err(|why| Violation::new("I2", format!("recovery: {why}")))?;
        if let Some(dead) = self.dead.take() {
            invariants::invariant_i2_recovery_equals_live(&dead, driver.court())?;
        }
        self.wallet = SmallWallet::new(OUR_KEYS.clone());
        self.wallet.refresh(&self.chain);
        Ok(driver)
    }

    fn die(&mut self, driver: Driver<Memory>, name: &'static str) -> Result<bool, Violation> {
        self.counts.one(name);
        self.counts.one("fault/crash");
        self.note(|| name.into());
        self.dead = Some(driver.court().clone());
        self.told = false;
        Ok(false)
    }

    fn street(&mut self, heard: Tip) -> Street<'_> {
        let host = Host::new(&mut self.chain, &mut self.signer, &mut self.wallet, &mut self.node, heard);
        Street {
            host,
            lanes: &self.lanes,
            policy: &self.plan.policy,
            watchman: &mut self.watchman,
            refusals: &mut self.refusals,
            trace: self.trace.as_mut(),
        }
    }

    /// Looks at what the court has come to, if anything has changed.
    fn look(&mut self) -> Result<(), Violation> {
        let heard_again = core::mem::take(&mut self.heard_again);
        for (_, why) in &self.refusals {
            invariants::refusals_are_expected(why, heard_again)?;
        }
        let Some(court) = self.driver.as_ref().map(Driver::court) else { return Ok(()) };
        if court.sequence() == self.looked {
            return Ok(());
        }
        self.looked = court.sequence();
        self.alarm = None;
        let height = court.tip().height.get();
        let due = court.actions_due();
        for lane in &mut self.lanes {
            let Some(index) = court.index_of(&lane.fixture.id()) else { continue };
            let (Some(channel), Some(docket)) = (court.channel(index), court.docket(index)) else { continue };
            let alarm = docket.alarm.map(Height::get);
            self.alarm = self.alarm.min(alarm).or(alarm).or(self.alarm);
            let received = channel.htlcs().map(|htlc| htlc.key).filter(|htlc| !htlc.is_offered());
            for htlc in received.filter(|htlc| channel.usable(*htlc).is_some() && lane.is_committed(*htlc)) {
                self.usable_since.entry(lane.key(htlc)).or_insert(height);
            }
            if channel.frozen().is_none() {
                continue;
            }
            lane.frozen = true;
            lane.owed.extend(lane.on_unrevoked().iter().map(|htlc| htlc.key).filter(|htlc| htlc.is_offered()));
            let below = |outpoint: &OutPoint| {
                let spender = self.chain.spender_of(outpoint);
                spender.map(|(_, txid, input)| OutPoint::new(txid, u32::try_from(input).unwrap_or(u32::MAX)))
            };
            let memory = &self.memory;
            invariants::invariant_i7_claims_are_live(&docket, &due, below, || {
                journal::excused(&journal::frames(memory))
            })?;
        }
        self.weigh()
    }

    /// Takes the oracle's sheet of a channel in the moment in which the court is done with it: what happens to an output
    /// afterwards is nobody's affair.
    fn weigh(&mut self) -> Result<(), Violation> {
        // A preimage may be the last thing that the court hears of a channel.
        let height = self.chain.tip().0;
        for payment in self.payments.iter().filter(|payment| self.node.preimages.contains_key(&payment.received)) {
            if self.lanes[payment.lane].is_committed(payment.received.htlc) {
                self.usable_since.entry(payment.received).or_insert(height);
            }
        }
        for lane in 0..self.lanes.len() {
            if self.lanes[lane].weighed.is_none() && !self.is_watched(lane) {
                self.lanes[lane].weighed = Some(self.oracle_says(lane)?);
            }
        }
        Ok(())
    }
}

fn write_fault(fault: Option<Fault>) -> Option<WriteFault> {
    match fault? {
        Fault::Lost => Some(WriteFault::Lost),
        Fault::Unreported => Some(WriteFault::Unreported),
        Fault::CrashBefore | Fault::CrashAfter | Fault::CrashPerformed => None,
    }
}
