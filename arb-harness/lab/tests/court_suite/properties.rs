//! Properties over drawn closes: two runs agree, the order inside a block does not matter, a block that is connected,
//! disconnected and connected again changes nothing (I6), and no transaction causes a panic or a wrong outcome (I1, I4, R6).

use arb_core::{Acknowledged, CloseReason, Conclusion, Event, Htlc, HtlcRef, Link, Side, Upstream};
use arb_lab::fixture::ChannelFixture;
use bitcoin::{OutPoint, ScriptBuf, Transaction};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::incidents_outcomes::peer_takes;
use crate::test_court::{
    ANCHORS, START, TYPES, TestCourt, channel, learned, offered, output_of, preimage, received, spend, state,
};

/// A drawn channel and the side whose commitment confirms.
#[derive(Clone, Debug)]
struct Case {
    anchors: bool,
    /// (sat, secret, blocks to expiry).
    offered: Vec<(u64, u8, u32)>,
    received: Vec<(u64, u8, u32)>,
    /// For each received HTLC, whether we know its preimage.
    known: Vec<bool>,
    side: Side,
}

fn case() -> impl Strategy<Value = Case> {
    let htlc = (prop_oneof![Just(100_u64), Just(1229), 600..100_000_u64], 1..4_u8, 4..30_u32);
    let side = prop_oneof![Just(Side::Local), Just(Side::Remote)];
    (any::<bool>(), vec(htlc.clone(), 0..4), vec(htlc, 0..3), vec(any::<bool>(), 3), side)
        .prop_map(|(anchors, offered, received, known, side)| Case { anchors, offered, received, known, side })
}

impl Case {
    fn htlcs(&self) -> Vec<Htlc> {
        let out = (0..).zip(&self.offered);
        let out = out.map(|(id, (sat, secret, expiry))| offered(id, *sat, *secret, START + expiry, Link::Own));
        let other = (0..).zip(&self.received);
        // Received HTLCs have secrets of their own, so no preimage that the counterparty shows fits them.
        let other = other.map(|(id, (sat, secret, expiry))| received(id, *sat, secret + 10, START + expiry + 30));
        out.chain(other).collect()
    }

    /// Opens the channel and tells the court every preimage that we know.
    fn open(&self) -> (TestCourt, ChannelFixture) {
        let mut fixture = channel(1, TYPES[usize::from(self.anchors)]);
        let mut test = TestCourt::new();
        test.open(&mut fixture, &self.htlcs());
        for ((id, (_, secret, _)), known) in (0..).zip(&self.received).zip(&self.known) {
            if *known {
                test.hear(learned(&fixture, HtlcRef::received(id), secret + 10));
            }
        }
        (test, fixture)
    }

    fn outcomes(&self, test: &TestCourt, fixture: &ChannelFixture) -> Vec<Option<Acknowledged>> {
        (0..).zip(&self.offered).map(|(id, _)| test.acknowledged(fixture, HtlcRef::offered(id))).collect()
    }

    /// The HTLCs that we sent and that have an output on the confirmed commitment, with their secrets.
    fn takeable(&self, fixture: &ChannelFixture) -> Vec<(HtlcRef, u8)> {
        let commitment = fixture.commitment(self.side, 0).unwrap();
        let all = commitment.htlcs.iter().zip(&commitment.built.htlc_vouts);
        let offered = all.filter(|(htlc, vout)| htlc.key.is_offered() && vout.is_some());
        offered.map(|(htlc, _)| (htlc.key, htlc.tag[0])).collect()
    }
}

/// The facts that the docket shows.
fn seen(test: &TestCourt, fixture: &ChannelFixture) -> (arb_core::Stage, Vec<arb_core::ContractStatus>) {
    let docket = test.docket(fixture);
    (docket.stage, docket.contracts)
}

fn config() -> ProptestConfig {
    // Few by default, because each case runs the shared check; `PROPTEST_CASES` sets another number.
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(8);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// One item of a drawn witness: empty, shaped like a signature, a key or an annex, a preimage, a script, or random bytes.
fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        Just(Piece::Bytes(vec![])),
        Just(Piece::Bytes(vec![1])),
        Just(Piece::Bytes(vec![0x30; 71])),
        Just(Piece::Bytes(vec![2; 33])),
        Just(Piece::Bytes(vec![0x50, 1])),
        (1..14_u8).prop_map(|secret| Piece::Bytes(preimage(secret).0.to_vec())),
        vec(any::<u8>(), 0..40).prop_map(Piece::Bytes),
        Just(Piece::Script),
        Just(Piece::Revocation),
    ]
}

