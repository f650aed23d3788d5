//! Blocks with a clearing feerate and limited room, and miners that include or leave out chosen transactions.

use std::collections::BTreeSet;

use arb_lab::chain::{BlockTemplate, Chain, ChainConfig, Reject};
use bitcoin::Transaction;

use crate::support::*;

fn child(parent: &Transaction, fee: u64) -> Transaction {
    split(outpoint(parent, 0), parent.output[0].value.to_sat(), 1, 1, fee)
}

#[test]
fn the_clearing_feerate_is_exact() {
    let mut chain = chain();
    let coin = coin(&mut chain);
    let weight = split(coin, COIN, 1, 1, 0).weight().to_wu();
    let enough = weight; // exactly, without rounding
    for fee in [enough - 1, enough] {
        let tx = split(coin, COIN, 1, 1, fee);
        chain.clear_mempool();
        chain.submit(tx.clone()).unwrap();
        assert_eq!(chain.mine_at(1000, u64::MAX).txs.len(), usize::from(fee == enough));
        assert_eq!(
            chain.in_mempool(&tx.compute_txid()).is_some(),
            fee < enough,
            "a transaction that is not mined stays in the mempool"
        );
    }
}

#[test]
fn a_line_clears_together_and_a_poor_child_waits_alone() {
    let mut chain = chain();
    let (a, b) = (coin(&mut chain), coin(&mut chain));
    let weight = split(a, COIN, 1, 1, 0).weight().to_wu();
    let carried = split(a, COIN, 1, 1, weight * 300 / 1000 + 1);
    let carrier = child(&carried, (weight * 1700).div_ceil(1000)); // a little over 1000 together
    let rich = split(b, COIN, 1, 1, weight * 2);
    let poor = child(&rich, weight * 500 / 1000);
    for tx in [&carried, &carrier, &rich, &poor] {
        chain.submit(tx.clone()).unwrap();
    }
    assert_eq!(chain.mine_at(1002, u64::MAX).txs, [rich]);
    assert_eq!(chain.mine_at(1000, u64::MAX).txs, [carried, carrier]);
    assert_eq!(chain.mine_at(0, u64::MAX).txs, [poor]);
}

#[test]
fn the_rest_of_the_world_leaves_this_much_room() {
    let mut chain = chain();
    let (a, b) = (coin(&mut chain), coin(&mut chain));
    let (first, second) = (split(a, COIN, 1, 1, 3000), split(b, COIN, 1, 1, 2000));
    let weight = first.weight().to_wu();
    chain.submit(first.clone()).unwrap();
    chain.submit(second.clone()).unwrap();
    assert_eq!(chain.mine_at(250, weight - 1).txs, []);
    assert_eq!(chain.mine_at(250, 2 * weight - 1).txs, [first]);
    assert_eq!(chain.mine_at(250, weight).txs, [second]);
}

#[test]
fn a_miner_puts_its_own_first_and_what_they_conflict_with_leaves() {
    let mut chain = chain();
    let (a, b, c) = (coin(&mut chain), coin(&mut chain), coin(&mut chain));
    let theirs = split(a, COIN, 1, 1, 5000);
    let below = child(&theirs, 5000);
    let other = split(b, COIN, 1, 1, 400);
    let waiting = split(c, COIN, 1, 1, 300);
    let carrier = child(&waiting, 9000);
    for tx in [&theirs, &below, &other, &waiting, &carrier] {
        chain.submit(tx.clone()).unwrap();
    }
    let own = split(a, COIN, 1, 2, 0);
    let block = chain.mine_own(vec![own.clone(), waiting.clone()]).unwrap();
    assert_eq!(block.txs, [own, waiting, carrier, other]);
    assert_eq!(chain.mempool().count(), 0, "the conflict and its child leave the mempool");
    let gone = split(a, COIN, 1, 1, 300);
    assert!(matches!(chain.mine_own(vec![gone]), Err(Reject::MissingInputs { .. })));
    assert_eq!(chain.tip().0, START + 1, "a refused block changes nothing");
}

#[test]
fn its_own_counts_towards_the_room_and_the_weight_limit_binds_all() {
    let mut chain = Chain::new(ChainConfig::default());
    let (a, b) = (coin(&mut chain), coin(&mut chain));
    let (own, other) = (split(a, COIN, 1, 1, 0), split(b, COIN, 1, 1, 400));
    let weight = own.weight().to_wu();
    chain.submit(other.clone()).unwrap();
    let template = |first: &Transaction, room| BlockTemplate {
        first: vec![first.clone()],
        max_weight_wu: room,
        ..BlockTemplate::default()
    };
    assert_eq!(chain.mine_template(template(&own, 2 * weight - 1)).unwrap().txs.as_slice(), std::slice::from_ref(&own));
    chain.reorg_drop(1);
    assert_eq!(chain.mine_template(template(&own, 2 * weight)).unwrap().txs, [own, other]);
    let limit = 500;
    let mut small = Chain::new(ChainConfig { max_block_weight: limit, ..ChainConfig::default() });
    let coin = coin(&mut small);
    let large = split(coin, COIN, 1, 9, 0);
    let weight = large.weight().to_wu();
    assert_eq!(small.mine_own(vec![large]), Err(Reject::BlockTooHeavy { weight, limit }));
}

#[test]
fn what_a_miner_leaves_out_waits_with_all_that_descends_from_it() {
    let mut chain = chain();
    let (a, b) = (coin(&mut chain), coin(&mut chain));
    let left_out = split(a, COIN, 1, 1, 5000);
    let below = child(&left_out, 5000);
    let other = split(b, COIN, 1, 1, 400);
    for tx in [&left_out, &below, &other] {
        chain.submit(tx.clone()).unwrap();
    }
    let leaves_out = BTreeSet::from([left_out.compute_txid()]);
    let block = chain.mine_template(BlockTemplate { leaves_out, ..BlockTemplate::default() }).unwrap();
    assert_eq!(block.txs, [other]);
    assert_eq!(chain.mempool().count(), 2);
}
