//! Incidents of other implementations, by the ids of `arb_core::incidents`: how a contract reads spends of its output,
//! foreign ones and our own (B19, B36, B37, B40, B41, B46).

use arb_core::bolt3::{ChannelType, delayed_script};
use arb_core::{Alert, ContractOutcome, Event, HtlcRef, Link, Side, StageRecord};
use arb_lab::chain::flat_fees;
use arb_lab::fixture::ChannelFixture;
use bitcoin::{OutPoint, ScriptBuf, Transaction, TxOut};

use crate::test_court::{
    ANCHORS, START, TYPES, TestCourt, channel, height, learned, offered, output_of, position, preimage, received, spend,
};

/// Our second-level transaction of an HTLC, with a witness of the right shape and invalid signatures.
fn like_our_second_level(fixture: &ChannelFixture, htlc: HtlcRef, secret: Option<u8>) -> Transaction {
    let commitment = fixture.commitment(Side::Local, 0).unwrap();
    let index = position(fixture, Side::Local, 0, htlc);
    let mut level = fixture.second_level(&commitment, index).unwrap();
    let middle = secret.map_or(vec![], |secret| preimage(secret).0.to_vec());
    let witness = [vec![], vec![0x30; 71], vec![0x30; 71], middle, level.script.to_bytes()];
    level.tx.input[0].witness = bitcoin::Witness::from_slice(&witness);
    level.tx
}

#[test]
fn b19_a_foreign_spend_in_the_shape_of_ours_makes_no_phantom_claim() {
    for htlc in [HtlcRef::offered(0), HtlcRef::received(0)] {
        for how in 0..3 {
            let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
            test.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own), received(0, 60_000, 2, START + 50)]);
            test.hear(learned(&fixture, HtlcRef::received(0), 2));
            test.block(&[fixture.local_commitment_tx(0).unwrap()]);
            test.blocks_to(START + 6);
            let secret = (!htlc.is_offered()).then_some(2);
            let mut tx = like_our_second_level(&fixture, htlc, secret);
            let foreign = test.keys.script_for(b"somebody");
            match how {
                // Another script, no output, or our output at another index.
                0 => tx.output[0].script_pubkey = foreign,
                1 => tx.output.clear(),
                _ => tx.output.insert(0, TxOut { script_pubkey: foreign, ..tx.output[0].clone() }),
            }
            test.block(&[tx.clone()]);
            let stage = test.contract(&fixture, htlc).stage;
            assert!(matches!(stage, StageRecord::Spent { .. }), "{htlc} {how}: {stage:?}");
            test.mine_to(START + 160);
            let txid = tx.compute_txid();
            let phantom = |tx: &Transaction| tx.input.iter().any(|input| input.previous_output.txid == txid);
            assert!(!test.sent.iter().any(|(_, tx)| phantom(tx)), "{htlc} {how}");
            assert_eq!(test.contract_report(&fixture, htlc), Some(ContractOutcome::Lost));
            let lost = |alert: &Alert| matches!(alert, Alert::OutputLost { by, .. } if *by == txid);
            assert!(test.alerts(&fixture).iter().any(lost));
        }
    }
}

#[test]
fn b19_the_real_second_level_is_followed_and_swept() {
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        let htlc = HtlcRef::offered(0);
        test.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
        test.block(&[fixture.local_commitment_tx(0).unwrap()]);
        test.mine_to(START + 7);
        let keys = fixture.commitment(Side::Local, 0).unwrap().built.keys;
        let delayed = delayed_script(&keys.revocation, 144, &keys.owner_delayed).to_p2wsh();
        let spent = output_of(&fixture, Side::Local, 0, htlc);
        let (_, tx) = test.sent.iter().find(|(_, tx)| tx.input[0].previous_output == spent).unwrap();
        assert_eq!(tx.output[0].script_pubkey, delayed);
        test.mine_to(START + 300);
        assert_eq!(test.contract_report(&fixture, htlc), Some(ContractOutcome::Claimed));
    }
}

/// Witnesses that satisfy no path of any script.
fn odd_witnesses(script: &[u8]) -> Vec<Vec<Vec<u8>>> {
    vec![
        vec![],
        vec![vec![]],
        vec![vec![], vec![]],
        vec![vec![1; 32]],
        vec![vec![0x50]],
        vec![vec![0x50], vec![0x50]],
        vec![script.to_vec()],
        vec![vec![], script.to_vec()],
        vec![vec![], vec![], vec![], vec![], vec![], vec![], vec![0x50], script.to_vec()],
        vec![vec![0xff; 520], vec![0xff; 33], script.to_vec()],
    ]
}

