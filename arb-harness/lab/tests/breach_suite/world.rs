//! One cell, played on the embedded chain: the cheating peer, a miner, and our side with driver, host, signer, wallet and
//! journal.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::LazyLock;

use arb_core::bolt3::{OutputKind, PaymentHash, Preimage};
use arb_core::{
    Acknowledged, Blocks, ChainArbitrator, Event, Frame, Freshness, Height, HtlcKey, JournalIdentity, Policy, Side,
    Started,
};
use arb_harness::driver::Driver;
use arb_harness::host::Host;
use arb_harness::keys::WalletKeys;
use arb_harness::node::Node;
use arb_harness::signer::{KeySigner, Signer};
use arb_harness::source;
use arb_lab::chain::flat_fees;
use arb_lab::chain::{Block, Chain, ChainConfig};
use arb_lab::fixture::ChannelFixture;
use arb_lab::notebook::Notebook;
use arb_lab::peer::{Claimant, Peer, PeerPlan, Rates, Withheld};
use arb_lab::process::{Process, Surroundings, tip};
use arb_lab::wallet::SmallWallet;
use arb_log::memory::{Memory, MemoryError};
use arb_log::{Journal, JournalError};
use bitcoin::{ScriptBuf, Transaction};

use crate::cell::{Behaviour, Cell, KNOWN, REVOKED, START, peers_preimages, secret, updates};

/// All coins of the peer, in sat.
pub const PEER_COINS_SAT: u64 = 8 * 20_000;
/// Height at which every cell must be over.
const END: u32 = START + 100;
const FEERATE_SAT_PER_KW: u32 = 250;

/// Shared by all cells, because deriving a wallet's scripts takes longer than playing a cell.
static KEYS: LazyLock<WalletKeys> = LazyLock::new(|| WalletKeys::from_seed(&[0x72; 32]));
static PEER: LazyLock<Peer> = LazyLock::new(|| Peer::new(PeerPlan::default(), &[0x73; 32]));

/// What happens on the chain in one turn.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// A block with the revoked commitments.
    Commitments,
    /// A block with the revoked commitment and everything that the peer can take of it.
    CommitmentsAndClaims,
    /// A block of everything that the peer wants, and nothing of ours.
    Peer,
    /// As `Peer`, after the reorgs: the peer takes other HTLCs first.
    PeerAfterReorg,
    /// A block from the mempool, to which the peer submits after us.
    Fair,
    /// A block with our transactions only.
    Ours,
    /// An empty block.
    Empty,
    /// This many blocks are disconnected, and the mempool is cleared.
    Reorg(u32),
}

impl Cell {
    /// The turns from the close on; `Fair` ones follow.
    fn turns(self) -> Vec<Turn> {
        let mut turns = match self.behaviour {
            Behaviour::SameBlock => vec![Turn::CommitmentsAndClaims],
            // In the block that buries the commitment: the last one in which a preimage prevents the failure upstream.
            Behaviour::SuccessFirst => vec![Turn::Commitments, Turn::Empty, Turn::Peer],
            Behaviour::Idle | Behaviour::TimeoutFirst | Behaviour::Aggregated | Behaviour::TwoChannels => {
                vec![Turn::Commitments, Turn::Peer]
            }
        };
        if self.reorg {
            // The peer is first, then we are, then the peer again, a block later.
            turns.extend([Turn::Fair, Turn::Fair]);
            let blocks = u32::try_from(turns.len()).unwrap();
            if self.behaviour == Behaviour::SameBlock {
                // The claims are in the commitment's block, so that block must be disconnected too.
                turns.extend([Turn::Reorg(blocks), Turn::Commitments]);
            } else {
                turns.push(Turn::Reorg(blocks - 1));
            }
            turns.extend([Turn::Ours, Turn::Ours, Turn::Reorg(2), Turn::Empty, Turn::PeerAfterReorg]);
        }
        turns
    }
}

/// A cell at its end.
pub struct Played {
    pub fixtures: Vec<ChannelFixture>,
    pub chain: Chain,
    pub node: Notebook,
    pub frames: Vec<Frame>,
    pub court: ChainArbitrator,
    /// Every script of our wallet.
    pub ours: BTreeSet<ScriptBuf>,
    /// Every script of the peer's wallet.
    pub peers: BTreeSet<ScriptBuf>,
    /// Payment hashes whose preimage the peer showed on chain, at any time.
    pub shown: BTreeSet<PaymentHash>,
    /// How often a restarting process appended a frame, and how often it restarted; zero for one that does not restart.
    pub restarts: (u64, u64),
}

