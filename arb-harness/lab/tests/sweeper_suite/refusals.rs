//! What the sweeper does after a broadcast was rejected: one rule for each reason; no claim with a deadline is given up.

use arb_core::BroadcastRejection::{
    ConflictInMempool, FeeTooLow, MissingInputs, NonFinal, ScriptFailure, TooLongChain, Unknown,
};
use arb_core::sweep::{Declined, Limit, Order};

use crate::test_sweeper::{TestSweeper, claim, lazy, op, parts, plans, second};

#[test]
fn fee_too_low_is_raised_by_a_quarter_in_each_further_block() {
    let mut test = TestSweeper::with(1_000, [claim(1, 400, 50_000), claim(2, 400, 50_000)]);
    let mut offer = test.offer(1);
    for after in 1..10 {
        test.reject(1, FeeTooLow);
        assert_eq!(test.settle(), [], "not in the same block");
        test.at(after);
        assert_eq!(test.offer(1), (offer * 5).div_ceil(4));
        offer = test.offer(1);
    }
    assert_eq!(test.partition(), parts(&[&[1, 2]]));
    // Accepted: the offer follows the curve again.
    test.sweeper.accepted(test.group_of(1).unwrap().0);
    test.at(10);
    assert_eq!(test.offer(1), offer);
}

#[test]
fn fee_too_low_reaches_the_floor_at_once_and_the_budget_in_the_end() {
    let mut test = TestSweeper::with(1_000, [claim(1, 400, 20_000)]);
    test.reject(1, FeeTooLow);
    test.floor(4_000);
    test.next();
    assert_eq!(test.offer(1), 4_000);
    for _ in 0..30 {
        test.reject(1, FeeTooLow);
        test.next();
    }
    assert!(test.fee(1) > 19_700, "all but what BIP 125 asks of the last step: {}", test.fee(1));
    assert!(test.fee(1) <= 20_000);
}

#[test]
fn fee_too_low_without_a_deadline_follows_the_estimate() {
    let mut test = TestSweeper::with(1_000, [lazy(1, 20_000)]);
    test.reject(1, FeeTooLow);
    test.next();
    assert_eq!(test.offer(1), 1_250, "more each time, for the estimate may be what was refused (A59)");
    test.reject(1, FeeTooLow);
    test.estimate(&[(1, 2_000)]);
    test.next();
    assert_eq!(test.offer(1), 1_563, "a rise is not followed at once (A47)");
    test.at(8);
    test.reject(1, FeeTooLow);
    test.next();
    assert_eq!(test.offer(1), 2_000, "not only after `lazy_target` blocks");
}

#[test]
fn a_conflict_opens_a_group_and_is_outbid_by_a_single() {
    let mut test = TestSweeper::with(1_000, [claim(1, 400, 50_000), claim(2, 400, 50_000)]);
    test.reject(1, ConflictInMempool);
    test.settle();
    assert_eq!(test.partition(), parts(&[&[1], &[2]]));
    test.reject(1, ConflictInMempool);
    test.next();
    assert_eq!((test.offer(1), test.offer(2)), (1_250, 1_000));
}

#[test]
fn a_missing_input_or_a_bad_script_of_one_sends_each_alone() {
    for why in [MissingInputs, ScriptFailure] {
        let mut test = TestSweeper::with(1_000, (1..=5).map(|n| claim(n, 400, 50_000)));
        let number = test.group_of(1).unwrap().0;
        test.reject(1, why);
        let orders = test.settle();
        assert_eq!(test.partition(), parts(&[&[1, 2, 3], &[4, 5]]), "{why:?}");
        let numbered = plans(&orders).iter().any(|plan| plan.group == number);
        for n in [1, 4, 1] {
            test.reject(n, why);
            test.settle();
        }
        assert_eq!(test.partition(), parts(&[&[1], &[2], &[3], &[4], &[5]]), "{why:?}");
        assert!(
            numbered || plans(&orders).iter().any(|plan| plan.group == number),
            "one claim keeps the group's number"
        );
        assert!(test.decide().is_empty());
        // A claim alone is sent again, unchanged, in every block; new claims do not join one that was refused.
        test.reject(1, why);
        assert_eq!(test.next(), []);
        test.put([claim(6, 400, 50_000), claim(7, 400, 50_000)]);
        test.settle();
        assert_eq!(test.partition(), parts(&[&[1], &[2], &[3], &[4], &[5], &[6, 7]]));
    }
}

