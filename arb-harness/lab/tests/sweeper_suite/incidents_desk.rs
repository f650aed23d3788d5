//! Incidents of other sweepers, by their number in the project's list, where the desk alone rules them out.

use arb_core::BroadcastRejection::{ConflictInMempool, MissingInputs};
use arb_core::Height;
use arb_core::sweep::Terms;

use crate::table::{START, Table, Till, child, claim, fee_of, lazy, op, parts, second};

#[test]
fn b9_b10_a_claim_that_somebody_took_is_in_no_live_transaction_in_the_same_step() {
    let mut table = Table::with(1_000, (1..=40).map(|n| claim(n, 100, 50_000)));
    for n in [7, 9, 23] {
        table.take(n);
    }
    table.settle();
    let live: Vec<u32> = table.partition().into_iter().flatten().collect();
    assert_eq!(live.len(), 37);
    assert!(live.iter().all(|n| ![7, 9, 23].contains(n)));
}

#[test]
fn b11_b17_a_claim_that_comes_late_touches_no_other() {
    let mut table = Table::with(1_000, (1..=3).map(|n| claim(n, 100, 50_000)));
    let before = table.group_of(1).unwrap().1.clone();
    table.take(3);
    table.settle();
    table.put([claim(4, 100, 50_000)]);
    table.settle();
    assert_eq!(table.partition(), parts(&[&[1, 2], &[4]]));
    assert!(before.members.contains(&op(3)) && !table.partition().contains(&vec![3, 4]));
}

#[test]
fn b12_different_expiries_are_different_transactions_and_a_reorg_brings_the_same_claims_back() {
    let at = |n, lock: u32| Terms { lock_time: Height::new(START - lock), ..claim(n, 100, 50_000) };
    let mut table = Table::with(1_000, [at(1, 1), at(2, 1), at(3, 2), at(4, 3)]);
    let before = table.partition();
    assert_eq!(before, parts(&[&[1, 2], &[3], &[4]]));
    let all = std::mem::take(&mut table.terms);
    assert_eq!(table.settle(), []);
    table.terms = all;
    assert_eq!(table.settle(), [], "their transactions stand");
    assert_eq!(table.partition(), before);
}

#[test]
fn b13_a_reorg_over_a_change_of_grouping_leaves_every_claim_in_one_transaction() {
    let mut table = Table::with(1_000, [claim(1, 10, 40_000), claim(2, 10, 50_000), claim(3, 10, 40_000)]);
    assert_eq!(table.partition(), parts(&[&[1, 2, 3]]));
    table.at(4);
    assert_eq!(table.partition(), parts(&[&[1], &[2], &[3]]));
    // Back before the split: what was given out stands. On the other branch one of them is somebody else's.
    table.at(2);
    assert_eq!(table.partition(), parts(&[&[1], &[2], &[3]]));
    table.take(2);
    table.at(5);
    assert_eq!(table.partition(), parts(&[&[1], &[3]]));
    assert_eq!(table.settle(), []);
}

#[test]
fn b16_b35_a_fee_is_never_above_the_budget_and_less_than_that_is_uneconomic() {
    for budget in [0, 1, 100, 252, 253, 254, 999, 5_000] {
        let mut table = Table::with(100_000, [claim(1, 2, budget)]);
        for after in 0..5 {
            table.at(after);
            assert_eq!(table.group_of(1).map(|(_, group)| group.fee_sat), (budget >= 253).then_some(budget));
        }
    }
}

#[test]
fn b19_l10_l29_one_bad_input_fails_no_other() {
    let mut table = Table::with(1_000, (1..=4).map(|n| claim(n, 100, 50_000)));
    table.reject(1, MissingInputs);
    table.settle();
    assert_eq!(table.partition(), parts(&[&[1], &[2], &[3], &[4]]));
    assert_eq!((1..=4).map(|n| table.offer(n)).collect::<Vec<_>>(), [1_000; 4]);
}

