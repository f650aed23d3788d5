//! A policy for one channel: its deadlines, budgets and indexes follow, the other channels do not change (I13), and what is wanted
//! never falls (R10).

use arb_core::{
    Blocks, ChainArbitrator, ChannelIndex, CloseReason, Conclusion, Event, FreezeReason, HtlcRef, Link, Policy, Record,
    Rejected, Side, Stage,
};
use arb_lab::fixture::ChannelFixture;

use crate::test_court::{ANCHORS, START, TestCourt, channel, learned, offered, output_of, received};

/// The expiry of the HTLC that each channel has received.
const EXPIRY: u32 = START + 200;

fn own(fixture: &ChannelFixture, policy: Option<Policy>) -> Event {
    Event::ChannelPolicySet { channel: fixture.id(), policy: policy.map(Box::new) }
}

fn early() -> Policy {
    Policy { incoming_margin: Blocks::new(90), ..Policy::default() }
}

/// Two channels, each with a received HTLC whose preimage is known.
fn two() -> (TestCourt, [ChannelFixture; 2]) {
    let mut test = TestCourt::new();
    let fixtures = [1, 2].map(|number| {
        let mut fixture = channel(number, ANCHORS);
        test.open(&mut fixture, &[received(0, 60_000, 2, EXPIRY)]);
        test.hear(learned(&fixture, HtlcRef::received(0), 2));
        fixture
    });
    (test, fixtures)
}

fn frozen(test: &TestCourt, fixture: &ChannelFixture) -> Option<FreezeReason> {
    test.court.channel(test.index(fixture)).unwrap().frozen()
}

fn alarm(test: &TestCourt, fixture: &ChannelFixture) -> Option<u32> {
    test.docket(fixture).alarm.map(|height| height.get())
}

/// Everything that was concluded about a channel, with the frame's number of entries that led there.
fn concluded(test: &TestCourt, index: ChannelIndex) -> Vec<Record> {
    let entries = test.frames.0.iter().flat_map(|frame| &frame.entries);
    entries.flat_map(|entry| &entry.concluded).filter(|record| record.channel == index).cloned().collect()
}

#[test]
fn deadlines_and_indexes_of_one_channel_follow_its_policy() {
    let (mut test, [one, other]) = two();
    assert_eq!([alarm(&test, &one), alarm(&test, &other)], [Some(EXPIRY - 18); 2]);
    test.hear(own(&one, Some(early())));
    assert_eq!([alarm(&test, &one), alarm(&test, &other)], [Some(EXPIRY - 90), Some(EXPIRY - 18)]);
    assert_eq!(*test.court.indexes(), test.court.rebuilt_indexes(), "I15");
    // Another policy of the court does not reach it, but all others.
    test.hear(Event::PolicySet(Policy { incoming_margin: Blocks::new(30), ..Policy::default() }));
    assert_eq!([alarm(&test, &one), alarm(&test, &other)], [Some(EXPIRY - 90), Some(EXPIRY - 30)]);
    assert_eq!(*test.court.indexes(), test.court.rebuilt_indexes(), "I15");
    test.blocks_to(EXPIRY - 91);
    assert_eq!([frozen(&test, &one), frozen(&test, &other)], [None; 2]);
    test.block(&[]);
    let deadline = FreezeReason::Deadline(HtlcRef::received(0));
    assert_eq!([frozen(&test, &one), frozen(&test, &other)], [Some(deadline), None], "found by its own height");
    test.blocks_to(EXPIRY - 30);
    assert_eq!(frozen(&test, &other), Some(deadline));
}

#[test]
fn none_is_the_courts_policy_again() {
    let (mut test, [one, _]) = two();
    test.hear(own(&one, Some(early())));
    let index = test.index(&one);
    assert_eq!(test.court.channel(index).unwrap().own_policy(), Some(&early()));
    test.again(&own(&one, Some(early())));
    test.hear(own(&one, None));
    test.again(&own(&one, None));
    assert_eq!(test.court.channel(index).unwrap().own_policy(), None);
    assert_eq!(alarm(&test, &one), Some(EXPIRY - 18));
    test.blocks_to(EXPIRY - 19);
    assert_eq!(frozen(&test, &one), None);
}

#[test]
fn an_unsound_policy_and_an_unknown_channel_are_refused() {
    let (mut test, [one, _]) = two();
    let unsound = Policy { budget_divisor: 0, ..Policy::default() };
    assert_eq!(test.refuse(&own(&one, Some(unsound))), Rejected::UnsoundPolicy);
    let unknown = channel(3, ANCHORS);
    assert_eq!(test.refuse(&own(&unknown, Some(early()))), Rejected::UnknownChannel(unknown.id()));
    assert_eq!(test.refuse(&own(&unknown, None)), Rejected::UnknownChannel(unknown.id()));
}

