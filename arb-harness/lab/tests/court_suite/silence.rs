//! No deadline passes, and no operator's request stays without effect, in silence (I17, A35).

use arb_core::{Alert, CloseReason, Event, Freshness, Held, Htlc, HtlcRef, Link, Stage};
use arb_lab::fixture::ChannelFixture;

use crate::test_court::{ANCHORS, START, TYPES, TestCourt, channel, height, learned, offered, received, started};

/// The expiry of the received HTLC, and the last block in which ours should be claimed.
const DEADLINE: u32 = START + 60;

/// Two HTLCs with one deadline: one that we forwarded, and a received one, which gets its preimage.
fn htlcs() -> [Htlc; 2] {
    let link = Link::Relay { deadline: height(DEADLINE + 6) };
    [offered(0, 50_000, 1, START + 30, link), received(0, 30_000, 2, DEADLINE)]
}

fn open(fixture: &mut ChannelFixture) -> TestCourt {
    let mut test = TestCourt::new();
    test.open(fixture, &htlcs());
    test.hear(learned(fixture, HtlcRef::received(0), 2));
    test
}

fn waits(why: Held, deadline: Option<u32>) -> Alert {
    let (htlcs, amount_sat) = if deadline.is_some() { (2, 80_000) } else { (0, 0) };
    Alert::CommitmentWaits { number: 0, why, deadline: deadline.map(height), htlcs, amount_sat }
}

fn close(fixture: &ChannelFixture) -> Event {
    Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator }
}

#[test]
fn a35_a_a_suspect_journal_is_told_long_before_the_deadline() {
    for channel_type in TYPES {
        let mut fixture = channel(1, channel_type);
        let mut test = open(&mut fixture);
        test.start("restored", Freshness::Suspect, START);
        // The first expiry calls for going to chain.
        test.blocks_to(START + 29);
        assert_eq!(test.alerts(&fixture), []);
        test.block(&[]);
        assert_eq!(test.alerts(&fixture), [waits(Held::Suspect, Some(DEADLINE))]);
        test.blocks_to(DEADLINE);
        assert!(test.sent.is_empty());
        assert_eq!(test.alerts(&fixture).len(), 1, "one alert for both");
    }
}

#[test]
fn a35_b_our_commitment_is_unconfirmed_before_a_deadline() {
    for channel_type in TYPES {
        for signs in [true, false] {
            let mut fixture = channel(1, channel_type);
            let mut test = open(&mut fixture);
            test.blocks_to(START + 29);
            let block = |test: &mut TestCourt| {
                test.quiet_block(&[]);
                if signs {
                    test.settle();
                }
            };
            while test.tip() < DEADLINE - 7 {
                block(&mut test);
            }
            let raised = |test: &TestCourt| {
                let channel = test.court.channel(test.index(&fixture)).unwrap();
                let waiting = channel.outbox().filter_map(|(_, notice)| match notice {
                    arb_core::Notice::Alert(alert @ Alert::CommitmentWaits { .. }) => Some(alert.clone()),
                    _ => None,
                });
                let told = test.alerts(&fixture).into_iter();
                let told = told.filter(|alert| matches!(alert, Alert::CommitmentWaits { .. }));
                waiting.chain(told).collect::<Vec<_>>()
            };
            assert_eq!(raised(&test), []);
            block(&mut test);
            let why = if signs { Held::Unconfirmed } else { Held::Unsigned };
            assert_eq!(raised(&test), [waits(why, Some(DEADLINE))]);
        }
    }
}

#[test]
fn a35_c_the_funding_is_unconfirmed() {
    for channel_type in TYPES {
        let mut setup = channel(1, channel_type).setup().clone();
        setup.funding_confirmed = None;
        let mut fixture = ChannelFixture::new(setup);
        let mut test = open(&mut fixture);
        test.blocks_to(DEADLINE - 6);
        let told = test.alerts(&fixture);
        assert!(told.iter().any(|alert| matches!(alert, Alert::FundingUnconfirmed { .. })), "{told:?}");
        assert!(told.contains(&waits(Held::FundingUnconfirmed, Some(DEADLINE))), "{told:?}");
    }
}

fn behind(test: &TestCourt, fixture: &ChannelFixture) -> Vec<Alert> {
    let alerts = test.alerts(fixture).into_iter();
    alerts.filter(|alert| matches!(alert, Alert::SourceBehind { .. })).collect()
}

