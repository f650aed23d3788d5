//! Rows of past commitments are removed with their channel: not before, and none stays for ever.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;
#[path = "support/updates.rs"]
mod updates;

use arb_core::{ChainArbitrator, Event};
use arb_log::Journal;
use arb_log::memory::{Fault, Memory};
use support::*;
use updates::*;

/// Opens a channel and signs commitments without HTLCs, so that [`go`] can forget it.
fn come(channel: u8, commitments: u32, court: &mut ChainArbitrator, journal: &mut Journal<Memory>) {
    let told = Event::AdoptionComplete { channel: Some(id(channel)), committed: vec![] };
    hear(court, journal, &[opened_unconfirmed(channel), told]).unwrap();
    let mut book = Book::new(channel);
    for feerate in 0..commitments {
        sign(court, journal, &mut book, &Change::fee(253 + feerate));
    }
}

fn go(channel: u8, court: &mut ChainArbitrator, journal: &mut Journal<Memory>) {
    for what in [Move::Forget(channel), Move::Perform(channel), Move::Perform(channel)] {
        play(court, journal, what).unwrap();
    }
    assert_eq!(court.index_of(&id(channel)), None);
}

fn channels_with_rows(memory: &Memory) -> Vec<u32> {
    let mut channels: Vec<u32> = rows(memory).into_iter().map(|(channel, _)| channel).collect();
    channels.dedup();
    channels
}

#[test]
fn rows_go_in_the_same_write_as_their_channel() {
    let memory = Memory::new();
    let (mut journal, mut court) = open(&memory);
    for channel in 1..4 {
        come(channel, 5, &mut court, &mut journal);
    }
    journal.checkpoint(&court, 64).unwrap();
    go(2, &mut court, &mut journal);
    assert_eq!(channels_with_rows(&memory), [0, 1, 2], "until the next checkpoint");
    let before = memory.writes();
    assert_eq!(journal.checkpoint(&court, 64).unwrap().removed, 1);
    assert_eq!(memory.writes() - before, 1);
    assert_eq!(channels_with_rows(&memory), [0, 2]);
    assert_eq!(asked(&journal, (1, 3)), Ok(vec![]));
    assert_eq!(asked(&journal, (2, 3)).unwrap().len(), 1);
}

#[test]
fn rows_of_a_channel_that_came_and_went_between_two_checkpoints_go_too() {
    for crash in [false, true] {
        let memory = Memory::new();
        let (mut journal, mut court) = open(&memory);
        come(1, 3, &mut court, &mut journal);
        journal.checkpoint(&court, 64).unwrap();
        come(2, 3, &mut court, &mut journal);
        come(3, 3, &mut court, &mut journal);
        come(4, 3, &mut court, &mut journal);
        go(2, &mut court, &mut journal);
        go(4, &mut court, &mut journal);
        if crash {
            (journal, court) = open(&memory);
        }
        assert_eq!(channels_with_rows(&memory), [0, 1, 2, 3]);
        assert_eq!(journal.checkpoint(&court, 64).unwrap().removed, 0, "they never had a row of their own");
        assert_eq!(channels_with_rows(&memory), [0, 2]);
    }
}

#[test]
fn many_rows_go_in_batches_of_the_size_asked_for() {
    let memory = Memory::new();
    let (mut journal, mut court) = open(&memory);
    come(1, 30, &mut court, &mut journal);
    come(2, 3, &mut court, &mut journal);
    go(1, &mut court, &mut journal);
    let before = memory.writes();
    journal.checkpoint(&court, 4).unwrap();
    // A write for the remaining channel, seven of four rows each, and the court row with the last two rows.
    assert_eq!(memory.writes() - before, 1 + 7 + 1);
    assert_eq!(rows(&memory), [(1, 0), (1, 1), (1, 2)]);
}

/// Checkpoints are torn before and after every batch while channels are gone, then a crash or a reopening follows. No row
/// that is needed is removed, and after the next checkpoint no row of a channel that is gone is left.
#[test]
fn a_checkpoint_torn_anywhere_leaves_no_row_for_ever_and_loses_none() {
    let memory = Memory::new();
    let (mut journal, mut court) = open(&memory);
    come(1, 6, &mut court, &mut journal);
    come(2, 6, &mut court, &mut journal);
    journal.checkpoint(&court, 2).unwrap();
    for channel in 3..6 {
        come(channel, 6, &mut court, &mut journal);
    }
    for channel in [2, 3, 5] {
        go(channel, &mut court, &mut journal);
    }
    let live = [0, 3];
    for batch in 0.. {
        let mut whole = false;
        for (fault, crash) in [Fault::Lost, Fault::Unreported].into_iter().flat_map(|it| [(it, false), (it, true)]) {
            let memory = memory.fork();
            let (mut journal, mut same) = open(&memory);
            memory.fail_write(batch, fault);
            whole = journal.checkpoint(&same, 2).is_ok();
            memory.heal();
            if crash {
                (journal, same) = open(&memory);
            } else {
                journal = journal.reopen().unwrap();
                assert_eq!(journal.catch_up(&mut same), Ok(0));
            }
            assert_eq!(same, court);
            let kept = |key: &(u32, u64)| live.contains(&key.0);
            assert_eq!(rows(&memory).into_iter().filter(kept).count(), 12, "batch {batch} {fault:?} {crash}");
            come(6, 6, &mut same, &mut journal);
            go(6, &mut same, &mut journal);
            journal.checkpoint(&same, 2).unwrap();
            assert_eq!(channels_with_rows(&memory), live, "batch {batch} {fault:?} {crash}");
            assert_eq!(rows(&memory).len(), 12);
        }
        if whole {
            assert!(batch > 5, "several batches: {batch}");
            break;
        }
    }
}
