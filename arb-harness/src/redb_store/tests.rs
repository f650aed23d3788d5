//! The store's contract, damaged files, and a disk that fails or panics at every call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arb_log::Space;
use redb::StorageBackend;

use super::*;

/// A temporary folder, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("arb-redb-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("journal")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0).is_ok();
    }
}

fn frame(number: u64, row: &[u8]) -> (Key, Vec<u8>) {
    (Key::frame(number), row.to_vec())
}

fn rows(store: &RedbStore) -> Vec<(Key, Vec<u8>)> {
    let mut rows = Vec::new();
    let mut visit = |key, row: &[u8]| {
        rows.push((key, row.to_vec()));
        ControlFlow::Continue(())
    };
    let all = Key::new(Space::Meta, 0, 0)..Key::new(Space::Tombstone, u32::MAX, u64::MAX);
    store.scan(all, &mut visit).unwrap();
    rows
}

fn batch(put: Vec<(Key, Vec<u8>)>, appended: u64) -> Batch {
    Batch { put, appended, ..Batch::default() }
}

#[test]
fn a_batch_removes_then_puts_and_is_there_after_reopening() {
    let folder = Folder::new("batch");
    let mut store = RedbStore::create(folder.file()).unwrap();
    let owner = store.claim().unwrap();
    assert_eq!(owner, Condition { epoch: 1, next_sequence: 1 });
    let first = batch(vec![frame(1, b"a"), frame(2, b"b"), frame(3, b"c")], 3);
    store.write(owner, &first).unwrap();
    let owner = Condition { next_sequence: 4, ..owner };
    let second = Batch {
        remove: vec![Key::frame(1)..Key::frame(3), Key::frame(9)..Key::frame(1)],
        put: vec![frame(2, b"B"), (Key::channel(7), vec![1; 10_000])],
        appended: 0,
    };
    store.write(owner, &second).unwrap();
    drop(store);
    let mut store = RedbStore::open(folder.file()).unwrap();
    assert_eq!(rows(&store), [frame(2, b"B"), frame(3, b"c"), (Key::channel(7), vec![1; 10_000])]);
    assert_eq!(store.read(Key::frame(1)), Ok(None));
    assert_eq!(store.read(Key::frame(3)), Ok(Some(b"c".to_vec())));
    assert_eq!(store.claim(), Ok(Condition { epoch: 2, next_sequence: 4 }));
}

#[test]
fn who_is_not_the_owner_or_is_late_changes_nothing() {
    let folder = Folder::new("fence");
    let mut store = RedbStore::open_or_create(folder.file()).unwrap();
    let old = store.claim().unwrap();
    let new = store.claim().unwrap();
    let one = batch(vec![frame(1, b"a")], 1);
    let fenced = |next_sequence| Err(WriteError::Fenced { epoch: 2, next_sequence });
    assert_eq!(store.write(old, &one), fenced(1));
    assert_eq!(rows(&store), []);
    store.write(new, &one).unwrap();
    assert_eq!(store.write(new, &batch(vec![frame(1, b"x")], 1)), fenced(2), "the sequence counts, too");
    assert_eq!(rows(&store), [frame(1, b"a")]);
    let now = Condition { next_sequence: 2, ..new };
    assert_eq!(store.write(now, &Batch::default()), Ok(()), "an empty batch is a look");
}

