//! Events may be delivered more than once: an event of any kind that is heard again is a duplicate and writes nothing (R3).

use arb_core::{
    Action, BroadcastAnswer, BroadcastRejection, CloseReason, Event, Fees, Freshness, HtlcRef, Link, Policy,
};
use arb_lab::fixture::Close;
use arb_lab::process::all_told;

use crate::test_court::{
    ANCHORS, START, TestCourt, channel, identity, key, learned, offered, received, started, state,
};

/// Hears an event, and then the same event again.
fn once(test: &mut TestCourt, event: &Event) {
    test.hear(event.clone());
    test.again(event);
}

#[test]
fn before_a_close() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.again(&Event::JournalOpened(identity()));
    test.again(&started("test", Freshness::Trusted, START));
    test.again(&all_told());
    let id = fixture.id();
    let htlcs = [offered(0, 50_000, 1, 500, Link::Own), received(0, 60_000, 2, 500)];
    once(&mut test, &fixture.opened(fixture.standing(0, 0).unwrap()));
    once(&mut test, &fixture.adopted());
    test.settle();
    for event in [fixture.remote_signed(0, state(&htlcs)), fixture.local_signed(0, state(&htlcs))] {
        once(&mut test, &event.unwrap());
    }
    once(&mut test, &fixture.remote_signed(1, state(&[])).unwrap());
    once(&mut test, &fixture.remote_revoked(0).unwrap());
    once(&mut test, &fixture.local_signed(1, state(&[])).unwrap());
    let close = Close {
        local_sat: 4_000_000,
        local_script: fixture.setup().fallback_script.clone(),
        remote_sat: 4_000_000,
        remote_script: test.keys.script_for(b"peer"),
    };
    once(&mut test, &fixture.mutual_close(close).unwrap().event);
    let htlcs = [received(1, 60_000, 2, 500)];
    test.update(&mut fixture, 2, &htlcs);
    let events = [
        Event::PolicySet(Policy { alone: arb_core::Blocks::new(7), ..Policy::default() }),
        Event::ChannelSignals { channel: id, short_channel_id: 7 },
        learned(&fixture, HtlcRef::received(1), 2),
        Event::HtlcGivenUp { htlc: key(&fixture, HtlcRef::received(1)) },
        Event::FeesEstimated(Fees::new(vec![(1, 500)], 250)),
        Event::MempoolSeen { tx: fixture.remote_commitment_tx(2).unwrap() },
        Event::CloseRequested { channel: id, why: CloseReason::Operator },
        fixture.peer_is_newer(),
        channel(2, ANCHORS).restored(),
    ];
    for event in &events {
        once(&mut test, event);
    }
    let other = channel(3, ANCHORS);
    test.open_bare(&other);
    once(&mut test, &Event::ChannelForgotten { channel: other.id() });
    test.again(&Event::Failed { channel: id, id: arb_core::ActionId([0; 16]), why: "no".into() });
}

#[test]
fn a_cleared_suspicion() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    let current = fixture.peer_is_current();
    test.again(&current);
    test.start("test", Freshness::Suspect, START);
    // A suspect start is never a duplicate: what cleared the last one may be among the frames that were lost.
    test.start("test", Freshness::Suspect, START);
    once(&mut test, &current);
}

#[test]
fn in_a_close() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[offered(0, 500_000, 1, START + 3, Link::Own)]);
    test.acknowledges = false;
    test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    test.settle();
    let request = test.asked[0].1.clone();
    let txid = request.tx.compute_txid();
    let why = BroadcastAnswer::Rejected(BroadcastRejection::FeeTooLow);
    once(&mut test, &Event::BroadcastAnswered { channel: fixture.id(), txid, answer: why });
    let event = test.next_block(&[fixture.local_commitment_tx(0).unwrap()]);
    test.hear_block(event.clone());
    test.again(&event);
    // Every answer is heard twice.
    for action in test.court.actions_due() {
        let Some(event) = test.answer(action) else { continue };
        once(&mut test, &event);
    }
    test.block(&[]);
    test.block(&[]);
    test.mine_to(START + 20);
    test.acknowledges = true;
    let due = test.court.actions_due();
    let fail = due.into_iter().find(|action| matches!(action, Action::FailUpstream { .. })).unwrap();
    let event = test.answer(fail).unwrap();
    once(&mut test, &event);
    let event = test.disconnection();
    test.disconnect_to(START + 19);
    test.again(&event);
}

#[test]
fn after_the_end() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    test.mine_to(START + 100);
    while test.court.index_of(&fixture.id()).is_some() {
        test.quiet_block(&[]);
        for action in test.court.actions_due() {
            let Some(event) = test.answer(action) else { continue };
            once(&mut test, &event);
        }
    }
    assert_eq!(test.node.sheets.len(), 1);
    let answer = BroadcastAnswer::Accepted;
    test.again(&Event::BroadcastAnswered {
        channel: fixture.id(),
        txid: fixture.remote_commitment_tx(0).unwrap().compute_txid(),
        answer,
    });
}
