//! Folding a log back into a court, and deciding it again to compare (I2).
//!
//! Tests: arb-log/tests/journal.rs, arb-log/tests/earlier_journals.rs, arb-harness/lab/tests/closes/main.rs

use crate::api::event::Event;
use crate::api::record::{Frame, Record};
use crate::api::reject::{Mismatch, Rejected};
use crate::court::ChainArbitrator;
use crate::court::apply::Proof;
use crate::court::draft::Draft;
use crate::step::{Heard, Step};
use alloc::vec::Vec;

/// The first entry of a frame that is decided differently now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The frame.
    pub sequence: u64,
    /// The entry's index in the frame.
    pub entry: usize,
    /// The event.
    pub heard: Event,
    /// What the log says was concluded from it.
    pub recorded: Vec<Record>,
    /// What is concluded from it now; `Err` if it is refused now.
    pub decided: Result<Vec<Record>, Rejected>,
}

impl ChainArbitrator {
    /// Folds one frame into the court: applies what was heard and concluded, and decides nothing.
    ///
    /// # Errors
    /// If the frame is not the next one, or concludes something that is not possible; the court is then as it was.
    pub fn fold(&mut self, frame: &Frame) -> Result<(), Mismatch> {
        let expected = self.state.sequence.saturating_add(1);
        if frame.sequence != expected {
            return Err(Mismatch::Sequence { have: self.state.sequence, got: frame.sequence });
        }
        let mut draft = Draft::new(self, false);
        for entry in &frame.entries {
            draft.apply_heard(self, &entry.heard, Proof::Nothing);
            for record in &entry.concluded {
                draft.apply(self, record)?;
            }
            draft.take_touched();
        }
        self.absorb(draft);
        Ok(())
    }

    /// Decides a frame again from what was heard alone, compares, and folds the frame as it was recorded.
    ///
    /// # Errors
    /// As [`fold`](Self::fold).
    pub fn replay(&mut self, frame: &Frame) -> Result<Option<Difference>, Mismatch> {
        let mut step = Step::unverified(self);
        let mut difference = None;
        for (index, entry) in frame.entries.iter().enumerate() {
            let answer = step.hear(&entry.heard);
            let decided = match answer {
                Ok(Heard::Accepted | Heard::Outdated) => {
                    Ok(step.entries().last().map(|entry| entry.concluded.clone()).unwrap_or_default())
                }
                Ok(Heard::Duplicate | Heard::Past) => Ok(Vec::new()),
                Err(rejected) => Err(rejected),
            };
            if decided.as_ref() != Ok(&entry.concluded) {
                difference = Some(Difference {
                    sequence: frame.sequence,
                    entry: index,
                    heard: entry.heard.clone(),
                    recorded: entry.concluded.clone(),
                    decided,
                });
                break;
            }
        }
        drop(step);
        self.fold(frame)?;
        Ok(difference)
    }
}
