//! Records precede actions (R2): what a failed, an unreported or a dropped append leaves behind, and in which order the
//! two halves of `commit` come.

use std::cell::RefCell;
use std::rc::Rc;

use arb_core::{ChainArbitrator, CloseReason, Event, Heard, Link, Log, Pending};
use arb_log::Journal;
use arb_log::memory::{Fault, Memory};

use crate::bench::{ANCHORS, Bench, Frames, channel, identity, offered, received};

struct Broken;

impl Log for Broken {
    type Error = ();

    fn append(&mut self, _: &Pending<'_>) -> Result<(), ()> {
        Err(())
    }
}

/// A court that owes nothing yet, and an event that makes it owe a freeze and a signature.
fn quiet() -> (Bench, Event) {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[offered(0, 50_000, 1, 500, Link::Own), received(0, 60_000, 2, 500)]);
    let close = Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator };
    (bench, close)
}

#[test]
fn a_failed_append_releases_nothing_and_changes_nothing() {
    let (mut bench, close) = quiet();
    let before = bench.court.clone();
    let mut step = bench.court.step();
    assert_eq!(step.hear(&close), Ok(Heard::Accepted));
    assert_eq!(step.commit(&mut Broken), Err(()));
    assert_eq!(bench.court, before);
    assert_eq!(bench.court.indexes(), before.indexes());
    assert_eq!(bench.court.actions_due(), []);
    // The event is still in hand, and is new.
    assert!(!bench.hear(close).is_empty());
}

#[test]
fn a_dropped_step_changes_nothing() {
    let (mut bench, close) = quiet();
    let before = bench.court.clone();
    let block = bench.next_block(&[]);
    let mut step = bench.court.step();
    for event in [&close, &block] {
        assert_eq!(step.hear(event), Ok(Heard::Accepted));
    }
    drop(step);
    assert_eq!(bench.court, before);
    assert_eq!(bench.court.indexes(), before.indexes());
    assert_eq!(bench.court.actions_due(), []);
    let step = bench.court.step();
    drop(step.detach());
    assert_eq!(bench.court, before);
}

#[test]
fn an_append_that_was_durable_all_the_same_is_caught_up() {
    let (bench, close) = quiet();
    for fault in [Fault::Unreported, Fault::Lost] {
        let memory = Memory::new();
        let mut journal = Journal::open(memory.clone()).unwrap();
        let mut court = journal.recover(&identity()).unwrap();
        for frame in &bench.frames.0 {
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
        // Said again: known if it was durable, new if it was not; either way a permission, and the same court.
        let mut step = court.step();
        assert_eq!(step.hear(&close), Ok(if durable { Heard::Duplicate } else { Heard::Accepted }));
        step.commit(&mut journal).unwrap();
        assert!(!court.actions_due().is_empty());
        let mut smooth = before;
        let mut step = smooth.step();
        step.hear(&close).unwrap();
        step.commit(&mut Frames::default()).unwrap();
        assert_eq!(court, smooth);
    }
}

/// What the halves of `commit` did, in order.
#[derive(Debug, PartialEq, Eq)]
enum Happened {
    Appended { sequence: u64 },
    Released { sequence: u64, actions: usize },
}

/// Writes down when it is asked to append, and fails if it shall.
struct Witness {
    story: Rc<RefCell<Vec<Happened>>>,
    fails: bool,
}

impl Log for Witness {
    type Error = ();

    fn append(&mut self, pending: &Pending<'_>) -> Result<(), ()> {
        self.story.borrow_mut().push(Happened::Appended { sequence: pending.frame().sequence });
        if self.fails { Err(()) } else { Ok(()) }
    }
}

#[test]
fn the_append_comes_before_everything() {
    let (mut bench, close) = quiet();
    let story = Rc::new(RefCell::new(Vec::new()));
    let told = |court: &mut ChainArbitrator, fails| {
        let mut step = court.step();
        step.hear(&close).unwrap();
        let due = step.commit(&mut Witness { story: Rc::clone(&story), fails });
        let released = due.map_or(0, |due| due.len());
        story.borrow_mut().push(Happened::Released { sequence: court.sequence(), actions: released });
        story.take()
    };
    let sequence = bench.court.sequence();
    let next = Happened::Appended { sequence: sequence + 1 };
    // With the halves of `commit` swapped the court would have moved although the append failed.
    let mut failing = bench.court.clone();
    let expected = [next, Happened::Released { sequence, actions: 0 }];
    assert_eq!(told(&mut failing, true), expected);
    assert_eq!(failing, bench.court);
    let mut working = bench.court.clone();
    let [appended, _] = expected;
    let due = bench.hear(close.clone()).len();
    assert!(due >= 2, "a freeze and a signature");
    assert_eq!(told(&mut working, false), [appended, Happened::Released { sequence: sequence + 1, actions: due }]);
    assert_eq!(working, bench.court);
}

#[test]
fn detached_and_attested_is_the_same_as_committed() {
    let (mut bench, close) = quiet();
    let mut committed = bench.court.clone();
    let mut frames = Frames::default();
    let mut step = committed.step();
    step.hear(&close).unwrap();
    let due = step.commit(&mut frames).unwrap();
    let mut step = bench.court.step();
    step.hear(&close).unwrap();
    let pending = step.detach();
    assert_eq!(Some(pending.frame()), frames.0.last());
    bench.frames.0.push(pending.frame().clone());
    assert_eq!(pending.attest_durable(), due);
    assert_eq!(bench.court, committed);
    assert_eq!(bench.court.indexes(), committed.indexes());
}

#[test]
fn a_step_that_accepted_nothing_writes_nothing() {
    let (mut bench, close) = quiet();
    bench.hear(close.clone());
    let before = bench.court.clone();
    let mut step = bench.court.step();
    assert_eq!(step.hear(&close), Ok(Heard::Duplicate));
    let pending = step.detach();
    assert_eq!(pending.frame().entries, []);
    assert_eq!(pending.attest_durable(), []);
    assert_eq!(bench.court, before);
}
