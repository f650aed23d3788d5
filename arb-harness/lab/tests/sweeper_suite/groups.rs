//! Which claims share a transaction, and when a group is split.

use arb_core::Height;
use arb_core::sweep::{Class, Pays, Terms};

use crate::test_sweeper::{INPUT, START, TestSweeper, child, claim, height, lazy, parts, second};

#[test]
fn equal_claims_share_a_transaction_and_each_saves_what_all_share() {
    let test = TestSweeper::with(1_000, [claim(1, 100, 50_000), claim(2, 100, 50_000), claim(3, 100, 50_000)]);
    assert_eq!(test.partition(), parts(&[&[1, 2, 3]]));
    assert_eq!(test.fee(1), 3 * INPUT + 166, "less than three transactions of 1,000 WU");
}

#[test]
fn class_source_of_fee_and_locktime_are_never_mixed() {
    let locked = |n, at| Terms { lock_time: Height::new(at), ..claim(n, 100, 50_000) };
    let delayed = Terms { class: Class::Delayed, ..claim(6, 100, 50_000) };
    let signed = |n| Terms { pays: Pays::Signed, ..claim(n, 100, 500) };
    let test = TestSweeper::with(
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
    assert_eq!(test.partition(), expected);
    assert_eq!(test.fee(8), 500, "the fee that the counterparty signed");
}

#[test]
fn deadlines_are_compatible_within_a_quarter_of_the_time_left_or_alone() {
    // A quarter of 100 blocks is 25.
    let test = TestSweeper::with(1_000, [claim(1, 100, 50_000), claim(2, 125, 50_000), claim(3, 126, 50_000)]);
    assert_eq!(test.partition(), parts(&[&[1, 2], &[3]]));
    // A quarter of 20 blocks is 5; `alone`, 6 blocks, is more and counts.
    let test = TestSweeper::with(1_000, [claim(1, 20, 50_000), claim(2, 26, 50_000), claim(3, 27, 50_000)]);
    assert_eq!(test.partition(), parts(&[&[1, 2], &[3]]));
    // A claim with a deadline and one without never share.
    let due = Terms { class: Class::Delayed, ..claim(1, 5_000, 50_000) };
    let test = TestSweeper::with(1_000, [due, lazy(2, 50_000), lazy(3, 50_000)]);
    assert_eq!(test.partition(), parts(&[&[1], &[2, 3]]));
}

#[test]
fn not_more_than_max_inputs_and_what_nodes_relay() {
    let test = TestSweeper::with(1_000, (0..230).map(|n| claim(n, 100, 50_000)));
    let sizes: Vec<usize> = test.partition().iter().map(Vec::len).collect();
    assert_eq!((sizes.len(), sizes.iter().sum::<usize>(), sizes.iter().max()), (3, 230, Some(&100)));
    let heavy = |n| Terms { input_weight: 99_000, ..claim(n, 100, 5_000_000) };
    let test = TestSweeper::with(1_000, (0..9).map(heavy));
    let mut sizes: Vec<usize> = test.partition().iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 4, 4], "400,000 WU");
    let mut test = TestSweeper::new(1_000);
    test.policy.max_inputs = 2;
    test.put((0..5).map(|n| claim(n, 100, 50_000)));
    test.settle();
    assert_eq!(test.partition().iter().map(Vec::len).max(), Some(2));
}

#[test]
fn one_that_cannot_bear_what_the_others_want_stays_out() {
    // The third claim's budget does not bear the estimate that the others want.
    let test = TestSweeper::with(10_000, [claim(1, 100, 90_000), claim(2, 100, 90_000), claim(3, 100, 4_000)]);
    assert_eq!(test.partition(), parts(&[&[1, 2], &[3]]));
    assert_eq!((test.offer(1), test.offer(3), test.fee(3)), (10_000, 4_000, 4_000));
}

#[test]
fn an_urgent_claim_joins_nobody_and_nobody_joins_it() {
    // alone: 6 blocks.
    let test =
        TestSweeper::with(1_000, [claim(1, 6, 50_000), claim(2, 6, 50_000), claim(3, 7, 50_000), claim(4, 7, 50_000)]);
    assert_eq!(test.partition(), parts(&[&[1], &[2], &[3, 4]]));
    // They never share a transaction first, because leaving it would cost a replacement.
    assert_eq!((test.orders.len(), test.fee(1), test.fee(2)), (3, 1_200, 1_200));
}

