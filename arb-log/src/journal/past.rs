//! Past commitments of the counterparty: rows beside the frames (R15), read when one of them confirms.
//!
//! # When a row is there
//!
//! A row is in the batch of the frame that heard the commitment, so it is there exactly when that frame is: after a crash,
//! after a write whose answer was lost ([`Journal::catch_up`] folds such a frame; its rows lie there already), and of two
//! owners only the one that could write the frame wrote the row. Recovery does not read rows and does not make any: what
//! is needed to tell the next change from a whole set is in the channel's own row, or follows from the frames after it.
//!
//! A row of a number is replaced while that number is the newest (a candidate after a reconnection), never once another
//! builds on it: the court refuses a candidate for anything else.
//!
//! How long a row stays: as long as its channel, whatever becomes of frames. See `checkpoint.rs`.

use super::{Journal, JournalError};
use crate::frame::{self, FrameError};
use crate::storage::{Key, Storage};
use arb_core::{ChannelIndex, CommitmentRow, RevokedCommitment, StoredCommitment};
use core::ops::ControlFlow;
use std::collections::BTreeMap;

/// What is written: channel and number once more, so that a row that turns up under another key is found out.
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
    /// What was signed for the counterparty under this number: every candidate, the one that was signed last at the end.
    /// Nothing if there is no row: it was signed before the channel joined this journal, or the channel is gone. This is
    /// the answer to [`Action::LoadRevoked`](arb_core::Action::LoadRevoked).
    ///
    /// Costs at most two reads of the storage: the row, and the rows from the whole one before it.
    ///
    /// # Errors
    /// If the storage cannot be read; if a row that is needed is bad, is missing, or does not belong where it is. Each
    /// names the row, and with it channel and number.
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
        // No row without a candidate was ever written: it would read like one that is not there.
        let candidates = CommitmentRow::unfold(&rows).filter(|candidates| !candidates.is_empty());
        candidates.ok_or(JournalError::Misplaced { key })
    }

    /// The rows from a whole one up to a change that builds on it, which is not among them: one scan.
    fn rows_from(&self, whole: u64, end: Key) -> Result<Vec<CommitmentRow>, JournalError<S::Error>> {
        if whole >= end.number {
            return Err(JournalError::Misplaced { key: end });
        }
        let begin = Key { number: whole, ..end };
        let (mut rows, mut expected, mut bad) = (Vec::new(), begin, Ok(()));
        let mut visit = |key: Key, bytes: &[u8]| {
            if key != expected {
                return ControlFlow::Break(()); // a gap, of which the end tells
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
