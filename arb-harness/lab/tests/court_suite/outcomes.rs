//! One outcome for each HTLC that we sent (R8), and when it is released (R11, R12, R5): burial, give-up, risk and loss.

use arb_core::{
    Acknowledged, Action, Alert, CloseReason, Event, FailReason, HtlcRef, Link, Scanned, Side, Stage, Upstream,
};
use arb_lab::fixture::ChannelFixture;

use crate::incidents_outcomes::peer_takes;
use crate::test_court::{
    ANCHORS, CAPACITY_SAT, START, TestCourt, channel, height, key, learned, offered, preimage, received,
};

const HTLC: HtlcRef = HtlcRef::offered(0);

/// The depth at which rights are given up, by the policy in force.
fn depth(test: &TestCourt) -> u32 {
    test.court.policy().fail_depth(CAPACITY_SAT).get()
}

/// Two channels, upstream and downstream, with one forwarded HTLC of `sat` downstream and `sat` + 1000 upstream.
fn forwarded(sat: u64, expiry: u32, upstream_expiry: u32) -> (TestCourt, ChannelFixture, ChannelFixture) {
    let (mut test, mut up, mut down) = (TestCourt::new(), channel(1, ANCHORS), channel(2, ANCHORS));
    test.open(&mut up, &[received(0, sat + 1000, 1, upstream_expiry)]);
    test.open(&mut down, &[offered(0, sat, 1, expiry, Link::Forward(key(&up, HtlcRef::received(0))))]);
    (test, up, down)
}

#[test]
fn r8_a_settlement_overrides_a_failure_that_nobody_acknowledged() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.acknowledges = false;
    test.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    test.mine_to(START + 15);
    assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Failed(FailReason::TimedOut)));
    let fails =
        |test: &TestCourt| test.court.actions_due().iter().any(|due| matches!(due, Action::FailUpstream { .. }));
    assert!(fails(&test));
    test.hear(learned(&fixture, HTLC, 1));
    assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Settled(preimage(1))));
    assert!(!fails(&test), "the failure is not due any more");
    assert!(!test.alerts(&fixture).iter().any(|alert| matches!(alert, Alert::Loss { .. })));
    test.acknowledges = true;
    test.settle();
    assert_eq!(test.acknowledged(&fixture, HTLC), Some(Acknowledged::Settled));
}

#[test]
fn r8_after_an_acknowledged_failure_a_preimage_is_a_loss() {
    // The HTLC is given up while the channel is open, then the counterparty fulfils it. The test b32 does this on chain.
    let (mut test, _up, fixture) = forwarded(3_000, START + 10, START + 60);
    test.blocks_to(START + 60 - 3);
    assert_eq!(test.acknowledged(&fixture, HTLC), Some(Acknowledged::Failed));
    test.hear(learned(&fixture, HTLC, 1));
    test.settle();
    let payment_hash = preimage(1).hash();
    let loss = Alert::Loss { htlc: HTLC, payment_hash, amount_sat: 3_000 };
    assert_eq!(test.alerts(&fixture).iter().filter(|alert| **alert == loss).count(), 1);
    assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Failed(FailReason::GivenUpForUpstream)));
}

#[test]
fn r8_the_preimage_of_a_twin_is_no_loss_where_we_took_the_output_back() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    test.mine_to(START + 15);
    assert_eq!(test.acknowledged(&fixture, HTLC), Some(Acknowledged::Failed));
    test.hear(learned(&fixture, HTLC, 1));
    test.settle();
    assert!(!test.alerts(&fixture).iter().any(|alert| matches!(alert, Alert::Loss { .. })));
    assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Failed(FailReason::TimedOut)));
}

#[test]
fn r8_a_node_that_failed_while_the_settlement_was_on_its_way_is_a_loss_too() {
    let (mut test, _up, fixture) = forwarded(3_000, START + 10, START + 60);
    test.acknowledges = false;
    test.blocks_to(START + 60 - 3);
    assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Failed(FailReason::GivenUpForUpstream)));
    test.hear(learned(&fixture, HTLC, 1));
    assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Settled(preimage(1))));
    test.hear(Event::UpstreamAcknowledged { htlc: key(&fixture, HTLC), outcome: Acknowledged::Failed });
    test.settle();
    assert!(test.alerts(&fixture).iter().any(|alert| matches!(alert, Alert::Loss { htlc, .. } if *htlc == HTLC)));
}

