//! What is offered: faults of this project by their ids (A…), on whole closes.

use arb_core::bolt3::ChannelType;
use arb_core::{BroadcastAnswer, Event, Fees, Height, Htlc, HtlcRef, Link, Side};

use crate::world::{BEGIN, World, offered, received};

const STATIC: ChannelType = ChannelType::StaticRemotekey;
const ANCHORS: ChannelType = ChannelType::AnchorsZeroFeeHtlcTx;
const COINS: [u64; 6] = [400_000, 300_000, 200_000, 200_000, 150_000, 100_000];

fn key(is_offered: bool) -> HtlcRef {
    if is_offered { HtlcRef::offered(0) } else { HtlcRef::received(0) }
}

/// Of 400,000 sat: offered, it expires after 20 blocks and its upstream HTLC after 60; received, after 54.
fn htlc(is_offered: bool) -> Htlc {
    match is_offered {
        true => offered(0, 400_000, 20, Link::Relay { deadline: Height::new(BEGIN + 60) }),
        false => received(0, 400_000, 54),
    }
}

#[test]
fn a40_a_deadline_that_passed_while_we_were_away_is_urgent_and_not_priceless() {
    // What the counterparty signed as a whole (STATIC, ours) has a fixed fee.
    for (channel_type, side) in [(ANCHORS, Side::Local), (ANCHORS, Side::Remote), (STATIC, Side::Remote)] {
        for is_offered in [true, false] {
            let case = format!("{channel_type:?} {side:?} offered {is_offered}");
            let mut world = World::new(channel_type, &[htlc(is_offered)], &COINS, 300);
            world.confirm(world.commitment(side));
            world.away_to(80);
            world.estimate(300);
            if !is_offered {
                world.learn(HtlcRef::received(0));
            }
            let output = world.output(side, key(is_offered));
            let fee_sat = |world: &World| {
                let tx = world.last_spend(output).unwrap_or_else(|| panic!("{case}: claimed"));
                world.chain.in_mempool(&tx.compute_txid()).expect("nodes take it").1
            };
            let first_sat = fee_sat(&world);
            // The estimate of before is not trusted any more, so the next block's price is the fallback of 10 sat/vB.
            assert!(first_sat < 4_000, "{case}: the next block's price first, not {first_sat}");
            for _ in 0..6 {
                world.mine_empty();
            }
            assert!(fee_sat(&world) > 100_000, "{case}: the budget within six blocks, not {}", fee_sat(&world));
        }
    }
}

#[test]
fn a43_a59_our_main_output_follows_the_nodes_floor_below_one_and_above() {
    // A node's floor in sat per thousand virtual bytes, as the estimator says it in sat/kw, and the estimate.
    for (floor_sat_per_kvb, floor, estimate) in [(100, 25, 30), (100, 25, 25), (5_000, 1_250, 1_250)] {
        for channel_type in [STATIC, ANCHORS] {
            for side in [Side::Local, Side::Remote] {
                let case = format!("{channel_type:?} {side:?} at {floor_sat_per_kvb} sat/kvB");
                let mut world = World::at_floor(floor_sat_per_kvb, channel_type, &COINS);
                let fees = Fees::new(vec![(1, 2 * estimate), (144, estimate)], floor);
                world.hear(&Event::FeesEstimated(fees.clone()));
                let commitment = world.commitment(side);
                world.confirm(commitment.clone());
                for _ in 0..160 {
                    world.mine();
                    world.hear(&Event::FeesEstimated(fees.clone()));
                    world.settle();
                }
                let refused = |answer: &BroadcastAnswer| matches!(answer, BroadcastAnswer::Rejected(_));
                let bad = world.sent.iter().find(|(_, _, answer)| refused(answer));
                assert!(bad.is_none(), "{case}: not a satoshi short: {bad:?}");
                let main = |tx: &&bitcoin::Transaction| {
                    let of_ours = |input: &bitcoin::TxIn| input.previous_output.txid == commitment.compute_txid();
                    tx.input.iter().any(of_ours) && tx.output.iter().any(|output| output.value.to_sat() > 1_000_000)
                };
                let sweep = world.sent.iter().flat_map(|(_, txs, _)| txs).find(main);
                let sweep = sweep.unwrap_or_else(|| panic!("{case}: swept"));
                assert!(world.chain.confirmed(&sweep.compute_txid()).is_some(), "{case}: and accepted");
                let fee_sat = world.chain.fee_of(&sweep.compute_txid()).unwrap();
                let vsize = u64::try_from(sweep.vsize()).unwrap();
                let most_sat = (vsize + 2) * 4 * u64::from(estimate) / 1_000 + 1;
                assert!(fee_sat <= most_sat, "{case}: {fee_sat} sat where {most_sat} do");
            }
        }
    }
}

#[test]
fn a43_a_full_mempool_is_not_the_floor() {
    for channel_type in [STATIC, ANCHORS] {
        for is_full in [true, false] {
            // Our main output of about 4,000 sat would pay 2,700 to 2,900 for its sweep: more than half, and something is left.
            let mut world = World::holding(5_000, channel_type, &COINS, 6_000);
            let fees = match is_full {
                true => Fees { mempool_min_sat_per_kw: 6_000, ..Fees::new(vec![(1, 6_000)], 253) },
                false => Fees::new(vec![(1, 6_000)], 6_000),
            };
            world.hear(&Event::FeesEstimated(fees.clone()));
            let commitment = world.commitment(Side::Remote);
            world.confirm(commitment.clone());
            for _ in 0..20 {
                world.mine_empty();
                world.hear(&Event::FeesEstimated(fees.clone()));
                world.settle();
            }
            let is_swept = |world: &World| {
                let sent = world.sent.iter().flat_map(|(_, txs, _)| txs).flat_map(|tx| &tx.input);
                sent.into_iter().any(|input| input.previous_output.txid == commitment.compute_txid())
            };
            assert_eq!(is_swept(&world), !is_full, "{channel_type:?}: a minimum falls again, a floor does not");
            world.hear(&Event::FeesEstimated(Fees::new(vec![(1, 253)], 253)));
            world.settle();
            assert!(is_swept(&world), "{channel_type:?}: now it is cheap");
        }
    }
}
