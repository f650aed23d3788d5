//! Reading a journal without owning it: for tools. Nothing is claimed, so the journal's owner goes on undisturbed.
//!
//! A storage tells only its owner how many frames it counts. A reader takes the last frame that is there for the last one
//! that was written: only recovery finds out that frames were lost at the end.

use super::{COURT, Journal, JournalError, Latch, Retention};
use crate::frame::Raw;
use crate::storage::{Condition, Key, Storage};
use arb_core::{ChainArbitrator, Frame};
use core::ops::ControlFlow;

/// A journal that is only read.
#[derive(Debug)]
pub struct Reader<S: Storage> {
    /// Never handed out, so that it never writes.
    journal: Journal<S>,
    first: u64,
}

impl<S: Storage> Reader<S> {
    /// Finds the first and the last frame. Claims nothing.
    ///
    /// # Errors
    /// If the storage cannot be read.
    pub fn open(storage: S) -> Result<Self, JournalError<S::Error>> {
        let (mut first, mut last) = (None, 0);
        let mut visit = |key: Key, _: &[u8]| {
            first = first.or(Some(key.number));
            last = key.number;
            ControlFlow::Continue(())
        };
        storage.scan(Key::frame(0)..Key::frame(u64::MAX), &mut visit).map_err(JournalError::Storage)?;
        // A log that was compacted may have no frame left: its court row says where it ends. `court` checks the row.
        let row = storage.read(COURT).map_err(JournalError::Storage)?;
        let row = row.and_then(|bytes| Raw::whole(&bytes).ok().map(|raw| raw.sequence));
        let next_sequence = last.max(row.unwrap_or(0)).saturating_add(1);
        let now = Condition { epoch: 0, next_sequence };
        let journal = Journal { storage, now, latch: Latch::Undecided, retention: Retention::Archive, rows: None };
        Ok(Self { journal, first: first.unwrap_or(next_sequence) })
    }

    /// The sequence from which on the log tells the story: 1, or more once frames were compacted away.
    pub const fn first_sequence(&self) -> u64 {
        self.first
    }

    /// The last frame that is there; 0 if there is none.
    pub const fn last_sequence(&self) -> u64 {
        self.journal.last_sequence()
    }

    /// Shows every frame that is there, in order, until `visit` breaks off; what it broke off with comes back. Every frame
    /// shown was checked.
    ///
    /// # Errors
    /// If a frame is missing or bad.
    pub fn frames<B>(&self, visit: impl FnMut(Frame) -> ControlFlow<B>) -> Result<Option<B>, JournalError<S::Error>> {
        self.journal.each_frame(self.first..self.journal.now.next_sequence, visit)
    }

    /// The court as of the last frame: from the last checkpoint and the frames after it, as recovery makes it. A journal
    /// without frames has an empty one.
    ///
    /// # Errors
    /// If a row or a frame that is needed is missing or bad.
    pub fn court(&self) -> Result<ChainArbitrator, JournalError<S::Error>> {
        let (mut court, _) = self.journal.load_checkpoint()?;
        self.journal.fold_rest(&mut court)?;
        Ok(court)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;
    use arb_core::{Event, Height, JournalIdentity, Policy, Tip};
    use bitcoin::hashes::Hash;

    fn written(retention: Retention, checkpoint: bool) -> (Memory, ChainArbitrator) {
        let memory = Memory::new();
        let tip = Tip { height: Height::new(100), hash: bitcoin::BlockHash::all_zeros() };
        let identity =
            JournalIdentity { network: bitcoin::Network::Regtest, journal: [7; 32], tip, policy: Policy::default() };
        let mut journal = Journal::open(memory.clone()).unwrap().with_retention(retention);
        let mut court = journal.recover(&identity).unwrap();
        for max_inputs in [50, 60] {
            let mut step = court.step();
            step.hear(&Event::PolicySet(Policy { max_inputs, ..Policy::default() })).unwrap();
            let _due = step.commit(&mut journal).unwrap();
        }
        if checkpoint {
            journal.checkpoint(&court, 8).unwrap();
        }
        (memory, court)
    }

    fn sequences(reader: &Reader<Memory>) -> Vec<u64> {
        let mut seen = Vec::new();
        let _end: Option<()> = reader
            .frames(|frame| {
                seen.push(frame.sequence);
                ControlFlow::Continue(())
            })
            .unwrap();
        seen
    }

    #[test]
    fn what_was_written_is_read_and_nobody_is_fenced() {
        let (memory, court) = written(Retention::Archive, false);
        let before = memory.condition();
        let reader = Reader::open(memory.clone()).unwrap();
        assert_eq!((reader.first_sequence(), reader.last_sequence()), (1, 3));
        assert_eq!(sequences(&reader), [1, 2, 3]);
        assert_eq!(reader.court(), Ok(court));
        assert_eq!(memory.condition(), before, "nothing was claimed");
    }

    #[test]
    fn a_compacted_log_without_frames_still_has_its_court() {
        let (memory, court) = written(Retention::Compact, true);
        let reader = Reader::open(memory).unwrap();
        assert_eq!((reader.first_sequence(), reader.last_sequence()), (4, 3));
        assert_eq!(sequences(&reader), []);
        assert_eq!(reader.court(), Ok(court));
    }

    #[test]
    fn an_empty_storage_has_an_empty_court() {
        let reader = Reader::open(Memory::new()).unwrap();
        assert_eq!((reader.first_sequence(), reader.last_sequence()), (1, 0));
        assert_eq!(reader.court(), Ok(ChainArbitrator::new()));
    }

    #[test]
    fn a_hole_and_a_damaged_frame_are_refused() {
        let (memory, _) = written(Retention::Archive, false);
        let hole = memory.fork();
        hole.tamper(Key::frame(2), None);
        let read = Reader::open(hole).unwrap().frames(|_| ControlFlow::<()>::Continue(()));
        assert_eq!(read, Err(JournalError::Gap { expected: 2, found: Some(3) }));
        assert!(memory.flip_bit(Key::frame(2), 200));
        let read = Reader::open(memory).unwrap().frames(|_| ControlFlow::<()>::Continue(()));
        assert!(matches!(read, Err(JournalError::BadFrame { sequence: 2, last: 3, .. })), "{read:?}");
    }
}
