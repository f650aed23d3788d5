//! What is known of a revoked commitment, and when: stored, missing, contradicted, or loaded late; and closes that replace
//! each other by reorgs (B46, B59, D13, L13, R5 to R7, R13).

use std::collections::BTreeSet;

use arb_core::bolt3::OutputKind;
use arb_core::{
    Acknowledged, Action, Alert, CloseKind, Conclusion, ContractKind, ContractOutcome, Event, Height, HtlcRef, Link,
    Rejected, RevokedCommitment, RevokedHtlc, Side, Upstream,
};
use arb_lab::fixture::{ChannelFixture, Close};
use bitcoin::{OutPoint, Transaction};

use crate::breach::{
    OFFERED, RECEIVED, concluded, first_output, moved_on, outcomes, revoked_with_both, second_level, spent, to_the_end,
};
use crate::test_court::{RATES, START, TYPES, TestCourt, channel, learned, offered, output_of, received, state};

/// A past commitment of the counterparty, as a node that kept records would report it.
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

/// A running channel that is adopted at commitment 1; nothing is stored of its revoked commitment 0 with an HTLC each way.
fn adopted(channel_type: arb_core::bolt3::ChannelType) -> (TestCourt, ChannelFixture, Transaction) {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
    fixture.remote_signed(0, state(&[offered(0, 50_000, 1, 450, Link::Own), received(0, 70_000, 2, 460)])).unwrap();
    let setup = fixture.setup().clone();
    test.signer.add_channel(setup.id, setup.funding, setup.local);
    test.hear(fixture.opened(fixture.standing(1, 1).unwrap()));
    test.hear(fixture.adopted());
    test.settle();
    let mut told = channel(1, channel_type);
    test.hear(told.remote_signed(1, state(&[])).unwrap());
    test.hear(told.local_signed(1, state(&[])).unwrap());
    let revoked = fixture.remote_commitment_tx(0).unwrap();
    (test, fixture, revoked)
}

#[test]
fn b46_what_was_stored_is_compared_by_txid_before_anything_is_signed() {
    for channel_type in TYPES {
        let (mut test, fixture, revoked) = revoked_with_both(channel_type);
        let asked = test.asked.len();
        test.quiet_block(std::slice::from_ref(&revoked));
        // The log's row has another amount: keys and scripts would fit, but the txid does not.
        let mut other = past(&fixture, 0);
        other.htlcs[0].amount_msat += 1_000_000;
        other.local_msat -= 1_000_000;
        let refused = test.refuse(&loaded(&fixture, 0, vec![other]));
        assert_eq!(refused, Rejected::RevokedContradicts { number: 0 });
        test.withholds_rows = true;
        test.settle();
        assert_eq!(test.close_kind(&fixture), Some(CloseKind::Revoked));
        let signed = |test: &TestCourt| {
            let inputs = test.asked.iter().skip(asked).flat_map(|(_, request)| &request.tx.input);
            inputs.map(|input| input.previous_output).collect::<BTreeSet<_>>()
        };
        assert_eq!(signed(&test).len(), 2, "our main output and theirs, which have one script whatever the HTLCs are");
        assert!(!signed(&test).contains(&output_of(&fixture, Side::Remote, 0, OFFERED)));
    }
}

/// What does not give the txid changes nothing, whoever told it and how often; the right one is taken whenever it comes.
#[test]
fn a13_a_candidate_that_does_not_fit_is_not_the_last_word() {
    for channel_type in TYPES {
        for waits in [0, 3] {
            let (mut test, fixture, revoked) = revoked_with_both(channel_type);
            test.withholds_rows = true;
            test.block(std::slice::from_ref(&revoked));
            let mut wrong = past(&fixture, 0);
            wrong.feerate_sat_per_kw += 1;
            for _ in 0..=waits {
                let refused = test.refuse(&loaded(&fixture, 0, vec![wrong.clone(), wrong.clone()]));
                assert_eq!(refused, Rejected::RevokedContradicts { number: 0 });
                let asks = |action: &Action| matches!(action, Action::LoadRevoked { number: 0, .. });
                assert!(test.court.actions_due().iter().any(asks), "it is asked for again");
                test.block(&[]);
            }
            test.hear(loaded(&fixture, 0, vec![wrong.clone(), past(&fixture, 0)]));
            test.settle();
            let refused = test.refuse(&loaded(&fixture, 0, vec![wrong]));
            assert_eq!(refused, Rejected::RevokedContradicts { number: 0 }, "what gave the txid stands");
            to_the_end(&mut test, &fixture);
            assert_eq!(outcomes(&test, ContractKind::Htlc), [ContractOutcome::Claimed; 2]);
            assert_eq!(test.node.sheets[&fixture.id()].lost_sat, 0);
        }
    }
}

