//! Past commitments: rows that come with their frame, are found in two reads, and go with their channel.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;
#[path = "support/updates.rs"]
mod updates;

use arb_core::{ChainArbitrator, ChannelIndex};
use arb_log::memory::{Fault, Memory, MemoryError};
use arb_log::{Batch, Condition, Journal, JournalError, Key, Retention, Storage, WriteError, arb_file};
use core::cell::Cell;
use core::ops::{ControlFlow, Range};
use proptest::prelude::*;
use std::collections::BTreeMap;
use support::*;
use updates::*;

/// Something that happens in these stories.
#[derive(Clone, Debug)]
enum Act {
    Play(Move),
    Sign(usize, Change),
    Candidate(usize, Change),
}

fn change(offered: u8, received: u8, removed: &[usize], feerate: u32) -> Change {
    Change { offered, received, removed: removed.to_vec(), feerate }
}

/// Two channels with many commitments, of which some have candidates.
fn story() -> Vec<Act> {
    let mut story = vec![Act::Play(Move::Start(100)), Act::Play(Move::Open(1)), Act::Play(Move::Open(2))];
    for round in 0..6_usize {
        story.push(Act::Sign(0, change(1, 0, &[], 253)));
        story.push(Act::Sign(1, change(0, 2, &[round], 300)));
        story.push(Act::Sign(0, change(0, 1, &[0], 253)));
        if round % 2 == 1 {
            story.push(Act::Candidate(0, change(2, 0, &[1], 400)));
            story.push(Act::Candidate(1, change(0, 0, &[], 500)));
        }
        story.push(Act::Play(Move::Connect));
    }
    story
}

fn books() -> Vec<Book> {
    vec![Book::new(1), Book::new(2)]
}

impl Act {
    fn events(&self, court: &ChainArbitrator, books: &mut [Book]) -> Vec<arb_core::Event> {
        match self {
            Self::Play(what) => what.events(court),
            Self::Sign(book, change) => books[*book].next(change),
            Self::Candidate(book, change) => books[*book].candidate(change).into_iter().collect(),
        }
    }
}

fn told_story() -> (Memory, Journal<Memory>, ChainArbitrator, Vec<Book>) {
    let memory = Memory::new();
    let (mut journal, mut court) = open(&memory);
    let mut books = books();
    for act in story() {
        let events = act.events(&court, &mut books);
        hear(&mut court, &mut journal, &events).unwrap();
    }
    (memory, journal, court, books)
}

#[test]
fn everything_that_was_signed_is_found() {
    let (memory, journal, court, books) = told_story();
    finds_all(&journal, &court, &books);
    let told = told_by_frames(&journal);
    assert_eq!(rows(&memory), told.keys().copied().collect::<Vec<_>>());
    assert!(told.iter().all(|(key, candidates)| asked(&journal, *key).as_ref() == Ok(candidates)));
    // The story has both kinds of rows, and candidates.
    let builds_on = |row: &Vec<u8>| decoded(row).builds_on();
    let whole = row_bytes(&memory).values().filter(|row| builds_on(row).is_none()).count();
    assert!(whole > 4 && whole + 8 < told.len(), "{whole} whole rows of {}", told.len());
    assert!(told.values().any(|candidates| candidates.len() > 1));
}

#[test]
fn a_channel_and_a_number_that_are_not_there_have_nothing() {
    let (_, journal, ..) = told_story();
    for key in [(0, 500), (0, u64::MAX), (7, 0), (u32::MAX, 0)] {
        assert_eq!(asked(&journal, key), Ok(vec![]));
    }
}

#[test]
fn of_two_candidates_in_one_step_the_row_of_the_later_one_is_written() {
    let memory = Memory::new();
    let (mut journal, mut court) = open(&memory);
    let mut book = Book::new(1);
    play(&mut court, &mut journal, Move::Open(1)).unwrap();
    let mut events = book.next(&Change::add());
    events.extend(book.next(&Change::add()));
    events.extend(book.candidate(&Change::fee(300)));
    events.extend(book.candidate(&Change::fee(400)));
    hear(&mut court, &mut journal, &events).unwrap();
    assert_eq!(book.signed[&1].len(), 3);
    finds_all(&journal, &court, &[book]);
}