struct World {
    cell: Cell,
    chain: Chain,
    fixtures: Vec<ChannelFixture>,
    node: Notebook,
    peer: Peer,
    memory: Memory,
    /// Payment hashes whose preimage we know.
    known: BTreeSet<PaymentHash>,
    /// Those whose preimage the peer showed on chain.
    shown: BTreeSet<PaymentHash>,
}

impl Surroundings for World {
    type Storage = Memory;

    fn storage(&mut self) -> Result<Memory, JournalError<MemoryError>> {
        Ok(self.memory.clone())
    }

    fn parts(&mut self) -> (&mut Chain, Box<dyn Signer>, SmallWallet, &mut dyn Node) {
        let signer = signer(&self.fixtures);
        (&mut self.chain, Box::new(signer), SmallWallet::new(KEYS.clone()), &mut self.node)
    }

    fn chain(&self) -> &Chain {
        &self.chain
    }
}

fn signer(fixtures: &[ChannelFixture]) -> KeySigner {
    let mut signer = KeySigner::new(KEYS.clone());
    for fixture in fixtures {
        let setup = fixture.setup();
        signer.add_channel(setup.id, setup.funding, setup.local.clone());
    }
    signer
}

/// Our process: one that runs on, or one that restarts after every append.
enum OurSide {
    Continuous { driver: Box<Driver<Memory>>, signer: KeySigner, wallet: SmallWallet },
    Restarting(Box<Process>),
}

/// Plays a cell until its channels are resolved and removed.
pub fn play(cell: Cell, restarts: bool) -> Played {
    let mut world = World::new(cell);
    let mut us = world.start(restarts);
    let mut inbox = world.opening_events();
    let mut court = us.turn(&mut world, core::mem::take(&mut inbox));
    for _ in 0..3 {
        world.advance(Turn::Empty);
        court = us.turn(&mut world, Vec::new());
    }
    let mut turns = cell.turns().into_iter();
    let open =
        |court: &ChainArbitrator, world: &World| world.fixtures.iter().any(|own| court.index_of(&own.id()).is_some());
    while open(&court, &world) {
        assert!(world.chain.tip().0 < END, "not resolved: {:?}", world.node.reports);
        world.advance(turns.next().unwrap_or(Turn::Fair));
        court = us.turn(&mut world, Vec::new());
    }
    let mut frames = Vec::new();
    let read = Journal::open(world.memory.clone()).unwrap().frames(1..u64::MAX, |frame| {
        frames.push(frame);
        ControlFlow::<()>::Continue(())
    });
    read.unwrap();
    let mut ours = SmallWallet::new(KEYS.clone()).scripts();
    ours.extend(world.fixtures.iter().map(|fixture| fixture.setup().fallback_script.clone()));
    let restarts = if let OurSide::Restarting(process) = &us { (process.appends, process.restarts) } else { (0, 0) };
    let World { chain, fixtures, node, peer, shown, .. } = world;
    Played { fixtures, chain, node, frames, court, ours, peers: peer.wallet().scripts(), shown, restarts }
}

impl World {
    fn new(cell: Cell) -> Self {
        let mut chain = Chain::new(ChainConfig { start_height: START, ..ChainConfig::default() });
        let fixtures = cell.fixtures().unwrap();
        fixtures.iter().for_each(|fixture| fixture.plant(&mut chain).unwrap());
        let mut peer = PEER.clone();
        for _ in 0..8 {
            chain.mint(peer.wallet().deposit_script(), PEER_COINS_SAT / 8);
        }
        *peer.plan_mut() = PeerPlan {
            preimages: peers_preimages().map(|preimage| (preimage, 0)).collect::<BTreeMap<_, _>>(),
            claims: cell.behaviour != Behaviour::Idle,
            sweeps: cell.behaviour != Behaviour::Idle,
            order: cell.order(false),
            together: matches!(cell.behaviour, Behaviour::Aggregated | Behaviour::TwoChannels),
            ..PeerPlan::default()
        };
        let known = (0..).zip(&fixtures).map(|(channel, _)| secret(channel, 4).hash()).collect();
        let (node, memory) = (Notebook::default(), Memory::new());
        Self { cell, chain, fixtures, node, peer, memory, known, shown: BTreeSet::new() }
    }

