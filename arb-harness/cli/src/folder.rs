//! A demonstration's files: `NN-NAME.redb` is a scenario's journal, and `NN-NAME.chain` its chain.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use arb_harness::redb_store::RedbStore;
use arb_lab::chain::Chain;
use arb_lab::demo::Scenario;
use arb_lab::demo::stage::{START, chain_config};
use arb_log::Reader;

use super::failure::Failure;
use super::lab_failure::LabFailure;

/// The two files of one scenario.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) journal: PathBuf,
    pub(crate) chain: PathBuf,
}

impl Files {
    /// The files' paths in a folder; they may not exist.
    pub(crate) fn of(folder: &Path, scenario: &Scenario) -> Self {
        let stem = folder.join(scenario.file_stem());
        let with = |ending: &str| {
            let mut name = stem.clone().into_os_string();
            name.push(ending);
            PathBuf::from(name)
        };
        Self { journal: with(".redb"), chain: with(".chain") }
    }

    /// Whether a file exists.
    pub(crate) fn any(&self) -> bool {
        self.journal.exists() || self.chain.exists()
    }

    /// The chain to continue with. If nothing was mined yet it is made again, because its first outputs may be incomplete.
    ///
    /// # Errors
    /// If one file has blocks after the start and the other is missing, or if a file cannot be read.
    pub(crate) fn chain_to_resume(&self) -> Result<Chain, Failure> {
        let heard = self.height_heard()?;
        if !self.chain.exists() {
            return match heard {
                Some(height) if height > START => {
                    Err(LabFailure::ChainGone { path: self.chain.clone(), height }.into())
                }
                Some(_) | None => Ok(Chain::create(&self.chain, chain_config())?),
            };
        }
        let chain = Chain::open(&self.chain, chain_config())?;
        if chain.highest() == START && heard.is_none_or(|height| height <= START) {
            drop(chain);
            fs::remove_file(&self.chain).map_err(Failure::io("remove", &self.chain))?;
            return Ok(Chain::create(&self.chain, chain_config())?);
        }
        match heard {
            None => Err(LabFailure::JournalGone { path: self.journal.clone(), height: chain.tip().0 }.into()),
            Some(_) => Ok(chain),
        }
    }

    /// The journal's tip height; `None` if there is no journal.
    fn height_heard(&self) -> Result<Option<u32>, Failure> {
        if !self.journal.exists() {
            return Ok(None);
        }
        let store = RedbStore::open(&self.journal).map_err(Failure::storage(&self.journal))?;
        let court = Reader::open(store).and_then(|reader| reader.court());
        Ok(Some(court.map_err(Failure::journal(&self.journal))?.tip().height.get()))
    }
}

/// A folder for a demonstration.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Whether it is removed with this value.
    temporary: bool,
}

impl Folder {
    /// A folder that is kept; it is made if it does not exist.
    pub(crate) fn kept(path: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(path).map_err(Failure::io("make the folder", path))?;
        Ok(Self { path: path.to_owned(), temporary: false })
    }

    /// A new folder that is removed with this value.
    pub(crate) fn temporary() -> Result<Self, Failure> {
        let root = std::env::temp_dir();
        for number in 0_u32.. {
            let path = root.join(format!("arb-demo-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path, temporary: true }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Failure::io("make the folder", &path)(error)),
            }
        }
        Err(Failure::io("make a folder in", &root)(ErrorKind::AlreadyExists.into()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            let _removed = fs::remove_dir_all(&self.path).is_ok();
        }
    }
}

/// The scenarios that have files in a folder. Removes what a kill left of a journal that was being created.
pub(crate) fn scenarios_in(path: &Path) -> Result<Vec<Scenario>, Failure> {
    let entries = fs::read_dir(path).map_err(Failure::io("read the folder", path))?;
    let all = Scenario::all();
    for entry in entries {
        let entry = entry.map_err(Failure::io("read the folder", path))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((stem, _)) = name.split_once(".redb.new-") else { continue };
        if all.iter().any(|scenario| scenario.file_stem() == stem) {
            fs::remove_file(entry.path()).map_err(Failure::io("remove", &entry.path()))?;
        }
    }
    Ok(all.into_iter().filter(|scenario| Files::of(path, scenario).any()).collect())
}
