//! What is known of a revoked commitment, and when: stored, missing, contradicted, told late; and closes that replace each
//! other.

use arb_core::bolt3::OutputKind;
use arb_core::{
    Acknowledged, Action, Alert, CloseKind, Conclusion, ContractKind, ContractOutcome, Event, Height, HtlcRef, Link,
    Rejected, RevokedCommitment, RevokedHtlc, Side, Upstream,
};
use arb_lab::fixture::{ChannelFixture, Close};
use bitcoin::{OutPoint, Transaction};

use crate::bench::{Bench, START, TYPES, channel, learned, offered, output_of, received, state};
use crate::breach::{
    OFFERED, RECEIVED, cheated, concluded, first_output, moved_on, outcomes, second_level, spent, to_the_end,
};

/// What a node would know of a commitment.
fn past(fixture: &ChannelFixture, number: u64) -> RevokedCommitment {
    let state = &fixture.states(Side::Remote)[&number];
    let mut htlcs: Vec<RevokedHtlc> = state.htlcs.iter().map(RevokedHtlc::from).collect();
    htlcs.sort_by_key(|htlc| htlc.key);
    RevokedCommitment {
        feerate_sat_per_kw: state.feerate_sat_per_kw,
        local_msat: state.local_msat,
        remote_msat: state.remote_msat,
        htlcs,
    }
}

fn loaded(fixture: &ChannelFixture, number: u64, candidates: Vec<RevokedCommitment>) -> Event {
    Event::RevokedLoaded { channel: fixture.id(), number, candidates }
}

/// A running channel that is adopted at commitment 1: nothing was ever stored of commitment 0, which had an HTLC each way.
fn adopted(channel_type: arb_core::bolt3::ChannelType) -> (Bench, ChannelFixture, Transaction) {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, channel_type));
    fixture.remote_signed(0, state(&[offered(0, 50_000, 1, 450, Link::Own), received(0, 70_000, 2, 460)])).unwrap();
    let setup = fixture.setup().clone();
    bench.signer.add_channel(setup.id, setup.funding, setup.local);
    bench.hear(fixture.opened(fixture.standing(1, 1).unwrap()));
    bench.settle();
    let mut told = channel(1, channel_type);
    bench.hear(told.remote_signed(1, state(&[])).unwrap());
    bench.hear(told.local_signed(1, state(&[])).unwrap());
    let revoked = fixture.remote_commitment_tx(0).unwrap();
    (bench, fixture, revoked)
}

#[test]
fn b46_what_was_stored_is_compared_by_txid_before_anything_is_signed() {
    for channel_type in TYPES {
        let (mut bench, fixture, revoked) = cheated(channel_type);
        let asked = bench.asked.len();
        bench.quiet_block(std::slice::from_ref(&revoked));
        // Another amount in the log's row: the keys and scripts would fit, the transaction does not.
        let mut other = past(&fixture, 0);
        other.htlcs[0].amount_msat += 1_000_000;
        other.local_msat -= 1_000_000;
        bench.hear(loaded(&fixture, 0, vec![other]));
        bench.settle();
        assert_eq!(bench.close_kind(&fixture), Some(CloseKind::Unknown));
        assert!(bench.alerts(&fixture).iter().any(|alert| matches!(alert, Alert::UnknownCommitment { .. })));
        let ours = bench.asked.iter().skip(asked).flat_map(|(_, request)| &request.tx.input);
        assert_eq!(ours.count(), 1, "our main output and nothing else");
        // What is stored decides; nobody talks it into something else.
        let refused = bench.refuse(&loaded(&fixture, 0, vec![past(&fixture, 0)]));
        assert_eq!(refused, Rejected::RevokedContradicts { number: 0 });
    }
}

