//! A court under test: it hears events one by one, in blocks that may hold any transaction, and every action is answered at
//! once.
//!
//! Transactions in blocks are not checked, because the court must handle any of them. Validity is tested by the closes on
//! the embedded chain. Every test ends with the shared `check`, which runs when the [`TestCourt`] is dropped.

use std::collections::BTreeMap;
use std::convert::Infallible;

use arb_core::{
    Acknowledged, Action, Alert, Block, ChainArbitrator, ChannelId, ChannelIndex, CloseKind, CommitmentRow,
    ContractOutcome, ContractStatus, Disconnected, Docket, Event, FeeInput, FeeInputsOffered, Frame, Freshness, Heard,
    Htlc, HtlcRef, Link, Log, Pending, Rejected, RevokedCommitment, Scanned, SignRequest, Signed, Stage, Tip, Upstream,
};
use arb_harness::keys::WalletKeys;
use arb_harness::node::Node;
use arb_harness::signer::{KeySigner, Signer};
use arb_lab::check::check;
use arb_lab::fixture::ChannelFixture;
use arb_lab::notebook::Notebook;
use arb_lab::process::all_told;
use bitcoin::hashes::{Hash, sha256};
use bitcoin::{BlockHash, OutPoint, Transaction, Txid};

pub use crate::builders::*;

/// A log in memory: every frame, and the rows of past commitments by channel and number.
#[derive(Clone, Debug, Default)]
pub struct Frames(pub Vec<Frame>, pub BTreeMap<(ChannelIndex, u64), CommitmentRow>);

impl Frames {
    /// The candidates for a past commitment, as a journal unfolds them from its rows; empty if there is no row.
    pub fn revoked(&self, channel: ChannelIndex, number: u64) -> Vec<RevokedCommitment> {
        let Some(row) = self.1.get(&(channel, number)) else { return Vec::new() };
        let from = row.builds_on().unwrap_or(number);
        CommitmentRow::unfold(self.1.range((channel, from)..=(channel, number)).map(|(_, row)| row)).unwrap()
    }
}

impl Log for Frames {
    type Error = Infallible;

    fn append(&mut self, pending: &Pending<'_>) -> Result<(), Infallible> {
        self.0.push(pending.frame().clone());
        let rows = pending.commitments().iter().map(|stored| ((stored.channel, stored.number), stored.row.clone()));
        self.1.extend(rows);
        Ok(())
    }
}

/// A court, its log, and everything that answers its actions.
pub struct TestCourt {
    pub court: ChainArbitrator,
    pub frames: Frames,
    pub node: Notebook,
    /// Whether upstream outcomes are acknowledged.
    pub acknowledges: bool,
    /// Whether `LoadRevoked` gets no answer.
    pub withholds_rows: bool,
    /// The best height that the chain source announces, if it is above the blocks that it delivers.
    pub best: Option<u32>,
    /// Every transaction of a `Broadcast` action, with the height of the tip at that time.
    pub sent: Vec<(u32, Transaction)>,
    /// Every `Sign` request, with the height of the tip at that time.
    pub asked: Vec<(u32, SignRequest)>,
    pub signer: KeySigner,
    pub keys: WalletKeys,
    tips: Vec<Tip>,
    /// Makes the hash of every block different.
    salt: u32,
    /// How many events without a channel were made.
    neutral: u32,
}

impl TestCourt {
    /// A court that has heard `JournalOpened` and `Started`.
    pub fn new() -> Self {
        let keys = WalletKeys::from_seed(&[0x22; 32]);
        let mut test = Self {
            court: ChainArbitrator::new(),
            frames: Frames::default(),
            node: Notebook::default(),
            acknowledges: true,
            withholds_rows: false,
            best: None,
            sent: Vec::new(),
            asked: Vec::new(),
            signer: KeySigner::new(keys.clone()),
            keys,
            tips: vec![identity().tip],
            salt: 0,
            neutral: 0,
        };
        test.hear(Event::JournalOpened(identity()));
        test.start("test", Freshness::Trusted, START);
        test
    }

    /// Hears a start, after which the node has nothing to tell.
    pub fn start(&mut self, build: &str, freshness: Freshness, best: u32) {
        self.hear(started(build, freshness, best));
        self.hear(all_told());
    }

    /// A copy with the same past.
    pub fn fork(&self) -> Self {
        Self {
            court: self.court.clone(),
            frames: self.frames.clone(),
            node: self.node.clone(),
            acknowledges: self.acknowledges,
            withholds_rows: self.withholds_rows,
            best: self.best,
            sent: self.sent.clone(),
            asked: self.asked.clone(),
            signer: self.signer.clone(),
            keys: self.keys.clone(),
            tips: self.tips.clone(),
            salt: self.salt,
            neutral: self.neutral,
        }
    }

