//! Replacement by one transaction: each rule of Bitcoin Core at its boundary.

use arb_lab::chain::{Chain, ChainConfig, Reject, Submitted};
use bitcoin::{OutPoint, Transaction};

use crate::support::*;

/// A parent with 24 children in the mempool: 25 transactions that a replacement of the parent removes.
fn cluster(chain: &mut Chain, coin: OutPoint) -> Vec<Transaction> {
    let parent = split(coin, COIN, 1, 24, 2000);
    let mut cluster = vec![parent.clone()];
    for vout in 0..24 {
        let value = parent.output[usize::try_from(vout).unwrap()].value.to_sat();
        cluster.push(split(outpoint(&parent, vout), value, 1, 1, 200));
    }
    for tx in &cluster {
        assert_eq!(chain.submit(tx.clone()), Ok(Submitted::Accepted));
    }
    cluster
}

#[test]
fn the_increment_is_not_the_floor() {
    for incremental in [0, 100, 5000] {
        let mut chain = Chain::new(ChainConfig { incremental_relay_sat_per_kvb: incremental, ..Default::default() });
        let coin = coin(&mut chain);
        let first = split(coin, COIN, 1, 2, 1000);
        let with = first.compute_txid();
        chain.submit(first).unwrap();
        let rival = |fee| split(coin, COIN, 1, 1, fee);
        let needed = 1000 + (vsize_of(&rival(0)) * incremental).div_ceil(1000);
        assert_eq!(chain.price_of(&rival(0)), needed);
        let refused = Reject::ReplacementTooCheap { with, fee: needed - 1, needed };
        assert_eq!(chain.submit(rival(needed - 1)), Err(refused));
        assert_eq!(chain.submit(rival(needed)), Ok(Submitted::Accepted));
    }
}

#[test]
fn the_feerate_is_higher_than_that_of_each_direct_conflict() {
    let mut chain = chain();
    let (low, high) = (coin(&mut chain), coin(&mut chain));
    chain.submit(split(low, COIN, 1, 1, 200)).unwrap();
    let best = split(high, COIN, 1, 1, 4000);
    let rate = 4000 * 1000 / vsize_of(&best);
    let with = best.compute_txid();
    chain.submit(best).unwrap();
    let outputs = |fee| vec![(anyone(1).to_p2wsh(), 2 * COIN - fee - 20_000), (anyone(2).to_p2wsh(), 20_000)];
    let rival = |fee| join(&[low, high], 1, &outputs(fee));
    let vsize = vsize_of(&rival(0));
    // Feerates are compared in sat per 1,000 vB, rounded down; an equal one is not enough.
    let enough = ((rate + 1) * vsize).div_ceil(1000);
    let needed = 4200 + vsize;
    assert!(enough > needed, "the feerate must decide here, not the absolute fee: {enough} {needed}");
    assert!(enough * 1000 / vsize > rate && (enough - 1) * 1000 / vsize <= rate);
    assert_eq!(chain.price_of(&rival(0)), enough);
    let refused = Reject::ReplacementTooCheap { with, fee: enough - 1, needed };
    assert_eq!(chain.submit(rival(enough - 1)), Err(refused));
    assert_eq!(chain.submit(rival(enough)), Ok(Submitted::Accepted));
    assert_eq!(chain.mempool().count(), 1);
}

#[test]
fn an_equal_feerate_is_not_enough() {
    let mut chain = Chain::new(ChainConfig { incremental_relay_sat_per_kvb: 0, ..Default::default() });
    let coin = coin(&mut chain);
    let tx = |fee, data: u8| join(&[coin], 1, &[(anyone(1).to_p2wsh(), COIN - fee), (vec![0x6a, data].into(), 0)]);
    let with = tx(1000, 1).compute_txid();
    chain.submit(tx(1000, 1)).unwrap();
    let refused = Reject::ReplacementTooCheap { with, fee: 1000, needed: 1000 };
    assert_eq!(chain.submit(tx(1000, 2)), Err(refused));
    assert_eq!(chain.submit(tx(1001, 2)), Ok(Submitted::Accepted));
}

#[test]
fn a_hundred_may_leave_and_one_more_may_not() {
    let mut chain = chain();
    let coins: Vec<OutPoint> = (0..5).map(|_| coin(&mut chain)).collect();
    for coin in &coins[..4] {
        cluster(&mut chain, *coin);
    }
    chain.submit(split(coins[4], COIN, 1, 1, 200)).unwrap();
    assert_eq!(chain.mempool().count(), 101);
    let rival = |count: u64| {
        let coins = &coins[..usize::try_from(count).unwrap()];
        join(coins, 1, &[(anyone(1).to_p2wsh(), COIN * count - 60_000)])
    };
    assert_eq!(chain.submit(rival(5)), Err(Reject::TooManyReplaced { count: 101, limit: 100 }));
    assert_eq!(chain.submit(rival(4)), Ok(Submitted::Accepted));
    assert_eq!(chain.mempool().count(), 2);
}

