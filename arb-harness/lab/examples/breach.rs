//! What past commitments cost while a channel is open, and what a breach costs: bytes, memory, and the time until every
//! penalty is signed.
//!
//! `cargo run --release -p arb-lab --example breach`; `-- --updates 100000` makes a tenth of the default updates.
//! These machines are shared and noisy: look at bytes, counts and ratios within one run, not at absolute times.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a program that prints figures and its progress"
)]

#[path = "support/penalties.rs"]
mod penalties;
mod support;
#[path = "support/updates.rs"]
mod updates;

use std::alloc::System;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use arb_core::{ChainArbitrator, ChannelIndex, CommitmentRow, RevokedCommitment};
use arb_harness::redb_store::RedbStore;
use arb_log::frame::{Raw, decode};
use arb_log::memory::Memory;
use arb_log::{Journal, Key, Space, Storage};
use cap::Cap;
use clap::Parser;
use support::median;
use updates::{Updates, World};

/// Counts what is allocated and not yet freed.
#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// Index of the only channel.
const CHANNEL: ChannelIndex = ChannelIndex::new(0);
/// Whole cycles over which averages are taken.
const CYCLES: usize = 4;
/// Commitment updates in one step of the long run; each step is one synced write.
const UPDATES_PER_STEP: u64 = 1000;
/// Samples for each median.
const SAMPLES: usize = 201;

/// Prints figures of past commitments and of a breach.
#[derive(Parser)]
struct Arguments {
    /// Commitment updates of the channel with the long history.
    #[arg(long, default_value_t = 1_000_000)]
    updates: u64,
    /// HTLCs that stay pending; one more is added and removed.
    #[arg(long, default_value_t = 10)]
    others: u64,
}

fn main() {
    let Arguments { updates, others } = Arguments::parse();
    bytes_of_updates();
    let long = memory_by_updates(updates.max(UPDATES_PER_STEP), others);
    loads(&long, updates.max(UPDATES_PER_STEP), others);
    fs::remove_file(long).unwrap();
    penalties::print();
}

/// What one commitment update wrote.
struct Written {
    /// Whether the update adds an HTLC; otherwise it removes one.
    adds: bool,
    /// Bytes of its frame, of the revocation's frame, and of the row.
    frame: usize,
    revocation: usize,
    row: usize,
    is_whole: bool,
}

fn row_bytes(memory: &Memory, key: Key) -> Vec<u8> {
    memory.row(key).unwrap()
}

/// The updates of [`CYCLES`] cycles; a cycle begins with a whole row and ends before the next.
fn cycles(world: &mut World<Memory>, memory: &Memory) -> Vec<Written> {
    let (mut written, mut wholes): (Vec<Written>, Vec<usize>) = (Vec::new(), Vec::new());
    while wholes.len() <= CYCLES {
        let number = world.updates.next_number();
        let signed = world.updates.signed();
        world.hear(&[signed]);
        let sequence = world.court.sequence();
        let frame = row_bytes(memory, Key::frame(sequence)).len();
        let bytes = row_bytes(memory, Key::commitment(0, number));
        let (_, _, row): (u32, u64, CommitmentRow) = decode(sequence, &bytes).unwrap();
        let is_whole = row.builds_on().is_none();
        wholes.extend(is_whole.then_some(written.len()));
        let revoked = world.updates.revoked(number - 1);
        world.hear(&[revoked]);
        let revocation = row_bytes(memory, Key::frame(sequence + 1)).len();
        written.push(Written { adds: number % 2 == 1, frame, revocation, row: bytes.len(), is_whole });
    }
    written.truncate(wholes[CYCLES]);
    written.split_off(wholes[0])
}

