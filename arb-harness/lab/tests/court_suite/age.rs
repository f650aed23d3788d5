//! Age is proved, not claimed (A4): what makes a channel outdated, what lifts a suspicion, and the way back.

use arb_core::bolt3::Secret;
use arb_core::{Alert, CloseReason, Event, Freshness, Heard, HtlcRef, Link, Rejected, RejectedClass, Side, Standing};
use arb_lab::fixture::ChannelFixture;

use crate::test_court::{ANCHORS, START, TYPES, TestCourt, channel, learned, offered, received, running, state};

fn is_outdated(test: &TestCourt, fixture: &ChannelFixture) -> bool {
    test.court.channel(test.index(fixture)).unwrap().is_outdated()
}

/// A channel that the journal knows up to commitment 1 of both sides, and that has come to 8; the start says that the journal
/// may be old.
fn restored(suspect: bool) -> (TestCourt, ChannelFixture) {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    test.update(&mut fixture, 1, &[]);
    let freshness = if suspect { Freshness::Suspect } else { Freshness::Trusted };
    test.start("restored", freshness, START);
    (test, fixture)
}

/// Asks for a close, and returns how often anything was asked of the signer.
fn signs(test: &mut TestCourt, fixture: &ChannelFixture) -> usize {
    test.try_hear(&Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator }).unwrap();
    test.settle();
    test.block(&[]);
    test.asked.len()
}

#[test]
fn a4_the_node_s_own_newer_numbers_prove_that_the_journal_is_old() {
    for suspect in [true, false] {
        for event in 0..3 {
            let (mut test, mut fixture) = restored(suspect);
            let current = fixture.peer_is_current();
            let event = match event {
                0 => fixture.local_signed(8, state(&[])).unwrap(),
                1 => fixture.remote_signed(8, state(&[])).unwrap(),
                _ => fixture.remote_revoked(7).unwrap(),
            };
            assert_eq!(test.try_hear(&event), Ok(Heard::Outdated));
            assert!(is_outdated(&test, &fixture));
            // No word of the counterparty undoes it.
            test.try_hear(&current).unwrap();
            assert_eq!(signs(&mut test, &fixture), 0);
            assert!(test.alerts(&fixture).contains(&Alert::Outdated));
            assert_eq!(test.try_hear(&event), Ok(Heard::Past), "it is on record");
        }
    }
}

#[test]
fn a4_an_outdated_channel_asks_for_what_is_missing() {
    let (mut test, mut fixture) = restored(true);
    test.try_hear(&fixture.local_signed(8, state(&[])).unwrap()).unwrap();
    let next = [
        fixture.local_signed(2, state(&[])).unwrap(),
        fixture.remote_signed(2, state(&[])).unwrap(),
        fixture.remote_revoked(1).unwrap(),
    ];
    for event in next {
        let refused = test.refuse(&event);
        assert_eq!((refused.class(), refused), (RejectedClass::NotYet, Rejected::Outdated(fixture.id())));
    }
}

#[test]
fn a4_the_next_numbers_are_no_proof() {
    let (mut test, mut fixture) = restored(true);
    test.hear(fixture.remote_signed(2, state(&[])).unwrap());
    test.hear(fixture.remote_revoked(1).unwrap());
    test.hear(fixture.local_signed(2, state(&[])).unwrap());
    assert!(!is_outdated(&test, &fixture));
}

/// `channel_reestablish` with these numbers.
fn says(fixture: &ChannelFixture, commitment: u64, revocation: u64, proves: bool) -> Event {
    let Event::PeerStateSeen { channel, mut peer } = fixture.peer_state(revocation - 1, proves) else { panic!() };
    peer.next_commitment_number = commitment;
    Event::PeerStateSeen { channel, peer }
}

