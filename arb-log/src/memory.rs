//! A storage in memory that fails on demand, for tests and the simulator.
//!
//! Its faults: a write is *lost* (the power went before it was durable) or *unreported* (it is durable, but the answer was
//! an error), which look the same to the writer. A row rots: one bit flips, or the row is gone. Reads fail. A second owner
//! opens the same store. It never writes half a batch, because no storage may.

use crate::storage::{Batch, Condition, Key, Storage, WriteError};
use core::ops::{ControlFlow, Range};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What happens to a write that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not durable, and reported failed.
    Lost,
    /// It is durable, but reported failed.
    Unreported,
}

/// The error of an injected fault. It does not say which fault, because a real storage does not know either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// A write failed.
    #[error("injected: the write failed")]
    Write,
    /// A read failed.
    #[error("injected: the read failed")]
    Read,
}

/// A handle on a store in memory. A clone is a second handle on the **same** store, as a second process would have; for a
/// copy see [`fork`](Self::fork).
#[derive(Clone, Debug)]
pub struct Memory {
    store: Arc<Mutex<Store>>,
}

#[derive(Clone, Debug)]
struct Store {
    rows: BTreeMap<Key, Vec<u8>>,
    now: Condition,
    /// Writes so far, failed and fenced ones included; claims are not counted.
    writes: u64,
    faults: BTreeMap<u64, Fault>,
    reads_fail: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        let now = Condition { epoch: 0, next_sequence: 1 };
        let store = Store { rows: BTreeMap::new(), now, writes: 0, faults: BTreeMap::new(), reads_fail: false };
        Self { store: Arc::new(Mutex::new(store)) }
    }

    /// An independent store with the same rows and the same owner, without faults: like a disk image.
    pub fn fork(&self) -> Self {
        let store = self.lock().clone();
        let fork = Self { store: Arc::new(Mutex::new(store)) };
        fork.heal();
        fork
    }

    /// The `n`-th write from now on fails this way; 0 is the next one. Claims are not writes.
    pub fn fail_write(&self, n: u64, fault: Fault) {
        let mut store = self.lock();
        let at = store.writes.saturating_add(n);
        store.faults.insert(at, fault);
    }

    /// Whether reads, scans and claims fail from now on.
    pub fn fail_reads(&self, fail: bool) {
        self.lock().reads_fail = fail;
    }

    /// Takes back every fault that has not happened yet, and lets reads succeed.
    pub fn heal(&self) {
        let mut store = self.lock();
        store.faults.clear();
        store.reads_fail = false;
    }

    /// How many writes there were, failed and fenced ones included.
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// The present owner and the next sequence.
    pub fn condition(&self) -> Condition {
        self.lock().now
    }

    /// All keys, in order.
    pub fn keys(&self) -> Vec<Key> {
        self.lock().rows.keys().copied().collect()
    }

    /// A row's bytes.
    pub fn row(&self, key: Key) -> Option<Vec<u8>> {
        self.lock().rows.get(&key).cloned()
    }

    /// Puts or removes a row past every rule, as rot and operators do.
    pub fn tamper(&self, key: Key, row: Option<Vec<u8>>) {
        let mut store = self.lock();
        match row {
            Some(row) => store.rows.insert(key, row),
            None => store.rows.remove(&key),
        };
    }

    /// Flips one bit of a row, counted from its first byte's lowest; answers whether there is such a bit.
    pub fn flip_bit(&self, key: Key, bit: usize) -> bool {
        self.lock().rows.get_mut(&key).is_some_and(|row| flip_bit(row, bit))
    }

    /// A poisoned lock is used: nothing that is called under it can panic, so no batch is half written.
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Flips one bit of some bytes, counted from the first byte's lowest; answers whether there is such a bit.
pub fn flip_bit(bytes: &mut [u8], bit: usize) -> bool {
    bytes.get_mut(bit / 8).map(|byte| *byte ^= 1u8.rotate_left(u32::try_from(bit % 8).unwrap_or(0))).is_some()
}

impl Storage for Memory {
    type Error = MemoryError;

    fn claim(&mut self) -> Result<Condition, MemoryError> {
        let mut store = self.lock();
        if store.reads_fail {
            return Err(MemoryError::Read);
        }
        store.now.epoch = store.now.epoch.saturating_add(1);
        Ok(store.now)
    }

