//! The state of the simulated process, and what outlives it: the journal and the node's inbox. It runs in
//! [`faults::process`](crate::sim::faults).

use std::collections::BTreeMap;

use arb_core::{ChainArbitrator, Event, JournalIdentity, Rejected};
use arb_harness::driver::Driver;
use arb_log::memory::Memory;
use bitcoin::{OutPoint, TxOut};

use crate::sim::plan::faults::Faults;
use crate::sim::plan::seeds::OUR_KEYS;
use crate::sim::world::manners::Manners;
use crate::sim::world::signer::SimSigner;
use crate::wallet::SmallWallet;

/// The most blocks that the process hears in one step: after more, the estimate would be stale.
pub(crate) const BLOCKS_A_STEP: usize = 6;

/// The process that runs the court, its storage, and the host parts that it has.
pub(crate) struct Process {
    /// Draws the fault of each turn.
    pub(crate) faults: Faults,
    /// The storage of the journal; it outlives the process.
    pub(crate) memory: Memory,
    pub(crate) identity: JournalIdentity,
    pub(crate) wallet: SmallWallet,
    /// Coins that every new wallet believes in and that are gone.
    pub(crate) gone: BTreeMap<OutPoint, TxOut>,
    pub(crate) signer: SimSigner,
    /// The running court; `None` after a crash, until the next turn.
    pub(crate) driver: Option<Driver<Memory>>,
    /// The court of the process that died: recovery must give the same (I2).
    pub(crate) dead: Option<ChainArbitrator>,
    /// Events of the node that no durable step has heard yet.
    pub(crate) inbox: Vec<Event>,
    /// Whether the process has just started, and the node is still to say that it has told everything.
    pub(crate) retells: bool,
    /// Whether the journal comes from a backup, and the channels are not brought up to date yet (A4).
    pub(crate) is_suspect: bool,
    /// Whether the node has nothing newer to tell than the journal has.
    pub(crate) is_mute: bool,
    /// A backup of the journal.
    pub(crate) backup: Option<Backup>,
    /// How node and chain source answer.
    pub(crate) manners: Manners,
    /// Whether the driver already holds the new blocks and the inbox.
    pub(crate) told: bool,
    /// Events that the court refused since the process was idle last.
    pub(crate) refusals: Vec<(Event, Rejected)>,
    /// Whether a write was durable but reported as failed since the process was idle last.
    pub(crate) heard_again: bool,
    /// The sequence number of the last frame after which the court was checked.
    pub(crate) checked: u64,
    /// The height at which the court next wants to act, at that frame.
    pub(crate) alarm: Option<u32>,
    /// The sequence number of the frame at the last checkpoint.
    pub(crate) checkpointed: u64,
}

/// A copy of the journal.
pub(crate) struct Backup {
    pub(crate) memory: Memory,
    pub(crate) checkpointed: u64,
    /// The numbers of each channel then: our commitment, and the counterparty's.
    pub(crate) numbers: Vec<(u64, u64)>,
}

impl Process {
    /// A process that has not run yet.
    pub(crate) fn new(
        identity: JournalIdentity,
        signer: SimSigner,
        gone: BTreeMap<OutPoint, TxOut>,
        faults: Faults,
    ) -> Self {
        Self {
            faults,
            memory: Memory::new(),
            identity,
            wallet: new_wallet(&gone),
            gone,
            signer,
            driver: None,
            dead: None,
            inbox: Vec::new(),
            retells: false,
            is_suspect: false,
            is_mute: false,
            backup: None,
            manners: Manners::default(),
            told: false,
            refusals: Vec::new(),
            heard_again: false,
            checked: 0,
            alarm: None,
            checkpointed: 0,
        }
    }

    /// The court of the live process, or of the process that died.
    pub(crate) fn court(&self) -> Option<&ChainArbitrator> {
        self.driver.as_ref().map(Driver::court).or(self.dead.as_ref())
    }
}

/// Our wallet after a start: without reservations, and wrong about these coins.
pub(crate) fn new_wallet(gone: &BTreeMap<OutPoint, TxOut>) -> SmallWallet {
    let mut wallet = SmallWallet::new(OUR_KEYS.clone());
    wallet.believe(gone);
    wallet
}
