//! Starts after which the node tells everything again (A53), and what an end leaves behind.

use arb_core::{Acknowledged, Action, Event, Freshness, Heard, HtlcRef, Link, Rejected, RejectedClass, Side};

use crate::incidents_outcomes::peer_takes;
use crate::test_court::{
    ANCHORS, CAPACITY_SAT, START, TYPES, TestCourt, channel, key, learned, offered, preimage, received, running, state,
};

/// Hears an event that is past; panics unless the court stays as it was.
fn past(test: &mut TestCourt, event: &Event) {
    let before = test.court.clone();
    let mut step = test.court.step();
    assert_eq!(step.hear(event), Ok(Heard::Past), "{event:?}");
    assert_eq!(step.commit(&mut test.frames).unwrap(), []);
    assert_eq!(test.court, before);
}

#[test]
fn a53_everything_that_was_ever_told_is_told_again() {
    for channel_type in TYPES {
        for frozen in [false, true] {
            let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
            let (one, two) = (offered(0, 50_000, 1, START + 90, Link::Own), received(0, 60_000, 2, START + 90));
            let three = received(1, 70_000, 3, START + 90);
            test.open(&mut fixture, &[one.clone(), two.clone()]);
            test.hear(learned(&fixture, HtlcRef::received(0), 2));
            test.update(&mut fixture, 1, std::slice::from_ref(&one));
            test.update(&mut fixture, 2, &[one, three]);
            test.hear(learned(&fixture, HtlcRef::received(1), 3));
            if frozen {
                test.block(&[fixture.remote_commitment_tx(2).unwrap()]);
            }
            test.restart();
            for number in [0, 1] {
                past(&mut test, &fixture.whole(Side::Local, number).unwrap());
                past(&mut test, &fixture.whole(Side::Remote, number).unwrap());
                test.again(&fixture.remote_revoked(number).unwrap());
            }
            test.again(&fixture.whole(Side::Local, 2).unwrap());
            test.again(&fixture.whole(Side::Remote, 2).unwrap());
            past(&mut test, &learned(&fixture, HtlcRef::received(0), 2));
            past(&mut test, &Event::HtlcGivenUp { htlc: key(&fixture, HtlcRef::received(0)) });
            test.again(&learned(&fixture, HtlcRef::received(1), 3));
            let htlc = key(&fixture, HtlcRef::received(0));
            past(&mut test, &Event::UpstreamAcknowledged { htlc, outcome: Acknowledged::Failed });
            // An id that was never used is a mistake.
            let unknown = test.refuse(&learned(&fixture, HtlcRef::received(2), 3));
            assert_eq!(
                (unknown.class(), unknown),
                (RejectedClass::Mistake, Rejected::UnknownHtlc(HtlcRef::received(2)))
            );
        }
    }
}

#[test]
fn a53_of_several_htlcs_those_that_are_over_hide_no_news() {
    let (mut test, mut fixture) = running();
    test.update(&mut fixture, 1, &[received(1, 60_000, 2, 500)]);
    let usable_for = [0, 1].map(|id| key(&fixture, HtlcRef::received(id))).to_vec();
    test.hear(Event::PreimageLearned { preimage: preimage(2), usable_for });
    assert!(test.court.channel(test.index(&fixture)).unwrap().usable(HtlcRef::received(1)).is_some());
}

#[test]
fn a53_the_last_word_names_htlcs_that_are_over_or_of_an_outdated_channel() {
    let (mut test, mut fixture) = running();
    test.update(&mut fixture, 1, &[received(1, 60_000, 2, 500)]);
    test.update(&mut fixture, 2, &[received(1, 60_000, 2, 500)]);
    let mut other = channel(2, ANCHORS);
    test.open(&mut other, &[]);
    test.start("again", Freshness::Trusted, START);
    // The node has come further with the other channel, and the court cannot know its HTLCs.
    let htlcs = [received(0, 60_000, 3, 500)];
    assert_eq!(test.try_hear(&other.local_signed(8, state(&htlcs)).unwrap()), Ok(Heard::Outdated));
    let over = key(&fixture, HtlcRef::received(0));
    let committed = vec![over, key(&fixture, HtlcRef::received(1)), key(&other, HtlcRef::received(0))];
    test.again(&Event::AdoptionComplete { channel: None, committed });
    // One that was never used is a mistake.
    let unknown = vec![key(&fixture, HtlcRef::received(7))];
    let refused = test.refuse(&Event::AdoptionComplete { channel: None, committed: unknown });
    assert_eq!(refused, Rejected::UnknownHtlc(HtlcRef::received(7)));
}

