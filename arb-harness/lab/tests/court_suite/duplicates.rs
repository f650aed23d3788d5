//! Everybody is at-least-once: the same event again says nothing new, whatever kind it is, and writes nothing.

use arb_core::{
    Action, BroadcastAnswer, BroadcastRejection, CloseReason, Event, Fees, Freshness, HtlcRef, Link, PeerState, Policy,
};
use arb_lab::fixture::Close;

use crate::bench::{ANCHORS, Bench, START, channel, identity, key, learned, offered, received, started, state};

/// Hears an event, and the same event again: alone, and in one step with itself.
fn once(bench: &mut Bench, event: &Event) {
    bench.hear(event.clone());
    bench.again(event);
}

#[test]
fn before_a_close() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.again(&Event::JournalOpened(identity()));
    bench.again(&started("bench", Freshness::Trusted, START));
    let id = fixture.id();
    let htlcs = [offered(0, 50_000, 1, 500, Link::Own), received(0, 60_000, 2, 500)];
    once(&mut bench, &fixture.opened(fixture.standing(0, 0).unwrap()));
    bench.settle();
    for event in [fixture.remote_signed(0, state(&htlcs)), fixture.local_signed(0, state(&htlcs))] {
        once(&mut bench, &event.unwrap());
    }
    once(&mut bench, &fixture.remote_signed(1, state(&[])).unwrap());
    once(&mut bench, &fixture.remote_revoked(0).unwrap());
    once(&mut bench, &fixture.local_signed(1, state(&[])).unwrap());
    let htlcs = [received(1, 60_000, 2, 500)];
    bench.update(&mut fixture, 2, &htlcs);
    let close = Close {
        local_sat: 4_000_000,
        local_script: fixture.setup().fallback_script.clone(),
        remote_sat: 4_000_000,
        remote_script: bench.keys.script_for(b"peer"),
    };
    let events = [
        Event::PolicySet(Policy { alone: arb_core::Blocks::new(7), ..Policy::default() }),
        Event::ChannelSignals { channel: id, short_channel_id: 7 },
        learned(&fixture, HtlcRef::received(1), 2),
        Event::HtlcGivenUp { htlc: key(&fixture, HtlcRef::received(1)) },
        Event::FeesEstimated(Fees { by_target: vec![(1, 500)], relay_floor_sat_per_kw: 250 }),
        fixture.mutual_close(close).unwrap().event,
        Event::MempoolSeen { tx: fixture.remote_commitment_tx(2).unwrap() },
        Event::CloseRequested { channel: id, why: CloseReason::Operator },
        Event::PeerStateSeen { channel: id, peer: PeerState::WeAreBehind },
        channel(2, ANCHORS).restored(),
    ];
    for event in &events {
        once(&mut bench, event);
    }
    let other = channel(3, ANCHORS);
    bench.open_bare(&other);
    once(&mut bench, &Event::ChannelForgotten { channel: other.id() });
    bench.again(&Event::Failed { channel: id, id: arb_core::ActionId([0; 16]), why: "no".into() });
}

#[test]
fn a_cleared_suspicion() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[]);
    let current = Event::PeerStateSeen { channel: fixture.id(), peer: PeerState::Current };
    bench.again(&current);
    bench.hear(started("bench", Freshness::Suspect, START));
    // A suspicion is news every time: what cleared the last one may be what was lost.
    bench.hear(started("bench", Freshness::Suspect, START));
    once(&mut bench, &current);
}

#[test]
fn in_a_close() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[offered(0, 500_000, 1, START + 3, Link::Own)]);
    bench.acknowledges = false;
    bench.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    bench.settle();
    let request = bench.asked[0].1.clone();
    let txid = request.tx.compute_txid();
    let why = BroadcastAnswer::Rejected(BroadcastRejection::FeeTooLow);
    once(&mut bench, &Event::BroadcastAnswered { channel: fixture.id(), txid, answer: why });
    let event = bench.next_block(&[fixture.local_commitment_tx(0).unwrap()]);
    bench.hear_block(event.clone());
    bench.again(&event);
    // Each action's answer, twice.
    for action in bench.court.actions_due() {
        let Some(event) = bench.answer(action) else { continue };
        once(&mut bench, &event);
    }
    bench.block(&[]);
    bench.block(&[]);
    bench.mine_to(START + 20);
    bench.acknowledges = true;
    let due = bench.court.actions_due();
    let fail = due.into_iter().find(|action| matches!(action, Action::FailUpstream { .. })).unwrap();
    let event = bench.answer(fail).unwrap();
    once(&mut bench, &event);
    let event = bench.disconnection();
    bench.disconnect_to(START + 19);
    bench.again(&event);
}

#[test]
fn after_the_end() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[]);
    bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    bench.mine_to(START + 100);
    while bench.court.index_of(&fixture.id()).is_some() {
        bench.quiet_block(&[]);
        for action in bench.court.actions_due() {
            let Some(event) = bench.answer(action) else { continue };
            once(&mut bench, &event);
        }
    }
    assert_eq!(bench.node.sheets.len(), 1);
    let answer = BroadcastAnswer::Accepted;
    bench.again(&Event::BroadcastAnswered {
        channel: fixture.id(),
        txid: fixture.remote_commitment_tx(0).unwrap().compute_txid(),
        answer,
    });
}
