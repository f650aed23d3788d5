//! Starts: what goes out before it may.

use arb_core::{Action, ChannelId, CloseReason, Event, Freshness, Height, PeerState, Rejected, Standing, Started};
use arb_harness::driver::{Driver, Outside};
use arb_log::memory::{Fault, Memory};

use crate::support::{court, fixture, hear, identity, open, received, scanned, started, state, to_sign};

/// Carries nothing out, and remembers what it was told to.
#[derive(Default)]
struct Idle {
    signs: usize,
    refused: Vec<Rejected>,
}

impl Outside for Idle {
    fn perform(&mut self, action: Action, _: &mut Vec<Event>) {
        self.signs += usize::from(matches!(action, Action::Sign(_) | Action::Broadcast { .. }));
    }

    fn refused(&mut self, _: &Event, why: &Rejected) {
        self.refused.push(why.clone());
    }

    fn damaged(&mut self, channel: ChannelId, why: &str) {
        panic!("{channel:?}: {why}");
    }
}

fn start(memory: &Memory, freshness: Freshness) -> Driver<Memory> {
    let started = Started { build: String::from("thief"), freshness, best_height: Height::new(100) };
    Driver::start(memory.clone(), &identity(), started).unwrap()
}

/// A channel of which our commitment is to be signed, in a journal.
fn going_to_chain(driver: &mut Driver<Memory>, idle: &mut Idle) {
    let mut fixture = fixture(1);
    let state = state(vec![received(0, 100_000, 300, 1)]);
    driver.tell_all([
        fixture.opened(Standing::default()),
        scanned(&fixture, fixture.setup().funding.txid, 100),
        fixture.local_signed(0, state.clone()).unwrap(),
        fixture.remote_signed(0, state).unwrap(),
        Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator },
    ]);
    driver.commit(idle).unwrap();
    assert_eq!(idle.refused, []);
}

/// R3: `Started` is heard before any action goes out, also when the first append fails. An old journal whose commitment
/// is signed before the suspicion is known is everything lost.
#[test]
fn a_suspicion_that_could_not_be_written_releases_nothing() {
    for fault in [Fault::Lost, Fault::Unreported] {
        let (memory, mut idle) = (Memory::new(), Idle::default());
        going_to_chain(&mut start(&memory, Freshness::Trusted), &mut idle);
        let mut driver = start(&memory, Freshness::Suspect);
        memory.fail_write(0, fault);
        driver.commit(&mut idle).unwrap();
        driver.perform(&mut idle);
        assert_eq!(idle.signs, 0, "{fault:?}");
        driver.commit(&mut idle).unwrap();
        driver.perform(&mut idle);
        assert_eq!(idle.signs, 0, "{fault:?}");
    }
}

/// I10: an action that waits to be carried out while the counterparty proves a newer state is not carried out.
#[test]
fn what_was_due_before_the_last_step_may_not_be_due_after_it() {
    let (memory, mut idle) = (Memory::new(), Idle::default());
    let mut driver = start(&memory, Freshness::Trusted);
    going_to_chain(&mut driver, &mut idle);
    driver.tell(Event::PeerStateSeen { channel: fixture(1).id(), peer: PeerState::WeAreBehind });
    driver.commit(&mut idle).unwrap();
    driver.perform(&mut idle);
    assert_eq!(idle.signs, 0);
}

/// A suspicion is about what the journal had at the start: a channel that was opened after it is known as it is.
#[test]
fn a_channel_opened_after_a_suspect_start_is_not_suspect() {
    let (mut court, mut old, mut new) = (court(), fixture(1), fixture(2));
    open(&mut court, &mut old, Vec::new());
    hear(&mut court, &started(Freshness::Suspect, 100));
    open(&mut court, &mut new, Vec::new());
    for fixture in [&old, &new] {
        hear(&mut court, &Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    }
    let signed = to_sign(&court);
    assert_eq!(signed.len(), 1);
    assert_eq!(signed[0].input[0].previous_output, new.setup().funding);
}