    fn start(&mut self, restarts: bool) -> OurSide {
        let policy = Policy {
            // Expired HTLCs take no channel to chain before the peer publishes, and low depths end the cell early.
            own_grace: Blocks::new(200),
            irrevocable_depth: Blocks::new(9),
            alone: Blocks::new(2),
            penalty_split: Blocks::new(3),
            ..Policy::default()
        };
        let identity = JournalIdentity {
            network: self.chain.config().network,
            journal: [0x74; 32],
            tip: tip(&self.chain),
            policy,
        };
        if restarts {
            return OurSide::Restarting(Box::new(Process::new(identity, true)));
        }
        let best_height = Height::new(self.chain.tip().0);
        let started = Started { build: "breach suite".into(), freshness: Freshness::Trusted, best_height, run: 0 };
        let driver = Box::new(Driver::start(self.memory.clone(), &identity, started).unwrap());
        OurSide::Continuous { driver, signer: signer(&self.fixtures), wallet: SmallWallet::new(KEYS.clone()) }
    }

    /// What the node says before the peer publishes.
    fn opening_events(&self) -> Vec<Event> {
        let mut events = vec![estimate()];
        for channel in (0..).take(self.fixtures.len()) {
            let mut fixture = self.cell.bare(channel);
            events.extend(updates(&mut fixture, self.cell.states(channel)).unwrap());
            let usable_for = vec![HtlcKey { channel: fixture.id(), htlc: KNOWN }];
            events.push(Event::PreimageLearned { preimage: secret(channel, 4), usable_for });
        }
        events
    }

    /// Plays one turn on the chain.
    fn advance(&mut self, turn: Turn) {
        let fixtures: Vec<&ChannelFixture> = self.fixtures.iter().collect();
        let block = match turn {
            Turn::Commitments => self.chain.mine_own(commitments(&fixtures)).unwrap(),
            Turn::CommitmentsAndClaims => {
                let mut txs = commitments(&fixtures);
                fixtures.iter().for_each(|fixture| txs.extend(claims(fixture)));
                self.chain.mine_own(txs).unwrap()
            }
            Turn::Peer | Turn::PeerAfterReorg => {
                self.peer.plan_mut().order = self.cell.order(matches!(turn, Turn::PeerAfterReorg));
                let template = self.peer.template(&fixtures, &self.chain, &Withheld::Everything).unwrap();
                self.chain.mine_template(template).unwrap()
            }
            Turn::Fair => {
                for tx in self.peer.act_on(&fixtures, &self.chain).unwrap() {
                    // A transaction that lost a race, or pays less than ours, is refused.
                    let _not_now = self.chain.submit(tx).err();
                }
                self.chain.mine()
            }
            Turn::Ours => {
                let block = self.chain.mine();
                assert!(
                    fixtures.iter().all(|fixture| is_taken(fixture, &self.chain)),
                    "an output of the revoked commitment is not taken by us"
                );
                block
            }
            Turn::Empty => self.chain.mine_txs(Vec::new()).unwrap(),
            Turn::Reorg(blocks) => {
                self.chain.reorg_drop(blocks);
                self.chain.clear_mempool();
                return;
            }
        };
        self.learn(&block);
    }

    /// A preimage that a block shows stays known, also if the block is disconnected.
    fn learn(&mut self, block: &Block) {
        let items = block.txs.iter().flat_map(|tx| &tx.input).flat_map(|input| &input.witness);
        let preimages = items.filter_map(|item| <[u8; 32]>::try_from(item).ok());
        self.shown.extend(preimages.map(|preimage| Preimage(preimage).hash()));
        self.known.extend(&self.shown);
    }

    /// Panics unless each HTLC that got its outcome in this turn was settled if its preimage is known, and failed otherwise.
    fn judge_outcomes(&self, before: &BTreeMap<HtlcKey, (Acknowledged, Option<Preimage>)>) {
        for (key, (done, _)) in self.node.origins.iter().filter(|(key, _)| !before.contains_key(key)) {
            let known = self.known.contains(&hash_of(&self.fixtures, key));
            let expected = if known { Acknowledged::Settled } else { Acknowledged::Failed };
            assert_eq!(*done, expected, "{key:?}, preimage known: {known}");
        }
    }
}