#[test]
fn a35_d_a_source_that_stays_behind_is_told_at_once_if_a_deadline_lies_in_its_blocks() {
    for channel_type in TYPES {
        // The received HTLC calls for the chain 18 blocks before its expiry, the one that we sent at its own.
        let first = START + 30;
        for (best, count) in [(first - 1, 0), (first, 1), (START + 5_000, 2)] {
            for by_block in [false, true] {
                let mut fixture = channel(1, channel_type);
                let mut test = open(&mut fixture);
                test.best = Some(best);
                if by_block {
                    test.block(&[]);
                } else {
                    test.hear(started("later", Freshness::Trusted, best));
                    test.settle();
                }
                let told = behind(&test, &fixture);
                let amount_sat = [0, 50_000, 80_000][count as usize];
                let (tip, best, deadline) = (height(test.tip()), height(best), height(first));
                let alert = Alert::SourceBehind { tip, best, deadline, outputs: count, amount_sat };
                assert_eq!(told, if count > 0 { vec![alert] } else { Vec::new() }, "{best} {by_block}");
                test.block(&[]);
                assert_eq!(behind(&test, &fixture).len(), told.len(), "once");
            }
        }
    }
}

#[test]
fn a35_d_claims_of_a_close_count_too() {
    let mut fixture = channel(1, ANCHORS);
    let mut test = open(&mut fixture);
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    test.best = Some(DEADLINE);
    test.block(&[]);
    let [Alert::SourceBehind { deadline, outputs: 1, amount_sat: 30_000, .. }] = behind(&test, &fixture)[..] else {
        panic!("{:?}", test.alerts(&fixture));
    };
    assert_eq!(deadline, height(DEADLINE));
}

#[test]
fn a35_e_a_request_that_cannot_be_carried_out_is_answered_by_an_alert() {
    for channel_type in TYPES {
        let mut fixture = channel(1, channel_type);
        let mut test = TestCourt::new();
        test.open(&mut fixture, &[]);
        // The journal may be old.
        let mut suspect = test.fork();
        suspect.start("restored", Freshness::Suspect, START);
        suspect.hear(close(&fixture));
        suspect.settle();
        assert_eq!(suspect.alerts(&fixture), [waits(Held::Suspect, None)]);
        // The node has not told everything.
        let mut untold = test.fork();
        untold.hear(started("again", Freshness::Trusted, START));
        untold.hear(close(&fixture));
        untold.settle();
        assert!(
            matches!(untold.alerts(&fixture)[..], [Alert::AdoptionIncomplete { since, .. }] if since == height(START))
        );
        // Our state is old, and that was told long ago.
        let mut outdated = test.fork();
        outdated.hear(fixture.peer_is_newer());
        outdated.settle();
        assert_eq!(outdated.alerts(&fixture), [Alert::Outdated]);
        outdated.hear(close(&fixture));
        outdated.settle();
        assert_eq!(outdated.alerts(&fixture)[1..], [waits(Held::Outdated, None)]);
        // So is that of a backup.
        let backup = channel(2, channel_type);
        test.hear(backup.restored());
        test.hear(backup.adopted());
        test.hear(close(&backup));
        test.settle();
        let told = test.alerts(&backup);
        assert!(told.len() == 2 && told.contains(&waits(Held::Outdated, None)), "{told:?}");
        // An effect needs no alert.
        test.hear(close(&fixture));
        test.settle();
        assert_eq!(test.docket(&fixture).stage, Stage::AwaitingCommitment);
        assert_eq!(test.alerts(&fixture), []);
    }
}

#[test]
fn i17_what_is_not_worth_a_close_is_told_too() {
    for channel_type in TYPES {
        // No commitment has an output for 100 sat: no close brings it.
        for amount_sat in [3_000, 100] {
            let mut fixture = channel(1, channel_type);
            let mut test = TestCourt::new();
            test.open(&mut fixture, &[received(0, amount_sat, 2, DEADLINE)]);
            test.hear(learned(&fixture, HtlcRef::received(0), 2));
            test.blocks_to(DEADLINE - 7);
            assert_eq!((test.docket(&fixture).stage, test.alerts(&fixture)), (Stage::Open, Vec::new()));
            let mut closing = test.fork();
            test.block(&[]);
            let (why, deadline) = (Held::TooSmall, Some(height(DEADLINE)));
            let alert = Alert::CommitmentWaits { number: 0, why, deadline, htlcs: 1, amount_sat };
            assert_eq!(test.alerts(&fixture), [alert]);
            // Once the channel goes to chain, dust is fee already.
            closing.hear(close(&fixture));
            closing.settle();
            closing.blocks_to(DEADLINE);
            let told = closing.alerts(&fixture).iter().any(|alert| matches!(alert, Alert::CommitmentWaits { .. }));
            assert_eq!(told, amount_sat == 3_000, "{amount_sat}");
        }
    }
}