#[test]
fn b59_a_revoked_commitment_with_the_number_of_our_own_is_revoked() {
    for channel_type in TYPES {
        let (mut bench, mut fixture) = (Bench::new(), channel(1, channel_type));
        bench.open(&mut fixture, &[offered(0, 50_000, 1, 450, Link::Own)]);
        bench.hear(fixture.remote_signed(1, state(&[offered(0, 50_000, 1, 450, Link::Own)])).unwrap());
        bench.hear(fixture.remote_revoked(0).unwrap());
        // Ours is still 0.
        bench.block(&[fixture.remote_commitment_tx(0).unwrap()]);
        assert_eq!(bench.close_kind(&fixture), Some(CloseKind::Revoked));
        to_the_end(&mut bench, &fixture);
        assert_eq!(bench.node.sheets[&fixture.id()].lost_sat, 0);
        assert_eq!(concluded(&bench, OFFERED), 1);
    }
}

#[test]
fn l13_a_resolver_with_a_preimage_does_not_wait_once_the_cheat_has_timed_the_htlc_out() {
    for channel_type in TYPES {
        let htlcs = [received(0, 70_000, 2, 405)];
        let (mut bench, fixture, revoked) = moved_on(channel_type, &htlcs, &htlcs);
        bench.hear(learned(&fixture, RECEIVED, 2));
        bench.block(std::slice::from_ref(&revoked));
        bench.blocks_to(405);
        let timeout = second_level(&fixture, 0, RECEIVED, None);
        bench.block(std::slice::from_ref(&timeout));
        assert!(spent(&bench, &[&revoked, &timeout]).contains(&first_output(&timeout)));
        to_the_end(&mut bench, &fixture);
        assert_eq!(bench.contract_report(&fixture, RECEIVED), Some(ContractOutcome::Claimed));
    }
}

#[test]
fn d13_a_breach_never_fails_an_origin_whose_preimage_is_known() {
    for channel_type in TYPES {
        for before in [true, false] {
            let htlcs = [offered(0, 50_000, 1, 480, Link::Own), offered(1, 60_000, 3, 480, Link::Own)];
            let (mut bench, fixture, revoked) = moved_on(channel_type, &htlcs, &htlcs);
            if before {
                bench.hear(learned(&fixture, OFFERED, 1));
            }
            bench.block(std::slice::from_ref(&revoked));
            if !before {
                // The cheat shows it itself, and loses the money all the same.
                bench.block(&[second_level(&fixture, 0, OFFERED, Some(1))]);
            }
            to_the_end(&mut bench, &fixture);
            assert_eq!(bench.origin(&fixture, OFFERED), Some(Acknowledged::Settled));
            assert_eq!(bench.origin(&fixture, HtlcRef::offered(1)), Some(Acknowledged::Failed));
            assert_eq!((concluded(&bench, OFFERED), concluded(&bench, HtlcRef::offered(1))), (1, 1));
            let fails = |what: &Conclusion| {
                matches!(what, Conclusion::Released { htlc: OFFERED, outcome: Upstream::Failed(_) })
            };
            let records = bench.frames.0.iter().flat_map(|frame| &frame.entries).flat_map(|entry| &entry.concluded);
            assert!(!records.into_iter().any(|record| fails(&record.what)));
            assert_eq!(bench.node.sheets[&fixture.id()].lost_sat, 0);
        }
    }
}

#[test]
fn a_preimage_that_the_cheat_shows_after_the_origin_failed_is_no_loss_once_it_is_penalised() {
    for channel_type in TYPES {
        let htlcs = [offered(0, 50_000, 1, 480, Link::Own)];
        let (mut bench, fixture, revoked) = moved_on(channel_type, &htlcs, &htlcs);
        bench.block(std::slice::from_ref(&revoked));
        bench.blocks_to(START + 8);
        assert_eq!(bench.origin(&fixture, OFFERED), Some(Acknowledged::Failed));
        bench.block(&[second_level(&fixture, 0, OFFERED, Some(1))]);
        to_the_end(&mut bench, &fixture);
        let loss = |alert: &Alert| matches!(alert, Alert::Loss { .. } | Alert::OutputLost { .. });
        assert!(!bench.alerts(&fixture).iter().any(loss), "{:?}", bench.alerts(&fixture));
        assert_eq!(bench.contract_report(&fixture, OFFERED), Some(ContractOutcome::Claimed));
    }
}

