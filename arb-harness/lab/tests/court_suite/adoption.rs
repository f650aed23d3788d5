//! Running channels that join the court: in any order of what is told, in the middle of any update.

use arb_core::{
    Acknowledged, Alert, CloseKind, CloseReason, ContractOutcome, Event, FoundSpend, Freshness, HtlcRef, Link,
    Rejected, Scanned, Stage,
};
use arb_lab::fixture::ChannelFixture;
use arb_lab::process::all_told;
use bitcoin::Transaction;

use crate::test_court::{
    ANCHORS, START, TYPES, TestCourt, channel, height, key, learned, offered, received, started, state,
};

/// The answer to the search for spends of a channel's funding.
fn found(test: &TestCourt, fixture: &ChannelFixture, tx: Transaction) -> Event {
    let parent = fixture.setup().funding.txid;
    let spends = vec![FoundSpend { height: height(START), tx }];
    let through = test.court.tip();
    Event::Scanned(Box::new(Scanned { channel: fixture.id(), parent, through, confirmed: None, spends }))
}

/// A channel that joins the court at these numbers, and has told no commitment.
fn joins(test: &mut TestCourt, fixture: &ChannelFixture, next_local: u64, next_remote: u64) {
    let setup = fixture.setup();
    test.signer.add_channel(setup.id, setup.funding, setup.local.clone());
    test.hear(fixture.opened(fixture.standing(next_local, next_remote).unwrap()));
}

#[test]
fn a6_the_search_finds_a_close_before_the_commitments_are_told() {
    for channel_type in TYPES {
        for ours_first in [false, true] {
            let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
            let htlcs = [offered(3, 50_000, 1, START + 90, Link::Own), received(2, 1_000_000, 2, START + 90)];
            let mut told = [fixture.remote_signed(5, state(&htlcs)), fixture.local_signed(5, state(&htlcs))];
            if ours_first {
                told.reverse();
            }
            joins(&mut test, &fixture, 5, 5);
            let search = found(&test, &fixture, fixture.remote_commitment_tx(5).unwrap());
            test.hear(search);
            for event in told {
                test.hear(event.unwrap());
            }
            test.hear(fixture.adopted());
            assert_eq!(test.close_kind(&fixture), Some(CloseKind::Remote));
            test.hear(learned(&fixture, HtlcRef::received(2), 2));
            test.settle();
            test.mine_to(START + 250);
            assert_eq!(test.contract_report(&fixture, HtlcRef::received(2)), Some(ContractOutcome::Claimed));
            assert_eq!(test.contract_report(&fixture, HtlcRef::offered(3)), Some(ContractOutcome::Claimed));
        }
    }
}

#[test]
fn a6_a_close_of_the_pending_commitment_is_found_before_any_is_told() {
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        let added = [received(2, 1_000_000, 2, START + 90)];
        let told = [
            fixture.local_signed(6, state(&added)).unwrap(),
            fixture.remote_signed(5, state(&[])).unwrap(),
            fixture.remote_signed(6, state(&added)).unwrap(),
        ];
        joins(&mut test, &fixture, 6, 5);
        let search = found(&test, &fixture, fixture.remote_commitment_tx(6).unwrap());
        test.hear(search);
        told.into_iter().for_each(|event| drop(test.hear(event)));
        test.hear(fixture.adopted());
        assert_eq!(test.close_kind(&fixture), Some(CloseKind::RemotePending));
    }
}

#[test]
fn a6_a_channel_that_is_frozen_while_it_joins_takes_its_commitments_and_none_later() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    joins(&mut test, &fixture, 5, 5);
    test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::PeerError });
    test.hear(fixture.local_signed(5, state(&[])).unwrap());
    test.hear(fixture.remote_signed(5, state(&[])).unwrap());
    test.settle();
    assert_eq!(test.asked, [], "ours is not signed before everything is told");
    test.hear(fixture.adopted());
    let frozen = Rejected::Frozen(fixture.id());
    assert_eq!(test.refuse(&fixture.local_signed(6, state(&[])).unwrap()), frozen);
    assert_eq!(test.refuse(&fixture.remote_signed(6, state(&[])).unwrap()), frozen);
    test.settle();
    let txid = fixture.local_commitment_tx(5).unwrap().compute_txid();
    assert!(test.sent.iter().any(|(_, tx)| tx.compute_txid() == txid), "ours is sent");
    // A start is no second adoption.
    test.hear(started("again", Freshness::Trusted, START));
    assert_eq!(test.refuse(&fixture.local_signed(6, state(&[])).unwrap()), frozen);
}

