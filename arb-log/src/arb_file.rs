//! `.arb`: a log as one file, for export, import and bug reports. Bytes only; the caller reads and writes the file.
//!
//! ```text
//! offset  size  field
//!      0     8  89 'A' 'R' 'B' 0d 0a 1a 0a    reveals transfers that rewrite line ends
//!      8     2  version of this header, little-endian: 1
//!     10     …  frames, back to back, as in the log
//! ```
//!
//! Frames and nothing else: neither checkpoints, which follow from them, nor the rows of past commitments. What the court
//! was told is all there.
//!
//! A file may end in the middle of a frame (a copy that was cut short). **Bad last is torn, bad middle is corruption**: what
//! is left of a last frame is cut off and reported; a bad frame with a good one after it, a gap, or a frame whose checksum is
//! right and whose content is not, is refused with its place. In doubt the file is refused, because a frame that is cut off
//! may be one whose actions went out.

use crate::frame::{self, FrameError, HEADER_LEN, Raw};
use crate::journal::{Journal, JournalError};
use crate::storage::Storage;
use arb_core::{Entry, Frame};
use core::ops::ControlFlow;

/// The first bytes of every `.arb` file.
pub const MAGIC: [u8; 8] = *b"\x89ARB\r\n\x1a\n";

/// The version of the file's header.
pub const FILE_VERSION: u16 = 1;

/// The frames of a file, and what was cut off its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The frames, without gaps. The first one has number 1 unless the log had been compacted.
    pub frames: Vec<Frame>,
    /// The torn end, if there was one.
    pub cut: Option<Cut>,
}

/// What was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The last whole frame; 0 if there is none.
    pub after: u64,
    /// Where the torn frame begins: cut to this length, the file would be whole.
    pub offset: usize,
    /// How many bytes were cut off.
    pub bytes: usize,
    /// What was wrong with them.
    pub why: FrameError,
}

/// Why a file was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArbError {
    /// It is not an `.arb` file, or a transfer has rewritten it.
    #[error("not an .arb file")]
    NotArb,
    /// A newer build wrote its header.
    #[error("the file's version {got} is from the future: this build reads up to {FILE_VERSION}")]
    FromTheFuture {
        /// Its version.
        got: u16,
    },
    /// A bad frame has a good one after it: corruption, not a torn end.
    #[error(
        "the frame after {after}, at byte {offset}, is bad ({why}), and frame {good} at byte {good_offset} is good"
    )]
    Corrupt {
        /// The last good frame before it; 0 if there is none.
        after: u64,
        /// Where it begins.
        offset: usize,
        /// What is wrong with it.
        why: FrameError,
        /// The good frame after it.
        good: u64,
        /// Where that one begins.
        good_offset: usize,
    },
    /// Behind a bad frame too many bytes look like the start of one, and the search for a good frame was given up.
    #[error(
        "the frame after {after}, at byte {offset}, is bad ({why}); the search for a good frame behind it took too long and was given up"
    )]
    Unclear {
        /// The last good frame before it; 0 if there is none.
        after: u64,
        /// Where it begins.
        offset: usize,
        /// What is wrong with it.
        why: FrameError,
    },
    /// A frame is as it was written, but this build cannot read it.
    #[error("frame {sequence}, at byte {offset}, cannot be read: {why}")]
    BadFrame {
        /// The frame.
        sequence: u64,
        /// Where it begins.
        offset: usize,
        /// What is wrong with it.
        why: FrameError,
    },
    /// Frames are missing, or out of order.
    #[error("frame {got} at byte {offset}, expected {expected}")]
    Gap {
        /// The frame that should be there.
        expected: u64,
        /// The frame that is.
        got: u64,
        /// Where it begins.
        offset: usize,
    },
}