/// Neither journal nor node knows the one that confirmed: an empty answer after wrong ones ends the waiting, and the secret
/// alone takes what it can.
#[test]
fn a13_after_wrong_answers_an_empty_one_still_ends_the_waiting() {
    for channel_type in TYPES {
        let (mut test, fixture, revoked) = revoked_with_both(channel_type);
        test.withholds_rows = true;
        test.block(std::slice::from_ref(&revoked));
        let mut wrong = past(&fixture, 0);
        wrong.feerate_sat_per_kw += 1;
        test.refuse(&loaded(&fixture, 0, vec![wrong]));
        test.hear(loaded(&fixture, 0, Vec::new()));
        test.settle();
        assert_eq!(test.close_kind(&fixture), Some(CloseKind::Revoked));
        let missing = |alert: &Alert| matches!(alert, Alert::RevokedStateMissing { number: 0, .. });
        assert!(test.alerts(&fixture).iter().any(missing));
        assert!(!test.court.actions_due().iter().any(|action| matches!(action, Action::LoadRevoked { .. })));
        to_the_end(&mut test, &fixture);
    }
}

#[test]
fn b59_a_revoked_commitment_with_the_number_of_our_own_is_revoked() {
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        test.open(&mut fixture, &[offered(0, 50_000, 1, 450, Link::Own)]);
        test.hear(fixture.remote_signed(1, state(&[offered(0, 50_000, 1, 450, Link::Own)])).unwrap());
        test.hear(fixture.remote_revoked(0).unwrap());
        // Our commitment is still number 0.
        test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
        assert_eq!(test.close_kind(&fixture), Some(CloseKind::Revoked));
        to_the_end(&mut test, &fixture);
        assert_eq!(test.node.sheets[&fixture.id()].lost_sat, 0);
        assert_eq!(concluded(&test, OFFERED), 1);
    }
}

#[test]
fn l13_a_resolver_with_a_preimage_does_not_wait_once_the_cheat_has_timed_the_htlc_out() {
    for channel_type in TYPES {
        let htlcs = [received(0, 70_000, 2, 405)];
        let (mut test, fixture, revoked) = moved_on(channel_type, &htlcs, &htlcs);
        test.hear(learned(&fixture, RECEIVED, 2));
        test.block(std::slice::from_ref(&revoked));
        test.blocks_to(405);
        let timeout = second_level(&fixture, 0, RECEIVED, None);
        test.block(std::slice::from_ref(&timeout));
        assert!(spent(&test, &[&revoked, &timeout]).contains(&first_output(&timeout)));
        to_the_end(&mut test, &fixture);
        assert_eq!(test.contract_report(&fixture, RECEIVED), Some(ContractOutcome::Claimed));
    }
}

#[test]
fn d13_a_breach_never_fails_an_origin_whose_preimage_is_known() {
    for channel_type in TYPES {
        for before in [true, false] {
            let htlcs = [offered(0, 50_000, 1, 480, Link::Own), offered(1, 60_000, 3, 480, Link::Own)];
            let (mut test, fixture, revoked) = moved_on(channel_type, &htlcs, &htlcs);
            if before {
                test.hear(learned(&fixture, OFFERED, 1));
            }
            test.block(std::slice::from_ref(&revoked));
            if !before {
                // The counterparty shows the preimage itself, and its output is claimed too.
                test.block(&[second_level(&fixture, 0, OFFERED, Some(1))]);
            }
            to_the_end(&mut test, &fixture);
            assert_eq!(test.acknowledged(&fixture, OFFERED), Some(Acknowledged::Settled));
            assert_eq!(test.acknowledged(&fixture, HtlcRef::offered(1)), Some(Acknowledged::Failed));
            assert_eq!((concluded(&test, OFFERED), concluded(&test, HtlcRef::offered(1))), (1, 1));
            let fails = |what: &Conclusion| {
                matches!(what, Conclusion::Released { htlc: OFFERED, outcome: Upstream::Failed(_) })
            };
            let records = test.frames.0.iter().flat_map(|frame| &frame.entries).flat_map(|entry| &entry.concluded);
            assert!(!records.into_iter().any(|record| fails(&record.what)));
            assert_eq!(test.node.sheets[&fixture.id()].lost_sat, 0);
        }
    }
}

