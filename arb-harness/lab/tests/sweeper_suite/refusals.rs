//! What the network answers, and what follows: one policy for each reason, and nothing with a deadline is ever dropped.

use arb_core::BroadcastRejection::{
    ConflictInMempool, FeeTooLow, MissingInputs, NonFinal, ScriptFailure, TooLongChain, Unknown,
};
use arb_core::sweep::{Limit, Order};

use crate::table::{Table, claim, lazy, op, parts, plans, second};

#[test]
fn fee_too_low_is_raised_by_a_quarter_in_each_further_block() {
    let mut table = Table::with(1_000, [claim(1, 400, 50_000), claim(2, 400, 50_000)]);
    let mut offer = table.offer(1);
    for after in 1..10 {
        table.reject(1, FeeTooLow);
        assert_eq!(table.settle(), [], "not in the same block");
        table.at(after);
        assert_eq!(table.offer(1), (offer * 5).div_ceil(4));
        offer = table.offer(1);
    }
    assert_eq!(table.partition(), parts(&[&[1, 2]]));
    // Taken: the curve goes on as before.
    table.sweeper.accepted(table.group_of(1).unwrap().0);
    table.at(10);
    assert_eq!(table.offer(1), offer);
}

#[test]
fn fee_too_low_reaches_the_floor_at_once_and_the_budget_in_the_end() {
    let mut table = Table::with(1_000, [claim(1, 400, 20_000)]);
    table.reject(1, FeeTooLow);
    table.floor(4_000);
    table.next();
    assert_eq!(table.offer(1), 4_000);
    for _ in 0..30 {
        table.reject(1, FeeTooLow);
        table.next();
    }
    assert!(table.fee(1) > 19_700, "all but what BIP 125 asks of the last step: {}", table.fee(1));
    assert!(table.fee(1) <= 20_000);
}

#[test]
fn fee_too_low_without_a_deadline_follows_the_estimate() {
    let mut table = Table::with(1_000, [lazy(1, 20_000)]);
    table.reject(1, FeeTooLow);
    assert_eq!(table.next(), []);
    table.estimate(&[(1, 2_000)]);
    table.next();
    assert_eq!(table.offer(1), 2_000, "without waiting for the next lazy look");
}

#[test]
fn a_conflict_opens_a_group_and_is_outbid_by_a_single() {
    let mut table = Table::with(1_000, [claim(1, 400, 50_000), claim(2, 400, 50_000)]);
    table.reject(1, ConflictInMempool);
    table.settle();
    assert_eq!(table.partition(), parts(&[&[1], &[2]]));
    table.reject(1, ConflictInMempool);
    table.next();
    assert_eq!((table.offer(1), table.offer(2)), (1_250, 1_000));
}

#[test]
fn a_missing_input_or_a_bad_script_of_one_sends_each_alone() {
    for why in [MissingInputs, ScriptFailure] {
        let mut table = Table::with(1_000, (1..=5).map(|n| claim(n, 400, 50_000)));
        let number = table.group_of(1).unwrap().0;
        table.reject(1, why);
        let orders = table.settle();
        assert_eq!(table.partition(), parts(&[&[1], &[2], &[3], &[4], &[5]]), "{why:?}");
        assert!(plans(&orders).iter().any(|plan| plan.group == number), "one takes over its number");
        assert!(table.decide().is_empty());
        // Alone it is sent again, unchanged, in every block; a newcomer does not join a suspect.
        table.reject(1, why);
        assert_eq!(table.next(), []);
        table.put([claim(6, 400, 50_000), claim(7, 400, 50_000)]);
        table.settle();
        assert_eq!(table.partition(), parts(&[&[1], &[2], &[3], &[4], &[5], &[6, 7]]));
    }
}

#[test]
fn an_accepted_claim_is_no_suspect_any_more() {
    let mut table = Table::with(1_000, [claim(1, 400, 50_000), claim(2, 400, 50_000)]);
    table.reject(1, MissingInputs);
    table.settle();
    for n in [1, 2] {
        table.sweeper.accepted(table.group_of(n).unwrap().0);
    }
    // A reorg takes them away and brings them back together with a third: all of one mind again.
    for n in [1, 2] {
        let number = table.group_of(n).unwrap().0;
        table.sweeper.apply(&Order::Drop { group: number, pauses: false }, crate::table::height(table.tip));
    }
    table.put([claim(3, 400, 50_000)]);
    table.settle();
    assert_eq!(table.partition(), parts(&[&[1, 2, 3]]));
}

#[test]
fn a_missing_coin_is_replaced_in_a_later_block_and_by_another_one() {
    let mut table = Table::with(1_000, [second(1, 400, 50_000)]);
    let bad = table.group_of(1).unwrap().1.fee_inputs.coins[0].outpoint;
    table.reject(1, MissingInputs);
    assert!(matches!(table.settle()[..], [Order::Drop { pauses: true, .. }]));
    assert!(table.group_of(1).is_none());
    assert_eq!(table.settle(), [], "it rests: network, wallet and sweeper must not run in a circle");
    table.next();
    let (_, group) = table.group_of(1).unwrap();
    assert!(group.fee_inputs.coins.iter().all(|coin| coin.outpoint != bad));
    assert_eq!(group.feerate_sat_per_kw, 1_000);
}

#[test]
fn too_long_a_chain_non_final_and_unknown_change_nothing() {
    for why in [TooLongChain, NonFinal, Unknown] {
        let mut table = Table::with(1_000, [claim(1, 400, 50_000), claim(2, 400, 50_000)]);
        table.reject(1, why);
        assert_eq!(table.next(), []);
        assert_eq!(table.partition(), parts(&[&[1, 2]]), "{why:?}");
    }
}

#[test]
fn an_answer_about_a_group_that_is_no_more_is_nothing() {
    let mut table = Table::with(1_000, [claim(1, 400, 50_000)]);
    let before = table.sweeper.clone();
    table.sweeper.rejected(77, MissingInputs);
    table.sweeper.accepted(77);
    assert_eq!(table.sweeper, before);
}

#[test]
fn what_cannot_pay_for_itself_is_recorded_once_and_looked_at_again_when_fees_fall() {
    let mut table = Table::new(1_000);
    table.floor(1_000);
    // What nodes relay is more than either budget buys; without a deadline the estimate is the measure.
    table.put([claim(1, 100, 900), lazy(2, 900), claim(3, 100, 50_000)]);
    let orders = table.settle();
    let given_up: Vec<&Order> = orders.iter().filter(|order| matches!(order, Order::Uneconomic { .. })).collect();
    assert_eq!(given_up, [&Order::Uneconomic { outpoint: op(1) }, &Order::Uneconomic { outpoint: op(2) }]);
    assert_eq!(table.partition(), parts(&[&[3]]), "and no reason not to claim the rest");
    assert_eq!(table.next(), []);
    table.floor(500);
    table.estimate(&[(1, 800)]);
    table.floor(500);
    table.next();
    assert_eq!((table.offer(1), table.offer(2)), (900, 800));
    // And if they rise once more, what is on offer stays there.
    table.floor(5_000);
    table.next();
    assert_eq!(table.offer(2), 800);
}

#[test]
fn a_claim_with_a_deadline_offers_less_than_the_estimate_rather_than_nothing() {
    let mut table = Table::new(10_000);
    table.put([claim(1, 100, 900), lazy(2, 900)]);
    let orders = table.settle();
    assert_eq!(plans(&orders)[0].limit, Some(Limit::Budget));
    assert_eq!(table.partition(), parts(&[&[1]]), "without one, it waits for its estimate");
}
