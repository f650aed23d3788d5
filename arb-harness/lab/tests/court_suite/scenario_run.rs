//! Runs a scenario's commands on the embedded chain, and writes down what happened.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use arb_core::bolt3::ChannelType;
use arb_core::{
    Action, ChainArbitrator, CloseReason, Event, Frame, Freshness, Height, Htlc, HtlcRef, Link, Rejected, Side, Started,
};
use arb_harness::driver::{Driver, Outside};
use arb_harness::host::Host;
use arb_harness::signer::KeySigner;
use arb_harness::source;
use arb_lab::chain::flat_fees;
use arb_lab::chain::{Chain, ChainConfig};
use arb_lab::fixture::{ChannelFixture, Close};
use arb_lab::notebook::Notebook;
use arb_lab::peer::{Peer, PeerPlan, Publish};
use arb_lab::process::all_told;
use arb_lab::wallet::SmallWallet;
use arb_log::memory::Memory;

use crate::names::Names;
use crate::test_court::{START, channel, identity, key, offered, preimage, received, state};

/// One channel, its counterparty, and the court with driver, wallet and node.
pub struct ScenarioRun {
    chain: Chain,
    driver: Driver<Memory>,
    fixture: ChannelFixture,
    peer: Peer,
    wallet: SmallWallet,
    node: Notebook,
    htlcs: Vec<Htlc>,
    names: Names,
    /// Sequence of the last frame that was written down.
    written: u64,
    /// Lines of actions that were written down; a repetition is not.
    seen: BTreeSet<String>,
    lines: Vec<String>,
}

/// Writes down what was heard and concluded and which actions are due, and hands the actions to the host.
struct Recorder<'a, 'b> {
    host: Host<'a, Chain>,
    names: &'b mut Names,
    seen: &'b mut BTreeSet<String>,
    lines: &'b mut Vec<String>,
}

impl Outside for Recorder<'_, '_> {
    fn perform(&mut self, action: Action, answers: &mut Vec<Event>) {
        if let Some(line) = self.names.action(&action) {
            // An action is a repetition if both its line and its transactions were written before.
            let about = match &action {
                Action::Broadcast { txs, .. } => {
                    txs.iter().map(|tx| tx.compute_txid().to_string()).collect::<Vec<_>>().join(" ")
                }
                _ => String::new(),
            };
            if self.seen.insert(format!("{line} {about}")) {
                self.lines.push(format!("  ▸ {line}"));
            }
        }
        self.host.perform(action, answers);
    }

    fn refused(&mut self, _: &Event, why: &Rejected) {
        self.lines.push(format!("  refused: {why}"));
    }

    fn damaged(&mut self, channel: arb_core::ChannelId, why: &str) {
        self.host.damaged(channel, why);
    }
}

impl Recorder<'_, '_> {
    /// Writes down each entry of a frame: the event, and what was concluded from it.
    fn frame(&mut self, frame: &Frame) {
        for entry in &frame.entries {
            let records = entry.concluded.iter().filter_map(|record| self.names.record(&record.what));
            let records: Vec<String> = records.map(|line| format!("    {line}")).collect();
            let heard = self.names.event(&entry.heard, !records.is_empty());
            self.lines.extend(heard);
            self.lines.extend(records);
        }
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split([' ', ',']).filter(|word| !word.is_empty()).collect()
}

fn number<T: std::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| panic!("{word:?} is no number"))
}

fn htlc_ref(direction: &str, id: &str) -> HtlcRef {
    match direction {
        "offered" => HtlcRef::offered(number(id)),
        "received" => HtlcRef::received(number(id)),
        other => panic!("{other:?} is no direction"),
    }
}

