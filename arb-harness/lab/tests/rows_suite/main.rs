//! `LoadRevoked`: the driver answers from the journal's rows; the node answers from its records for commitments before the
//! journal began, or where rows are damaged (R15).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy does not know the helpers of tests as test code"
)]

use arb_core::bolt3::{ChannelType, PaymentHash};
use arb_core::{
    Action, ActionId, ChainArbitrator, Event, Frame, Freshness, Height, Htlc, HtlcRef, JournalIdentity, Link, Policy,
    Rejected, RevokedCommitment, Side, Standing, Started,
};
use arb_harness::driver::{Driver, Outside, from_rows};
use arb_harness::host::Host;
use arb_harness::keys::WalletKeys;
use arb_harness::redb_store::RedbStore;
use arb_harness::signer::KeySigner;
use arb_harness::source;
use arb_lab::chain::{Chain, ChainConfig};
use arb_lab::fixture::{ChannelFixture, ChannelSetup, CommitmentState};
use arb_lab::notebook::Notebook;
use arb_lab::process::{all_told, tip};
use arb_lab::wallet::SmallWallet;
use arb_log::memory::Memory;
use arb_log::{Journal, Key, Storage};
use core::ops::ControlFlow;

const CAPACITY_SAT: u64 = 10_000_000;
/// The first commitment that the court hears of: the channel is adopted while it runs.
const ADOPTED_AT: u64 = 3;
const UPDATES: u64 = 40;

/// A court and journal with one channel whose counterparty's commitments were updated many times.
struct World<S: Storage> {
    chain: Chain,
    fixture: ChannelFixture,
    journal: Journal<S>,
    court: ChainArbitrator,
    node: Notebook,
}

fn htlc(id: u64) -> Htlc {
    Htlc {
        key: if id.is_multiple_of(2) { HtlcRef::offered(id / 2) } else { HtlcRef::received(id / 2) },
        amount_msat: 5_000_000 + id,
        payment_hash: PaymentHash([u8::try_from(id).unwrap(); 32]),
        cltv_expiry: Height::new(100_000),
        link: if id.is_multiple_of(2) { Link::Own } else { Link::Received },
        tag: Vec::new(),
    }
}

/// At most four HTLCs: each commitment adds one and drops the oldest; every seventh has another feerate.
fn state(number: u64) -> CommitmentState {
    let htlcs: Vec<Htlc> = (number.saturating_sub(3)..=number).map(htlc).collect();
    let feerate_sat_per_kw = 253 + u32::try_from(number / 7).unwrap();
    // Balances and HTLCs are the funding exactly.
    let local_msat = 5_000_000_000 - number;
    let remote_msat = CAPACITY_SAT * 1_000 - local_msat - htlcs.iter().map(|htlc| htlc.amount_msat).sum::<u64>();
    CommitmentState { local_msat, remote_msat, feerate_sat_per_kw, htlcs }
}

fn hear<S: Storage>(court: &mut ChainArbitrator, journal: &mut Journal<S>, events: &[Event]) {
    let mut step = court.step();
    for event in events {
        step.hear(event).unwrap();
    }
    let _due = step.commit(journal).ok().unwrap();
}

impl<S: Storage> World<S> {
    fn new(storage: S) -> Self {
        let chain = Chain::new(ChainConfig::default());
        let setup = ChannelSetup::from_seed(&[0x41; 32], 0, ChannelType::AnchorsZeroFeeHtlcTx, CAPACITY_SAT);
        let mut fixture = ChannelFixture::new(setup);
        let identity = JournalIdentity {
            network: chain.config().network,
            journal: [1; 32],
            tip: tip(&chain),
            policy: Policy::default(),
        };
        let mut journal = Journal::open(storage).ok().unwrap();
        let mut court = journal.recover(&identity).ok().unwrap();
        for number in 0..ADOPTED_AT {
            fixture.sign_unheard(Side::Remote, number, state(number));
        }
        let standing = fixture.standing(0, ADOPTED_AT).unwrap();
        assert_ne!(standing, Standing::default());
        let opened = fixture.opened(standing);
        hear(&mut court, &mut journal, &[opened, fixture.adopted()]);
        // A new fixture signs the first one, so that all its HTLCs are new to the court.
        let before = fixture.clone();
        let mut first = ChannelFixture::new(before.setup().clone());
        hear(&mut court, &mut journal, &[first.remote_signed(ADOPTED_AT, state(ADOPTED_AT)).unwrap()]);
        fixture.sign_unheard(Side::Remote, ADOPTED_AT, state(ADOPTED_AT));
        for number in ADOPTED_AT + 1..ADOPTED_AT + UPDATES {
            let signed = fixture.remote_signed(number, state(number)).unwrap();
            let revoked = fixture.remote_revoked(number - 1).unwrap();
            hear(&mut court, &mut journal, &[signed, revoked]);
        }
        Self { chain, fixture, journal, court, node: Notebook::default() }
    }

