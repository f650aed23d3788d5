//! Our newest commitment is signed again with other content (A18): what replaces it, and when nothing may. And signatures that
//! were checked ahead, for a commitment that has another content by now (A49).

use arb_core::{CloseReason, ContractOutcome, Event, Heard, Htlc, HtlcRef, Link, Rejected, Side};
use arb_lab::fixture::ChannelFixture;

use crate::test_court::{
    ANCHORS, START, TYPES, TestCourt, channel, key, learned, offered, preimage, received, running, state,
};

const FIRST: HtlcRef = HtlcRef::received(0);
const FROM_THEM: &str = "a commitment of theirs has a received HTLC that only the first version added";
const GIVEN: &str = "a signature of ours for it was given out";

/// The counterparty signed our commitment 1, which adds one received HTLC, and the node died.
fn signed(channel_type: arb_core::bolt3::ChannelType) -> (TestCourt, ChannelFixture) {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
    test.open(&mut fixture, &[]);
    test.hear(fixture.local_signed(1, state(&[received(0, 60_000, 2, START + 90)])).unwrap());
    (test, fixture)
}

#[test]
fn a18_the_peer_signs_our_newest_commitment_again_with_other_content() {
    for channel_type in TYPES {
        for restart in [false, true] {
            let (mut test, mut fixture) = signed(channel_type);
            test.hear(learned(&fixture, FIRST, 2));
            let first = fixture.whole(Side::Local, 1).unwrap();
            if restart {
                test.restart();
            }
            // After a reconnection the counterparty counts its ids again.
            let htlcs = [received(0, 70_000, 3, START + 80), received(1, 1_000_000, 4, START + 85)];
            let version = fixture.local_signed_again(1, state(&htlcs)).unwrap();
            let plain = fixture.whole(Side::Local, 1).unwrap();
            assert_eq!(test.refuse(&plain), Rejected::WrongNumber { expected: 2, got: 1 }, "the node must say so");
            test.hear(version.clone());
            for event in [&version, &plain] {
                test.again(event);
            }
            assert_eq!(test.refuse(&first), Rejected::WrongNumber { expected: 2, got: 1 });
            let usable = |test: &TestCourt| test.court.channel(test.index(&fixture)).unwrap().usable(FIRST);
            assert_eq!(usable(&test), None, "the preimage was for another HTLC");
            if restart {
                test.restart();
            }
            assert_eq!(test.recovered(), test.court);
            test.hear(fixture.remote_signed(1, state(&htlcs)).unwrap());
            test.hear(fixture.remote_revoked(0).unwrap());
            test.hear(learned(&fixture, FIRST, 3));
            test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
            test.settle();
            let ours = fixture.local_commitment_tx(1).unwrap();
            assert!(test.sent.iter().any(|(_, tx)| tx.compute_txid() == ours.compute_txid()), "this version is sent");
            test.block(&[ours]);
            test.mine_to(START + 300);
            assert_eq!(test.contract_report(&fixture, FIRST), Some(ContractOutcome::Claimed));
        }
    }
}

#[test]
fn a18_ids_of_a_replaced_version_were_never_used() {
    let (mut test, mut fixture) = signed(ANCHORS);
    // As changes, and whole: the log is the same.
    let mut whole = test.fork();
    test.hear(fixture.local_signed_again(1, state(&[])).unwrap());
    let Event::LocalCommitmentSigned(version) = fixture.whole(Side::Local, 1).unwrap() else { panic!() };
    whole.hear(Event::LocalCommitmentSignedAgain(version));
    assert_eq!(whole.frames.0, test.frames.0);
    let unknown = Rejected::UnknownHtlc(FIRST);
    assert_eq!(test.refuse(&Event::HtlcGivenUp { htlc: key(&fixture, FIRST) }), unknown);
    test.hear(fixture.remote_signed(1, state(&[])).unwrap());
    test.hear(fixture.remote_revoked(0).unwrap());
    test.hear(fixture.local_signed(2, state(&[received(0, 50_000, 5, START + 70)])).unwrap());
}

#[test]
fn a18_a_version_that_does_not_remove_what_the_first_one_removed() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let sent = offered(0, 50_000, 1, START + 60, Link::Own);
    test.open(&mut fixture, std::slice::from_ref(&sent));
    test.hear(fixture.local_signed(1, state(&[])).unwrap());
    let both = [sent, received(0, 60_000, 2, START + 90)];
    test.hear(fixture.local_signed_again(1, state(&both)).unwrap());
    // And once more.
    test.hear(fixture.local_signed_again(1, state(&both[..1])).unwrap());
    test.block(&[fixture.local_commitment_tx(1).unwrap()]);
    test.mine_to(START + 500);
    assert_eq!(test.contract_report(&fixture, HtlcRef::offered(0)), Some(ContractOutcome::Claimed));
}

/// Another version of commitment 1.
fn again(fixture: &mut ChannelFixture, htlcs: &[Htlc]) -> Event {
    fixture.local_signed_again(1, state(htlcs)).unwrap()
}

#[test]
fn a18_nothing_replaces_a_commitment_of_a_frozen_channel() {
    let (mut test, mut fixture) = signed(ANCHORS);
    test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    assert_eq!(test.refuse(&again(&mut fixture, &[])), Rejected::Frozen(fixture.id()));
    let (mut test, mut fixture) = signed(ANCHORS);
    test.hear(fixture.peer_is_newer());
    assert_eq!(test.refuse(&again(&mut fixture, &[])), Rejected::Outdated(fixture.id()));
}

