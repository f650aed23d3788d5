//! The journal: a court's frames in a storage, and the way back from them.
//!
//! It writes one frame for one step, in one atomic batch (R3) with the rows that belong to it, and knows three states: open;
//! *latched*, after a write that failed and may still be durable; *fenced*, after another owner has claimed the storage. Only
//! an open journal writes. It never judges: recovery folds what was recorded.

mod checkpoint;
mod error;
mod past;
mod reader;
mod recover;

pub use checkpoint::{Checkpoint, Retention};
pub use error::JournalError;
pub use reader::Reader;

use crate::frame;
use crate::storage::{Batch, Condition, Key, Space, Storage, WriteError};
use arb_core::{Frame, Log, Pending};
use core::ops::{ControlFlow, Range};
use std::collections::BTreeSet;

/// A court's log.
///
/// ```
/// use arb_core::{ChainArbitrator, Event};
/// use arb_log::{Journal, memory::Memory};
/// # use arb_core::{JournalIdentity, Height, Policy, Tip};
/// # use bitcoin::hashes::Hash;
/// # let tip = Tip { height: Height::new(100), hash: bitcoin::BlockHash::all_zeros() };
/// # let identity = JournalIdentity { network: bitcoin::Network::Regtest, journal: [7; 32], tip, policy: Policy::default() };
/// # let event = Event::PolicySet(Policy { max_inputs: 50, ..Policy::default() });
/// let mut journal = Journal::open(Memory::new())?;
/// let mut court = journal.recover(&identity)?;
///
/// let mut step = court.step();
/// let answer = step.hear(&event);
/// match step.commit(&mut journal) {
///     Ok(due) => assert_eq!(due, []), // durable: `answer` counts now, and these actions may be carried out
///     Err(error) if error.is_fenced() => return Err(error), // another owner has taken over
///     Err(_) => {
///         journal = journal.reopen()?;
///         journal.catch_up(&mut court)?; // the frame may be durable; then hear the events again
///     }
/// }
/// # assert!(answer.is_ok());
/// # Ok::<(), arb_log::JournalError<arb_log::memory::MemoryError>>(())
/// ```
#[derive(Debug)]
pub struct Journal<S: Storage> {
    storage: S,
    now: Condition,
    latch: Latch,
    retention: Retention,
    /// The rows next to the frames; `None` before `recover`.
    rows: Option<Rows>,
}

/// Whether anything may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Latch {
    Open,
    Undecided,
    Fenced { epoch: u64, next_sequence: u64 },
}

/// The rows of the last checkpoint.
#[derive(Debug)]
struct Rows {
    /// The frame that the court row stands for; 0 if there is none.
    court: u64,
    /// Every channel that existed then has a lower number; every channel opened later a higher one, or this.
    bound: u32,
    /// The channels that have a row, or may have.
    channels: BTreeSet<u32>,
}

impl<S: Storage> Journal<S> {
    /// Claims a storage: from now on every earlier owner is fenced. [`recover`](Self::recover) comes next.
    ///
    /// # Errors
    /// If the storage cannot be claimed.
    pub fn open(mut storage: S) -> Result<Self, JournalError<S::Error>> {
        let now = storage.claim().map_err(JournalError::Storage)?;
        Ok(Self { storage, now, latch: Latch::Open, retention: Retention::default(), rows: None })
    }

    /// Sets what becomes of frames that a checkpoint has made superfluous.
    #[must_use]
    pub fn with_retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Claims the storage once more after a failed write. What was in flight is durable now or never will be; which of the
    /// two, [`catch_up`](Self::catch_up) finds out, and it comes before the next step.
    ///
    /// # Errors
    /// If another owner has claimed the storage meanwhile: it is not taken back. If the storage cannot be claimed: then open
    /// and recover again.
    pub fn reopen(mut self) -> Result<Self, JournalError<S::Error>> {
        // A claim takes the storage from its owner, so look first who that is: an empty batch only checks the condition.
        // Its failure is ignored, because the claim fails then, too.
        self.look();
        if let Latch::Fenced { .. } = self.latch {
            self.writable()?;
        }
        self.now = self.storage.claim().map_err(JournalError::Storage)?;
        self.latch = Latch::Open;
        Ok(self)
    }

    /// Whether another owner has taken the storage over, as far as this journal has noticed.
    pub const fn is_fenced(&self) -> bool {
        matches!(self.latch, Latch::Fenced { .. })
    }

    /// Whether a write has failed, so that nothing is written until [`reopen`](Self::reopen).
    pub const fn is_latched(&self) -> bool {
        !matches!(self.latch, Latch::Open)
    }

    /// The owner that this journal is, and the sequence that it comes to next.
    pub const fn condition(&self) -> Condition {
        self.now
    }

    /// The sequence from which on the log tells the story: 1, or more once frames were compacted away.
    ///
    /// # Errors
    /// If the storage cannot be read.
    pub fn first_sequence(&self) -> Result<u64, JournalError<S::Error>> {
        let mut first = self.now.next_sequence;
        let mut visit = |key: Key, _: &[u8]| {
            first = key.number;
            ControlFlow::Break(())
        };
        self.storage.scan(Key::frame(0)..Key::frame(u64::MAX), &mut visit).map_err(JournalError::Storage)?;
        Ok(first)
    }