    /// Opens a channel whose first commitments, on both sides, have these HTLCs.
    pub fn open(&mut self, fixture: &mut ChannelFixture, htlcs: &[Htlc]) {
        self.open_bare(fixture);
        self.open_states(fixture, htlcs);
    }

    /// Hears the first commitments of a channel that [`open_bare`](Self::open_bare) opened.
    pub fn open_states(&mut self, fixture: &mut ChannelFixture, htlcs: &[Htlc]) {
        self.hear(fixture.remote_signed(0, state(htlcs)).unwrap());
        self.hear(fixture.local_signed(0, state(htlcs)).unwrap());
    }

    /// Opens a channel without a commitment.
    pub fn open_bare(&mut self, fixture: &ChannelFixture) {
        let setup = fixture.setup();
        self.signer.add_channel(setup.id, setup.funding, setup.local.clone());
        self.hear(fixture.opened(fixture.standing(0, 0).unwrap()));
        self.hear(fixture.adopted());
        self.settle();
    }

    /// Both sides move on to commitment `number`; the counterparty revokes the one before.
    pub fn update(&mut self, fixture: &mut ChannelFixture, number: u64, htlcs: &[Htlc]) {
        self.hear(fixture.remote_signed(number, state(htlcs)).unwrap());
        self.hear(fixture.remote_revoked(number - 1).unwrap());
        self.hear(fixture.local_signed(number, state(htlcs)).unwrap());
    }

    /// Hears one event in a step of its own; panics unless it is accepted as new.
    pub fn hear(&mut self, event: Event) -> Vec<Action> {
        let mut step = self.court.step();
        assert_eq!(step.hear(&event), Ok(Heard::Accepted), "{event:?}");
        step.commit(&mut self.frames).unwrap()
    }

    /// Hears one event in a step of its own.
    pub fn try_hear(&mut self, event: &Event) -> Result<Heard, Rejected> {
        let mut step = self.court.step();
        let answer = step.hear(event);
        step.commit(&mut self.frames).unwrap();
        answer
    }

    /// Hears several events in one step.
    pub fn hear_all(&mut self, events: &[Event]) -> Vec<Result<Heard, Rejected>> {
        let blocks = events.iter().filter(|event| matches!(event, Event::BlockConnected(_)));
        self.tips.extend(blocks.map(tip_of));
        let mut step = self.court.step();
        let answers = events.iter().map(|event| step.hear(event)).collect();
        step.commit(&mut self.frames).unwrap();
        answers
    }

    /// Hears an event that says nothing new; panics unless it is a duplicate and the court stays as it was.
    pub fn again(&mut self, event: &Event) {
        let before = self.court.clone();
        let mut step = self.court.step();
        assert_eq!(step.hear(event), Ok(Heard::Duplicate), "{event:?}");
        assert_eq!(step.commit(&mut self.frames).unwrap(), []);
        assert_eq!(self.court, before);
    }

    /// The refusal of an event. Panics unless the court stays as it was, also in a step that hears other events around it.
    pub fn refuse(&mut self, event: &Event) -> Rejected {
        let before = self.court.clone();
        let mut step = self.court.step();
        let why = step.hear(event).unwrap_err();
        assert_eq!(step.detach().frame().entries, []);
        assert_eq!((&self.court, self.court.indexes()), (&before, before.indexes()));
        let others = [self.neutral_event(), all_told()];
        let mut alone = before.clone();
        let mut step = alone.step();
        for other in &others {
            assert_eq!(step.hear(other), Ok(Heard::Accepted));
        }
        let mut frames = Frames::default();
        step.commit(&mut frames).unwrap();
        let mut step = self.court.step();
        assert_eq!(step.hear(&others[0]), Ok(Heard::Accepted));
        assert_eq!(step.hear(event), Err(why.clone()));
        assert_eq!(step.hear(&others[1]), Ok(Heard::Accepted));
        step.commit(&mut self.frames).unwrap();
        assert_eq!(self.frames.0.last(), frames.0.last());
        assert_eq!(self.court, alone);
        why
    }

    /// An event that is new and concerns no channel.
    fn neutral_event(&mut self) -> Event {
        self.neutral += 1;
        started(&format!("build {}", self.neutral), Freshness::Trusted, START)
    }

    pub fn tip(&self) -> u32 {
        self.court.tip().height.get()
    }

    /// The block of this height on the court's chain.
    pub fn tip_at(&self, height: u32) -> Tip {
        self.tips.iter().copied().find(|tip| tip.height.get() == height).unwrap()
    }

