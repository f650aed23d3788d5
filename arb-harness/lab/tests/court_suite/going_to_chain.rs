//! When a channel goes to chain, and when it does not (front page, Stages and resolvers; R11; policy): expiries, margins, dust, sums.

use arb_core::{
    Action, Blocks, CloseReason, Event, FreezeReason, Freshness, HtlcRef, Link, PeerState, Policy, SignRequest,
    SigningKey, Stage,
};
use arb_lab::fixture::ChannelFixture;

use crate::bench::{ANCHORS, Bench, START, channel, key, learned, offered, received, started, state};

fn frozen(bench: &Bench, fixture: &ChannelFixture) -> Option<FreezeReason> {
    bench.court.channel(bench.index(fixture)).unwrap().frozen()
}

fn signs(bench: &Bench) -> usize {
    bench.court.actions_due().iter().filter(|action| matches!(action, Action::Sign(_))).count()
}

#[test]
fn a_forwarded_htlc_takes_us_to_chain_at_its_expiry_and_an_own_one_72_blocks_later() {
    let (mut bench, mut up) = (Bench::new(), channel(9, ANCHORS));
    bench.open(&mut up, &[received(0, 51_000, 1, START + 500)]);
    let forward = Link::Forward(key(&up, HtlcRef::received(0)));
    let relay = Link::Relay { deadline: arb_core::Height::new(START + 500) };
    let cases = [(forward, START + 20), (relay, START + 20), (Link::Own, START + 20 + 72)];
    for (number, (link, at)) in (1..).zip(cases) {
        let mut fixture = channel(number, ANCHORS);
        let mut bench = bench.fork();
        bench.open(&mut fixture, &[offered(0, 50_000, 1, START + 20, link)]);
        bench.blocks_to(at - 1);
        assert_eq!(frozen(&bench, &fixture), None, "{link:?}");
        let due = bench.quiet_block(&[]);
        assert_eq!(frozen(&bench, &fixture), Some(FreezeReason::Deadline(HtlcRef::offered(0))), "{link:?}");
        assert!(due.iter().any(|action| matches!(action, Action::FreezeChannel { .. })));
        assert!(due.iter().any(|action| matches!(action, Action::Sign(_))));
    }
}

#[test]
fn a_received_htlc_with_a_usable_preimage_takes_us_to_chain_18_blocks_before_its_expiry() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[received(0, 50_000, 1, START + 40)]);
    bench.hear(learned(&fixture, HtlcRef::received(0), 1));
    bench.blocks_to(START + 40 - 19);
    assert_eq!(frozen(&bench, &fixture), None);
    bench.block(&[]);
    assert_eq!(frozen(&bench, &fixture), Some(FreezeReason::Deadline(HtlcRef::received(0))));
}

#[test]
fn a_received_htlc_without_one_or_not_irrevocable_never_does() {
    // No preimage.
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[received(0, 50_000, 1, START + 40)]);
    bench.blocks_to(START + 60);
    assert_eq!(frozen(&bench, &fixture), None);
    // LR4: ours has it, theirs has not: claiming would show that we are the last hop.
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[]);
    bench.hear(fixture.local_signed(1, state(&[received(0, 50_000, 1, START + 40)])).unwrap());
    bench.hear(learned(&fixture, HtlcRef::received(0), 1));
    bench.blocks_to(START + 41);
    assert_eq!(frozen(&bench, &fixture), None);
    bench.block(&[fixture.local_commitment_tx(1).unwrap()]);
    bench.mine_to(START + 50);
    let outpoint = crate::bench::output_of(&fixture, arb_core::Side::Local, 1, HtlcRef::received(0));
    assert!(!bench.sent.iter().any(|(_, tx)| tx.input.iter().any(|input| input.previous_output == outpoint)));
}

#[test]
fn dust_never_forces_a_close() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    // Many of them, together far above the cost of a close.
    let dust: Vec<_> = (0..20).map(|id| offered(id, 500, 1, START + 5, Link::Own)).collect();
    bench.open(&mut fixture, &dust);
    bench.blocks_to(START + 5 + 72 + 10);
    assert_eq!(frozen(&bench, &fixture), None);
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
        let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
        bench.open(&mut fixture, &small(&sats));
        bench.blocks_to(START + 5 + 72);
        assert_eq!(frozen(&bench, &fixture), reason, "{sats:?}");
    }
}

#[test]
fn a_small_one_does_when_it_is_long_overdue() {
    let policy = Policy { overdue_max: Blocks::new(10), ..Policy::default() };
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.hear(Event::PolicySet(policy));
    bench.open(&mut fixture, &[offered(0, 1000, 1, START + 5, Link::Own)]);
    bench.blocks_to(START + 5 + 72 + 9);
    assert_eq!(frozen(&bench, &fixture), None);
    bench.block(&[]);
    assert_eq!(frozen(&bench, &fixture), Some(FreezeReason::Deadline(HtlcRef::offered(0))));
}

#[test]
fn an_outgoing_htlc_whose_preimage_is_known_needs_no_chain() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
    bench.hear(learned(&fixture, HtlcRef::offered(0), 1));
    bench.blocks_to(START + 5 + 80);
    assert_eq!(frozen(&bench, &fixture), None);
}

