//! Who shares a transaction with whom.

use arb_core::Height;
use arb_core::sweep::{Class, Pays, Terms};

use crate::table::{INPUT, START, Table, child, claim, height, lazy, parts, second};

#[test]
fn equal_claims_share_a_transaction_and_each_saves_what_all_share() {
    let table = Table::with(1_000, [claim(1, 100, 50_000), claim(2, 100, 50_000), claim(3, 100, 50_000)]);
    assert_eq!(table.partition(), parts(&[&[1, 2, 3]]));
    assert_eq!(table.fee(1), 3 * INPUT + 166, "not three times 1,000");
}

#[test]
fn class_source_of_fee_and_locktime_are_never_mixed() {
    let locked = |n, at| Terms { lock_time: Height::new(at), ..claim(n, 100, 50_000) };
    let delayed = Terms { class: Class::Delayed, ..claim(6, 100, 50_000) };
    let signed = |n| Terms { pays: Pays::Signed, ..claim(n, 100, 500) };
    let table = Table::with(
        1_000,
        [
            claim(1, 100, 50_000),
            claim(2, 100, 50_000),
            second(3, 100, 50_000),
            locked(4, START),
            locked(5, START),
            locked(10, START - 1),
            delayed,
            lazy(7, 50_000),
            signed(8),
            signed(9),
            child(11, &[(Some(100), 50_000)], 0),
            child(12, &[(Some(100), 50_000)], 0),
        ],
    );
    let expected = parts(&[&[1, 2], &[3], &[4, 5], &[10], &[6], &[7], &[8], &[9], &[11], &[12]]);
    assert_eq!(table.partition(), expected);
    assert_eq!(table.fee(8), 500, "what the counterparty signed has the fee it has");
}

#[test]
fn deadlines_are_compatible_within_a_quarter_of_the_time_left_or_alone() {
    // A quarter of 100 blocks.
    let table = Table::with(1_000, [claim(1, 100, 50_000), claim(2, 125, 50_000), claim(3, 126, 50_000)]);
    assert_eq!(table.partition(), parts(&[&[1, 2], &[3]]));
    // Of 20 it would be five: `alone` is more.
    let table = Table::with(1_000, [claim(1, 20, 50_000), claim(2, 26, 50_000), claim(3, 27, 50_000)]);
    assert_eq!(table.partition(), parts(&[&[1, 2], &[3]]));
    // One with a deadline and one without: never.
    let due = Terms { class: Class::Delayed, ..claim(1, 5_000, 50_000) };
    let table = Table::with(1_000, [due, lazy(2, 50_000), lazy(3, 50_000)]);
    assert_eq!(table.partition(), parts(&[&[1], &[2, 3]]));
}

#[test]
fn not_more_than_max_inputs_and_what_nodes_relay() {
    let table = Table::with(1_000, (0..230).map(|n| claim(n, 100, 50_000)));
    let sizes: Vec<usize> = table.partition().iter().map(Vec::len).collect();
    assert_eq!((sizes.len(), sizes.iter().sum::<usize>(), sizes.iter().max()), (3, 230, Some(&100)));
    let heavy = |n| Terms { input_weight: 99_000, ..claim(n, 100, 5_000_000) };
    let table = Table::with(1_000, (0..9).map(heavy));
    let mut sizes: Vec<usize> = table.partition().iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 4, 4], "400,000 WU");
    let mut table = Table::new(1_000);
    table.policy.max_inputs = 2;
    table.put((0..5).map(|n| claim(n, 100, 50_000)));
    table.settle();
    assert_eq!(table.partition().iter().map(Vec::len).max(), Some(2));
}

#[test]
fn one_that_cannot_bear_what_the_others_want_stays_out() {
    // The third wants what its budget bears; the others want the estimate, which it does not.
    let table = Table::with(10_000, [claim(1, 100, 90_000), claim(2, 100, 90_000), claim(3, 100, 4_000)]);
    assert_eq!(table.partition(), parts(&[&[1, 2], &[3]]));
    assert_eq!((table.offer(1), table.offer(3), table.fee(3)), (10_000, 4_000, 4_000));
}

#[test]
fn an_urgent_claim_joins_nobody_and_nobody_joins_it() {
    // alone: 6 blocks.
    let table =
        Table::with(1_000, [claim(1, 6, 50_000), claim(2, 6, 50_000), claim(3, 7, 50_000), claim(4, 7, 50_000)]);
    assert_eq!(table.partition(), parts(&[&[1], &[2], &[3, 4]]));
    // Nor for a moment: whoever leaves a group pays for all of it.
    assert_eq!((table.orders.len(), table.fee(1), table.fee(2)), (3, 1_200, 1_200));
}

