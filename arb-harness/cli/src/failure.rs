//! How the program ends: the verdict on a claim, or why there is none. Each failure is one line and one exit code.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use arb_core::Mismatch;
use arb_harness::redb_store::RedbStoreError;
use arb_log::arb_file::ArbError;
use arb_log::{FrameError, JournalError};

#[cfg(feature = "lab")]
use super::lab_failure::LabFailure;

/// What came of what was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is true.
    Good,
    /// It is false.
    False,
}

/// How a command ends.
pub(crate) type Answer = Result<Verdict, Failure>;

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The journal, or its storage.
    #[error("{}", .0.display())]
    Journal(PathBuf, #[source] JournalError<RedbStoreError>),
    /// An `.arb` file.
    #[error("{}", .0.display())]
    Arb(PathBuf, #[source] ArbError),
    /// A frame says something that cannot have happened.
    #[error("{}: the log does not fit at frame {sequence}", path.display())]
    Mismatch {
        /// The journal.
        path: PathBuf,
        /// The frame.
        sequence: u64,
        /// Why.
        source: Mismatch,
    },
    /// A journal without frames.
    #[error("{} has no frames", .0.display())]
    Empty(PathBuf),
    /// A journal that does not begin with JournalOpened.
    #[error("{} does not begin with JournalOpened", .0.display())]
    JournalNotOpened(PathBuf),
    /// The story's begin was compacted away.
    #[error("{} tells the story from frame {first} on; this needs the first one", path.display())]
    Compacted {
        /// The journal.
        path: PathBuf,
        /// The first frame that is there.
        first: u64,
    },
    /// There is no such channel.
    #[error("{} knows no channel {channel}", path.display())]
    NoChannel {
        /// The journal.
        path: PathBuf,
        /// The channel asked for.
        channel: String,
    },
    /// A frame cannot be written.
    #[error("{}", .0.display())]
    Unwritable(PathBuf, #[source] FrameError),
    /// The operating system refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The simulated world could not be played in.
    #[cfg(feature = "lab")]
    #[error(transparent)]
    Lab(#[from] LabFailure),
    /// Nobody reads standard output any more.
    #[error("standard output is closed")]
    Closed,
    /// A bug; not the input's fault, but nothing can be said about it.
    #[error("internal error: {0}")]
    Panicked(String),
}

impl Failure {
    /// The operating system refused.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    /// A journal failed.
    pub(crate) fn journal(path: &Path) -> impl FnOnce(JournalError<RedbStoreError>) -> Self {
        let path = path.to_owned();
        move |why| Self::Journal(path, why)
    }

    /// A journal's file failed.
    pub(crate) fn storage(path: &Path) -> impl FnOnce(RedbStoreError) -> Self {
        let path = path.to_owned();
        move |why| Self::Journal(path, JournalError::Storage(why))
    }

    /// The whole story on one line: what, then every cause that is not in it yet.
    pub(crate) fn one_line(&self) -> String {
        let mut text = self.to_string();
        if let Self::Journal(_, JournalError::Storage(why)) = self {
            // That it was the storage is said better by what it says. It panics at damage that it does not expect.
            let damage = if let RedbStoreError::Panicked(text) = why { Some(text.clone()) } else { None };
            let why = damage.map_or_else(|| why.to_string(), |text| RedbStoreError::Corrupted(text).to_string());
            text = if why.contains(&text) { why } else { format!("{text}: {why}") };
            return text.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        let mut cause = self.source();
        while let Some(why) = cause {
            let more = why.to_string();
            if !text.contains(&more) {
                // A cause that names the file itself does not need it said twice.
                text = if more.starts_with(&text) { more } else { format!("{text}: {more}") };
            }
            cause = why.source();
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl From<Failure> for ExitCode {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Closed => Self::SUCCESS,
            #[cfg(feature = "lab")]
            Failure::Lab(_) => Self::from(2),
            Failure::Journal(..)
            | Failure::Arb(..)
            | Failure::Mismatch { .. }
            | Failure::Empty(_)
            | Failure::JournalNotOpened(_)
            | Failure::Compacted { .. }
            | Failure::NoChannel { .. }
            | Failure::Unwritable(..)
            | Failure::Io { .. }
            | Failure::Panicked(_) => Self::from(2),
        }
    }
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Good => Self::SUCCESS,
            Verdict::False => Self::from(1),
        }
    }
}