#[test]
fn b5_a_failure_is_never_concluded_while_a_preimage_is_usable() {
    // For any commitment that confirms, with or without an output for the HTLC: B5, B6, L1, L2, D13.
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let htlcs = [offered(0, 50_000, 1, START + 5, Link::Own), offered(1, 100, 2, START + 5, Link::Own)];
    test.open(&mut fixture, &htlcs);
    test.update(&mut fixture, 1, &htlcs);
    test.hear(fixture.remote_signed(2, crate::test_court::state(&[])).unwrap());
    for (id, secret) in [(0, 1), (1, 2)] {
        test.hear(learned(&fixture, HtlcRef::offered(id), secret));
    }
    fixture.sign_unheard(Side::Remote, 3, crate::test_court::state(&htlcs));
    for (side, number) in [(Side::Local, 1), (Side::Remote, 0), (Side::Remote, 1), (Side::Remote, 2), (Side::Remote, 3)]
    {
        let mut test = test.fork();
        test.block(&[fixture.commitment_tx(side, number).unwrap()]);
        for (id, secret) in [(0, 1), (1, 2)] {
            let settled = Some(Upstream::Settled(preimage(secret)));
            assert_eq!(test.outcome(&fixture, HtlcRef::offered(id)), settled, "{side:?} {number}");
        }
        test.mine_to(START + 120);
        assert_eq!(test.node.contradictions, []);
    }
}

#[test]
fn a_timeout_fails_upstream_only_when_buried() {
    for side in [Side::Local, Side::Remote] {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
        test.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
        test.block(&[fixture.commitment_tx(side, 0).unwrap()]);
        test.mine_to(START + 6);
        let spent = START + 6 + depth(&test) - 1;
        test.mine_to(spent - 1);
        assert_eq!(test.outcome(&fixture, HTLC), None, "{side:?}");
        test.mine();
        assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Failed(FailReason::TimedOut)), "{side:?}");
    }
}

#[test]
fn a_reorg_of_the_timeout_takes_its_burial_back() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    test.mine_to(START + 6 + depth(&test) - 2);
    test.disconnect_to(START + 5);
    // On the other branch the counterparty claims with the preimage.
    test.block(&[peer_takes(&fixture, Side::Remote, 0, HTLC, 1)]);
    assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Settled(preimage(1))));
    test.blocks_to(START + 30);
    assert_eq!(test.node.origins.len(), 1);
    assert_eq!(test.acknowledged(&fixture, HTLC), Some(Acknowledged::Settled));
}

#[test]
fn a_preimage_in_the_mempool_settles_at_once() {
    let (mut test, up, fixture) = forwarded(50_000, START + 20, START + 60);
    test.block(&[fixture.local_commitment_tx(0).unwrap()]);
    let tx = peer_takes(&fixture, Side::Local, 0, HTLC, 1);
    test.hear(Event::MempoolSeen { tx });
    assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Settled(preimage(1))));
    let usable = test.court.channel(test.index(&up)).unwrap().usable(HtlcRef::received(0));
    assert_eq!(usable, Some(preimage(1)));
}

#[test]
fn b32_an_unresolved_small_htlc_is_given_up_three_blocks_before_its_upstream_expires() {
    let (mut test, _up, fixture) = forwarded(50_000, START + 10, START + 60);
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    test.blocks_to(START + 60 - 4);
    assert_eq!(test.outcome(&fixture, HTLC), None);
    test.block(&[]);
    let why = FailReason::GivenUpForUpstream;
    assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Failed(why)));
    let risk = Alert::Risk { htlc: HTLC, why, amount_sat: 50_000 };
    assert_eq!(test.alerts(&fixture).iter().filter(|alert| **alert == risk).count(), 1);
    // A preimage after the give-up is a loss on record, and no panic (B33).
    test.block(&[peer_takes(&fixture, Side::Remote, 0, HTLC, 1)]);
    assert!(test.alerts(&fixture).iter().any(|alert| matches!(alert, Alert::Loss { .. })));
    assert_eq!(test.acknowledged(&fixture, HTLC), Some(Acknowledged::Failed));
}

