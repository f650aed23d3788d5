//! Incidents of other sweepers, by the ids of `arb_core::incidents`, that the sweeper alone rules out.

use arb_core::BroadcastRejection::{ConflictInMempool, MissingInputs};
use arb_core::Height;
use arb_core::sweep::Terms;

use crate::test_sweeper::{START, TestSweeper, Wallet, child, claim, fee_of, lazy, op, parts, second};

#[test]
fn b9_b10_a_claim_that_somebody_took_is_in_no_live_transaction_in_the_same_step() {
    let mut test = TestSweeper::with(1_000, (1..=40).map(|n| claim(n, 100, 50_000)));
    for n in [7, 9, 23] {
        test.take(n);
    }
    test.settle();
    let live: Vec<u32> = test.partition().into_iter().flatten().collect();
    assert_eq!(live.len(), 37);
    assert!(live.iter().all(|n| ![7, 9, 23].contains(n)));
}

#[test]
fn b11_b17_a_claim_that_comes_late_touches_no_other() {
    let mut test = TestSweeper::with(1_000, (1..=3).map(|n| claim(n, 100, 50_000)));
    let before = test.group_of(1).unwrap().1.clone();
    test.take(3);
    test.settle();
    test.put([claim(4, 100, 50_000)]);
    test.settle();
    assert_eq!(test.partition(), parts(&[&[1, 2], &[4]]));
    assert!(before.members.contains(&op(3)) && !test.partition().contains(&vec![3, 4]));
}

#[test]
fn b12_different_expiries_are_different_transactions_and_a_reorg_brings_the_same_claims_back() {
    let at = |n, lock: u32| Terms { lock_time: Height::new(START - lock), ..claim(n, 100, 50_000) };
    let mut test = TestSweeper::with(1_000, [at(1, 1), at(2, 1), at(3, 2), at(4, 3)]);
    let before = test.partition();
    assert_eq!(before, parts(&[&[1, 2], &[3], &[4]]));
    let all = std::mem::take(&mut test.terms);
    assert_eq!(test.settle(), []);
    test.terms = all;
    assert_eq!(test.settle(), [], "their transactions are unchanged");
    assert_eq!(test.partition(), before);
}

#[test]
fn b13_a_reorg_over_a_change_of_grouping_leaves_every_claim_in_one_transaction() {
    let mut test = TestSweeper::with(1_000, [claim(1, 10, 40_000), claim(2, 10, 50_000), claim(3, 10, 40_000)]);
    assert_eq!(test.partition(), parts(&[&[1, 2, 3]]));
    test.at(4);
    assert_eq!(test.partition(), parts(&[&[1], &[2], &[3]]));
    // After a reorg to before the split the sent transactions stay. On the other branch a foreign transaction spends claim 2.
    test.at(2);
    assert_eq!(test.partition(), parts(&[&[1], &[2], &[3]]));
    test.take(2);
    test.at(5);
    assert_eq!(test.partition(), parts(&[&[1], &[3]]));
    assert_eq!(test.settle(), []);
}

#[test]
fn b16_b35_a_fee_is_never_above_the_budget_and_less_than_that_is_uneconomic() {
    for budget in [0, 1, 100, 252, 253, 254, 999, 5_000] {
        let mut test = TestSweeper::with(100_000, [claim(1, 2, budget)]);
        for after in 0..5 {
            test.at(after);
            assert_eq!(test.group_of(1).map(|(_, group)| group.fee_sat), (budget >= 253).then_some(budget));
        }
    }
}

#[test]
fn b19_l10_l29_one_bad_input_fails_no_other() {
    let mut test = TestSweeper::with(1_000, (1..=4).map(|n| claim(n, 100, 50_000)));
    test.reject(1, MissingInputs);
    test.settle();
    assert_eq!(test.partition(), parts(&[&[1, 2], &[3, 4]]), "each half is sent (A3)");
    test.reject(1, MissingInputs);
    test.settle();
    assert_eq!(test.partition(), parts(&[&[1], &[2], &[3, 4]]));
    assert_eq!((1..=4).map(|n| test.offer(n)).collect::<Vec<_>>(), [1_000; 4]);
}