/// The whole log as a file. With a compacted log the story begins at [`Journal::first_sequence`].
///
/// # Errors
/// If a frame is missing or bad.
pub fn export<S: Storage>(journal: &Journal<S>) -> Result<Vec<u8>, JournalError<S::Error>> {
    let mut file = header();
    let failed = journal.frames(0..u64::MAX, |frame| match frame::encode_frame(&frame) {
        Ok(bytes) => {
            file.extend(bytes);
            ControlFlow::Continue(())
        }
        Err(why) => ControlFlow::Break(JournalError::Unwritable(why)),
    })?;
    failed.map_or(Ok(file), Err)
}

/// These frames as a file, for a caller that has frames and no journal.
///
/// # Errors
/// If a frame is too large.
pub fn encode(frames: &[Frame]) -> Result<Vec<u8>, FrameError> {
    frames.iter().try_fold(header(), |mut file, frame| {
        file.extend(frame::encode_frame(frame)?);
        Ok(file)
    })
}

/// The frames of a file.
///
/// # Errors
/// If it is not an `.arb` file, or anything but its end is bad.
pub fn import(file: &[u8]) -> Result<Import, ArbError> {
    let mut rest = after_header(file)?;
    let mut frames: Vec<Frame> = Vec::new();
    while !rest.is_empty() {
        let offset = file.len().saturating_sub(rest.len());
        let last = frames.last().map(|frame| frame.sequence);
        let after = last.unwrap_or(0);
        let (raw, next) = match Raw::split(rest) {
            Ok(split) => split,
            Err(why) => {
                refuse_if_good_follows(rest, offset, after, &why)?;
                return Ok(Import { frames, cut: Some(Cut { after, offset, bytes: rest.len(), why }) });
            }
        };
        let got = raw.sequence;
        let expected = last.map_or(got.max(1), |last| last.saturating_add(1));
        if got != expected {
            return Err(ArbError::Gap { expected, got, offset });
        }
        let entries = raw.value::<Vec<Entry>>();
        let entries = entries.map_err(|why| ArbError::BadFrame { sequence: got, offset, why })?;
        frames.push(Frame { sequence: got, entries });
        rest = next;
    }
    Ok(Import { frames, cut: None })
}

fn header() -> Vec<u8> {
    [&MAGIC[..], &FILE_VERSION.to_le_bytes()].concat()
}

fn after_header(file: &[u8]) -> Result<&[u8], ArbError> {
    let frames = file.strip_prefix(&MAGIC).ok_or(ArbError::NotArb)?;
    let (version, frames) = frames.split_first_chunk().ok_or(ArbError::NotArb)?;
    match u16::from_le_bytes(*version) {
        FILE_VERSION => Ok(frames),
        0 => Err(ArbError::NotArb),
        got => Err(ArbError::FromTheFuture { got }),
    }
}

/// The search of a bad end may read this many times its length: without a bound, a file made to look like frames at every
/// byte would cost the square of its length.
const SEARCH_FACTOR: usize = 16;

/// Looks for a good frame behind a bad one. Every byte is tried as its first, because the bad frame's length is not
/// trusted: if it were, a flipped bit in the middle would look like a torn end.
fn refuse_if_good_follows(bad: &[u8], offset: usize, after: u64, why: &FrameError) -> Result<(), ArbError> {
    let mut allowance = bad.len().saturating_mul(SEARCH_FACTOR);
    for start in 1..bad.len() {
        let rest = bad.get(start..).unwrap_or_default();
        if rest.len() < HEADER_LEN {
            break;
        }
        match Raw::split(rest) {
            Ok((raw, _)) if raw.sequence > after && raw.version > 0 => {
                let good_offset = offset.saturating_add(start);
                return Err(ArbError::Corrupt { after, offset, why: why.clone(), good: raw.sequence, good_offset });
            }
            // Only a computed checksum costs anything.
            Ok(_) | Err(FrameError::Checksum { .. }) => {
                let length = rest.first_chunk().map_or(u32::MAX, |length| u32::from_le_bytes(*length));
                allowance = match allowance.checked_sub(usize::try_from(length).unwrap_or(usize::MAX)) {
                    Some(left) => left,
                    None => return Err(ArbError::Unclear { after, offset, why: why.clone() }),
                };
            }
            Err(_) => {}
        }
    }
    Ok(())
}