#[test]
fn a_preimage_that_the_cheat_shows_after_the_origin_failed_is_no_loss_once_it_is_penalised() {
    for channel_type in TYPES {
        let htlcs = [offered(0, 50_000, 1, 480, Link::Own)];
        let (mut test, fixture, revoked) = moved_on(channel_type, &htlcs, &htlcs);
        test.block(std::slice::from_ref(&revoked));
        test.blocks_to(START + 8);
        assert_eq!(test.acknowledged(&fixture, OFFERED), Some(Acknowledged::Failed));
        test.block(&[second_level(&fixture, 0, OFFERED, Some(1))]);
        to_the_end(&mut test, &fixture);
        let loss = |alert: &Alert| matches!(alert, Alert::Loss { .. } | Alert::OutputLost { .. });
        assert!(!test.alerts(&fixture).iter().any(loss), "{:?}", test.alerts(&fixture));
        assert_eq!(test.contract_report(&fixture, OFFERED), Some(ContractOutcome::Claimed));
    }
}

#[test]
fn a54_what_the_revoked_commitment_does_not_have_was_not_paid_there() {
    for channel_type in TYPES {
        let twin = |id| offered(id, 50_000, 1, 480, Link::Own);
        let (mut test, fixture, revoked) = moved_on(channel_type, &[twin(0)], &[twin(0), twin(1)]);
        test.block(std::slice::from_ref(&revoked));
        test.blocks_to(START + 8);
        assert_eq!(test.acknowledged(&fixture, HtlcRef::offered(1)), Some(Acknowledged::Failed));
        let success = second_level(&fixture, 0, OFFERED, Some(1));
        test.block(std::slice::from_ref(&success));
        let delay = u32::from(fixture.setup().delay_blocks(Side::Remote));
        test.blocks_to(START + 9 + delay);
        let commitment = fixture.commitment(Side::Remote, 0).unwrap();
        let claimant =
            arb_lab::peer::Claimant { fixture: &fixture, side: Side::Remote, commitment: &commitment, rates: RATES };
        let sweep = claimant.second_level_output(first_output(&success), &success.output[0], bitcoin::ScriptBuf::new());
        test.block(&[sweep.unwrap().unwrap()]);
        let alerts = test.alerts(&fixture);
        let lost = |of| alerts.iter().filter(|alert| matches!(alert, Alert::Loss { htlc, .. } if *htlc == of)).count();
        assert_eq!((lost(OFFERED), lost(HtlcRef::offered(1))), (1, 0), "{channel_type:?}");
    }
}

#[test]
fn a55_the_report_of_our_main_output_on_a_revoked_commitment_has_its_fee() {
    for channel_type in TYPES {
        let (mut test, fixture, revoked) = revoked_with_both(channel_type);
        test.block(std::slice::from_ref(&revoked));
        to_the_end(&mut test, &fixture);
        let ours = test.node.reports.iter().map(|(_, report)| report);
        let (main, all): (Vec<_>, Vec<_>) = ours.partition(|report| report.kind == ContractKind::ToRemote);
        assert!(main[0].fee_sat > 0, "{channel_type:?}");
        // With the commitment's own, they are the sheet's.
        let reported: u64 = main.iter().chain(&all).map(|report| report.fee_sat).sum();
        let outputs: u64 = revoked.output.iter().map(|output| output.value.to_sat()).sum();
        let sheet = test.node.sheets[&fixture.id()];
        assert_eq!(reported + sheet.capacity_sat - outputs, sheet.fees_sat, "{channel_type:?}");
    }
}

