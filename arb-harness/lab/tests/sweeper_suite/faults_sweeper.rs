//! What is offered and asked for: faults of this project by their ids (A…), on a sweeper alone.

use arb_core::BroadcastRejection::{ConflictInMempool, FeeTooLow, MissingInputs};
use arb_core::sweep::{FeeInputs, WALLET_INPUT_WEIGHT};
use arb_core::{Blocks, Fees, Height};

use crate::test_sweeper::{START, TestSweeper, Wallet, claim, fee_of, height, lazy, op, parts, second};

#[test]
fn a3_a_refused_batch_is_halved_and_suspicion_ends_with_an_acceptance() {
    let claims = (1..=8).map(|n| claim(n, 400, 50_000));
    let mut sweeper = TestSweeper::with(1_000, claims);
    sweeper.reject(1, MissingInputs);
    sweeper.settle();
    assert_eq!(sweeper.partition(), parts(&[&[1, 2, 3, 4], &[5, 6, 7, 8]]));
    let (number, _) = sweeper.group_of(1).unwrap();
    sweeper.sweeper.accepted(number);
    sweeper.reject(5, MissingInputs);
    sweeper.settle();
    assert_eq!(sweeper.partition(), parts(&[&[1, 2, 3, 4], &[5, 6], &[7, 8]]));
}

#[test]
fn a3_claims_that_stood_alone_join_the_one_that_has_the_only_coin() {
    // So near the deadline each stands alone and asks for coins. The wallet has one.
    let mut sweeper = TestSweeper::new(1_000);
    sweeper.wallet = Wallet::Silent;
    sweeper.put((1..=24).map(|n| second(n, 2, 3_000)));
    sweeper.settle();
    let coin = sweeper.coin(100_000);
    sweeper.sweeper.offered(&op(1), coin);
    sweeper.settle();
    assert_eq!(sweeper.partition(), parts(&[&[1]]));
    let before = (sweeper.fee(1), sweeper.offer(1));
    let refuse = |sweeper: &mut TestSweeper| {
        let asked = sweeper.sweeper.asked().first().map(|ask| (ask.owner, ask.amount_sat));
        asked.into_iter().for_each(|(owner, amount_sat)| sweeper.sweeper.refused(&owner, amount_sat));
        sweeper.settle();
    };
    refuse(&mut sweeper);
    let all: Vec<u32> = (1..=24).collect();
    assert_eq!(sweeper.partition(), parts(&[&all]), "one answer is enough");
    assert!(sweeper.offer(1) > before.1 && sweeper.fee(1) > before.0 + 250, "it replaces the first");
    // For one more claim the replacement of all would cost more than that claim alone.
    sweeper.put([second(25, 2, 3_000)]);
    for _ in 0..2 {
        sweeper.settle();
        refuse(&mut sweeper);
        assert_eq!(sweeper.partition(), parts(&[&all]));
        sweeper.next();
    }
}

#[test]
fn a3_a_half_that_has_the_coins_leaves_what_the_next_block_does_not_cost_for_the_other() {
    let mut sweeper = TestSweeper::new(1_000);
    sweeper.wallet = Wallet::Silent;
    sweeper.put((1..=8).map(|n| second(n, 100, 50_000)));
    sweeper.settle();
    let coin = sweeper.coin(60_000);
    sweeper.sweeper.offered(&op(1), coin);
    sweeper.settle();
    sweeper.at(50);
    assert_eq!(sweeper.partition(), parts(&[&[1, 2, 3, 4, 5, 6, 7, 8]]));
    assert!(sweeper.offer(1) > 5_000, "half of the time has passed: {}", sweeper.offer(1));
    sweeper.reject(1, ConflictInMempool);
    sweeper.settle();
    assert_eq!(sweeper.partition(), parts(&[&[1, 2, 3, 4]]));
    assert_eq!(sweeper.offer(1), 1_000, "the other half needs the change");
}

#[test]
fn a11_a_coin_that_was_refused_for_a_claim_alone_is_not_asked_for_again() {
    let mut sweeper = TestSweeper::with(1_000, [second(1, 400, 50_000)]);
    let coin = sweeper.group_of(1).unwrap().1.fee_inputs.coins[0].outpoint;
    sweeper.reject(1, MissingInputs);
    sweeper.settle();
    let pause = Blocks::new(144);
    assert_eq!(sweeper.sweeper.refused_coins(Height::new(START), pause), [coin]);
    assert_eq!(sweeper.sweeper.refused_coins(height(START + 144), pause), [], "for a while");
    sweeper.next();
    let coins = &sweeper.group_of(1).unwrap().1.fee_inputs.coins;
    assert!(coins.iter().all(|other| other.outpoint != coin), "another coin pays");
}