/// Each write of the story fails in turn, lost or unreported, and the process dies or goes on. Rows and frames are always
/// there together, and in the end every row has the same bytes as without a failure.
#[test]
fn a_row_is_there_exactly_when_its_frame_is() {
    let (smooth_memory, _, smooth, _) = told_story();
    let smooth_rows = row_bytes(&smooth_memory);
    for failing in 0..smooth_memory.writes() {
        for (fault, crash) in [Fault::Lost, Fault::Unreported].into_iter().flat_map(|it| [(it, false), (it, true)]) {
            let memory = Memory::new();
            let (mut journal, mut court) = open(&memory);
            let mut books = books();
            memory.fail_write(failing, fault);
            for act in story() {
                let events = act.events(&court, &mut books);
                while hear(&mut court, &mut journal, &events).is_err() {
                    if crash {
                        (journal, court) = open(&memory);
                    } else {
                        journal = journal.reopen().unwrap();
                        journal.catch_up(&mut court).unwrap();
                    }
                    let told = told_by_frames(&journal);
                    assert_eq!(rows(&memory), told.keys().copied().collect::<Vec<_>>(), "{failing} {fault:?}");
                    assert!(told.iter().all(|(key, candidates)| asked(&journal, *key).as_ref() == Ok(candidates)));
                }
            }
            assert_eq!(court, smooth);
            assert_eq!(row_bytes(&memory), smooth_rows, "write {failing} {fault:?}, crash {crash}");
        }
    }
}

#[test]
fn a_fenced_owner_writes_no_row() {
    let (memory, mut journal, mut court, mut books) = told_story();
    let (mut second, mut theirs) = open(&memory);
    let before = row_bytes(&memory);
    let events = books[0].clone().next(&Change::add());
    assert!(hear(&mut court, &mut journal, &events).unwrap_err().is_fenced());
    assert_eq!(row_bytes(&memory), before);
    let events = books[0].next(&Change::fee(999));
    hear(&mut theirs, &mut second, &events).unwrap();
    finds_all(&second, &theirs, &books);
}

#[test]
fn a_step_that_is_dropped_or_refused_writes_no_row() {
    let (memory, mut journal, mut court, mut books) = told_story();
    let before = row_bytes(&memory);
    let mut step = court.step();
    for event in books[0].clone().next(&Change::add()) {
        step.hear(&event).unwrap();
    }
    drop(step);
    // A number that is not next.
    let _skipped = books[1].next(&Change::add());
    let events = books[1].next(&Change::add());
    hear(&mut court, &mut journal, &events[1..]).unwrap();
    assert_eq!(row_bytes(&memory), before);
}

/// A storage that counts how often it is read, and whose scans may fail.
struct Counting {
    memory: Memory,
    reads: Cell<u32>,
    scans_fail: bool,
}

impl Counting {
    fn count(&self) {
        self.reads.set(self.reads.get() + 1);
    }
}

impl Storage for Counting {
    type Error = MemoryError;

    fn claim(&mut self) -> Result<Condition, MemoryError> {
        self.memory.claim()
    }

    fn write(&mut self, expected: Condition, batch: &Batch) -> Result<(), WriteError<MemoryError>> {
        self.memory.write(expected, batch)
    }

    fn read(&self, key: Key) -> Result<Option<Vec<u8>>, MemoryError> {
        self.count();
        self.memory.read(key)
    }

    fn scan(&self, range: Range<Key>, visit: &mut dyn FnMut(Key, &[u8]) -> ControlFlow<()>) -> Result<(), MemoryError> {
        self.count();
        if self.scans_fail { Err(MemoryError::Read) } else { self.memory.scan(range, visit) }
    }
}

#[test]
fn any_commitment_is_found_in_two_reads_and_a_whole_one_in_one() {
    let (memory, journal, ..) = told_story();
    let told = told_by_frames(&journal);
    let mut seen = BTreeMap::new();
    for key in told.keys() {
        let counting = Counting { memory: memory.clone(), reads: Cell::new(0), scans_fail: false };
        let journal = Journal::open(counting).unwrap();
        journal.revoked(ChannelIndex::new(key.0), key.1).unwrap();
        let storage = journal.into_storage();
        let row = memory.row(Key::commitment(key.0, key.1)).unwrap();
        let whole = decoded(&row).builds_on().is_none();
        assert_eq!(storage.reads.get(), if whole { 1 } else { 2 }, "{key:?}");
        *seen.entry(whole).or_insert(0) += 1;
    }
    assert!(seen.len() == 2, "both kinds were looked at: {seen:?}");
}

#[test]
fn a_scan_that_fails_is_not_taken_for_a_row_that_is_missing() {
    let (memory, journal, ..) = told_story();
    let told = told_by_frames(&journal);
    let failing = Counting { memory: memory.clone(), reads: Cell::new(0), scans_fail: true };
    let journal = Journal::open(failing).unwrap();
    for (channel, number) in told.into_keys() {
        let change = decoded(&memory.row(Key::commitment(channel, number)).unwrap()).builds_on().is_some();
        let answer = journal.revoked(ChannelIndex::new(channel), number);
        assert_eq!(answer == Err(JournalError::Storage(MemoryError::Read)), change, "{channel} {number}");
    }
}

