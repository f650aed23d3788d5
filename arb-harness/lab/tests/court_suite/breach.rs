//! Revoked commitments: recognised, rebuilt from the log's rows, every output taken, through the cheat's second level.
//! Incidents of other implementations by their number in the project's list.

use arb_core::bolt3::ChannelType;
use arb_core::{
    Acknowledged, Action, BroadcastAnswer, BroadcastRejection, CloseKind, Conclusion, ContractKind, ContractOutcome,
    Event, FailReason, Htlc, HtlcRef, Link, Side, Upstream,
};
use arb_lab::fixture::ChannelFixture;
use arb_lab::peer::{Claimant, Rates};
use bitcoin::{OutPoint, ScriptBuf, Transaction, TxOut};
use std::collections::BTreeSet;

use crate::bench::{ANCHORS, Bench, START, TYPES, channel, offered, output_of, position, preimage, received, spend};

pub const OFFERED: HtlcRef = HtlcRef::offered(0);
pub const RECEIVED: HtlcRef = HtlcRef::received(0);
const RATES: Rates = Rates { feerate_sat_per_kw: 500, floor_sat_per_kvb: 1000 };

/// A channel that has moved on, with the counterparty's commitment that it revoked.
pub fn moved_on(channel_type: ChannelType, htlcs: &[Htlc], later: &[Htlc]) -> (Bench, ChannelFixture, Transaction) {
    let (mut bench, mut fixture) = (Bench::new(), channel(1, channel_type));
    bench.open(&mut fixture, htlcs);
    bench.update(&mut fixture, 1, later);
    let revoked = fixture.remote_commitment_tx(0).unwrap();
    (bench, fixture, revoked)
}

/// A channel whose revoked commitment 0 has an HTLC each way, and whose newer ones have none.
pub fn cheated(channel_type: ChannelType) -> (Bench, ChannelFixture, Transaction) {
    moved_on(channel_type, &[offered(0, 50_000, 1, 450, Link::Own), received(0, 70_000, 2, 460)], &[])
}

/// The cheat's HTLC transaction: with the preimage of what we offered, or after the expiry of what it offered.
pub fn second_level(fixture: &ChannelFixture, number: u64, htlc: HtlcRef, secret: Option<u8>) -> Transaction {
    let commitment = fixture.commitment(Side::Remote, number).unwrap();
    let claimant = Claimant { fixture, side: Side::Remote, commitment: &commitment, rates: RATES };
    let index = position(fixture, Side::Remote, number, htlc);
    claimant.second_level(index, secret.map(preimage), None).unwrap()
}

/// Our transactions at this tip: of several that spend the same, the one that was sent last.
fn ours(bench: &Bench) -> Vec<&Transaction> {
    let (tip, mut taken) = (bench.tip(), BTreeSet::new());
    let sent = bench.sent.iter().rev().filter(|(at, _)| *at == tip).map(|(_, tx)| tx);
    let mut last: Vec<&Transaction> = Vec::new();
    for tx in sent {
        if tx.input.iter().all(|input| !taken.contains(&input.previous_output)) {
            last.push(tx);
        }
        taken.extend(tx.input.iter().map(|input| input.previous_output));
    }
    last
}