    /// The answer to `LoadRevoked`: from the rows, else from the node.
    fn ask(&mut self, number: u64) -> Event {
        let keys = WalletKeys::from_seed(&[2; 32]);
        let (mut signer, mut wallet) = (KeySigner::new(keys.clone()), SmallWallet::new(keys));
        let heard = tip(&self.chain);
        let mut host = Host::new(&mut self.chain, &mut signer, &mut wallet, &mut self.node, heard);
        let (channel, funding) = (self.fixture.id(), self.fixture.setup().funding);
        let action = Action::LoadRevoked { id: ActionId([9; 16]), channel, funding, number };
        from_rows(&self.court, &self.journal, &action, &mut host).unwrap_or_else(|| {
            let mut answers = Vec::new();
            host.perform(action, &mut answers);
            assert_eq!(answers.len(), 1);
            answers.remove(0)
        })
    }

    fn loaded(&self, number: u64, candidates: Vec<RevokedCommitment>) -> Event {
        Event::RevokedLoaded { channel: self.fixture.id(), number, candidates }
    }

    fn signed(&self, number: u64) -> Vec<RevokedCommitment> {
        vec![RevokedCommitment::from(&self.fixture.states(Side::Remote)[&number])]
    }
}

#[test]
fn every_past_commitment_is_answered_from_the_rows() {
    let mut world = World::new(Memory::new());
    for number in ADOPTED_AT..ADOPTED_AT + UPDATES {
        assert_eq!(world.ask(number), world.loaded(number, world.signed(number)), "{number}");
    }
    assert_eq!(world.node.damage, []);
}

