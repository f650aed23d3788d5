//! Past commitments of the counterparty: rows next to the frames (R15), read when one of them confirms.
//!
//! # When a row is there
//!
//! A row is in the batch of the frame that heard the commitment, so it is there exactly when that frame is. That holds after
//! a crash, and after a write whose answer was lost ([`Journal::catch_up`] folds such a frame; its rows are there already);
//! of two owners, only the one that wrote the frame wrote the row. Recovery neither reads nor makes rows: whether the next
//! row is a change or a whole set follows from the channel's own row and the frames after it.
//!
//! A row is replaced while its number is the newest (a candidate after a reconnection), and never once another row builds on
//! it: the court refuses a candidate for an older number.
//!
//! A row stays as long as its channel, also if frames are compacted away. See `checkpoint.rs`.

use super::{Journal, JournalError};
use crate::frame::{self, FrameError};
use crate::storage::{Key, Storage};
use arb_core::{ChannelIndex, CommitmentRow, RevokedCommitment, StoredCommitment};
use core::ops::ControlFlow;
use std::collections::BTreeMap;

/// What is written: channel and number are repeated, so that a row under another key is found out.
type Written<'a> = (u32, u64, &'a CommitmentRow);
/// What is read.
type Read = (u32, u64, CommitmentRow);

/// The rows that belong to a frame, by their keys. Of two of one channel and number the later one counts.
pub(super) fn rows(sequence: u64, rows: &[StoredCommitment]) -> Result<BTreeMap<Key, Vec<u8>>, FrameError> {
    let encode = |stored: &StoredCommitment| {
        let (channel, number) = (stored.channel.get(), stored.number);
        let value: Written<'_> = (channel, number, &stored.row);
        Ok((Key::commitment(channel, number), frame::encode(sequence, &value)?))
    };
    rows.iter().map(encode).collect()
}

impl<S: Storage> Journal<S> {
    /// What was signed for the counterparty under this number: every candidate, in the order of signing. Empty if there is
    /// no row: it was signed before the channel joined this journal, or the channel is gone. This is the answer to
    /// [`Action::LoadRevoked`](arb_core::Action::LoadRevoked).
    ///
    /// Costs at most two reads of the storage: the row, and the rows from the whole one before it.
    ///
    /// # Errors
    /// If the storage cannot be read, or if a row that is needed is bad, missing, or under the wrong key. The error names
    /// the row's key, and with it channel and number.
    pub fn revoked(
        &self,
        channel: ChannelIndex,
        number: u64,
    ) -> Result<Vec<RevokedCommitment>, JournalError<S::Error>> {
        let key = Key::commitment(channel.get(), number);
        let Some(bytes) = self.storage.read(key).map_err(JournalError::Storage)? else {
            return Ok(Vec::new());
        };
        let last = self.commitment_row(key, &bytes)?;
        let mut rows = last.builds_on().map_or_else(|| Ok(Vec::new()), |whole| self.rows_from(whole, key))?;
        rows.push(last);
        // No row without a candidate was ever written: it would look like a missing row.
        let candidates = CommitmentRow::unfold(&rows).filter(|candidates| !candidates.is_empty());
        candidates.ok_or(JournalError::Misplaced { key })
    }

    /// The rows from a whole one up to, but without, a change that builds on it; one scan.
    fn rows_from(&self, whole: u64, end: Key) -> Result<Vec<CommitmentRow>, JournalError<S::Error>> {
        if whole >= end.number {
            return Err(JournalError::Misplaced { key: end });
        }
        let begin = Key { number: whole, ..end };
        let (mut rows, mut expected, mut bad) = (Vec::new(), begin, Ok(()));
        let mut visit = |key: Key, bytes: &[u8]| {
            if key != expected {
                return ControlFlow::Break(()); // a gap; reported below
            }
            let builds_on = (key != begin).then_some(whole);
            match self.commitment_row(key, bytes) {
                Ok(row) if row.builds_on() == builds_on => {
                    rows.push(row);
                    expected.number = expected.number.saturating_add(1);
                    return ControlFlow::Continue(());
                }
                Ok(_) => bad = Err(JournalError::Misplaced { key }),
                Err(error) => bad = Err(error),
            }
            ControlFlow::Break(())
        };
        self.storage.scan(begin..end, &mut visit).map_err(JournalError::Storage)?;
        bad?;
        if expected == end { Ok(rows) } else { Err(JournalError::MissingRow { key: expected, needed_by: end }) }
    }

    fn commitment_row(&self, key: Key, bytes: &[u8]) -> Result<CommitmentRow, JournalError<S::Error>> {
        let (_, (channel, number, row)) = self.row::<Read>(key, bytes)?;
        if key == Key::commitment(channel, number) { Ok(row) } else { Err(JournalError::Misplaced { key }) }
    }
}