/// The payment hash of an HTLC.
pub fn hash_of(fixtures: &[ChannelFixture], key: &HtlcKey) -> PaymentHash {
    let own = fixtures.iter().filter(|fixture| fixture.id() == key.channel);
    let mut htlcs = own.flat_map(|fixture| fixture.states(Side::Remote).values()).flat_map(|state| &state.htlcs);
    htlcs.find(|htlc| htlc.key == key.htlc).map(|htlc| htlc.payment_hash).unwrap()
}

impl OurSide {
    /// Hears the last block and carries out what is due.
    fn turn(&mut self, world: &mut World, inbox: Vec<Event>) -> ChainArbitrator {
        let before = world.node.origins.clone();
        let court = match self {
            Self::Restarting(process) => {
                (process.first, process.inbox) = (vec![estimate()], inbox);
                let rest = process.run(world).unwrap();
                assert!(rest.refusals.is_empty(), "{:?}", rest.refusals);
                rest.court
            }
            Self::Continuous { driver, signer, wallet } => {
                wallet.rescan(&world.chain);
                let heard = driver.court().tip();
                let mut host = Host::new(&mut world.chain, signer, wallet, &mut world.node, heard);
                run_turn(driver, &mut host, inbox);
                assert!(host.refusals.is_empty(), "{:?}", host.refusals);
                driver.court().clone()
            }
        };
        world.judge_outcomes(&before);
        court
    }
}

/// One turn of a process that runs on.
fn run_turn(driver: &mut Driver<Memory>, host: &mut Host<'_, Chain>, inbox: Vec<Event>) {
    driver.tell(estimate());
    driver.tell_all(inbox);
    loop {
        let Ok(blocks) = source::next_blocks(host.chain, driver.court().tip(), 1);
        driver.tell_all(blocks);
        let appended = driver.commit(host).unwrap();
        host.heard = driver.court().tip();
        driver.perform(host);
        let behind = driver.court().tip() != tip(host.chain);
        if !behind && !appended && !driver.has_waiting() {
            return;
        }
        // Answers that change nothing end the turn: what is due stays due in the next block.
        if !behind && !driver.commit(host).unwrap() {
            return;
        }
    }
}

/// Whether every output of the revoked commitment except the anchors is spent.
fn is_taken(fixture: &ChannelFixture, chain: &Chain) -> bool {
    let revoked = fixture.commitment(Side::Remote, REVOKED).unwrap();
    let is_anchor = |kind: &OutputKind| matches!(kind, OutputKind::OwnerAnchor | OutputKind::OtherAnchor);
    let mut outputs = (0..).zip(&revoked.built.outputs).filter(|(_, kind)| !is_anchor(kind));
    outputs.all(|(vout, _)| chain.spender_of(&revoked.outpoint(vout)).is_some())
}

fn estimate() -> Event {
    flat_fees(FEERATE_SAT_PER_KW, FEERATE_SAT_PER_KW)
}

fn commitments(fixtures: &[&ChannelFixture]) -> Vec<Transaction> {
    fixtures.iter().map(|fixture| fixture.remote_commitment_tx(REVOKED).unwrap()).collect()
}

/// Every HTLC transaction that the peer can make of its revoked commitment.
fn claims(fixture: &ChannelFixture) -> Vec<Transaction> {
    let commitment = fixture.commitment(Side::Remote, REVOKED).unwrap();
    let rates = Rates { feerate_sat_per_kw: 500, floor_sat_per_kvb: 1000 };
    let claimant = Claimant { fixture, side: Side::Remote, commitment: &commitment, rates };
    let claim = |index: usize| {
        commitment.htlc_output(index).ok()?;
        let htlc = commitment.htlcs.get(index)?;
        let mut preimages = peers_preimages();
        let preimage = preimages.find(|preimage| htlc.key.is_offered() && preimage.hash() == htlc.payment_hash);
        Some(claimant.second_level(index, preimage, None).unwrap())
    };
    (0..commitment.htlcs.len()).filter_map(claim).collect()
}
