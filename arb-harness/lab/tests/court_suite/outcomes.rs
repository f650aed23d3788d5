//! One outcome per HTLC (R8), and when it is given (R11, R12, policy): burial, give-up, risk and loss.

use arb_core::{
    Acknowledged, Action, Alert, CloseReason, Event, FailReason, HtlcRef, Link, Scanned, Side, Stage, Upstream,
};
use arb_lab::fixture::ChannelFixture;

use crate::bench::{ANCHORS, Bench, CAPACITY_SAT, START, channel, height, key, learned, offered, preimage, received};
use crate::incidents_outcomes::peer_takes;

const HTLC: HtlcRef = HtlcRef::offered(0);

fn depth(bench: &Bench) -> u32 {
    bench.court.policy().fail_depth(CAPACITY_SAT).get()
}

/// Upstream with one received HTLC of this expiry, downstream with the offered one that it was forwarded as.
fn forwarded(sat: u64, expiry: u32, upstream_expiry: u32) -> (Bench, ChannelFixture, ChannelFixture) {
    let (mut bench, mut up, mut down) = (Bench::new(), channel(1, ANCHORS), channel(2, ANCHORS));
    bench.open(&mut up, &[received(0, sat + 1000, 1, upstream_expiry)]);
    bench.open(&mut down, &[offered(0, sat, 1, expiry, Link::Forward(key(&up, HtlcRef::received(0))))]);
    (bench, up, down)
}

#[test]
fn r8_a_settlement_overrides_a_failure_that_nobody_acknowledged() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.acknowledges = false;
    bench.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
    bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    bench.mine_to(START + 15);
    assert_eq!(bench.outcome(&fixture, HTLC), Some(Upstream::Failed(FailReason::TimedOut)));
    let fails = |bench: &Bench| bench.court.actions_due().iter().any(|due| matches!(due, Action::FailUpstream { .. }));
    assert!(fails(&bench));
    bench.hear(learned(&fixture, HTLC, 1));
    assert_eq!(bench.outcome(&fixture, HTLC), Some(Upstream::Settled(preimage(1))));
    assert!(!fails(&bench), "the failure is not due any more");
    assert!(!bench.alerts(&fixture).iter().any(|alert| matches!(alert, Alert::Loss { .. })));
    bench.acknowledges = true;
    bench.settle();
    assert_eq!(bench.origin(&fixture, HTLC), Some(Acknowledged::Settled));
}

#[test]
fn r8_after_an_acknowledged_failure_a_preimage_is_a_loss() {
    // Given up for its upstream while the channel was open; the counterparty fulfils it after that (b32 has it on chain).
    let (mut bench, _up, fixture) = forwarded(3_000, START + 10, START + 60);
    bench.blocks_to(START + 60 - 3);
    assert_eq!(bench.origin(&fixture, HTLC), Some(Acknowledged::Failed));
    bench.hear(learned(&fixture, HTLC, 1));
    bench.settle();
    let payment_hash = preimage(1).hash();
    let loss = Alert::Loss { htlc: HTLC, payment_hash, amount_sat: 3_000 };
    assert_eq!(bench.alerts(&fixture).iter().filter(|alert| **alert == loss).count(), 1);
    assert_eq!(bench.outcome(&fixture, HTLC), Some(Upstream::Failed(FailReason::GivenUpForUpstream)));
}

#[test]
fn r8_the_preimage_of_a_twin_is_no_loss_where_we_took_the_output_back() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
    bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    bench.mine_to(START + 15);
    assert_eq!(bench.origin(&fixture, HTLC), Some(Acknowledged::Failed));
    bench.hear(learned(&fixture, HTLC, 1));
    bench.settle();
    assert!(!bench.alerts(&fixture).iter().any(|alert| matches!(alert, Alert::Loss { .. })));
    assert_eq!(bench.outcome(&fixture, HTLC), Some(Upstream::Failed(FailReason::TimedOut)));
}

