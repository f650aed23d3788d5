//! A journal's storage in one redb file: a table of rows, and one row that says who may write.
//!
//! Each batch is one write transaction, synced before it answers. redb's file lock keeps other processes out, and the epoch
//! keeps out an earlier owner in this process. redb may answer an error, or panic on a damaged file. Both become a
//! [`RedbStoreError`] and close the database; the next call opens it again, which settles what was in flight. An existing path
//! is never initialised, so a journal that was emptied is an error and not a new journal.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use arb_log::{Batch, Condition, Key, Storage, WriteError};
use redb::{
    Builder, Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
    TableError, WriteTransaction,
};

/// The rows, by the bytes of their keys.
const ROWS: TableDefinition<'_, &[u8; 13], &[u8]> = TableDefinition::new("rows");
/// One row: epoch and next sequence.
const OWNER: TableDefinition<'_, (), (u64, u64)> = TableDefinition::new("owner");

/// Why the file could not be opened, read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedbStoreError {
    /// There is no such file.
    #[error("there is no journal at {}", .0.display())]
    Missing(PathBuf),
    /// There already is a file, which is not overwritten.
    #[error("{} already exists", .0.display())]
    Exists(PathBuf),
    /// The path leads to a folder.
    #[error("{} is a folder; a journal is a file", .0.display())]
    Folder(PathBuf),
    /// The file is not a redb database, or was emptied.
    #[error("{} is not a redb database", .0.display())]
    NotRedb(PathBuf),
    /// The file is a redb database, but without this crate's tables.
    #[error("{} is a redb database without a journal", .0.display())]
    NotAJournal(PathBuf),
    /// The file is open: in another process, or a second time in this one.
    #[error("{} is open elsewhere, in this process or another", .0.display())]
    InUse(PathBuf),
    /// The file is damaged.
    #[error("the database is damaged: {0}")]
    Corrupted(String),
    /// A row has a key that this crate never writes.
    #[error("the database has a row with an invalid key: {0:?}")]
    BadKey([u8; 13]),
    /// The operating system answered an error: its kind and its text.
    #[error("{1} ({0})")]
    Io(io::ErrorKind, String),
    /// redb panicked.
    #[error("the database panicked: {0}")]
    Panicked(String),
    /// Any other error of redb.
    #[error("the database failed: {0}")]
    Other(String),
}

/// Opens the database: a file, or in tests a disk that fails.
type Opener = Box<dyn Fn() -> Result<Database, RedbStoreError> + Send + Sync>;

/// A journal in a redb file.
pub struct RedbStore {
    path: PathBuf,
    opener: Opener,
    /// `None` after an error, until the next call.
    database: Mutex<Option<Database>>,
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl RedbStore {
    /// A new, empty storage in a new file.
    ///
    /// # Errors
    /// If the path exists, or the file cannot be made.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, RedbStoreError> {
        let path = path.as_ref();
        if path.is_dir() {
            return Err(RedbStoreError::Folder(path.to_owned()));
        }
        // Made next to it and then linked into place, so that a crash leaves no file that looks like a damaged journal.
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(format!(".new-{}", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let made = make(&temporary).and_then(|()| {
            fs::hard_link(&temporary, path).map_err(|error| {
                let exists = error.kind() == io::ErrorKind::AlreadyExists;
                if exists { RedbStoreError::Exists(path.to_owned()) } else { error.into() }
            })
        });
        let _gone = fs::remove_file(&temporary).is_ok();
        made?;
        sync_folder(path)?;
        Self::open(path)
    }

    /// The storage in an existing file.
    ///
    /// # Errors
    /// If there is no such file, it is not a journal's storage, or it is in use.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RedbStoreError> {
        let path = path.as_ref().to_owned();
        let opener = {
            let path = path.clone();
            Box::new(move || open_file(&path))
        };
        Self::with_opener(path, opener)
    }

    /// The storage at this path, which is created if nothing is there.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Self, RedbStoreError> {
        match Self::open(path.as_ref()) {
            Err(RedbStoreError::Missing(_)) => Self::create(path),
            answer => answer,
        }
    }