#[test]
fn r11_while_blocks_are_caught_up_nothing_goes_to_chain() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
    bench.best = Some(START + 90);
    bench.blocks_to(START + 89);
    assert_eq!(frozen(&bench, &fixture), None, "the funding may be spent in a block that is still to come");
    let mut other = bench.fork();
    bench.block(&[]);
    assert_eq!(frozen(&bench, &fixture), Some(FreezeReason::Deadline(HtlcRef::offered(0))));
    // It was: the counterparty went to chain.
    other.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    assert_eq!(frozen(&other, &fixture), Some(FreezeReason::FundingSpent));
    let commitment = |request: &SignRequest| matches!(request.inputs[0].key, SigningKey::Funding(_));
    assert!(!other.asked.iter().any(|(_, request)| commitment(request)));
}

#[test]
fn r11_a_source_that_takes_its_promise_back_ends_the_waiting() {
    // It promised more blocks than there are; the next one says so.
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
    bench.best = Some(START + 200);
    bench.blocks_to(START + 100);
    assert_eq!(frozen(&bench, &fixture), None);
    bench.best = None;
    bench.block(&[]);
    assert_eq!(frozen(&bench, &fixture), Some(FreezeReason::Deadline(HtlcRef::offered(0))));
}

#[test]
fn a_close_is_requested_by_the_operator_the_peer_and_the_peer_s_commitment_in_the_mempool() {
    let (bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    let mut bench = bench;
    bench.open(&mut fixture, &[]);
    let mempool = Event::MempoolSeen { tx: fixture.remote_commitment_tx(0).unwrap() };
    let request = |why| Event::CloseRequested { channel: fixture.id(), why };
    for (event, reason) in [
        (request(CloseReason::Operator), FreezeReason::Operator),
        (request(CloseReason::PeerError), FreezeReason::PeerError),
        (mempool, FreezeReason::PeerOnChain),
    ] {
        let mut bench = bench.fork();
        bench.hear(event);
        assert_eq!(frozen(&bench, &fixture), Some(reason));
        assert_eq!(signs(&bench), 1);
        assert_eq!(bench.docket(&fixture).stage, Stage::GoingToChain);
        bench.settle();
        assert_eq!(bench.docket(&fixture).stage, Stage::AwaitingCommitment);
    }
}

#[test]
fn f5_outdated_signs_nothing_for_ever() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
    bench.hear(Event::PeerStateSeen { channel: fixture.id(), peer: PeerState::WeAreBehind });
    bench.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    bench.settle();
    bench.hear(started("later", Freshness::Suspect, START));
    bench.hear(Event::PeerStateSeen { channel: fixture.id(), peer: PeerState::Current });
    bench.blocks_to(START + 100);
    assert_eq!((bench.asked.len(), bench.sent.len()), (0, 0));
    // Also one that was signed before.
    let (mut bench, mut fixture) = (Bench::new(), channel(2, ANCHORS));
    bench.open(&mut fixture, &[]);
    bench.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    bench.block(&[]);
    assert!(!bench.sent.is_empty());
    bench.hear(Event::PeerStateSeen { channel: fixture.id(), peer: PeerState::WeAreBehind });
    bench.sent.clear();
    bench.block(&[]);
    assert_eq!(bench.sent, []);
    // And one from a backup.
    let backup = channel(3, ANCHORS);
    bench.hear(backup.restored());
    bench.hear(Event::CloseRequested { channel: backup.id(), why: CloseReason::Operator });
    bench.block(&[]);
    assert_eq!(bench.sent, []);
}

/// How often our commitment was sent, each time in another block.
fn commitments(bench: &Bench, fixture: &ChannelFixture) -> usize {
    let txid = fixture.local_commitment_tx(0).unwrap().compute_txid();
    let mut heights: Vec<u32> =
        bench.sent.iter().filter(|(_, tx)| tx.compute_txid() == txid).map(|(at, _)| *at).collect();
    heights.dedup();
    heights.len()
}

#[test]
fn f5_suspect_signs_nothing_until_the_peer_cleared_it() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[]);
    bench.hear(started("restored", Freshness::Suspect, START));
    bench.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    bench.block(&[]);
    assert_eq!((bench.asked.len(), bench.sent.len()), (0, 0));
    let current = Event::PeerStateSeen { channel: fixture.id(), peer: PeerState::Current };
    bench.hear(current.clone());
    bench.settle();
    // The commitment, and the child that pays for it.
    assert_eq!((bench.asked.len(), commitments(&bench, &fixture)), (2, 1));
    // A later suspicion counts again, also for what was signed before.
    bench.hear(started("restored again", Freshness::Suspect, START));
    let before = bench.sent.len();
    bench.block(&[]);
    assert_eq!(bench.sent.len(), before);
    // A trusted start does not clear it.
    bench.hear(started("trusted", Freshness::Trusted, START));
    bench.block(&[]);
    assert_eq!(bench.sent.len(), before);
    bench.hear(current);
    bench.block(&[]);
    assert_eq!(commitments(&bench, &fixture), 2);
}

#[test]
fn f5_a_channel_that_joins_after_a_suspicious_start_is_as_the_node_says() {
    // The journal is suspect, not the node: a counterparty that stays away must not keep it from closing.
    let mut bench = Bench::new();
    bench.hear(started("restored", Freshness::Suspect, START));
    let mut fixture = channel(1, ANCHORS);
    bench.open(&mut fixture, &[]);
    bench.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    bench.block(&[]);
    assert_eq!(commitments(&bench, &fixture), 1);
}

#[test]
fn a_commitment_is_not_sent_before_its_funding_is_in_view() {
    let mut setup = channel(1, ANCHORS).setup().clone();
    setup.funding_confirmed = None;
    let (mut bench, mut fixture) = (Bench::new(), ChannelFixture::new(setup));
    bench.open(&mut fixture, &[]);
    bench.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    bench.block(&[]);
    assert_eq!((bench.asked.len(), bench.sent.len()), (0, 0));
}
