//! Revoked commitments: recognised, rebuilt from the log's rows, and every output claimed, also through the counterparty's
//! second level (B1, B7, B38, B41 to B45, L39, I7).

use arb_core::bolt3::ChannelType;
use arb_core::{
    Acknowledged, Action, BroadcastAnswer, BroadcastRejection, CloseKind, Conclusion, ContractKind, ContractOutcome,
    Event, FailReason, Htlc, HtlcRef, Link, Side, Upstream,
};
use arb_lab::fixture::ChannelFixture;
use arb_lab::peer::Claimant;
use bitcoin::{OutPoint, ScriptBuf, Transaction, TxOut};
use std::collections::BTreeSet;

use crate::test_court::{
    ANCHORS, RATES, START, TYPES, TestCourt, channel, offered, output_of, position, preimage, received, spend,
};

pub const OFFERED: HtlcRef = HtlcRef::offered(0);
pub const RECEIVED: HtlcRef = HtlcRef::received(0);

/// A channel that has moved on from commitment 0 with `htlcs` to 1 with `later`, and the counterparty's revoked commitment 0.
pub fn moved_on(channel_type: ChannelType, htlcs: &[Htlc], later: &[Htlc]) -> (TestCourt, ChannelFixture, Transaction) {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
    test.open(&mut fixture, htlcs);
    test.update(&mut fixture, 1, later);
    let revoked = fixture.remote_commitment_tx(0).unwrap();
    (test, fixture, revoked)
}

/// [`moved_on`] with an HTLC each way on the revoked commitment, and none on the newer ones.
pub fn revoked_with_both(channel_type: ChannelType) -> (TestCourt, ChannelFixture, Transaction) {
    moved_on(channel_type, &[offered(0, 50_000, 1, 450, Link::Own), received(0, 70_000, 2, 460)], &[])
}

/// The counterparty's HTLC transaction: HTLC-success with a preimage for what we offered, HTLC-timeout for what it offered.
pub fn second_level(fixture: &ChannelFixture, number: u64, htlc: HtlcRef, secret: Option<u8>) -> Transaction {
    let commitment = fixture.commitment(Side::Remote, number).unwrap();
    let claimant = Claimant { fixture, side: Side::Remote, commitment: &commitment, rates: RATES };
    let index = position(fixture, Side::Remote, number, htlc);
    claimant.second_level(index, secret.map(preimage), None).unwrap()
}

/// Our transactions at this tip; of several that spend the same output, the last one that was sent.
fn ours(test: &TestCourt) -> Vec<&Transaction> {
    let (tip, mut taken) = (test.tip(), BTreeSet::new());
    let sent = test.sent.iter().rev().filter(|(at, _)| *at == tip).map(|(_, tx)| tx);
    let mut last: Vec<&Transaction> = Vec::new();
    for tx in sent {
        if tx.input.iter().all(|input| !taken.contains(&input.previous_output)) {
            last.push(tx);
        }
        taken.extend(tx.input.iter().map(|input| input.previous_output));
    }
    last
}

/// The outputs of `parents` that our transactions at this tip spend; the script interpreter checks each input.
pub fn spent(test: &TestCourt, parents: &[&Transaction]) -> BTreeSet<OutPoint> {
    let mut spent = BTreeSet::new();
    for tx in ours(test) {
        let prevout = |outpoint: &OutPoint| {
            let parent = parents.iter().find(|parent| parent.compute_txid() == outpoint.txid).unwrap();
            parent.output[outpoint.vout as usize].clone()
        };
        let prevouts: Vec<TxOut> = tx.input.iter().map(|input| prevout(&input.previous_output)).collect();
        let bytes = bitcoin::consensus::serialize(tx);
        for (input, prevout) in prevouts.iter().enumerate() {
            let (script, sat) = (prevout.script_pubkey.as_bytes(), prevout.value.to_sat());
            bitcoinconsensus::verify(script, sat, &bytes, None, input).unwrap();
        }
        spent.extend(tx.input.iter().map(|input| input.previous_output));
    }
    spent
}

pub fn first_output(tx: &Transaction) -> OutPoint {
    OutPoint::new(tx.compute_txid(), 0)
}

/// Mines until the channel is resolved; everything that we send confirms in the next block.
pub fn to_the_end(test: &mut TestCourt, fixture: &ChannelFixture) {
    for _ in 0..400 {
        if test.node.sheets.contains_key(&fixture.id()) {
            return;
        }
        test.mine();
    }
    panic!("not resolved: {:?}", test.docket(fixture));
}

