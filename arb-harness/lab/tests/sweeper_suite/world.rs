//! A court with the embedded chain, its mempool and script interpreter, a wallet with coins, a signer and a node. Every
//! transaction that the court sends is submitted to the mempool, and every answer is kept.

use std::convert::Infallible;

use arb_core::bolt3::{ChannelType, Preimage};
use arb_core::{
    Action, BroadcastAnswer, BroadcastRejection, Bump, ChainArbitrator, ChannelId, CloseReason, Conclusion, Event,
    Frame, Freshness, Height, Htlc, HtlcKey, HtlcRef, JournalIdentity, Link, Log, Pending, Policy, RevokedCommitment,
    RevokedHtlc, Side, Started, Tip,
};
use arb_harness::driver::Outside;
use arb_harness::host::Host;
use arb_harness::signer::KeySigner;
use arb_harness::source;
use arb_lab::chain::{Chain, ChainConfig};
use arb_lab::check::check;
use arb_lab::fixture::{ChannelFixture, ChannelSetup, CommitmentState};
use arb_lab::notebook::Notebook;
use arb_lab::peer::{Claimant, Rates};
use arb_lab::wallet::SmallWallet;
use bitcoin::{Network, OutPoint, Transaction};

/// Height of the tip at which every test begins.
pub const BEGIN: u32 = 500;
pub const CAPACITY_SAT: u64 = 10_000_000;
/// Most rounds of actions and answers at one tip; a test that needs more fails.
const ROUNDS: usize = 60;

#[derive(Default)]
struct Frames(Vec<Frame>);

impl Log for Frames {
    type Error = Infallible;

    fn append(&mut self, pending: &Pending<'_>) -> Result<(), Infallible> {
        self.0.push(pending.frame().clone());
        Ok(())
    }
}

/// A court with one channel, and everything outside of it.
pub struct World {
    pub court: ChainArbitrator,
    pub chain: Chain,
    pub wallet: SmallWallet,
    pub fixture: ChannelFixture,
    pub node: Notebook,
    signer: KeySigner,
    frames: Frames,
    /// What was sent, with the height of the tip and the mempool's answer.
    pub sent: Vec<(u32, Vec<Transaction>, BroadcastAnswer)>,
    /// The wallet does not answer requests for coins.
    pub is_wallet_silent: bool,
    /// Every action that was carried out; a test may clear it.
    pub done: Vec<Action>,
}

pub fn offered(id: u64, sat: u64, due_in: u32, link: Link) -> Htlc {
    htlc(HtlcRef::offered(id), sat, due_in, link)
}

pub fn received(id: u64, sat: u64, due_in: u32) -> Htlc {
    htlc(HtlcRef::received(id), sat, due_in, Link::Received)
}

/// The secret of an HTLC.
fn preimage(htlc: HtlcRef) -> Preimage {
    Preimage([10 * u8::from(!htlc.is_offered()) + u8::try_from(htlc.id).unwrap() + 1; 32])
}

fn htlc(key: HtlcRef, sat: u64, due_in: u32, link: Link) -> Htlc {
    let payment_hash = preimage(key).hash();
    Htlc {
        key,
        amount_msat: sat * 1_000,
        payment_hash,
        cltv_expiry: Height::new(BEGIN + due_in),
        link,
        tag: preimage(key).0[..1].to_vec(),
    }
}

fn config() -> ChainConfig {
    ChainConfig { start_height: BEGIN, ..ChainConfig::default() }
}

impl World {
    /// A channel with these HTLCs on both sides' commitments, and a wallet with these coins.
    pub fn new(channel_type: ChannelType, htlcs: &[Htlc], coins: &[u64], estimate: u32) -> Self {
        Self::paying(253, channel_type, htlcs, coins, estimate)
    }

    /// [`new`](Self::new) with commitments of another feerate, in sat/kw.
    pub fn paying(feerate: u32, channel_type: ChannelType, htlcs: &[Htlc], coins: &[u64], estimate: u32) -> Self {
        Self::build(config(), feerate, CAPACITY_SAT / 2, channel_type, htlcs, coins, estimate)
    }

    /// Without HTLCs, and with this much of the channel ours, in sat.
    pub fn holding(local_sat: u64, channel_type: ChannelType, coins: &[u64], estimate: u32) -> Self {
        Self::build(config(), 253, local_sat, channel_type, &[], coins, estimate)
    }

