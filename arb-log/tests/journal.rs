//! Appends: recovery after each, failures, the latch, fences; then the same at random.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use arb_core::{ChainArbitrator, Event, JournalIdentity};
use arb_log::memory::{Fault, Memory, MemoryError};
use arb_log::{Condition, Journal, JournalError, Key};
use bitcoin::Network;
use core::ops::ControlFlow;
use proptest::prelude::*;
use support::*;

#[test]
fn the_story_reaches_what_it_is_told_for() {
    let (_, _, court) = told(STORY);
    let left: Vec<u32> = court.channels().map(|(index, _)| index.get()).collect();
    assert_eq!(left, [0, 1, 3], "channels 2 and 4 were forgotten and are gone, id 3 is used again");
    assert_eq!(court.index_of(&id(3)).map(|index| index.get()), Some(3));
    assert!(court.channel(court.index_of(&id(1)).unwrap()).unwrap().htlcs().count() >= 2);
}

#[test]
fn recovery_equals_live_after_every_append() {
    let memory = Memory::new();
    let (mut journal, mut court) = open(&memory);
    for what in STORY {
        play(&mut court, &mut journal, *what).unwrap();
        assert_eq!(recovered(&memory), court, "after {what:?}");
        assert_eq!(recovered(&memory).indexes(), &court.rebuilt_indexes(), "after {what:?}");
    }
    assert_eq!(journal.condition().next_sequence, court.sequence() + 1);
}

#[test]
fn the_first_frame_is_the_genesis() {
    let (_, journal, court) = told(&[]);
    assert_eq!(court.identity(), Some(&identity()));
    let first = journal.frames(0..9, ControlFlow::Break).unwrap().unwrap();
    assert_eq!((first.sequence, &first.entries[0].heard), (1, &Event::JournalOpened(identity())));
    assert_eq!(journal.first_sequence(), Ok(1));
}

#[test]
fn a_step_that_accepts_nothing_writes_nothing() {
    let (memory, mut journal, mut court) = told(&[Move::Policy(50)]);
    let writes = memory.writes();
    play(&mut court, &mut journal, Move::Policy(50)).unwrap();
    assert_eq!(memory.writes(), writes);
    // Nor does an embedder that appends without `commit`: the court would not count that frame.
    let pending = court.step().detach();
    arb_core::Log::append(&mut journal, &pending).unwrap();
    assert!(pending.attest_durable().is_empty());
    assert_eq!(memory.writes(), writes);
}

#[test]
fn a_failed_append_releases_nothing_and_leaves_the_court_as_it_was() {
    for fault in [Fault::Lost, Fault::Unreported] {
        let (memory, mut journal, mut court) = told(&[Move::Start(100)]);
        let (before, due) = (court.clone(), court.actions_due());
        memory.fail_write(0, fault);
        let mut step = court.step();
        step.hear(&Move::Open(1).events(&before)[0]).unwrap();
        assert_eq!(step.commit(&mut journal), Err(JournalError::Undecided(MemoryError::Write)), "{fault:?}");
        assert_eq!(court, before);
        assert_eq!(court.actions_due(), due, "no SearchSpends for a channel whose opening may be lost");
    }
}

#[test]
fn a_durable_append_that_was_reported_failed_is_caught_up() {
    for (fault, folded) in [(Fault::Lost, 0), (Fault::Unreported, 1)] {
        let (memory, mut journal, mut court) = told(&STORY[..4]);
        let events = Move::Update(1).events(&court);
        memory.fail_write(0, fault);
        hear(&mut court, &mut journal, &events).unwrap_err();
        let mut journal = journal.reopen().unwrap();
        assert_eq!(journal.catch_up(&mut court), Ok(folded), "{fault:?}");
        assert_eq!(recovered(&memory), court);
        // The caller still has the events. Heard again, they count once.
        hear(&mut court, &mut journal, &events).unwrap();
        let (_, _, smooth) = told(&[&STORY[..4], &[Move::Update(1)]].concat());
        assert_eq!(court, smooth);
    }
}