#[test]
fn b30_l8_what_is_too_small_for_the_chain_is_given_up_for_its_upstream_while_the_channel_is_open() {
    // Neither dust nor an HTLC worth less than a close takes the channel to chain; the upstream peer would close instead.
    for sat in [100, 3_000] {
        let (mut test, _up, fixture) = forwarded(sat, START + 10, START + 60);
        test.blocks_to(START + 60 - 4);
        assert_eq!((test.docket(&fixture).stage, test.outcome(&fixture, HTLC)), (Stage::Open, None), "{sat}");
        test.block(&[]);
        let why = FailReason::GivenUpForUpstream;
        assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Failed(why)), "{sat}");
        assert_eq!(test.acknowledged(&fixture, HTLC), Some(Acknowledged::Failed), "{sat}");
        assert_eq!(test.docket(&fixture).stage, Stage::Open, "{sat}");
        assert!(test.alerts(&fixture).contains(&Alert::Risk { htlc: HTLC, why, amount_sat: sat }), "{sat}");
    }
}

#[test]
fn a_large_one_is_an_alert_only() {
    // The greatest amount that is given up is 20 times 4,310 sat.
    for (sat, given_up) in [(86_200, true), (86_201, false)] {
        let (mut test, _up, fixture) = forwarded(sat, START + 10, START + 60);
        test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
        test.blocks_to(START + 60 + 20);
        assert_eq!(test.outcome(&fixture, HTLC).is_some(), given_up, "{sat}");
        let upstream_expiry = height(START + 60);
        let risk = Alert::UpstreamAtRisk { htlc: HTLC, htlcs: 1, amount_sat: sat, upstream_expiry };
        let raised = test.alerts(&fixture).iter().filter(|alert| **alert == risk).count();
        assert_eq!(raised, usize::from(!given_up), "{sat}");
    }
}

#[test]
fn ll9_an_upstream_that_is_itself_on_chain_is_not_given_up_for() {
    for frozen in [true, false] {
        let (mut test, up, fixture) = forwarded(50_000, START + 10, START + 60);
        if frozen {
            test.hear(Event::CloseRequested { channel: up.id(), why: CloseReason::Operator });
        }
        test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
        test.blocks_to(START + 90);
        assert_eq!(test.outcome(&fixture, HTLC).is_some(), !frozen);
    }
}

#[test]
fn waiting_ends_a_hundred_blocks_past_the_later_expiry() {
    let (mut test, up, fixture) = forwarded(500_000, START + 10, START + 60);
    test.hear(Event::CloseRequested { channel: up.id(), why: CloseReason::Operator });
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    test.blocks_to(START + 159);
    assert_eq!(test.outcome(&fixture, HTLC), None);
    test.block(&[]);
    assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Failed(FailReason::ForgetDepth)));
    assert!(test.alerts(&fixture).iter().any(|alert| matches!(alert, Alert::Risk { .. })));
}

#[test]
fn r11_nothing_is_given_up_while_blocks_are_caught_up_and_none_is_due() {
    let (mut test, _up, fixture) = forwarded(50_000, START + 10, START + 60);
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    test.best = Some(START + 70);
    test.blocks_to(START + 69);
    assert_eq!(test.outcome(&fixture, HTLC), None);
    let mut other = test.fork();
    test.block(&[]);
    assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Failed(FailReason::GivenUpForUpstream)));
    // A preimage in the last of those blocks settles it.
    other.block(&[peer_takes(&fixture, Side::Remote, 0, HTLC, 1)]);
    assert_eq!(other.outcome(&fixture, HTLC), Some(Upstream::Settled(preimage(1))));
    assert!(!other.alerts(&fixture).iter().any(|alert| matches!(alert, Alert::Risk { .. })));
}