#[test]
fn b20_l3_stalling_a_batch_of_forty_resets_no_price_and_costs_no_block() {
    let mut table = Table::with(1_000, (0..40).map(|n| claim(n, 60, 40_000)));
    let mut smooth = table.clone();
    for after in 1..40 {
        smooth.at(after);
        table.take(after - 1);
        table.at(after);
        // All that are left are on offer in this very block, at what they would have wanted without the stalling.
        let (_, group) = table.group_of(39).unwrap();
        assert_eq!((group.members.len(), group.planned), (40 - after as usize, Height::new(START + after)));
        assert!(table.wanted(39) >= smooth.wanted(39), "{after}");
        assert!(table.offer(39) >= smooth.offer(39), "{after}");
    }
}

#[test]
fn b21_what_replaced_ours_is_outbid_in_every_block_up_to_the_budget() {
    let mut table = Table::with(1_000, [claim(1, 400, 30_000)]);
    let mut last = table.fee(1);
    for after in 1..=12 {
        table.reject(1, ConflictInMempool);
        table.at(after);
        assert!(table.fee(1) >= (last * 5 / 4).min(29_000), "{after}: {last}");
        last = table.fee(1);
    }
}

#[test]
fn b22_when_everybody_closes_a_claim_still_reaches_its_whole_budget() {
    // The estimate runs ahead of every curve.
    let mut table = Table::with(1_000, [claim(1, 40, 90_000)]);
    for after in 0..40 {
        table.estimate(&[(1, 1_000 + after * 5_000)]);
        table.at(after);
        assert!(table.offer(1) >= (1_000 + after * 5_000).min(88_000), "{after}");
    }
    assert!(table.fee(1) <= 90_000);
}

#[test]
fn b44_b53_whoever_confirms_a_claim_is_over_and_a_reorg_brings_it_back_at_its_price() {
    let mut table = Table::with(1_000, [claim(1, 100, 50_000), claim(2, 100, 50_000)]);
    table.at(50);
    let price = table.offer(1);
    let gone = [table.take(1), table.take(2)];
    assert_eq!(table.at(51), []);
    table.put(gone);
    table.settle();
    assert!(table.offer(1) >= price);
    assert_eq!(table.partition(), parts(&[&[1, 2]]));
}

#[test]
fn b45_near_its_deadline_no_claim_depends_on_anothers_transaction() {
    let mut table = Table::new(1_000);
    table.put((1..=5).map(|n| claim(n, 6, 50_000)));
    table.settle();
    assert_eq!((table.partition().len(), table.orders.len()), (5, 5));
}

#[test]
fn b48_a_far_deadline_is_looked_at_in_every_block_and_anchors_are_alone() {
    let mut table =
        Table::with(1_000, [child(1, &[(Some(1_000), 300_000)], 0), child(2, &[(Some(1_000), 300_000)], 0)]);
    assert_eq!(table.partition(), parts(&[&[1], &[2]]));
    table.at(999);
    assert!(table.fee(1) > 299_000 && table.fee(2) > 299_000);
}

#[test]
fn b49_b56_coins_of_a_sweep_that_is_given_up_are_free_and_those_of_a_live_one_are_not() {
    let mut table = Table::with(1_000, [second(1, 100, 50_000)]);
    let coins = table.group_of(1).unwrap().1.fee_inputs.coins.clone();
    table.take(1);
    for after in 1..50 {
        assert_eq!(table.at(after), [], "confirmed, but not beyond recall");
    }
    table.put([second(1, 100, 50_000)]);
    table.settle();
    assert_eq!(table.group_of(1).unwrap().1.fee_inputs.coins[..1], coins[..1]);
    table.reject(1, MissingInputs);
    table.settle();
    assert!(table.group_of(1).is_none(), "dropped: they are free");
}

#[test]
fn b58_weights_are_upper_bounds() {
    let table = Table::with(1_000, [lazy(1, 50_000), lazy(2, 50_000)]);
    assert_eq!(table.fee(1), fee_of(2 * crate::table::INPUT + 166, 1_000));
}

#[test]
fn l34_a_refused_fee_is_an_obligation_not_an_end() {
    let mut table = Table::with(1_000, [claim(1, 300, 50_000)]);
    table.till = Till::Silent;
    for after in 1..300 {
        table.reject(1, arb_core::BroadcastRejection::FeeTooLow);
        table.at(after);
        assert!(table.group_of(1).is_some());
    }
    assert!(table.fee(1) > 49_500);
}