#[test]
fn what_the_cheat_gets_anyway_is_reported_by_name() {
    for channel_type in TYPES {
        let htlcs = [offered(0, 50_000, 1, 480, Link::Own)];
        let (mut bench, fixture, revoked) = moved_on(channel_type, &htlcs, &htlcs);
        bench.block(std::slice::from_ref(&revoked));
        let success = second_level(&fixture, 0, OFFERED, Some(1));
        bench.block(std::slice::from_ref(&success));
        // Ours are censored for the whole delay.
        let delay = u32::from(fixture.setup().delay_blocks(Side::Remote));
        bench.blocks_to(START + 2 + delay);
        let commitment = fixture.commitment(Side::Remote, 0).unwrap();
        let claimant = arb_lab::peer::Claimant {
            fixture: &fixture,
            side: Side::Remote,
            commitment: &commitment,
            rates: arb_lab::peer::Rates { feerate_sat_per_kw: 500, floor_sat_per_kvb: 1000 },
        };
        let outpoint = first_output(&success);
        let sweep = claimant.second_level_output(outpoint, &success.output[0], bitcoin::ScriptBuf::new());
        bench.block(&[sweep.unwrap().unwrap()]);
        to_the_end(&mut bench, &fixture);
        assert_eq!(bench.contract_report(&fixture, OFFERED), Some(ContractOutcome::Lost));
        let lost = |alert: &Alert| matches!(alert, Alert::OutputLost { .. });
        assert!(bench.alerts(&fixture).iter().any(lost), "{:?}", bench.alerts(&fixture));
        let sheet = bench.node.sheets[&fixture.id()];
        assert_eq!(sheet.lost_sat, success.output[0].value.to_sat());
        assert!(sheet.balances(), "{sheet:?}");
        assert_eq!(bench.origin(&fixture, OFFERED), Some(Acknowledged::Settled));
    }
}

#[test]
fn r5_what_confirms_before_the_state_is_loaded_is_not_lost() {
    for channel_type in TYPES {
        let (mut bench, fixture, revoked) = cheated(channel_type);
        let success = second_level(&fixture, 0, OFFERED, Some(1));
        bench.quiet_block(&[revoked.clone(), success.clone()]);
        bench.quiet_block(&[]);
        bench.settle();
        let taken = spent(&bench, &[&revoked, &success]);
        assert!(taken.contains(&first_output(&success)));
        assert!(taken.contains(&output_of(&fixture, Side::Remote, 0, RECEIVED)));
        to_the_end(&mut bench, &fixture);
        assert_eq!(bench.node.sheets[&fixture.id()].lost_sat, 0);
        assert_eq!(outcomes(&bench, ContractKind::Htlc), [ContractOutcome::Claimed; 2]);
    }
}

