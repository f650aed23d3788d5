//! Blocks and transactions that somebody wrote to make the court work or remember. A step's work grows with what it brings
//! (I20), little of a foreign transaction is kept (A22), and what can matter of it is seen like any other.

use std::time::Instant;

use arb_core::bolt3::{ChannelType, classify_spend, legible_witness};
use arb_core::{
    CloseKind, ContractKind, ContractOutcome, Event, FoundSpend, HtlcKey, HtlcRef, Link, Scanned, Side, StageRecord,
    Standing, Upstream,
};
use arb_lab::fixture::ChannelFixture;
use arb_lab::fixture::hostile::{foreign_htlc_script, foreign_htlc_witness, many_spends, unsigned};
use bitcoin::{Amount, OutPoint, Transaction, TxIn, TxOut, Txid, Witness};

use crate::incidents_outcomes::peer_takes;
use crate::test_court::{ANCHORS, START, TYPES, TestCourt, channel, height, offered, output_of, preimage, received};

const HTLC: HtlcRef = HtlcRef::offered(0);

/// The bytes of a channel's row in a checkpoint.
fn row_bytes(test: &TestCourt, fixture: &ChannelFixture) -> usize {
    postcard::to_allocvec(test.court.channel(test.index(fixture)).unwrap()).unwrap().len()
}

/// Puts a transaction's input and output at place 3, behind large inputs of somebody else, and many outputs after it.
fn fattened(tx: &Transaction) -> Transaction {
    let (input, output) = (tx.input[0].clone(), tx.output[0].clone());
    let other = |vout| TxIn {
        previous_output: OutPoint { txid: Txid::from_raw_hash(bitcoin::hashes::Hash::all_zeros()), vout },
        witness: Witness::from_slice(&vec![vec![1; 520]; 200]),
        ..input.clone()
    };
    let script_pubkey = foreign_htlc_script(&preimage(9).hash()).to_p2wsh();
    let other_output = TxOut { value: Amount::from_sat(400), script_pubkey };
    let mut fat = tx.clone();
    fat.input = (0..3).map(other).chain([input.clone()]).collect();
    fat.output = vec![other_output; 500];
    fat.output[3] = output;
    fat
}

#[test]
fn a22_of_a_foreign_transaction_only_what_can_matter_is_kept() {
    for channel_type in TYPES {
        for side in [Side::Local, Side::Remote] {
            let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
            test.open(&mut fixture, &[offered(0, 50_000, 1, START + 50, Link::Own)]);
            test.block(&[fixture.commitment_tx(side, 0).unwrap()]);
            let before = row_bytes(&test, &fixture);
            let fat = fattened(&peer_takes(&fixture, side, 0, HTLC, 1));
            assert!(fat.total_size() > 300_000);
            test.block(std::slice::from_ref(&fat));
            assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Settled(preimage(1))));
            let more = row_bytes(&test, &fixture) - before;
            assert!(more < 1_000, "{more} bytes of {}", fat.total_size());
            // It is over like a small one.
            test.mine_to(START + 300);
            assert_eq!(test.contract_report(&fixture, HTLC), Some(ContractOutcome::TakenByPeer));
            assert_eq!(test.node.sheets.len(), 1);
        }
    }
}

#[test]
fn a22_a_witness_that_is_not_understood_leaves_its_preimages() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.open(&mut fixture, &[offered(0, 50_000, 1, START + 50, Link::Own)]);
    test.block(&[fixture.remote_commitment_tx(0).unwrap()]);
    let before = row_bytes(&test, &fixture);
    // Nobody can mine this one: the script is not the output's.
    let mut witness = vec![vec![2; 520]; 700];
    witness.extend((0..200).map(|byte| vec![byte; 32]));
    let output = output_of(&fixture, Side::Remote, 0, HTLC);
    test.block(&[unsigned([(output, witness)], 1, 400, &foreign_htlc_script(&preimage(1).hash()).to_p2wsh())]);
    assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Settled(preimage(1))), "any item may be the preimage (R6)");
    assert!(row_bytes(&test, &fixture) - before < 1_000);
}