    fn with_opener(path: PathBuf, opener: Opener) -> Result<Self, RedbStoreError> {
        let store = Self { path, opener, database: Mutex::new(None) };
        store.with(|database| {
            let reading = database.begin_read().map_err(other)?;
            match reading.open_table(OWNER) {
                Ok(_) => Ok(()),
                Err(TableError::Storage(error)) => Err(error.into()),
                Err(_) => Err(RedbStoreError::NotAJournal(store.path.clone())),
            }
        })?;
        Ok(store)
    }

    /// Runs something on the database, which is opened first if it is closed. After an error or a panic it is closed.
    fn with<T>(&self, run: impl FnOnce(&Database) -> Result<T, RedbStoreError>) -> Result<T, RedbStoreError> {
        let mut place = self.lock();
        let answer = guarded(|| {
            let database = match place.take() {
                Some(database) => database,
                None => (self.opener)()?,
            };
            run(place.insert(database))
        });
        answer.inspect_err(|_| close(&mut place))
    }

    /// A poisoned lock is used: the database is closed after a panic, so nothing is half done.
    fn lock(&self) -> MutexGuard<'_, Option<Database>> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs something without the lock; after an error or a panic the database is closed.
    fn guarded<T>(&self, run: impl FnOnce() -> Result<T, RedbStoreError>) -> Result<T, RedbStoreError> {
        guarded(run).inspect_err(|_| close(&mut self.lock()))
    }
}

impl Storage for RedbStore {
    type Error = RedbStoreError;

    fn claim(&mut self) -> Result<Condition, RedbStoreError> {
        self.with(|database| {
            let writing = begin_write(database)?;
            let before = condition(&writing)?;
            let now = Condition { epoch: before.epoch.saturating_add(1), ..before };
            set_condition(&writing, now)?;
            writing.commit().map_err(other)?;
            Ok(now)
        })
    }