#[test]
fn what_descends_from_two_conflicts_counts_twice() {
    let mut chain = chain();
    let coins: Vec<OutPoint> = (0..6).map(|_| coin(&mut chain)).collect();
    for coin in &coins[..3] {
        cluster(&mut chain, *coin); // 75
    }
    let parents = [split(coins[3], COIN, 1, 1, 200), split(coins[4], COIN, 1, 1, 200)];
    let both: Vec<OutPoint> = parents.iter().map(|tx| outpoint(tx, 0)).collect();
    let mut line = vec![parents[0].clone(), parents[1].clone()];
    line.push(join(&both, 1, &[(anyone(1).to_p2wsh(), 2 * (COIN - 200) - 400)]));
    for step in 0..10 {
        line.push(split(outpoint(line.last().unwrap(), 0), 2 * (COIN - 200) - 400 - step * 200, 1, 1, 200));
    }
    for tx in &line {
        chain.submit(tx.clone()).unwrap();
    }
    chain.submit(split(coins[5], COIN, 1, 1, 200)).unwrap();
    // 75 and twice 1 + 11 are 99, with the last coin 100. One more below both counts twice, 102, though only 90 would leave.
    assert_eq!(chain.mempool().count(), 75 + 13 + 1);
    let rival = join(&coins, 1, &[(anyone(1).to_p2wsh(), COIN * 6 - 100_000)]);
    let tip = line.last().unwrap().clone();
    let more = split(outpoint(&tip, 0), tip.output[0].value.to_sat(), 1, 1, 200);
    chain.submit(more.clone()).unwrap();
    assert_eq!(chain.submit(rival.clone()), Err(Reject::TooManyReplaced { count: 102, limit: 100 }));
    chain.evict(&more.compute_txid());
    assert_eq!(chain.submit(rival), Ok(Submitted::Accepted));
}

#[test]
fn no_unconfirmed_input_is_added_but_one_of_the_same_parent_may_stay() {
    let mut chain = chain();
    let (a, b) = (coin(&mut chain), coin(&mut chain));
    let parent = split(a, COIN, 1, 2, 300);
    let other = split(b, COIN, 1, 1, 300);
    chain.submit(parent.clone()).unwrap();
    chain.submit(other.clone()).unwrap();
    let half = parent.output[0].value.to_sat();
    let child = split(outpoint(&parent, 0), half, 1, 1, 300);
    chain.submit(child.clone()).unwrap();
    let inputs = [outpoint(&parent, 0), outpoint(&other, 0)];
    let foreign = join(&inputs, 1, &[(anyone(1).to_p2wsh(), half)]);
    assert_eq!(chain.submit(foreign.clone()), Err(Reject::NewUnconfirmedInput { outpoint: inputs[1] }));
    let siblings = join(&[outpoint(&parent, 0), outpoint(&parent, 1)], 1, &[(anyone(1).to_p2wsh(), half)]);
    assert_eq!(chain.submit(siblings), Ok(Submitted::Accepted));
    assert!(chain.in_mempool(&child.compute_txid()).is_none());
    chain.clear_mempool();
    chain.mine_txs(vec![other]).unwrap();
    for tx in [parent, child, foreign] {
        assert_eq!(chain.submit(tx), Ok(Submitted::Accepted), "the parent is confirmed now");
    }
}

#[test]
fn the_moving_minimum_is_exact_and_says_its_name() {
    let mut chain = chain();
    let coin = coin(&mut chain);
    let tx = |fee| split(coin, COIN, 1, 1, fee);
    let vsize = vsize_of(&tx(0));
    chain.set_mempool_min_feerate(2500);
    let needed = (vsize * 2500).div_ceil(1000);
    assert_eq!(chain.price_of(&tx(0)), needed);
    assert_eq!(chain.submit(tx(needed - 1)), Err(Reject::BelowMempoolMinimum { fee: needed - 1, needed }));
    assert_eq!(chain.submit(tx(vsize - 1)), Err(Reject::BelowFloor { fee: vsize - 1, needed: vsize }));
    assert_eq!(chain.submit(tx(needed)), Ok(Submitted::Accepted));
    chain.set_mempool_min_feerate(10_000);
    assert_eq!(
        (chain.mempool_min_feerate(), chain.mempool().count()),
        (10_000, 1),
        "a transaction in the mempool stays"
    );
    assert_eq!(chain.trim(), [tx(needed)]);
    chain.set_mempool_min_feerate(0);
    assert_eq!(chain.submit(tx(vsize)), Ok(Submitted::Accepted));
}

#[test]
fn trimming_spares_whom_a_child_pays_for_and_takes_the_worst_line() {
    let mut chain = chain();
    let coins: Vec<OutPoint> = (0..3).map(|_| coin(&mut chain)).collect();
    let tx = |coin, fee| split(coin, COIN, 1, 1, fee);
    let vsize = vsize_of(&tx(coins[0], 0));
    let child = |parent: &Transaction, fee| split(outpoint(parent, 0), parent.output[0].value.to_sat(), 1, 1, fee);
    let carried = tx(coins[0], vsize);
    let carrier = child(&carried, 3 * vsize); // together exactly 2 sat/vB
    let alone = tx(coins[1], 2 * vsize - 1);
    let rich = tx(coins[2], 2 * vsize);
    let poor = child(&rich, vsize);
    for tx in [&carried, &carrier, &alone, &rich, &poor] {
        chain.submit(tx.clone()).unwrap();
    }
    let rank = |tx: &Transaction| chain.mempool_rank(&tx.compute_txid()).unwrap();
    assert_eq!([&carried, &carrier, &rich, &poor].map(rank), [2000, 3000, 2000, 1000]);
    chain.set_mempool_min_feerate(2000);
    assert_eq!(chain.trim(), [poor, alone]);
    chain.set_mempool_min_feerate(2001);
    let evicted = txids(&chain.trim());
    assert_eq!(evicted.len(), 3);
    let place = |tx: &Transaction| evicted.iter().position(|txid| *txid == tx.compute_txid());
    assert!(place(&carried) < place(&carrier), "parents are returned first, though only the child pays a fee of 3");
}
