//! Incidents of lnd, by their number in the project's list: what a crash between two writes, or a restart at the wrong
//! moment, must not lose. Every prefix of the frames is a process that died there.

use std::collections::BTreeSet;

use arb_core::{
    Action, Alert, ChainArbitrator, Conclusion, ContractId, ContractOutcome, Event, HtlcRef, Link, Notice, Stage,
    StageRecord,
};
use arb_lab::fixture::ChannelFixture;

use crate::bench::{ANCHORS, Bench, START, TYPES, channel, height, key, learned, offered, received};

/// After every frame, a court recovered from the frames so far.
fn every_prefix(bench: &Bench) -> Vec<ChainArbitrator> {
    let mut court = ChainArbitrator::new();
    let fold = |frame| {
        court.fold(frame).unwrap();
        court.clone()
    };
    bench.frames.0.iter().map(fold).collect()
}

/// A close with everything in it, played until it is resolved.
fn played(channel_type: arb_core::bolt3::ChannelType, side: arb_core::Side) -> (Bench, ChannelFixture) {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, channel_type));
    let htlcs = [
        offered(0, 50_000, 1, START + 5, Link::Own),
        offered(1, 100, 2, START + 5, Link::Own),
        received(0, 60_000, 3, START + 50),
        received(1, 60_000, 4, START + 50),
    ];
    bench.open(&mut fixture, &htlcs);
    bench.hear(learned(&fixture, HtlcRef::received(0), 3));
    bench.block(&[fixture.commitment_tx(side, 0).unwrap()]);
    bench.mine_to(START + 300);
    assert_eq!(bench.node.sheets.len(), 1);
    (bench, fixture)
}

#[test]
fn d1_l22_from_the_close_on_every_contract_exists_after_every_restart() {
    for channel_type in TYPES {
        for side in [arb_core::Side::Local, arb_core::Side::Remote] {
            let (bench, fixture) = played(channel_type, side);
            let mut seen = 0;
            for court in every_prefix(&bench) {
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
                // What a contract waits for is known without anything else.
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
        let (smooth, fixture) = played(ANCHORS, side);
        let mut bench = Bench::new();
        let mut again = channel(1, ANCHORS);
        let htlcs = [
            offered(0, 50_000, 1, START + 5, Link::Own),
            offered(1, 100, 2, START + 5, Link::Own),
            received(0, 60_000, 3, START + 50),
            received(1, 60_000, 4, START + 50),
        ];
        bench.open(&mut again, &htlcs);
        bench.hear(learned(&again, HtlcRef::received(0), 3));
        bench.quiet_block(&[again.commitment_tx(side, 0).unwrap()]);
        // Every block up to the last claim is a life of its own.
        while bench.tip() < START + 12 {
            bench.restart();
            bench.mine();
        }
        bench.mine_to(START + 300);
        assert_eq!(bench.node.origins, smooth.node.origins);
        assert_eq!(bench.node.sheets, smooth.node.sheets);
        let outcome = |bench: &Bench, htlc| bench.contract_report(&fixture, htlc);
        for htlc in htlcs {
            assert_eq!(outcome(&bench, htlc.key), outcome(&smooth, htlc.key));
        }
    }
}

#[test]
fn l6_between_resolved_and_removed_there_is_no_orphan() {
    let (bench, fixture) = played(ANCHORS, arb_core::Side::Local);
    let resolved =
        |action: &Action| matches!(action, Action::ChannelResolved { channel, .. } if *channel == fixture.id());
    let noticed = |frame: &arb_core::Frame| {
        frame.entries.iter().flat_map(|entry| &entry.concluded).any(
            |record| matches!(&record.what, Conclusion::Noticed(notice) if matches!(**notice, Notice::Resolved(_))),
        )
    };
    let at = bench.frames.0.iter().position(noticed).unwrap();
    for (place, court) in every_prefix(&bench).iter().enumerate().skip(1) {
        let there = court.index_of(&fixture.id()).is_some();
        let due = court.actions_due().iter().any(resolved);
        // Resolved and there, and said again for as long as nobody has carried it out; or gone, with nothing owed.
        assert_eq!(due, place >= at && there, "frame {place}");
        assert!(there || place > at || place < 3);
        assert!(there || court.actions_due().is_empty());
    }
    // The notice repeats in a court that lives on without an answer.
    let mut court = every_prefix(&bench)[at].clone();
    let id = court.actions_due().into_iter().find(resolved);
    let fees = Event::FeesEstimated(arb_core::Fees { by_target: vec![(1, 900)], relay_floor_sat_per_kw: 250 });
    let mut step = court.step();
    step.hear(&fees).unwrap();
    step.commit(&mut crate::bench::Frames::default()).unwrap();
    assert_eq!(court.actions_due().into_iter().find(resolved), id);
}

#[test]
fn d2_the_deadline_of_an_outgoing_htlc_survives_a_restart_while_its_upstream_closes_too() {
    let (mut bench, mut up, mut down) = (Bench::new(), channel(1, ANCHORS), channel(2, ANCHORS));
    bench.open(&mut up, &[received(0, 510_000, 1, START + 40)]);
    bench.open(&mut down, &[offered(0, 500_000, 1, START + 5, Link::Forward(key(&up, HtlcRef::received(0))))]);
    bench.block(&[up.remote_commitment_tx(0).unwrap(), down.remote_commitment_tx(0).unwrap()]);
    // Nothing that is sent confirms; the process restarts in every block.
    while bench.tip() < START + 40 {
        bench.restart();
        bench.block(&[]);
    }
    let missed = |alert: &Alert| match alert {
        Alert::DeadlineMissed { deadline, .. } => Some(*deadline),
        _ => None,
    };
    let alerts = bench.alerts(&down);
    let deadlines: Vec<_> = alerts.iter().filter_map(missed).collect();
    assert_eq!(deadlines, [height(START + 40 - 6)], "the upstream's expiry less the margin");
    // It is still wanted: a missed deadline ends nothing.
    let state = bench.contract(&down, HtlcRef::offered(0)).stage;
    assert_eq!(state, StageRecord::ClaimWanted);
}

#[test]
fn l28_nothing_that_is_over_is_offered_again() {
    let (bench, _fixture) = played(ANCHORS, arb_core::Side::Local);
    let mut spent = BTreeSet::new();
    for frame in &bench.frames.0 {
        for entry in &frame.entries {
            if let Event::BlockConnected(block) = &entry.heard {
                spent.extend(block.txs.iter().flat_map(|tx| &tx.input).map(|input| input.previous_output));
            }
            for record in &entry.concluded {
                if let Conclusion::SweepPlanned(sweep) = &record.what {
                    let again = sweep.plan.members.iter().find(|member| spent.contains(*member));
                    assert_eq!(again, None, "it is spent");
                }
            }
        }
    }
    let outcomes = bench.node.reports.iter().map(|(_, report)| report.outcome);
    assert!(!outcomes.into_iter().any(|outcome| outcome == ContractOutcome::Lost));
}