#[test]
fn a18_nothing_replaces_a_commitment_whose_signature_was_given_out() {
    let (mut test, mut fixture) = signed(ANCHORS);
    test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    test.settle();
    assert_eq!(test.refuse(&again(&mut fixture, &[])), Rejected::CannotReplace { number: 1, why: GIVEN });
}

#[test]
fn a18_nothing_replaces_what_a_commitment_of_theirs_rests_on() {
    let (mut test, mut fixture) = signed(ANCHORS);
    let (kept, changed) = (received(0, 60_000, 2, START + 90), received(0, 60_000, 2, START + 91));
    test.hear(fixture.remote_signed(1, state(std::slice::from_ref(&kept))).unwrap());
    assert_eq!(test.refuse(&again(&mut fixture, &[])), Rejected::CannotReplace { number: 1, why: FROM_THEM });
    let other = again(&mut fixture, &[changed]);
    assert_eq!(test.refuse(&other), Rejected::HtlcTwice(FIRST), "with another content");
    // What both versions have is no reason.
    test.hear(again(&mut fixture, &[kept, received(1, 10_000, 3, START + 90)]));
}

#[test]
fn a18_only_the_newest_is_signed_again_and_validly() {
    let (mut test, mut fixture) = signed(ANCHORS);
    let changed = received(0, 60_000, 2, START + 91);
    let Event::LocalCommitmentSignedAgain(mut forged) = again(&mut fixture, &[changed]) else { panic!() };
    forged.update.feerate_sat_per_kw += 1;
    let why = test.refuse(&Event::LocalCommitmentSignedAgain(forged));
    assert!(matches!(why, Rejected::WrongCommitmentSignature { .. }), "{why:?}");
    // One that the court has no version of is the next one.
    let next = fixture.local_signed_again(2, state(&[])).unwrap();
    test.hear(next);
    let older = fixture.local_signed_again(1, state(&[])).unwrap();
    assert_eq!(test.try_hear(&older), Ok(Heard::Past));
}

#[test]
fn a49_a_check_holds_for_the_content_that_it_was_made_for() {
    // The next commitment is checked; meanwhile another version replaces the one before, whose HTLC expires later.
    let (mut test, mut fixture) = signed(ANCHORS);
    let mut next = fixture.clone();
    let next = next.local_signed(2, state(&[received(0, 60_000, 2, START + 90)])).unwrap();
    let checked = test.court.check(&next).unwrap().unwrap();
    test.hear(fixture.local_signed_again(1, state(&[received(0, 60_000, 2, START + 91)])).unwrap());
    let answer = test.court.step().hear_checked(&next, &checked);
    assert!(matches!(answer, Err(Rejected::WrongCommitmentSignature { .. })), "{answer:?}");
    // The same for a channel that was forgotten and opened again with another delay.
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let Event::ChannelOpened(mut opened) = fixture.opened(fixture.standing(0, 0).unwrap()) else { panic!() };
    opened.facts.fundings[0].confirmed = None;
    test.hear(Event::ChannelOpened(opened.clone()));
    let first = fixture.local_signed(0, state(&[])).unwrap();
    let checked = test.court.check(&first).unwrap().unwrap();
    test.hear(fixture.adopted());
    test.settle();
    test.hear(Event::ChannelForgotten { channel: fixture.id() });
    test.settle();
    opened.facts.local.delay_blocks += 1;
    test.hear(Event::ChannelOpened(opened));
    let answer = test.court.step().hear_checked(&first, &checked);
    assert!(matches!(answer, Err(Rejected::WrongCommitmentSignature { .. })), "{answer:?}");
}

#[test]
fn a49_the_own_commitment_of_a_restored_channel_is_refused() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.hear(fixture.restored());
    for joined in [false, true] {
        for event in [fixture.local_signed(0, state(&[])), fixture.local_signed_again(0, state(&[]))] {
            let answer = test.try_hear(&event.unwrap());
            assert_eq!(answer, Err(Rejected::Outdated(fixture.id())));
        }
        let theirs = test.try_hear(&fixture.remote_signed(0, state(&[])).unwrap());
        assert_eq!(theirs, Err(Rejected::Outdated(fixture.id())));
        if !joined {
            test.hear(fixture.adopted());
        }
    }
}

#[test]
fn a18_a_preimage_stays_with_the_htlc_that_both_versions_have() {
    let (mut test, mut fixture) = running();
    let (sent, there) = (offered(0, 50_000, 1, 500, Link::Own), received(0, 60_000, 2, 500));
    let new = received(1, 20_000, 3, 500);
    test.hear(fixture.local_signed(1, state(&[sent.clone(), there.clone(), new.clone()])).unwrap());
    for id in [0, 1] {
        test.hear(learned(&fixture, HtlcRef::received(id), if id == 0 { 2 } else { 3 }));
    }
    test.hear(fixture.local_signed_again(1, state(&[sent, there, new, received(2, 9_000, 4, 500)])).unwrap());
    let usable = |id| test.court.channel(test.index(&fixture)).unwrap().usable(HtlcRef::received(id));
    assert_eq!([usable(0), usable(1)], [Some(preimage(2)), Some(preimage(3))]);
}
