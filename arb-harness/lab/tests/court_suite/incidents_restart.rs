//! Incidents of lnd, by the ids of `arb_core::incidents`: what a crash between two writes, or a restart at any moment, must
//! not lose (D1, D2, L6, L22, L28; I3). Every prefix of the frames stands for a process that died there.

use std::collections::BTreeSet;

use arb_core::{
    Action, Alert, ChainArbitrator, Conclusion, ContractId, ContractOutcome, Event, HtlcRef, Link, Notice, Stage,
    StageRecord,
};
use arb_lab::fixture::ChannelFixture;

use crate::test_court::{ANCHORS, START, TYPES, TestCourt, channel, height, key, learned, offered, received};

/// One court for each frame, recovered from the frames up to that one.
fn every_prefix(test: &TestCourt) -> Vec<ChainArbitrator> {
    let mut court = ChainArbitrator::new();
    let fold = |frame| {
        court.fold(frame).unwrap();
        court.clone()
    };
    test.frames.0.iter().map(fold).collect()
}

/// A close with HTLCs of each kind, run until it is resolved.
fn played(channel_type: arb_core::bolt3::ChannelType, side: arb_core::Side) -> (TestCourt, ChannelFixture) {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
    let htlcs = [
        offered(0, 50_000, 1, START + 5, Link::Own),
        offered(1, 100, 2, START + 5, Link::Own),
        received(0, 60_000, 3, START + 50),
        received(1, 60_000, 4, START + 50),
    ];
    test.open(&mut fixture, &htlcs);
    test.hear(learned(&fixture, HtlcRef::received(0), 3));
    test.block(&[fixture.commitment_tx(side, 0).unwrap()]);
    test.mine_to(START + 300);
    assert_eq!(test.node.sheets.len(), 1);
    (test, fixture)
}

#[test]
fn d1_l22_from_the_close_on_every_contract_exists_after_every_restart() {
    for channel_type in TYPES {
        for side in [arb_core::Side::Local, arb_core::Side::Remote] {
            let (test, fixture) = played(channel_type, side);
            let mut seen = 0;
            for court in every_prefix(&test) {
                let Some(index) = court.index_of(&fixture.id()) else { continue };
                let docket = court.docket(index).unwrap();
                if !matches!(docket.stage, Stage::Resolving(_) | Stage::Resolved) {
                    continue;
                }
                seen += 1;
                let htlcs: BTreeSet<HtlcRef> = docket.contracts.iter().filter_map(|contract| contract.htlc).collect();
                let all = [HtlcRef::offered(0), HtlcRef::offered(1), HtlcRef::received(0), HtlcRef::received(1)];
                assert_eq!(htlcs, BTreeSet::from(all));
                let mains = docket.contracts.iter().filter(|contract| contract.htlc.is_none()).count();
                assert!(mains >= 1, "our main output");
                // A contract that is not over has a resolver, except where it has no output.
                for contract in &docket.contracts {
                    let over = matches!(contract.stage, StageRecord::Done(_));
                    assert!(!contract.resolvers.is_empty() || matches!(contract.id, ContractId::NoOutput(_)) || over);
                }
                for action in court.actions_due() {
                    let Action::Sign(request) = action else { continue };
                    assert_eq!(request.tx.input.len(), request.prevouts.len());
                }
            }
            assert!(seen > 100, "{seen}");
        }
    }
}

#[test]
fn d1_a_restart_right_after_the_close_ends_as_without() {
    for side in [arb_core::Side::Local, arb_core::Side::Remote] {
        let (undisturbed, fixture) = played(ANCHORS, side);
        let mut test = TestCourt::new();
        let mut again = channel(1, ANCHORS);
        let htlcs = [
            offered(0, 50_000, 1, START + 5, Link::Own),
            offered(1, 100, 2, START + 5, Link::Own),
            received(0, 60_000, 3, START + 50),
            received(1, 60_000, 4, START + 50),
        ];
        test.open(&mut again, &htlcs);
        test.hear(learned(&again, HtlcRef::received(0), 3));
        test.quiet_block(&[again.commitment_tx(side, 0).unwrap()]);
        // The process restarts before every block up to the last claim.
        while test.tip() < START + 12 {
            test.restart();
            test.mine();
        }
        test.mine_to(START + 300);
        assert_eq!(test.node.origins, undisturbed.node.origins);
        assert_eq!(test.node.sheets, undisturbed.node.sheets);
        let outcome = |test: &TestCourt, htlc| test.contract_report(&fixture, htlc);
        for htlc in htlcs {
            assert_eq!(outcome(&test, htlc.key), outcome(&undisturbed, htlc.key));
        }
    }
}