#[test]
fn a29_a_wallet_of_many_small_coins_makes_no_transaction_that_nodes_refuse_for_its_weight() {
    let mut sweeper = TestSweeper::new(300);
    sweeper.wallet = Wallet::Silent;
    sweeper.put([second(1, 400, 9_000_000)]);
    sweeper.settle();
    for round in 1..=40 {
        // Every request is met with a hundred coins that are just enough together, and the market rises.
        if let Some(ask) = sweeper.sweeper.asked().first().map(|ask| **ask) {
            let own_sat = fee_of(WALLET_INPUT_WEIGHT, ask.feerate_sat_per_kw);
            let coins = (0..100).map(|_| sweeper.coin(ask.amount_sat.div_ceil(100) + own_sat));
            let coins: Vec<FeeInputs> = coins.collect();
            coins.into_iter().for_each(|coin| sweeper.sweeper.offered(&ask.owner, coin));
        }
        sweeper.estimate(&[(1, 300 + 300 * round)]);
        sweeper.next();
        let weight = sweeper.group_of(1).map_or(0, |(_, group)| {
            let coins = u64::try_from(group.fee_inputs.coins.len()).unwrap();
            1_000 + coins.saturating_sub(1) * WALLET_INPUT_WEIGHT
        });
        assert!(weight <= 400_000, "after {round} answers: {weight} WU");
    }
}

#[test]
fn a40_a_deadline_that_was_over_from_the_start_is_urgent_and_not_priceless() {
    let mut sweeper = TestSweeper::with(1_000, [claim(1, 0, 100_000)]);
    assert_eq!(sweeper.offer(1), 1_200, "the next block's price first");
    let mut before = sweeper.offer(1);
    for _ in 0..6 {
        sweeper.next();
        assert!(sweeper.offer(1) >= before);
        before = sweeper.offer(1);
    }
    assert!(sweeper.fee(1) > 99_000, "everything within six blocks: {}", sweeper.fee(1));
}

#[test]
fn a43_what_nobody_contests_follows_the_nodes_floor() {
    let mut cheap = TestSweeper::new(60);
    cheap.estimate(&[(1, 60), (144, 30)]);
    cheap.floor(25);
    cheap.put([lazy(1, 50_000), claim(2, 400, 50_000)]);
    cheap.settle();
    assert_eq!(cheap.offer(1), 30);
    assert_eq!(cheap.offer(2), 253, "with a deadline never below 1 sat/vB");
}

#[test]
fn a59_fees_are_for_whole_virtual_bytes_and_a_refused_lazy_claim_rises() {
    let mut odd = lazy(1, 50_000);
    odd.input_weight += 1;
    let mut sweeper = TestSweeper::with(1_250, [odd]);
    // 1,001 WU are 251 vB.
    assert_eq!(sweeper.fee(1), 251 * 5);
    let mut before = sweeper.fee(1);
    for _ in 0..5 {
        sweeper.reject(1, FeeTooLow);
        sweeper.next();
        assert!(sweeper.fee(1) > before, "each time");
        before = sweeper.fee(1);
    }
    assert!(sweeper.terms.contains_key(&op(1)));
}

#[test]
fn a59_a_replacement_pays_what_our_node_asks_for_its_own_weight() {
    for (of_node, step) in [(0, 250), (100, 250), (2_000, 2_000)] {
        let mut sweeper = TestSweeper::with(1_000, [claim(1, 400, 1_000_000)]);
        let fees = Fees { incremental_sat_per_kw: of_node, ..Fees::new(vec![(1, 1_300)], 253) };
        let fee = sweeper.fee(1);
        sweeper.hear(fees);
        sweeper.next();
        // A transaction of 1,000 weight units.
        let least = fee + step;
        assert!(sweeper.fee(1) == fee || sweeper.fee(1) >= least, "{} after {fee}, not {least}", sweeper.fee(1));
        assert_eq!(sweeper.fee(1) == fee, of_node == 2_000, "a rise of a third does not pay for a step of 2,000");
    }
}

#[test]
fn a47_what_nobody_contests_does_not_follow_a_jump_at_once() {
    for falls in [false, true] {
        let mut sweeper = TestSweeper::new(1_000);
        sweeper.fresh = false;
        sweeper.next();
        sweeper.estimate(&[(1, 1_000_000)]);
        sweeper.put([lazy(1, 10_000_000), claim(2, 20, 10_000_000)]);
        sweeper.settle();
        assert_eq!(sweeper.offer(1), 1_000);
        assert_eq!(sweeper.offer(2), 250_000, "what somebody contests does");
        let jump = sweeper.tip;
        while sweeper.tip < jump + 4 {
            sweeper.next();
        }
        if falls {
            sweeper.estimate(&[(1, 1_000)]);
        }
        sweeper.put([lazy(3, 10_000_000)]);
        sweeper.settle();
        assert_eq!(sweeper.offer(3), 1_000);
        while sweeper.tip < jump + 6 {
            sweeper.next();
        }
        sweeper.put([lazy(4, 10_000_000)]);
        sweeper.settle();
        assert_eq!(sweeper.offer(4), if falls { 1_000 } else { 250_000 }, "a price that stays is the price");
    }
}
