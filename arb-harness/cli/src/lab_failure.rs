//! Why the demonstration, the simulator or a comparison could not run.

use std::path::PathBuf;

use arb_harness::redb_store::RedbStoreError;
use arb_lab::chain::ChainFileError;
use arb_lab::demo::Scenario;
use arb_lab::demo::stage::StageError;

use super::failure::Failure;

/// Why `arb demo`, `arb sim` or `arb bench` could not run to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LabFailure {
    /// The name is not a scenario's.
    #[error("there is no scenario {0}; the scenarios are: {names}", names = names())]
    NoScenario(String),
    /// A new demonstration does not overwrite an old one.
    #[error("{} already holds a demonstration: continue it with `arb resume`, or choose another folder", .0.display())]
    Occupied(PathBuf),
    /// The folder has no scenario's file.
    #[error("{} holds no demonstration to resume", .0.display())]
    NothingToResume(PathBuf),
    /// The chain has blocks after the start, but its journal is gone.
    #[error("{} is missing, and its chain is at height {height}: this cannot be resumed", path.display())]
    JournalGone {
        path: PathBuf,
        /// The chain's height.
        height: u32,
    },
    /// The journal has blocks after its start, but the file of its simulated chain is missing.
    #[error("{} is missing, and its journal is at height {height}: this cannot be resumed", path.display())]
    ChainGone {
        path: PathBuf,
        /// The journal's height.
        height: u32,
    },
    /// A scenario could not be played.
    #[error("{0}")]
    Stage(String, #[source] StageError<RedbStoreError>),
    /// A chain's file failed.
    #[error(transparent)]
    Chain(#[from] ChainFileError),
    /// A count is 0, so there is nothing to do.
    #[error("{0} must be at least 1")]
    Nothing(&'static str),
}

impl From<ChainFileError> for Failure {
    fn from(why: ChainFileError) -> Self {
        LabFailure::Chain(why).into()
    }
}

/// All scenarios' names, with commas.
fn names() -> String {
    Scenario::all().iter().map(Scenario::name).collect::<Vec<_>>().join(", ")
}
