//! Checkpoints: rows from which recovery starts instead of from the first frame.
//!
//! ```text
//! 1  a row for each channel that changed since the court row, in batches of a few
//! 2  the court row, and with it, in one batch, the end of the rows of channels that are gone
//! 3  compact only: frames up to the court row, oldest first
//! ```
//!
//! The order is the whole argument. Recovery starts at the court row's frame C and folds what follows, so for every channel
//! that the court has at C there must be a row that is at least as new as C says: **channel rows may be newer than the
//! court row, never older**. That holds between any two batches:
//!
//! - between 1 and 1: the court row is the old one, some channel rows are newer. Folding skips, per channel, the frames
//!   that its row already has. Rows of channels that were opened after C are not looked at.
//! - between 1 and 2: the same. No row of a channel that is gone *now* is gone yet, because at C it was there and frames
//!   after C still speak of it. Were rows deleted first, those frames would name a channel that does not exist.
//! - between 2 and 3: frames that nobody needs are still there.
//!
//! Rows are deleted together with the court row and not after it: otherwise a crash in between would leave rows that look
//! like channels, and nothing would tell that they are not (a terminal state and its removal are one write).

use super::{COURT, Journal, JournalError, Rows};
use crate::frame;
use crate::storage::{Batch, Key, Storage};
use arb_core::{ChainArbitrator, ChannelArbitrator, ChannelIndex, Snapshot};
use core::ops::Range;
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
}

impl<S: Storage> Journal<S> {
    /// Writes down where the court stands, so that recovery starts there: a row for every channel that changed since the
    /// last checkpoint, at most `max_rows_per_batch` to a batch, then the court row. May be called as often as one likes;
    /// a crash at any point, or dropping it half done, costs nothing but the time.
    ///
    /// # Errors
    /// If the court is not at the log's last frame, or a write fails (the journal is latched then).
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
        for part in changed.chunks(size) {
            self.write_channels(court, part)?;
        }
        let removed = self.write_court(court)?;
        let compacted = match self.retention {
            Retention::Archive => 0,
            Retention::Compact => self.compact(court.sequence(), size)?,
        };
        Ok(Checkpoint { sequence: court.sequence(), written: changed.len(), removed, compacted })
    }

    fn write_channels(&mut self, court: &ChainArbitrator, part: &[ChannelIndex]) -> Result<(), JournalError<S::Error>> {
        let mut batch = Batch::default();
        for index in part {
            let Some(channel) = court.channel(*index) else { continue };
            // The number is in the row as well as in its key: a row that turns up under another key is found out.
            let value: (u32, &ChannelArbitrator) = (index.get(), channel);
            let row = frame::encode(court.sequence(), &value).map_err(JournalError::Unwritable)?;
            batch.put.push((Key::channel(index.get()), row));
        }
        // Noted before the write: a row that may be there is one that has to be removed some day.
        if let Some(rows) = &mut self.rows {
            rows.channels.extend(part.iter().map(|index| index.get()));
        }
        self.write(&batch)
    }

    fn write_court(&mut self, court: &ChainArbitrator) -> Result<usize, JournalError<S::Error>> {
        let rows = self.rows.as_ref().ok_or(JournalError::NotRecovered)?;
        let exists = |index: &u32| court.channel(ChannelIndex::new(*index)).is_some();
        let gone: Vec<u32> = rows.channels.iter().copied().filter(|index| !exists(index)).collect();
        let live = u32::try_from(court.channels().count()).unwrap_or(u32::MAX);
        let bound = court.channels().last().map_or(0, |(index, _)| index.get().saturating_add(1));
        let row = CourtRow { snapshot: court.snapshot(), bound, live };
        let row = frame::encode(court.sequence(), &row).map_err(JournalError::Unwritable)?;
        let remove = gone.iter().map(|index| rows_of(*index)).collect();
        self.write(&Batch { remove, put: vec![(COURT, row)], appended: 0 })?;
        if let Some(Rows { court: sequence, channels }) = &mut self.rows {
            *sequence = court.sequence();
            gone.iter().for_each(|index| {
                channels.remove(index);
            });
        }
        Ok(gone.len())
    }

    /// Removes frames up to this one, oldest first, so that what is left after a crash has no gap.
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

/// All rows of one channel.
const fn rows_of(index: u32) -> Range<Key> {
    Key::channel(index)..Key::channel(index.saturating_add(1))
}
