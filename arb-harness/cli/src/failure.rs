//! How the program ends: with a verdict on its claim, or with a failure, which is one line and one exit code.

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

/// Whether a command's claim is true: that all is resolved and balanced, or that a replay has no difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The claim is true, or the command makes none.
    Good,
    /// The claim is false.
    False,
}

/// How a command ends.
pub(crate) type Answer = Result<Verdict, Failure>;

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The journal or its storage failed.
    #[error("{}", .0.display())]
    Journal(PathBuf, #[source] JournalError<RedbStoreError>),
    /// An `.arb` file was refused.
    #[error("{}", .0.display())]
    Arb(PathBuf, #[source] ArbError),
    /// A frame contradicts the frames before it.
    #[error("{}: the log contradicts itself at frame {sequence}", path.display())]
    Mismatch { path: PathBuf, sequence: u64, source: Mismatch },
    /// There is nothing to read.
    #[error("{} has no frames", .0.display())]
    Empty(PathBuf),
    /// The first frame is not JournalOpened, so network and journal id are unknown.
    #[error("{}: the first frame is not JournalOpened; use a backup, or export the journal again", .0.display())]
    JournalNotOpened(PathBuf),
    /// The first frames were compacted away; `first` is the first that is left.
    #[error("{} begins with frame {first}, but this command needs the first one", path.display())]
    Compacted { path: PathBuf, first: u64 },
    /// `channel` is the beginning of an id, as the user gave it.
    #[error("{} has no channel whose id begins with {channel}", path.display())]
    NoChannel { path: PathBuf, channel: String },
    /// A frame of a journal cannot be encoded, so it is not written to a file or measured.
    #[error("{}: a frame of the journal could not be encoded", .0.display())]
    Unwritable(PathBuf, #[source] FrameError),
    /// The operating system answered an error.
    #[error("cannot {doing} {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    /// The demonstration, the simulator or a comparison could not run.
    #[cfg(feature = "lab")]
    #[error(transparent)]
    Lab(#[from] LabFailure),
    /// The reader of standard output is gone, for example `head`.
    #[error("standard output is closed")]
    Closed,
    /// A bug in this program or a library.
    #[error("internal error, please report it: {0}")]
    Panicked(String),
}

impl Failure {
    /// Wraps an error of the operating system. `doing` completes "cannot … PATH".
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    /// Wraps a journal's error.
    pub(crate) fn journal(path: &Path) -> impl FnOnce(JournalError<RedbStoreError>) -> Self {
        let path = path.to_owned();
        move |why| Self::Journal(path, why)
    }

    /// Wraps an error of a journal's file.
    pub(crate) fn storage(path: &Path) -> impl FnOnce(RedbStoreError) -> Self {
        let path = path.to_owned();
        move |why| Self::Journal(path, JournalError::Storage(why))
    }

    /// The failure and its causes on one line; a cause whose text is there already is left out.
    pub(crate) fn one_line(&self) -> String {
        let mut text = self.to_string();
        if let Self::Journal(_, JournalError::Storage(why)) = self {
            // The storage's text says enough. A panic of redb is damage that redb did not expect.
            let damage = if let RedbStoreError::Panicked(text) = why { Some(text.clone()) } else { None };
            let why = damage.map_or_else(|| why.to_string(), |text| RedbStoreError::Corrupted(text).to_string());
            text = if why.contains(&text) { why } else { format!("{text}: {why}") };
            return text.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        let mut cause = self.source();
        while let Some(why) = cause {
            let more = why.to_string();
            if !text.contains(&more) {
                // A cause may begin with the file's name, too.
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