#[test]
fn a_scan_breaks_off_and_may_use_the_store() {
    let folder = Folder::new("scan");
    let mut store = RedbStore::create(folder.file()).unwrap();
    let owner = store.claim().unwrap();
    store.write(owner, &batch((1..=5).map(|number| frame(number, b"x")).collect(), 5)).unwrap();
    let mut seen = Vec::new();
    let mut visit = |key: Key, _: &[u8]| {
        assert_eq!(store.read(key), Ok(Some(b"x".to_vec())));
        seen.push(key.number);
        if key.number == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    store.scan(Key::frame(2)..Key::frame(5), &mut visit).unwrap();
    assert_eq!(seen, [2, 3]);
    let mut none = |_: Key, _: &[u8]| panic!("an empty or reversed range has no rows");
    store.scan(Key::frame(5)..Key::frame(2), &mut none).unwrap();
    store.scan(Key::frame(2)..Key::frame(2), &mut none).unwrap();
}

#[test]
fn what_is_no_journal_is_refused_by_name_and_left_as_it_is() {
    let folder = Folder::new("refuse");
    let path = folder.file();
    assert_eq!(RedbStore::open(&path).unwrap_err(), RedbStoreError::Missing(path.clone()));
    assert_eq!(RedbStore::open_or_create(&folder.0).unwrap_err(), RedbStoreError::Folder(folder.0.clone()));
    assert_eq!(RedbStore::create(&folder.0).unwrap_err(), RedbStoreError::Folder(folder.0.clone()));
    for content in [&b""[..], b"no database", &[7; 10_000]] {
        fs::write(&path, content).unwrap();
        assert_eq!(RedbStore::open_or_create(&path).unwrap_err(), RedbStoreError::NotRedb(path.clone()));
        assert_eq!(RedbStore::create(&path).unwrap_err(), RedbStoreError::Exists(path.clone()));
        assert_eq!(fs::read(&path).unwrap(), content);
    }
    fs::remove_file(&path).unwrap();
    drop(Builder::new().create(&path).unwrap());
    assert_eq!(RedbStore::open_or_create(&path).unwrap_err(), RedbStoreError::NotAJournal(path.clone()));
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn a_file_in_use_is_refused_until_it_is_free() {
    let folder = Folder::new("in-use");
    let first = RedbStore::create(folder.file()).unwrap();
    assert_eq!(RedbStore::open(folder.file()).unwrap_err(), RedbStoreError::InUse(folder.file()));
    drop(first);
    assert!(RedbStore::open(folder.file()).is_ok());
}

#[test]
fn a_damaged_file_is_an_error_and_never_a_panic() {
    let folder = Folder::new("damage");
    let mut store = RedbStore::create(folder.file()).unwrap();
    let owner = store.claim().unwrap();
    store.write(owner, &batch((1..=40).map(|number| frame(number, &[5; 500])).collect(), 40)).unwrap();
    drop(store);
    let good = fs::read(folder.file()).unwrap();
    let mut refused = 0;
    for place in (0..good.len()).step_by(good.len() / 60) {
        let mut bad = good.clone();
        bad[place..].iter_mut().take(64).for_each(|byte| *byte ^= 0xff);
        fs::write(folder.file(), &bad).unwrap();
        let opened = RedbStore::open(folder.file()).and_then(|mut store| {
            store.claim()?;
            store.scan(Key::frame(0)..Key::frame(99), &mut |_, _| ControlFlow::Continue(()))
        });
        refused += u32::from(opened.is_err());
    }
    assert!(refused > 0, "the test damages nothing that matters");
}

/// A disk in memory: call number `fails_at` fails or panics, and a second copy has what was synced.
#[derive(Clone, Debug, Default)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    synced: Arc<Mutex<Vec<u8>>>,
    calls: Arc<AtomicU64>,
    fails_at: Arc<AtomicU64>,
    panics: Arc<AtomicBool>,
}

impl Disk {
    fn call(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        match call == self.fails_at.load(Ordering::SeqCst) {
            true if self.panics.load(Ordering::SeqCst) => panic!("the disk panics"),
            true => Err(io::Error::other("the disk fails")),
            false => Ok(()),
        }
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk after power was lost: what was not synced is gone.
    fn after_power_loss(&self) -> Self {
        let synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let disk = Self { bytes: Arc::new(Mutex::new(synced)), ..Self::default() };
        disk.fail_at(None, false);
        disk
    }

    /// The call with this number, counted from here, fails; none for `None`.
    fn fail_at(&self, call: Option<u64>, panics: bool) {
        self.panics.store(panics, Ordering::SeqCst);
        self.calls.store(0, Ordering::SeqCst);
        self.fails_at.store(call.unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    fn store(&self) -> Result<RedbStore, RedbStoreError> {
        let disk = self.clone();
        let opener = Box::new(move || {
            let database = Builder::new().create_with_backend(disk.clone()).map_err(other)?;
            let writing = begin_write(&database)?;
            writing.open_table(ROWS).map_err(other)?;
            if writing.open_table(OWNER).map_err(other)?.get(())?.is_none() {
                set_condition(&writing, Condition { epoch: 0, next_sequence: 1 })?;
            }
            writing.commit().map_err(other)?;
            Ok(database)
        });
        RedbStore::with_opener(PathBuf::from("disk"), opener)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.call()?;
        Ok(u64::try_from(self.bytes().len()).unwrap())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.call()?;
        let start = usize::try_from(offset).unwrap();
        let bytes = self.bytes();
        let found = bytes.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.call()?;
        self.bytes().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.call()?;
        *self.synced.lock().unwrap_or_else(PoisonError::into_inner) = self.bytes().clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.call()?;
        let start = usize::try_from(offset).unwrap();
        self.bytes()[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}

#[test]
fn a_disk_that_fails_or_panics_at_any_call_leaves_the_whole_batch_or_nothing() {
    let before: Vec<_> = (1..=3).map(|number| frame(number, &[1; 300])).collect();
    let change = Batch {
        remove: vec![Key::frame(1)..Key::frame(3)],
        put: vec![frame(4, &[2; 6_000]), (Key::channel(1), vec![3; 6_000])],
        appended: 1,
    };
    let after = vec![frame(3, &[1; 300]), change.put[0].clone(), change.put[1].clone()];
    for panics in [false, true] {
        let (mut kept, mut lost) = (0, 0);
        for call in 0.. {
            let disk = Disk::default();
            disk.fail_at(None, panics);
            let mut store = disk.store().unwrap();
            let owner = store.claim().unwrap();
            store.write(owner, &batch(before.clone(), 3)).unwrap();
            disk.fail_at(Some(call), panics);
            let answer = store.write(Condition { next_sequence: 4, ..owner }, &change);
            let reached = disk.calls.load(Ordering::SeqCst) > call;
            let unplugged = disk.after_power_loss();
            disk.fail_at(None, panics);
            // The store reopens its database, and the claim settles what was in flight.
            let whole = is_whole(&mut store, &before, &after);
            let unplugged = is_whole(&mut unplugged.store().unwrap(), &before, &after);
            match answer {
                Ok(()) => assert!(whole && unplugged, "call {call}: called durable and is not"),
                Err(WriteError::Failed(_)) if whole => kept += 1,
                Err(WriteError::Failed(error)) => {
                    assert_eq!(matches!(error, RedbStoreError::Panicked(_)), panics, "{error}");
                    lost += 1;
                }
                Err(fenced) => panic!("{fenced:?}"),
            }
            if !reached {
                break;
            }
        }
        assert!(lost > 3, "the disk never failed: kept {kept}, lost {lost}");
    }
}

/// Whether the batch is there; panics if half of it is.
fn is_whole(store: &mut RedbStore, before: &[(Key, Vec<u8>)], after: &[(Key, Vec<u8>)]) -> bool {
    let (now, found) = (store.claim().unwrap(), rows(store));
    let whole = found == after;
    assert!(whole || found == before, "half a batch");
    assert_eq!(now, Condition { epoch: 2, next_sequence: if whole { 5 } else { 4 } });
    whole
}