    fn write(&mut self, expected: Condition, batch: &Batch) -> Result<(), WriteError<MemoryError>> {
        let mut store = self.lock();
        let number = store.writes;
        store.writes = number.saturating_add(1);
        let fault = store.faults.remove(&number);
        if fault == Some(Fault::Lost) {
            return Err(WriteError::Failed(MemoryError::Write));
        }
        let Condition { epoch, next_sequence } = store.now;
        if expected != store.now {
            return Err(WriteError::Fenced { epoch, next_sequence });
        }
        for range in &batch.remove {
            store.rows.retain(|key, _| !range.contains(key));
        }
        store.rows.extend(batch.put.iter().cloned());
        store.now.next_sequence = next_sequence.saturating_add(batch.appended);
        match fault {
            Some(_) => Err(WriteError::Failed(MemoryError::Write)),
            None => Ok(()),
        }
    }

    fn read(&self, key: Key) -> Result<Option<Vec<u8>>, MemoryError> {
        let store = self.lock();
        if store.reads_fail { Err(MemoryError::Read) } else { Ok(store.rows.get(&key).cloned()) }
    }

    fn scan(&self, range: Range<Key>, visit: &mut dyn FnMut(Key, &[u8]) -> ControlFlow<()>) -> Result<(), MemoryError> {
        // The rows are copied out, so that `visit` may use the same store.
        let rows: Vec<(Key, Vec<u8>)> = {
            let store = self.lock();
            if store.reads_fail {
                return Err(MemoryError::Read);
            }
            let rows = (!range.is_empty()).then(|| store.rows.range(range));
            rows.into_iter().flatten().map(|(key, row)| (*key, row.clone())).collect()
        };
        for (key, row) in &rows {
            if visit(*key, row).is_break() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(sequence: u64) -> Batch {
        Batch { put: vec![(Key::frame(sequence), vec![7])], appended: 1, ..Batch::default() }
    }

    #[test]
    fn a_lost_write_leaves_nothing_and_an_unreported_one_everything() {
        for (fault, kept) in [(Fault::Lost, false), (Fault::Unreported, true)] {
            let mut memory = Memory::new();
            let owner = memory.claim().unwrap();
            memory.fail_write(1, fault);
            memory.write(owner, &put(1)).unwrap();
            let owner = Condition { next_sequence: 2, ..owner };
            assert_eq!(memory.write(owner, &put(2)), Err(WriteError::Failed(MemoryError::Write)));
            assert_eq!(memory.row(Key::frame(2)).is_some(), kept);
            assert_eq!(memory.condition().next_sequence, if kept { 3 } else { 2 });
        }
    }

    #[test]
    fn a_second_handle_fences_the_first() {
        let mut first = Memory::new();
        let mut second = first.clone();
        let old = first.claim().unwrap();
        let new = second.claim().unwrap();
        assert_eq!(first.write(old, &put(1)), Err(WriteError::Fenced { epoch: 2, next_sequence: 1 }));
        assert_eq!(second.write(new, &put(1)), Ok(()));
        assert_eq!(first.row(Key::frame(1)), Some(vec![7]), "both see one store");
    }

    #[test]
    fn ranges_go_before_rows_come() {
        let mut memory = Memory::new();
        let owner = memory.claim().unwrap();
        memory.write(owner, &put(1)).unwrap();
        let batch = Batch { remove: vec![Key::frame(0)..Key::frame(9)], put: put(2).put, appended: 1 };
        memory.write(memory.condition(), &batch).unwrap();
        assert_eq!(memory.keys(), [Key::frame(2)]);
    }

    #[test]
    fn a_scan_is_ordered_stops_and_takes_a_reversed_range_for_empty() {
        let mut memory = Memory::new();
        for sequence in [3, 1, 2] {
            memory.tamper(Key::frame(sequence), Some(vec![]));
        }
        let mut seen = Vec::new();
        let mut visit = |key: Key, _: &[u8]| {
            seen.push(key.number);
            if key.number == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        memory.scan(Key::frame(9)..Key::frame(1), &mut visit).unwrap();
        memory.scan(Key::frame(1)..Key::frame(9), &mut visit).unwrap();
        assert_eq!(seen, [1, 2]);
        memory.fail_reads(true);
        assert_eq!(memory.read(Key::frame(1)), Err(MemoryError::Read));
        assert_eq!(memory.claim(), Err(MemoryError::Read));
    }

    #[test]
    fn a_flipped_bit_is_one_bit() {
        let memory = Memory::new();
        memory.tamper(Key::frame(1), Some(vec![0, 0]));
        assert!(memory.flip_bit(Key::frame(1), 9));
        assert_eq!(memory.row(Key::frame(1)), Some(vec![0, 2]));
        assert!(!memory.flip_bit(Key::frame(1), 16), "there is no such bit");
        assert!(!memory.flip_bit(Key::frame(2), 0), "there is no such row");
    }
}
