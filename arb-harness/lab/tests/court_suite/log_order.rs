//! Records precede actions (R2): what a failed, an unreported or a dropped append leaves behind, and that `commit` appends
//! before it releases.

use std::cell::RefCell;
use std::rc::Rc;

use arb_core::{ChainArbitrator, CloseReason, Event, Heard, Link, Log, Pending};
use arb_log::Journal;
use arb_log::memory::{Fault, Memory};

use crate::test_court::{ANCHORS, Frames, TestCourt, channel, identity, offered, received};

/// A log whose appends fail.
struct Broken;

impl Log for Broken {
    type Error = ();

    fn append(&mut self, _: &Pending<'_>) -> Result<(), ()> {
        Err(())
    }
}

/// A court without due actions, and an event that makes a freeze and a signature due.
fn owing_nothing() -> (TestCourt, Event) {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[offered(0, 50_000, 1, 500, Link::Own), received(0, 60_000, 2, 500)]);
    let close = Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator };
    (test, close)
}

#[test]
fn a_failed_append_releases_nothing_and_changes_nothing() {
    let (mut test, close) = owing_nothing();
    let before = test.court.clone();
    let mut step = test.court.step();
    assert_eq!(step.hear(&close), Ok(Heard::Accepted));
    assert_eq!(step.commit(&mut Broken), Err(()));
    assert_eq!(test.court, before);
    assert_eq!(test.court.indexes(), before.indexes());
    assert_eq!(test.court.actions_due(), []);
    // The event can be heard again, as new.
    assert!(!test.hear(close).is_empty());
}

#[test]
fn a_dropped_step_changes_nothing() {
    let (mut test, close) = owing_nothing();
    let before = test.court.clone();
    let block = test.next_block(&[]);
    let mut step = test.court.step();
    for event in [&close, &block] {
        assert_eq!(step.hear(event), Ok(Heard::Accepted));
    }
    drop(step);
    assert_eq!(test.court, before);
    assert_eq!(test.court.indexes(), before.indexes());
    assert_eq!(test.court.actions_due(), []);
    let step = test.court.step();
    drop(step.detach());
    assert_eq!(test.court, before);
}

#[test]
fn an_append_that_was_durable_all_the_same_is_caught_up() {
    let (test, close) = owing_nothing();
    for fault in [Fault::Unreported, Fault::Lost] {
        let memory = Memory::new();
        let mut journal = Journal::open(memory.clone()).unwrap();
        let mut court = journal.recover(&identity()).unwrap();
        for frame in &test.frames.0 {
            let mut step = court.step();
            for entry in &frame.entries {
                step.hear(&entry.heard).unwrap();
            }
            step.commit(&mut journal).unwrap();
        }
        let before = court.clone();
        memory.fail_write(0, fault);
        let mut step = court.step();
        assert_eq!(step.hear(&close), Ok(Heard::Accepted));
        assert!(step.commit(&mut journal).is_err());
        assert_eq!((&court, court.actions_due()), (&before, Vec::new()), "{fault:?}");
        let mut journal = journal.reopen().unwrap();
        journal.catch_up(&mut court).unwrap();
        let durable = fault == Fault::Unreported;
        assert_eq!(!court.actions_due().is_empty(), durable, "{fault:?}");
        // Heard again it is a duplicate if the append was durable, else new; either way the court is the same.
        let mut step = court.step();
        assert_eq!(step.hear(&close), Ok(if durable { Heard::Duplicate } else { Heard::Accepted }));
        step.commit(&mut journal).unwrap();
        assert!(!court.actions_due().is_empty());
        let mut undisturbed = before;
        let mut step = undisturbed.step();
        step.hear(&close).unwrap();
        step.commit(&mut Frames::default()).unwrap();
        assert_eq!(court, undisturbed);
    }
}

/// What the two halves of `commit` did.
#[derive(Debug, PartialEq, Eq)]
enum CommitPart {
    Appended { sequence: u64 },
    Released { sequence: u64, actions: usize },
}

/// A log that records its appends, and fails them if `fails` is set.
struct RecordingLog {
    happened: Rc<RefCell<Vec<CommitPart>>>,
    fails: bool,
}

impl Log for RecordingLog {
    type Error = ();

    fn append(&mut self, pending: &Pending<'_>) -> Result<(), ()> {
        self.happened.borrow_mut().push(CommitPart::Appended { sequence: pending.frame().sequence });
        if self.fails { Err(()) } else { Ok(()) }
    }
}

#[test]
fn the_append_comes_before_everything() {
    let (mut test, close) = owing_nothing();
    let happened = Rc::new(RefCell::new(Vec::new()));
    let commit_with = |court: &mut ChainArbitrator, fails| {
        let mut step = court.step();
        step.hear(&close).unwrap();
        let due = step.commit(&mut RecordingLog { happened: Rc::clone(&happened), fails });
        let released = due.map_or(0, |due| due.len());
        happened.borrow_mut().push(CommitPart::Released { sequence: court.sequence(), actions: released });
        happened.take()
    };
    let sequence = test.court.sequence();
    let next = CommitPart::Appended { sequence: sequence + 1 };
    // If `commit` released first, the court would have changed although the append failed.
    let mut failing = test.court.clone();
    let expected = [next, CommitPart::Released { sequence, actions: 0 }];
    assert_eq!(commit_with(&mut failing, true), expected);
    assert_eq!(failing, test.court);
    let mut working = test.court.clone();
    let [appended, _] = expected;
    let due = test.hear(close.clone()).len();
    assert!(due >= 2, "a freeze and a signature");
    assert_eq!(
        commit_with(&mut working, false),
        [appended, CommitPart::Released { sequence: sequence + 1, actions: due }]
    );
    assert_eq!(working, test.court);
}

#[test]
fn detached_and_attested_is_the_same_as_committed() {
    let (mut test, close) = owing_nothing();
    let mut committed = test.court.clone();
    let mut frames = Frames::default();
    let mut step = committed.step();
    step.hear(&close).unwrap();
    let due = step.commit(&mut frames).unwrap();
    let mut step = test.court.step();
    step.hear(&close).unwrap();
    let pending = step.detach();
    assert_eq!(Some(pending.frame()), frames.0.last());
    test.frames.0.push(pending.frame().clone());
    assert_eq!(pending.attest_durable(), due);
    assert_eq!(test.court, committed);
    assert_eq!(test.court.indexes(), committed.indexes());
}

#[test]
fn a_step_that_accepted_nothing_writes_nothing() {
    let (mut test, close) = owing_nothing();
    test.hear(close.clone());
    let before = test.court.clone();
    let mut step = test.court.step();
    assert_eq!(step.hear(&close), Ok(Heard::Duplicate));
    let pending = step.detach();
    assert_eq!(pending.frame().entries, []);
    assert_eq!(pending.attest_durable(), []);
    assert_eq!(test.court, before);
}