#[test]
fn a_live_group_takes_nobody_in_and_time_does_not_dissolve_it() {
    let mut table = Table::with(1_000, [claim(1, 100, 20_000), claim(2, 120, 20_000)]);
    table.put([claim(3, 100, 20_000)]);
    table.settle();
    assert_eq!(table.partition(), parts(&[&[1, 2], &[3]]));
    for after in 1..94 {
        table.at(after);
        assert_eq!(table.partition(), parts(&[&[1, 2], &[3]]), "{after}");
    }
}

#[test]
fn near_a_deadline_a_group_becomes_singles_that_pay_for_its_replacement() {
    let mut table = Table::with(1_000, [claim(1, 10, 40_000), claim(2, 10, 50_000), claim(3, 10, 40_000)]);
    table.at(3);
    let before = table.fee(1);
    assert_eq!(table.partition(), parts(&[&[1, 2, 3]]));
    table.at(4);
    assert_eq!(table.partition(), parts(&[&[1], &[2], &[3]]));
    // The one with the greatest budget bears BIP 125: more than all of the group's fee.
    assert!(table.fee(2) >= before + 250, "{} {before}", table.fee(2));
    assert_eq!(table.group_of(2).unwrap().0, 0, "it replaces the group under its number");
    assert!(table.fee(1) < before);
}

#[test]
fn it_stays_together_where_no_budget_bears_the_replacement() {
    let mut table = Table::with(1_000, (0..10).map(|n| claim(n, 100, 6_000)));
    let together = table.partition();
    for after in [90, 94, 97, 99, 120] {
        table.at(after);
        assert_eq!(table.partition(), together, "{after}");
    }
    // All together offer what each of them would have wanted alone.
    let offer = u64::from(table.offer(0));
    assert!((5_751..=6_000).contains(&offer), "{offer}: less than a replacement's step is left");
    assert_eq!(table.fee(0), (offer * (10 * INPUT + 166)).div_ceil(1_000));
}

#[test]
fn where_the_wallet_pays_it_is_dissolved_only_with_coins_for_each() {
    let mut table = Table::with(1_000, [second(1, 10, 50_000), second(2, 10, 50_000)]);
    table.till = crate::table::Till::Silent;
    table.at(4);
    assert_eq!(table.partition(), parts(&[&[1, 2]]));
    assert!(!table.sweeper.asked().is_empty());
    table.till = crate::table::Till::Rich;
    table.answer_all();
    assert_eq!(table.partition(), parts(&[&[1], &[2]]));
}

#[test]
fn what_is_left_of_a_group_regroups_in_the_same_step_and_keeps_its_price() {
    let mut table = Table::with(1_000, (1..=4).map(|n| claim(n, 100, 50_000)));
    table.at(60);
    let (number, price) = (table.group_of(1).unwrap().0, table.offer(1));
    assert!(price > 1_000);
    table.take(2);
    table.settle();
    let live = table.group_of(1).unwrap();
    assert_eq!((live.0, live.1.members.len()), (number, 3));
    assert_eq!(table.offer(1), price);
    assert_eq!(
        table.fee(1),
        (u64::from(price) * (3 * INPUT + 166)).div_ceil(1_000),
        "what it replaces is gone already"
    );
}

#[test]
fn a_coin_that_somebody_else_spent_ends_its_group_and_its_claims_are_placed_again_at_once() {
    let mut table = Table::with(1_000, [second(1, 100, 50_000), second(2, 100, 50_000)]);
    let (number, coins) = (table.group_of(1).unwrap().0, table.group_of(1).unwrap().1.fee_inputs.clone());
    table.settle_broken(&[number]);
    let live = table.group_of(1).unwrap();
    assert_ne!(live.1.fee_inputs, coins);
    assert_eq!((live.1.planned, live.1.members.len()), (height(table.tip), 2));
}

#[test]
fn the_same_claims_group_the_same_way_in_whatever_order_they_came() {
    let all: Vec<Terms> = (0..60)
        .map(|n| Terms { amount_sat: 1_000_000 + u64::from(n) * 7919 % 13, ..claim(n, 20 + n * n % 90, 40_000) })
        .collect();
    let forwards = Table::with(1_000, all.clone());
    let backwards = Table::with(1_000, all.into_iter().rev());
    assert_eq!(forwards.partition(), backwards.partition());
}