#[test]
fn a4_equal_numbers_lift_a_suspicion_and_lower_ones_say_nothing() {
    let (test, fixture) = restored(true);
    // L is 1 and S is 1.
    for (commitment, revocation, lifts) in [(2, 1, true), (1, 1, true), (0, 1, false)] {
        let mut test = test.fork();
        let event = says(&fixture, commitment, revocation, true);
        let answer = if lifts { Heard::Accepted } else { Heard::Duplicate };
        assert_eq!(test.try_hear(&event), Ok(answer));
        assert!(!is_outdated(&test, &fixture));
        assert_eq!(signs(&mut test, &fixture) > 0, lifts, "{commitment} {revocation}");
    }
    // L - 1: our last revocation was lost. A fresh channel: 0 and 1.
    let (mut test, mut fixture) = (TestCourt::new(), channel(2, ANCHORS));
    test.open(&mut fixture, &[]);
    test.start("restored", Freshness::Suspect, START);
    test.hear(fixture.peer_is_current());
    test.update(&mut fixture, 1, &[]);
    test.update(&mut fixture, 2, &[]);
    test.start("restored again", Freshness::Suspect, START);
    let Event::PeerStateSeen { channel, mut peer } = fixture.peer_is_current() else { panic!() };
    peer.next_revocation_number = 0;
    test.again(&Event::PeerStateSeen { channel, peer });
    peer.next_revocation_number = 1;
    test.hear(Event::PeerStateSeen { channel, peer });
}

#[test]
fn a4_a_greater_number_is_a_claim_unless_our_own_secret_proves_it() {
    let (test, fixture) = restored(true);
    for (above, proves) in [(1, false), (1, true), (5, false), (5, true)] {
        let mut test = test.fork();
        let event = fixture.peer_state(above, proves);
        test.hear(event.clone());
        test.again(&event);
        assert_eq!(is_outdated(&test, &fixture), proves, "{above}");
        assert_eq!(signs(&mut test, &fixture), 0, "the suspicion stays");
        let claims =
            test.alerts(&fixture).iter().filter(|alert| matches!(alert, Alert::PeerClaimsNewer { .. })).count();
        assert_eq!(claims, usize::from(!proves));
    }
    // The court knows our point of commitment 1, so the node's word for another secret does not count.
    let mut test = test.fork();
    let Event::PeerStateSeen { channel, mut peer } = fixture.peer_state(1, true) else { panic!() };
    peer.last_secret = Secret([7; 32]);
    test.hear(Event::PeerStateSeen { channel, peer });
    assert!(!is_outdated(&test, &fixture));
    // More commitments of theirs than we signed are a claim, too, and without a suspicion a claim stops nothing.
    let (mut test, fixture) = restored(false);
    test.hear(says(&fixture, 3, 1, true));
    assert!(!is_outdated(&test, &fixture));
    assert_ne!(signs(&mut test, &fixture), 0);
}

#[test]
fn a4_claims_raise_one_alert_for_each_start() {
    let (mut test, fixture) = restored(true);
    let claims = |test: &TestCourt| {
        let alerts = test.alerts(&fixture);
        alerts.iter().filter(|alert| matches!(alert, Alert::PeerClaimsNewer { .. })).count()
    };
    for above in 1..20 {
        test.hear(fixture.peer_state(above, false));
        test.settle();
        assert_eq!(claims(&test), 1, "{above}");
    }
    test.start("restored again", Freshness::Suspect, START);
    test.hear(fixture.peer_state(20, false));
    test.settle();
    assert_eq!(claims(&test), 2);
}

/// The standing from which the channel is told anew, and its newest commitments, with an HTLC each way.
fn anew(fixture: &mut ChannelFixture) -> (Event, Vec<Event>) {
    let htlcs = [offered(3, 50_000, 1, START + 90, Link::Own), received(2, 1_000_000, 2, START + 90)];
    fixture.sign_unheard(Side::Local, 8, state(&htlcs));
    fixture.sign_unheard(Side::Remote, 8, state(&htlcs));
    let standing = Box::new(fixture.standing(8, 8).unwrap());
    let event = Event::ChannelAdoptedAnew { channel: fixture.id(), standing };
    (event, [Side::Local, Side::Remote].map(|side| fixture.whole(side, 8).unwrap()).to_vec())
}