#[test]
fn retention_does_not_touch_rows() {
    let (memory, journal, court, books) = told_story();
    let before = row_bytes(&memory);
    let mut journal = journal.with_retention(Retention::Compact);
    assert!(journal.checkpoint(&court, 8).unwrap().compacted > 20);
    assert_eq!(row_bytes(&memory), before);
    finds_all(&journal, &court, &books);
    // Nor does a start from the checkpoint alone; and later commitments build on the rows that are there.
    let (mut journal, mut court) = open(&memory);
    let mut books = books;
    for book in &mut books {
        sign(&mut court, &mut journal, book, &Change::fee(777));
        sign(&mut court, &mut journal, book, &Change::add());
    }
    finds_all(&journal, &court, &books);
}

#[test]
fn frames_from_a_file_fold_to_the_same_court_that_knows_no_past_commitment() {
    let (_, journal, court, mut books) = told_story();
    let import = arb_file::import(&arb_file::export(&journal).unwrap()).unwrap();
    let mut memory = Memory::new();
    let put: Vec<_> = import.frames.iter().map(|frame| (Key::frame(frame.sequence), encoded(frame))).collect();
    let appended = u64::try_from(put.len()).unwrap();
    let owner = memory.claim().unwrap();
    memory.write(owner, &Batch { put, appended, ..Batch::default() }).unwrap();
    let (mut journal, mut same) = open(&memory);
    assert_eq!(same, court);
    assert!((0..5).all(|number| asked(&journal, (0, number)) == Ok(vec![])));
    // Commitments that are signed now are found from the next whole row on; until then the missing row is named.
    for found in 0..100 {
        sign(&mut same, &mut journal, &mut books[0], &change(1, 0, &[0], 253));
        let newest = books[0].newest().unwrap();
        match asked(&journal, (0, newest)) {
            Err(Error::MissingRow { needed_by, .. }) => assert_eq!(needed_by, Key::commitment(0, newest)),
            answer => {
                assert!(found > 0, "the first is a change");
                return assert_eq!(answer.as_ref(), Ok(&books[0].signed[&newest]));
            }
        }
    }
    panic!("no row was whole");
}

fn encoded(frame: &arb_core::Frame) -> Vec<u8> {
    arb_log::frame::encode_frame(frame).unwrap()
}

fn any_change() -> impl Strategy<Value = Change> {
    (0..4u8, 0..4u8, proptest::collection::vec(0..64usize, 0..4), 253..2000u32)
        .prop_map(|(offered, received, removed, feerate)| Change { offered, received, removed, feerate })
}

#[derive(Clone, Debug)]
enum Turn {
    Sign(usize, Change),
    Candidate(usize, Change),
    Both(Change, Change),
    Checkpoint(Retention),
    Restart,
    Fails(Fault, usize, Change),
}

fn any_turn() -> impl Strategy<Value = Turn> {
    let fault = prop_oneof![Just(Fault::Lost), Just(Fault::Unreported)];
    let retention = prop_oneof![Just(Retention::Archive), Just(Retention::Compact)];
    prop_oneof![
        6 => (0..2usize, any_change()).prop_map(|(book, change)| Turn::Sign(book, change)),
        2 => (0..2usize, any_change()).prop_map(|(book, change)| Turn::Candidate(book, change)),
        1 => (any_change(), any_change()).prop_map(|(one, two)| Turn::Both(one, two)),
        1 => retention.prop_map(Turn::Checkpoint),
        1 => Just(Turn::Restart),
        1 => (fault, 0..2usize, any_change()).prop_map(|(fault, book, change)| Turn::Fails(fault, book, change)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// HTLCs come and go at random, with checkpoints, restarts and failed writes in between: every commitment of every
    /// channel is found as it was signed.
    #[test]
    fn whatever_was_signed_is_found(turns in proptest::collection::vec(any_turn(), 1..60)) {
        let memory = Memory::new();
        let (mut journal, mut court) = open(&memory);
        let mut books = books();
        play(&mut court, &mut journal, Move::Open(1)).unwrap();
        play(&mut court, &mut journal, Move::Open(2)).unwrap();
        for turn in turns {
            let events = match turn {
                Turn::Sign(book, change) => books[book].next(&change),
                Turn::Candidate(book, change) => books[book].candidate(&change).into_iter().collect(),
                Turn::Both(one, two) => [books[0].next(&one), books[1].next(&two)].concat(),
                Turn::Checkpoint(retention) => {
                    journal = journal.with_retention(retention);
                    journal.checkpoint(&court, 3).unwrap();
                    vec![]
                }
                Turn::Restart => {
                    (journal, court) = open(&memory);
                    vec![]
                }
                Turn::Fails(fault, book, change) => {
                    memory.fail_write(0, fault);
                    books[book].next(&change)
                }
            };
            while hear(&mut court, &mut journal, &events).is_err() {
                journal = journal.reopen().unwrap();
                journal.catch_up(&mut court).unwrap();
            }
        }
        finds_all(&journal, &court, &books);
        let signed: usize = books.iter().map(|book| book.signed.len()).sum();
        prop_assert_eq!(rows(&memory).len(), signed);
    }
}
