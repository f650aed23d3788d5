//! `arb-log`: the ArbitratorLog of the `arb` contract court.
//!
//! A court decides; this crate makes sure that what it decided is still known after a crash. It turns steps into
//! [frames](frame), keeps them in a [`Storage`] through a [`Journal`], and folds them back into the same court. It does no
//! IO itself: a storage is a trait of four functions, [`memory::Memory`] is one that fails on demand.
//!
//! # What it promises
//!
//! - A step's actions are released only after its frame is durable, in one atomic append.
//! - The recovered court equals the court that wrote, whatever was interrupted: an append, a checkpoint, a compaction.
//! - What was signed for the counterparty is found again years later by channel and number, in two reads: its rows are durable
//!   with the frame that heard it, and go when their channel does. See [`Journal::revoked`].
//! - Of two processes on one storage one is fenced at its next write, and told so.
//! - A log that was damaged, cut, mixed up, written by a newer build, or that belongs to another network or node, is refused
//!   with the place. Nothing is skipped: a court with a hole in its memory signs the wrong commitment.
//!
//! # What it does not
//!
//! - Find out about forgery: a checksum finds accidents. Who can write to the storage can write another past.
//! - Notice a storage that went back to an earlier state as a whole (a restored disk image) by itself: that is what the
//!   embedder says with `Started { freshness: Suspect }`.
//! - Read what recovery does not need: frames before the checkpoint are checked by [`Journal::frames`], past commitments by
//!   [`Journal::revoked`], not at every start.
//!
//! # The format
//!
//! A frame, and in the same form every other row, little-endian:
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | length of the payload, at most [`frame::PAYLOAD_MAX`] |
//! | 4 | 4 | CRC-32C over everything but itself |
//! | 8 | 8 | sequence: frames count from 1 without gaps; a row has that of the frame it stands for |
//! | 16 | 2 | version of the payload's format, now [`frame::VERSION`]; newer ones are refused |
//! | 18 | … | payload: postcard, in the one encoding that a value has |
//!
//! | row's key: space, channel, number | payload |
//! |---|---|
//! | `Frame`, 0, sequence | the step's entries |
//! | `Channel`, index, 0 | index and channel |
//! | `Commitment`, index, number | index, number, and a past commitment of the counterparty: whole, or a change |
//! | `Meta`, 0, 0 | the court row: the court without its channels, how many there are, below which index |
//!
//! # Versions of the format
//!
//! | version | what changed | this build |
//! |---|---|---|
//! | 0 | nothing: no build ever wrote it | refuses it |
//! | 1 | the first one | reads and writes it |
//! | 2 and above | written by newer builds | refuses it |
//!
//! Version 1 grew while it had no other number: the sweeper's records, the policy's `pressing_permille`, rows of past
//! commitments and the candidates of `RevokedLoaded`, the classes and paths of a breach. The number does not tell these builds
//! apart, so a journal of a build before the last of them must not be opened.
//!
//! The format is frozen at release 0.1. Until then, whatever changes an encoding
//!
//! - raises [`frame::VERSION`] once, with a line in the table, however many values it changes;
//! - refuses journals of earlier versions by their number: none is converted, none is guessed at;
//! - exports the journals that tests read anew;
//! - has a note that lists the decisions that are other ones now, each with the id that it is defined under in
//!   [`arb_core::incidents`] or on the front page of [`arb_core`].
//!
//! # Answering `LoadRevoked`
//!
//! When a revoked commitment confirms, the court asks what it was. Whoever has the journal answers; the same where the action
//! is due again, after a restart say:
//!
//! ```
//! use arb_core::{Action, ChainArbitrator, Event, RevokedCommitment};
//! use arb_log::{Journal, JournalError, Storage};
//!
//! /// What the node's own records have, for a channel that was adopted while it ran.
//! fn known_to_the_node(number: u64) -> Vec<RevokedCommitment> {
//! #   let _ = number;
//!     Vec::new()
//! }
//!
//! fn answer<S: Storage>(court: &ChainArbitrator, journal: &Journal<S>, action: &Action) -> Option<Event> {
//!     let Action::LoadRevoked { id, channel, number, .. } = action else { return None };
//!     let (id, channel, number) = (*id, *channel, *number);
//!     let candidates = match journal.revoked(court.index_of(&channel)?, number) {
//!         Ok(candidates) if !candidates.is_empty() => candidates,
//!         // It may be there all the same: the action stays due, and comes again with the next block.
//!         Err(why @ JournalError::Storage(_)) => return Some(Event::Failed { id, channel, why: why.to_string() }),
//!         // Nothing there, or damaged, which somebody should know. An empty answer lets the court go on without.
//!         Ok(_) | Err(_) => known_to_the_node(number),
//!     };
//!     Some(Event::RevokedLoaded { channel, number, candidates })
//! }
//! ```
//!
//! Rows are made when a commitment is heard and at no other time. Frames that came some other way (copied out of an `.arb`
//! file into a new storage, say) fold to the same court, but the new storage has no rows: what was signed before counts as
//! not known, and what is signed next is found from the channel's next whole row on.
//!
//! # The crash argument
//!
//! Memory is never ahead of the storage, because a step becomes the court's state only after the append. The storage may be
//! ahead of memory, by the one append whose answer was lost; so a failed append *latches* the journal, and nothing more is
//! written until [`Journal::reopen`] has made an end of what was in flight and [`Journal::catch_up`] has folded what turned
//! out to be durable. A crash is the same with an empty memory. For checkpoints see `journal/checkpoint.rs`: channel rows
//! may be newer than the court row, never older.
//!
//! # Bad last is torn, bad middle is corruption
//!
//! In a file ([`arb_file`]) a bad frame at the very end is a write that was cut short: it is cut off and reported. A bad frame
//! with a good one after it, or a gap, is corruption and refuses to open. In a [`Storage`] there is no torn end, because a
//! batch is there as a whole or not at all and the storage counts the frames that it called durable; so there every bad
//! frame refuses to open, the last one, too.
#![forbid(unsafe_code)]

pub mod arb_file;
pub mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod journal;
pub mod memory;
mod storage;

pub use frame::FrameError;
pub use journal::{Checkpoint, Journal, JournalError, Reader, Retention};
pub use storage::{Batch, Condition, Key, Space, Storage, WriteError};
