//! Why a journal refused. Every refusal says where and what was expected.

use crate::frame::FrameError;
use crate::storage::{Condition, Key};
use arb_core::{ChannelIndex, Mismatch, Rejected};
use bitcoin::Network;
use core::fmt;

/// Why a journal did not do what it was asked to.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError<E> {
    /// The storage could not be read or claimed. Nothing was written.
    #[error("the storage failed")]
    Storage(#[source] E),
    /// A write failed: whether it is durable is unknown. The journal is latched from now on.
    #[error("a write failed, and may still be durable; the journal is latched: reopen it, then catch up")]
    Undecided(#[source] E),
    /// An earlier write failed, so nothing more is written until [`reopen`](crate::Journal::reopen).
    #[error("the journal is latched after a failed write; reopen it, then catch up")]
    Latched,
    /// Another owner has taken the storage over. Nothing was written, and nothing will be.
    #[error("owner {} is fenced: owner {epoch} has claimed the storage, and frame {next_sequence} comes next", .ours.epoch)]
    Fenced {
        /// The owner and the sequence that this journal expected.
        ours: Condition,
        /// The epoch of the present owner.
        epoch: u64,
        /// The sequence that the storage comes to next.
        next_sequence: u64,
    },
    /// [`recover`](crate::Journal::recover) comes before anything is written.
    #[error("the journal was not recovered yet")]
    NotRecovered,
    /// The court and the log are not at the same frame.
    #[error("frame {got}, expected {expected}: catch up, or recover")]
    OutOfOrder {
        /// The sequence that the log comes to next.
        expected: u64,
        /// The sequence that the court comes to next.
        got: u64,
    },
    /// The court has frames that the storage called durable and has lost.
    #[error("the court is at frame {court}, but the storage ends with frame {stored}")]
    StorageBehind {
        /// The court's last frame.
        court: u64,
        /// The storage's last frame.
        stored: u64,
    },
    /// A value is too large, and nothing was written. A step that heard fewer events fits.
    #[error("a frame or row cannot be written: {0}")]
    Unwritable(#[source] FrameError),
    /// A channel's row is too large for a checkpoint. The rows of all other channels were written.
    #[error("the row of channel {channel} cannot be written: {why}; the rows of all other channels were")]
    RowTooLarge {
        /// The channel.
        channel: ChannelIndex,
        /// What is wrong with it.
        #[source]
        why: FrameError,
    },
    /// Frames are missing.
    #[error("frame {expected} is missing{}", Next(*.found))]
    Gap {
        /// The frame that should be there.
        expected: u64,
        /// The next one that is.
        found: Option<u64>,
    },
    /// A frame is not what was written. That is corruption, also for the last frame: a storage never answers `Ok` for half
    /// a row, and actions may have gone out because of it.
    #[error("frame {sequence} of {last} is bad: {why}")]
    BadFrame {
        /// The frame.
        sequence: u64,
        /// The last frame that the storage has.
        last: u64,
        /// What is wrong with it.
        #[source]
        why: FrameError,
    },
    /// There is a frame that the storage does not count: its rows and its owner row do not belong together.
    #[error("frame {found} is there, but the storage says that frame {next_sequence} comes next")]
    Uncounted {
        /// The frame.
        found: u64,
        /// The sequence that the storage says comes next.
        next_sequence: u64,
    },
    /// A checkpoint's row, or a past commitment's, is not what was written.
    #[error("row {key} is bad: {why}")]
    BadRow {
        /// The row.
        key: Key,
        /// What is wrong with it.
        #[source]
        why: FrameError,
    },
    /// A row is about another channel or commitment, newer than itself, or not what the rows around it need.
    #[error("row {key} does not belong there")]
    Misplaced {
        /// The row.
        key: Key,
    },
    /// A past commitment's row is missing, and another row is a change from it.
    #[error("row {key} is missing, and row {needed_by} builds on it")]
    MissingRow {
        /// The row that should be there.
        key: Key,
        /// The row that was asked for.
        needed_by: Key,
    },
    /// A row stands for a frame that does not exist (yet): frames were lost.
    #[error("row {key} stands for frame {sequence}, but the storage ends with frame {last}")]
    RowAhead {
        /// The row.
        key: Key,
        /// The frame that it stands for.
        sequence: u64,
        /// The last frame that the storage has.
        last: u64,
    },
    /// Channels' rows are missing, or there are too many.
    #[error("{found} channel rows, expected {expected}")]
    ChannelRows {
        /// How many the court row counts.
        expected: u32,
        /// How many there are.
        found: u32,
    },
    /// Rows of resolved channels are missing, or there are too many.
    #[error("{found} rows of resolved channels, expected {expected}")]
    Tombstones {
        /// How many the court row counts.
        expected: u32,
        /// How many there are.
        found: u32,
    },
    /// The journal belongs to another network.
    #[error("the journal is for {found}, not for {expected}")]
    OtherNetwork {
        /// The network asked for.
        expected: Network,
        /// The journal's network.
        found: Network,
    },
    /// The journal has another id: it belongs to another node or store.
    #[error("this is journal {}, not {}", Id(.found), Id(.expected))]
    OtherJournal {
        /// The journal asked for.
        expected: [u8; 32],
        /// The journal found.
        found: [u8; 32],
    },
    /// The first frame is not `JournalOpened`: this crate did not write it.
    #[error(
        "the first frame is not JournalOpened, so the journal's node is unknown: open another one, or restore a backup"
    )]
    JournalNotOpened,
    /// The court refused the identity of a new journal.
    #[error("the identity of the new journal was refused: {0}")]
    Identity(#[source] Rejected),
    /// A frame says something that cannot have happened, or the rows cannot be one court.
    #[error("the log contradicts itself at frame {sequence}: {why}")]
    Mismatch {
        /// The frame.
        sequence: u64,
        /// The contradiction.
        #[source]
        why: Mismatch,
    },
}

impl<E> JournalError<E> {
    /// Whether another owner has taken over: the one error after which there is nothing to reopen.
    pub const fn is_fenced(&self) -> bool {
        matches!(self, Self::Fenced { .. })
    }
}

/// The frame after a gap, for people.
struct Next(Option<u64>);

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |found| write!(f, ", frame {found} comes next"))
    }
}

/// A journal's id, for people.
struct Id<'a>(&'a [u8; 32]);

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
