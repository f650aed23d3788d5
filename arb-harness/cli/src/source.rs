//! Opens a journal for reading, from a redb file or an `.arb` file. A process that writes the journal is not disturbed.

use std::fs::{self, File};
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use arb_core::{ChainArbitrator, Event, Frame, JournalIdentity};
use arb_harness::redb_store::{RedbStore, RedbStoreError};
use arb_log::arb_file::{self, ArbError, Import, MAGIC};
use arb_log::{JournalError, Reader};
use bitcoin::Network;

use super::failure::Failure;
use super::output;

/// The arguments of every command that reads a journal.
#[derive(Debug, clap::Args)]
pub(crate) struct JournalArguments {
    /// The journal: a redb file, or an .arb file.
    journal: PathBuf,
    /// Refuse a journal that is not of this network: bitcoin, testnet, testnet4, signet or regtest.
    #[arg(long)]
    network: Option<Network>,
}

/// A journal's frames.
pub(crate) struct Source {
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    Redb(Reader<RedbStore>),
    Arb(Import),
}

impl Source {
    /// Opens a journal, and compares its network with the one asked for.
    ///
    /// # Errors
    /// If it cannot be read, has no frames, or is for another network.
    pub(crate) fn open(arguments: &JournalArguments) -> Result<Self, Failure> {
        let path = &arguments.journal;
        let source = Self { path: path.clone(), kind: open(path)? };
        if source.last() == 0 {
            return Err(Failure::Empty(path.clone()));
        }
        if source.first() > 1 {
            output::note(&format!(
                "{}: known from frame {} on; earlier frames are gone",
                path.display(),
                source.first()
            ));
        }
        if let Some(expected) = arguments.network {
            let found = source.identity()?.network;
            if found != expected {
                return Err(Failure::Journal(path.clone(), JournalError::OtherNetwork { expected, found }));
            }
        }
        Ok(source)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The first frame that is there.
    pub(crate) fn first(&self) -> u64 {
        match &self.kind {
            Kind::Redb(reader) => reader.first_sequence(),
            Kind::Arb(import) => import.frames.first().map_or(1, |frame| frame.sequence),
        }
    }

    /// The last frame; 0 if there is none.
    pub(crate) fn last(&self) -> u64 {
        match &self.kind {
            Kind::Redb(reader) => reader.last_sequence(),
            Kind::Arb(import) => import.frames.last().map_or(0, |frame| frame.sequence),
        }
    }

    /// Refuses a journal whose first frames are gone.
    pub(crate) fn needs_the_first(&self) -> Result<(), Failure> {
        match self.first() {
            0 | 1 => Ok(()),
            first => Err(Failure::Compacted { path: self.path.clone(), first }),
        }
    }

    /// Shows every frame, in order, until `visit` breaks off.
    pub(crate) fn frames<B>(&self, mut visit: impl FnMut(&Frame) -> ControlFlow<B>) -> Result<Option<B>, Failure> {
        match &self.kind {
            Kind::Redb(reader) => reader.frames(|frame| visit(&frame)).map_err(Failure::journal(&self.path)),
            Kind::Arb(import) => Ok(import.frames.iter().find_map(|frame| visit(frame).break_value())),
        }
    }

    /// The court as of frame `at`, or as of the last frame.
    ///
    /// # Errors
    /// If a frame is bad or contradicts those before it, or if frames are needed that are gone.
    pub(crate) fn court(&self, at: Option<u64>) -> Result<ChainArbitrator, Failure> {
        if let (Kind::Redb(reader), None) = (&self.kind, at) {
            return reader.court().map_err(Failure::journal(&self.path));
        }
        self.needs_the_first()?;
        let mut court = ChainArbitrator::new();
        let failed = self.frames(|frame| {
            if at.is_some_and(|at| frame.sequence > at) {
                return ControlFlow::Break(None);
            }
            match court.fold(frame) {
                Ok(()) => ControlFlow::Continue(()),
                Err(why) => ControlFlow::Break(Some((frame.sequence, why))),
            }
        })?;
        match failed.flatten() {
            Some((sequence, source)) => Err(Failure::Mismatch { path: self.path.clone(), sequence, source }),
            None => Ok(court),
        }
    }

    /// The journal's network and id.
    fn identity(&self) -> Result<JournalIdentity, Failure> {
        let first = self.frames(|frame| ControlFlow::Break(frame.clone()))?;
        if let Some(Event::JournalOpened(identity)) =
            first.as_ref().and_then(|frame| frame.entries.first()).map(|entry| &entry.heard)
        {
            return Ok(identity.clone());
        }
        self.court(None)?.identity().cloned().ok_or_else(|| Failure::JournalNotOpened(self.path.clone()))
    }
}

fn open(path: &Path) -> Result<Kind, Failure> {
    if is_arb(path)? {
        let bytes = fs::read(path).map_err(Failure::io("read", path))?;
        let import = arb_file::import(&bytes).map_err(|why| Failure::Arb(path.to_owned(), why))?;
        if let Some(cut) = &import.cut {
            let (path, bytes, after, why) = (path.display(), cut.bytes, cut.after, &cut.why);
            output::note(&format!(
                "{path}: the end is torn: the {bytes} bytes after frame {after} are ignored ({why})"
            ));
        }
        return Ok(Kind::Arb(import));
    }
    let store = RedbStore::open(path).map_err(Failure::storage(path))?;
    Ok(Kind::Redb(Reader::open(store).map_err(Failure::journal(path))?))
}

/// Whether a file is an `.arb` file, by its first bytes. A file that has only the name is refused.
fn is_arb(path: &Path) -> Result<bool, Failure> {
    if path.is_dir() {
        return Err(Failure::storage(path)(RedbStoreError::Folder(path.to_owned())));
    }
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Failure::storage(path)(RedbStoreError::Missing(path.to_owned())));
        }
        Err(error) => return Err(Failure::io("open", path)(error)),
    };
    let mut magic = [0; MAGIC.len()];
    let whole = file.read_exact(&mut magic).is_ok();
    let named = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("arb"));
    if named && !(whole && magic == MAGIC) {
        return Err(Failure::Arb(path.to_owned(), ArbError::NotArb));
    }
    Ok(named || (whole && magic == MAGIC))
}