#[test]
fn a_latched_journal_writes_nothing_until_it_is_reopened() {
    let (memory, mut journal, mut court) = told(&STORY[..4]);
    memory.fail_write(0, Fault::Lost);
    play(&mut court, &mut journal, Move::Connect).unwrap_err();
    let writes = memory.writes();
    assert!(journal.is_latched() && !journal.is_fenced());
    assert_eq!(play(&mut court, &mut journal, Move::Connect), Err(Error::Latched));
    assert_eq!(journal.checkpoint(&court, 8), Err(Error::Latched));
    assert_eq!(journal.catch_up(&mut court), Err(Error::Latched));
    assert_eq!(memory.writes(), writes, "the storage was not even asked");
    let mut journal = journal.reopen().unwrap();
    journal.catch_up(&mut court).unwrap();
    play(&mut court, &mut journal, Move::Connect).unwrap();
    assert_eq!(recovered(&memory), court);
}

#[test]
fn a_step_before_catching_up_is_refused() {
    let (memory, mut journal, mut court) = told(&STORY[..4]);
    memory.fail_write(0, Fault::Unreported);
    play(&mut court, &mut journal, Move::Connect).unwrap_err();
    let mut journal = journal.reopen().unwrap();
    assert_eq!(
        play(&mut court, &mut journal, Move::Policy(9)),
        Err(Error::OutOfOrder { expected: 7, got: 6 }),
        "or frame 6 would be written twice"
    );
    assert_eq!(journal.checkpoint(&court, 8), Err(Error::OutOfOrder { expected: 7, got: 6 }));
    assert!(!journal.is_latched(), "nothing was tried");
    assert_eq!(journal.catch_up(&mut court), Ok(1));
}

#[test]
fn a_second_owner_fences_the_first_for_good() {
    let (memory, mut journal, mut court) = told(&STORY[..4]);
    let (mut second, mut theirs) = open(&memory);
    let fenced = Error::Fenced { ours: Condition { epoch: 1, next_sequence: 6 }, epoch: 2, next_sequence: 6 };
    assert_eq!(play(&mut court, &mut journal, Move::Connect), Err(fenced));
    assert!(journal.is_fenced());
    assert!(play(&mut court, &mut journal, Move::Connect).unwrap_err().is_fenced());
    assert!(journal.reopen().unwrap_err().is_fenced(), "there is nothing to reopen");
    play(&mut theirs, &mut second, Move::Connect).unwrap();
    assert_eq!(recovered(&memory), theirs);
}

#[test]
fn of_two_that_start_at_once_the_loser_is_told_that_it_is_fenced() {
    // The rows change while it reads them, which must not be reported as corruption.
    for story in [&STORY[..0], &STORY[..4]] {
        let memory = if story.is_empty() { Memory::new() } else { told(story).0 };
        let mut loser = Journal::open(memory.clone()).unwrap();
        let (mut winner, mut court) = open(&memory);
        play(&mut court, &mut winner, Move::Connect).unwrap();
        assert!(loser.recover(&identity()).unwrap_err().is_fenced());
        assert!(loser.is_fenced());
    }
}

#[test]
fn a_latched_journal_does_not_take_the_storage_back() {
    let (memory, mut journal, mut court) = told(&STORY[..4]);
    memory.fail_write(0, Fault::Lost);
    play(&mut court, &mut journal, Move::Connect).unwrap_err();
    let (mut second, mut theirs) = open(&memory);
    assert!(journal.reopen().unwrap_err().is_fenced());
    play(&mut theirs, &mut second, Move::Connect).unwrap();
}

