//! A process that can die after every append but that of its start. The court, the wallet's reservations, the signer's
//! requests and queued answers die with it; the journal and the world outside stay.

use arb_core::{ChainArbitrator, ChannelId, Event, Freshness, Height, JournalIdentity, Started, Tip};
use arb_harness::driver::Driver;
use arb_harness::host::Host;
use arb_harness::node::Node;
use arb_harness::signer::Signer;
use arb_harness::source;
use arb_log::{JournalError, Storage};

use crate::chain::Chain;
use crate::wallet::SmallWallet;

/// The world outside the process, and how the process gets its parts after a restart.
pub trait Surroundings {
    /// The storage of the journal.
    type Storage: Storage;

    /// Opens the storage again.
    ///
    /// # Errors
    /// The error of the storage, if it does not open.
    fn storage(&mut self) -> Result<Self::Storage, JournalError<<Self::Storage as Storage>::Error>>;

    /// The chain, a new signer, a wallet without reservations, and the node.
    fn parts(&mut self) -> (&mut Chain, Box<dyn Signer>, SmallWallet, &mut dyn Node);

    /// The chain, to be read.
    fn chain(&self) -> &Chain;
}

/// The settings and counters of a process, and the events that wait for it.
#[derive(Clone, Debug)]
pub struct Process {
    /// The identity of the journal.
    pub identity: JournalIdentity,
    /// Events that the next step hears before the blocks, such as estimates.
    pub first: Vec<Event>,
    /// Events of the node and the operator that the next step hears after the blocks.
    pub inbox: Vec<Event>,
    /// The most blocks of one step.
    pub blocks_a_step: usize,
    /// Frames appended so far, without those of starts.
    pub appends: u64,
    /// How often the process died and recovered.
    pub restarts: u64,
    /// Whether the process dies after every append, except that of the start itself: nothing would ever follow it.
    pub dies: bool,
}

/// The state after a run of the process.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// The court after the last step.
    pub court: ChainArbitrator,
    /// Events that the court refused, with the reason.
    pub refusals: Vec<(Event, arb_core::Rejected)>,
}

/// The build name that this crate writes into a journal.
pub const BUILD: &str = concat!("arb ", env!("CARGO_PKG_VERSION"));

impl Process {
    /// A process for a journal.
    pub fn new(identity: JournalIdentity, dies: bool) -> Self {
        Self { identity, first: Vec::new(), inbox: Vec::new(), blocks_a_step: 1, appends: 0, restarts: 0, dies }
    }

    /// Runs until the court knows the chain's tip, no event waits, and no action that is due leads to a new event.
    ///
    /// # Errors
    /// The first error of the journal.
    pub fn run<W: Surroundings>(
        &mut self,
        world: &mut W,
    ) -> Result<Stopped, JournalError<<W::Storage as Storage>::Error>> {
        let mut refusals = Vec::new();
        loop {
            let storage = world.storage()?;
            let best_height = Height::new(world.chain().tip().0);
            let started = Started { build: BUILD.into(), freshness: Freshness::Trusted, best_height, run: 0 };
            let mut driver = Driver::start(storage, &self.identity, started)?;
            let (chain, mut signer, mut wallet, node) = world.parts();
            wallet.rescan(chain);
            let mut host = Host::new(chain, &mut *signer, &mut wallet, node, driver.court().tip());
            // The node keeps what no frame has, so there is nothing to tell again.
            driver.tell(all_told());
            driver.commit(&mut host)?;
            let lives = self.live(&mut driver, &mut host)?;
            refusals.append(&mut host.refusals);
            if !lives {
                return Ok(Stopped { court: driver.court().clone(), refusals });
            }
            self.restarts += 1;
        }
    }

    /// Runs until the first append, if the process dies after it, or until the process is idle. True if it died.
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

/// The node has told everything of every channel.
pub fn all_told() -> Event {
    Event::AdoptionComplete { channel: None, committed: Vec::new() }
}

/// The tip of a chain, as the court names it.
pub fn tip(chain: &Chain) -> Tip {
    let (height, hash) = chain.tip();
    Tip { height: Height::new(height), hash }
}

/// The journal id of a demonstration: derived from channel and name, so the same scenario writes the same bytes.
pub fn journal_id(channel: &ChannelId, name: &str) -> [u8; 32] {
    use bitcoin::hashes::{Hash, HashEngine, sha256};
    let mut engine = sha256::Hash::engine();
    engine.input(&channel.0);
    engine.input(name.as_bytes());
    sha256::Hash::from_engine(engine).to_byte_array()
}
