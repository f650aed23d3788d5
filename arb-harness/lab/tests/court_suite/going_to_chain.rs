//! When a channel goes to chain, and when it does not: expiries, margins, dust, sums, and channels that must not sign (R11,
//! F5).

use arb_core::{
    Action, Blocks, CloseReason, Event, FreezeReason, Freshness, HtlcRef, Link, Policy, SignRequest, SigningKey, Stage,
};
use arb_lab::fixture::ChannelFixture;

use crate::test_court::{ANCHORS, START, TestCourt, channel, key, learned, offered, received, state};

fn frozen(test: &TestCourt, fixture: &ChannelFixture) -> Option<FreezeReason> {
    test.court.channel(test.index(fixture)).unwrap().frozen()
}

fn signs(test: &TestCourt) -> usize {
    test.court.actions_due().iter().filter(|action| matches!(action, Action::Sign(_))).count()
}

#[test]
fn a_forwarded_htlc_takes_us_to_chain_at_its_expiry_and_an_own_one_72_blocks_later() {
    let (mut test, mut up) = (TestCourt::new(), channel(9, ANCHORS));
    test.open(&mut up, &[received(0, 51_000, 1, START + 500)]);
    let forward = Link::Forward(key(&up, HtlcRef::received(0)));
    let relay = Link::Relay { deadline: arb_core::Height::new(START + 500) };
    let cases = [(forward, START + 20), (relay, START + 20), (Link::Own, START + 20 + 72)];
    for (number, (link, at)) in (1..).zip(cases) {
        let mut fixture = channel(number, ANCHORS);
        let mut test = test.fork();
        test.open(&mut fixture, &[offered(0, 50_000, 1, START + 20, link)]);
        test.blocks_to(at - 1);
        assert_eq!(frozen(&test, &fixture), None, "{link:?}");
        let due = test.quiet_block(&[]);
        assert_eq!(frozen(&test, &fixture), Some(FreezeReason::Deadline(HtlcRef::offered(0))), "{link:?}");
        assert!(due.iter().any(|action| matches!(action, Action::FreezeChannel { .. })));
        assert!(due.iter().any(|action| matches!(action, Action::Sign(_))));
    }
}

#[test]
fn a_received_htlc_with_a_usable_preimage_takes_us_to_chain_18_blocks_before_its_expiry() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[received(0, 50_000, 1, START + 40)]);
    test.hear(learned(&fixture, HtlcRef::received(0), 1));
    test.blocks_to(START + 40 - 19);
    assert_eq!(frozen(&test, &fixture), None);
    test.block(&[]);
    assert_eq!(frozen(&test, &fixture), Some(FreezeReason::Deadline(HtlcRef::received(0))));
}

#[test]
fn a_received_htlc_without_one_or_not_irrevocable_never_does() {
    // No preimage.
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[received(0, 50_000, 1, START + 40)]);
    test.blocks_to(START + 60);
    assert_eq!(frozen(&test, &fixture), None);
    // LR4: only our commitment has it, so it is not irrevocable; a claim would show that we are the last hop.
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    test.hear(fixture.local_signed(1, state(&[received(0, 50_000, 1, START + 40)])).unwrap());
    test.hear(learned(&fixture, HtlcRef::received(0), 1));
    test.blocks_to(START + 41);
    assert_eq!(frozen(&test, &fixture), None);
    test.block(&[fixture.local_commitment_tx(1).unwrap()]);
    test.mine_to(START + 50);
    let outpoint = crate::test_court::output_of(&fixture, arb_core::Side::Local, 1, HtlcRef::received(0));
    assert!(!test.sent.iter().any(|(_, tx)| tx.input.iter().any(|input| input.previous_output == outpoint)));
}

#[test]
fn dust_never_forces_a_close() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    // Twenty of them are together worth more than a close costs.
    let dust: Vec<_> = (0..20).map(|id| offered(id, 500, 1, START + 5, Link::Own)).collect();
    test.open(&mut fixture, &dust);
    test.blocks_to(START + 5 + 72 + 10);
    assert_eq!(frozen(&test, &fixture), None);
}

#[test]
fn small_htlcs_do_by_their_sum() {
    // At the fallback feerate a close costs 1,724 wu · 2,500 sat/kw = 4,310 sat.
    let small = |sats: &[u64]| -> Vec<_> {
        (0..).zip(sats).map(|(id, sat)| offered(id, *sat, 1, START + 5, Link::Own)).collect()
    };
    for (sats, reason) in [
        (vec![2000, 2000], None),
        (vec![2155, 2155], None),
        (vec![2155, 2156], Some(FreezeReason::OverdueSum)),
        (vec![4309], None),
        (vec![4310], Some(FreezeReason::Deadline(HtlcRef::offered(0)))),
    ] {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
        test.open(&mut fixture, &small(&sats));
        test.blocks_to(START + 5 + 72);
        assert_eq!(frozen(&test, &fixture), reason, "{sats:?}");
    }
}

#[test]
fn a_small_one_does_when_it_is_long_overdue() {
    let policy = Policy { overdue_max: Blocks::new(10), ..Policy::default() };
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.hear(Event::PolicySet(policy));
    test.open(&mut fixture, &[offered(0, 1000, 1, START + 5, Link::Own)]);
    test.blocks_to(START + 5 + 72 + 9);
    assert_eq!(frozen(&test, &fixture), None);
    test.block(&[]);
    assert_eq!(frozen(&test, &fixture), Some(FreezeReason::Deadline(HtlcRef::offered(0))));
}

#[test]
fn an_outgoing_htlc_whose_preimage_is_known_needs_no_chain() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
    test.hear(learned(&fixture, HtlcRef::offered(0), 1));
    test.blocks_to(START + 5 + 80);
    assert_eq!(frozen(&test, &fixture), None);
}