#[test]
fn a17_removals_cross_while_a_channel_joins() {
    // Ours still has received HTLC 4, which theirs lost; theirs still has offered HTLC 6, which ours lost. Of each direction
    // the other side has a higher id.
    for channel_type in TYPES {
        for ours_first in [false, true] {
            let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
            let six = offered(6, 40_000, 1, START + 40, Link::Own);
            let seven = offered(7, 50_000, 2, START + 40, Link::Own);
            let (four, five) = (received(4, 60_000, 3, START + 90), received(5, 70_000, 4, START + 90));
            let ours = fixture.local_signed(9, state(&[seven.clone(), four, five.clone()])).unwrap();
            let theirs = fixture.remote_signed(8, state(&[six, seven, five])).unwrap();
            joins(&mut test, &fixture, 9, 8);
            let told = if ours_first { [ours, theirs] } else { [theirs, ours] };
            told.into_iter().for_each(|event| drop(test.hear(event)));
            test.hear(fixture.adopted());
            test.settle();
            let ids: Vec<HtlcRef> =
                test.court.channel(test.index(&fixture)).unwrap().htlcs().map(|htlc| htlc.key).collect();
            let all = [HtlcRef::offered(6), HtlcRef::offered(7), HtlcRef::received(4), HtlcRef::received(5)];
            assert_eq!(ids, all);
            // From now on an id is used once.
            let old = [offered(6, 40_000, 1, START + 40, Link::Own), offered(5, 30_000, 9, START + 40, Link::Own)];
            let event = fixture.remote_signed(9, state(&old)).unwrap();
            assert_eq!(test.refuse(&event), Rejected::HtlcTwice(HtlcRef::offered(5)));
        }
    }
}

#[test]
fn a8_an_htlc_of_any_candidate_is_irrevocable() {
    // A reconnection changed what was signed under number 1. Which of the two the counterparty holds is not known.
    for channel_type in TYPES {
        for later in [false, true] {
            let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
            test.open(&mut fixture, &[]);
            let htlc = [received(0, 1_000_000, 2, START + 90)];
            let (first, second): (&[_], &[_]) = if later { (&[], &htlc) } else { (&htlc, &[]) };
            test.hear(fixture.local_signed(1, state(&htlc)).unwrap());
            test.hear(fixture.remote_signed(1, state(first)).unwrap());
            test.hear(fixture.remote_signed(1, state(second)).unwrap());
            test.hear(fixture.remote_revoked(0).unwrap());
            test.hear(learned(&fixture, HtlcRef::received(0), 2));
            test.block(&[fixture.local_commitment_tx(1).unwrap()]);
            test.mine_to(START + 250);
            assert_eq!(test.contract_report(&fixture, HtlcRef::received(0)), Some(ContractOutcome::Claimed));
        }
    }
}

#[test]
fn a8_a_candidate_that_a_channel_joins_with() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let htlc = [received(3, 1_000_000, 2, START + 90)];
    joins(&mut test, &fixture, 5, 5);
    for event in [
        fixture.local_signed(5, state(&htlc)),
        fixture.remote_signed(5, state(&[])),
        fixture.remote_signed(6, state(&[])),
        fixture.remote_signed(6, state(&htlc)),
        fixture.remote_revoked(5),
    ] {
        test.hear(event.unwrap());
    }
    test.hear(fixture.adopted());
    test.hear(learned(&fixture, HtlcRef::received(3), 2));
    test.block(&[fixture.local_commitment_tx(5).unwrap()]);
    test.mine_to(START + 250);
    assert_eq!(test.contract_report(&fixture, HtlcRef::received(3)), Some(ContractOutcome::Claimed));
}

/// A channel in the middle of a removal: ours still has received HTLC 3, theirs lost it with commitment 5.
fn being_removed(committed: bool) -> (TestCourt, ChannelFixture) {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let htlc = [received(3, 1_000_000, 2, START + 90)];
    let (ours, theirs) = (fixture.local_signed(5, state(&htlc)), fixture.remote_signed(5, state(&[])));
    joins(&mut test, &fixture, 5, 5);
    test.hear(ours.unwrap());
    test.hear(theirs.unwrap());
    test.hear(learned(&fixture, HtlcRef::received(3), 2));
    let committed = committed.then(|| key(&fixture, HtlcRef::received(3))).into_iter().collect();
    test.hear(Event::AdoptionComplete { channel: Some(fixture.id()), committed });
    (test, fixture)
}

#[test]
fn a7_an_htlc_that_is_being_removed_is_claimed_if_the_node_says_that_it_was_irrevocable() {
    for (committed, outcome) in [(true, ContractOutcome::Claimed), (false, ContractOutcome::Unclaimed)] {
        let (mut test, fixture) = being_removed(committed);
        test.block(&[fixture.local_commitment_tx(5).unwrap()]);
        test.mine_to(START + 400);
        assert_eq!(test.contract_report(&fixture, HtlcRef::received(3)), Some(outcome));
    }
}

