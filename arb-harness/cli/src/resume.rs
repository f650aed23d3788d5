//! `arb resume`: goes on with a demonstration that was killed, at whatever moment.
//!
//! A scenario's progress is a function of its chain and its journal, so there is nothing else to find out. What was played
//! to its end is shown again.

use std::path::PathBuf;

use super::demo::{Pace, play_all};
use super::failure::Answer;
use super::folder::{Files, scenarios_in};
use super::lab_failure::LabFailure;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder that `arb demo --keep` was given.
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