/// How many outcomes were released for an HTLC that we sent.
pub fn concluded(test: &TestCourt, htlc: HtlcRef) -> usize {
    let records = test.frames.0.iter().flat_map(|frame| &frame.entries).flat_map(|entry| &entry.concluded);
    records.filter(|record| matches!(record.what, Conclusion::Released { htlc: of, .. } if of == htlc)).count()
}

/// The reported outcomes of all contracts of a kind.
pub fn outcomes(test: &TestCourt, kind: ContractKind) -> Vec<ContractOutcome> {
    let of_kind = test.node.reports.iter().filter(|(_, report)| report.kind == kind);
    of_kind.map(|(_, report)| report.outcome).collect()
}

#[test]
fn b41_every_output_of_a_revoked_commitment_is_taken_our_own_included() {
    for channel_type in TYPES {
        let (mut test, fixture, revoked) = revoked_with_both(channel_type);
        test.block(std::slice::from_ref(&revoked));
        assert_eq!(test.close_kind(&fixture), Some(CloseKind::Revoked));
        let spent = spent(&test, &[&revoked]);
        for (vout, output) in (0..).zip(&revoked.output) {
            let is_anchor = output.value.to_sat() == 330;
            let outpoint = OutPoint::new(revoked.compute_txid(), vout);
            assert_eq!(spent.contains(&outpoint), !is_anchor, "{channel_type:?} output {vout}");
        }
        to_the_end(&mut test, &fixture);
        let sheet = test.node.sheets[&fixture.id()];
        assert!(sheet.balances() && sheet.lost_sat == 0 && sheet.uneconomic_sat <= 330, "{sheet:?}");
        assert_eq!(outcomes(&test, ContractKind::RevokedToLocal), [ContractOutcome::Claimed]);
        assert_eq!(outcomes(&test, ContractKind::ToRemote), [ContractOutcome::Claimed]);
        assert_eq!(outcomes(&test, ContractKind::Htlc), [ContractOutcome::Claimed; 2]);
    }
}

#[test]
fn b1_a_revoked_commitment_on_the_list_of_closings_is_punished() {
    for channel_type in TYPES {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
        test.open(&mut fixture, &[]);
        test.update(&mut fixture, 1, &[]);
        let revoked = fixture.remote_commitment_tx(0).unwrap();
        let closing = arb_core::ClosingSigned { channel: fixture.id(), tx: revoked.clone(), local_output: None };
        test.hear(Event::ClosingSigned(Box::new(closing)));
        test.block(std::slice::from_ref(&revoked));
        assert_eq!(test.close_kind(&fixture), Some(CloseKind::Revoked));
        to_the_end(&mut test, &fixture);
        assert_eq!(outcomes(&test, ContractKind::RevokedToLocal), [ContractOutcome::Claimed]);
    }
}

#[test]
fn b7_b43_each_of_several_equal_htlcs_is_failed_upstream_once_and_its_output_taken() {
    for channel_type in TYPES {
        let equal: Vec<_> = (0..4).map(|id| offered(id, 50_000, 1, 480, Link::Own)).collect();
        let (mut test, fixture, revoked) = moved_on(channel_type, &equal, &equal);
        test.block(std::slice::from_ref(&revoked));
        assert_eq!(test.close_kind(&fixture), Some(CloseKind::Revoked));
        to_the_end(&mut test, &fixture);
        for id in 0..4 {
            assert_eq!(test.acknowledged(&fixture, HtlcRef::offered(id)), Some(Acknowledged::Failed));
            assert_eq!(concluded(&test, HtlcRef::offered(id)), 1);
            // The reason is the revoked close, not a give-up rule.
            let failed =
                Conclusion::Released { htlc: HtlcRef::offered(id), outcome: Upstream::Failed(FailReason::Revoked) };
            let mut records = test.frames.0.iter().flat_map(|frame| &frame.entries).flat_map(|entry| &entry.concluded);
            assert!(records.any(|record| record.what == failed));
        }
        assert_eq!(outcomes(&test, ContractKind::Htlc), [ContractOutcome::Claimed; 4]);
    }
}

