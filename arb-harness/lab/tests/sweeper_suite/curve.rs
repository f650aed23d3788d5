//! The feerate that a claim wants: from the estimate up to all that its budget bears, one block before its deadline (I8).

use arb_core::sweep::{Limit, Order};
use arb_core::{Blocks, Fees};

use crate::test_sweeper::{TestSweeper, child, claim, height, lazy, plans, second};

#[test]
fn it_starts_at_the_estimate_passes_the_square_and_ends_one_block_before_the_deadline() {
    let mut test = TestSweeper::with(1_000, [claim(1, 100, 100_000)]);
    assert_eq!((test.offer(1), test.fee(1)), (1_000, 1_000));
    // 99 blocks remain until one block before the deadline; after a third of them the offer has risen by a ninth.
    test.at(33);
    assert_eq!(test.offer(1), 1_000 + 99_000 / 9);
    test.at(66);
    assert_eq!(test.offer(1), 1_000 + 99_000 * 4 / 9);
    test.at(98);
    assert!(test.offer(1) < 100_000);
    test.at(99);
    assert_eq!((test.offer(1), test.fee(1)), (100_000, 100_000));
    for after in [100, 101, 150, 1_000] {
        test.at(after);
        assert_eq!(test.offer(1), 100_000, "the offer stays until the output is spent");
    }
}

#[test]
fn block_by_block_the_offer_never_falls_whatever_the_estimate_does() {
    let mut test = TestSweeper::with(5_000, [claim(1, 100, 100_000)]);
    let (mut last, mut wanted) = (0, 0);
    for after in 0..130 {
        test.estimate(&[(1, [5_000, 900, 60_000, 253][after as usize % 4])]);
        test.at(after);
        assert!(test.offer(1) >= last && test.wanted(1) >= wanted);
        (last, wanted) = (test.offer(1), test.wanted(1));
        assert_eq!(wanted, test.sweeper.price(&crate::test_sweeper::op(1)).unwrap().wanted_sat_per_kw.max(wanted));
    }
    assert_eq!(last, 100_000);
}

#[test]
fn the_cap_is_the_policys_where_the_budget_bears_more() {
    let mut test = TestSweeper::with(1_000, [claim(1, 100, 9_000_000)]);
    test.at(99);
    assert_eq!((test.offer(1), test.fee(1)), (250_000, 250_000));
    // The cap also binds if the estimate is above it.
    let mut test = TestSweeper::with(400_000, [claim(1, 100, 9_000_000)]);
    assert_eq!(test.offer(1), 250_000);
    test.at(100);
    assert_eq!(test.offer(1), 250_000);
}

#[test]
fn a_budget_that_hardly_buys_the_next_block_is_offered_whole_at_once() {
    // tight_permille: 1,500. With one satoshi more there is a curve.
    let tight = TestSweeper::with(1_000, [claim(1, 100, 1_500)]);
    assert_eq!((tight.offer(1), tight.fee(1)), (1_500, 1_500));
    let loose = TestSweeper::with(1_000, [claim(1, 100, 1_501)]);
    assert_eq!(loose.offer(1), 1_000);
    // A budget below the estimate is offered whole, and the plan states why the offer is less than wanted.
    let mut test = TestSweeper::new(1_000);
    test.put([claim(1, 100, 600)]);
    let orders = test.settle();
    let plan = plans(&orders)[0];
    assert_eq!((plan.fee_sat, plan.wanted_sat_per_kw, plan.limit), (600, 1_000, Some(Limit::Budget)));
}

#[test]
fn the_estimate_is_that_of_the_time_left_less_a_spike() {
    let targets = [(1, 9_000), (6, 5_000), (40, 2_000), (144, 1_000)];
    let of = |due_in: u32| {
        let mut test = TestSweeper::new(1_000);
        test.estimate(&targets);
        test.put([claim(1, due_in, 400_000)]);
        test.settle();
        test.offer(1)
    };
    // spike: 60 blocks.
    assert_eq!(of(60 + 144), 1_000);
    assert_eq!(of(60 + 143), 2_000);
    assert_eq!(of(60 + 40), 2_000);
    assert_eq!(of(60 + 39), 5_000);
    assert_eq!(of(60 + 5), 9_000);
    // No time is left to wait for the end of a spike: pressing_permille, 1,200.
    assert_eq!(of(60), 10_800);
    assert_eq!(of(20), 10_800);
}

#[test]
fn without_an_estimate_it_starts_from_the_fallback_and_rises_all_the_same() {
    let mut test = TestSweeper::new(0);
    test.fees = None;
    test.put([claim(1, 100, 100_000)]);
    test.settle();
    assert_eq!(test.offer(1), 2_500);
    test.at(33);
    assert_eq!(test.offer(1), 2_500 + 97_500 / 9);
    test.at(99);
    assert_eq!(test.offer(1), 100_000);
}

#[test]
fn an_estimate_that_is_not_fresh_is_trusted_only_upwards() {
    for (known, used) in [(1_000, 2_500), (7_000, 7_000)] {
        let mut test = TestSweeper::new(known);
        test.fresh = false;
        // fee_stale: 6 blocks.
        test.at(6);
        test.put([claim(1, 106, 100_000)]);
        test.settle();
        assert_eq!(test.offer(1), known);
        test.at(7);
        test.put([claim(2, 300, 100_000)]);
        test.settle();
        assert_eq!(test.offer(2), used);
        test.at(105);
        assert_eq!(test.offer(1), 100_000, "a deadline does not wait for an estimate");
    }
}

