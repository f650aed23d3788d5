//! Checkpoints: rows from which recovery starts instead of from the first frame.
//!
//! ```text
//! 1  a row for each channel that changed since the court row, in batches of a few
//! 2  past commitments of channels that are gone, where a channel has more than a few, in batches of a few
//! 3  in one batch: the court row, tombstones of channels that were resolved since the last one, and the removal of the rows
//!    of channels that are gone and of their last commitments
//! 4  compact only: frames up to the court row, oldest first
//! ```
//!
//! The order is the whole argument. Recovery starts at the court row's frame C and folds what follows, so for every channel
//! that the court has at C there must be a row that is at least as new as C says: **channel rows may be newer than the
//! court row, never older**. That holds between any two batches:
//!
//! - between 1 and 1: the court row is the old one, some channel rows are newer. Folding skips, per channel, the frames
//!   that its row already has. Rows of channels that were opened after C are not read.
//! - between 1 and 3: the same. No row of a channel that is gone *now* is gone yet, because at C it was there and frames
//!   after C still speak of it. Were rows deleted first, those frames would name a channel that does not exist.
//! - between 3 and 4: frames that recovery does not need are still there.
//!
//! A row that is too large to be written stops at step 1 what follows it: recovery starts at the old court row and folds the
//! frames, but the rows of all other channels are new (A22).
//!
//! Rows are deleted together with the court row and not after it: otherwise a crash in between would leave rows that look
//! like channels, with nothing to tell that they are not (a terminal state and its removal are one write).
//!
//! Tombstones are written together with the court row and not before it, for the opposite reason: recovery starts before the
//! frames that opened and resolved such a channel, and must not meet its tombstone before them (A52). Folding those frames
//! makes it. None is removed.
//!
//! # Past commitments
//!
//! Their rows come with frames, not with checkpoints (see `past.rs`), and neither recovery nor folding reads them. So
//! nothing is lost when they are removed a little before the court row: a channel that is gone as of the last frame, which
//! is durable here, is gone after every recovery, and nobody asks for its commitments again. That is why a channel with a
//! million of them needs no batch of a million. None may stay for ever:
//!
//! - **When a court row is written, no channel that is gone has a commitment's row left**, because the last ones are removed
//!   in the same batch.
//! - So at the next checkpoint such rows can only belong to two kinds of channels. A channel that was there at C has a row
//!   of its own (1). A channel that was opened after C has a number from the court row's `bound` on: if it is gone, its
//!   number lies between those of channels that exist, also if it came and went between two checkpoints and never had a row.
//!   No list of channels that are gone is needed, in memory or on disk.
//! - After a crash at any point the same follows from the old or the new court row.

use super::{COURT, Journal, JournalError, Rows};
use crate::frame::{self, FrameError};
use crate::storage::{Batch, Key, Storage};
use arb_core::{ChainArbitrator, ChannelArbitrator, ChannelIndex, Snapshot};
use core::ops::{ControlFlow, Range};
use serde::{Deserialize, Serialize};

/// What becomes of frames that a checkpoint has made superfluous.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retention {
    /// They stay: any close can be replayed later.
    #[default]
    Archive,
    /// They go: the log begins with the last checkpoint.
    Compact,
}

/// A channel whose row cannot be written, and why; `None` if there is none.
type TooLarge = Option<(ChannelIndex, FrameError)>;

/// What a checkpoint did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The frame that its court row stands for.
    pub sequence: u64,
    /// Channel rows written.
    pub written: usize,
    /// Channels whose rows were removed.
    pub removed: usize,
    /// Frames removed.
    pub compacted: u64,
}

/// The court row: the court without its channels, and what their rows are held against.
#[derive(Serialize, Deserialize)]
pub(super) struct CourtRow {
    pub(super) snapshot: Snapshot,
    /// Every channel that exists has a lower number; every channel opened later a higher one, or this.
    pub(super) bound: u32,
    /// How many channels exist: as many rows below `bound` there must be.
    pub(super) live: u32,
    /// How many channels were resolved: as many tombstones there must be.
    pub(super) tombstones: u32,
}

impl<S: Storage> Journal<S> {
    /// Writes down where the court stands, so that recovery starts there: a row for every channel that changed since the
    /// last checkpoint, at most `max_rows_per_batch` to a batch, then the court row. May be called at any time; a crash
    /// half way costs only the time.
    ///
    /// # Errors
    /// If the court is not at the log's last frame, or a write fails (the journal is latched then). With
    /// [`JournalError::RowTooLarge`] the rows of all other channels are written, and recovery starts where it did before.
    pub fn checkpoint(
        &mut self,
        court: &ChainArbitrator,
        max_rows_per_batch: usize,
    ) -> Result<Checkpoint, JournalError<S::Error>> {
        self.writable()?;
        let rows = self.rows.as_ref().ok_or(JournalError::NotRecovered)?;
        let (expected, got) = (self.now.next_sequence, court.sequence().saturating_add(1));
        if expected != got {
            return Err(JournalError::OutOfOrder { expected, got });
        }
        let size = max_rows_per_batch.max(1);
        let changed: Vec<ChannelIndex> = court
            .channels()
            .filter(|(index, channel)| channel.changed_at() > rows.court || !rows.channels.contains(&index.get()))
            .map(|(index, _)| index)
            .collect();
        let mut too_large = None;
        for part in changed.chunks(size) {
            let in_part = self.write_channels(court, part)?;
            too_large = too_large.or(in_part);
        }
        if let Some((channel, why)) = too_large {
            return Err(JournalError::RowTooLarge { channel, why });
        }
        let removed = self.write_court(court, size)?;
        let compacted = match self.retention {
            Retention::Archive => 0,
            Retention::Compact => self.compact(court.sequence(), size)?,
        };
        Ok(Checkpoint { sequence: court.sequence(), written: changed.len(), removed, compacted })
    }