#[test]
fn a22_what_is_kept_of_a_witness_is_classified_like_the_whole() {
    let script = foreign_htlc_script(&preimage(1).hash()).to_p2wsh();
    let known = foreign_htlc_witness(&preimage(1));
    let padded: Vec<Vec<u8>> = vec![vec![9; 32]; 30].into_iter().chain(known.clone()).collect();
    let large = vec![vec![1; 521], preimage(1).0.to_vec(), known[2].clone()];
    let shapes = [(known, 3), (padded, 8), (large, 1), (Vec::new(), 0), (vec![vec![1; 33]; 9], 0)];
    for (items, kept) in shapes {
        let whole = Witness::from_slice(&items);
        let legible = legible_witness(&script, &whole);
        assert_eq!(legible.len(), kept);
        // A stack element has at most 520 bytes (consensus), so the large one is in no block.
        if items.iter().all(|item| item.len() <= 520) {
            assert_eq!(classify_spend(&script, &legible), classify_spend(&script, &whole));
        }
    }
}

/// 483 HTLCs, each taken in a transaction as large as nodes relay.
#[test]
fn a22_the_row_of_a_channel_stays_small_whatever_its_outputs_are_spent_into() {
    let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
    let htlcs: Vec<_> = (0..483).map(|id| offered(id, 5_000, 1, START + 50, Link::Own)).collect();
    test.open(&mut fixture, &htlcs);
    let close = fixture.remote_commitment_tx(0).unwrap();
    test.quiet_block(std::slice::from_ref(&close));
    let txid = close.compute_txid();
    let script = foreign_htlc_script(&preimage(1).hash()).to_p2wsh();
    for vouts in (0..483_u32).collect::<Vec<_>>().chunks(10) {
        let witness = || vec![vec![3; 520]; 700];
        let spend = |vout: &u32| unsigned([(OutPoint { txid, vout: *vout }, witness())], 200, 400, &script);
        test.quiet_block(&vouts.iter().map(spend).collect::<Vec<_>>());
        // The log of this test would have 180 megabytes.
        test.frames.0.clear();
    }
    assert!(row_bytes(&test, &fixture) < 1_000_000, "{}", row_bytes(&test, &fixture));
    std::mem::forget(test);
}

/// Below a commitment, a transaction of the counterparty has the output of an HTLC at the index of the input that spent it,
/// because our signature ties them together. Nothing else below is watched, also where we cannot rebuild the commitment.
#[test]
fn a24_below_an_htlc_only_the_output_at_the_input_s_own_index_is_watched() {
    for channel_type in TYPES {
        for known in [true, false] {
            let (mut test, mut fixture) = (TestCourt::new(), channel(1, channel_type));
            test.open(&mut fixture, &[offered(0, 50_000, 1, START + 50, Link::Own)]);
            let (close, output) = if known {
                (fixture.remote_commitment_tx(0).unwrap(), output_of(&fixture, Side::Remote, 0, HTLC))
            } else {
                let (close, _) = many_spends(fixture.setup().funding, 7, &preimage(1));
                let outpoint = OutPoint { txid: close.compute_txid(), vout: 5 };
                (close, outpoint)
            };
            test.block(std::slice::from_ref(&close));
            let kind = if known { CloseKind::Remote } else { CloseKind::Unknown };
            assert_eq!(test.close_kind(&fixture), Some(kind));
            let watches = |test: &TestCourt, txid, vout| {
                test.court.channel(test.index(&fixture)).unwrap().watches(&OutPoint { txid, vout })
            };
            let outputs = 0..u32::try_from(close.output.len()).unwrap();
            assert!(
                outputs.into_iter().all(|vout| watches(&test, close.compute_txid(), vout)),
                "a preimage may be shown"
            );
            let tx = unsigned(
                [(output, foreign_htlc_witness(&preimage(1)))],
                1,
                400,
                &foreign_htlc_script(&preimage(1).hash()).to_p2wsh(),
            );
            let fat = fattened(&tx);
            test.block(std::slice::from_ref(&fat));
            let watched: Vec<u32> = (0..500).filter(|vout| watches(&test, fat.compute_txid(), *vout)).collect();
            assert_eq!(watched, [3]);
            assert_eq!(test.outcome(&fixture, HTLC), Some(Upstream::Settled(preimage(1))));
        }
    }
}