#[test]
fn what_the_cheat_gets_anyway_is_reported_by_name() {
    for channel_type in TYPES {
        let htlcs = [offered(0, 50_000, 1, 480, Link::Own)];
        let (mut test, fixture, revoked) = moved_on(channel_type, &htlcs, &htlcs);
        test.block(std::slice::from_ref(&revoked));
        let success = second_level(&fixture, 0, OFFERED, Some(1));
        test.block(std::slice::from_ref(&success));
        // None of our transactions confirms for the whole delay.
        let delay = u32::from(fixture.setup().delay_blocks(Side::Remote));
        test.blocks_to(START + 2 + delay);
        let commitment = fixture.commitment(Side::Remote, 0).unwrap();
        let claimant =
            arb_lab::peer::Claimant { fixture: &fixture, side: Side::Remote, commitment: &commitment, rates: RATES };
        let outpoint = first_output(&success);
        let sweep = claimant.second_level_output(outpoint, &success.output[0], bitcoin::ScriptBuf::new());
        test.block(&[sweep.unwrap().unwrap()]);
        to_the_end(&mut test, &fixture);
        assert_eq!(test.contract_report(&fixture, OFFERED), Some(ContractOutcome::Lost));
        let lost = |alert: &Alert| matches!(alert, Alert::OutputLost { .. });
        assert!(test.alerts(&fixture).iter().any(lost), "{:?}", test.alerts(&fixture));
        let sheet = test.node.sheets[&fixture.id()];
        assert_eq!(sheet.lost_sat, success.output[0].value.to_sat());
        assert!(sheet.balances(), "{sheet:?}");
        assert_eq!(test.acknowledged(&fixture, OFFERED), Some(Acknowledged::Settled));
    }
}

#[test]
fn r5_what_confirms_before_the_state_is_loaded_is_not_lost() {
    for channel_type in TYPES {
        let (mut test, fixture, revoked) = revoked_with_both(channel_type);
        let success = second_level(&fixture, 0, OFFERED, Some(1));
        test.quiet_block(&[revoked.clone(), success.clone()]);
        test.quiet_block(&[]);
        test.settle();
        let taken = spent(&test, &[&revoked, &success]);
        assert!(taken.contains(&first_output(&success)));
        assert!(taken.contains(&output_of(&fixture, Side::Remote, 0, RECEIVED)));
        to_the_end(&mut test, &fixture);
        assert_eq!(test.node.sheets[&fixture.id()].lost_sat, 0);
        assert_eq!(outcomes(&test, ContractKind::Htlc), [ContractOutcome::Claimed; 2]);
    }
}

#[test]
fn of_an_adopted_channel_the_secret_alone_takes_what_it_can_and_the_node_may_tell_the_rest() {
    for channel_type in TYPES {
        for told in [false, true] {
            let (mut test, fixture, revoked) = adopted(channel_type);
            test.block(std::slice::from_ref(&revoked));
            assert_eq!(test.close_kind(&fixture), Some(CloseKind::Revoked));
            let missing = |alert: &Alert| matches!(alert, Alert::RevokedStateMissing { number: 0, .. });
            assert!(test.alerts(&fixture).iter().any(missing));
            let success = second_level(&fixture, 0, OFFERED, Some(1));
            test.block(std::slice::from_ref(&success));
            let taken = spent(&test, &[&revoked, &success]);
            assert!(taken.contains(&first_output(&success)), "second levels are found by their script");
            let unknown = output_of(&fixture, Side::Remote, 0, RECEIVED);
            assert!(!taken.contains(&unknown));
            if told {
                let mut wrong = past(&fixture, 0);
                wrong.feerate_sat_per_kw += 1;
                let refused = test.refuse(&loaded(&fixture, 0, vec![wrong]));
                assert_eq!(refused, Rejected::RevokedContradicts { number: 0 });
                test.hear(loaded(&fixture, 0, vec![past(&fixture, 0)]));
                test.settle();
                let taken = spent(&test, &[&revoked, &success]);
                assert!(taken.contains(&unknown) && taken.contains(&first_output(&success)));
                test.again(&loaded(&fixture, 0, vec![past(&fixture, 0)]));
                test.again(&loaded(&fixture, 0, Vec::new()));
                to_the_end(&mut test, &fixture);
                assert_eq!(outcomes(&test, ContractKind::Htlc), [ContractOutcome::Claimed; 2]);
            } else {
                let timeout = second_level(&fixture, 0, RECEIVED, None);
                test.mine_to(470);
                test.block(std::slice::from_ref(&timeout));
                to_the_end(&mut test, &fixture);
                assert_eq!(outcomes(&test, ContractKind::RevokedSecondLevel), [ContractOutcome::Claimed; 2]);
            }
            let sheet = test.node.sheets[&fixture.id()];
            assert!(sheet.balances() && sheet.lost_sat == 0, "{sheet:?}");
        }
    }
}