#[test]
fn a4_an_outdated_channel_is_adopted_anew() {
    for channel_type in TYPES {
        for backup in [false, true] {
            let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
            if backup {
                let setup = fixture.setup();
                test.signer.add_channel(setup.id, setup.funding, setup.local.clone());
                test.hear(fixture.restored());
                test.hear(fixture.adopted());
            } else {
                test.open(&mut fixture, &[received(0, 20_000, 5, START + 50)]);
                test.update(&mut fixture, 1, &[]);
                test.start("restored", Freshness::Suspect, START);
                fixture.sign_unheard(Side::Local, 8, state(&[]));
                test.try_hear(&fixture.whole(Side::Local, 8).unwrap()).unwrap();
            }
            test.settle();
            assert!(is_outdated(&test, &fixture));
            let (event, told) = anew(&mut fixture);
            test.hear(event.clone());
            test.again(&event);
            told.into_iter().for_each(|event| drop(test.hear(event)));
            test.hear(fixture.adopted());
            assert!(!is_outdated(&test, &fixture));
            test.hear(learned(&fixture, HtlcRef::received(2), 2));
            // It lives on, closes with our newest commitment, and gets everything.
            let htlcs = [offered(3, 50_000, 1, START + 90, Link::Own), received(2, 1_000_000, 2, START + 90)];
            test.hear(fixture.remote_signed(9, state(&htlcs)).unwrap());
            test.hear(fixture.remote_revoked(8).unwrap());
            test.hear(fixture.local_signed(9, state(&htlcs)).unwrap());
            assert_ne!(signs(&mut test, &fixture), 0);
            test.block(&[fixture.local_commitment_tx(9).unwrap()]);
            test.mine_to(START + 400);
            assert_eq!(test.contract_report(&fixture, HtlcRef::received(2)), Some(arb_core::ContractOutcome::Claimed));
            let sheet = test.node.sheets[&fixture.id()];
            assert!(sheet.balances() && sheet.lost_sat == 0, "{sheet:?}");
        }
    }
}

#[test]
fn a4_a_channel_can_be_outdated_and_adopted_more_than_once() {
    let (mut test, mut fixture) = restored(true);
    for number in [8, 20] {
        fixture.sign_unheard(Side::Local, number, state(&[]));
        fixture.sign_unheard(Side::Remote, number, state(&[]));
        let shown = fixture.whole(Side::Local, number).unwrap();
        assert_eq!(test.try_hear(&shown), Ok(Heard::Outdated));
        test.settle();
        let standing = Box::new(fixture.standing(number, number).unwrap());
        test.hear(Event::ChannelAdoptedAnew { channel: fixture.id(), standing });
        test.hear(shown);
        test.hear(fixture.whole(Side::Remote, number).unwrap());
        test.hear(fixture.adopted());
        assert!(!is_outdated(&test, &fixture));
    }
    assert_ne!(signs(&mut test, &fixture), 0);
}

#[test]
fn a4_what_is_adopted_anew_is_never_older_than_what_was_shown() {
    let anew = |fixture: &ChannelFixture, local, remote| {
        let standing = Box::new(fixture.standing(local, remote).unwrap());
        Event::ChannelAdoptedAnew { channel: fixture.id(), standing }
    };
    let (mut test, mut fixture) = running();
    assert_eq!(test.refuse(&anew(&fixture, 3, 3)), Rejected::NotOutdated(fixture.id()));
    // Told again after the channel was brought up to date, it says nothing, and nothing is left to compare it with.
    assert_eq!(test.try_hear(&anew(&fixture, 0, 0)), Ok(Heard::Past));
    test.try_hear(&fixture.local_signed(8, state(&[])).unwrap()).unwrap();
    test.try_hear(&fixture.remote_revoked(6).unwrap()).unwrap();
    test.settle();
    let behind = Rejected::StandingBehind { next_local: 8, next_remote: 7 };
    assert_eq!(test.refuse(&anew(&fixture, 7, 7)), behind);
    assert_eq!(test.refuse(&anew(&fixture, 8, 6)), behind);
    let other = Standing { next_local: 8, next_remote: 7, ..Standing::default() };
    let event = Event::ChannelAdoptedAnew { channel: fixture.id(), standing: Box::new(other) };
    assert!(matches!(test.refuse(&event), Rejected::BadStanding { .. }));
    test.hear(anew(&fixture, 8, 7));
    // What the counterparty proved counts as well.
    let (mut test, fixture) = running();
    test.hear(fixture.peer_is_newer());
    let behind = Rejected::StandingBehind { next_local: 1, next_remote: 0 };
    assert_eq!(test.refuse(&anew(&fixture, 0, 0)), behind);
    // A signature that was given out can confirm an old commitment: there is no way back.
    let (mut test, fixture) = running();
    test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    test.settle();
    test.hear(fixture.peer_is_newer());
    assert_eq!(test.refuse(&anew(&fixture, 1, 1)), Rejected::SignatureGiven(fixture.id()));
}