    /// Without HTLCs, on a chain whose nodes relay from this floor on, in sat per thousand virtual bytes. The estimate is told
    /// later.
    pub fn at_floor(floor_sat_per_kvb: u64, channel_type: ChannelType, coins: &[u64]) -> Self {
        let config = ChainConfig { relay_floor_sat_per_kvb: floor_sat_per_kvb, ..config() };
        Self::build(config, 253, CAPACITY_SAT / 2, channel_type, &[], coins, 253)
    }

    fn build(
        config: ChainConfig,
        feerate: u32,
        local_sat: u64,
        channel_type: ChannelType,
        htlcs: &[Htlc],
        coins: &[u64],
        estimate: u32,
    ) -> Self {
        let mut chain = Chain::new(config);
        let mut fixture = ChannelFixture::new(ChannelSetup::from_seed(&[7; 32], 1, channel_type, CAPACITY_SAT));
        fixture.plant(&mut chain).unwrap();
        let mut wallet = SmallWallet::from_seed(&[8; 32]);
        for sat in coins {
            chain.mint(wallet.deposit_script(), *sat);
        }
        wallet.rescan(&chain);
        let mut signer = KeySigner::new(wallet.keys().clone());
        let setup = fixture.setup().clone();
        signer.add_channel(setup.id, setup.funding, setup.local.clone());
        let (height, hash) = chain.tip();
        let tip = Tip { height: Height::new(height), hash };
        let identity = JournalIdentity { network: Network::Regtest, journal: [1; 32], tip, policy: Policy::default() };
        let started =
            Started { build: "sweeper suite".into(), freshness: Freshness::Trusted, best_height: tip.height, run: 0 };
        let sum = |ours| htlcs.iter().filter(|h| h.key.is_offered() == ours).map(|h| h.amount_msat).sum::<u64>();
        let state = CommitmentState {
            local_msat: local_sat * 1_000 - sum(true),
            remote_msat: (CAPACITY_SAT - local_sat) * 1_000 - sum(false),
            feerate_sat_per_kw: feerate,
            htlcs: htlcs.to_vec(),
        };
        let mut events = vec![Event::JournalOpened(identity), Event::Started(started)];
        events.push(fixture.opened(fixture.standing(0, 0).unwrap()));
        events.push(fixture.remote_signed(0, state.clone()).unwrap());
        events.push(fixture.local_signed(0, state).unwrap());
        events.push(arb_lab::process::all_told());
        let mut world = Self {
            court: ChainArbitrator::new(),
            chain,
            wallet,
            fixture,
            node: Notebook::default(),
            signer,
            frames: Frames::default(),
            sent: Vec::new(),
            is_wallet_silent: false,
            done: Vec::new(),
        };
        events.into_iter().for_each(|event| world.hear(&event));
        world.estimate(estimate);
        world
    }

    pub fn id(&self) -> ChannelId {
        self.fixture.id()
    }

    pub fn hear(&mut self, event: &Event) {
        let mut step = self.court.step();
        let answer = step.hear(event);
        assert!(answer.is_ok(), "{event:?}: {answer:?}");
        step.commit(&mut self.frames).unwrap();
    }

    pub fn estimate(&mut self, feerate: u32) {
        self.hear(&arb_lab::chain::flat_fees(feerate, 253));
        self.settle();
    }

    pub fn learn(&mut self, htlc: HtlcRef) {
        let usable_for = vec![HtlcKey { channel: self.id(), htlc }];
        self.hear(&Event::PreimageLearned { preimage: preimage(htlc), usable_for });
        self.settle();
    }

    pub fn close(&mut self) {
        self.hear(&Event::CloseRequested { channel: self.id(), why: CloseReason::Operator });
        self.settle();
    }

    /// Both sides move on to a commitment without HTLCs, and the counterparty revokes its old one; the node keeps a record of
    /// the old one.
    pub fn revoke(&mut self) {
        let new = self.revoke_theirs();
        let signed = self.fixture.local_signed(1, new).unwrap();
        self.hear(&signed);
        self.settle();
    }