#[test]
fn b38_our_own_revocation_spend_shows_no_preimage() {
    for channel_type in TYPES {
        let htlcs = [offered(0, 50_000, 1, 480, Link::Own)];
        let (mut test, fixture, revoked) = moved_on(channel_type, &htlcs, &htlcs);
        test.block(std::slice::from_ref(&revoked));
        // The penalty's witness has three items, as a claim with a preimage; the middle one is a key of 33 bytes.
        test.mine();
        let outpoint = output_of(&fixture, Side::Remote, 0, OFFERED);
        assert!(ours(&test).iter().all(|tx| tx.input.iter().all(|input| input.previous_output != outpoint)));
        to_the_end(&mut test, &fixture);
        assert_eq!(test.acknowledged(&fixture, OFFERED), Some(Acknowledged::Failed));
        assert_eq!(test.contract_report(&fixture, OFFERED), Some(ContractOutcome::Claimed));
    }
}

#[test]
fn b42_every_output_of_an_aggregated_htlc_transaction_is_taken() {
    let htlcs: Vec<_> = (0..4).map(|id| offered(id, 50_000 + id, 1, 480, Link::Own)).collect();
    let (mut test, fixture, revoked) = moved_on(ANCHORS, &htlcs, &[]);
    test.block(std::slice::from_ref(&revoked));
    // Foreign pairs come first and in between: an HTLC's output has the index of its input (SIGHASH_SINGLE).
    let foreign = |byte: u8| spend(&[(OutPoint::null(), vec![vec![byte; 71], vec![2; 33]])], ScriptBuf::new(), 7_000);
    let mut aggregated = foreign(1);
    for (id, other) in [(2, None), (0, Some(3)), (3, None), (1, None)] {
        if let Some(byte) = other {
            let mut between = foreign(byte);
            between.input[0].previous_output.vout = 5;
            aggregated.input.append(&mut between.input);
            aggregated.output.append(&mut between.output);
        }
        let mut one = second_level(&fixture, 0, HtlcRef::offered(id), Some(1));
        aggregated.input.append(&mut one.input);
        aggregated.output.append(&mut one.output);
    }
    test.block(std::slice::from_ref(&aggregated));
    let taken = spent(&test, &[&revoked, &aggregated]);
    let left = |vout| OutPoint::new(aggregated.compute_txid(), vout);
    for vout in [1, 3, 4, 5] {
        assert!(taken.contains(&left(vout)), "output {vout}");
    }
    assert!(!taken.contains(&left(0)) && !taken.contains(&left(2)));
    to_the_end(&mut test, &fixture);
    assert_eq!(outcomes(&test, ContractKind::Htlc), [ContractOutcome::Claimed; 4]);
}

#[test]
fn b44_a_lost_race_is_answered_in_the_same_block_and_does_not_go_in_circles() {
    for channel_type in TYPES {
        let (mut test, fixture, revoked) = revoked_with_both(channel_type);
        test.block(std::slice::from_ref(&revoked));
        let success = second_level(&fixture, 0, OFFERED, Some(1));
        let frames = test.frames.0.len();
        test.block(std::slice::from_ref(&success));
        assert!(test.frames.0.len() - frames < 12, "{} frames", test.frames.0.len() - frames);
        let taken = spent(&test, &[&revoked, &success]);
        assert!(taken.contains(&first_output(&success)));
        assert!(!taken.contains(&output_of(&fixture, Side::Remote, 0, OFFERED)));
        assert!(taken.contains(&output_of(&fixture, Side::Remote, 0, RECEIVED)));
        // A reorg of the HTLC transaction also takes the claim of its output back.
        test.disconnect_to(START + 1);
        test.sent.clear();
        test.block(&[]);
        let taken = spent(&test, &[&revoked, &success]);
        assert!(taken.contains(&output_of(&fixture, Side::Remote, 0, OFFERED)));
        assert!(!taken.contains(&first_output(&success)));
        test.block(std::slice::from_ref(&success));
        to_the_end(&mut test, &fixture);
        assert_eq!(test.node.sheets[&fixture.id()].lost_sat, 0);
    }
}

/// How many HTLC outputs of commitment 0 each of our transactions at this tip spends, where it spends any.
fn batches(test: &TestCourt, fixture: &ChannelFixture, htlcs: u64) -> Vec<usize> {
    let outputs: Vec<_> = (0..htlcs).map(|id| output_of(fixture, Side::Remote, 0, HtlcRef::offered(id))).collect();
    let size = |tx: &Transaction| tx.input.iter().filter(|input| outputs.contains(&input.previous_output)).count();
    ours(test).into_iter().map(size).filter(|size| *size > 0).collect()
}