#[test]
fn b20_l3_stalling_a_batch_of_forty_resets_no_price_and_costs_no_block() {
    let mut test = TestSweeper::with(1_000, (0..40).map(|n| claim(n, 60, 40_000)));
    let mut undisturbed = test.clone();
    for after in 1..40 {
        undisturbed.at(after);
        test.take(after - 1);
        test.at(after);
        // The remaining claims are planned anew in the same block, at no less than without the stalling.
        let (_, group) = test.group_of(39).unwrap();
        assert_eq!((group.members.len(), group.planned), (40 - after as usize, Height::new(START + after)));
        assert!(test.wanted(39) >= undisturbed.wanted(39), "{after}");
        assert!(test.offer(39) >= undisturbed.offer(39), "{after}");
    }
}

#[test]
fn b21_what_replaced_ours_is_outbid_in_every_block_up_to_the_budget() {
    let mut test = TestSweeper::with(1_000, [claim(1, 400, 30_000)]);
    let mut last = test.fee(1);
    for after in 1..=12 {
        test.reject(1, ConflictInMempool);
        test.at(after);
        assert!(test.fee(1) >= (last * 5 / 4).min(29_000), "{after}: {last}");
        last = test.fee(1);
    }
}

#[test]
fn b22_when_everybody_closes_a_claim_still_reaches_its_whole_budget() {
    // The estimate rises faster than the curve.
    let mut test = TestSweeper::with(1_000, [claim(1, 40, 90_000)]);
    for after in 0..40 {
        test.estimate(&[(1, 1_000 + after * 5_000)]);
        test.at(after);
        assert!(test.offer(1) >= (1_000 + after * 5_000).min(88_000), "{after}");
    }
    assert!(test.fee(1) <= 90_000);
}

#[test]
fn b44_b53_whoever_confirms_a_claim_is_over_and_a_reorg_brings_it_back_at_its_price() {
    let mut test = TestSweeper::with(1_000, [claim(1, 100, 50_000), claim(2, 100, 50_000)]);
    test.at(50);
    let price = test.offer(1);
    let gone = [test.take(1), test.take(2)];
    assert_eq!(test.at(51), []);
    test.put(gone);
    test.settle();
    assert!(test.offer(1) >= price);
    assert_eq!(test.partition(), parts(&[&[1, 2]]));
}

#[test]
fn b45_near_its_deadline_no_claim_depends_on_anothers_transaction() {
    let mut test = TestSweeper::new(1_000);
    test.put((1..=5).map(|n| claim(n, 6, 50_000)));
    test.settle();
    assert_eq!((test.partition().len(), test.orders.len()), (5, 5));
}

#[test]
fn b48_a_far_deadline_is_looked_at_in_every_block_and_anchors_are_alone() {
    let mut test =
        TestSweeper::with(1_000, [child(1, &[(Some(1_000), 300_000)], 0), child(2, &[(Some(1_000), 300_000)], 0)]);
    assert_eq!(test.partition(), parts(&[&[1], &[2]]));
    test.at(999);
    assert!(test.fee(1) > 299_000 && test.fee(2) > 299_000);
}

#[test]
fn b49_b56_coins_of_a_sweep_that_is_given_up_are_free_and_those_of_a_live_one_are_not() {
    let mut test = TestSweeper::with(1_000, [second(1, 100, 50_000)]);
    let coins = test.group_of(1).unwrap().1.fee_inputs.coins.clone();
    test.take(1);
    for after in 1..50 {
        assert_eq!(test.at(after), [], "the coins stay held: a reorg could bring the claim back");
    }
    test.put([second(1, 100, 50_000)]);
    test.settle();
    assert_eq!(test.group_of(1).unwrap().1.fee_inputs.coins[..1], coins[..1]);
    test.reject(1, MissingInputs);
    test.settle();
    assert!(test.group_of(1).is_none(), "a dropped group holds no coins");
}

#[test]
fn b58_weights_are_upper_bounds() {
    let test = TestSweeper::with(1_000, [lazy(1, 50_000), lazy(2, 50_000)]);
    assert_eq!(test.fee(1), fee_of(2 * crate::test_sweeper::INPUT + 166, 1_000));
}

#[test]
fn l34_a_refused_fee_is_an_obligation_not_an_end() {
    let mut test = TestSweeper::with(1_000, [claim(1, 300, 50_000)]);
    test.wallet = Wallet::Silent;
    for after in 1..300 {
        test.reject(1, arb_core::BroadcastRejection::FeeTooLow);
        test.at(after);
        assert!(test.group_of(1).is_some());
    }
    assert!(test.fee(1) > 49_500);
}