#[test]
fn r8_a_node_that_failed_while_the_settlement_was_on_its_way_is_a_loss_too() {
    let (mut bench, _up, fixture) = forwarded(3_000, START + 10, START + 60);
    bench.acknowledges = false;
    bench.blocks_to(START + 60 - 3);
    assert_eq!(bench.outcome(&fixture, HTLC), Some(Upstream::Failed(FailReason::GivenUpForUpstream)));
    bench.hear(learned(&fixture, HTLC, 1));
    assert_eq!(bench.outcome(&fixture, HTLC), Some(Upstream::Settled(preimage(1))));
    bench.hear(Event::UpstreamAcknowledged { htlc: key(&fixture, HTLC), outcome: Acknowledged::Failed });
    bench.settle();
    assert!(bench.alerts(&fixture).iter().any(|alert| matches!(alert, Alert::Loss { htlc, .. } if *htlc == HTLC)));
}

#[test]
fn b5_a_failure_is_never_concluded_while_a_preimage_is_usable() {
    // Whichever commitment confirms, and whether or not it has an output: B5, B6, L1, L2, D13.
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    let htlcs = [offered(0, 50_000, 1, START + 5, Link::Own), offered(1, 100, 2, START + 5, Link::Own)];
    bench.open(&mut fixture, &htlcs);
    bench.update(&mut fixture, 1, &htlcs);
    bench.hear(fixture.remote_signed(2, crate::bench::state(&[])).unwrap());
    for (id, secret) in [(0, 1), (1, 2)] {
        bench.hear(learned(&fixture, HtlcRef::offered(id), secret));
    }
    fixture.sign_unheard(Side::Remote, 3, crate::bench::state(&htlcs));
    for (side, number) in [(Side::Local, 1), (Side::Remote, 0), (Side::Remote, 1), (Side::Remote, 2), (Side::Remote, 3)]
    {
        let mut bench = bench.fork();
        bench.block(&[fixture.commitment_tx(side, number).unwrap()]);
        for (id, secret) in [(0, 1), (1, 2)] {
            let settled = Some(Upstream::Settled(preimage(secret)));
            assert_eq!(bench.outcome(&fixture, HtlcRef::offered(id)), settled, "{side:?} {number}");
        }
        bench.mine_to(START + 120);
        assert_eq!(bench.node.contradictions, []);
    }
}

#[test]
fn a_timeout_fails_upstream_only_when_buried() {
    for side in [Side::Local, Side::Remote] {
        let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
        bench.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
        bench.block(&[fixture.commitment_tx(side, 0).unwrap()]);
        bench.mine_to(START + 6);
        let spent = START + 6 + depth(&bench) - 1;
        bench.mine_to(spent - 1);
        assert_eq!(bench.outcome(&fixture, HTLC), None, "{side:?}");
        bench.mine();
        assert_eq!(bench.outcome(&fixture, HTLC), Some(Upstream::Failed(FailReason::TimedOut)), "{side:?}");
    }
}

#[test]
fn a_reorg_of_the_timeout_takes_its_burial_back() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
    bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    bench.mine_to(START + 6 + depth(&bench) - 2);
    bench.disconnect_to(START + 5);
    // On the other branch the counterparty's preimage wins.
    bench.block(&[peer_takes(&fixture, Side::Remote, 0, HTLC, 1)]);
    assert_eq!(bench.outcome(&fixture, HTLC), Some(Upstream::Settled(preimage(1))));
    bench.blocks_to(START + 30);
    assert_eq!(bench.node.origins.len(), 1);
    assert_eq!(bench.origin(&fixture, HTLC), Some(Acknowledged::Settled));
}

#[test]
fn a_preimage_in_the_mempool_settles_at_once() {
    let (mut bench, up, fixture) = forwarded(50_000, START + 20, START + 60);
    bench.block(&[fixture.local_commitment_tx(0).unwrap()]);
    let tx = peer_takes(&fixture, Side::Local, 0, HTLC, 1);
    bench.hear(Event::MempoolSeen { tx });
    assert_eq!(bench.outcome(&fixture, HTLC), Some(Upstream::Settled(preimage(1))));
    let usable = bench.court.channel(bench.index(&up)).unwrap().usable(HtlcRef::received(0));
    assert_eq!(usable, Some(preimage(1)));
}

