//! Bad journals, folders and files: one line, exit code 2, and never a backtrace.

use std::fs;
use std::path::Path;

use arb_core::{Event, Height, JournalIdentity, Policy, Tip};
use arb_harness::redb_store::RedbStore;
use arb_log::{Journal, Retention, arb_file, frame};
use bitcoin::Network;
use bitcoin::hashes::Hash;

use super::support::{Folder, Random, arb, files, frames, json, kept, refused, write_journal, write_rows};

const TOOLS: [&[&str]; 3] = [&["history"], &["replay", "--check"], &["inspect"]];

/// Every tool refuses the journal, and its error contains `says`.
fn all_refuse(journal: &Path, says: &str) {
    for tool in TOOLS {
        let said = refused(&[tool, &[journal.to_str().unwrap()]].concat());
        assert!(said.contains(says), "{tool:?}: {said}");
    }
}

fn identity(network: Network) -> JournalIdentity {
    let tip = Tip { height: Height::new(100), hash: bitcoin::BlockHash::all_zeros() };
    JournalIdentity { network, journal: [7; 32], tip, policy: Policy::default() }
}

#[test]
fn what_is_no_journal_is_refused_by_name() {
    let folder = Folder::new("bad");
    all_refuse(&folder.join("missing.redb"), "there is no journal at");
    all_refuse(folder.path(), "is a folder");
    for (name, bytes, says) in [
        ("text.redb", &b"Dear sir or madam"[..], "not a redb database"),
        ("empty.redb", b"", "not a redb database"),
        ("text.arb", b"Dear sir or madam", "not an .arb file"),
        ("empty.arb", b"", "not an .arb file"),
        ("newer.arb", b"\x89ARB\r\n\x1a\n\x02\x00", "from the future"),
        ("nothing.arb", b"\x89ARB\r\n\x1a\n\x01\x00", "has no frames"),
    ] {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        all_refuse(&path, says);
        assert_eq!(fs::read(&path).unwrap(), bytes, "the file is left as it was");
    }
    let path = folder.join("unwritten.redb");
    drop(RedbStore::create(&path).unwrap());
    all_refuse(&path, "has no frames");
    let held = RedbStore::open(&path).unwrap();
    all_refuse(&path, "open elsewhere");
    drop(held);
}

#[test]
fn a_journal_of_a_newer_version_is_refused() {
    let folder = Folder::new("newer");
    // A frame of a future version: its payload is unknown, but its header never changes.
    let payload = [0xff_u8; 40];
    let (len, sequence, version) = (40_u32.to_le_bytes(), 1_u64.to_le_bytes(), (frame::VERSION + 1).to_le_bytes());
    let sum = [&sequence[..], &version, &payload].into_iter().fold(crc32c::crc32c(&len), crc32c::crc32c_append);
    let row = [&len[..], &sum.to_le_bytes(), &sequence, &version, &payload].concat();
    let journal = folder.join("newer.redb");
    write_rows(&journal, vec![(1, row.clone())]);
    let says = format!("version {} is from the future", frame::VERSION + 1);
    all_refuse(&journal, &says);
    let file = folder.join("newer.arb");
    fs::write(&file, [&b"\x89ARB\r\n\x1a\n\x01\x00"[..], &row].concat()).unwrap();
    all_refuse(&file, &says);
}

#[test]
fn a_journal_of_another_network_is_refused_where_one_is_expected() {
    let folder = Folder::new("network");
    let (journal, _) = files(&folder, "static-mutual-empty");
    let store = RedbStore::create(&journal).unwrap();
    Journal::open(store).unwrap().recover(&identity(Network::Bitcoin)).unwrap();
    let path = journal.to_str().unwrap();
    for tool in TOOLS {
        assert_eq!(arb(&[tool, &[path]].concat()).code, 0, "without --network any journal can be read");
        assert_eq!(arb(&[tool, &[path, "--network", "bitcoin"]].concat()).code, 0);
        let said = refused(&[tool, &[path, "--network", "signet"]].concat());
        assert!(said.contains("for bitcoin, not for signet"), "{said}");
    }
    let said = refused(&["resume", folder.path().to_str().unwrap()]);
    assert!(said.contains("for bitcoin, not for regtest"), "{said}");
}

#[test]
fn a_story_whose_begin_is_gone_can_be_read_but_not_decided_again() {
    let folder = Folder::new("compacted");
    let journal = folder.join("compacted.redb");
    let mut log = Journal::open(RedbStore::create(&journal).unwrap()).unwrap().with_retention(Retention::Compact);
    let mut court = log.recover(&identity(Network::Regtest)).unwrap();
    for max_inputs in [50, 60, 70] {
        if max_inputs == 70 {
            log.checkpoint(&court, 8).unwrap();
        }
        let mut step = court.step();
        step.hear(&Event::PolicySet(Policy { max_inputs, ..Policy::default() })).unwrap();
        let _due = step.commit(&mut log).unwrap();
    }
    drop(log);
    let path = journal.to_str().unwrap();
    let history = arb(&["history", path]);
    assert_eq!((history.code, history.stdout.lines().count()), (0, 1));
    assert!(history.stderr.contains("known from frame 4 on"), "{}", history.stderr);
    assert_eq!(json(&["inspect", path]).1["frames"], 4);
    let replayed = arb(&["replay", "--check", path]);
    assert_eq!(replayed.code, 2);
    assert!(replayed.stderr.contains("needs the first one"), "{}", replayed.stderr);
}