    /// The next block, as an event that is not heard yet.
    pub fn next_block(&mut self, txs: &[Transaction]) -> Event {
        let tip = *self.tips.last().unwrap();
        self.salt += 1;
        let hash = BlockHash::from_byte_array(sha256::Hash::hash(&self.salt.to_le_bytes()).to_byte_array());
        let next = tip.height.next();
        let best_height = self.best.map_or(next, |best| height(best).max(next));
        Event::BlockConnected(Box::new(Block { height: next, hash, parent: tip.hash, best_height, txs: txs.to_vec() }))
    }

    /// Hears a block of these transactions and answers no action.
    pub fn quiet_block(&mut self, txs: &[Transaction]) -> Vec<Action> {
        let event = self.next_block(txs);
        self.hear_block(event)
    }

    /// Hears a block that [`next_block`](Self::next_block) made.
    pub fn hear_block(&mut self, event: Event) -> Vec<Action> {
        self.tips.push(tip_of(&event));
        self.hear(event)
    }

    /// Hears a block of these transactions and answers every action that is due.
    pub fn block(&mut self, txs: &[Transaction]) {
        self.quiet_block(txs);
        self.settle();
    }

    /// Hears a block of everything that was broadcast at this tip.
    pub fn mine(&mut self) {
        let now = self.tip();
        let txs: Vec<Transaction> = self.sent.iter().filter(|(at, _)| *at == now).map(|(_, tx)| tx.clone()).collect();
        self.block(&txs);
    }

    /// Hears empty blocks up to this height.
    pub fn blocks_to(&mut self, to: u32) {
        while self.tip() < to {
            self.block(&[]);
        }
    }

    /// Hears blocks up to this height, each with everything that was broadcast at the tip before it.
    pub fn mine_to(&mut self, to: u32) {
        while self.tip() < to {
            self.mine();
        }
    }

    /// The event that disconnects the tip, not heard yet.
    pub fn disconnection(&self) -> Event {
        let tip = *self.tips.last().unwrap();
        let parent = self.tips[self.tips.len() - 2].hash;
        let best_height = self.best.map_or(tip.height, height);
        Event::BlockDisconnected(Disconnected { height: tip.height, hash: tip.hash, parent, best_height })
    }

    /// Disconnects blocks until the tip has this height, and answers no action.
    pub fn disconnect_to(&mut self, to: u32) {
        while self.tip() > to {
            let event = self.disconnection();
            self.tips.pop();
            self.hear(event);
        }
    }

    /// Answers every action that is due until the answers change nothing; panics if they never end.
    pub fn settle(&mut self) {
        for _ in 0..1_000 {
            let due = self.court.actions_due();
            let mut answers = Vec::new();
            for action in due {
                answers.extend(self.answer(action));
            }
            let sequence = self.court.sequence();
            let mut step = self.court.step();
            for event in &answers {
                let answer = step.hear(event);
                assert!(answer.is_ok(), "{event:?}: {answer:?}");
            }
            step.commit(&mut self.frames).unwrap();
            if self.court.sequence() == sequence {
                return;
            }
        }
        panic!("every answer leads to another action: {:?}", self.court.actions_due());
    }

    /// What signer, wallet, chain, log or node answers to an action; `None` if it gets no answer.
    pub fn answer(&mut self, action: Action) -> Option<Event> {
        let tip = self.tip();
        Some(match action {
            Action::LoadRevoked { .. } if self.withholds_rows => return None,
            // A node that has no answer yet.
            Action::LoadPoint { .. } => return None,
            Action::LoadRevoked { channel, number, .. } => {
                let index = self.court.index_of(&channel)?;
                Event::RevokedLoaded { channel, number, candidates: self.frames.revoked(index, number) }
            }
            Action::SearchSpends { channel, parent, .. } => Event::Scanned(Box::new(Scanned {
                channel,
                parent,
                through: self.court.tip(),
                confirmed: None,
                spends: Vec::new(),
            })),
            Action::Broadcast { txs, .. } => {
                for tx in txs {
                    if !self.sent.contains(&(tip, tx.clone())) {
                        self.sent.push((tip, tx));
                    }
                }
                return None;
            }
            Action::Sign(request) => {
                let signatures = self.signer.sign(&request).unwrap();
                self.asked.push((tip, request.clone()));
                Event::Signed(Box::new(Signed { channel: request.channel, request: request.id, signatures }))
            }
            Action::RequestScripts { id, channel } => {
                Event::ScriptsOffered { channel, request: id, script: self.keys.script_for(&id.0) }
            }
            Action::RequestFeeInputs { id, channel, amount_sat, .. } => {
                let outpoint = OutPoint::new(Txid::from_byte_array(sha256::Hash::hash(&id.0).to_byte_array()), 0);
                let script = self.keys.script_for(&id.0);
                let inputs = vec![FeeInput { outpoint, value_sat: amount_sat + 10_000, script: script.clone() }];
                Event::FeeInputsOffered(Box::new(FeeInputsOffered { channel, request: id, inputs, change: script }))
            }
            Action::SettleUpstream { htlc, preimage, .. } if self.acknowledges => {
                Event::UpstreamAcknowledged { htlc, outcome: self.node.settle(htlc, preimage) }
            }
            Action::FailUpstream { htlc, why, .. } if self.acknowledges => {
                Event::UpstreamAcknowledged { htlc, outcome: self.node.fail(htlc, why) }
            }
            Action::FreezeChannel { id, channel, why } => {
                self.node.freeze(channel, why);
                Event::Performed { channel, id }
            }
            Action::Alert { id, channel, alert } => {
                self.node.alert(channel, &alert);
                Event::Performed { channel, id }
            }
            Action::ReportOutcome { id, channel, report } => {
                self.node.report(channel, &report);
                Event::Performed { channel, id }
            }
            Action::ChannelResolved { id, channel, sheet } => {
                self.node.resolved(channel, &sheet);
                Event::Performed { channel, id }
            }
            Action::ReleaseFeeInputs { id, channel, .. } => Event::Performed { channel, id },
            Action::SettleUpstream { .. }
            | Action::FailUpstream { .. }
            | Action::AskForPreimage { .. }
            | Action::HoldFeeInputs { .. } => return None,
        })
    }

