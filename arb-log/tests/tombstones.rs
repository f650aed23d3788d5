//! What stays of resolved channels (A52): it is there after every crash, and never before its frame.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "helpers of tests")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one variant")]

mod support;

use arb_core::{Action, ChainArbitrator, Event, Heard, Rejected};
use arb_log::frame;
use arb_log::memory::{Fault, Memory};
use arb_log::{Journal, Key, Retention, Space};
use support::*;

fn rows(memory: &Memory) -> Vec<u32> {
    memory.keys().into_iter().filter(|key| key.space == Space::Tombstone).map(|key| key.channel).collect()
}

/// Two channels close and are resolved one after the other, while others come and are forgotten.
fn story() -> Vec<Move> {
    let mut story = vec![Move::Start(100), Move::Open(1), Move::Open(2), Move::Connect, Move::Spend(1)];
    let end = |channel| {
        let blocks = core::iter::repeat_n([Move::Connect, Move::Perform(channel)], 340).flatten();
        blocks.chain([Move::Perform(channel); 3])
    };
    story.extend(end(1));
    story.extend([Move::Open(3), Move::Forget(3), Move::Perform(3), Move::Perform(3), Move::Open(3), Move::Spend(2)]);
    story.extend(end(2));
    story.extend([Move::Open(1), Move::Open(2), Move::Perform(1), Move::Start(900)]);
    story
}

/// Which channels are to be told as resolved, and under which id.
fn ends(court: &ChainArbitrator) -> Vec<Event> {
    let due = court.actions_due().into_iter();
    due.filter_map(|action| match action {
        Action::ChannelResolved { id, channel, .. } => Some(Event::Performed { channel, id }),
        _ => None,
    })
    .collect()
}

fn knows_both(court: &ChainArbitrator) {
    let resolved: Vec<_> = court.tombstones().map(|tombstone| tombstone.facts.id).collect();
    assert_eq!(resolved, [id(1), id(2)]);
    assert_eq!(ends(court).len(), 2, "each was opened again");
}

#[test]
fn a52_a_resolved_channel_is_known_after_every_checkpoint() {
    let story = story();
    let (_, _, smooth) = told(&story);
    knows_both(&smooth);
    for retention in [Retention::Archive, Retention::Compact] {
        for first in (0..story.len()).step_by(97).chain(story.len() - 12..=story.len()) {
            let memory = Memory::new();
            let (mut journal, mut court) = open(&memory);
            journal = journal.with_retention(retention);
            for (place, what) in story.iter().enumerate() {
                if place == first || place == story.len() - 5 {
                    journal.checkpoint(&court, 1).unwrap();
                }
                play(&mut court, &mut journal, *what).unwrap();
            }
            assert_eq!(recovered(&memory), smooth, "{retention:?} {first}");
            // The row of one that is gone for good stays, whatever comes later.
            journal.checkpoint(&court, 1).unwrap();
            assert_eq!(rows(&memory), [0, 1]);
            assert_eq!(recovered(&memory), smooth, "{retention:?} {first}");
            assert_eq!(journal.checkpoint(&court, 1).unwrap().removed, 0);
            assert_eq!(rows(&memory), [0, 1]);
        }
    }
}

#[test]
fn a52_a_checkpoint_torn_around_a_resolution_recovers_equal() {
    let story = story();
    let (_, _, smooth) = told(&story);
    let cut = story.len() - 4;
    for first in [3, cut - 1, cut] {
        for batch in 0.. {
            let mut whole = false;
            for fault in [Fault::Lost, Fault::Unreported] {
                let (memory, mut journal, mut court) = told(&story[..first]);
                journal.checkpoint(&court, 1).unwrap();
                for what in &story[first..cut] {
                    play(&mut court, &mut journal, *what).unwrap();
                }
                memory.fail_write(batch, fault);
                whole = journal.checkpoint(&court, 1).is_ok();
                memory.heal();
                let (mut journal, mut again) = open(&memory);
                assert_eq!(again, court, "{first} batch {batch} {fault:?}");
                for what in &story[cut..] {
                    play(&mut again, &mut journal, *what).unwrap();
                }
                journal.checkpoint(&again, 1).unwrap();
                assert_eq!(again, smooth);
                assert_eq!(recovered(&memory), smooth);
                assert_eq!(rows(&memory), [0, 1]);
            }
            if whole {
                break;
            }
        }
    }
}

#[test]
fn a52_a_row_that_is_missing_or_misplaced_is_refused() {
    let (memory, mut journal, court) = told(&story());
    journal.checkpoint(&court, 8).unwrap();
    let refusal = |change: &dyn Fn(&Memory)| {
        let memory = memory.fork();
        change(&memory);
        try_open(&memory).map(|_| ()).unwrap_err()
    };
    let (one, two) = (Key::tombstone(0), Key::tombstone(1));
    let missing = refusal(&|memory| memory.tamper(one, None));
    assert_eq!(missing, Error::Tombstones { expected: 2, found: 1 });
    let under_another_key = refusal(&|memory| memory.tamper(two, memory.row(one)));
    assert_eq!(under_another_key, Error::Misplaced { key: two });
    // One of a frame that the court row does not have yet.
    let newer = refusal(&|memory| {
        let mut tombstone = court.tombstones().next().unwrap().clone();
        tombstone.sequence = court.sequence() + 1;
        memory.tamper(one, Some(frame::encode(court.sequence(), &tombstone).unwrap()));
    });
    assert_eq!(newer, Error::Misplaced { key: one });
    assert!(matches!(refusal(&|memory| assert!(memory.flip_bit(one, 200))), Error::BadRow { .. }));
}

#[test]
fn a52_the_court_of_a_new_process_knows_what_was_resolved() {
    let (memory, mut journal, court) = told(&story());
    journal.checkpoint(&court, 8).unwrap();
    let mut journal: Journal<Memory> = journal.reopen().unwrap();
    let mut court = journal.recover(&identity()).unwrap();
    for performed in ends(&court) {
        hear(&mut court, &mut journal, &[performed]).unwrap();
    }
    assert_eq!(ends(&court), []);
    let again = Move::Open(2).events(&court);
    let mut step = court.step();
    assert_eq!(step.hear(&again[0]), Ok(Heard::Duplicate));
    assert_eq!(step.commit(&mut journal).unwrap().len(), 1);
    let Event::ChannelOpened(mut other) = again[0].clone() else { panic!() };
    other.facts.remote.dust_limit_sat += 1;
    let mut step = court.step();
    assert_eq!(step.hear(&Event::ChannelOpened(other)), Err(Rejected::OtherFacts(id(2))));
    step.commit(&mut journal).unwrap();
    assert_eq!(recovered(&memory), court);
}