    fn write(&mut self, expected: Condition, batch: &Batch) -> Result<(), WriteError<RedbStoreError>> {
        let written = self.with(|database| {
            let writing = begin_write(database)?;
            let now = condition(&writing)?;
            if now != expected {
                return Ok(Err(now));
            }
            put(&writing, batch)?;
            let next_sequence = now.next_sequence.saturating_add(batch.appended);
            set_condition(&writing, Condition { next_sequence, ..now })?;
            writing.commit().map_err(other)?;
            Ok(Ok(()))
        });
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Condition { epoch, next_sequence })) => Err(WriteError::Fenced { epoch, next_sequence }),
            Err(error) => Err(WriteError::Failed(error)),
        }
    }

    fn read(&self, key: Key) -> Result<Option<Vec<u8>>, RedbStoreError> {
        self.with(|database| {
            let rows = database.begin_read().map_err(other)?.open_table(ROWS).map_err(other)?;
            Ok(rows.get(&key.to_bytes())?.map(|row| row.value().to_vec()))
        })
    }

    fn scan(
        &self,
        range: Range<Key>,
        visit: &mut dyn FnMut(Key, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), RedbStoreError> {
        if range.is_empty() {
            return Ok(());
        }
        let (start, end) = (range.start.to_bytes(), range.end.to_bytes());
        // A snapshot of the rows. It outlives the lock, so that `visit` may read and write.
        let mut rows = self.with(|database| {
            let rows = database.begin_read().map_err(other)?.open_table(ROWS).map_err(other)?;
            Ok(rows.range::<&[u8; 13]>(&start..&end)?)
        })?;
        // Only redb is guarded: a panic of `visit` goes on to the caller.
        let mut next = || self.guarded(|| rows.next().transpose().map_err(RedbStoreError::from));
        while let Some((key, row)) = next()? {
            let bytes = *key.value();
            let key = Key::from_bytes(&bytes).ok_or(RedbStoreError::BadKey(bytes))?;
            if visit(key, row.value()).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Closing is IO, too, and may panic; redb repairs the file when it is opened next.
fn close(place: &mut Option<Database>) {
    let _closed = guarded(|| {
        drop(place.take());
        Ok(())
    });
}

fn open_file(path: &Path) -> Result<Database, RedbStoreError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(RedbStoreError::Folder(path.to_owned())),
        Ok(_) => Builder::new().open(path).map_err(|error| opened(path, error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(RedbStoreError::Missing(path.to_owned())),
        Err(error) => Err(error.into()),
    }
}

/// Makes and closes a file with both tables and the first owner row: a database without them is not a journal.
fn make(path: &Path) -> Result<(), RedbStoreError> {
    guarded(|| {
        let database = Builder::new().create(path).map_err(|error| opened(path, error))?;
        let writing = begin_write(&database)?;
        writing.open_table(ROWS).map_err(other)?;
        set_condition(&writing, Condition { epoch: 0, next_sequence: 1 })?;
        writing.commit().map_err(other)?;
        database.close().map_err(other)
    })
}

/// Syncs the file's folder: a new file is durable only after that.
fn sync_folder(path: &Path) -> Result<(), RedbStoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(File::open(folder)?.sync_all()?)
}

fn begin_write(database: &Database) -> Result<WriteTransaction, RedbStoreError> {
    let mut writing = database.begin_write().map_err(other)?;
    // redb's default, but the journal depends on it.
    writing.set_durability(Durability::Immediate).map_err(other)?;
    Ok(writing)
}

fn condition(writing: &WriteTransaction) -> Result<Condition, RedbStoreError> {
    let owner = writing.open_table(OWNER).map_err(other)?;
    let found = owner.get(())?.ok_or_else(|| RedbStoreError::Corrupted(String::from("the owner row is gone")))?;
    let (epoch, next_sequence) = found.value();
    Ok(Condition { epoch, next_sequence })
}

fn set_condition(writing: &WriteTransaction, now: Condition) -> Result<(), RedbStoreError> {
    let mut owner = writing.open_table(OWNER).map_err(other)?;
    owner.insert((), (now.epoch, now.next_sequence))?;
    Ok(())
}

fn put(writing: &WriteTransaction, batch: &Batch) -> Result<(), RedbStoreError> {
    let mut rows = writing.open_table(ROWS).map_err(other)?;
    for range in batch.remove.iter().filter(|range| !range.is_empty()) {
        let (start, end) = (range.start.to_bytes(), range.end.to_bytes());
        rows.retain_in::<&[u8; 13], _>(&start..&end, |_, _| false)?;
    }
    for (key, row) in &batch.put {
        rows.insert(&key.to_bytes(), row.as_slice())?;
    }
    Ok(())
}

/// Turns a panic into an error. The caller closes the database, which may be half changed.
fn guarded<T>(run: impl FnOnce() -> Result<T, RedbStoreError>) -> Result<T, RedbStoreError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| String::from(*text));
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(RedbStoreError::Panicked(text.unwrap_or_default()))
    })
}

/// Turns an error at opening into one that names the file.
fn opened(path: &Path, error: DatabaseError) -> RedbStoreError {
    if matches!(error, DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch) {
        return RedbStoreError::InUse(path.to_owned());
    }
    let error = other(error);
    let is_no_database = matches!(error, RedbStoreError::Io(io::ErrorKind::InvalidData, _));
    if is_no_database { RedbStoreError::NotRedb(path.to_owned()) } else { error }
}

fn other(error: impl Into<redb::Error>) -> RedbStoreError {
    let error = error.into();
    if let redb::Error::Io(error) = error {
        return error.into();
    }
    if let redb::Error::Corrupted(text) = error {
        return RedbStoreError::Corrupted(text);
    }
    RedbStoreError::Other(error.to_string())
}

impl From<StorageError> for RedbStoreError {
    fn from(error: StorageError) -> Self {
        other(error)
    }
}

impl From<io::Error> for RedbStoreError {
    fn from(error: io::Error) -> Self {
        Self::Io(error.kind(), error.to_string())
    }
}

#[cfg(test)]
mod tests;