#[test]
fn a_commitment_that_is_revoked_after_it_confirmed_is_punished_like_any_other() {
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        let htlcs = [offered(0, 50_000, 1, 410, Link::Own), received(0, 70_000, 2, 460)];
        test.open(&mut fixture, &htlcs);
        test.hear(fixture.remote_signed(1, state(&htlcs)).unwrap());
        let confirmed = fixture.remote_commitment_tx(0).unwrap();
        test.block(std::slice::from_ref(&confirmed));
        assert_eq!(test.close_kind(&fixture), Some(CloseKind::Remote));
        // Our claim after the timeout is sent.
        test.blocks_to(411);
        let outpoint = output_of(&fixture, Side::Remote, 0, OFFERED);
        assert!(spent(&test, &[&confirmed]).contains(&outpoint));
        test.hear(fixture.remote_revoked(0).unwrap());
        test.settle();
        assert_eq!(test.close_kind(&fixture), Some(CloseKind::Revoked));
        test.block(&[]);
        let taken = spent(&test, &[&confirmed]);
        assert!(taken.contains(&outpoint) && taken.contains(&output_of(&fixture, Side::Remote, 0, RECEIVED)));
        to_the_end(&mut test, &fixture);
        assert_eq!(outcomes(&test, ContractKind::Htlc), [ContractOutcome::Claimed; 2]);
        assert_eq!(outcomes(&test, ContractKind::RevokedToLocal), [ContractOutcome::Claimed]);
    }
}

#[test]
fn revoked_valid_and_mutual_closes_replace_each_other() {
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        let htlcs = [offered(0, 50_000, 1, 480, Link::Own)];
        test.open(&mut fixture, &[]);
        let close = Close {
            local_sat: 4_000_000,
            local_script: fixture.setup().fallback_script.clone(),
            remote_sat: 4_000_000,
            remote_script: fixture.setup().fallback_script.clone(),
        };
        let mutual = fixture.mutual_close(close).unwrap();
        // Signed while there is no HTLC.
        test.hear(mutual.event);
        test.update(&mut fixture, 1, &[offered(0, 50_000, 1, 480, Link::Own), received(0, 70_000, 2, 470)]);
        test.update(&mut fixture, 2, &htlcs);
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
            test.disconnect_to(START);
            test.sent.clear();
            test.block(std::slice::from_ref(tx));
            test.block(&[]);
            assert_eq!(test.close_kind(&fixture), Some(*kind));
            let own = spent(&test, &[tx]);
            let anchors = tx.output.iter().filter(|output| output.value.to_sat() == 330).count();
            match kind {
                CloseKind::Revoked => assert_eq!(own.len(), tx.output.len() - anchors, "{channel_type:?}"),
                CloseKind::Mutual => assert!(own.is_empty()),
                _ => assert!(own.len() == 1, "our main output"),
            }
            assert!(own.iter().all(|outpoint| outpoint.txid == tx.compute_txid()));
        }
        test.restart();
        to_the_end(&mut test, &fixture);
        assert_eq!(concluded(&test, OFFERED), 1);
        assert_eq!(test.node.sheets[&fixture.id()].lost_sat, 0);
    }
}

#[test]
fn of_two_candidates_of_one_number_the_one_that_confirmed_is_punished() {
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        test.open(&mut fixture, &[]);
        // Signed, lost with the connection, and signed again with other HTLCs.
        test.hear(fixture.remote_signed(1, state(&[offered(0, 50_000, 1, 480, Link::Own)])).unwrap());
        let first = fixture.remote_commitment_tx(1).unwrap();
        test.hear(fixture.remote_signed(1, state(&[offered(1, 60_000, 3, 480, Link::Own)])).unwrap());
        let second = fixture.remote_commitment_tx(1).unwrap();
        test.hear(fixture.remote_revoked(0).unwrap());
        test.hear(fixture.local_signed(1, state(&[])).unwrap());
        test.hear(fixture.remote_signed(2, state(&[])).unwrap());
        test.hear(fixture.remote_revoked(1).unwrap());
        for tx in [first, second] {
            test.disconnect_to(START);
            test.sent.clear();
            test.block(std::slice::from_ref(&tx));
            assert_eq!(test.close_kind(&fixture), Some(CloseKind::Revoked));
            let anchors = tx.output.iter().filter(|output| output.value.to_sat() == 330).count();
            assert_eq!(spent(&test, &[&tx]).len(), tx.output.len() - anchors);
        }
    }
}