#[test]
fn a7_the_word_names_htlcs_of_its_channel_only() {
    let (mut test, fixture) = being_removed(false);
    let other = channel(2, ANCHORS);
    joins(&mut test, &other, 0, 0);
    let word = |channel, htlc| Event::AdoptionComplete { channel, committed: vec![key(&fixture, htlc)] };
    let unknown = word(Some(fixture.id()), HtlcRef::received(4));
    assert_eq!(test.refuse(&unknown), Rejected::UnknownHtlc(HtlcRef::received(4)));
    let foreign = word(Some(other.id()), HtlcRef::received(3));
    assert_eq!(test.refuse(&foreign), Rejected::UnknownHtlc(HtlcRef::received(3)));
    let nobody = channel(3, ANCHORS);
    assert_eq!(test.refuse(&nobody.adopted()), Rejected::UnknownChannel(nobody.id()));
    // What it adds is new, also if everything was told.
    test.hear(word(Some(fixture.id()), HtlcRef::received(3)));
    test.again(&word(Some(fixture.id()), HtlcRef::received(3)));
}

/// The alert that a deadline waits for the node.
fn waits(test: &TestCourt, fixture: &ChannelFixture) -> bool {
    test.alerts(fixture).iter().any(|alert| matches!(alert, Alert::AdoptionIncomplete { .. }))
}

#[test]
fn r11_a_deadline_waits_for_the_node_and_does_not_pass_in_silence() {
    // A channel that joins, and a channel after a start; an HTLC with a preimage, and one that we sent.
    for joining in [true, false] {
        let htlcs = [offered(3, 50_000, 1, START + 10, Link::Own), received(2, 1_000_000, 2, START + 90)];
        for ours in [true, false] {
            let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
            let htlcs = if ours { &htlcs[..1] } else { &htlcs[1..] };
            joins(&mut test, &fixture, 0, 0);
            test.open_states(&mut fixture, htlcs);
            if !ours {
                test.hear(learned(&fixture, HtlcRef::received(2), 2));
            }
            if !joining {
                test.hear(fixture.adopted());
                test.hear(started("again", Freshness::Trusted, START));
            }
            test.blocks_to(START + 150);
            assert!(waits(&test, &fixture));
            assert_eq!((test.docket(&fixture).stage, test.sent.len(), test.asked.len()), (Stage::Open, 0, 0));
            test.hear(if joining { fixture.adopted() } else { all_told() });
            assert_ne!(test.docket(&fixture).stage, Stage::Open);
            test.settle();
            assert_ne!(test.sent.len(), 0);
        }
    }
}

#[test]
fn r11_a_deadline_that_waits_is_told_after_every_start() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[]);
    for run in 1..4 {
        // Each start meets the deadline of another HTLC.
        let (id, expiry) = (u64::from(run), START + 30 * run);
        test.update(&mut fixture, 2 * id - 1, &[received(id, 1_000_000, 2, expiry)]);
        test.hear(learned(&fixture, HtlcRef::received(id), 2));
        test.hear(started(&format!("run {run}"), Freshness::Trusted, START));
        test.blocks_to(expiry - 3);
        let alerts = test.alerts(&fixture);
        let waits = alerts.iter().filter(|alert| matches!(alert, Alert::AdoptionIncomplete { .. }));
        assert_eq!(waits.count(), usize::try_from(run).unwrap(), "one for each start");
        test.update(&mut fixture, 2 * id, &[]);
    }
}

#[test]
fn r11_nothing_is_failed_or_ended_before_everything_is_told() {
    for joining in [true, false] {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
        joins(&mut test, &fixture, 0, 0);
        test.open_states(&mut fixture, &[offered(3, 50_000, 1, START + 5, Link::Own)]);
        if !joining {
            test.hear(fixture.adopted());
            test.hear(started("again", Freshness::Trusted, START));
        }
        test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
        test.mine_to(START + 150);
        assert_eq!(test.outcome(&fixture, HtlcRef::offered(3)), None);
        assert_eq!(test.node.reports, []);
        // One word for all channels serves a channel that joins, too.
        test.hear(all_told());
        test.settle();
        test.mine_to(START + 152);
        assert_eq!(test.acknowledged(&fixture, HtlcRef::offered(3)), Some(Acknowledged::Failed));
        assert_eq!(test.node.sheets.len(), 1);
    }
}

#[test]
fn r11_a_commitment_that_is_told_later_was_never_unknown() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let told = fixture.remote_signed(5, state(&[])).unwrap();
    joins(&mut test, &fixture, 5, 5);
    let search = found(&test, &fixture, fixture.remote_commitment_tx(5).unwrap());
    test.hear(search);
    test.settle();
    test.hear(told);
    test.hear(fixture.adopted());
    test.settle();
    assert_eq!(test.alerts(&fixture), []);
    // Without it the close is unknown, once everything is told.
    let (mut test, fixture) = (TestCourt::new(), fixture);
    joins(&mut test, &fixture, 5, 5);
    let search = found(&test, &fixture, fixture.remote_commitment_tx(5).unwrap());
    test.hear(search);
    test.settle();
    assert_eq!(test.alerts(&fixture), []);
    test.hear(fixture.adopted());
    test.settle();
    assert_eq!(test.alerts(&fixture).len(), 1);
}