#[test]
fn l6_between_resolved_and_removed_there_is_no_orphan() {
    let (test, fixture) = played(ANCHORS, arb_core::Side::Local);
    let resolved =
        |action: &Action| matches!(action, Action::ChannelResolved { channel, .. } if *channel == fixture.id());
    let noticed = |frame: &arb_core::Frame| {
        frame.entries.iter().flat_map(|entry| &entry.concluded).any(
            |record| matches!(&record.what, Conclusion::Noticed(notice) if matches!(**notice, Notice::Resolved(_))),
        )
    };
    let at = test.frames.0.iter().position(noticed).unwrap();
    for (place, court) in every_prefix(&test).iter().enumerate().skip(1) {
        let there = court.index_of(&fixture.id()).is_some();
        let due = court.actions_due().iter().any(resolved);
        // Either the channel is resolved and its notice is due, or it is removed and no action is due.
        assert_eq!(due, place >= at && there, "frame {place}");
        assert!(there || place > at || place < 3);
        assert!(there || court.actions_due().is_empty());
    }
    // The notice stays due, under the same id, in a court that gets no answer.
    let mut court = every_prefix(&test)[at].clone();
    let id = court.actions_due().into_iter().find(resolved);
    let fees = Event::FeesEstimated(arb_core::Fees::new(vec![(1, 900)], 250));
    let mut step = court.step();
    step.hear(&fees).unwrap();
    step.commit(&mut crate::test_court::Frames::default()).unwrap();
    assert_eq!(court.actions_due().into_iter().find(resolved), id);
}

#[test]
fn d2_the_deadline_of_an_outgoing_htlc_survives_a_restart_while_its_upstream_closes_too() {
    let (mut test, mut up, mut down) = (TestCourt::new(), channel(1, ANCHORS), channel(2, ANCHORS));
    test.open(&mut up, &[received(0, 510_000, 1, START + 40)]);
    test.open(&mut down, &[offered(0, 500_000, 1, START + 5, Link::Forward(key(&up, HtlcRef::received(0))))]);
    test.block(&[up.remote_commitment_tx(0).unwrap(), down.remote_commitment_tx(0).unwrap()]);
    // None of our transactions confirms; the process restarts in every block.
    while test.tip() < START + 40 {
        test.restart();
        test.block(&[]);
    }
    let missed = |alert: &Alert| match alert {
        Alert::DeadlineMissed { deadline, .. } => Some(*deadline),
        _ => None,
    };
    let alerts = test.alerts(&down);
    let deadlines: Vec<_> = alerts.iter().filter_map(missed).collect();
    assert_eq!(deadlines, [height(START + 40 - 6)], "the upstream's expiry less the margin");
    // The claim is still wanted: a missed deadline does not end it.
    let state = test.contract(&down, HtlcRef::offered(0)).stage;
    assert_eq!(state, StageRecord::ClaimWanted);
}

#[test]
fn l28_nothing_that_is_over_is_offered_again() {
    let (test, _fixture) = played(ANCHORS, arb_core::Side::Local);
    let mut spent = BTreeSet::new();
    for frame in &test.frames.0 {
        for entry in &frame.entries {
            if let Event::BlockConnected(block) = &entry.heard {
                spent.extend(block.txs.iter().flat_map(|tx| &tx.input).map(|input| input.previous_output));
            }
            for record in &entry.concluded {
                if let Conclusion::SweepPlanned(sweep) = &record.what {
                    let again = sweep.plan.members.iter().find(|member| spent.contains(*member));
                    assert_eq!(again, None, "a spent output is planned again");
                }
            }
        }
    }
    let outcomes = test.node.reports.iter().map(|(_, report)| report.outcome);
    assert!(!outcomes.into_iter().any(|outcome| outcome == ContractOutcome::Lost));
}
