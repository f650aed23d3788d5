//! Checkpoints: at every point, crashed between every two batches, compacted; and the rows that must not be believed.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use arb_core::Event;
use arb_log::frame::{self, FrameError};
use arb_log::memory::{Fault, Memory};
use arb_log::{Checkpoint, Journal, JournalError, Key, Retention, Space};
use core::ops::ControlFlow;
use support::*;

const COURT: Key = Key::new(Space::Meta, 0, 0);

fn channel_rows(memory: &Memory) -> Vec<u32> {
    memory.keys().into_iter().filter(|key| key.space == Space::Channel).map(|key| key.channel).collect()
}

fn frames(memory: &Memory) -> Vec<u64> {
    memory.keys().into_iter().filter(|key| key.space == Space::Frame).map(|key| key.number).collect()
}

/// The story up to a point, a checkpoint there, then the rest.
fn checkpointed_after(moves: usize) -> (Memory, Journal<Memory>, arb_core::ChainArbitrator) {
    let (memory, mut journal, mut court) = told(&STORY[..moves]);
    journal.checkpoint(&court, 1).unwrap();
    for what in &STORY[moves..] {
        play(&mut court, &mut journal, *what).unwrap();
    }
    (memory, journal, court)
}

#[test]
fn a_checkpoint_at_every_point_recovers_equal() {
    let (_, _, smooth) = told(STORY);
    for moves in 0..=STORY.len() {
        let (memory, journal, court) = checkpointed_after(moves);
        assert_eq!(court, smooth, "checkpoint after {moves}");
        assert_eq!(recovered(&memory), smooth, "checkpoint after {moves}");
        assert_eq!(recovered(&memory).indexes(), &smooth.rebuilt_indexes());
        assert_eq!(journal.first_sequence(), Ok(1), "an archive keeps its frames");
    }
}

/// A checkpoint at every point, a second one at every later point, torn before and after every batch; then recovery, the
/// rest of the story, and a third checkpoint.
#[test]
fn l22_a_checkpoint_torn_anywhere_recovers_equal() {
    let (_, _, smooth) = told(STORY);
    for first in (0..STORY.len()).step_by(3) {
        for second in first..=STORY.len() {
            for retention in [Retention::Archive, Retention::Compact] {
                torn_at_every_batch(first, second, retention, &smooth);
            }
        }
    }
}

fn torn_at_every_batch(first: usize, second: usize, retention: Retention, smooth: &arb_core::ChainArbitrator) {
    let (memory, mut journal, mut court) = told(&STORY[..first]);
    journal.checkpoint(&court, 1).unwrap();
    for what in &STORY[first..second] {
        play(&mut court, &mut journal, *what).unwrap();
    }
    let reopen = |memory: &Memory| {
        let mut journal = Journal::open(memory.clone()).unwrap().with_retention(retention);
        let court = journal.recover(&identity()).unwrap();
        (journal, court)
    };
    for batch in 0.. {
        let mut whole = false;
        for fault in [Fault::Lost, Fault::Unreported] {
            let memory = memory.fork();
            let (mut journal, same) = reopen(&memory);
            assert_eq!(same, court);
            memory.fail_write(batch, fault);
            whole = journal.checkpoint(&same, 1).is_ok();
            memory.heal();
            let (mut journal, mut again) = reopen(&memory);
            let context = format!("{first} {second} {retention:?} batch {batch} {fault:?}");
            assert_eq!(again, court, "{context}");
            for what in &STORY[second..] {
                play(&mut again, &mut journal, *what).unwrap();
            }
            journal.checkpoint(&again, 2).unwrap();
            assert_eq!(&again, smooth, "{context}");
            assert_eq!(&recovered(&memory), smooth, "{context}");
            let live: Vec<u32> = smooth.channels().map(|(index, _)| index.get()).collect();
            assert_eq!(channel_rows(&memory), live, "{context}: nothing is left of channels that are gone");
        }
        if whole {
            break;
        }
    }
}