fn bytes_of_updates() {
    println!(
        "1  Log bytes of a commitment update of theirs: one HTLC is added, the next update removes it, the others stay."
    );
    println!(
        "   Measured: values in a memory storage (without their keys of 13 bytes) after real court and journal; means \
         over {CYCLES} cycles, from a whole row to the next."
    );
    println!(
        "   {:>6} | {:>9} {:>9} {:>9} | {:>9} {:>9} {:>9} {:>9} {:>9} | {:>9} | {:>10} | {:>12}",
        "HTLCs",
        "frame",
        "frame",
        "frame",
        "change",
        "change",
        "whole",
        "cycle",
        "row",
        "frame+row",
        "revocation",
        "longest load"
    );
    println!(
        "   {:>6} | {:>9} {:>9} {:>9} | {:>9} {:>9} {:>9} {:>9} {:>9} | {:>9} | {:>10} | {:>12}",
        "others",
        "add, B",
        "remove, B",
        "mean, B",
        "add, B",
        "remove, B",
        "B",
        "updates",
        "mean, B",
        "mean, B",
        "frame, B",
        "us"
    );
    for others in [0, 1, 10, 100, 483] {
        bytes_with(others);
    }
    println!();
}

fn bytes_with(others: u64) {
    let memory = Memory::new();
    let mut world = World::new(memory.clone(), others);
    let written = cycles(&mut world, &memory);
    let mean = |of: &dyn Fn(&Written) -> usize| written.iter().map(of).sum::<usize>() as f64 / written.len() as f64;
    let most = |of: &dyn Fn(&Written) -> Option<usize>| match written.iter().filter_map(of).max() {
        Some(bytes) => bytes.to_string(),
        None => String::from("-"),
    };
    let (frame, row) = (mean(&|one| one.frame), mean(&|one| one.row));
    println!(
        "   {others:>6} | {:>9} {:>9} {frame:>9.1} | {:>9} {:>9} {:>9} {:>9.1} {row:>9.1} | {:>9.1} | {:>10} | {:>12.1}",
        most(&|one| one.adds.then_some(one.frame)),
        most(&|one| (!one.adds).then_some(one.frame)),
        most(&|one| (one.adds && !one.is_whole).then_some(one.row)),
        most(&|one| (!one.adds && !one.is_whole).then_some(one.row)),
        most(&|one| one.is_whole.then_some(one.row)),
        written.len() as f64 / CYCLES as f64,
        frame + row,
        most(&|one| Some(one.revocation)),
        longest_load(&world),
    );
}

/// Microseconds to load the commitment before the last whole row, which needs the most rows.
fn longest_load(world: &World<Memory>) -> f64 {
    let number = world.updates.next_number() - 2;
    load_micros(&world.journal, number)
}

/// Median microseconds to load a past commitment.
fn load_micros<S: Storage>(journal: &Journal<S>, number: u64) -> f64 {
    let samples = (0..SAMPLES).map(|_| timed(|| journal.revoked(CHANNEL, number).unwrap()).1);
    median(samples.collect())
}

/// The result of a closure, and the microseconds that it took.
fn timed<T>(what: impl FnOnce() -> T) -> (T, f64) {
    let begin = Instant::now();
    let answer = what();
    (answer, begin.elapsed().as_secs_f64() * 1e6)
}

/// Heap bytes that dropping this court frees.
fn heap_bytes(court: ChainArbitrator) -> usize {
    let with = HEAP.allocated();
    drop(court);
    with - HEAP.allocated()
}

fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("arb-breach-{}-{name}.redb", std::process::id()))
}

/// Prints the memory of a channel after few and after many updates; the file of the latter.
fn memory_by_updates(updates: u64, others: u64) -> PathBuf {
    println!(
        "2  Memory of one channel: {others} HTLCs pending and one that is added and removed, each update revoked by the next."
    );
    println!(
        "   Measured: live heap by a counting allocator, court with the channel minus court without; the channel's row \
         after a checkpoint.\n   Storage: redb in a temporary folder; {UPDATES_PER_STEP} updates a step, the last ten a \
         step each; our commitment 0 stays."
    );
    println!(
        "   {:>10} {:>12} {:>14} {:>10} {:>14}",
        "updates", "live heap, B", "channel row, B", "time, s", "us an update"
    );
    let (early, late) = (temporary("early"), temporary("late"));
    let before = run_channel(&early, UPDATES_PER_STEP, others);
    fs::remove_file(early).unwrap();
    let after = run_channel(&late, updates, others);
    let doublings = (updates as f64 / UPDATES_PER_STEP as f64).log2();
    println!("   Each doubling of the updates adds {:.1} B.\n", (after as f64 - before as f64) / doublings);
    late
}

