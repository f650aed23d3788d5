//! The wallet's coins: requested for twice the feerate, then for what is needed, then for what the wallet has; merged, and
//! held while their sweep is live.

use arb_core::sweep::{Limit, Order, WALLET_INPUT_WEIGHT};

use crate::test_sweeper::{START, TestSweeper, Wallet, child, fee_of, height, op, parts, plans, second};

/// What coins must bring to a claim alone at a feerate, net of their own inputs' fee and with 330 sat for change.
fn need(feerate: u32) -> u64 {
    fee_of(1_000 - WALLET_INPUT_WEIGHT, feerate) + 330
}

#[test]
fn coins_are_asked_for_twice_the_feerate_so_that_the_next_replacements_need_none() {
    let mut test = TestSweeper::with(1_000, [second(1, 100, 50_000)]);
    let ask = test.asks()[0];
    assert_eq!((ask.owner, ask.amount_sat, ask.feerate_sat_per_kw), (op(1), need(2_000), 1_000));
    assert_eq!((ask.deadline, ask.value_sat, ask.at), (Some(height(START + 100)), 50_000, height(START)));
    assert_eq!((test.offer(1), test.fee(1)), (1_000, 1_000));
    test.at(50);
    assert_eq!(test.asks().len(), if test.offer(1) > 5_000 { 2 } else { 1 });
}

#[test]
fn never_for_more_than_the_budget_may_spend() {
    let test = TestSweeper::with(1_000, [second(1, 100, 1_800)]);
    assert_eq!(test.asks()[0].amount_sat, need(1_800));
}

#[test]
fn refused_it_asks_for_what_is_needed_and_then_for_what_there_is() {
    // The wallet has enough for the wanted feerate, but not for twice that.
    let mut test = TestSweeper::new(10_000);
    test.wallet = Wallet::Has(need(10_000));
    test.put([second(1, 100, 500_000)]);
    test.settle();
    let amounts: Vec<u64> = test.asks().iter().map(|ask| ask.amount_sat).collect();
    assert_eq!(amounts, [need(20_000), need(10_000)]);
    assert_eq!(test.offer(1), 10_000);
    // The wallet has less than that: it is asked for what it has, and the plan states the limit.
    let mut test = TestSweeper::new(10_000);
    test.wallet = Wallet::Has(4_000);
    test.put([second(1, 100, 500_000)]);
    let orders = test.settle();
    let amounts: Vec<u64> = test.asks().iter().map(|ask| ask.amount_sat).collect();
    // The rest is requested too, in case the wallet gets more.
    assert_eq!(amounts, [need(20_000), 4_000, need(20_000) - 4_000 + 2_760, need(10_000) - 4_000]);
    let plan = *plans(&orders).last().unwrap();
    assert_eq!((plan.limit, plan.wanted_sat_per_kw), (Some(Limit::Coins), 10_000));
    assert_eq!(plan.fee_sat, plan.fee_inputs.value_sat() - 330, "all that the coins are worth, less change");
}

#[test]
fn less_than_nodes_relay_buys_nothing_and_the_whole_is_asked_for_again() {
    let mut test = TestSweeper::new(10_000);
    test.wallet = Wallet::Has(300);
    test.put([second(1, 100, 500_000)]);
    test.settle();
    assert!(test.group_of(1).is_none());
    // What a coin buys is asked at the feerate that it can pay: the least that nodes relay.
    let ask = *test.sweeper.asked()[0];
    assert_eq!((ask.amount_sat, ask.feerate_sat_per_kw), (need(253), 253));
    // The wallet gets coins and answers the open request, and then the one for the rest.
    test.wallet = Wallet::Rich;
    test.answer_all();
    for _ in 0..6 {
        test.next();
    }
    assert!(test.offer(1) >= 10_000, "{}", test.offer(1));
}

#[test]
fn what_was_asked_for_is_not_asked_for_otherwise_until_the_wallet_says_something_else() {
    // A refusal leads to one smaller request; until that is answered, a new decision gives no order.
    for has in [0, 300, 2_000, 4_000, need(10_000), need(20_000) - 1] {
        let mut test = TestSweeper::new(10_000);
        test.wallet = Wallet::Silent;
        test.put([second(1, 100, 500_000)]);
        test.settle();
        let first = *test.sweeper.asked()[0];
        test.sweeper.refused(&op(1), first.amount_sat - has);
        test.settle();
        let second = *test.sweeper.asked()[0];
        assert!(test.decide().is_empty(), "{has}");
        for _ in 0..3 {
            test.next();
        }
        let now = *test.sweeper.asked()[0];
        assert!(now.amount_sat >= second.amount_sat || has == 0, "{has}: {second:?} {now:?}");
        assert!(has < 1_000 || now.amount_sat <= has, "{has}: {now:?}");
    }
}

