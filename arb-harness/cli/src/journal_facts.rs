//! Facts of a scenario's journal: its frames, their bytes, and the number of blocks and reorgs.

use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::Duration;

use arb_core::{Event, Frame};
use arb_harness::redb_store::{RedbStore, RedbStoreError};
use arb_log::{Reader, frame};

use super::failure::Failure;
use super::folder::Files;

/// How often a journal that is in use is tried again, and after which time: five seconds in all.
const RETRIES: u32 = 200;
const RETRY_AFTER: Duration = Duration::from_millis(25);

/// Opens a journal. Waits a little while another tool reads it, which is possible between two lives of the process.
pub(crate) fn open_patiently(path: &Path) -> Result<RedbStore, RedbStoreError> {
    for _ in 0..RETRIES {
        match RedbStore::open(path) {
            Err(RedbStoreError::InUse(_)) => thread::sleep(RETRY_AFTER),
            answer => return answer,
        }
    }
    RedbStore::open(path)
}

/// Every frame of a journal.
pub(crate) fn frames(files: &Files) -> Result<Vec<Frame>, Failure> {
    let store = open_patiently(&files.journal).map_err(Failure::storage(&files.journal))?;
    let reader = Reader::open(store).map_err(Failure::journal(&files.journal))?;
    let mut frames = Vec::new();
    let read = reader.frames(|frame| {
        frames.push(frame);
        ControlFlow::<()>::Continue(())
    });
    read.map_err(Failure::journal(&files.journal))?;
    Ok(frames)
}

/// The bytes of the frames as they are written, with headers and without what the database adds.
pub(crate) fn journal_bytes(files: &Files, frames: &[Frame]) -> Result<u64, Failure> {
    frames.iter().try_fold(0, |sum: u64, frame| {
        let bytes = frame::encode_frame(frame).map_err(|why| Failure::Unwritable(files.journal.clone(), why))?;
        Ok(sum.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX)))
    })
}

/// How many blocks were connected in a journal, and how many reorgs there were.
pub(crate) fn blocks_and_reorgs(frames: &[Frame]) -> (u64, u64) {
    let (mut blocks, mut reorgs, mut leaving) = (0, 0, false);
    for entry in frames.iter().flat_map(|frame| &frame.entries) {
        if matches!(entry.heard, Event::BlockDisconnected(_)) {
            reorgs += u64::from(!leaving);
            leaving = true;
        } else if entry.heard.is_block() {
            blocks += 1;
            leaving = false;
        }
    }
    (blocks, reorgs)
}