#[test]
fn of_an_adopted_channel_the_secret_alone_takes_what_it_can_and_the_node_may_tell_the_rest() {
    for channel_type in TYPES {
        for told in [false, true] {
            let (mut bench, fixture, revoked) = adopted(channel_type);
            bench.block(std::slice::from_ref(&revoked));
            assert_eq!(bench.close_kind(&fixture), Some(CloseKind::Revoked));
            let missing = |alert: &Alert| matches!(alert, Alert::RevokedStateMissing { number: 0, .. });
            assert!(bench.alerts(&fixture).iter().any(missing));
            let success = second_level(&fixture, 0, OFFERED, Some(1));
            bench.block(std::slice::from_ref(&success));
            let taken = spent(&bench, &[&revoked, &success]);
            assert!(taken.contains(&first_output(&success)), "second levels are found by their script");
            let unknown = output_of(&fixture, Side::Remote, 0, RECEIVED);
            assert!(!taken.contains(&unknown));
            if told {
                let mut wrong = past(&fixture, 0);
                wrong.feerate_sat_per_kw += 1;
                let refused = bench.refuse(&loaded(&fixture, 0, vec![wrong]));
                assert_eq!(refused, Rejected::RevokedContradicts { number: 0 });
                bench.hear(loaded(&fixture, 0, vec![past(&fixture, 0)]));
                bench.settle();
                let taken = spent(&bench, &[&revoked, &success]);
                assert!(taken.contains(&unknown) && taken.contains(&first_output(&success)));
                bench.again(&loaded(&fixture, 0, vec![past(&fixture, 0)]));
                bench.again(&loaded(&fixture, 0, Vec::new()));
                to_the_end(&mut bench, &fixture);
                assert_eq!(outcomes(&bench, ContractKind::Htlc), [ContractOutcome::Claimed; 2]);
            } else {
                let timeout = second_level(&fixture, 0, RECEIVED, None);
                bench.mine_to(470);
                bench.block(std::slice::from_ref(&timeout));
                to_the_end(&mut bench, &fixture);
                assert_eq!(outcomes(&bench, ContractKind::RevokedSecondLevel), [ContractOutcome::Claimed; 2]);
            }
            let sheet = bench.node.sheets[&fixture.id()];
            assert!(sheet.balances() && sheet.lost_sat == 0, "{sheet:?}");
        }
    }
}

#[test]
fn a_commitment_that_is_revoked_after_it_confirmed_is_punished_like_any_other() {
    for channel_type in TYPES {
        let (mut bench, mut fixture) = (Bench::new(), channel(1, channel_type));
        let htlcs = [offered(0, 50_000, 1, 410, Link::Own), received(0, 70_000, 2, 460)];
        bench.open(&mut fixture, &htlcs);
        bench.hear(fixture.remote_signed(1, state(&htlcs)).unwrap());
        let confirmed = fixture.remote_commitment_tx(0).unwrap();
        bench.block(std::slice::from_ref(&confirmed));
        assert_eq!(bench.close_kind(&fixture), Some(CloseKind::Remote));
        // Our timeout claim is under way.
        bench.blocks_to(411);
        let outpoint = output_of(&fixture, Side::Remote, 0, OFFERED);
        assert!(spent(&bench, &[&confirmed]).contains(&outpoint));
        bench.hear(fixture.remote_revoked(0).unwrap());
        bench.settle();
        assert_eq!(bench.close_kind(&fixture), Some(CloseKind::Revoked));
        bench.block(&[]);
        let taken = spent(&bench, &[&confirmed]);
        assert!(taken.contains(&outpoint) && taken.contains(&output_of(&fixture, Side::Remote, 0, RECEIVED)));
        to_the_end(&mut bench, &fixture);
        assert_eq!(outcomes(&bench, ContractKind::Htlc), [ContractOutcome::Claimed; 2]);
        assert_eq!(outcomes(&bench, ContractKind::RevokedToLocal), [ContractOutcome::Claimed]);
    }
}