#[test]
fn a_live_group_takes_nobody_in_and_time_does_not_dissolve_it() {
    let mut test = TestSweeper::with(1_000, [claim(1, 100, 20_000), claim(2, 120, 20_000)]);
    test.put([claim(3, 100, 20_000)]);
    test.settle();
    assert_eq!(test.partition(), parts(&[&[1, 2], &[3]]));
    for after in 1..94 {
        test.at(after);
        assert_eq!(test.partition(), parts(&[&[1, 2], &[3]]), "{after}");
    }
}

#[test]
fn near_a_deadline_a_group_becomes_singles_that_pay_for_its_replacement() {
    let mut test = TestSweeper::with(1_000, [claim(1, 10, 40_000), claim(2, 10, 50_000), claim(3, 10, 40_000)]);
    test.at(3);
    let before = test.fee(1);
    assert_eq!(test.partition(), parts(&[&[1, 2, 3]]));
    test.at(4);
    assert_eq!(test.partition(), parts(&[&[1], &[2], &[3]]));
    // The claim with the greatest budget pays for the replacement: more than the group's whole fee (BIP 125).
    assert!(test.fee(2) >= before + 250, "{} {before}", test.fee(2));
    assert_eq!(test.group_of(2).unwrap().0, 0, "its transaction takes over the group's number");
    assert!(test.fee(1) < before);
}

#[test]
fn it_stays_together_where_no_budget_bears_the_replacement() {
    let mut test = TestSweeper::with(1_000, (0..10).map(|n| claim(n, 100, 6_000)));
    let together = test.partition();
    for after in [90, 94, 97, 99, 120] {
        test.at(after);
        assert_eq!(test.partition(), together, "{after}");
    }
    // The group offers what each claim would have wanted alone.
    let offer = u64::from(test.offer(0));
    assert!((5_751..=6_000).contains(&offer), "{offer}: less than a replacement's step is left");
    assert_eq!(test.fee(0), crate::test_sweeper::fee_of(10 * INPUT + 166, test.offer(0)));
}

#[test]
fn where_the_wallet_pays_it_is_dissolved_only_with_coins_for_each() {
    let mut test = TestSweeper::with(1_000, [second(1, 10, 50_000), second(2, 10, 50_000)]);
    test.wallet = crate::test_sweeper::Wallet::Silent;
    test.at(4);
    assert_eq!(test.partition(), parts(&[&[1, 2]]));
    assert!(!test.sweeper.asked().is_empty());
    test.wallet = crate::test_sweeper::Wallet::Rich;
    test.answer_all();
    assert_eq!(test.partition(), parts(&[&[1], &[2]]));
}

#[test]
fn what_is_left_of_a_group_regroups_in_the_same_step_and_keeps_its_price() {
    let mut test = TestSweeper::with(1_000, (1..=4).map(|n| claim(n, 100, 50_000)));
    test.at(60);
    let (number, price) = (test.group_of(1).unwrap().0, test.offer(1));
    assert!(price > 1_000);
    test.take(2);
    test.settle();
    let live = test.group_of(1).unwrap();
    assert_eq!((live.0, live.1.members.len()), (number, 3));
    assert_eq!(test.offer(1), price);
    assert_eq!(
        test.fee(1),
        (u64::from(price) * (3 * INPUT + 166)).div_ceil(1_000),
        "no replacement price: the old transaction conflicts with the chain"
    );
}

#[test]
fn a_coin_that_somebody_else_spent_ends_its_group_and_its_claims_are_placed_again_at_once() {
    let mut test = TestSweeper::with(1_000, [second(1, 100, 50_000), second(2, 100, 50_000)]);
    let (number, coins) = (test.group_of(1).unwrap().0, test.group_of(1).unwrap().1.fee_inputs.clone());
    test.settle_broken(&[number]);
    let live = test.group_of(1).unwrap();
    assert_ne!(live.1.fee_inputs, coins);
    assert_eq!((live.1.planned, live.1.members.len()), (height(test.tip), 2));
}

#[test]
fn the_same_claims_group_the_same_way_in_whatever_order_they_came() {
    let all: Vec<Terms> = (0..60)
        .map(|n| Terms { amount_sat: 1_000_000 + u64::from(n) * 7919 % 13, ..claim(n, 20 + n * n % 90, 40_000) })
        .collect();
    let forwards = TestSweeper::with(1_000, all.clone());
    let backwards = TestSweeper::with(1_000, all.into_iter().rev());
    assert_eq!(forwards.partition(), backwards.partition());
}