#[test]
fn r11_while_blocks_are_caught_up_nothing_goes_to_chain() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
    test.best = Some(START + 90);
    test.blocks_to(START + 89);
    assert_eq!(frozen(&test, &fixture), None, "the funding may be spent in a block that is still to come");
    let mut other = test.fork();
    test.block(&[]);
    assert_eq!(frozen(&test, &fixture), Some(FreezeReason::Deadline(HtlcRef::offered(0))));
    // In the other branch that block has the counterparty's commitment.
    other.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    assert_eq!(frozen(&other, &fixture), Some(FreezeReason::FundingSpent));
    let commitment = |request: &SignRequest| matches!(request.inputs[0].key, SigningKey::Funding(_));
    assert!(!other.asked.iter().any(|(_, request)| commitment(request)));
}

#[test]
fn r11_a_source_that_takes_its_promise_back_ends_the_waiting() {
    // The source announced a greater height than it has; the next block corrects it.
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
    test.best = Some(START + 200);
    test.blocks_to(START + 100);
    assert_eq!(frozen(&test, &fixture), None);
    test.best = None;
    test.block(&[]);
    assert_eq!(frozen(&test, &fixture), Some(FreezeReason::Deadline(HtlcRef::offered(0))));
}

#[test]
fn a_close_is_requested_by_the_operator_the_peer_and_the_peer_s_commitment_in_the_mempool() {
    let (test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let mut test = test;
    test.open(&mut fixture, &[]);
    let mempool = Event::MempoolSeen { tx: fixture.remote_commitment_tx(0).unwrap() };
    let request = |why| Event::CloseRequested { channel: fixture.id(), why };
    for (event, reason) in [
        (request(CloseReason::Operator), FreezeReason::Operator),
        (request(CloseReason::PeerError), FreezeReason::PeerError),
        (mempool, FreezeReason::PeerOnChain),
    ] {
        let mut test = test.fork();
        test.hear(event);
        assert_eq!(frozen(&test, &fixture), Some(reason));
        assert_eq!(signs(&test), 1);
        assert_eq!(test.docket(&fixture).stage, Stage::GoingToChain);
        test.settle();
        assert_eq!(test.docket(&fixture).stage, Stage::AwaitingCommitment);
    }
}

#[test]
fn f5_outdated_signs_nothing_for_ever() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
    test.hear(fixture.peer_is_newer());
    test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    test.settle();
    test.start("later", Freshness::Suspect, START);
    test.hear(fixture.peer_is_current());
    test.blocks_to(START + 100);
    assert_eq!((test.asked.len(), test.sent.len()), (0, 0));
    // Also where our commitment was signed before.
    let (mut test, mut fixture) = (TestCourt::new(), channel(2, ANCHORS));
    test.open(&mut fixture, &[]);
    test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    test.block(&[]);
    assert!(!test.sent.is_empty());
    test.hear(fixture.peer_is_newer());
    test.sent.clear();
    test.block(&[]);
    assert_eq!(test.sent, []);
    // Also a channel that was restored from a backup.
    let backup = channel(3, ANCHORS);
    test.hear(backup.restored());
    test.hear(Event::CloseRequested { channel: backup.id(), why: CloseReason::Operator });
    test.block(&[]);
    assert_eq!(test.sent, []);
}

/// In how many blocks our commitment was sent.
fn commitments(test: &TestCourt, fixture: &ChannelFixture) -> usize {
    let txid = fixture.local_commitment_tx(0).unwrap().compute_txid();
    let mut heights: Vec<u32> =
        test.sent.iter().filter(|(_, tx)| tx.compute_txid() == txid).map(|(at, _)| *at).collect();
    heights.dedup();
    heights.len()
}

#[test]
fn f5_suspect_signs_nothing_until_the_peer_cleared_it() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    test.start("restored", Freshness::Suspect, START);
    test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    test.block(&[]);
    assert_eq!((test.asked.len(), test.sent.len()), (0, 0));
    let current = fixture.peer_is_current();
    test.hear(current.clone());
    test.settle();
    // The commitment, and the child that pays for it.
    assert_eq!((test.asked.len(), commitments(&test, &fixture)), (2, 1));
    // A later suspect start counts again, also for what was signed before.
    test.start("restored again", Freshness::Suspect, START);
    let before = test.sent.len();
    test.block(&[]);
    assert_eq!(test.sent.len(), before);
    // A trusted start does not clear the suspicion.
    test.start("trusted", Freshness::Trusted, START);
    test.block(&[]);
    assert_eq!(test.sent.len(), before);
    test.hear(current);
    test.block(&[]);
    assert_eq!(commitments(&test, &fixture), 2);
}

#[test]
fn f5_a_channel_that_joins_after_a_suspicious_start_is_as_the_node_says() {
    // Only what the journal held at that start is suspect. A new channel must be able to close without its counterparty.
    let mut test = TestCourt::new();
    test.start("restored", Freshness::Suspect, START);
    let mut fixture = channel(1, ANCHORS);
    test.open(&mut fixture, &[]);
    test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    test.block(&[]);
    assert_eq!(commitments(&test, &fixture), 1);
}

#[test]
fn a_commitment_is_not_sent_before_its_funding_is_in_view() {
    let mut setup = channel(1, ANCHORS).setup().clone();
    setup.funding_confirmed = None;
    let (mut test, mut fixture) = (TestCourt::new(), ChannelFixture::new(setup));
    test.open(&mut fixture, &[]);
    test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    test.block(&[]);
    assert_eq!((test.asked.len(), test.sent.len()), (0, 0));
}