#[test]
fn l6_a_resolved_channels_row_goes_in_the_same_write_as_the_court_that_forgets_it() {
    // Channel 3 (index 2) has a row, then is forgotten for good.
    let (memory, mut journal, mut court) = told(&STORY[..10]);
    journal.checkpoint(&court, 8).unwrap();
    assert_eq!(channel_rows(&memory), [0, 1, 2]);
    for what in &STORY[10..13] {
        play(&mut court, &mut journal, *what).unwrap();
    }
    assert_eq!(channel_rows(&memory), [0, 1, 2], "frames after the court row still speak of it");
    let before = memory.writes();
    let done = journal.checkpoint(&court, 8).unwrap();
    assert_eq!(done, Checkpoint { sequence: 14, written: 0, removed: 1, compacted: 0 });
    assert_eq!(memory.writes() - before, 1);
    assert_eq!(channel_rows(&memory), [0, 1]);
    assert_eq!(recovered(&memory), court);
}

#[test]
fn only_what_changed_is_written_again() {
    let (memory, mut journal, mut court) = told(&STORY[..5]);
    assert_eq!(journal.checkpoint(&court, 1).unwrap().written, 2);
    assert_eq!(journal.checkpoint(&court, 1).unwrap().written, 0);
    play(&mut court, &mut journal, Move::Update(1)).unwrap();
    assert_eq!(journal.checkpoint(&court, 1).unwrap().written, 1);
    // And a journal that was opened afterwards knows that, too.
    let (mut journal, court) = open(&memory);
    assert_eq!(journal.checkpoint(&court, 1).unwrap().written, 0);
}

#[test]
fn batches_have_the_size_asked_for() {
    for (size, batches) in [(0, 4), (1, 4), (2, 3), (3, 2), (usize::MAX, 2)] {
        let (memory, mut journal, court) = told(&STORY[..9]);
        let before = memory.writes();
        assert_eq!(journal.checkpoint(&court, size).unwrap().written, 3);
        assert_eq!(memory.writes() - before, batches, "at most {size} rows a batch");
    }
}

#[test]
fn compaction_leaves_the_frames_after_the_court_row() {
    let (memory, journal, mut court) = told(&STORY[..9]);
    let mut journal = journal.with_retention(Retention::Compact);
    assert_eq!(journal.checkpoint(&court, 4).unwrap().compacted, 10);
    assert_eq!((frames(&memory), journal.first_sequence()), (vec![], Ok(11)));
    assert_eq!(recovered(&memory), court);
    for what in &STORY[9..] {
        play(&mut court, &mut journal, *what).unwrap();
    }
    let last = journal.condition().next_sequence - 1;
    assert_eq!(frames(&memory), (11..=last).collect::<Vec<_>>());
    assert_eq!(recovered(&memory), court);
    let first = journal.frames(0..u64::MAX, |frame| ControlFlow::Break(frame.sequence)).unwrap();
    assert_eq!(first, Some(11), "tools can say from where the story is known");
}

#[test]
fn compaction_goes_from_the_oldest_frame_so_that_no_gap_is_left() {
    let (memory, journal, court) = told(&STORY[..9]);
    let mut journal = journal.with_retention(Retention::Compact);
    memory.fail_write(4, Fault::Lost);
    journal.checkpoint(&court, 2).unwrap_err();
    assert_eq!(frames(&memory), (3..=10).collect::<Vec<_>>());
    let (mut journal, same) = open(&memory);
    assert_eq!(same, court);
    journal = journal.with_retention(Retention::Compact);
    assert_eq!(journal.checkpoint(&same, 2).unwrap().compacted, 8);
}