#[test]
fn a53_whole_commitments_are_kept_as_changes() {
    for channel_type in TYPES {
        // The same channel is told in changes and whole: the logs are the same.
        let tell = |whole: bool| {
            let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
            test.open(&mut fixture, &[offered(0, 50_000, 1, START + 90, Link::Own)]);
            let next = [received(0, 60_000, 2, START + 90), received(1, 61_000, 3, START + 90)];
            let (remote, local) = (fixture.remote_signed(1, state(&next)), fixture.local_signed(1, state(&next)));
            let wholes = [fixture.whole(Side::Remote, 1), fixture.whole(Side::Local, 1)];
            let told = if whole { wholes } else { [remote, local] };
            told.into_iter().for_each(|event| drop(test.hear(event.unwrap())));
            (test.frames.0.clone(), test.frames.1.clone())
        };
        assert_eq!(tell(true), tell(false));
    }
}

#[test]
fn a53_a_whole_commitment_with_other_content_is_no_duplicate() {
    let (mut test, mut fixture) = running();
    let added = [offered(0, 50_000, 1, 500, Link::Own), received(0, 60_000, 2, 500), received(1, 10_000, 3, 500)];
    let told = fixture.remote_signed(1, state(&added)).unwrap();
    test.hear(told.clone());
    test.again(&fixture.whole(Side::Remote, 1).unwrap());
    // Nor is a change that leaves an HTLC out: its balances are the same, but not its sum.
    let Event::RemoteCommitmentSigned(mut change) = told else { panic!() };
    change.update.added.pop();
    let capacity_msat = CAPACITY_SAT * 1000;
    let why = Rejected::NotTheFunding { sum_msat: capacity_msat - 10_000_000, capacity_msat };
    assert_eq!(test.refuse(&Event::RemoteCommitmentSigned(change)), why);
    let Event::RemoteCommitmentSigned(mut fewer) = fixture.whole(Side::Remote, 1).unwrap() else { panic!() };
    fewer.update.added.pop();
    fewer.update.remote_msat += 10_000_000;
    // It counts as another candidate, as after a reconnection.
    test.hear(Event::RemoteCommitmentSigned(fewer));
    let Event::LocalCommitmentSigned(mut other) = fixture.whole(Side::Local, 0).unwrap() else { panic!() };
    other.update.added.pop();
    let why = test.refuse(&Event::LocalCommitmentSigned(other));
    assert_eq!(why, Rejected::WrongNumber { expected: 1, got: 0 });
    // What is whole removes nothing, and names no HTLC twice or with another content.
    let whole = |change: &dyn Fn(&mut arb_core::CommitmentUpdate)| {
        let mut fixture = channel(1, ANCHORS);
        fixture.sign_unheard(Side::Local, 1, state(&added));
        let Event::LocalCommitmentSigned(mut heard) = fixture.whole(Side::Local, 1).unwrap() else { panic!() };
        change(&mut heard.update);
        Event::LocalCommitmentSigned(heard)
    };
    let why = test.refuse(&whole(&|update| update.removed.push(HtlcRef::offered(0))));
    assert_eq!(why, Rejected::UnknownHtlc(HtlcRef::offered(0)));
    let why = test.refuse(&whole(&|update| update.added.push(update.added[0].clone())));
    assert_eq!(why, Rejected::HtlcTwice(HtlcRef::offered(0)));
    let why = test.refuse(&whole(&|update| update.added[0].amount_msat += 1));
    assert_eq!(why, Rejected::HtlcTwice(HtlcRef::offered(0)));
}

#[test]
fn a58_a_channel_stays_until_its_outcomes_are_acknowledged() {
    // The node acknowledges 500 blocks late, after both a failure and a settlement; until then the actions stay due.
    for channel_type in TYPES {
        for paid in [false, true] {
            let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
            test.open(&mut fixture, &[offered(0, 500_000, 1, START + 10, Link::Own)]);
            test.acknowledges = false;
            test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
            if paid {
                test.block(&[peer_takes(&fixture, Side::Remote, 0, HtlcRef::offered(0), 1)]);
            }
            test.mine_to(START + 600);
            test.restart();
            assert_eq!(test.node.sheets.len(), 0, "it waits");
            let due = test.court.actions_due();
            let of_ours =
                |action: &Action| matches!(action, Action::SettleUpstream { .. } | Action::FailUpstream { .. });
            assert_eq!(due.iter().filter(|action| of_ours(action)).count(), 1);
            test.acknowledges = true;
            test.settle();
            let outcome = if paid { Acknowledged::Settled } else { Acknowledged::Failed };
            assert_eq!(test.acknowledged(&fixture, HtlcRef::offered(0)), Some(outcome));
            assert_eq!(test.node.sheets.len(), 1);
            assert_eq!(test.court.index_of(&fixture.id()), None);
        }
    }
}