#[test]
fn a_write_that_arrives_after_the_reopening_is_fenced() {
    let (memory, journal, court) = told(&STORY[..4]);
    let late = journal.condition();
    let journal = journal.reopen().unwrap();
    let mut storage = memory.clone();
    let batch = arb_log::Batch { put: vec![(Key::frame(6), vec![1])], appended: 1, ..Default::default() };
    assert!(arb_log::Storage::write(&mut storage, late, &batch).is_err());
    assert_eq!(journal.condition().epoch, late.epoch + 1);
    assert_eq!(recovered(&memory), court);
}

#[test]
fn nothing_is_written_before_recovery() {
    let (memory, _, mut court) = told(&STORY[..4]);
    let mut journal = Journal::open(memory).unwrap();
    assert_eq!(play(&mut court, &mut journal, Move::Connect), Err(Error::NotRecovered));
    assert_eq!(journal.checkpoint(&court, 8), Err(Error::NotRecovered));
}

#[test]
fn a_genesis_whose_append_fails_is_no_obstacle() {
    for fault in [Fault::Lost, Fault::Unreported] {
        let memory = Memory::new();
        memory.fail_write(0, fault);
        let mut journal = Journal::open(memory.clone()).unwrap();
        assert_eq!(journal.recover(&identity()), Err(Error::Undecided(MemoryError::Write)));
        let court = journal.reopen().unwrap().recover(&identity()).unwrap();
        assert_eq!((court.sequence(), court.identity()), (1, Some(&identity())), "{fault:?}");
        assert_eq!(memory.condition().next_sequence, 2);
    }
}

#[test]
fn another_network_and_another_journal_are_refused() {
    for checkpointed in [false, true] {
        let (memory, mut journal, court) = told(&STORY[..4]);
        if checkpointed {
            journal.checkpoint(&court, 1).unwrap();
        }
        let refused = |wanted: JournalIdentity| Journal::open(memory.fork()).unwrap().recover(&wanted).unwrap_err();
        assert_eq!(
            refused(JournalIdentity { network: Network::Bitcoin, ..identity() }),
            Error::OtherNetwork { expected: Network::Bitcoin, found: Network::Regtest }
        );
        assert_eq!(
            refused(JournalIdentity { journal: [8; 32], ..identity() }),
            Error::OtherJournal { expected: [8; 32], found: [7; 32] }
        );
        // Tip and policy of an identity count only at the first start.
        let policy = arb_core::Policy { max_inputs: 3, ..Default::default() };
        let later = JournalIdentity { policy, tip: court.tip(), ..identity() };
        assert_eq!(Journal::open(memory.fork()).unwrap().recover(&later), Ok(court));
    }
}

#[test]
fn a_storage_that_lost_durable_frames_is_noticed() {
    let (memory, journal, mut court) = told(&STORY[..4]);
    let earlier = told(&STORY[..3]).0;
    drop((memory, journal));
    let (mut journal, _) = open(&earlier);
    assert_eq!(journal.catch_up(&mut court), Err(Error::StorageBehind { court: 5, stored: 4 }));
}

#[test]
fn a_failed_read_is_an_error_and_not_an_empty_store() {
    let (memory, _, court) = told(&STORY[..4]);
    let mut journal = Journal::open(memory.clone()).unwrap();
    memory.fail_reads(true);
    assert_eq!(journal.recover(&identity()), Err(Error::Storage(MemoryError::Read)));
    assert_eq!(Journal::open(memory.clone()).err(), Some(Error::Storage(MemoryError::Read)));
    memory.fail_reads(false);
    assert_eq!(journal.recover(&identity()), Ok(court));
}

