//! `arb resume`: continues a demonstration that was killed at any moment.
//!
//! A scenario's progress follows from its chain and its journal, so nothing else is read. A scenario that had ended is shown
//! again.

use std::path::PathBuf;

use super::demo::{Pace, play_all};
use super::failure::Answer;
use super::folder::{Files, scenarios_in};
use super::lab_failure::LabFailure;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder that was given to `arb demo --keep`.
    folder: PathBuf,
    #[command(flatten)]
    pace: Pace,
}

/// Plays every scenario of a folder to its end.
pub(crate) fn run(options: &Options, json: bool) -> Answer {
    let scenarios = scenarios_in(&options.folder)?;
    if scenarios.is_empty() {
        return Err(LabFailure::NothingToResume(options.folder.clone()).into());
    }
    play_all(&scenarios, &options.pace, json, |scenario| {
        let files = Files::of(&options.folder, scenario);
        let chain = files.chain_to_resume()?;
        Ok((files, chain))
    })
}