    /// Writes the rows of some channels. Answers the first one that is too large, with the reason; all others are written.
    fn write_channels(
        &mut self,
        court: &ChainArbitrator,
        part: &[ChannelIndex],
    ) -> Result<TooLarge, JournalError<S::Error>> {
        let (mut batch, mut too_large) = (Batch::default(), None);
        let mut written = Vec::new();
        for index in part {
            let Some(channel) = court.channel(*index) else { continue };
            // The number is in the row as well as in its key, so a row under another key is found out.
            let value: (u32, &ChannelArbitrator) = (index.get(), channel);
            match frame::encode(court.sequence(), &value) {
                Ok(row) => {
                    batch.put.push((Key::channel(index.get()), row));
                    written.push(index.get());
                }
                Err(why) => too_large = too_large.or(Some((*index, why))),
            }
        }
        // Noted before the write: a row that may be there must be removed some day.
        if let Some(rows) = &mut self.rows {
            rows.channels.extend(written);
        }
        self.write(&batch)?;
        Ok(too_large)
    }

    fn write_court(&mut self, court: &ChainArbitrator, size: usize) -> Result<usize, JournalError<S::Error>> {
        let rows = self.rows.as_ref().ok_or(JournalError::NotRecovered)?;
        let last = rows.court;
        let exists = |index: &u32| court.channel(ChannelIndex::new(*index)).is_some();
        let gone: Vec<u32> = rows.channels.iter().copied().filter(|index| !exists(index)).collect();
        let mut remove = self.thin_out(commitments_of_the_gone(court, rows.bound, &gone), size)?;
        let live = u32::try_from(court.channels().count()).unwrap_or(u32::MAX);
        let bound = court.channels().last().map_or(0, |(index, _)| index.get().saturating_add(1));
        let tombstones = u32::try_from(court.tombstones().count()).unwrap_or(u32::MAX);
        let row = CourtRow { snapshot: court.snapshot(), bound, live, tombstones };
        let row = frame::encode(court.sequence(), &row).map_err(JournalError::Unwritable)?;
        let mut put = vec![(COURT, row)];
        for tombstone in court.tombstones().filter(|tombstone| tombstone.sequence > last) {
            let row = frame::encode(court.sequence(), tombstone).map_err(JournalError::Unwritable)?;
            put.push((Key::tombstone(tombstone.channel.get()), row));
        }
        remove.extend(gone.iter().map(|index| rows_of(*index)));
        self.write(&Batch { remove, put, appended: 0 })?;
        if let Some(Rows { court: sequence, bound: known, channels }) = &mut self.rows {
            (*sequence, *known) = (court.sequence(), bound);
            gone.iter().for_each(|index| {
                channels.remove(index);
            });
        }
        Ok(gone.len())
    }

    /// Removes rows from these ranges, oldest first, until each has at most `size`; answers the ranges that still have any.
    fn thin_out(&mut self, ranges: Vec<Range<Key>>, size: usize) -> Result<Vec<Range<Key>>, JournalError<S::Error>> {
        let mut left = Vec::new();
        for mut range in ranges {
            loop {
                let (seen, next) = self.ahead(range.clone(), size)?;
                let Some(next) = next else {
                    left.extend((seen > 0).then_some(range));
                    break;
                };
                self.write(&Batch { remove: vec![range.start..next], ..Batch::default() })?;
                range.start = next;
            }
        }
        Ok(left)
    }

    /// Counts the rows of a range up to `size`; answers also the key of the row after these.
    fn ahead(&self, range: Range<Key>, size: usize) -> Result<(usize, Option<Key>), JournalError<S::Error>> {
        let (mut seen, mut next) = (0_usize, None);
        let mut visit = |key: Key, _: &[u8]| {
            if seen == size {
                next = Some(key);
                return ControlFlow::Break(());
            }
            seen = seen.saturating_add(1);
            ControlFlow::Continue(())
        };
        self.storage.scan(range, &mut visit).map_err(JournalError::Storage)?;
        Ok((seen, next))
    }

    /// Removes frames up to this one, oldest first, so that the rest has no gap after a crash.
    fn compact(&mut self, through: u64, size: usize) -> Result<u64, JournalError<S::Error>> {
        let first = self.first_sequence()?;
        let end = through.saturating_add(1);
        let mut start = first;
        while start < end {
            let stop = start.saturating_add(u64::try_from(size).unwrap_or(u64::MAX)).min(end);
            self.write(&Batch { remove: vec![Key::frame(start)..Key::frame(stop)], ..Batch::default() })?;
            start = stop;
        }
        Ok(end.saturating_sub(first))
    }
}

/// The keys of past commitments whose channels are gone: of channels that had a row of their own, and from `bound` on all
/// between the channels that exist.
fn commitments_of_the_gone(court: &ChainArbitrator, bound: u32, gone: &[u32]) -> Vec<Range<Key>> {
    let known = gone.iter().filter(|index| **index < bound).map(|index| (*index, index.saturating_add(1)));
    let mut ranges: Vec<(u32, u32)> = known.collect();
    let mut from = bound;
    let live = court.channels().map(|(index, _)| index.get()).filter(|index| *index >= bound);
    for index in live.chain([u32::MAX]) {
        ranges.push((from, index));
        from = index.saturating_add(1);
    }
    let some = ranges.into_iter().filter(|(from, to)| from < to);
    some.map(|(from, to)| Key::commitment(from, 0)..Key::commitment(to, 0)).collect()
}

/// The checkpoint's rows of one channel.
const fn rows_of(index: u32) -> Range<Key> {
    Key::channel(index)..Key::channel(index.saturating_add(1))
}
