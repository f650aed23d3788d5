//! `arb replay`: decides again, in a fresh court, from the recorded events alone, and compares with the recorded conclusions.

use std::ops::ControlFlow;

use arb_core::{ChainArbitrator, Difference, Frame, Heard, Mismatch, Record, Rejected};
use serde::Serialize;

use super::failure::{Answer, Failure, Verdict};
use super::output::{self, painted};
use super::source::{JournalArguments, Source};
use super::words;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    journal: JournalArguments,
    /// Decide again and compare; a difference ends with exit code 1. Without this the frames are only folded.
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Default, Serialize)]
struct Replayed {
    /// Frames that were read, up to the first difference.
    frames: u64,
    /// Frames that were decided again with the same conclusions.
    decided: u64,
    first_difference: Option<FirstDifference>,
}

#[derive(Debug, Serialize)]
struct FirstDifference {
    seq: u64,
    event: String,
    recorded: Vec<String>,
    decided: Vec<String>,
}

/// What stops a replay.
enum Stop {
    Differs(Box<Difference>),
    Mismatch(u64, Mismatch),
}

/// Replays a journal.
pub(crate) fn run(options: &Options, json: bool) -> Answer {
    let source = Source::open(&options.journal)?;
    source.needs_the_first()?;
    let mut court = ChainArbitrator::new();
    let mut replayed = Replayed::default();
    let stop = source.frames(|frame| {
        replayed.frames += 1;
        match step(&mut court, frame, options.check) {
            Ok(()) => {
                replayed.decided += u64::from(options.check);
                ControlFlow::Continue(())
            }
            Err(stop) => ControlFlow::Break(stop),
        }
    })?;
    match stop {
        None => {}
        Some(Stop::Differs(difference)) => replayed.first_difference = Some(FirstDifference::of(&difference)),
        Some(Stop::Mismatch(sequence, why)) => {
            return Err(Failure::Mismatch { path: source.path().to_owned(), sequence, source: why });
        }
    }
    if json {
        output::json(&replayed)?
    } else {
        output::print(&replayed.text(options.check))?
    }
    Ok(if replayed.first_difference.is_none() { Verdict::Good } else { Verdict::False })
}

fn step(court: &mut ChainArbitrator, frame: &Frame, check: bool) -> Result<(), Stop> {
    let mismatch = |why| Stop::Mismatch(frame.sequence, why);
    if !check {
        return court.fold(frame).map_err(mismatch);
    }
    match court.replay(frame) {
        Ok(None) => Ok(()),
        Ok(Some(difference)) => Err(Stop::Differs(Box::new(difference))),
        // The recorded conclusions do not fold, so they are not what is decided now: show the difference, if there is one.
        Err(why) => Err(decided(court, frame).map_or_else(|| mismatch(why), |found| Stop::Differs(Box::new(found)))),
    }
}

/// The first entry of a frame that is decided differently now; the court stays as it is.
fn decided(court: &mut ChainArbitrator, frame: &Frame) -> Option<Difference> {
    let sequence = frame.sequence;
    let mut step = court.step();
    let mut differs = Vec::new();
    for (entry, recorded) in frame.entries.iter().enumerate() {
        let answer = step.hear(&recorded.heard);
        differs.push((entry, recorded, answer));
    }
    let entries = step.detach().frame().entries.clone();
    let mut entries = entries.into_iter();
    differs.into_iter().find_map(|(entry, recorded, answer)| {
        let decided: Result<Vec<Record>, Rejected> = match answer {
            Ok(Heard::Accepted | Heard::Outdated) => {
                Ok(entries.next().map(|entry| entry.concluded).unwrap_or_default())
            }
            Ok(Heard::Duplicate | Heard::Past) => Ok(Vec::new()),
            Err(why) => Err(why),
        };
        let (heard, concluded) = (recorded.heard.clone(), recorded.concluded.clone());
        let differs = decided.as_ref() != Ok(&concluded);
        let difference = Difference { sequence, entry, heard, recorded: concluded, decided };
        differs.then_some(difference)
    })
}

impl FirstDifference {
    fn of(difference: &Difference) -> Self {
        let records = |records: &[Record]| records.iter().map(|record| format!("{record:?}")).collect();
        Self {
            seq: difference.sequence,
            event: words::event(&difference.heard),
            recorded: records(&difference.recorded),
            decided: match &difference.decided {
                Ok(decided) => records(decided),
                Err(why) => vec![format!("refused: {why}")],
            },
        }
    }

    /// The first conclusion that differs.
    fn text(&self) -> String {
        let same =
            self.recorded.iter().zip(&self.decided).take_while(|(recorded, decided)| recorded == decided).count();
        let at = |list: &[String]| list.get(same).cloned().unwrap_or_else(|| "nothing more".to_owned());
        format!(
            "frame {}, {}: conclusion {} {}\n  recorded: {}\n  decided:  {}",
            self.seq,
            self.event,
            same + 1,
            painted("differs", false),
            at(&self.recorded),
            at(&self.decided),
        )
    }
}

impl Replayed {
    fn text(&self, check: bool) -> String {
        match &self.first_difference {
            Some(difference) => difference.text(),
            None if check => {
                format!("{} frames decided again: {}", self.decided, painted("no difference", true))
            }
            None => format!("{} frames folded; --check decides them again", self.frames),
        }
    }
}