#[test]
fn every_flipped_bit_of_a_row_is_found() {
    let (memory, mut journal, court) = told(&STORY[..4]);
    journal.checkpoint(&court, 8).unwrap();
    for key in [COURT, Key::channel(0), Key::channel(1)] {
        let bits = memory.row(key).unwrap().len() * 8;
        for bit in (0..bits).step_by(5) {
            let rotten = memory.fork();
            assert!(rotten.flip_bit(key, bit));
            match try_open(&rotten).map(|_| ()) {
                Err(Error::BadRow { key: found, .. } | Error::RowAhead { key: found, .. }) => assert_eq!(found, key),
                other => panic!("bit {bit} of {key}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_row_that_is_missing_is_noticed() {
    let (memory, mut journal, court) = told(&STORY[..9]);
    journal.checkpoint(&court, 8).unwrap();
    memory.tamper(Key::channel(1), None);
    assert_eq!(try_open(&memory).map(|_| ()), Err(Error::ChannelRows { expected: 3, found: 2 }));
}

#[test]
fn a_row_under_another_key_is_noticed() {
    let (memory, mut journal, court) = told(&STORY[..9]);
    journal.checkpoint(&court, 8).unwrap();
    memory.tamper(Key::channel(1), memory.row(Key::channel(0)));
    assert_eq!(try_open(&memory).map(|_| ()), Err(Error::Misplaced { key: Key::channel(1) }));
}

#[test]
fn a_row_that_stands_for_a_frame_that_is_not_there_is_noticed() {
    let (memory, mut journal, mut court) = told(&STORY[..9]);
    journal.checkpoint(&court, 8).unwrap();
    let early = memory.row(COURT);
    play(&mut court, &mut journal, Move::Update(1)).unwrap();
    let first = told(&STORY[..5]).0;
    // The court row of a longer log in a shorter one.
    first.tamper(COURT, early);
    let ahead = JournalError::RowAhead { key: COURT, sequence: 10, last: 6 };
    assert_eq!(try_open(&first).map(|_| ()), Err(ahead));
}

#[test]
fn a_row_of_a_newer_version_is_refused() {
    let (memory, mut journal, court) = told(&STORY[..4]);
    journal.checkpoint(&court, 8).unwrap();
    let newer = reversioned(&memory.row(COURT).unwrap(), frame::VERSION + 1);
    memory.tamper(COURT, Some(newer));
    let why = FrameError::FromTheFuture { got: frame::VERSION + 1 };
    assert_eq!(try_open(&memory).map(|_| ()), Err(Error::BadRow { key: COURT, why }));
}

/// A row that is larger than a frame may be stops neither the checkpoint of the other channels nor recovery (A22). The other
/// channels come before and after it, in its batch and in another. Each of the two blocks that made the row fits in a frame.
#[test]
fn a22_a_row_that_is_too_large_ends_no_other_channel_s_checkpoint() {
    let (memory, mut journal, mut court) = told(&STORY[..4]);
    play(&mut court, &mut journal, Move::Open(9)).unwrap();
    play(&mut court, &mut journal, Move::Open(3)).unwrap();
    let index = |channel| court.index_of(&id(channel)).unwrap();
    let (large, others) = (index(9), [1, 3].map(index));
    assert!(others[0] < large && large < others[1]);
    journal.checkpoint(&court, 2).unwrap();
    for salt in 0..2 {
        let mut tx = spend(9);
        tx.input[0].sequence = bitcoin::Sequence::from_consensus(salt);
        tx.output[0].script_pubkey = bitcoin::ScriptBuf::from_bytes(vec![0x6a; 40_000_000]);
        let Some(Event::BlockConnected(mut block)) = Move::Connect.events(&court).pop() else { panic!() };
        block.txs = vec![tx];
        hear(&mut court, &mut journal, &[Event::BlockConnected(block)]).unwrap();
    }
    let rows = channel_rows(&memory);
    let of_others = || others.map(|other| memory.row(Key::new(Space::Channel, other.get(), 0)).unwrap());
    for batch in [1, 8] {
        for channel in [1, 3] {
            play(&mut court, &mut journal, Move::Update(channel)).unwrap();
        }
        let before = of_others();
        match journal.checkpoint(&court, batch) {
            Err(JournalError::RowTooLarge { channel, why: FrameError::TooLong { got } }) => {
                assert_eq!(channel, large);
                assert!(got > frame::PAYLOAD_MAX);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(channel_rows(&memory), rows, "no row is lost");
        for (before, now) in before.iter().zip(of_others()) {
            assert_ne!(*before, now, "the rows of the other channels are new");
        }
    }
    assert_eq!(recovered(&memory), court);
}