/// The second levels of a revoked commitment that we cannot rebuild are found in a transaction with foreign inputs and outputs
/// (B42), also if a search lists what spends them first.
#[test]
fn a24_second_levels_of_a_revoked_commitment_are_found_at_their_index_in_any_order() {
    for searched in [false, true] {
        let (mut test, mut fixture) = (TestCourt::new(), channel(1, ANCHORS));
        test.open(&mut fixture, &[offered(0, 50_000, 1, START + 50, Link::Own)]);
        test.update(&mut fixture, 1, &[]);
        test.withholds_rows = true;
        let revoked = fixture.remote_commitment_tx(0).unwrap();
        test.quiet_block(std::slice::from_ref(&revoked));
        let taken = fattened(&peer_takes(&fixture, Side::Remote, 0, HTLC, 1));
        let second = OutPoint { txid: taken.compute_txid(), vout: 3 };
        if searched {
            // The counterparty's next transaction spends an output of the close, and the second level as well.
            let next = unsigned(
                [(second, vec![vec![1]]), (OutPoint { vout: 0, ..output_of(&fixture, Side::Remote, 0, HTLC) }, vec![])],
                1,
                400,
                &fixture.setup().fallback_script,
            );
            let found = |tx: &Transaction| FoundSpend { height: height(START + 1), tx: tx.clone() };
            let spends = vec![found(&next), found(&taken)];
            let parent = revoked.compute_txid();
            let through = test.court.tip();
            test.hear(Event::Scanned(Box::new(Scanned {
                channel: fixture.id(),
                parent,
                through,
                confirmed: None,
                spends,
            })));
        } else {
            test.quiet_block(std::slice::from_ref(&taken));
        }
        let docket = test.docket(&fixture);
        let mut levels = docket.contracts.iter().filter(|contract| contract.kind == ContractKind::RevokedSecondLevel);
        let level = levels.next().unwrap();
        assert!(levels.next().is_none());
        let is_spent = matches!(level.stage, StageRecord::Spent { .. });
        assert_eq!(is_spent, searched);
    }
}

/// Panics unless the time of one step grows with `counts` by a power below `most`. The least of a few measurements counts, because
/// other load only adds to some of them; further ones are made while the power is too large.
fn grows_below(most: f64, counts: [u32; 2], prepare: impl Fn(u32) -> (TestCourt, Event)) {
    let prepared = counts.map(prepare);
    let (mut least, mut power) = ([f64::INFINITY; 2], f64::INFINITY);
    let started = Instant::now();
    for round in 1..=50 {
        for ((test, event), least) in prepared.iter().zip(&mut least) {
            let mut court = test.court.clone();
            let begin = Instant::now();
            let mut step = court.step();
            step.hear(event).unwrap();
            let _due = step.detach().attest_durable();
            *least = least.min(begin.elapsed().as_secs_f64());
        }
        power = (least[1] / least[0]).ln() / (f64::from(counts[1]) / f64::from(counts[0])).ln();
        if round >= 7 && started.elapsed().as_millis() >= 500 && power < most {
            break;
        }
    }
    // What follows is not part of the measurement, and the shared check would go through it all.
    std::mem::forget(prepared);
    assert!(power < most, "{power}");
}

/// A channel whose funding was spent into so many outputs, and their spends.
fn spent(outputs: u32) -> (TestCourt, ChannelFixture, Vec<Transaction>) {
    let (mut test, fixture) = (TestCourt::new(), channel(1, ANCHORS));
    test.hear(fixture.opened(Standing::default()));
    let (close, spends) = many_spends(fixture.setup().funding, outputs, &preimage(1));
    test.quiet_block(&[close]);
    (test, fixture, spends)
}

/// Twice as many spends may take little more than twice as long. A power of 2 would be quadratic.
const POWER_MAX: f64 = 1.5;

#[test]
fn i20_a24_the_work_for_a_block_grows_with_its_spends() {
    grows_below(POWER_MAX, [2_000, 16_000], |count| {
        let (mut test, _, spends) = spent(count);
        let event = test.next_block(&spends);
        (test, event)
    });
}

#[test]
fn i20_a24_the_work_for_a_search_grows_with_what_it_found() {
    grows_below(POWER_MAX, [2_000, 16_000], |count| {
        let (test, fixture, spends) = spent(count);
        let parent = spends[0].input[0].previous_output.txid;
        let spends = spends.into_iter().map(|tx| FoundSpend { height: height(START + 1), tx }).collect();
        let through = test.court.tip();
        (test, Event::Scanned(Box::new(Scanned { channel: fixture.id(), parent, through, confirmed: None, spends })))
    });
}

#[test]
fn i20_a24_the_work_for_a_block_that_leaves_grows_with_its_spends() {
    grows_below(POWER_MAX, [2_000, 16_000], |count| {
        let (mut test, _, spends) = spent(count);
        test.quiet_block(&spends);
        let event = test.disconnection();
        (test, event)
    });
}