#[test]
fn b36_b37_descendants_with_empty_or_short_witnesses_do_no_harm() {
    for side in [Side::Local, Side::Remote] {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
        test.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own), received(0, 60_000, 2, START + 50)]);
        test.block(&[fixture.commitment_tx(side, 0).unwrap()]);
        let commitment = fixture.commitment(side, 0).unwrap();
        let first = test.tip();
        for vout in 0..u32::try_from(commitment.built.tx.output.len()).unwrap() {
            let script = commitment.scripts[usize::try_from(vout).unwrap()].clone().unwrap_or_default();
            for (salt, witness) in (0..).zip(odd_witnesses(script.as_bytes())) {
                let tx = spend(&[(commitment.outpoint(vout), witness)], script.to_p2wsh(), 1000 + salt);
                let below = spend(&[(OutPoint::new(tx.compute_txid(), 0), vec![])], ScriptBuf::new(), 1);
                test.block(&[tx, below]);
                test.disconnect_to(first);
            }
        }
        test.settle();
        // The reorgs removed all of them, and the close goes on.
        assert!(test.close_kind(&fixture).is_some());
        test.mine_to(START + 300);
        assert_eq!(test.node.sheets.len(), 1);
        assert_eq!(test.node.sheets[&fixture.id()].lost_sat, 0);
    }
}

#[test]
fn b36_a_funding_spent_by_nothing_at_all_is_unknown() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
    let mut tx = spend(&[(fixture.setup().funding, vec![])], ScriptBuf::new(), 0);
    tx.output.clear();
    test.block(&[tx.clone()]);
    assert_eq!(test.close_kind(&fixture), Some(arb_core::CloseKind::Unknown));
    assert!(test.alerts(&fixture).contains(&Alert::UnknownCommitment { txid: tx.compute_txid() }));
    // Only the give-up rule fails it.
    test.blocks_to(START + 5 + 99);
    assert_eq!(test.outcome(&fixture, HtlcRef::offered(0)), None);
    test.blocks_to(START + 5 + 100);
    let why = arb_core::FailReason::ForgetDepth;
    assert_eq!(test.acknowledged(&fixture, HtlcRef::offered(0)), Some(arb_core::Acknowledged::Failed));
    assert_eq!(test.node.sheets.len(), 1, "nothing is left to wait for");
    assert!(test.alerts(&fixture).contains(&Alert::Risk { htlc: HtlcRef::offered(0), why, amount_sat: 50_000 }));
}

#[test]
fn b40_every_htlc_transaction_carries_the_signature_of_its_own_output() {
    // Equal amounts and hashes, different expiries, and one too small for an output: list order and output order differ.
    let htlcs = [
        offered(0, 50_000, 1, START + 12, Link::Own),
        offered(1, 100, 1, START + 6, Link::Own),
        offered(2, 50_000, 1, START + 7, Link::Own),
        offered(3, 20_000, 4, START + 9, Link::Own),
        received(0, 50_000, 2, START + 60),
        received(1, 30_000, 3, START + 60),
    ];
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        test.open(&mut fixture, &htlcs);
        for (id, secret) in [(0, 2), (1, 3)] {
            test.hear(learned(&fixture, HtlcRef::received(id), secret));
        }
        test.block(&[fixture.local_commitment_tx(0).unwrap()]);
        test.blocks_to(START + 12);
        let commitment = fixture.commitment(Side::Local, 0).unwrap();
        for htlc in htlcs.iter().filter(|htlc| htlc.amount_sat() > 100) {
            let index = position(&fixture, Side::Local, 0, htlc.key);
            let level = fixture.second_level(&commitment, index).unwrap();
            let spent = level.tx.input[0].previous_output;
            let place = |tx: &bitcoin::Transaction| tx.input.iter().position(|input| input.previous_output == spent);
            let sent = test.sent.iter().find_map(|(at, tx)| Some((at, tx, place(tx)?)));
            let (at, tx, input) = sent.unwrap_or_else(|| panic!("{channel_type:?}: {} is not claimed", htlc.key));
            let der = bitcoin::secp256k1::ecdsa::Signature::from_compact(&level.other_sig.0).unwrap().serialize_der();
            let witness: Vec<&[u8]> = tx.input[input].witness.iter().collect();
            assert_eq!(witness[1].split_last().unwrap().1, &der[..], "{channel_type:?} {}", htlc.key);
            assert_eq!(tx.lock_time, level.tx.lock_time);
            let first = if htlc.key.is_offered() { htlc.cltv_expiry } else { height(START + 1) };
            assert_eq!(*at, first.get(), "{}", htlc.key);
        }
    }
}