#[test]
fn the_most_urgent_then_the_most_valuable_is_first() {
    let mut test = TestSweeper::new(1_000);
    test.wallet = Wallet::Silent;
    test.put([second(1, 300, 50_000), second(2, 100, 50_000), second(3, 40, 20_000), second(4, 5, 10_000)]);
    test.put([second(5, 4, 1_000), second(6, 5, 90_000), child(7, &[(None, 10_000)], 0)]);
    test.settle();
    let owners: Vec<u32> = test.sweeper.asked().iter().map(|ask| ask.owner.vout).collect();
    assert_eq!(owners, [5, 6, 4, 3, 2, 1, 7]);
}

#[test]
fn urgent_claims_share_a_coin_only_where_the_wallet_has_no_more() {
    let claims = || (1..=3).map(|n| second(n, 5, 40_000));
    let rich = TestSweeper::with(1_000, claims());
    assert_eq!(rich.partition(), parts(&[&[1], &[2], &[3]]));
    // The wallet has nothing; then it offers one coin, which pays for all three.
    let mut poor = TestSweeper::new(1_000);
    poor.wallet = Wallet::Has(0);
    poor.put(claims());
    poor.settle();
    assert_eq!(poor.partition(), parts(&[]));
    let pooled = poor.sweeper.asked().into_iter().max_by_key(|ask| ask.amount_sat).copied().unwrap();
    assert!(pooled.amount_sat > 2 * need(253), "{pooled:?}");
    poor.wallet = Wallet::Silent;
    let coin = poor.coin(pooled.amount_sat + 20_000);
    poor.sweeper.offered(&pooled.owner, coin);
    poor.settle();
    assert_eq!(poor.partition(), parts(&[&[1, 2, 3]]));
}

#[test]
fn further_coins_join_those_that_are_there_and_none_goes_back_while_the_sweep_lives() {
    let mut test = TestSweeper::with(1_000, [second(1, 100, 90_000)]);
    let mut held: Vec<_> = Vec::new();
    for after in 0..130 {
        test.at(after);
        let coins: Vec<_> = test.group_of(1).unwrap().1.fee_inputs.coins.iter().map(|coin| coin.outpoint).collect();
        assert!(held.iter().all(|coin| coins.contains(coin)), "{after}");
        held = coins;
    }
    assert!(held.len() >= 2, "{held:?}");
    assert!(!test.orders.iter().any(|(_, order)| matches!(order, Order::Return { .. } | Order::Drop { .. })));
    // After the claim is spent the coins stay held, because a reorg may bring it back.
    test.take(1);
    assert_eq!(test.settle(), []);
    assert_eq!(test.group_of(1).unwrap().1.fee_inputs.coins.len(), held.len());
}

#[test]
fn a_raise_without_coins_waits_for_them_and_goes_as_far_as_they_reach() {
    let mut test = TestSweeper::new(1_000);
    test.wallet = Wallet::Has(10_000);
    test.put([second(1, 100, 90_000)]);
    test.settle();
    let first = test.group_of(1).unwrap().1.fee_inputs.value_sat();
    let mut last = 0;
    for after in 0..100 {
        test.at(after);
        let (_, group) = test.group_of(1).unwrap();
        assert!(group.fee_sat >= last && group.fee_sat <= group.fee_inputs.value_sat() - 330);
        last = group.fee_sat;
    }
    let (_, group) = test.group_of(1).unwrap();
    assert!(group.fee_inputs.value_sat() > first);
    // All is offered but less than the next replacement would cost (BIP 125).
    assert!(group.fee_inputs.value_sat() - 330 - last <= 250 + 250 * 273 * 3 / 1_000, "{group:?} {last}");
}

#[test]
fn coins_for_a_claim_that_is_over_go_back() {
    let mut test = TestSweeper::new(1_000);
    test.wallet = Wallet::Silent;
    test.put([second(1, 100, 50_000)]);
    test.settle();
    let coin = test.coin(5_000);
    test.sweeper.offered(&op(1), coin);
    test.take(1);
    assert_eq!(test.settle(), [Order::Return { owner: op(1) }]);
    assert_eq!(test.settle(), []);
}