#[test]
fn an_estimate_without_targets_is_none_and_one_below_the_floor_is_the_floor() {
    let mut test = TestSweeper::new(0);
    test.fees = Some((Fees::new(Vec::new(), 0), height(test.tip)));
    assert_eq!(test.now().estimate(Blocks::new(1)), 2_500);
    test.estimate(&[(1, 5)]);
    assert_eq!(test.now().estimate(Blocks::new(1)), 253);
    test.floor(4_000);
    assert_eq!(test.now().estimate(Blocks::new(1)), 4_000);
}

#[test]
fn what_nobody_contests_follows_the_lazy_estimate_once_in_a_while() {
    let mut test = TestSweeper::new(1_000);
    test.estimate(&[(1, 9_000), (144, 1_000)]);
    test.put([lazy(1, 50_000)]);
    test.settle();
    assert_eq!(test.offer(1), 1_000);
    test.estimate(&[(1, 9_000), (144, 3_000)]);
    test.at(143);
    assert_eq!(test.offer(1), 1_000, "lazy_target: 144 blocks");
    test.at(144);
    assert_eq!(test.offer(1), 3_000);
    test.estimate(&[(1, 500), (144, 500)]);
    test.at(400);
    assert_eq!(test.offer(1), 3_000);
}

#[test]
fn a_missed_deadline_is_as_urgent_as_can_be() {
    let mut test = TestSweeper::new(1_000);
    test.at(50);
    test.put([claim(1, 30, 80_000)]);
    test.settle();
    // The next block's price first; six blocks later everything (A40).
    assert_eq!((test.offer(1), test.fee(1)), (1_200, 1_200));
    test.at(56);
    assert_eq!((test.offer(1), test.fee(1)), (80_000, 80_000));
}

#[test]
fn a_child_is_worth_what_missing_each_deadline_loses() {
    // 3,000 WU with its parent; 30,000 sat may be spent up to the first deadline, 90,000 up to the second.
    let stakes = [(Some(50), 30_000), (Some(100), 90_000)];
    let mut test = TestSweeper::with(1_000, [child(1, &stakes, 0)]);
    assert_eq!((test.offer(1), test.fee(1)), (1_200, 3_600));
    test.at(49);
    let first = test.offer(1);
    assert!((10_000..12_000).contains(&first), "{first}: the first deadline's budget, and the second's curve");
    test.at(99);
    assert!((89_990..=90_000).contains(&test.fee(1)), "{}", test.fee(1));
}

#[test]
fn a_child_pays_only_what_its_parent_does_not() {
    let mut test = TestSweeper::with(1_000, [child(1, &[(Some(100), 90_000)], 2_000)]);
    assert_eq!((test.offer(1), test.fee(1)), (1_000, 1_000));
    test.at(99);
    assert!((89_990..=90_000).contains(&test.fee(1)), "the whole budget, on top of what the parent pays");
    // A parent that pays enough gets no child, and none is recorded as uneconomic.
    let mut test = TestSweeper::new(1_000);
    test.put([child(1, &[(Some(100), 90_000)], 3_000)]);
    assert_eq!(test.settle(), []);
    test.estimate(&[(1, 1_200)]);
    test.next();
    assert_eq!(test.fee(1), 600, "a child once the estimate is above what the parent pays");
}

#[test]
fn between_blocks_only_a_steep_rise_is_followed() {
    let mut test = TestSweeper::with(10_000, [claim(1, 100, 100_000), second(2, 300, 100_000)]);
    test.estimate(&[(1, 12_400)]);
    assert_eq!(test.settle(), []);
    test.estimate(&[(1, 12_500)]);
    assert_eq!(plans(&test.settle()).len(), 2);
    assert_eq!(test.offer(1), 12_500);
    test.estimate(&[(1, 13_000)]);
    assert!(plans(&test.settle()).is_empty());
    test.next();
    assert!(test.offer(1) >= 13_000);
}

#[test]
fn a_rise_that_does_not_pay_for_its_own_relay_waits() {
    let mut test = TestSweeper::with(1_000, [lazy(1, 50_000)]);
    // incremental: 250 sat/kw of 1,000 WU.
    test.estimate(&[(1, 1_249)]);
    assert_eq!(test.at(150), []);
    test.estimate(&[(1, 1_250)]);
    let orders: Vec<Order> = test.at(156);
    assert_eq!(plans(&orders).len(), 1);
    assert_eq!(test.offer(1), 1_250);
}

#[test]
fn i8_claims_that_share_a_transaction_offer_no_more_than_the_next_block_costs_above_half_their_value() {
    // Each may spend 500 sat at any feerate, and 1,500 sat for the next block. Together each weighs 605 WU, not 1,000.
    for count in [1, 2, 10] {
        let small = |n| arb_core::sweep::Terms { any_price_sat: 500, ..second(n, 100, 1_500) };
        let mut test = TestSweeper::with(1_000, (1..=count).map(small));
        assert_eq!(test.offer(1), 1_200, "{count}: a pressing claim pays a fifth more than the estimate");
        test.estimate(&[(1, 600)]);
        test.at(1);
        assert_eq!(test.offer(1), 1_200, "{count}: what is offered never falls");
    }
    // What is within the part for any feerate is offered as before.
    let small = |n| arb_core::sweep::Terms { any_price_sat: 1_400, ..second(n, 100, 1_500) };
    let test = TestSweeper::with(1_000, (1..=10).map(small));
    assert_eq!(test.offer(1), 1_500);
}