/// What our transactions at this tip spend, each run by the interpreter over the transactions that it builds on.
pub fn spent(bench: &Bench, parents: &[&Transaction]) -> BTreeSet<OutPoint> {
    let mut spent = BTreeSet::new();
    for tx in ours(bench) {
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

/// Plays on until the channel is resolved, everything that we send confirming at once.
pub fn to_the_end(bench: &mut Bench, fixture: &ChannelFixture) {
    for _ in 0..400 {
        if bench.node.sheets.contains_key(&fixture.id()) {
            return;
        }
        bench.mine();
    }
    panic!("not resolved: {:?}", bench.docket(fixture));
}

/// How often an outcome was concluded for an HTLC.
pub fn concluded(bench: &Bench, htlc: HtlcRef) -> usize {
    let records = bench.frames.0.iter().flat_map(|frame| &frame.entries).flat_map(|entry| &entry.concluded);
    records.filter(|record| matches!(record.what, Conclusion::Released { htlc: of, .. } if of == htlc)).count()
}

pub fn outcomes(bench: &Bench, kind: ContractKind) -> Vec<ContractOutcome> {
    let of_kind = bench.node.reports.iter().filter(|(_, report)| report.kind == kind);
    of_kind.map(|(_, report)| report.outcome).collect()
}

#[test]
fn b41_every_output_of_a_revoked_commitment_is_taken_our_own_included() {
    for channel_type in TYPES {
        let (mut bench, fixture, revoked) = cheated(channel_type);
        bench.block(std::slice::from_ref(&revoked));
        assert_eq!(bench.close_kind(&fixture), Some(CloseKind::Revoked));
        let spent = spent(&bench, &[&revoked]);
        for (vout, output) in (0..).zip(&revoked.output) {
            let is_anchor = output.value.to_sat() == 330;
            let outpoint = OutPoint::new(revoked.compute_txid(), vout);
            assert_eq!(spent.contains(&outpoint), !is_anchor, "{channel_type:?} output {vout}");
        }
        to_the_end(&mut bench, &fixture);
        let sheet = bench.node.sheets[&fixture.id()];
        assert!(sheet.balances() && sheet.lost_sat == 0 && sheet.uneconomic_sat <= 330, "{sheet:?}");
        assert_eq!(outcomes(&bench, ContractKind::RevokedToLocal), [ContractOutcome::Claimed]);
        assert_eq!(outcomes(&bench, ContractKind::ToRemote), [ContractOutcome::Claimed]);
        assert_eq!(outcomes(&bench, ContractKind::Htlc), [ContractOutcome::Claimed; 2]);
    }
}

#[test]
fn b1_a_revoked_commitment_on_the_list_of_closings_is_punished() {
    for channel_type in TYPES {
        let (mut bench, mut fixture) = (Bench::new(), channel(1, channel_type));
        bench.open(&mut fixture, &[]);
        bench.update(&mut fixture, 1, &[]);
        let revoked = fixture.remote_commitment_tx(0).unwrap();
        let closing = arb_core::ClosingSigned { channel: fixture.id(), tx: revoked.clone(), local_output: None };
        bench.hear(Event::ClosingSigned(Box::new(closing)));
        bench.block(std::slice::from_ref(&revoked));
        assert_eq!(bench.close_kind(&fixture), Some(CloseKind::Revoked));
        to_the_end(&mut bench, &fixture);
        assert_eq!(outcomes(&bench, ContractKind::RevokedToLocal), [ContractOutcome::Claimed]);
    }
}

#[test]
fn b7_b43_each_of_several_equal_htlcs_is_failed_upstream_once_and_its_output_taken() {
    for channel_type in TYPES {
        let equal: Vec<_> = (0..4).map(|id| offered(id, 50_000, 1, 480, Link::Own)).collect();
        let (mut bench, fixture, revoked) = moved_on(channel_type, &equal, &equal);
        bench.block(std::slice::from_ref(&revoked));
        assert_eq!(bench.close_kind(&fixture), Some(CloseKind::Revoked));
        to_the_end(&mut bench, &fixture);
        for id in 0..4 {
            assert_eq!(bench.origin(&fixture, HtlcRef::offered(id)), Some(Acknowledged::Failed));
            assert_eq!(concluded(&bench, HtlcRef::offered(id)), 1);
            // For what it is, and not long after, when every wait is over.
            let failed =
                Conclusion::Released { htlc: HtlcRef::offered(id), outcome: Upstream::Failed(FailReason::Revoked) };
            let mut records = bench.frames.0.iter().flat_map(|frame| &frame.entries).flat_map(|entry| &entry.concluded);
            assert!(records.any(|record| record.what == failed));
        }
        assert_eq!(outcomes(&bench, ContractKind::Htlc), [ContractOutcome::Claimed; 4]);
    }
}

#[test]
fn b38_our_own_revocation_spend_shows_no_preimage() {
    for channel_type in TYPES {
        let htlcs = [offered(0, 50_000, 1, 480, Link::Own)];
        let (mut bench, fixture, revoked) = moved_on(channel_type, &htlcs, &htlcs);
        bench.block(std::slice::from_ref(&revoked));
        // Its witness has three items like a claim with a preimage, the middle one a key of 33 bytes.
        bench.mine();
        let outpoint = output_of(&fixture, Side::Remote, 0, OFFERED);
        assert!(ours(&bench).iter().all(|tx| tx.input.iter().all(|input| input.previous_output != outpoint)));
        to_the_end(&mut bench, &fixture);
        assert_eq!(bench.origin(&fixture, OFFERED), Some(Acknowledged::Failed));
        assert_eq!(bench.contract_report(&fixture, OFFERED), Some(ContractOutcome::Claimed));
    }
}

#[test]
fn b42_every_output_of_an_aggregated_htlc_transaction_is_taken() {
    let htlcs: Vec<_> = (0..4).map(|id| offered(id, 50_000 + id, 1, 480, Link::Own)).collect();
    let (mut bench, fixture, revoked) = moved_on(ANCHORS, &htlcs, &[]);
    bench.block(std::slice::from_ref(&revoked));
    // Foreign input and output first, and another pair between: input and output of one number belong together.
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
    bench.block(std::slice::from_ref(&aggregated));
    let taken = spent(&bench, &[&revoked, &aggregated]);
    let left = |vout| OutPoint::new(aggregated.compute_txid(), vout);
    for vout in [1, 3, 4, 5] {
        assert!(taken.contains(&left(vout)), "output {vout}");
    }
    assert!(!taken.contains(&left(0)) && !taken.contains(&left(2)));
    to_the_end(&mut bench, &fixture);
    assert_eq!(outcomes(&bench, ContractKind::Htlc), [ContractOutcome::Claimed; 4]);
}

#[test]
fn b44_a_lost_race_is_answered_in_the_same_block_and_does_not_go_in_circles() {
    for channel_type in TYPES {
        let (mut bench, fixture, revoked) = cheated(channel_type);
        bench.block(std::slice::from_ref(&revoked));
        let success = second_level(&fixture, 0, OFFERED, Some(1));
        let frames = bench.frames.0.len();
        bench.block(std::slice::from_ref(&success));
        assert!(bench.frames.0.len() - frames < 12, "{} frames", bench.frames.0.len() - frames);
        let taken = spent(&bench, &[&revoked, &success]);
        assert!(taken.contains(&first_output(&success)));
        assert!(!taken.contains(&output_of(&fixture, Side::Remote, 0, OFFERED)));
        assert!(taken.contains(&output_of(&fixture, Side::Remote, 0, RECEIVED)));
        // The reorg of the race takes the answer back, too.
        bench.disconnect_to(START + 1);
        bench.sent.clear();
        bench.block(&[]);
        let taken = spent(&bench, &[&revoked, &success]);
        assert!(taken.contains(&output_of(&fixture, Side::Remote, 0, OFFERED)));
        assert!(!taken.contains(&first_output(&success)));
        bench.block(std::slice::from_ref(&success));
        to_the_end(&mut bench, &fixture);
        assert_eq!(bench.node.sheets[&fixture.id()].lost_sat, 0);
    }
}

/// How many of the HTLC outputs of commitment 0 each transaction at this tip spends.
fn batches(bench: &Bench, fixture: &ChannelFixture, htlcs: u64) -> Vec<usize> {
    let outputs: Vec<_> = (0..htlcs).map(|id| output_of(fixture, Side::Remote, 0, HtlcRef::offered(id))).collect();
    let size = |tx: &Transaction| tx.input.iter().filter(|input| outputs.contains(&input.previous_output)).count();
    ours(bench).into_iter().map(size).filter(|size| *size > 0).collect()
}

#[test]
fn b45_a_batch_that_does_not_confirm_is_split_in_time() {
    for channel_type in TYPES {
        let htlcs: Vec<_> = (0..2).map(|id| offered(id, 50_000, 1, 480, Link::Own)).collect();
        let (mut bench, fixture, revoked) = moved_on(channel_type, &htlcs, &[]);
        bench.block(std::slice::from_ref(&revoked));
        bench.blocks_to(START + 3);
        assert_eq!(batches(&bench, &fixture, 2), [2], "one batch while there is time");
        // The soonest that the cheat has its money: its own transaction in the next block, and the delay.
        let end = START + 2 + u32::from(fixture.setup().delay_blocks(Side::Remote)) - 1;
        bench.blocks_to(end - 19);
        assert_eq!(batches(&bench, &fixture, 2), [2]);
        bench.blocks_to(end - 18);
        assert_eq!(batches(&bench, &fixture, 2), [1, 1], "security_delay before the end each is alone");
    }
}

#[test]
fn b45_a_pinned_batch_is_split_whatever_it_offers() {
    for channel_type in TYPES {
        let htlcs: Vec<_> = (0..5).map(|id| offered(id, 50_000, 1, 480, Link::Own)).collect();
        let (mut bench, fixture, revoked) = moved_on(channel_type, &htlcs, &[]);
        bench.block(std::slice::from_ref(&revoked));
        let end = START + 2 + u32::from(fixture.setup().delay_blocks(Side::Remote)) - 1;
        bench.blocks_to(end - 18);
        assert_eq!(batches(&bench, &fixture, 5), [5], "each of the others would have to replace it");
        // A junk transaction of the cheat's sits on one of the outputs and pays more than the batch.
        let batch = ours(&bench).into_iter().find(|tx| tx.input.len() == 5).unwrap().compute_txid();
        let answer = BroadcastAnswer::Rejected(BroadcastRejection::FeeTooLow);
        bench.hear(Event::BroadcastAnswered { channel: fixture.id(), txid: batch, answer });
        bench.settle();
        assert_eq!(batches(&bench, &fixture, 5), [1; 5], "what is not pinned confirms");
    }
}

/// I7, found by the simulator: a batch of which the cheat took one output went on being sent until its successor was signed.
#[test]
fn i7_a_batch_that_lost_an_output_is_not_sent_any_more() {
    for channel_type in TYPES {
        let htlcs: Vec<_> = (0..3).map(|id| offered(id, 50_000, 1, 480, Link::Own)).collect();
        let (mut bench, fixture, revoked) = moved_on(channel_type, &htlcs, &[]);
        bench.block(std::slice::from_ref(&revoked));
        assert_eq!(batches(&bench, &fixture, 3), [3]);
        let lost = output_of(&fixture, Side::Remote, 0, OFFERED);
        let due = bench.quiet_block(&[second_level(&fixture, 0, OFFERED, Some(1))]);
        let spends = |tx: &Transaction| tx.input.iter().any(|input| input.previous_output == lost);
        let sends = |action: &Action| matches!(action, Action::Broadcast { txs, .. } if txs.iter().any(spends));
        assert!(!due.iter().any(sends), "the batch as it was");
        bench.settle();
        assert_eq!(batches(&bench, &fixture, 3), [2], "what is left of it");
    }
}

#[test]
fn l39_a_penalty_offers_more_in_time_and_in_the_end_all_it_takes() {
    for channel_type in TYPES {
        let (mut bench, fixture, revoked) = cheated(channel_type);
        bench.block(std::slice::from_ref(&revoked));
        let outpoint = output_of(&fixture, Side::Remote, 0, OFFERED);
        let amount_sat = 50_000;
        let mut paid = Vec::new();
        let delay = u32::from(fixture.setup().delay_blocks(Side::Remote));
        for at in START + 2..=START + 2 + delay - 2 {
            bench.blocks_to(at);
            let tx = ours(&bench).into_iter().find(|tx| tx.input.iter().any(|input| input.previous_output == outpoint));
            let tx = tx.unwrap();
            let out_sat: u64 = tx.output.iter().map(|output| output.value.to_sat()).sum();
            if tx.input.len() == 1 {
                paid.push(amount_sat - out_sat);
            }
        }
        assert!(paid.is_sorted() && paid.len() >= 15, "{paid:?}");
        let last = *paid.last().unwrap();
        assert!(last > amount_sat / 2, "all of the value may go: {last}");
        assert_eq!(last, amount_sat - 294, "all but an output that is relayed");
    }
}