#[test]
fn each_penalty_is_due_in_the_last_block_before_the_cheat_can_have_it() {
    for channel_type in TYPES {
        let (mut test, fixture, revoked) = revoked_with_both(channel_type);
        let delay = u32::from(fixture.setup().delay_blocks(Side::Remote));
        let close = START + 1;
        test.block(std::slice::from_ref(&revoked));
        test.blocks_to(close + 4);
        let success = second_level(&fixture, 0, OFFERED, Some(1));
        test.block(std::slice::from_ref(&success));
        // None of our transactions confirms.
        test.blocks_to(480 + delay);
        let alerts = test.alerts(&fixture);
        let deadline = |outpoint: OutPoint| {
            let of = |alert: &Alert| match alert {
                Alert::DeadlineMissed { outpoint: missed, deadline, .. } if *missed == outpoint => Some(deadline.get()),
                _ => None,
            };
            alerts.iter().find_map(of)
        };
        let main = fixture.commitment(Side::Remote, 0).unwrap();
        let vout = main.built.outputs.iter().position(|kind| *kind == OutputKind::ToOwner).unwrap();
        // With a relative lock of `delay` blocks, the spend can confirm in block `confirmed + delay` at the earliest.
        assert_eq!(deadline(OutPoint::new(revoked.compute_txid(), vout as u32)), Some(close + delay - 1));
        assert_eq!(deadline(first_output(&success)), Some(close + 5 + delay - 1));
        // HTLC-timeout with expiry 460 can confirm in block 461 at the earliest.
        assert_eq!(deadline(output_of(&fixture, Side::Remote, 0, RECEIVED)), Some(461 + delay - 1));
        // While the output is unspent, its HTLC-success could still confirm in the next block.
        let (mut test, fixture, revoked) = revoked_with_both(channel_type);
        test.block(std::slice::from_ref(&revoked));
        test.blocks_to(close + 1 + delay);
        let alerts = test.alerts(&fixture);
        let outpoint = output_of(&fixture, Side::Remote, 0, OFFERED);
        let due = Height::new(close + 1 + delay - 1);
        let missed = |alert: &Alert| matches!(alert, Alert::DeadlineMissed { outpoint: of, deadline, .. } if *of == outpoint && *deadline == due);
        assert!(alerts.iter().any(missed), "{alerts:?}");
    }
}

#[test]
fn r13_an_answer_that_does_not_come_is_no_silence_and_no_end() {
    for channel_type in TYPES {
        let (mut test, fixture, revoked) = revoked_with_both(channel_type);
        let revoked_alert = |test: &TestCourt| {
            test.alerts(&fixture).iter().any(|alert| matches!(alert, Alert::RevokedCommitment { number: 0, .. }))
        };
        test.withholds_rows = true;
        test.block(std::slice::from_ref(&revoked));
        assert!(!revoked_alert(&test));
        test.mine();
        assert!(revoked_alert(&test));
        // The channel is not over: without the answer its HTLCs are unknown.
        test.mine_to(START + 400);
        assert!(test.court.index_of(&fixture.id()).is_some());
        assert!(test.court.actions_due().iter().any(|action| matches!(action, Action::LoadRevoked { number: 0, .. })));
        test.withholds_rows = false;
        to_the_end(&mut test, &fixture);
        assert_eq!(outcomes(&test, ContractKind::Htlc), [ContractOutcome::Claimed; 2]);
    }
}

#[test]
fn r6_outputs_that_nobody_can_name_are_watched_past_every_delay_and_expiry() {
    for channel_type in TYPES {
        let (mut test, fixture, revoked) = adopted(channel_type);
        test.block(std::slice::from_ref(&revoked));
        // Every known contract is irrevocably resolved.
        test.mine_to(START + 110);
        let delay = u32::from(fixture.setup().delay_blocks(Side::Remote));
        test.mine_to(START + 1 + delay + 99);
        assert!(test.court.index_of(&fixture.id()).is_some(), "a spend of the other outputs may still show a preimage");
        to_the_end(&mut test, &fixture);
        assert!(test.tip() >= START + 1 + delay + 100);
    }
}

#[test]
fn r7_what_is_known_under_an_id_cannot_be_told_otherwise() {
    let (mut test, fixture, revoked) = adopted(TYPES[0]);
    let live = offered(0, 60_000, 7, 480, Link::Own);
    let mut told = channel(1, TYPES[0]);
    told.remote_signed(1, state(&[])).unwrap();
    test.hear(told.remote_signed(2, state(std::slice::from_ref(&live))).unwrap());
    test.block(std::slice::from_ref(&revoked));
    // The txid fits, but id 0 names a different, live HTLC.
    let refused = test.refuse(&loaded(&fixture, 0, vec![past(&fixture, 0)]));
    assert!(matches!(refused, Rejected::BadHtlc { htlc: OFFERED, .. }), "{refused:?}");
}