impl ScenarioRun {
    pub fn new() -> Self {
        let mut chain = Chain::new(ChainConfig { start_height: START, ..ChainConfig::default() });
        let (wallet, peer) = (SmallWallet::from_seed(&[0x31; 32]), Peer::new(PeerPlan::default(), &[0x32; 32]));
        for _ in 0..4 {
            chain.mint(wallet.deposit_script(), 50_000);
            chain.mint(peer.wallet().deposit_script(), 50_000);
        }
        let mut identity = identity();
        identity.tip.hash = chain.tip().1;
        let started = Started {
            build: "scenario".into(),
            freshness: Freshness::Trusted,
            best_height: Height::new(START),
            run: 0,
        };
        let driver = Driver::start(Memory::new(), &identity, started).unwrap();
        Self {
            chain,
            driver,
            fixture: channel(1, ChannelType::AnchorsZeroFeeHtlcTx),
            peer,
            wallet,
            node: Notebook::default(),
            htlcs: Vec::new(),
            names: Names::default(),
            written: 0,
            seen: BTreeSet::new(),
            lines: Vec::new(),
        }
    }

    /// The lines since the last call.
    pub fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    /// The court and all frames, at the end of the scenario.
    pub fn end(mut self) -> (ChainArbitrator, Vec<Frame>) {
        let mut frames = Vec::new();
        let journal = self.driver.journal().unwrap();
        let every = |frame: Frame| {
            frames.push(frame);
            ControlFlow::<()>::Continue(())
        };
        assert_eq!(journal.frames(1..u64::MAX, every).unwrap(), None);
        (self.driver.court().clone(), frames)
    }

    /// Runs one command of the scenario's text.
    pub fn command(&mut self, line: &str) {
        let fixture = &mut self.fixture;
        match words(line)[..] {
            [direction, id, sat, "sat", "secret", secret, "expires", expiry] => {
                let (sat, secret, expiry) = (number(sat), number(secret), number(expiry));
                let htlc = htlc_ref(direction, id);
                self.htlcs.push(match htlc.is_offered() {
                    true => offered(htlc.id, sat, secret, expiry, Link::Own),
                    false => received(htlc.id, sat, secret, expiry),
                });
            }
            ["open", kind] => {
                let kind = match kind {
                    "anchors" => ChannelType::AnchorsZeroFeeHtlcTx,
                    _ => ChannelType::StaticRemotekey,
                };
                *fixture = channel(1, kind);
                fixture.plant(&mut self.chain).unwrap();
                let events = [
                    flat_fees(500, 250),
                    fixture.opened(fixture.standing(0, 0).unwrap()),
                    all_told(),
                    fixture.remote_signed(0, state(&self.htlcs)).unwrap(),
                    fixture.local_signed(0, state(&self.htlcs)).unwrap(),
                ];
                self.tell(&events);
            }
            ["update"] | ["we" | "both", ..] | ["they", "sign", ..] => self.node_command(line),
            ["mine", "to", height] => self.mine_to(number(height)),
            ["mine", "theirs"] => {
                // Our commitment was broadcast again since then: the block must hold theirs.
                self.chain.clear_mempool();
                self.mine_to(self.chain.tip().0 + 1);
            }
            ["mine"] => self.mine_to(self.chain.tip().0 + 1),
            ["reorg", "to", height] => {
                self.chain.reorg_drop(self.chain.tip().0 - number::<u32>(height));
                self.chain.clear_mempool();
                self.turn();
            }
            ["they", ..] => self.peer_command(line),
            _ => panic!("no such command: {line:?}"),
        }
    }