#[test]
fn b40_one_output_that_costs_more_than_it_is_worth_stops_no_other() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let htlcs = [offered(0, 700, 1, START + 6, Link::Own), offered(1, 500_000, 2, START + 6, Link::Own)];
    test.open(&mut fixture, &htlcs);
    // Half of the small HTLC does not pay the relay fee, not even in a transaction of two.
    test.hear(flat_fees(2_500, 1_000));
    test.block(&[fixture.local_commitment_tx(0).unwrap()]);
    test.mine_to(START + 10);
    let claimed = |htlc| {
        let outpoint = output_of(&fixture, Side::Local, 0, htlc);
        test.sent.iter().any(|(_, tx)| tx.input.iter().any(|input| input.previous_output == outpoint))
    };
    assert!(!claimed(HtlcRef::offered(0)) && claimed(HtlcRef::offered(1)));
    test.mine_to(START + 400);
    // A14: it is worth its fee at the floor, so it waits for lower fees until the node gives it up.
    assert_eq!(test.contract_report(&fixture, HtlcRef::offered(0)), None);
    let outpoint = output_of(&fixture, Side::Local, 0, HtlcRef::offered(0));
    test.hear(Event::ClaimAbandoned { channel: fixture.id(), outpoint });
    test.mine_to(START + 600);
    assert_eq!(test.contract_report(&fixture, HtlcRef::offered(0)), Some(ContractOutcome::Uneconomic));
    assert_eq!(test.contract_report(&fixture, HtlcRef::offered(1)), Some(ContractOutcome::Claimed));
    assert_eq!(test.node.sheets.len(), 1, "the channel is resolved");
}

/// A second-level output that is given up: what its first stage cost stays paid.
#[test]
fn a55_the_report_of_a_contract_that_is_given_up_has_what_its_first_stage_cost() {
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        test.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own)]);
        let close = fixture.local_commitment_tx(0).unwrap();
        test.block(std::slice::from_ref(&close));
        test.mine_to(START + 10);
        test.blocks_to(START + 10 + u32::from(fixture.setup().delay_blocks(Side::Local)));
        let outpoint = output_of(&fixture, Side::Local, 0, HtlcRef::offered(0));
        test.hear(Event::ClaimAbandoned { channel: fixture.id(), outpoint });
        // The claim that was sent before does not confirm.
        test.block(&[]);
        test.mine_to(START + 600);
        assert_eq!(test.contract_report(&fixture, HtlcRef::offered(0)), Some(ContractOutcome::Uneconomic));
        let fees = |htlc: Option<HtlcRef>| {
            let reports = test.node.reports.iter().map(|(_, report)| report);
            reports
                .filter(|report| htlc.is_none_or(|htlc| report.htlc == Some(htlc)))
                .map(|report| report.fee_sat)
                .sum()
        };
        let (of_htlc, of_all): (u64, u64) = (fees(Some(HtlcRef::offered(0))), fees(None));
        assert!(of_htlc > 0, "{channel_type:?}");
        // With the commitment's own, they are the sheet's.
        let outputs: u64 = close.output.iter().map(|output| output.value.to_sat()).sum();
        let sheet = test.node.sheets[&fixture.id()];
        assert_eq!(of_all + sheet.capacity_sat - outputs, sheet.fees_sat, "{channel_type:?}");
    }
}

#[test]
fn b41_our_main_output_is_claimed_from_a_revoked_and_from_an_unknown_commitment() {
    for channel_type in [ChannelType::StaticRemotekey, ANCHORS] {
        for number in [0, 2] {
            let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
            test.open(&mut fixture, &[]);
            test.update(&mut fixture, 1, &[]);
            fixture.sign_unheard(Side::Remote, 2, crate::test_court::state(&[]));
            test.block(&[fixture.remote_commitment_tx(number).unwrap()]);
            test.mine_to(START + 5);
            let commitment = fixture.commitment(Side::Remote, number).unwrap();
            let ours = |kind: &arb_core::bolt3::OutputKind| *kind == arb_core::bolt3::OutputKind::ToOther;
            let vout = commitment.built.outputs.iter().position(ours).unwrap();
            let outpoint = commitment.outpoint(u32::try_from(vout).unwrap());
            assert!(test.sent.iter().any(|(_, tx)| tx.input[0].previous_output == outpoint));
        }
    }
}

#[test]
fn b46_signatures_are_asked_with_complete_requests_only() {
    // L22, B46: a request has a prevout for each input and a key for each signature.
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        test.open(&mut fixture, &[offered(0, 50_000, 1, START + 5, Link::Own), received(0, 60_000, 2, START + 50)]);
        test.hear(learned(&fixture, HtlcRef::received(0), 2));
        test.hear(Event::CloseRequested { channel: fixture.id(), why: arb_core::CloseReason::Operator });
        test.settle();
        test.block(&[fixture.local_commitment_tx(0).unwrap()]);
        test.mine_to(START + 200);
        assert!(test.asked.len() >= 5, "commitment, two second levels, three delayed outputs");
        for (_, request) in &test.asked {
            assert_eq!(request.tx.input.len(), request.prevouts.len());
            assert_eq!(request.tx.input.len(), request.inputs.len());
            assert!(request.tx.input.iter().all(|input| input.witness.is_empty()));
        }
    }
}
