//! The largest close that BOLT 2 allows, 483 HTLCs in each direction, on our commitment and on theirs. Every transaction
//! passes the embedded chain's standardness and script checks (I9) and stays below the relayed weight, and every HTLC is
//! claimed (I7, I11).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test panics")]

use arb_core::bolt3::{ANCHOR_SAT, ChannelType, Preimage};
use arb_core::{
    Action, Blocks, BroadcastAnswer, ChainArbitrator, CloseReason, ContractKind, ContractOutcome, Event, Freshness,
    Height, Htlc, HtlcKey, HtlcRef, JournalIdentity, Link, Policy, Rejected, Sheet, Started,
};
use arb_harness::driver::{Driver, Outside};
use arb_harness::host::Host;
use arb_harness::keys::WalletKeys;
use arb_harness::signer::KeySigner;
use arb_harness::source;
use arb_lab::chain::flat_fees;
use arb_lab::chain::{Chain, ChainConfig};
use arb_lab::fixture::{ChannelFixture, ChannelSetup, CommitmentState};
use arb_lab::notebook::Notebook;
use arb_lab::process::{all_told, tip};
use arb_lab::wallet::SmallWallet;
use arb_log::memory::Memory;
use bitcoin::Transaction;

/// The greatest `max_accepted_htlcs` of BOLT 2, in each direction.
const EACH_WAY: u64 = 483;
const START: u32 = 100;
const CAPACITY_SAT: u64 = 200_000_000;
const HTLC_SAT: u64 = 40_000;
/// The greatest weight of a transaction that nodes relay.
const WEIGHT_MAX_WU: u64 = 400_000;
/// Height at which the channel must be resolved.
const END: u32 = START + 200;

fn preimage(id: u64) -> Preimage {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&id.to_le_bytes());
    Preimage(bytes)
}

/// HTLCs that we sent expire at three heights soon after the start; we know the preimage of every received one.
fn htlcs() -> Vec<Htlc> {
    let offered = (0..EACH_WAY).map(|id| Htlc {
        key: HtlcRef::offered(id),
        amount_msat: (HTLC_SAT + id) * 1000,
        payment_hash: preimage(10_000 + id).hash(),
        cltv_expiry: Height::new(START + 10 + 3 * u32::try_from(id % 3).unwrap()),
        link: Link::Own,
        tag: Vec::new(),
    });
    let received = (0..EACH_WAY).map(|id| Htlc {
        key: HtlcRef::received(id),
        amount_msat: (HTLC_SAT + id) * 1000,
        payment_hash: preimage(id).hash(),
        cltv_expiry: Height::new(START + 150),
        link: Link::Received,
        tag: Vec::new(),
    });
    offered.chain(received).collect()
}

fn state() -> CommitmentState {
    let htlcs = htlcs();
    let sum_msat = htlcs.iter().filter(|htlc| htlc.key.is_offered()).map(|htlc| htlc.amount_msat).sum::<u64>();
    let half_msat = CAPACITY_SAT / 2 * 1000;
    CommitmentState {
        local_msat: half_msat - sum_msat,
        remote_msat: half_msat - sum_msat,
        feerate_sat_per_kw: 253,
        htlcs,
    }
}

/// The default policy with a small irrevocable depth, because blocks in which nothing happens take time.
fn policy() -> Policy {
    Policy { irrevocable_depth: Blocks::new(12), ..Policy::default() }
}

/// Whose commitment closes the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Us,
    Them,
}

/// A host that panics if chain or court refuses anything.
struct Strict<'a>(Host<'a, Chain>);

impl Outside for Strict<'_> {
    fn perform(&mut self, action: Action, answers: &mut Vec<Event>) {
        self.0.perform(action, answers);
        if let Some(Event::BroadcastAnswered { txid, answer: BroadcastAnswer::Rejected(why), .. }) = answers.last() {
            panic!("{txid}: {why:?}");
        }
    }

    fn refused(&mut self, event: &Event, why: &Rejected) {
        panic!("{why}: {event:?}");
    }

    fn damaged(&mut self, channel: arb_core::ChannelId, why: &str) {
        panic!("{channel:?}: {why}");
    }
}

/// The court with one channel, and everything outside of it.
struct World {
    chain: Chain,
    driver: Driver<Memory>,
    fixture: ChannelFixture,
    signer: KeySigner,
    wallet: SmallWallet,
    node: Notebook,
}

impl World {
    fn new() -> Self {
        let mut chain = Chain::new(ChainConfig { start_height: START, ..ChainConfig::default() });
        let mut setup = ChannelSetup::from_seed(&[0x66; 32], 0, ChannelType::AnchorsZeroFeeHtlcTx, CAPACITY_SAT);
        setup.local_delay_blocks = 12;
        let fixture = ChannelFixture::new(setup);
        fixture.plant(&mut chain).unwrap();
        let keys = WalletKeys::from_seed(&[0x67; 32]);
        let wallet = SmallWallet::new(keys.clone());
        let mut signer = KeySigner::new(keys);
        let setup = fixture.setup();
        signer.add_channel(setup.id, setup.funding, setup.local.clone());
        let identity =
            JournalIdentity { network: chain.config().network, journal: [1; 32], tip: tip(&chain), policy: policy() };
        for _ in 0..30 {
            chain.mint(wallet.deposit_script(), 300_000);
        }
        let started = Started {
            build: String::from("largest close"),
            freshness: Freshness::Trusted,
            best_height: Height::new(chain.tip().0),
            run: 0,
        };
        let driver = Driver::start(Memory::new(), &identity, started).unwrap();
        Self { chain, driver, fixture, signer, wallet, node: Notebook::default() }
    }

