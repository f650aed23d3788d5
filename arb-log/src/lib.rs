//! `arb-log`: the ArbitratorLog of the `arb` contract court.
//!
//! A court decides; this crate makes sure that its decisions are still known after a crash. It turns steps into
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
//! - Detect forgery: a checksum finds accidents. Anyone who can write to the storage can write another past.
//! - Notice that a storage went back to an earlier state as a whole (a restored disk image): the embedder says so with
//!   `Started { freshness: Suspect }`.
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
//! | `Tombstone`, index, 0 | what stays of a channel that an irrevocable close resolved |
//! | `Meta`, 0, 0 | the court row: the court without channels, how many there are, below which index, how many are resolved |
//!
//! # Versions of the format
//!
//! | version | what changed | this build |
//! |---|---|---|
//! | 0 | nothing: no build ever wrote it | refuses it |
//! | 1 | the first one | refuses it |
//! | 2 | the events `ClaimAbandoned`, `ChannelPolicySet`, `AdoptionComplete`, `ChannelAdoptedAnew`, `NeverFunded`, `PointLoaded`, `LocalCommitmentSignedAgain` and `ScannedPart`, the numbers of `PeerStateSeen`, `bound_sat` in `Bump`, `whole` in updates of commitments, `run` in `Started`, the alerts `CoinRefused`, `OutputWaits`, `AdoptionIncomplete`, `PeerClaimsNewer`, `FundingUnconfirmed`, `SupersededCommitment`, `UpstreamExpiresFirst`, `UpstreamOfOtherHash`, `PointGivesNoOutput`, `DustExposure`, `CommitmentWaits`, `ClaimWaits` and `SourceBehind`, `htlcs` in `UpstreamAtRisk`, reasons in `SweepPlanned` and `Uneconomic`, `unclaimed` in `ContractReport`, `exclude` in `RequestFeeInputs`, the policy's `giveup_max_sat`, `giveup_sum_sat` and `fail_depth`; in rows a channel's own policy, what was given up in it, whether it can ever be funded, when commitments were seen, earlier fee estimates, bumped feerates, why claims were declined, the starts since which the node has told everything, what our newest commitment changed, preimages that were shown before an HTLC that they fit, what stays of resolved channels, and our points of old commitments that confirmed; the policy's `claim_depth` is gone | reads and writes it |
//! | 3 and above | written by newer builds | refuses it |
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
//! - has a note that lists the decisions that changed, each with the id that it is defined under in
//!   [`arb_core::incidents`] or on the front page of [`arb_core`].
//!
//! # Answering `LoadRevoked`
//!
//! When a revoked commitment confirms, the court asks what it was. The journal's owner answers, also when the action is due
//! again, for example after a restart:
//!
//! ```
//! use arb_core::{Action, ChainArbitrator, Event, RevokedCommitment};
//! use arb_log::{Journal, JournalError, Storage};
//!
//! /// What the node's own records have: for a channel that joined the court while it was open.
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
//!         // The row may still be there: the action stays due, and comes again with the next block.
//!         Err(why @ JournalError::Storage(_)) => return Some(Event::Failed { id, channel, why: why.to_string() }),
//!         // No row, or a damaged one (alert the operator). An empty answer lets the court go on without.
//!         Ok(_) | Err(_) => known_to_the_node(number),
//!     };
//!     Some(Event::RevokedLoaded { channel, number, candidates })
//! }
//! ```
//!
//! Rows are written only when a commitment is heard. Frames that came another way (for example copied from an `.arb` file
//! into a new storage) fold to the same court, but the new storage has no rows: commitments that were signed before are
//! unknown, and later ones are found from the channel's next whole row on.
//!
//! # The crash argument
//!
//! Memory is never ahead of the storage, because a step becomes the court's state only after the append. The storage may be
//! ahead of memory, by the one append whose answer was lost. So a failed append *latches* the journal: nothing more is
//! written until [`Journal::reopen`] has settled what was in flight and [`Journal::catch_up`] has folded what turned out to
//! be durable. A crash is the same with an empty memory. For checkpoints see `journal/checkpoint.rs`: channel rows may be
//! newer than the court row, never older.
//!
//! # Bad last is torn, bad middle is corruption
//!
//! In a file ([`arb_file`]) a bad frame at the very end is a write that was cut short: it is cut off and reported. A bad frame
//! with a good one after it, or a gap, is corruption, and the file is refused. In a [`Storage`] there is no torn end, because
//! a batch is there as a whole or not at all, and the storage counts the frames that it called durable. So a storage is
//! refused for any bad frame, also for the last one.
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