#[test]
fn revoked_valid_and_mutual_closes_replace_each_other() {
    for channel_type in TYPES {
        let (mut bench, mut fixture) = (Bench::new(), channel(1, channel_type));
        let htlcs = [offered(0, 50_000, 1, 480, Link::Own)];
        bench.open(&mut fixture, &htlcs);
        bench.update(&mut fixture, 1, &[offered(0, 50_000, 1, 480, Link::Own), received(0, 70_000, 2, 470)]);
        bench.update(&mut fixture, 2, &htlcs);
        let close = Close {
            local_sat: 4_000_000,
            local_script: fixture.setup().fallback_script.clone(),
            remote_sat: 4_000_000,
            remote_script: fixture.setup().fallback_script.clone(),
        };
        let mutual = fixture.mutual_close(close).unwrap();
        bench.hear(mutual.event);
        let theirs = |number| fixture.remote_commitment_tx(number).unwrap();
        let closes = [
            (theirs(0), CloseKind::Revoked),
            (theirs(2), CloseKind::Remote),
            (theirs(1), CloseKind::Revoked),
            (mutual.tx, CloseKind::Mutual),
            (theirs(1), CloseKind::Revoked),
            (theirs(0), CloseKind::Revoked),
        ];
        for (tx, kind) in &closes {
            bench.disconnect_to(START);
            bench.sent.clear();
            bench.block(std::slice::from_ref(tx));
            bench.block(&[]);
            assert_eq!(bench.close_kind(&fixture), Some(*kind));
            let own = spent(&bench, &[tx]);
            let anchors = tx.output.iter().filter(|output| output.value.to_sat() == 330).count();
            match kind {
                CloseKind::Revoked => assert_eq!(own.len(), tx.output.len() - anchors, "{channel_type:?}"),
                CloseKind::Mutual => assert!(own.is_empty()),
                _ => assert!(own.len() == 1, "our main output"),
            }
            assert!(own.iter().all(|outpoint| outpoint.txid == tx.compute_txid()));
        }
        bench.restart();
        to_the_end(&mut bench, &fixture);
        assert_eq!(concluded(&bench, OFFERED), 1);
        assert_eq!(bench.node.sheets[&fixture.id()].lost_sat, 0);
    }
}

#[test]
fn of_two_candidates_of_one_number_the_one_that_confirmed_is_punished() {
    for channel_type in TYPES {
        let (mut bench, mut fixture) = (Bench::new(), channel(1, channel_type));
        bench.open(&mut fixture, &[]);
        // Signed, lost with the connection, and signed again with other content.
        bench.hear(fixture.remote_signed(1, state(&[offered(0, 50_000, 1, 480, Link::Own)])).unwrap());
        let first = fixture.remote_commitment_tx(1).unwrap();
        bench.hear(fixture.remote_signed(1, state(&[offered(1, 60_000, 3, 480, Link::Own)])).unwrap());
        let second = fixture.remote_commitment_tx(1).unwrap();
        bench.hear(fixture.remote_revoked(0).unwrap());
        bench.hear(fixture.local_signed(1, state(&[])).unwrap());
        bench.hear(fixture.remote_signed(2, state(&[])).unwrap());
        bench.hear(fixture.remote_revoked(1).unwrap());
        for tx in [first, second] {
            bench.disconnect_to(START);
            bench.sent.clear();
            bench.block(std::slice::from_ref(&tx));
            assert_eq!(bench.close_kind(&fixture), Some(CloseKind::Revoked));
            let anchors = tx.output.iter().filter(|output| output.value.to_sat() == 330).count();
            assert_eq!(spent(&bench, &[&tx]).len(), tx.output.len() - anchors);
        }
    }
}

