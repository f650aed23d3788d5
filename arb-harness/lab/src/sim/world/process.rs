//! The simulated process and what outlives it: the journal, and the node's inbox.

use arb_core::{ChainArbitrator, Event, JournalIdentity, Rejected};
use arb_harness::driver::Driver;
use arb_harness::signer::KeySigner;
use arb_log::memory::Memory;

use crate::sim::plan::faults::Faults;
use crate::sim::plan::seeds::OUR_KEYS;
use crate::wallet::SmallWallet;

/// The most blocks that the process hears in one step: an estimate must not grow stale on the way.
pub(crate) const BLOCKS_A_STEP: usize = 6;

/// The process that runs the court.
pub(crate) struct Process {
    /// What may happen to it in a turn.
    pub(crate) faults: Faults,
    pub(crate) memory: Memory,
    pub(crate) identity: JournalIdentity,
    pub(crate) wallet: SmallWallet,
    pub(crate) signer: KeySigner,
    /// While it lives.
    pub(crate) driver: Option<Driver<Memory>>,
    /// The court of the process that died: recovery must give the same.
    pub(crate) dead: Option<ChainArbitrator>,
    /// Events that the node has not seen answered.
    pub(crate) inbox: Vec<Event>,
    /// The process has been told what waits, and holds it.
    pub(crate) told: bool,
    pub(crate) refusals: Vec<(Event, Rejected)>,
    /// A write was durable and reported failed since the last rest.
    pub(crate) heard_again: bool,
    /// The frame after which the court was looked at last.
    pub(crate) looked: u64,
    /// The next alarm then.
    pub(crate) alarm: Option<u32>,
    /// The frame of the last checkpoint.
    pub(crate) checkpointed: u64,
}

impl Process {
    /// A process that has not run yet.
    pub(crate) fn new(identity: JournalIdentity, signer: KeySigner, faults: Faults) -> Self {
        Self {
            faults,
            memory: Memory::new(),
            identity,
            wallet: SmallWallet::new(OUR_KEYS.clone()),
            signer,
            driver: None,
            dead: None,
            inbox: Vec::new(),
            told: false,
            refusals: Vec::new(),
            heard_again: false,
            looked: 0,
            alarm: None,
            checkpointed: 0,
        }
    }

    /// The court, as it is now or was last.
    pub(crate) fn court(&self) -> Option<&ChainArbitrator> {
        self.driver.as_ref().map(Driver::court).or(self.dead.as_ref())
    }
}