#[derive(Clone, Debug)]
enum Piece {
    Bytes(Vec<u8>),
    /// The script of the output that is spent.
    Script,
    Revocation,
}

/// A transaction that spends some watched outputs with drawn witnesses.
fn arbitrary_spend(
    fixture: &ChannelFixture,
    side: Side,
    outputs: &[OutPoint],
    picks: &[(usize, Vec<Piece>, bool)],
) -> Transaction {
    let commitment = fixture.commitment(side, 0).unwrap();
    let mut inputs: Vec<(OutPoint, Vec<Vec<u8>>)> = Vec::new();
    for (pick, pieces, ends) in picks {
        let outpoint = outputs[pick % outputs.len()];
        if inputs.iter().any(|(other, _)| *other == outpoint) {
            continue;
        }
        let of_commitment = outpoint.txid == commitment.built.txid;
        let place = usize::try_from(outpoint.vout).unwrap();
        let script = commitment.scripts.get(place).filter(|_| of_commitment).cloned().flatten().unwrap_or_default();
        let bytes = |piece: &Piece| match piece {
            Piece::Bytes(bytes) => bytes.clone(),
            Piece::Script => script.to_bytes(),
            Piece::Revocation => commitment.built.keys.revocation.0.to_vec(),
        };
        let mut witness: Vec<Vec<u8>> = pieces.iter().map(bytes).collect();
        if *ends {
            witness.push(script.to_bytes());
        }
        inputs.push((outpoint, witness));
    }
    let script = commitment.scripts.iter().flatten().next().map_or_else(ScriptBuf::new, |script| script.to_p2wsh());
    spend(&inputs, script, 1000 + u64::try_from(inputs.len()).unwrap())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn two_runs_agree_byte_for_byte(case in case()) {
        let run = || {
            let (mut test, fixture) = case.open();
            test.block(&[fixture.commitment_tx(case.side, 0).unwrap()]);
            test.mine_to(START + 70);
            (test.frames.0.clone(), test.court.actions_due())
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn the_order_inside_a_block_does_not_matter(case in case(), order in vec(any::<usize>(), 8)) {
        let (test, fixture) = case.open();
        let takes: Vec<Transaction> =
            case.takeable(&fixture).iter().map(|(htlc, secret)| peer_takes(&fixture, case.side, 0, *htlc, *secret)).collect();
        let mut shuffled = takes.clone();
        for (place, pick) in order.iter().enumerate().take(shuffled.len()) {
            let other = pick % shuffled.len();
            shuffled.swap(place, other);
        }
        // Only the order of the children varies: a parent always precedes them in a block.
        let close = fixture.commitment_tx(case.side, 0).unwrap();
        let mut other = test.fork();
        let mut test = test;
        test.block(&[std::slice::from_ref(&close), &takes].concat());
        other.block(&[&[close], &shuffled[..]].concat());
        prop_assert_eq!(seen(&test, &fixture), seen(&other, &fixture));
        test.mine_to(START + 40);
        other.mine_to(START + 40);
        prop_assert_eq!(case.outcomes(&test, &fixture), case.outcomes(&other, &fixture));
    }

    #[test]
    fn a_block_that_comes_leaves_and_comes_again_changes_nothing(case in case(), extra in 0..40_u32) {
        let (mut test, fixture) = case.open();
        let before = seen(&test, &fixture);
        let close = fixture.commitment_tx(case.side, 0).unwrap();
        test.block(std::slice::from_ref(&close));
        test.disconnect_to(START);
        // The channel stays frozen (R10); its facts are what they were.
        prop_assert_eq!(&seen(&test, &fixture).1, &before.1);
        test.block(std::slice::from_ref(&close));
        test.mine_to(START + 1 + extra);
        let mut other = test.fork();
        let tip = test.tip();
        // The next block is connected, disconnected and connected again.
        test.mine();
        let now = seen(&test, &fixture);
        test.disconnect_to(tip);
        test.mine();
        prop_assert_eq!(&seen(&test, &fixture), &now);
        other.mine();
        prop_assert_eq!(&seen(&other, &fixture), &now);
        test.mine_to(START + 80);
        other.mine_to(START + 80);
        prop_assert_eq!(case.outcomes(&test, &fixture), case.outcomes(&other, &fixture));
    }

    #[test]
    fn no_transaction_whatever_does_harm(
        case in case(),
        blocks in vec(vec(vec((any::<usize>(), vec(piece(), 0..6), any::<bool>()), 1..4), 0..3), 1..6),
        reorg in 0..4_u32,
    ) {
        let (mut test, fixture) = case.open();
        let close = fixture.commitment_tx(case.side, 0).unwrap();
        let mut outputs: Vec<OutPoint> = (0..).zip(&close.output).map(|(vout, _)| OutPoint::new(close.compute_txid(), vout)).collect();
        test.block(&[close]);
        for block in &blocks {
            let txs: Vec<Transaction> = block.iter().map(|picks| arbitrary_spend(&fixture, case.side, &outputs, picks)).collect();
            outputs.extend(txs.iter().map(|tx| OutPoint::new(tx.compute_txid(), 0)));
            test.block(&txs);
        }
        test.disconnect_to(test.tip().saturating_sub(reorg).max(START));
        test.mine_to(START + 170);
        no_failure_with_a_usable_preimage(&test);
    }

    #[test]
    fn a_funding_spent_by_anything_does_no_harm(case in case(), picks in vec((Just(0_usize), vec(piece(), 0..5), any::<bool>()), 1), lock in any::<u32>(), sequence in any::<u32>()) {
        let (mut test, fixture) = case.open();
        let mut tx = arbitrary_spend(&fixture, case.side, &[fixture.setup().funding], &picks);
        // Locktime and sequence have the form of a commitment's, with any number.
        tx.lock_time = bitcoin::absolute::LockTime::from_consensus(0x2000_0000 | (lock & 0xff_ffff));
        tx.input[0].sequence = bitcoin::Sequence::from_consensus(0x8000_0000 | (sequence & 0xff_ffff));
        test.hear(Event::CloseRequested { channel: fixture.id(), why: CloseReason::Operator });
        let below = spend(&[(OutPoint::new(tx.compute_txid(), 0), vec![preimage(1).0.to_vec()])], ScriptBuf::new(), 1);
        test.block(&[tx, below]);
        // A witness showed preimage 1, so every HTLC that we sent with its hash is settled (R6).
        for ((id, (_, secret, _)), origin) in (0_u64..).zip(&case.offered).zip(case.outcomes(&test, &fixture)) {
            if *secret == 1 {
                prop_assert_eq!(origin, Some(Acknowledged::Settled), "{}", id);
            }
        }
        test.mine_to(START + 60);
        no_failure_with_a_usable_preimage(&test);
    }
}

/// I4, R8: in the frames, no failure of an HTLC follows the record that made a preimage usable for it.
fn no_failure_with_a_usable_preimage(test: &TestCourt) {
    let mut usable = std::collections::BTreeSet::new();
    let mut last = std::collections::BTreeMap::new();
    for entry in test.frames.0.iter().flat_map(|frame| &frame.entries) {
        if let Event::PreimageLearned { usable_for, .. } = &entry.heard {
            usable.extend(usable_for.iter().map(|key| key.htlc));
        }
        for record in &entry.concluded {
            match &record.what {
                Conclusion::PreimageUsable { htlc, .. } => {
                    usable.insert(*htlc);
                }
                Conclusion::Released { htlc, outcome } => {
                    let settled = matches!(outcome, Upstream::Settled(_));
                    assert!(settled || !usable.contains(htlc), "{htlc} failed with a usable preimage");
                    assert_ne!(last.insert(*htlc, settled), Some(true), "{htlc} was settled before");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_preimage_anywhere_in_a_witness_counts() {
    // R6: in any input of any transaction that spends a watched output.
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open_bare(&fixture);
    let htlcs = [offered(0, 50_000, 1, 500, Link::Own), offered(1, 50_000, 2, 500, Link::Own)];
    test.hear(fixture.remote_signed(0, state(&htlcs)).unwrap());
    test.hear(fixture.local_signed(0, state(&htlcs)).unwrap());
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    let outpoint = output_of(&fixture, Side::Remote, 0, HtlcRef::offered(0));
    // The transaction spends the output of HTLC 0 and shows the preimage of HTLC 1 at another input.
    let elsewhere = (OutPoint::null(), vec![vec![], preimage(2).0.to_vec(), vec![]]);
    test.block(&[spend(&[(outpoint, vec![]), elsewhere], ScriptBuf::new(), 1000)]);
    assert_eq!(test.outcome(&fixture, HtlcRef::offered(1)), Some(Upstream::Settled(preimage(2))));
    assert_eq!(test.outcome(&fixture, HtlcRef::offered(0)), None);
}