#[test]
fn b32_an_unresolved_small_htlc_is_given_up_three_blocks_before_its_upstream_expires() {
    let (mut bench, _up, fixture) = forwarded(50_000, START + 10, START + 60);
    bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    bench.blocks_to(START + 60 - 4);
    assert_eq!(bench.outcome(&fixture, HTLC), None);
    bench.block(&[]);
    let why = FailReason::GivenUpForUpstream;
    assert_eq!(bench.outcome(&fixture, HTLC), Some(Upstream::Failed(why)));
    let risk = Alert::Risk { htlc: HTLC, why, amount_sat: 50_000 };
    assert_eq!(bench.alerts(&fixture).iter().filter(|alert| **alert == risk).count(), 1);
    // The wager is lost: that is a loss record, and nobody crashes (B33).
    bench.block(&[peer_takes(&fixture, Side::Remote, 0, HTLC, 1)]);
    assert!(bench.alerts(&fixture).iter().any(|alert| matches!(alert, Alert::Loss { .. })));
    assert_eq!(bench.origin(&fixture, HTLC), Some(Acknowledged::Failed));
}

#[test]
fn b30_l8_what_is_too_small_for_the_chain_is_given_up_for_its_upstream_while_the_channel_is_open() {
    // Dust, and small but not dust: neither takes an open channel to chain, and the upstream peer would close.
    for sat in [100, 3_000] {
        let (mut bench, _up, fixture) = forwarded(sat, START + 10, START + 60);
        bench.blocks_to(START + 60 - 4);
        assert_eq!((bench.docket(&fixture).stage, bench.outcome(&fixture, HTLC)), (Stage::Open, None), "{sat}");
        bench.block(&[]);
        let why = FailReason::GivenUpForUpstream;
        assert_eq!(bench.outcome(&fixture, HTLC), Some(Upstream::Failed(why)), "{sat}");
        assert_eq!(bench.origin(&fixture, HTLC), Some(Acknowledged::Failed), "{sat}");
        assert_eq!(bench.docket(&fixture).stage, Stage::Open, "{sat}");
        assert!(bench.alerts(&fixture).contains(&Alert::Risk { htlc: HTLC, why, amount_sat: sat }), "{sat}");
    }
}

#[test]
fn a_large_one_is_an_alert_only() {
    // The most that is given up: 20 times 4,310 sat.
    for (sat, given_up) in [(86_200, true), (86_201, false)] {
        let (mut bench, _up, fixture) = forwarded(sat, START + 10, START + 60);
        bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
        bench.blocks_to(START + 60 + 20);
        assert_eq!(bench.outcome(&fixture, HTLC).is_some(), given_up, "{sat}");
        let upstream_expiry = height(START + 60);
        let risk = Alert::UpstreamAtRisk { htlc: HTLC, amount_sat: sat, upstream_expiry };
        let raised = bench.alerts(&fixture).iter().filter(|alert| **alert == risk).count();
        assert_eq!(raised, usize::from(!given_up), "{sat}");
    }
}

#[test]
fn ll9_an_upstream_that_is_itself_on_chain_is_not_given_up_for() {
    for frozen in [true, false] {
        let (mut bench, up, fixture) = forwarded(50_000, START + 10, START + 60);
        if frozen {
            bench.hear(Event::CloseRequested { channel: up.id(), why: CloseReason::Operator });
        }
        bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
        bench.blocks_to(START + 90);
        assert_eq!(bench.outcome(&fixture, HTLC).is_some(), !frozen);
    }
}

#[test]
fn waiting_ends_a_hundred_blocks_past_the_later_expiry() {
    let (mut bench, up, fixture) = forwarded(500_000, START + 10, START + 60);
    bench.hear(Event::CloseRequested { channel: up.id(), why: CloseReason::Operator });
    bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    bench.blocks_to(START + 159);
    assert_eq!(bench.outcome(&fixture, HTLC), None);
    bench.block(&[]);
    assert_eq!(bench.outcome(&fixture, HTLC), Some(Upstream::Failed(FailReason::ForgetDepth)));
    assert!(bench.alerts(&fixture).iter().any(|alert| matches!(alert, Alert::Risk { .. })));
}

#[test]
fn r11_nothing_is_given_up_while_blocks_are_caught_up_and_none_is_due() {
    let (mut bench, _up, fixture) = forwarded(50_000, START + 10, START + 60);
    bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    bench.best = Some(START + 70);
    bench.blocks_to(START + 69);
    assert_eq!(bench.outcome(&fixture, HTLC), None);
    let mut other = bench.fork();
    bench.block(&[]);
    assert_eq!(bench.outcome(&fixture, HTLC), Some(Upstream::Failed(FailReason::GivenUpForUpstream)));
    // What the last of those blocks says counts.
    other.block(&[peer_takes(&fixture, Side::Remote, 0, HTLC, 1)]);
    assert_eq!(other.outcome(&fixture, HTLC), Some(Upstream::Settled(preimage(1))));
    assert!(!other.alerts(&fixture).iter().any(|alert| matches!(alert, Alert::Risk { .. })));
}