#[test]
fn frames_are_shown_in_order_and_within_bounds() {
    let (_, journal, _) = told(STORY);
    let mut seen = Vec::new();
    let broke = journal.frames(3..u64::MAX, |frame| {
        seen.push(frame.sequence);
        if frame.sequence == 5 { ControlFlow::Break("enough") } else { ControlFlow::Continue(()) }
    });
    assert_eq!((broke, seen), (Ok(Some("enough")), vec![3, 4, 5]));
    let reversed = core::ops::Range { start: 9, end: 3 };
    assert_eq!(journal.frames(reversed, |_| ControlFlow::Break(())), Ok(None));
    let mut replayed = ChainArbitrator::new();
    let differs = journal.frames(0..u64::MAX, |frame| match replayed.replay(&frame) {
        Ok(None) => ControlFlow::Continue(()),
        other => ControlFlow::Break(other),
    });
    assert_eq!(differs, Ok(None), "what was heard concludes the same (I2)");
}

fn any_move() -> impl Strategy<Value = Move> {
    let channel = 1..4u8;
    prop_oneof![
        (100..104u32).prop_map(Move::Start),
        (50..53u32).prop_map(Move::Policy),
        (253..256u32).prop_map(Move::Fees),
        channel.clone().prop_map(Move::Open),
        channel.clone().prop_map(Move::Update),
        Just(Move::Connect),
        channel.clone().prop_map(Move::Spend),
        Just(Move::Disconnect),
        channel.clone().prop_map(Move::Close),
        channel.clone().prop_map(Move::Forget),
        channel.prop_map(Move::Perform),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    Checkpoint,
    Crash,
    Fails(Fault, bool),
    CheckpointFails(Fault, u64, bool),
}

fn any_trouble() -> impl Strategy<Value = Trouble> {
    let fault = prop_oneof![Just(Fault::Lost), Just(Fault::Unreported)];
    prop_oneof![
        4 => Just(Trouble::None),
        1 => Just(Trouble::Checkpoint),
        1 => Just(Trouble::Crash),
        2 => (fault.clone(), any::<bool>()).prop_map(|(fault, crash)| Trouble::Fails(fault, crash)),
        2 => (fault, 0..5u64, any::<bool>()).prop_map(|(fault, n, crash)| Trouble::CheckpointFails(fault, n, crash)),
    ]
}

/// After a failed write: the process dies and starts again, or goes on.
fn resume(
    memory: &Memory,
    journal: Journal<Memory>,
    mut court: ChainArbitrator,
    crash: bool,
) -> (Journal<Memory>, ChainArbitrator) {
    if crash {
        drop((journal, court));
        return open(memory);
    }
    let mut journal = journal.reopen().unwrap();
    journal.catch_up(&mut court).unwrap();
    (journal, court)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// After any failure at any time the same events, heard again, end in the court of the smooth run.
    #[test]
    fn a_troubled_run_ends_where_the_smooth_one_does(
        story in proptest::collection::vec((any_move(), any_trouble()), 1..30),
    ) {
        let (smooth_memory, memory) = (Memory::new(), Memory::new());
        let (mut smooth_journal, mut smooth) = open(&smooth_memory);
        let (mut journal, mut court) = open(&memory);
        for (what, trouble) in story {
            let events = what.events(&smooth);
            hear(&mut smooth, &mut smooth_journal, &events).unwrap();
            match trouble {
                Trouble::None => {}
                Trouble::Checkpoint => {
                    journal.checkpoint(&court, 1).unwrap();
                }
                Trouble::Crash => (journal, court) = open(&memory),
                Trouble::Fails(fault, _) => memory.fail_write(0, fault),
                Trouble::CheckpointFails(fault, n, crash) => {
                    memory.fail_write(n, fault);
                    if journal.checkpoint(&court, 1).is_err() {
                        (journal, court) = resume(&memory, journal, court, crash);
                    }
                    memory.heal();
                }
            }
            while hear(&mut court, &mut journal, &events).is_err() {
                let crash = matches!(trouble, Trouble::Fails(_, true));
                (journal, court) = resume(&memory, journal, court, crash);
            }
            memory.heal(); // a refused move writes nothing, so its fault is still waiting
            prop_assert_eq!(&court, &smooth);
            prop_assert_eq!(&recovered(&memory), &smooth);
        }
    }
}