    /// The same, but ours stays as it is. Returns the new state.
    pub fn revoke_theirs(&mut self) -> CommitmentState {
        let old = self.fixture.states(Side::Remote)[&0].clone();
        let mut htlcs: Vec<RevokedHtlc> = old.htlcs.iter().map(RevokedHtlc::from).collect();
        htlcs.sort_by_key(|htlc| htlc.key);
        let (feerate_sat_per_kw, local_msat, remote_msat) = (old.feerate_sat_per_kw, old.local_msat, old.remote_msat);
        let past = RevokedCommitment { feerate_sat_per_kw, local_msat, remote_msat, htlcs };
        self.node.past.insert((self.id(), 0), vec![past]);
        let half = CAPACITY_SAT / 2 * 1_000;
        let new = CommitmentState { local_msat: half, remote_msat: half, htlcs: Vec::new(), ..old };
        let signed = self.fixture.remote_signed(1, new.clone()).unwrap();
        self.hear(&signed);
        self.hear(&self.fixture.remote_revoked(0).unwrap());
        self.settle();
        new
    }

    pub fn bump(&mut self, outpoint: Option<OutPoint>, bump: Bump) {
        self.hear(&Event::BumpRequested { channel: self.id(), outpoint, bump });
        self.settle();
    }

    /// Carries out due actions and hears the answers until these change nothing.
    pub fn settle(&mut self) {
        for _ in 0..ROUNDS {
            let due = self.court.actions_due();
            let mut answers = Vec::new();
            for action in due {
                self.perform(action, &mut answers);
            }
            let before = self.court.sequence();
            let mut step = self.court.step();
            for event in &answers {
                let answer = step.hear(event);
                assert!(answer.is_ok(), "{event:?}: {answer:?}");
            }
            step.commit(&mut self.frames).unwrap();
            if self.court.sequence() == before {
                return;
            }
        }
        panic!("actions do not end: {:#?}", self.court.actions_due());
    }

    fn perform(&mut self, action: Action, answers: &mut Vec<Event>) {
        if self.is_wallet_silent && matches!(action, Action::RequestFeeInputs { .. }) {
            return;
        }
        let heard = self.court.tip();
        let txs = match &action {
            Action::Broadcast { txs, .. } => txs.clone(),
            _ => Vec::new(),
        };
        let first = answers.len();
        self.done.push(action.clone());
        let (chain, signer, wallet, node) = (&mut self.chain, &mut self.signer, &mut self.wallet, &mut self.node);
        Host::new(chain, signer, wallet, node, heard).perform(action, answers);
        if let (false, Some(Event::BroadcastAnswered { answer, .. })) = (txs.is_empty(), answers.get(first)) {
            self.sent.push((heard.height.get(), txs, *answer));
        }
    }

    /// Tells the court and the wallet how the chain has changed.
    pub fn heard(&mut self) {
        let Ok(blocks) = source::next_blocks(&self.chain, self.court.tip(), 10);
        for event in blocks {
            self.hear(&event);
        }
        self.wallet.rescan(&self.chain);
        self.settle();
    }

    /// Mines a block from the mempool.
    pub fn mine(&mut self) {
        self.chain.mine();
        self.heard();
    }

    /// Mines an empty block: nothing that we sent confirms.
    pub fn mine_empty(&mut self) {
        self.chain.mine_with(|_| false);
        self.heard();
    }

    /// Mines a block with this transaction first, then from the mempool.
    pub fn confirm(&mut self, tx: Transaction) {
        self.confirm_all(vec![tx]);
    }

    pub fn confirm_all(&mut self, txs: Vec<Transaction>) {
        self.chain.mine_own(txs).unwrap();
        self.heard();
    }

    /// The court is away while empty blocks are mined up to this height; then it hears them all.
    pub fn away_to(&mut self, after: u32) {
        while self.chain.tip().0 < BEGIN + after {
            self.chain.mine_with(|_| false);
        }
        while self.court.tip().height.get() < self.chain.tip().0 {
            self.heard();
        }
    }

    /// The counterparty's direct claim of an HTLC on our commitment: with the preimage if we offered it, else after its expiry.
    pub fn theirs(&self, htlc: HtlcRef) -> Transaction {
        self.theirs_at(2_000, htlc)
    }

