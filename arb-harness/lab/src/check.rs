//! The check that every test, the simulator and the demonstration share: what holds for every court and its frames.
//!
//! - I2: folding the frames gives the live court; deciding again from the events alone gives the same conclusions.
//! - I15: the indexes equal the indexes rebuilt from the channels, in the live court and in the folded one.
//! - R3: one step with n events concludes the same as n steps.

use arb_core::{ChainArbitrator, Difference, Entry, Frame, Mismatch, Rejected};

/// The check that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckFailure {
    /// A frame does not fold.
    #[error("frame {sequence} does not fold: {why}")]
    Unfoldable {
        /// The sequence number of the frame.
        sequence: u64,
        /// What does not fit.
        why: Mismatch,
    },
    /// The folded court differs from the live one.
    #[error("the court folded from {frames} frames differs from the live one")]
    FoldedDiffers {
        /// How many frames were folded.
        frames: usize,
    },
    /// An index does not follow from the channels.
    #[error("the indexes of the {which} court differ from those rebuilt from its channels after frame {sequence}")]
    IndexesDiffer {
        /// Which court: live, folded or replayed.
        which: &'static str,
        /// The last frame before the comparison.
        sequence: u64,
    },
    /// Decided again, an event has other conclusions.
    #[error("frame {}, entry {}: decided again, it concludes something else", .0.sequence, .0.entry)]
    DecidedDiffers(Box<Difference>),
    /// Heard in one step, events have other conclusions than in several.
    #[error("frames {from} to {to} heard in one step conclude something else")]
    BatchDiffers {
        /// The first frame of the step.
        from: u64,
        /// The last frame of the step.
        to: u64,
    },
    /// Heard in one step, an event is refused.
    #[error("frames {from} to {to} heard in one step: {why}")]
    BatchRefuses {
        /// The first frame of the step.
        from: u64,
        /// The last frame of the step.
        to: u64,
        /// Why it was refused.
        why: Rejected,
    },
}

/// How many frames are heard in one step, for R3.
const BATCHES: [usize; 3] = [2, 7, 32];

/// Checks a live court against all the frames that led to it, from the first.
///
/// # Errors
/// The first check that fails.
pub fn check(court: &ChainArbitrator, frames: &[Frame]) -> Result<(), CheckFailure> {
    indexes("live", court)?;
    let mut folded = ChainArbitrator::new();
    for frame in frames {
        folded.fold(frame).map_err(|why| CheckFailure::Unfoldable { sequence: frame.sequence, why })?;
    }
    if folded != *court {
        return Err(CheckFailure::FoldedDiffers { frames: frames.len() });
    }
    indexes("folded", &folded)?;
    decided(frames)?;
    BATCHES.iter().try_for_each(|size| batched(frames, *size))
}

fn indexes(which: &'static str, court: &ChainArbitrator) -> Result<(), CheckFailure> {
    if *court.indexes() == court.rebuilt_indexes() {
        return Ok(());
    }
    Err(CheckFailure::IndexesDiffer { which, sequence: court.sequence() })
}

fn decided(frames: &[Frame]) -> Result<(), CheckFailure> {
    let mut court = ChainArbitrator::new();
    for frame in frames {
        let difference = court.replay(frame);
        match difference.map_err(|why| CheckFailure::Unfoldable { sequence: frame.sequence, why })? {
            Some(difference) => return Err(CheckFailure::DecidedDiffers(Box::new(difference))),
            None => indexes("replayed", &court)?,
        }
    }
    Ok(())
}

fn batched(frames: &[Frame], size: usize) -> Result<(), CheckFailure> {
    let mut court = ChainArbitrator::new();
    for chunk in frames.chunks(size) {
        let (from, to) = match (chunk.first(), chunk.last()) {
            (Some(first), Some(last)) => (first.sequence, last.sequence),
            (None, _) | (_, None) => continue,
        };
        let recorded: Vec<&Entry> = chunk.iter().flat_map(|frame| &frame.entries).collect();
        let mut step = court.step();
        for entry in &recorded {
            step.hear(&entry.heard).map_err(|why| CheckFailure::BatchRefuses { from, to, why })?;
        }
        let same = step.detach().frame().entries.iter().eq(recorded);
        if !same {
            return Err(CheckFailure::BatchDiffers { from, to });
        }
        for frame in chunk {
            court.fold(frame).map_err(|why| CheckFailure::Unfoldable { sequence: frame.sequence, why })?;
        }
    }
    Ok(())
}
