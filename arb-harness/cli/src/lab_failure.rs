//! Why the simulated world could not be played in.

use std::path::PathBuf;

use arb_harness::redb_store::RedbStoreError;
use arb_lab::chain::ChainFileError;
use arb_lab::demo::Scenario;
use arb_lab::demo::stage::StageError;

use super::failure::Failure;

/// Why there is no verdict on a world.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LabFailure {
    /// There is no such scenario.
    #[error("there is no scenario {0}; there are: {names}", names = names())]
    NoScenario(String),
    /// A folder that should be new has a demonstration in it.
    #[error("{} holds a demonstration already: `arb resume` goes on with it", .0.display())]
    Occupied(PathBuf),
    /// A folder without a demonstration.
    #[error("{} holds no demonstration to go on with", .0.display())]
    NothingToResume(PathBuf),
    /// A chain went on, and its journal is gone.
    #[error("{} is missing, and its chain is at height {height}: this cannot be resumed", path.display())]
    JournalGone {
        /// The journal.
        path: PathBuf,
        /// The chain's height.
        height: u32,
    },
    /// A journal went on, and its chain is gone.
    #[error("{} is missing, and its journal is at height {height}: this cannot be resumed", path.display())]
    ChainGone {
        /// The chain.
        path: PathBuf,
        /// The journal's height.
        height: u32,
    },
    /// A scenario could not be played.
    #[error("{0}")]
    Stage(String, #[source] StageError<RedbStoreError>),
    /// A chain's file.
    #[error(transparent)]
    Chain(#[from] ChainFileError),
    /// A number that leaves nothing to do.
    #[error("{0} must be at least 1")]
    Nothing(&'static str),
}

impl From<ChainFileError> for Failure {
    fn from(why: ChainFileError) -> Self {
        LabFailure::Chain(why).into()
    }
}

/// The names of all scenarios.
fn names() -> String {
    Scenario::all().iter().map(Scenario::name).collect::<Vec<_>>().join(", ")
}