    /// The same at this feerate, in sat/kw.
    pub fn theirs_at(&self, feerate: u32, htlc: HtlcRef) -> Transaction {
        let commitment = self.fixture.commitment(Side::Local, 0).unwrap();
        let place = commitment.htlcs.iter().position(|other| other.key == htlc).unwrap();
        let rates = Rates { feerate_sat_per_kw: feerate, floor_sat_per_kvb: 1_000 };
        let claimant = Claimant { fixture: &self.fixture, side: Side::Remote, commitment: &commitment, rates };
        let preimage = htlc.is_offered().then(|| preimage(htlc));
        claimant.direct(place, preimage, self.wallet.deposit_script()).unwrap().unwrap()
    }

    /// Their commitment appears in the mempool, and the court sees it.
    pub fn see_theirs(&mut self) -> Transaction {
        let theirs = self.commitment(Side::Remote);
        self.chain.submit(theirs.clone()).unwrap();
        self.hear(&Event::MempoolSeen { tx: theirs.clone() });
        self.settle();
        theirs
    }

    /// The coins that the wallet was told are free.
    pub fn released(&self) -> Vec<OutPoint> {
        let coins = |action: &Action| match action {
            Action::ReleaseFeeInputs { coins, .. } => coins.clone(),
            _ => Vec::new(),
        };
        self.done.iter().flat_map(coins).collect()
    }

    /// Whether a transaction that was sent spends this outpoint.
    pub fn has_sent(&self, outpoint: OutPoint) -> bool {
        self.last_spend(outpoint).is_some()
    }

    pub fn mine_empty_to(&mut self, after: u32) {
        while self.chain.tip().0 < BEGIN + after {
            self.mine_empty();
        }
    }

    pub fn mine_to(&mut self, after: u32) {
        while self.chain.tip().0 < BEGIN + after {
            self.mine();
        }
    }

    /// The same with a fresh estimate at the floor in every block.
    pub fn mine_cheaply_to(&mut self, after: u32) {
        while self.chain.tip().0 < BEGIN + after {
            self.estimate(253);
            self.mine();
        }
    }

    /// A market with one price: a fresh estimate in every block, and no block takes less.
    pub fn mine_at_to(&mut self, feerate: u32, after: u32) {
        while self.chain.tip().0 < BEGIN + after {
            self.estimate(feerate);
            self.chain.mine_at(feerate, u64::MAX);
            self.heard();
        }
    }

    /// Disconnects `depth` blocks.
    pub fn reorg(&mut self, depth: u32) {
        self.chain.reorg_drop(depth);
        self.heard();
    }

    pub fn commitment(&self, side: Side) -> Transaction {
        self.fixture.commitment_tx(side, 0).unwrap()
    }

    /// The output of an HTLC on a side's commitment.
    pub fn output(&self, side: Side, htlc: HtlcRef) -> OutPoint {
        let place = self.fixture.states(side)[&0].htlcs.iter().position(|other| other.key == htlc).unwrap();
        self.fixture.commitment(side, 0).unwrap().htlc_output(place).unwrap().0
    }

    /// The last transaction that we sent which spends this output.
    pub fn last_spend(&self, outpoint: OutPoint) -> Option<&Transaction> {
        let all = self.sent.iter().rev().flat_map(|(_, txs, _)| txs);
        let mut spends = all.filter(|tx| tx.input.iter().any(|input| input.previous_output == outpoint));
        spends.next()
    }

    /// The packages of two transactions that were sent.
    pub fn packages(&self) -> Vec<&(u32, Vec<Transaction>, BroadcastAnswer)> {
        self.sent.iter().filter(|(_, txs, _)| txs.len() == 2).collect()
    }

    /// I9: nothing that was sent was refused except for its fee.
    pub fn assert_all_valid(&self) {
        for (tip, txs, answer) in &self.sent {
            let bad = match answer {
                BroadcastAnswer::Accepted | BroadcastAnswer::Known => false,
                BroadcastAnswer::Rejected(why) => !matches!(why, BroadcastRejection::FeeTooLow),
            };
            assert!(!bad, "{tip}: {answer:?} {txs:#?}");
        }
    }

    pub fn concluded(&self) -> impl Iterator<Item = &Conclusion> {
        let entries = self.frames.0.iter().flat_map(|frame| &frame.entries);
        entries.flat_map(|entry| &entry.concluded).map(|record| &record.what)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            check(&self.court, &self.frames.0).unwrap_or_else(|failure| panic!("{failure}\n{failure:#?}"));
        }
    }
}
