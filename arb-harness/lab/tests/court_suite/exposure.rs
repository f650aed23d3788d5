//! What is at the counterparty's mercy: HTLCs that are given up for their upstream, and HTLCs too small for an output (A12, A48).

use arb_core::{
    Acknowledged, Alert, CloseReason, Event, FailReason, FreezeReason, Htlc, HtlcRef, Link, Policy, Stage, Upstream,
};
use arb_lab::fixture::ChannelFixture;

use crate::test_court::{START, TYPES, TestCourt, channel, height, learned, offered};

/// The most that the default policy gives up in one channel, in satoshi.
const BOUND_SAT: u64 = 200_000;
const EXPIRY: u32 = START + 10;
const DEADLINE: u32 = START + 60;

/// HTLCs that we forwarded for upstream HTLCs outside this court.
fn forwards(first: u64, count: u64, sat: u64, later: u32) -> Vec<Htlc> {
    let link = Link::Relay { deadline: height(DEADLINE + later) };
    (first..first + count).map(|id| offered(id, sat, 1, EXPIRY + later, link)).collect()
}

fn given_up_sat(test: &TestCourt, fixture: &ChannelFixture) -> u64 {
    let channel = test.court.channel(test.index(fixture)).unwrap();
    let given_up = |htlc: &&Htlc| {
        let outcome = channel.released().find(|(key, ..)| *key == htlc.key).map(|(_, outcome, _)| outcome);
        outcome == Some(Upstream::Failed(FailReason::GivenUpForUpstream))
    };
    channel.htlcs().filter(given_up).map(|htlc| htlc.amount_msat / 1000).sum()
}

fn frozen(test: &TestCourt, fixture: &ChannelFixture) -> Option<FreezeReason> {
    test.court.channel(test.index(fixture)).unwrap().frozen()
}

fn exposures(test: &TestCourt, fixture: &ChannelFixture) -> Vec<Alert> {
    let alerts = test.alerts(fixture).into_iter();
    alerts.filter(|alert| matches!(alert, Alert::DustExposure { .. })).collect()
}

#[test]
fn a12_what_is_given_up_in_one_channel_is_bounded_for_ever() {
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        let first = forwards(0, 400, 544, 0);
        test.open(&mut fixture, &first);
        let alert = Alert::DustExposure { pending_sat: 217_600, given_up_sat: 0, bound_sat: BOUND_SAT };
        test.settle();
        assert_eq!(exposures(&test, &fixture), [alert], "told when they are added");
        test.blocks_to(DEADLINE - 4);
        assert_eq!(given_up_sat(&test, &fixture), 0);
        test.block(&[]);
        assert_eq!(given_up_sat(&test, &fixture), 367 * 544, "as many as fit below the bound");
        assert_eq!(frozen(&test, &fixture), None, "a close would only burn them");
        // The counterparty takes all of them off chain, and holds another 100.
        for htlc in &first {
            test.hear(learned(&fixture, htlc.key, 1));
        }
        let second = forwards(400, 100, 544, 40);
        test.update(&mut fixture, 1, &second);
        test.settle();
        // Told once for what is given up, so not again for these.
        let alert = Alert::DustExposure { pending_sat: 17_952, given_up_sat: 367 * 544, bound_sat: BOUND_SAT };
        assert_eq!(exposures(&test, &fixture).last(), Some(&alert));
        test.restart();
        test.blocks_to(DEADLINE + 40 + 10);
        assert_eq!(given_up_sat(&test, &fixture), 0, "352 sat are left");
        let at_risk = |alert: &&Alert| matches!(alert, Alert::UpstreamAtRisk { .. });
        assert!(test.alerts(&fixture).iter().any(|alert| at_risk(&alert)));
        assert_eq!(test.docket(&fixture).stage, Stage::Open);
    }
}

#[test]
fn a12_below_the_bound_nobody_is_told() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, TYPES[1]));
    test.open(&mut fixture, &forwards(0, 400, 500, 0));
    test.settle();
    assert_eq!(exposures(&test, &fixture), []);
    let more = [forwards(0, 400, 500, 0), forwards(400, 1, 1, 0)].concat();
    test.update(&mut fixture, 1, &more);
    test.settle();
    assert_eq!(exposures(&test, &fixture).len(), 1);
}

#[test]
fn a12_once_it_is_used_up_small_ones_with_an_output_go_to_chain() {
    for channel_type in TYPES {
        // One that is no more than what is left; one that would not pay for its own two stages; and one that does.
        for (sat, given_up, goes) in [(2_000, true, false), (2_001, false, false), (3_900, false, true)] {
            // With anchors a claim needs a coin as well, and then none of less than a close costs pays for itself.
            let goes = goes && !channel_type.has_anchors();
            let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
            test.hear(Event::PolicySet(Policy { giveup_sum_sat: 5_000, ..Policy::default() }));
            // Less than a close costs, so it is given up.
            test.open(&mut fixture, &forwards(0, 1, 3_000, 0));
            test.blocks_to(DEADLINE);
            assert_eq!((given_up_sat(&test, &fixture), frozen(&test, &fixture)), (3_000, None));
            test.update(&mut fixture, 1, &forwards(1, 1, sat, 100));
            test.blocks_to(EXPIRY + 99);
            assert_eq!(frozen(&test, &fixture), None);
            test.block(&[]);
            assert_eq!(frozen(&test, &fixture), goes.then_some(FreezeReason::OverdueSum), "{sat}");
            test.mine_to(DEADLINE + 100);
            let outcome = test.outcome(&fixture, HtlcRef::offered(1));
            let why = if goes { FailReason::TimedOut } else { FailReason::GivenUpForUpstream };
            assert_eq!(outcome, (goes || given_up).then_some(Upstream::Failed(why)), "{channel_type:?} {sat}");
        }
    }
}

/// Raised, the bound gives the channel more; a channel has its own.
#[test]
fn a12_an_operator_raises_the_bound() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, TYPES[1]));
    test.open(&mut fixture, &forwards(0, 400, 544, 0));
    test.blocks_to(DEADLINE - 2);
    assert_eq!(given_up_sat(&test, &fixture), 367 * 544);
    let policy = Policy { giveup_sum_sat: 217_600, ..Policy::default() };
    test.hear(Event::ChannelPolicySet { channel: fixture.id(), policy: Some(Box::new(policy)) });
    assert_eq!(given_up_sat(&test, &fixture), 400 * 544);
}

/// On chain, too, what is still held counts: the outputs of theirs may yet be taken with a preimage.
#[test]
fn a12_after_a_close_the_bound_holds() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, TYPES[1]));
    test.open(&mut fixture, &forwards(0, 4, 60_000, 0));
    test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    test.blocks_to(DEADLINE);
    assert_eq!(given_up_sat(&test, &fixture), 180_000);
    let fate = |id| test.acknowledged(&fixture, HtlcRef::offered(id));
    assert_eq!((fate(2), fate(3)), (Some(Acknowledged::Failed), None));
}