#[test]
fn and_after_a_restart_from_a_file() {
    let path = std::env::temp_dir().join(format!("arb-rows-{}.redb", std::process::id()));
    let world = World::new(RedbStore::create(&path).unwrap());
    let World { chain, fixture, journal, court, node } = world;
    drop(journal);
    let mut journal = Journal::open(RedbStore::open(&path).unwrap()).unwrap();
    let same = journal.recover(court.identity().unwrap()).unwrap();
    assert_eq!(same, court);
    let mut world = World { chain, fixture, journal, court: same, node };
    for number in ADOPTED_AT..ADOPTED_AT + UPDATES {
        assert_eq!(world.ask(number), world.loaded(number, world.signed(number)), "{number}");
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn what_is_older_than_the_journal_the_node_answers_and_nobody_else_is_nothing() {
    let mut world = World::new(Memory::new());
    for number in 0..ADOPTED_AT {
        assert_eq!(world.ask(number), world.loaded(number, Vec::new()), "{number}");
        world.node.past.insert((world.fixture.id(), number), world.signed(number));
        assert_eq!(world.ask(number), world.loaded(number, world.signed(number)), "{number}");
    }
}

#[test]
fn the_rows_come_before_the_nodes_records() {
    let mut world = World::new(Memory::new());
    world.node.past.insert((world.fixture.id(), ADOPTED_AT), vec![RevokedCommitment::default()]);
    assert_eq!(world.ask(ADOPTED_AT), world.loaded(ADOPTED_AT, world.signed(ADOPTED_AT)));
}

#[test]
fn damage_is_told_and_the_node_asked() {
    let memory = Memory::new();
    let mut world = World::new(memory.clone());
    let number = ADOPTED_AT + 5;
    assert!(memory.flip_bit(Key::commitment(0, number), 200));
    assert_eq!(world.ask(number), world.loaded(number, Vec::new()));
    let [(channel, why)] = &world.node.damage[..] else { panic!("{:?}", world.node.damage) };
    assert_eq!(*channel, world.fixture.id());
    assert!(why.starts_with("row Commitment/0/8 is bad: checksum"), "{why}");
    world.node.past.insert((world.fixture.id(), number), world.signed(number));
    assert_eq!(world.ask(number), world.loaded(number, world.signed(number)));
}

#[test]
fn rows_that_cannot_be_read_now_are_asked_for_again() {
    let memory = Memory::new();
    let mut world = World::new(memory.clone());
    world.node.past.insert((world.fixture.id(), ADOPTED_AT), vec![RevokedCommitment::default()]);
    memory.fail_reads(true);
    let answer = world.ask(ADOPTED_AT);
    let Event::Failed { channel, id, .. } = &answer else { panic!("{answer:?}") };
    assert_eq!((*channel, *id), (world.fixture.id(), ActionId([9; 16])));
    // The failure changes nothing: the action stays due.
    memory.fail_reads(false);
    let sequence = world.court.sequence();
    hear(&mut world.court, &mut world.journal, &[answer]);
    assert_eq!(world.court.sequence(), sequence);
    assert_eq!(world.ask(ADOPTED_AT), world.loaded(ADOPTED_AT, world.signed(ADOPTED_AT)));
}

/// A revoked commitment confirms on a chain; the `RevokedLoaded` events that the driver told the court, and the node.
fn heard_of_a_revoked_close(before: impl FnOnce(&Memory, &ChannelFixture, &mut Notebook)) -> (Vec<Event>, Notebook) {
    heard_of_a_close_with(&state(REVOKED), before)
}

/// The number of the revoked commitment that confirms.
const REVOKED: u64 = 5;

/// The same, if this state was signed under that number last.
fn heard_of_a_close_with(
    signed: &CommitmentState,
    before: impl FnOnce(&Memory, &ChannelFixture, &mut Notebook),
) -> (Vec<Event>, Notebook) {
    let mut chain = Chain::new(ChainConfig::default());
    let setup = ChannelSetup::from_seed(&[0x42; 32], 0, ChannelType::AnchorsZeroFeeHtlcTx, CAPACITY_SAT);
    let mut fixture = ChannelFixture::new(setup);
    fixture.plant(&mut chain).unwrap();
    let keys = WalletKeys::from_seed(&[2; 32]);
    let (mut signer, mut wallet, mut node) =
        (KeySigner::new(keys.clone()), SmallWallet::new(keys), Notebook::default());
    let memory = Memory::new();
    let (network, policy) = (chain.config().network, Policy::default());
    let identity = JournalIdentity { network, journal: [1; 32], tip: tip(&chain), policy };
    let (freshness, best_height) = (Freshness::Trusted, Height::new(chain.tip().0));
    let started = Started { build: String::from("rows"), freshness, best_height, run: 0 };
    let mut driver = Driver::start(memory.clone(), &identity, started).unwrap();
    driver.tell(fixture.opened(Standing::default()));
    driver.tell(all_told());
    driver.tell(fixture.local_signed(0, state(0)).unwrap());
    driver.tell(fixture.remote_signed(0, state(0)).unwrap());
    for number in 1..=REVOKED + 2 {
        driver.tell(fixture.remote_signed(number, state(number)).unwrap());
        driver.tell(fixture.remote_revoked(number - 1).unwrap());
    }
    let mut turn = |driver: &mut Driver<Memory>, chain: &mut Chain, node: &mut Notebook| {
        let heard = tip(chain);
        let mut host = Host::new(chain, &mut signer, &mut wallet, node, heard);
        driver.commit(&mut host).unwrap();
        driver.settle(&mut host).unwrap();
        let refusals = host.refusals.into_iter().map(|(_, why)| why);
        assert!(refusals.into_iter().all(|why| why == Rejected::RevokedContradicts { number: REVOKED }));
    };
    turn(&mut driver, &mut chain, &mut node);
    fixture.sign_unheard(Side::Remote, REVOKED, signed.clone());
    before(&memory, &fixture, &mut node);
    chain.mine_own(vec![fixture.remote_commitment_tx(REVOKED).unwrap()]).unwrap();
    for _ in 0..3 {
        let Ok(blocks) = source::next_blocks(&chain, driver.court().tip(), 1);
        driver.tell_all(blocks);
        turn(&mut driver, &mut chain, &mut node);
        chain.mine();
    }
    let mut loaded = Vec::new();
    let each = |frame: Frame| {
        let heard = frame.entries.into_iter().map(|entry| entry.heard);
        loaded.extend(heard.filter(|event| matches!(event, Event::RevokedLoaded { .. })));
        ControlFlow::<()>::Continue(())
    };
    assert_eq!(driver.journal().unwrap().frames(0..u64::MAX, each).unwrap(), None);
    (loaded, node)
}

fn loaded_revoked(candidates: Vec<RevokedCommitment>) -> Event {
    let setup = ChannelSetup::from_seed(&[0x42; 32], 0, ChannelType::AnchorsZeroFeeHtlcTx, CAPACITY_SAT);
    Event::RevokedLoaded { channel: setup.id, number: 5, candidates }
}

#[test]
fn the_driver_answers_from_the_rows() {
    let (loaded, node) = heard_of_a_revoked_close(|_, _, _| {});
    assert_eq!(loaded, [loaded_revoked(vec![RevokedCommitment::from(&state(5))])]);
    assert_eq!(node.damage, []);
}

#[test]
fn the_driver_asks_the_node_where_the_rows_are_damaged() {
    for known in [false, true] {
        let (loaded, node) = heard_of_a_revoked_close(|memory, fixture, node| {
            memory.tamper(Key::commitment(0, 5), memory.row(Key::commitment(0, 4)));
            if known {
                node.past.insert((fixture.id(), 5), vec![RevokedCommitment::from(&state(5))]);
            }
        });
        let candidates = if known { vec![RevokedCommitment::from(&state(5))] } else { Vec::new() };
        assert_eq!(loaded, [loaded_revoked(candidates)]);
        let [(_, why)] = &node.damage[..] else { panic!("{:?}", node.damage) };
        assert_eq!(why, "row Commitment/0/5 does not belong there");
    }
}

/// The journal is older than what was signed under this number, so its row does not give the txid: the node is asked next, and
/// whatever it says ends the waiting.
#[test]
fn a13_the_driver_asks_the_node_where_the_rows_do_not_give_the_txid() {
    let signed = CommitmentState { local_msat: 4_999_000_000, ..state(REVOKED) };
    for known in [false, true] {
        let (loaded, _) = heard_of_a_close_with(&signed, |_, fixture, node| {
            if known {
                node.past.insert((fixture.id(), REVOKED), vec![RevokedCommitment::from(&signed)]);
            }
        });
        let candidates = if known { vec![RevokedCommitment::from(&signed)] } else { Vec::new() };
        assert_eq!(loaded, [loaded_revoked(candidates)]);
    }
}

#[test]
fn other_actions_and_channels_are_not_the_rows_matter() {
    let world = World::new(Memory::new());
    struct Untouched;
    impl Outside for Untouched {
        fn perform(&mut self, action: Action, _: &mut Vec<Event>) {
            panic!("{action:?}");
        }
        fn refused(&mut self, event: &Event, why: &Rejected) {
            panic!("{event:?}: {why}");
        }
        fn damaged(&mut self, channel: arb_core::ChannelId, why: &str) {
            panic!("{channel:?}: {why}");
        }
    }
    let (id, channel, funding) = (ActionId([9; 16]), world.fixture.id(), world.fixture.setup().funding);
    let scripts = Action::RequestScripts { id, channel };
    let unknown = Action::LoadRevoked { id, channel: arb_core::ChannelId([7; 32]), funding, number: ADOPTED_AT };
    for action in [scripts, unknown] {
        assert_eq!(from_rows(&world.court, &world.journal, &action, &mut Untouched), None);
    }
}
