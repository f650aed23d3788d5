//! The demonstration, killed by SIGKILL and resumed: it ends as if it had not been killed.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use arb_core::Event;
use arb_harness::redb_store::RedbStore;
use arb_lab::demo::story::Ending;
use serde_json::Value;

use super::support::{Folder, Kept, Random, command, end, files, frames, json, kept, write_journal};

const KILLS: usize = 50;
const INSIDE: usize = 40;

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

/// Plays a scenario and kills it `delay` after its chain's file has reached a size. The file grows with every block, so the
/// kills spread over the whole run on a machine of any speed. Answers whether it was killed between its first and last append.
fn killed(folder: &Folder, name: &str, at_size: u64, delay: Duration) -> bool {
    let (journal, chain) = files(folder, name);
    let path = folder.path().to_str().unwrap();
    let mut child = command(&["demo", "--scenario", name, "--keep", path, "--slow-ms", "3", "--json"]).spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(300);
    while size(&chain) < at_size && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < patience, "the chain did not grow");
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(delay);
    child.kill().unwrap();
    let _ended = child.wait().unwrap();
    if !journal.exists() {
        return false;
    }
    let frames = frames(&journal);
    !frames.is_empty() && !Ending::of(&frames).gone
}

fn resumed(folder: &Folder) -> Value {
    let (code, report) = json(&["resume", folder.path().to_str().unwrap()]);
    assert_eq!(code, 0, "{report}");
    report
}

#[test]
fn fifty_kills_and_the_same_end() {
    let name = "anchors-ours-late";
    let whole = kept(name);
    let bytes = fs::read(&whole.chain).unwrap();
    let last = bytes.len() * 19 / 20;
    let planted = planted(&bytes);
    let (next, inside) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let heights = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let kill = next.fetch_add(1, Ordering::Relaxed);
                    if kill >= KILLS {
                        break;
                    }
                    let mut random = Random::new(kill as u64);
                    // A few kills before the journal exists, the others while it grows.
                    let first = if kill % 16 == 0 { 1 } else { planted };
                    let at_size = (first + random.below(last - first)) as u64;
                    let delay = Duration::from_micros(random.next() % 30_000);
                    let folder = Folder::new("kill");
                    inside.fetch_add(usize::from(killed(&folder, name, at_size, delay)), Ordering::Relaxed);
                    heights.lock().unwrap().push(at_size);
                    let report = resumed(&folder);
                    assert_eq!(end(&report), end(&whole.report), "kill {kill} at {at_size} bytes");
                    let (journal, chain) = files(&folder, name);
                    let names = [&chain, &journal].map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
                    assert_eq!(folder.files(), names, "kill {kill}: nothing else is left");
                    let (code, _) = json(&["replay", "--check", journal.to_str().unwrap()]);
                    assert_eq!(code, 0, "kill {kill}: the story is whole");
                }
            });
        }
    });
    let inside = inside.into_inner();
    assert!(inside >= INSIDE, "{inside} of {KILLS} between the first and the last append: {heights:?}");
    println!("{inside} of {KILLS} kills landed between the first and the last append");
}

/// The offset and kind of each record in a chain's file; the last entry is the file's end.
fn records(chain: &[u8]) -> Vec<(usize, u8)> {
    let (mut at, mut records) = (8, Vec::new());
    while at < chain.len() {
        let length = u32::from_le_bytes(chain[at..at + 4].try_into().unwrap()) as usize;
        records.push((at, chain[at + 8]));
        at += 8 + length;
    }
    records.push((at, u8::MAX));
    records
}

const GENESIS: u8 = 0;
const DISCONNECT: u8 = 2;
const PLANT: [u8; 2] = [3, 4];

/// The file's length when all outputs are planted, and no block was mined.
fn planted(chain: &[u8]) -> usize {
    records(chain).iter().find(|(_, kind)| *kind != GENESIS && !PLANT.contains(kind)).unwrap().0
}

#[test]
fn a_kill_between_any_two_steps_of_the_birth_is_harmless() {
    let name = "anchors-mutual-empty";
    let whole = kept(name);
    let bytes = fs::read(&whole.chain).unwrap();
    let begins = records(&bytes);
    let planted = planted(&bytes);
    let first = frames(&whole.journal);
    // Lengths of the chain's file. Journals: `None` is one that was being created, `Some` one with so many frames.
    let chains = [None, Some(0), Some(5), Some(begins[1].0), Some(begins[4].0 + 3), Some(planted)];
    for (place, length) in chains.into_iter().enumerate() {
        for journal in [None, Some(0), Some(1), Some(2)] {
            if (length, journal) == (None, None) {
                continue;
            }
            let folder = Folder::new("birth");
            let (redb, chain) = files(&folder, name);
            if let Some(length) = length {
                fs::write(&chain, &bytes[..length]).unwrap();
            }
            match journal {
                None => {
                    let making = format!("{}.new-4711", redb.display());
                    fs::write(making, b"half a database").unwrap();
                }
                Some(0) => drop(RedbStore::create(&redb).unwrap()),
                Some(count) => write_journal(&redb, &first[..count]),
            }
            assert_eq!(end(&resumed(&folder)), end(&whole.report), "chain {place}, journal {journal:?}");
            assert_eq!(folder.files().len(), 2);
        }
    }
}

/// Writes the files as a kill leaves them after `left` blocks of a reorg were disconnected.
fn half_done(whole: &Kept, folder: &Folder, name: &str, left: usize) {
    let bytes = fs::read(&whole.chain).unwrap();
    let records = records(&bytes);
    let first = records.iter().position(|(_, kind)| *kind == DISCONNECT).unwrap();
    let (redb, chain) = files(folder, name);
    fs::write(&chain, &bytes[..records[first + left].0]).unwrap();
    let mut frames = frames(&whole.journal);
    let heard = |event: &Event| matches!(event, Event::BlockDisconnected(_));
    let before = frames.iter().position(|frame| frame.entries.iter().any(|entry| heard(&entry.heard))).unwrap();
    frames.truncate(before);
    write_journal(&redb, &frames);
}

#[test]
fn a_kill_in_the_middle_of_a_reorg_is_harmless() {
    for name in ["anchors-ours-known-reorg", "static-theirs-known-reorg", "static-mutual-empty-reorg"] {
        let whole = kept(name);
        for left in 0..=5 {
            let folder = Folder::new("reorg");
            half_done(&whole, &folder, name, left);
            assert_eq!(end(&resumed(&folder)), end(&whole.report), "{name}, {left} blocks had left");
        }
    }
}