#[test]
fn r11_a_give_up_that_is_not_acknowledged_is_not_due_after_a_restart_until_the_chain_is_known() {
    let (mut bench, _up, fixture) = forwarded(50_000, START + 10, START + 60);
    bench.acknowledges = false;
    bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    bench.blocks_to(START + 58);
    assert!(bench.outcome(&fixture, HTLC).is_some());
    let due = |bench: &Bench| {
        let fails = |action: &Action| matches!(action, Action::FailUpstream { .. });
        bench.court.actions_due().iter().any(fails)
    };
    assert!(due(&bench));
    bench.best = Some(START + 62);
    bench.hear(crate::bench::started("restarted", arb_core::Freshness::Trusted, START + 62));
    assert!(!due(&bench));
    bench.block(&[]);
    assert!(!due(&bench));
    // In a block that was still to come the preimage had been shown all along.
    bench.block(&[peer_takes(&fixture, Side::Remote, 0, HTLC, 1)]);
    assert_eq!(bench.outcome(&fixture, HTLC), Some(Upstream::Settled(preimage(1))));
}

#[test]
fn r5_no_failure_that_rests_on_absence_before_the_past_was_searched() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[offered(0, 100, 1, START + 5, Link::Own)]);
    bench.quiet_block(&[fixture.remote_commitment_tx(0).unwrap()]);
    // On no commitment at all, so it could be failed at once; but a Watch is due.
    assert_eq!(bench.outcome(&fixture, HTLC), None);
    let parent = fixture.remote_commitment_tx(0).unwrap().compute_txid();
    let through = height(START + 1);
    bench.hear(Event::Scanned(Box::new(Scanned { channel: fixture.id(), parent, through, spends: Vec::new() })));
    assert_eq!(bench.outcome(&fixture, HTLC), Some(Upstream::Failed(FailReason::OnNoCommitment)));
}

#[test]
fn r5_a_scan_that_finds_the_preimage_settles() {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
    bench.quiet_block(&[fixture.remote_commitment_tx(0).unwrap()]);
    let tx = peer_takes(&fixture, Side::Remote, 0, HTLC, 1);
    let spends = vec![arb_core::FoundSpend { height: height(START + 1), tx }];
    let parent = fixture.remote_commitment_tx(0).unwrap().compute_txid();
    let through = height(START + 1);
    bench.hear(Event::Scanned(Box::new(Scanned { channel: fixture.id(), parent, through, spends })));
    assert_eq!(bench.outcome(&fixture, HTLC), Some(Upstream::Settled(preimage(1))));
}

#[test]
fn l42_a_downstream_that_failed_for_good_gives_its_upstream_up() {
    let (mut bench, up, fixture) = forwarded(50_000, START + 5, START + 60);
    bench.block(&[up.remote_commitment_tx(0).unwrap(), fixture.remote_commitment_tx(0).unwrap()]);
    let asks = |bench: &Bench| {
        let due = bench.court.actions_due();
        due.iter().any(|action| matches!(action, Action::AskForPreimage { htlc, .. } if htlc.channel == up.id()))
    };
    assert!(asks(&bench));
    bench.mine_to(START + 20);
    assert_eq!(bench.origin(&fixture, HTLC), Some(Acknowledged::Failed));
    assert!(!asks(&bench));
}

#[test]
fn b30_a_dust_htlc_of_a_dead_channel_does_not_wait_for_its_commitment() {
    // L8, LL7: the commitment is not even confirmed, but no commitment has an output for it.
    let (mut bench, mut fixture) = (Bench::new(), channel(1, ANCHORS));
    bench.open(&mut fixture, &[offered(0, 100, 1, START + 50, Link::Own)]);
    bench.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::PeerError });
    bench.settle();
    assert_eq!(bench.outcome(&fixture, HTLC), Some(Upstream::Failed(FailReason::OnNoCommitment)));
}