/// 483 HTLCs that came in on one channel and went out on another, with one hash.
fn forwards() -> (TestCourt, OutPoint) {
    let mut test = TestCourt::new();
    let (mut up, mut fixture) = (channel(1, ANCHORS), channel(2, ANCHORS));
    let came_in: Vec<_> = (0..483).map(|id| received(id, 5_000, 1, START + 90)).collect();
    let link = |id| Link::Forward(HtlcKey { channel: up.id(), htlc: HtlcRef::received(id) });
    let went_out: Vec<_> = (0..483).map(|id| offered(id, 5_000, 1, START + 50, link(id))).collect();
    test.open(&mut up, &came_in);
    test.open(&mut fixture, &went_out);
    test.quiet_block(&[fixture.remote_commitment_tx(0).unwrap()]);
    let outpoint = output_of(&fixture, Side::Remote, 0, HTLC);
    (test, outpoint)
}

/// The inputs of a transaction with so many items, the first of which spends the outpoint.
type Shape = fn(u32, OutPoint, &dyn Fn(u32) -> Vec<u8>) -> Vec<(OutPoint, Vec<Vec<u8>>)>;

#[test]
fn i20_a25_the_work_for_an_unconfirmed_transaction_grows_with_its_items() {
    let (test, outpoint) = forwards();
    let script = foreign_htlc_script(&preimage(1).hash()).to_p2wsh();
    // Copies of one preimage in one witness, in many inputs, and items that all differ.
    let item = |number: u32| [number.to_le_bytes(); 8].concat();
    let shapes: [Shape; 3] = [
        |count, outpoint, _| vec![(outpoint, vec![preimage(1).0.to_vec(); usize::try_from(count).unwrap()])],
        |count, outpoint, _| {
            let other = |vout| OutPoint { vout: vout + 500, ..outpoint };
            let inputs = (0..count).map(|vout| (other(vout), vec![preimage(1).0.to_vec()]));
            [(outpoint, Vec::new())].into_iter().chain(inputs).collect()
        },
        |count, outpoint, item| vec![(outpoint, (0..count).map(item).chain([preimage(1).0.to_vec()]).collect())],
    ];
    // Copies are hashed and looked up once, so they cost next to nothing.
    for (shape, most) in shapes.into_iter().zip([0.25, POWER_MAX, POWER_MAX]) {
        grows_below(most, [1_400, 11_200], |count| {
            (test.fork(), Event::MempoolSeen { tx: unsigned(shape(count, outpoint, &item), 1, 400, &script) })
        });
    }
}

#[test]
fn a25_every_forward_is_settled_once_however_often_a_preimage_is_shown() {
    let (mut test, outpoint) = forwards();
    let script = foreign_htlc_script(&preimage(1).hash()).to_p2wsh();
    let inputs = [(outpoint, vec![preimage(1).0.to_vec(); 10_900])];
    test.hear(Event::MempoolSeen { tx: unsigned(inputs, 1, 400, &script) });
    let frame = test.frames.0.last().unwrap();
    let usable = frame.entries.iter().flat_map(|entry| &entry.concluded);
    let usable = usable.filter(|record| matches!(record.what, arb_core::Conclusion::PreimageUsable { .. }));
    assert_eq!(usable.count(), 2 * 483, "each HTLC, and what came in for it");
}

/// A transaction is looked up by its txid only while a funding is unconfirmed (I20), also after its block has left.
#[test]
fn i20_a_funding_is_looked_for_until_it_confirms_and_again_after_its_block_left() {
    let (mut test, fixture) = (TestCourt::new(), channel(1, ChannelType::AnchorsZeroFeeHtlcTx));
    let funding = unsigned([(OutPoint::null(), Vec::new())], 1, 1_000, &fixture.setup().fallback_script);
    let txid = funding.compute_txid();
    let mut facts = fixture.facts();
    facts.fundings[0].outpoint = OutPoint { txid, vout: 0 };
    facts.fundings[0].confirmed = None;
    let opened = arb_core::ChannelOpened { facts, standing: Standing::default() };
    test.hear(Event::ChannelOpened(Box::new(opened)));
    let waits = |test: &TestCourt| test.court.channel(test.index(&fixture)).unwrap().watches_parent(&txid);
    assert!(waits(&test));
    test.quiet_block(std::slice::from_ref(&funding));
    assert!(!waits(&test));
    test.disconnect_to(START);
    assert!(waits(&test));
    test.quiet_block(&[funding]);
    assert!(!waits(&test));
    assert_eq!(test.court.indexes(), &test.court.rebuilt_indexes());
}
