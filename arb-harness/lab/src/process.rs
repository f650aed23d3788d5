//! A process that dies after every append: court, wallet reservations, signer requests, queued answers, all of it. What
//! stays is the journal on disk and the world outside.

use arb_core::{ChainArbitrator, ChannelId, Event, Freshness, Height, JournalIdentity, Started, Tip};
use arb_harness::driver::Driver;
use arb_harness::host::Host;
use arb_harness::node::Node;
use arb_harness::signer::Signer;
use arb_harness::source;
use arb_log::{JournalError, Storage};

use crate::chain::Chain;
use crate::wallet::SmallWallet;

/// What does not die with the process, and how its parts are made again.
pub trait Surroundings {
    /// The storage that the journal is in.
    type Storage: Storage;

    /// Opens the storage again.
    ///
    /// # Errors
    /// If it cannot be opened.
    fn storage(&mut self) -> Result<Self::Storage, JournalError<<Self::Storage as Storage>::Error>>;

    /// The chain, a new signer, a wallet that has forgotten its reservations, and the node.
    fn parts(&mut self) -> (&mut Chain, Box<dyn Signer>, SmallWallet, &mut dyn Node);

    /// The chain.
    fn chain(&self) -> &Chain;
}

/// How a process is run.
#[derive(Clone, Debug)]
pub struct Process {
    /// What the journal belongs to.
    pub identity: JournalIdentity,
    /// Events that are to be heard before the next blocks, such as estimates.
    pub first: Vec<Event>,
    /// Events from the node and the operator that were not heard yet; they come after the blocks.
    pub inbox: Vec<Event>,
    /// The most blocks of one step.
    pub blocks_a_step: usize,
    /// Frames appended so far.
    pub appends: u64,
    /// Times that everything was dropped and recovered.
    pub restarts: u64,
    /// Whether to die after every append.
    pub dies: bool,
}

/// What a run of the process left behind.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// The court, as it was last.
    pub court: ChainArbitrator,
    /// Refusals that nobody should have got.
    pub refusals: Vec<(Event, arb_core::Rejected)>,
}

/// The name under which this build decides.
pub const BUILD: &str = concat!("arb ", env!("CARGO_PKG_VERSION"));

impl Process {
    /// A process for a journal.
    pub fn new(identity: JournalIdentity, dies: bool) -> Self {
        Self { identity, first: Vec::new(), inbox: Vec::new(), blocks_a_step: 1, appends: 0, restarts: 0, dies }
    }

    /// Runs until the court knows the chain's tip, nothing waits, and nothing new comes of anything that is due.
    ///
    /// # Errors
    /// If the journal fails.
    pub fn run<W: Surroundings>(
        &mut self,
        world: &mut W,
    ) -> Result<Stopped, JournalError<<W::Storage as Storage>::Error>> {
        let mut refusals = Vec::new();
        loop {
            let storage = world.storage()?;
            let best_height = Height::new(world.chain().tip().0);
            let started = Started { build: BUILD.into(), freshness: Freshness::Trusted, best_height };
            let mut driver = Driver::start(storage, &self.identity, started)?;
            let (chain, mut signer, mut wallet, node) = world.parts();
            wallet.rescan(chain);
            let mut host = Host::new(chain, &mut *signer, &mut wallet, node, driver.court().tip());
            let lives = self.live(&mut driver, &mut host)?;
            refusals.append(&mut host.refusals);
            if !lives {
                return Ok(Stopped { court: driver.court().clone(), refusals });
            }
            self.restarts += 1;
        }
    }

    /// One life of the process: until it has appended, or until nothing is left to do. Whether it has to live again.
    fn live<S: Storage>(
        &mut self,
        driver: &mut Driver<S>,
        host: &mut Host<'_, Chain>,
    ) -> Result<bool, JournalError<S::Error>> {
        loop {
            driver.tell_all(core::mem::take(&mut self.first));
            let Ok(blocks) = source::next_blocks(host.chain, driver.court().tip(), self.blocks_a_step);
            let idle = blocks.is_empty();
            driver.tell_all(blocks);
            driver.tell_all(core::mem::take(&mut self.inbox));
            let appended = driver.commit(host)?;
            host.heard = driver.court().tip();
            if appended {
                self.appends += 1;
                if self.dies {
                    return Ok(true);
                }
            }
            let performed = driver.perform(host);
            if !appended && idle && (performed == 0 || !driver.has_waiting()) {
                return Ok(false);
            }
            let appended = driver.commit(host)?;
            if appended {
                self.appends += 1;
                if self.dies {
                    return Ok(true);
                }
            } else if idle {
                return Ok(false);
            }
        }
    }
}

/// The tip of a chain, as the court names it.
pub fn tip(chain: &Chain) -> Tip {
    let (height, hash) = chain.tip();
    Tip { height: Height::new(height), hash }
}

/// The journal id of a demonstration: derived, so that the same scenario writes the same bytes.
pub fn journal_id(channel: &ChannelId, name: &str) -> [u8; 32] {
    use bitcoin::hashes::{Hash, HashEngine, sha256};
    let mut engine = sha256::Hash::engine();
    engine.input(&channel.0);
    engine.input(name.as_bytes());
    sha256::Hash::from_engine(engine).to_byte_array()
}