#[test]
fn r11_a_give_up_that_is_not_acknowledged_is_not_due_after_a_restart_until_the_chain_is_known() {
    let (mut test, _up, fixture) = forwarded(50_000, START + 10, START + 60);
    test.acknowledges = false;
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    test.blocks_to(START + 58);
    assert!(test.outcome(&fixture, HTLC).is_some());
    let due = |test: &TestCourt| {
        let fails = |action: &Action| matches!(action, Action::FailUpstream { .. });
        test.court.actions_due().iter().any(fails)
    };
    assert!(due(&test));
    test.best = Some(START + 62);
    test.start("restarted", arb_core::Freshness::Trusted, START + 62);
    assert!(!due(&test));
    test.block(&[]);
    assert!(!due(&test));
    // The missing block shows the preimage.
    test.block(&[peer_takes(&fixture, Side::Remote, 0, HTLC, 1)]);
    assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Settled(preimage(1))));
}

#[test]
fn r5_no_failure_that_rests_on_absence_before_the_past_was_searched() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[offered(0, 100, 1, START + 5, Link::Own)]);
    test.quiet_block(&[fixture.remote_commitment_tx(0).unwrap()]);
    // No commitment has an output for it, so it could fail at once; but the search for spends is still due.
    assert_eq!(test.outcome(&fixture, HTLC), None);
    let parent = fixture.remote_commitment_tx(0).unwrap().compute_txid();
    let through = test.tip_at(START + 1);
    test.hear(Event::Scanned(Box::new(Scanned {
        channel: fixture.id(),
        parent,
        through,
        confirmed: None,
        spends: Vec::new(),
    })));
    assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Failed(FailReason::OnNoCommitment)));
}

#[test]
fn r5_a_scan_that_finds_the_preimage_settles() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
    test.quiet_block(&[fixture.remote_commitment_tx(0).unwrap()]);
    let tx = peer_takes(&fixture, Side::Remote, 0, HTLC, 1);
    let spends = vec![arb_core::FoundSpend { height: height(START + 1), tx }];
    let parent = fixture.remote_commitment_tx(0).unwrap().compute_txid();
    let through = test.tip_at(START + 1);
    test.hear(Event::Scanned(Box::new(Scanned { channel: fixture.id(), parent, through, confirmed: None, spends })));
    assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Settled(preimage(1))));
}

#[test]
fn l42_a_downstream_that_failed_for_good_gives_its_upstream_up() {
    let (mut test, up, fixture) = forwarded(50_000, START + 5, START + 60);
    test.block(&[up.remote_commitment_tx(0).unwrap(), fixture.remote_commitment_tx(0).unwrap()]);
    let asks = |test: &TestCourt| {
        let due = test.court.actions_due();
        due.iter().any(|action| matches!(action, Action::AskForPreimage { htlc, .. } if htlc.channel == up.id()))
    };
    assert!(asks(&test));
    test.mine_to(START + 20);
    assert_eq!(test.acknowledged(&fixture, HTLC), Some(Acknowledged::Failed));
    assert!(!asks(&test));
}

#[test]
fn b30_a_dust_htlc_of_a_dead_channel_does_not_wait_for_its_commitment() {
    // L8, LL7: no commitment has an output for it, so the failure need not wait for one to confirm.
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[offered(0, 100, 1, START + 50, Link::Own)]);
    test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::PeerError });
    test.settle();
    assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Failed(FailReason::OnNoCommitment)));
}

#[test]
fn a57_the_question_for_a_preimage_stays_due_after_the_expiry_while_the_output_is_unspent() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[received(0, 50_000, 1, START + 5)]);
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    let asked = |test: &TestCourt| {
        let due = test.court.actions_due();
        due.iter().find_map(|due| if let Action::AskForPreimage { until, .. } = due { Some(*until) } else { None })
    };
    test.blocks_to(START + 10);
    assert_eq!(asked(&test), Some(height(START + 5)));
    let output = crate::test_court::output_of(&fixture, Side::Remote, 0, HtlcRef::received(0));
    test.block(&[crate::test_court::spend(&[(output, vec![vec![1]])], bitcoin::ScriptBuf::new(), 1_000)]);
    assert_eq!(asked(&test), None);
}