#[test]
fn an_accepted_claim_is_no_suspect_any_more() {
    let mut test = TestSweeper::with(1_000, [claim(1, 400, 50_000), claim(2, 400, 50_000)]);
    test.reject(1, MissingInputs);
    test.settle();
    for n in [1, 2] {
        test.sweeper.accepted(test.group_of(n).unwrap().0);
    }
    // Once their transactions are dropped, the accepted claims share one with a new claim.
    for n in [1, 2] {
        let number = test.group_of(n).unwrap().0;
        test.sweeper.apply(&Order::Drop { group: number, pauses: false }, crate::test_sweeper::height(test.tip));
    }
    test.put([claim(3, 400, 50_000)]);
    test.settle();
    assert_eq!(test.partition(), parts(&[&[1, 2, 3]]));
}

#[test]
fn a_missing_coin_is_replaced_in_a_later_block_and_by_another_one() {
    let mut test = TestSweeper::with(1_000, [second(1, 400, 50_000)]);
    let bad = test.group_of(1).unwrap().1.fee_inputs.coins[0].outpoint;
    test.reject(1, MissingInputs);
    assert!(matches!(test.settle()[..], [Order::Drop { pauses: true, .. }]));
    assert!(test.group_of(1).is_none());
    assert_eq!(test.settle(), [], "paused until the next block, or network, wallet and sweeper would loop");
    test.next();
    let (_, group) = test.group_of(1).unwrap();
    assert!(group.fee_inputs.coins.iter().all(|coin| coin.outpoint != bad));
    assert_eq!(group.feerate_sat_per_kw, 1_000);
}

#[test]
fn too_long_a_chain_non_final_and_unknown_change_nothing() {
    for why in [TooLongChain, NonFinal, Unknown] {
        let mut test = TestSweeper::with(1_000, [claim(1, 400, 50_000), claim(2, 400, 50_000)]);
        test.reject(1, why);
        assert_eq!(test.next(), []);
        assert_eq!(test.partition(), parts(&[&[1, 2]]), "{why:?}");
    }
}

#[test]
fn an_answer_about_a_group_that_is_no_more_is_nothing() {
    let mut test = TestSweeper::with(1_000, [claim(1, 400, 50_000)]);
    let before = test.sweeper.clone();
    test.sweeper.rejected(77, MissingInputs);
    test.sweeper.accepted(77);
    assert_eq!(test.sweeper, before);
}

#[test]
fn what_cannot_pay_for_itself_is_recorded_once_and_looked_at_again_when_fees_fall() {
    let mut test = TestSweeper::new(1_000);
    test.floor(1_000);
    // Neither budget pays the relay feerate; a claim without a deadline must be able to pay the estimate.
    test.put([claim(1, 100, 900), lazy(2, 900), claim(3, 100, 50_000)]);
    let orders = test.settle();
    let given_up: Vec<&Order> = orders.iter().filter(|order| matches!(order, Order::Uneconomic { .. })).collect();
    let why = Declined { least_sat_per_kw: 1_000, cost_sat: 1_000, budget_sat: 900 };
    let [first, second] = [op(1), op(2)].map(|outpoint| Order::Uneconomic { outpoint, why });
    assert_eq!(given_up, [&first, &second]);
    assert_eq!(test.partition(), parts(&[&[3]]), "the other claim is not affected");
    assert_eq!(test.next(), []);
    test.floor(500);
    test.estimate(&[(1, 800)]);
    test.floor(500);
    test.next();
    assert_eq!((test.offer(1), test.offer(2)), (900, 800));
    // If fees rise again, the offers stay.
    test.floor(5_000);
    test.next();
    assert_eq!(test.offer(2), 800);
}

#[test]
fn a_claim_with_a_deadline_offers_less_than_the_estimate_rather_than_nothing() {
    let mut test = TestSweeper::new(10_000);
    test.put([claim(1, 100, 900), lazy(2, 900)]);
    let orders = test.settle();
    assert_eq!(plans(&orders)[0].limit, Some(Limit::Budget));
    assert_eq!(test.partition(), parts(&[&[1]]), "the claim without a deadline waits for a lower estimate");
}