#[test]
fn b45_a_batch_that_does_not_confirm_is_split_in_time() {
    for channel_type in TYPES {
        let htlcs: Vec<_> = (0..2).map(|id| offered(id, 50_000, 1, 480, Link::Own)).collect();
        let (mut test, fixture, revoked) = moved_on(channel_type, &htlcs, &[]);
        test.block(std::slice::from_ref(&revoked));
        test.blocks_to(START + 3);
        assert_eq!(batches(&test, &fixture, 2), [2], "one batch while there is time");
        // The deadline assumes an HTLC transaction of the counterparty in the next block, and then its delay.
        let end = START + 2 + u32::from(fixture.setup().delay_blocks(Side::Remote)) - 1;
        test.blocks_to(end - 19);
        assert_eq!(batches(&test, &fixture, 2), [2]);
        test.blocks_to(end - 18);
        assert_eq!(batches(&test, &fixture, 2), [1, 1], "`penalty_split` blocks before the end each is alone");
    }
}

#[test]
fn b45_a_pinned_batch_is_split_whatever_it_offers() {
    for channel_type in TYPES {
        let htlcs: Vec<_> = (0..5).map(|id| offered(id, 50_000, 1, 480, Link::Own)).collect();
        let (mut test, fixture, revoked) = moved_on(channel_type, &htlcs, &[]);
        test.block(std::slice::from_ref(&revoked));
        let end = START + 2 + u32::from(fixture.setup().delay_blocks(Side::Remote)) - 1;
        test.blocks_to(end - 18);
        assert_eq!(
            batches(&test, &fixture, 5),
            [5],
            "not split: each single penalty would have to pay for a replacement"
        );
        // The counterparty pins one of the outputs with a transaction that pays more than the batch.
        let batch = ours(&test).into_iter().find(|tx| tx.input.len() == 5).unwrap().compute_txid();
        let answer = BroadcastAnswer::Rejected(BroadcastRejection::FeeTooLow);
        test.hear(Event::BroadcastAnswered { channel: fixture.id(), txid: batch, answer });
        test.settle();
        assert_eq!(batches(&test, &fixture, 5), [1; 5], "each alone, so that those which are not pinned confirm");
    }
}

/// I7, found by the simulator: a batch of which the counterparty took one output was sent until its successor was signed.
#[test]
fn i7_a_batch_that_lost_an_output_is_not_sent_any_more() {
    for channel_type in TYPES {
        let htlcs: Vec<_> = (0..3).map(|id| offered(id, 50_000, 1, 480, Link::Own)).collect();
        let (mut test, fixture, revoked) = moved_on(channel_type, &htlcs, &[]);
        test.block(std::slice::from_ref(&revoked));
        assert_eq!(batches(&test, &fixture, 3), [3]);
        let lost = output_of(&fixture, Side::Remote, 0, OFFERED);
        let due = test.quiet_block(&[second_level(&fixture, 0, OFFERED, Some(1))]);
        let spends = |tx: &Transaction| tx.input.iter().any(|input| input.previous_output == lost);
        let sends = |action: &Action| matches!(action, Action::Broadcast { txs, .. } if txs.iter().any(spends));
        assert!(!due.iter().any(sends), "the old batch is still sent");
        test.settle();
        assert_eq!(batches(&test, &fixture, 3), [2], "the outputs that are left");
    }
}

#[test]
fn l39_a_penalty_offers_more_in_time_and_in_the_end_all_it_takes() {
    for channel_type in TYPES {
        let (mut test, fixture, revoked) = revoked_with_both(channel_type);
        test.block(std::slice::from_ref(&revoked));
        let outpoint = output_of(&fixture, Side::Remote, 0, OFFERED);
        let amount_sat = 50_000;
        let mut paid = Vec::new();
        let delay = u32::from(fixture.setup().delay_blocks(Side::Remote));
        for at in START + 2..=START + 2 + delay - 2 {
            test.blocks_to(at);
            let tx = ours(&test).into_iter().find(|tx| tx.input.iter().any(|input| input.previous_output == outpoint));
            let tx = tx.unwrap();
            let out_sat: u64 = tx.output.iter().map(|output| output.value.to_sat()).sum();
            if tx.input.len() == 1 {
                paid.push(amount_sat - out_sat);
            }
        }
        assert!(paid.is_sorted() && paid.len() >= 15, "{paid:?}");
        let last = *paid.last().unwrap();
        assert!(last > amount_sat / 2, "all of the value may go: {last}");
        assert_eq!(last, amount_sat - 294, "all but the dust limit of the output");
    }
}