    /// Shows the frames in this range that the log still has, in order, until `visit` breaks off; what it broke off with
    /// comes back. Every frame shown was checked, so reading all of them is how an archive is verified.
    ///
    /// # Errors
    /// If a frame is missing or bad.
    pub fn frames<B>(
        &self,
        range: Range<u64>,
        visit: impl FnMut(Frame) -> ControlFlow<B>,
    ) -> Result<Option<B>, JournalError<S::Error>> {
        let start = range.start.max(self.first_sequence()?);
        self.each_frame(start..range.end.min(self.now.next_sequence), visit)
    }

    /// The storage, to be opened again.
    pub fn into_storage(self) -> S {
        self.storage
    }

    /// Shows exactly the frames in this range. None may be missing.
    fn each_frame<B>(
        &self,
        range: Range<u64>,
        mut visit: impl FnMut(Frame) -> ControlFlow<B>,
    ) -> Result<Option<B>, JournalError<S::Error>> {
        let last = self.last_sequence();
        let mut expected = range.start;
        let mut end = Ok(None);
        let mut each = |key: Key, row: &[u8]| {
            if key.number != expected {
                end = Err(JournalError::Gap { expected, found: Some(key.number) });
                return ControlFlow::Break(());
            }
            match frame::decode_frame(expected, row).map(&mut visit) {
                Ok(ControlFlow::Continue(())) => {
                    expected = expected.saturating_add(1);
                    return ControlFlow::Continue(());
                }
                Ok(ControlFlow::Break(with)) => end = Ok(Some(with)),
                Err(why) => end = Err(JournalError::BadFrame { sequence: expected, last, why }),
            }
            ControlFlow::Break(())
        };
        let keys = Key::frame(range.start)..Key::frame(range.end);
        self.storage.scan(keys, &mut each).map_err(JournalError::Storage)?;
        match end {
            Ok(None) if expected < range.end => Err(JournalError::Gap { expected, found: None }),
            end => end,
        }
    }

    /// The last frame that the storage has; 0 in an empty one.
    const fn last_sequence(&self) -> u64 {
        self.now.next_sequence.saturating_sub(1)
    }

    /// Refuses unless the journal may write.
    fn writable(&self) -> Result<(), JournalError<S::Error>> {
        match self.latch {
            Latch::Open => Ok(()),
            Latch::Undecided => Err(JournalError::Latched),
            Latch::Fenced { epoch, next_sequence } => {
                Err(JournalError::Fenced { ours: self.now, epoch, next_sequence })
            }
        }
    }

    /// Looks whether there is another owner. Writes nothing.
    fn look(&mut self) {
        if let Err(WriteError::Fenced { epoch, next_sequence }) = self.storage.write(self.now, &Batch::default()) {
            // The same epoch with another sequence is our own write that was reported failed.
            if epoch != self.now.epoch {
                self.latch = Latch::Fenced { epoch, next_sequence };
            }
        }
    }

    /// Writes one batch, or latches.
    fn write(&mut self, batch: &Batch) -> Result<(), JournalError<S::Error>> {
        self.writable()?;
        // Latched first: after a panic of the storage that a caller catches, durability is unknown, too.
        self.latch = Latch::Undecided;
        match self.storage.write(self.now, batch) {
            Ok(()) => {
                self.now.next_sequence = self.now.next_sequence.saturating_add(batch.appended);
                self.latch = Latch::Open;
                Ok(())
            }
            Err(WriteError::Fenced { epoch, next_sequence }) => {
                self.latch = Latch::Fenced { epoch, next_sequence };
                self.writable()
            }
            Err(WriteError::Failed(why)) => Err(JournalError::Undecided(why)),
        }
    }
}

impl<S: Storage> Log for Journal<S> {
    type Error = JournalError<S::Error>;

    fn append(&mut self, pending: &Pending<'_>) -> Result<(), Self::Error> {
        let frame = pending.frame();
        if frame.entries.is_empty() {
            // Nothing was accepted. The court does not count such a frame, so the log must not either.
            return Ok(());
        }
        self.writable()?;
        if self.rows.is_none() {
            return Err(JournalError::NotRecovered);
        }
        let expected = self.now.next_sequence;
        if frame.sequence != expected {
            return Err(JournalError::OutOfOrder { expected, got: frame.sequence });
        }
        let bytes = frame::encode_frame(frame).map_err(JournalError::Unwritable)?;
        let rows = past::rows(expected, pending.commitments()).map_err(JournalError::Unwritable)?;
        let put = core::iter::once((Key::frame(expected), bytes)).chain(rows).collect();
        self.write(&Batch { put, appended: 1, ..Batch::default() })
    }
}

/// Where the court row is.
const COURT: Key = Key::new(Space::Meta, 0, 0);