/// The story of two channels that close, in which only the first may get a policy of its own.
fn closes(policy: Option<Policy>) -> (TestCourt, [ChannelFixture; 2]) {
    let (mut test, fixtures) = two();
    if let Some(policy) = policy {
        test.hear(own(&fixtures[0], Some(policy)));
    }
    test.block(&fixtures.each_ref().map(|fixture| fixture.remote_commitment_tx(0).unwrap()));
    test.mine_to(START + 250);
    (test, fixtures)
}

#[test]
fn i13_another_channels_conclusions_do_not_change() {
    let policy = Policy { budget_divisor: 10, spike: Blocks::new(1), ..early() };
    let ((plain, fixtures), (with, _)) = (closes(None), closes(Some(policy)));
    // The indexes of the channels, while both were there.
    let [one, other] = [0, 1].map(ChannelIndex::new);
    assert!(!concluded(&plain, other).is_empty());
    assert_eq!(concluded(&plain, other), concluded(&with, other), "{:?}", fixtures[1].id());
    assert_ne!(concluded(&plain, one), concluded(&with, one), "its own do");
}

#[test]
fn budgets_of_one_channel_follow_its_policy() {
    let policy = Policy { budget_divisor: 10, ..Policy::default() };
    let (test, fixtures) = closes(Some(policy));
    let htlc = |fixture| output_of(fixture, Side::Remote, 0, HtlcRef::received(0));
    let budgets = fixtures.each_ref().map(|fixture| {
        let of_htlc = |record: &Record| match &record.what {
            Conclusion::SweepPlanned(sweep) if sweep.plan.members.contains(&htlc(fixture)) => {
                Some(sweep.plan.reason.budget_sat)
            }
            _ => None,
        };
        let records = test.frames.0.iter().flat_map(|frame| &frame.entries).flat_map(|entry| &entry.concluded);
        records.clone().filter_map(of_htlc).next().expect("it is claimed")
    });
    assert_eq!(budgets, [6_000, 30_000]);
}

#[test]
fn r10_what_is_on_offer_stays_and_what_was_wanted_never_falls() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let htlcs = [offered(0, 900_000, 1, START + 3, Link::Own), offered(1, 900_000, 2, START + 3, Link::Own)];
    test.open(&mut fixture, &htlcs);
    test.hear(arb_lab::chain::flat_fees(20_000, 253));
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    test.blocks_to(START + 10);
    let plans = |test: &TestCourt| -> Vec<(u32, u32, usize)> {
        let of = |record: &Record| match &record.what {
            Conclusion::SweepPlanned(sweep) => {
                let plan = &sweep.plan;
                let contested =
                    htlcs.iter().any(|htlc| plan.members.contains(&output_of(&fixture, Side::Remote, 0, htlc.key)));
                contested.then_some((plan.wanted_sat_per_kw, plan.feerate_sat_per_kw, plan.members.len()))
            }
            _ => None,
        };
        let records = test.frames.0.iter().flat_map(|frame| &frame.entries).flat_map(|entry| &entry.concluded);
        records.filter_map(of).collect()
    };
    let before = plans(&test);
    let (wanted, offered, _) = *before.last().expect("both are claimed");
    assert!(wanted > 15_000 && offered > 15_000);
    test.hear(own(&fixture, Some(Policy { max_feerate_sat_per_kw: 10_000, ..Policy::default() })));
    test.blocks_to(START + 15);
    assert_eq!(plans(&test), before, "what is on offer stays");
    // One of them is taken, and the other is planned anew: under the new cap.
    let taken = output_of(&fixture, Side::Remote, 0, HtlcRef::offered(0));
    let theirs = crate::test_court::spend(&[(taken, vec![vec![1]])], fixture.setup().fallback_script.clone(), 1_000);
    test.block(&[theirs]);
    let (again, now, members) = *plans(&test).last().unwrap();
    assert_eq!(members, 1, "planned anew");
    assert!(now <= 10_000, "the new cap binds what was not yet offered: {now}");
    assert!(again >= wanted, "and what was wanted does not fall: {again} after {wanted}");
}

#[test]
fn replay_restart_and_rows_agree() {
    let (mut test, [one, other]) = two();
    test.hear(own(&one, Some(early())));
    test.hear(Event::CloseRequested { channel: other.id(), why: CloseReason::Operator });
    test.settle();
    let recovered = test.recovered();
    assert_eq!(recovered, test.court);
    assert_eq!(*recovered.indexes(), *test.court.indexes());
    let rows = test.court.channels().map(|(index, channel)| (index, channel.clone()));
    let restored = ChainArbitrator::restore(test.court.snapshot(), [], rows).unwrap();
    assert_eq!(restored, test.court);
    assert_eq!(*restored.indexes(), *test.court.indexes(), "the rows bring the policy with them");
    test.restart();
    test.blocks_to(EXPIRY - 90);
    assert_ne!(test.docket(&one).stage, Stage::Open);
}