    /// What the node tells the court.
    fn node_command(&mut self, line: &str) {
        let fixture = &mut self.fixture;
        match words(line)[..] {
            ["update"] => {
                let events = [
                    fixture.remote_signed(1, state(&self.htlcs)).unwrap(),
                    fixture.remote_revoked(0).unwrap(),
                    fixture.local_signed(1, state(&self.htlcs)).unwrap(),
                ];
                self.tell(&events);
            }
            ["we", "sign", "their", "next"] => {
                let event = fixture.remote_signed(1, state(&self.htlcs)).unwrap();
                self.tell(&[event]);
            }
            ["they", "sign", "our", "next"] => {
                let event = fixture.local_signed(1, state(&self.htlcs)).unwrap();
                self.tell(&[event]);
            }
            ["we", "lost", "their", number] => {
                let htlcs = state(&self.htlcs);
                fixture.sign_unheard(Side::Remote, crate::scenario_run::number(number), htlcs);
            }
            ["we", "learn", direction, id, "secret", secret] => {
                let usable_for = vec![key(fixture, htlc_ref(direction, id))];
                self.tell(&[Event::PreimageLearned { preimage: preimage(number(secret)), usable_for }]);
            }
            ["we", "close"] => {
                let channel = fixture.id();
                self.tell(&[Event::CloseRequested { channel, why: CloseReason::Operator }]);
            }
            ["both", "close"] => {
                let close = Close {
                    local_sat: 4_999_000,
                    local_script: self.wallet.deposit_script(),
                    remote_sat: 5_000_000,
                    remote_script: self.peer.wallet().deposit_script(),
                };
                let close = fixture.mutual_close(close).unwrap();
                self.peer.plan_mut().publishes = Some((0, Publish::Transaction(close.tx)));
                self.tell(&[close.event]);
            }
            _ => panic!("no such command: {line:?}"),
        }
    }

    /// Changes what the counterparty will do.
    fn peer_command(&mut self, line: &str) {
        match words(line)[..] {
            ["they", "publish", "theirs", id] => {
                self.peer.plan_mut().publishes = Some((0, Publish::Commitment(number(id))));
            }
            ["they", "publish", "nothing"] => self.peer.plan_mut().publishes = None,
            ["they", "know", "secret", secret] => {
                self.peer.plan_mut().preimages.insert(preimage(number(secret)), 0);
            }
            ["they", "sleep"] => {
                let plan = self.peer.plan_mut();
                (plan.claims, plan.sweeps) = (false, false);
            }
            ["they", "wake"] => {
                let plan = self.peer.plan_mut();
                (plan.claims, plan.sweeps) = (true, true);
            }
            _ => panic!("no such command: {line:?}"),
        }
    }

    fn mine_to(&mut self, height: u32) {
        while self.chain.tip().0 < height {
            for tx in self.peer.act(&self.fixture, &self.chain).unwrap() {
                // A transaction that lost a race is submitted again before the next block.
                let _not_now = self.chain.submit(tx).err();
            }
            self.chain.mine();
            self.turn();
        }
    }

    fn tell(&mut self, events: &[Event]) {
        self.driver.tell_all(events.iter().cloned());
        self.turn();
    }

    /// Runs the loop of driver and host until nothing new is heard.
    fn turn(&mut self) {
        let setup = self.fixture.setup();
        let mut signer = KeySigner::new(self.wallet.keys().clone());
        signer.add_channel(setup.id, setup.funding, setup.local.clone());
        self.names.learn(&self.fixture);
        loop {
            self.wallet.rescan(&self.chain);
            let Ok(blocks) = source::next_blocks(&self.chain, self.driver.court().tip(), 1);
            let idle = blocks.is_empty();
            self.driver.tell_all(blocks);
            let heard = self.driver.court().tip();
            let host = Host::new(&mut self.chain, &mut signer, &mut self.wallet, &mut self.node, heard);
            let mut outside = Recorder { host, names: &mut self.names, seen: &mut self.seen, lines: &mut self.lines };
            let appended = self.driver.commit(&mut outside).unwrap();
            outside.host.heard = self.driver.court().tip();
            let journal = self.driver.journal().unwrap();
            let next = |frame: Frame| {
                outside.frame(&frame);
                ControlFlow::<()>::Continue(())
            };
            assert_eq!(journal.frames(self.written + 1..u64::MAX, next).unwrap(), None);
            self.written = self.driver.court().sequence();
            self.driver.perform(&mut outside);
            if idle && !appended {
                return;
            }
        }
    }
}