    /// Tells the court new blocks and `news`, and carries out actions until nothing new is heard.
    fn settle(&mut self, news: Vec<Event>) {
        self.wallet.rescan(&self.chain);
        let Ok(blocks) = source::next_blocks(&self.chain, self.driver.court().tip(), usize::MAX);
        self.driver.tell_all([flat_fees(500, 250)]);
        self.driver.tell_all(blocks);
        self.driver.tell_all(news);
        let heard = tip(&self.chain);
        let Self { chain, signer, wallet, node, .. } = self;
        let mut host = Strict(Host::new(chain, signer, wallet, node, heard));
        self.driver.commit(&mut host).unwrap();
        while self.driver.perform(&mut host) > 0 && self.driver.commit(&mut host).unwrap() {}
    }

    fn open(&mut self) {
        let fixture = &mut self.fixture;
        let mut events = vec![
            fixture.opened(fixture.standing(0, 0).unwrap()),
            all_told(),
            fixture.remote_signed(0, state()).unwrap(),
            fixture.local_signed(0, state()).unwrap(),
        ];
        let key = |id| HtlcKey { channel: fixture.id(), htlc: HtlcRef::received(id) };
        events.extend(
            (0..EACH_WAY).map(|id| Event::PreimageLearned { preimage: preimage(id), usable_for: vec![key(id)] }),
        );
        self.settle(events);
    }

    fn close(&mut self, by: By) {
        match by {
            By::Us => {
                let channel = self.fixture.id();
                self.settle(vec![Event::CloseRequested { channel, why: CloseReason::Operator }]);
            }
            By::Them => {
                let tx = self.fixture.remote_commitment_tx(0).unwrap();
                self.chain.submit(tx).unwrap();
            }
        }
    }

    fn is_over(&self) -> bool {
        self.court().index_of(&self.fixture.id()).is_none()
    }

    fn court(&self) -> &ChainArbitrator {
        self.driver.court()
    }

    /// Every confirmed transaction.
    fn confirmed(&self) -> impl Iterator<Item = &Transaction> {
        (START..=self.chain.tip().0).filter_map(|height| self.chain.block_at(height)).flat_map(|block| &block.txs)
    }
}

fn close(by: By) -> (World, Sheet) {
    let mut world = World::new();
    world.open();
    world.close(by);
    while !world.is_over() {
        assert!(world.chain.tip().0 < END, "not resolved at {END}");
        world.chain.mine();
        world.settle(Vec::new());
    }
    let sheet = world.node.sheets[&world.fixture.id()];
    (world, sheet)
}

/// Closes and checks sizes, outcomes, and where every satoshi went.
fn check(by: By, most_inputs: usize) {
    let (world, sheet) = close(by);
    assert!(sheet.balances(), "{by:?}: {sheet:?}");
    assert_eq!((sheet.lost_sat, sheet.contested_unclaimed_sat), (0, 0), "{by:?}: {sheet:?}");
    let heaviest = world.confirmed().map(|tx| tx.weight().to_wu()).max().unwrap();
    assert!(heaviest < WEIGHT_MAX_WU, "{by:?}: {heaviest} weight units");
    let most = world.confirmed().map(|tx| tx.input.len()).max().unwrap();
    assert_eq!(most, most_inputs, "{by:?}: the most inputs of one transaction");
    let htlcs = world.node.reports.iter().filter(|(_, report)| report.kind == ContractKind::Htlc);
    let claimed = htlcs.filter(|(_, report)| report.outcome == ContractOutcome::Claimed).count();
    assert_eq!(claimed, 966, "{by:?}");
    // On the chain, only the counterparty's main output and anchors are left unspent and not ours.
    let flows = world.chain.descendants_until(world.fixture.setup().funding, &world.wallet.scripts());
    let ours = world.wallet.scripts();
    let left = flows.iter().filter(|flow| flow.spender.is_none() && !ours.contains(&flow.script_pubkey));
    let left: Vec<u64> = left.map(|flow| flow.value_sat).filter(|value_sat| *value_sat != ANCHOR_SAT).collect();
    let [peer_sat] = left[..] else { panic!("{by:?}: left {left:?}") };
    assert!(sheet.peer_sat.abs_diff(peer_sat) <= ANCHOR_SAT, "{by:?}: {peer_sat} {sheet:?}");
}

#[test]
fn our_commitment_with_966_htlcs() {
    // A hundred claims and one wallet coin.
    check(By::Us, 101);
}

#[test]
fn their_commitment_with_966_htlcs() {
    check(By::Them, 100);
}
