//! Starts: no action may be carried out before a suspicion is recorded, or after it stopped being due (R3, I10).

use arb_core::{Action, ChannelId, CloseReason, Event, Freshness, Height, Rejected, Side, Standing, Started};
use arb_harness::driver::{Driver, Outside};
use arb_lab::process::all_told;
use arb_log::memory::{Fault, Memory};

use crate::support::{court, fixture, hear, identity, open, received, scanned, started, state, to_sign};

/// An outside that carries nothing out, counts `Sign` and `Broadcast`, and keeps refusals.
#[derive(Default)]
struct CountingOutside {
    signs: usize,
    refused: Vec<Rejected>,
}

impl Outside for CountingOutside {
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
    let started = Started { build: String::from("attack test"), freshness, best_height: Height::new(100), run: 0 };
    Driver::start(memory.clone(), &identity(), started).unwrap()
}

/// Records a channel that goes to chain: our commitment is to be signed.
fn going_to_chain(driver: &mut Driver<Memory>, outside: &mut CountingOutside) {
    let mut fixture = fixture(1);
    let state = state(vec![received(0, 100_000, 300, 1)]);
    driver.tell_all([
        fixture.opened(Standing::default()),
        scanned(&fixture, fixture.setup().funding.txid, 100),
        fixture.local_signed(0, state.clone()).unwrap(),
        fixture.remote_signed(0, state).unwrap(),
        all_told(),
        Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator },
    ]);
    driver.commit(outside).unwrap();
    assert_eq!(outside.refused, []);
}

/// R3: `Started` is heard before any action is carried out, also if the first append fails. Otherwise a journal from an old
/// backup could publish a revoked commitment of ours, which would lose the whole channel.
#[test]
fn a_suspicion_that_could_not_be_written_releases_nothing() {
    for fault in [Fault::Lost, Fault::Unreported] {
        let (memory, mut outside) = (Memory::new(), CountingOutside::default());
        going_to_chain(&mut start(&memory, Freshness::Trusted), &mut outside);
        let mut driver = start(&memory, Freshness::Suspect);
        memory.fail_write(0, fault);
        driver.commit(&mut outside).unwrap();
        driver.perform(&mut outside);
        assert_eq!(outside.signs, 0, "{fault:?}");
        driver.commit(&mut outside).unwrap();
        driver.perform(&mut outside);
        assert_eq!(outside.signs, 0, "{fault:?}");
    }
}

/// I10: an action that waits is not carried out if the counterparty proves a newer state first.
#[test]
fn what_was_due_before_the_last_step_may_not_be_due_after_it() {
    let (memory, mut outside) = (Memory::new(), CountingOutside::default());
    let mut driver = start(&memory, Freshness::Trusted);
    going_to_chain(&mut driver, &mut outside);
    let mut known = fixture(1);
    known.sign_unheard(Side::Local, 0, state(vec![received(0, 100_000, 300, 1)]));
    driver.tell(known.peer_is_newer());
    driver.commit(&mut outside).unwrap();
    driver.perform(&mut outside);
    assert_eq!(outside.signs, 0);
}

/// A suspicion concerns the channels that the journal held at that start, and none that is opened later.
#[test]
fn a_channel_opened_after_a_suspect_start_is_not_suspect() {
    let (mut court, mut old, mut new) = (court(), fixture(1), fixture(2));
    open(&mut court, &mut old, Vec::new());
    hear(&mut court, &started(Freshness::Suspect, 100));
    hear(&mut court, &all_told());
    open(&mut court, &mut new, Vec::new());
    for fixture in [&old, &new] {
        hear(&mut court, &Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    }
    let signed = to_sign(&court);
    assert_eq!(signed.len(), 1);
    assert_eq!(signed[0].input[0].previous_output, new.setup().funding);
}