/// Runs a channel for this many updates; its heap bytes at the end.
fn run_channel(path: &Path, updates: u64, others: u64) -> usize {
    let mut world = World::new(RedbStore::create(path).unwrap(), others);
    let begin = Instant::now();
    let stop = updates - 10;
    while world.updates.next_number() <= stop {
        let number = world.updates.next_number();
        world.update(UPDATES_PER_STEP.min(stop + 1 - number));
        if number > 1 && number % (updates / 20).next_multiple_of(UPDATES_PER_STEP) == 1 {
            eprintln!("{number} of {updates} updates, {:.0} s", begin.elapsed().as_secs_f64());
        }
    }
    for _ in 0..10 {
        world.update(1);
    }
    let seconds = begin.elapsed().as_secs_f64();
    world.journal.checkpoint(&world.court, 1).unwrap();
    let World { court, journal, .. } = world;
    let row = journal.into_storage().read(Key::channel(0)).unwrap().unwrap().len();
    let heap = heap_bytes(court) - heap_bytes(World::bare());
    println!("   {updates:>10} {heap:>12} {row:>14} {seconds:>10.1} {:>14.1}", seconds * 1e6 / updates as f64);
    heap
}

/// Asks the operating system to drop a file's pages from its cache; whether that worked.
fn drop_from_cache(path: &Path) -> bool {
    let path = path.display();
    let dd = Command::new("dd").args([format!("if={path}"), "iflag=nocache".into(), "count=0".into()]).output();
    dd.is_ok_and(|output| output.status.success())
}

fn open(path: &Path) -> Journal<RedbStore> {
    Journal::open(RedbStore::open(path).unwrap()).unwrap()
}

fn loads(path: &Path, updates: u64, others: u64) {
    let cold = if drop_from_cache(path) { "reopened, its pages dropped from the page cache by dd" } else { "reopened" };
    println!(
        "3  Loading a past commitment: Journal::revoked from the redb file of the long run above, not recovered first."
    );
    println!("   Measured: the first load after opening ({cold}), then the median of {SAMPLES} more.");
    println!(
        "   {:>10} {:>10} {:>6} {:>9} {:>9} {:>9}",
        "commitment", "rows read", "HTLCs", "open, ms", "cold, us", "warm, us"
    );
    for number in [3, updates - 1] {
        let _asked = drop_from_cache(path);
        let (journal, opening) = timed(|| open(path));
        let (loaded, cold) = timed(|| journal.revoked(CHANNEL, number).unwrap());
        assert_eq!(loaded, [RevokedCommitment::from(&Updates::state(others, number))]);
        let warm = load_micros(&journal, number);
        let bytes = journal.into_storage().read(Key::commitment(0, number)).unwrap().unwrap();
        let (_, _, row): (u32, u64, CommitmentRow) = Raw::whole(&bytes).unwrap().value().unwrap();
        let rows = number - row.builds_on().unwrap_or(number) + 1;
        let htlcs = loaded[0].htlcs.len();
        println!("   {number:>10} {rows:>10} {htlcs:>6} {:>9.2} {cold:>9.1} {warm:>9.1}", opening / 1e3);
    }
    let storage = RedbStore::open(path).unwrap();
    let of = |space| {
        let (mut rows, mut bytes) = (0_u64, 0);
        let mut each = |key: Key, row: &[u8]| {
            rows += 1;
            bytes += key.to_bytes().len() + row.len();
            std::ops::ControlFlow::Continue(())
        };
        storage.scan(Key::new(space, 0, 0)..Key::new(space, u32::MAX, 0), &mut each).unwrap();
        (rows, bytes as f64 / 1e6)
    };
    let ((rows, rows_mb), (frames, frames_mb)) = (of(Space::Commitment), of(Space::Frame));
    let file = fs::metadata(path).unwrap().len() as f64;
    println!(
        "   The file: {:.1} MB, {:.0} B an update. In it, with keys: {rows} rows of commitments, {rows_mb:.1} MB; {frames} \
         frames, {frames_mb:.1} MB.\n",
        file / 1e6,
        file / updates as f64
    );
}