#[test]
fn each_penalty_is_due_in_the_last_block_before_the_cheat_can_have_it() {
    for channel_type in TYPES {
        let (mut bench, fixture, revoked) = cheated(channel_type);
        let delay = u32::from(fixture.setup().delay_blocks(Side::Remote));
        let close = START + 1;
        bench.block(std::slice::from_ref(&revoked));
        bench.blocks_to(close + 4);
        let success = second_level(&fixture, 0, OFFERED, Some(1));
        bench.block(std::slice::from_ref(&success));
        // Nothing of ours gets in.
        bench.blocks_to(480 + delay);
        let alerts = bench.alerts(&fixture);
        let deadline = |outpoint: OutPoint| {
            let of = |alert: &Alert| match alert {
                Alert::DeadlineMissed { outpoint: missed, deadline, .. } if *missed == outpoint => Some(deadline.get()),
                _ => None,
            };
            alerts.iter().find_map(of)
        };
        let main = fixture.commitment(Side::Remote, 0).unwrap();
        let vout = main.built.outputs.iter().position(|kind| *kind == OutputKind::ToOwner).unwrap();
        // A relative lock of `delay` blocks lets the spend into block `confirmed + delay`.
        assert_eq!(deadline(OutPoint::new(revoked.compute_txid(), vout as u32)), Some(close + delay - 1));
        assert_eq!(deadline(first_output(&success)), Some(close + 5 + delay - 1));
        // HTLC-timeout at expiry 460 is final in block 461.
        assert_eq!(deadline(output_of(&fixture, Side::Remote, 0, RECEIVED)), Some(461 + delay - 1));
        // Before it was spent, the success could have confirmed in the very next block.
        let (mut bench, fixture, revoked) = cheated(channel_type);
        bench.block(std::slice::from_ref(&revoked));
        bench.blocks_to(close + 1 + delay);
        let alerts = bench.alerts(&fixture);
        let outpoint = output_of(&fixture, Side::Remote, 0, OFFERED);
        let due = Height::new(close + 1 + delay - 1);
        let missed = |alert: &Alert| matches!(alert, Alert::DeadlineMissed { outpoint: of, deadline, .. } if *of == outpoint && *deadline == due);
        assert!(alerts.iter().any(missed), "{alerts:?}");
    }
}

#[test]
fn r13_an_answer_that_does_not_come_is_no_silence_and_no_end() {
    for channel_type in TYPES {
        let (mut bench, fixture, revoked) = cheated(channel_type);
        let revoked_alert = |bench: &Bench| {
            bench.alerts(&fixture).iter().any(|alert| matches!(alert, Alert::RevokedCommitment { number: 0, .. }))
        };
        bench.silent = true;
        bench.block(std::slice::from_ref(&revoked));
        assert!(!revoked_alert(&bench));
        bench.mine();
        assert!(revoked_alert(&bench));
        // Whatever else is over, the channel is not: it does not know yet what it owes and is owed.
        bench.mine_to(START + 400);
        assert!(bench.court.index_of(&fixture.id()).is_some());
        assert!(bench.court.actions_due().iter().any(|action| matches!(action, Action::LoadRevoked { number: 0, .. })));
        bench.silent = false;
        to_the_end(&mut bench, &fixture);
        assert_eq!(outcomes(&bench, ContractKind::Htlc), [ContractOutcome::Claimed; 2]);
    }
}

#[test]
fn r6_outputs_that_nobody_can_name_are_watched_past_every_delay_and_expiry() {
    for channel_type in TYPES {
        let (mut bench, fixture, revoked) = adopted(channel_type);
        bench.block(std::slice::from_ref(&revoked));
        // Everything that we can name is over for good.
        bench.mine_to(START + 110);
        let delay = u32::from(fixture.setup().delay_blocks(Side::Remote));
        bench.mine_to(START + 1 + delay + 99);
        assert!(bench.court.index_of(&fixture.id()).is_some(), "any of the others may still show a preimage");
        to_the_end(&mut bench, &fixture);
        assert!(bench.tip() >= START + 1 + delay + 100);
    }
}

#[test]
fn r7_what_is_known_under_an_id_cannot_be_told_otherwise() {
    let (mut bench, fixture, revoked) = adopted(TYPES[0]);
    let live = offered(0, 60_000, 7, 480, Link::Own);
    let mut told = channel(1, TYPES[0]);
    told.remote_signed(1, state(&[])).unwrap();
    bench.hear(told.remote_signed(2, state(std::slice::from_ref(&live))).unwrap());
    bench.block(std::slice::from_ref(&revoked));
    // Its txid fits, but the id is that of an HTLC which is live, and another one.
    let refused = bench.refuse(&loaded(&fixture, 0, vec![past(&fixture, 0)]));
    assert!(matches!(refused, Rejected::BadHtlc { htlc: OFFERED, .. }), "{refused:?}");
}