#[test]
fn a_truncated_or_flipped_journal_is_never_a_panic_and_never_a_difference() {
    let kept = kept("static-mutual-empty");
    let whole = fs::read(&kept.journal).unwrap();
    let journal = kept.folder.join("damaged.redb");
    let path = journal.to_str().unwrap();
    let check = |bytes: &[u8], what: &str| {
        fs::write(&journal, bytes).unwrap();
        let ran = arb(&["replay", "--check", path]);
        // A flipped bit may be unnoticed if it is unused, or if redb repairs it from its other copy.
        assert!(matches!(ran.code, 0 | 2), "{what}: {} {} {}", ran.code, ran.stdout, ran.stderr);
        if ran.code == 2 {
            assert_eq!(ran.stderr.lines().count(), 1, "{what}: {}", ran.stderr);
        }
        ran.code
    };
    for eighth in 0..8 {
        let len = whole.len() * eighth / 8;
        assert_eq!(check(&whole[..len], &format!("cut at {len}")), 2);
    }
    let mut random = Random::new(1);
    let mut found = 0;
    for _ in 0..40 {
        let mut bytes = whole.clone();
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
        found += i32::from(check(&bytes, &format!("byte {at} of {}", whole.len())) == 2);
    }
    assert!(found > 0, "no flipped bit was noticed");
}

#[test]
fn a_hole_and_a_frame_that_is_damaged_in_a_sound_database_are_named() {
    let kept = kept("static-mutual-empty");
    let all = frames(&kept.journal);
    let hole: Vec<_> = all.iter().filter(|frame| frame.sequence != 9).cloned().collect();
    let journal = kept.folder.join("hole.redb");
    write_journal(&journal, &hole);
    for tool in TOOLS {
        let ran = arb(&[tool, &[journal.to_str().unwrap()]].concat());
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains("frame 9 is missing, frame 10 comes next"), "{}", ran.stderr);
    }
    let mut rows: Vec<(u64, Vec<u8>)> =
        all.iter().map(|frame| (frame.sequence, frame::encode_frame(frame).unwrap())).collect();
    rows[4].1[20] ^= 4;
    let journal = kept.folder.join("flipped.redb");
    write_rows(&journal, rows);
    for tool in TOOLS {
        let ran = arb(&[tool, &[journal.to_str().unwrap()]].concat());
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains("frame 5 of") && ran.stderr.contains("checksum"), "{}", ran.stderr);
    }
}

#[test]
fn an_arb_file_with_a_torn_end_is_read_and_one_with_a_bad_middle_refused() {
    let kept = kept("static-mutual-empty");
    let all = frames(&kept.journal);
    let whole = arb_file::encode(&all).unwrap();
    let path = kept.folder.join("file.arb");
    fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    let ran = arb(&["replay", "--check", path.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("the end is torn") && ran.stderr.lines().count() == 1, "{}", ran.stderr);
    let mut bad = whole.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    fs::write(&path, &bad).unwrap();
    all_refuse(&path, "is bad");
}

#[test]
fn folders_that_cannot_be_resumed_are_refused() {
    let folder = Folder::new("resume");
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    assert!(refused(&["resume", &path(folder.path())]).contains("holds no demonstration"));
    assert!(refused(&["resume", &path(&folder.join("missing"))]).contains("cannot read the folder"));
    let file = folder.join("file");
    fs::write(&file, b"").unwrap();
    assert!(refused(&["resume", &path(&file)]).contains("cannot read the folder"));
    assert!(refused(&["demo", "--keep", &path(&file)]).contains("cannot make the folder"));
    let (_, chain) = files(&folder, "static-mutual-empty");
    fs::write(&chain, b"Dear sir or madam").unwrap();
    assert!(refused(&["resume", &path(folder.path())]).contains("is not a chain file"));
    fs::remove_file(&chain).unwrap();
    fs::create_dir(&chain).unwrap();
    assert!(refused(&["resume", &path(folder.path())]).contains("is a folder"));
}

#[test]
fn what_lost_its_other_half_is_refused_by_name() {
    let kept = kept("static-mutual-empty");
    let folder = kept.folder.path().to_str().unwrap();
    let aside = kept.folder.join("aside");
    fs::rename(&kept.chain, &aside).unwrap();
    let said = refused(&["resume", folder]);
    assert!(said.contains(".chain is missing, and its journal is at height"), "{said}");
    assert!(!kept.chain.exists(), "no chain was made instead");
    fs::rename(&aside, &kept.chain).unwrap();
    fs::rename(&kept.journal, &aside).unwrap();
    let said = refused(&["resume", folder]);
    assert!(said.contains(".redb is missing, and its chain is at height"), "{said}");
    assert!(!kept.journal.exists());
}