#[test]
fn i17_what_is_not_worth_a_close_is_told_once_and_by_what_is_told() {
    for channel_type in TYPES {
        let mut fixture = channel(1, channel_type);
        let mut test = TestCourt::new();
        let small = [received(0, 3_000, 2, DEADLINE)];
        test.open(&mut fixture, &small);
        test.hear(learned(&fixture, HtlcRef::received(0), 2));
        test.blocks_to(DEADLINE - 7);
        // The node may be about to tell that it is gone (R11).
        let mut untold = test.fork();
        untold.hear(started("again", Freshness::Trusted, DEADLINE - 7));
        untold.block(&[]);
        assert_eq!(untold.alerts(&fixture), []);
        untold.hear(arb_lab::process::all_told());
        untold.settle();
        assert_eq!(untold.alerts(&fixture).len(), 1);
        // Every update brings a commitment; the HTLC is the same.
        test.block(&[]);
        for number in 1..4 {
            test.update(&mut fixture, number, &small);
            test.settle();
        }
        test.block(&[]);
        assert_eq!(test.alerts(&fixture).len(), 1);
        // It is gone, and another one comes with the same deadline: nothing is left of the first (R15).
        test.update(&mut fixture, 4, &[]);
        test.update(&mut fixture, 5, &[received(1, 4_000, 3, DEADLINE)]);
        test.hear(learned(&fixture, HtlcRef::received(1), 3));
        test.settle();
        let (why, deadline) = (Held::TooSmall, Some(height(DEADLINE)));
        let alert = Alert::CommitmentWaits { number: 5, why, deadline, htlcs: 1, amount_sat: 4_000 };
        assert_eq!(test.alerts(&fixture)[1..], [alert]);
    }
}

#[test]
fn i17_a_payment_of_our_own_has_one_deadline_and_one_alert() {
    for channel_type in TYPES {
        for suspect in [false, true] {
            let mut fixture = channel(1, channel_type);
            let mut test = TestCourt::new();
            test.open(&mut fixture, &[offered(0, 50_000, 1, START + 30, Link::Own)]);
            if suspect {
                test.start("restored", Freshness::Suspect, START);
            }
            test.hear(close(&fixture));
            // Our commitment does not confirm, also long after the expiry and the policy's `own_delta` of 34 blocks.
            test.blocks_to(START + 120);
            let told = test.alerts(&fixture).into_iter();
            let told: Vec<Alert> = told.filter(|alert| matches!(alert, Alert::CommitmentWaits { .. })).collect();
            let why = if suspect { Held::Suspect } else { Held::Unconfirmed };
            let deadline = Some(height(START + 64));
            let alert = Alert::CommitmentWaits { number: 0, why, deadline, htlcs: 1, amount_sat: 50_000 };
            assert_eq!(told, [alert], "{channel_type:?} {suspect}");
        }
    }
}

#[test]
fn i17_outputs_without_a_claim_on_offer_are_told_a_block_before_their_deadline() {
    for channel_type in TYPES {
        for answered in [true, false] {
            let mut fixture = channel(1, channel_type);
            let mut test = TestCourt::new();
            let more = [received(0, 300_000, 2, DEADLINE), received(1, 200_000, 3, DEADLINE)];
            test.open(&mut fixture, &more);
            test.hear(learned(&fixture, HtlcRef::received(0), 2));
            test.hear(learned(&fixture, HtlcRef::received(1), 3));
            let theirs = fixture.remote_commitment_tx(0).unwrap();
            test.block(&[]);
            test.quiet_block(std::slice::from_ref(&theirs));
            while test.tip() < DEADLINE - 2 {
                test.quiet_block(&[]);
                if answered {
                    test.settle();
                }
            }
            let told = |test: &mut TestCourt| {
                let mut test = test.fork();
                test.settle();
                let alerts = test.alerts(&fixture).into_iter();
                alerts.filter(|alert| matches!(alert, Alert::ClaimWaits { .. })).collect::<Vec<_>>()
            };
            assert_eq!(told(&mut test), []);
            test.quiet_block(&[]);
            let (txid, deadline) = (theirs.compute_txid(), height(DEADLINE));
            let alert = Alert::ClaimWaits { txid, deadline, outputs: 2, amount_sat: 500_000 };
            assert_eq!(told(&mut test), if answered { Vec::new() } else { vec![alert] }, "{channel_type:?}");
        }
    }
}

#[test]
fn i17_upstream_htlcs_that_expire_together_are_one_alert() {
    let mut fixture = channel(1, ANCHORS);
    let mut test = TestCourt::new();
    let link = |more| Link::Relay { deadline: height(DEADLINE + more) };
    let all = [0, 1, 2].map(|id| offered(id, 200_000, 1, START + 30, link(0)));
    let all = [all.to_vec(), vec![offered(3, 200_000, 1, START + 30, link(1))]].concat();
    test.open(&mut fixture, &all);
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    test.blocks_to(DEADLINE);
    let alerts: Vec<Alert> = test.alerts(&fixture);
    let at_risk = |htlc, htlcs, at| Alert::UpstreamAtRisk {
        htlc: HtlcRef::offered(htlc),
        htlcs,
        amount_sat: 200_000 * u64::from(htlcs),
        upstream_expiry: height(at),
    };
    let told: Vec<&Alert> = alerts.iter().filter(|alert| matches!(alert, Alert::UpstreamAtRisk { .. })).collect();
    assert_eq!(told, [&at_risk(0, 3, DEADLINE), &at_risk(3, 1, DEADLINE + 1)]);
}