    pub fn index(&self, fixture: &ChannelFixture) -> ChannelIndex {
        self.court.index_of(&fixture.id()).expect("the channel is in the court")
    }

    pub fn docket(&self, fixture: &ChannelFixture) -> Docket {
        self.court.docket(self.index(fixture)).unwrap()
    }

    pub fn close_kind(&self, fixture: &ChannelFixture) -> Option<CloseKind> {
        match self.docket(fixture).stage {
            Stage::Resolving(kind) => Some(kind),
            Stage::Open | Stage::GoingToChain | Stage::AwaitingCommitment | Stage::Resolved => None,
        }
    }

    /// The contract of an HTLC.
    pub fn contract(&self, fixture: &ChannelFixture, htlc: HtlcRef) -> ContractStatus {
        let contracts = self.docket(fixture).contracts;
        contracts.into_iter().find(|contract| contract.htlc == Some(htlc)).unwrap()
    }

    /// The outcome that was released for an HTLC that we sent.
    pub fn outcome(&self, fixture: &ChannelFixture, htlc: HtlcRef) -> Option<Upstream> {
        let channel = self.court.channel(self.index(fixture)).unwrap();
        channel.released().find(|(key, ..)| *key == htlc).map(|(_, outcome, _)| outcome)
    }

    /// The outcome of an HTLC's contract, as it was reported.
    pub fn contract_report(&self, fixture: &ChannelFixture, htlc: HtlcRef) -> Option<ContractOutcome> {
        let mut reports = self.node.reports.iter().filter(|(channel, _)| *channel == fixture.id());
        reports.find(|(_, report)| report.htlc == Some(htlc)).map(|(_, report)| report.outcome)
    }

    /// What the node acknowledged for an HTLC that we sent.
    pub fn acknowledged(&self, fixture: &ChannelFixture, htlc: HtlcRef) -> Option<Acknowledged> {
        self.node.origins.get(&key(fixture, htlc)).map(|(outcome, _)| *outcome)
    }

    pub fn alerts(&self, fixture: &ChannelFixture) -> Vec<Alert> {
        let of = |(channel, alert): &(ChannelId, Alert)| (*channel == fixture.id()).then(|| alert.clone());
        self.node.alerts.iter().filter_map(of).collect()
    }

    /// A court recovered from the frames so far.
    pub fn recovered(&self) -> ChainArbitrator {
        let mut court = ChainArbitrator::new();
        for frame in &self.frames.0 {
            court.fold(frame).unwrap();
        }
        court
    }

    /// Replaces the court by one recovered from the frames, which hears a new start.
    pub fn restart(&mut self) {
        self.court = self.recovered();
        let event = self.neutral_event();
        self.hear(event);
        self.hear(all_told());
        self.settle();
    }
}

impl Drop for TestCourt {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            check(&self.court, &self.frames.0).unwrap_or_else(|failure| panic!("{failure}\n{failure:#?}"));
        }
    }
}

/// A channel with one HTLC each way on both sides' commitment 0.
pub fn running() -> (TestCourt, ChannelFixture) {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[offered(0, 50_000, 1, 500, Link::Own), received(0, 60_000, 2, 500)]);
    (test, fixture)
}

pub fn tip_of(event: &Event) -> Tip {
    let Event::BlockConnected(block) = event else { panic!("not a block: {event:?}") };
    Tip { height: block.height, hash: block.hash }
}
