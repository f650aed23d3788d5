//! Mempool policy: relay floor, dust, sizes, replacement, packages, and the order of mining.

use arb_lab::chain::{Chain, PackageReject, Reject, Submitted};
use bitcoin::{OutPoint, ScriptBuf, Transaction};

use crate::support::*;

#[test]
fn the_floor_is_exact_and_binds_only_the_mempool() {
    let mut chain = chain();
    let coin = chain.mint(p2wpkh(1), COIN);
    let needed = u64::try_from(pay(coin, COIN, 1, p2wpkh(2), 500).vsize()).unwrap();
    let poor = pay(coin, COIN, 1, p2wpkh(2), needed - 1);
    assert_eq!(chain.submit(poor.clone()), Err(Reject::BelowFloor { fee: needed - 1, needed }));
    assert_eq!(chain.submit(pay(coin, COIN, 1, p2wpkh(2), needed)), Ok(Submitted::Accepted));
    chain.mine_txs(vec![poor]).unwrap();
    assert_eq!(chain.mempool().count(), 0, "the conflict leaves the mempool");
}

#[test]
fn dust_is_refused_at_the_limit_of_each_script() {
    let mut chain = chain();
    let cases: [(ScriptBuf, u64); 5] = [
        (p2wpkh(2), 294),
        (after_csv(1, 1).to_p2wsh(), 330),
        (p2tr(2), 330),
        (p2a(), 240),
        (ScriptBuf::new_op_return([1, 2, 3]), 0),
    ];
    for (script, minimum) in cases {
        let coin = chain.mint(p2wpkh(1), COIN);
        let pay =
            |value| sign_p2wpkh(unsigned(&[(coin, 0)], &[(p2wpkh(3), 50_000), (script.clone(), value)]), 0, COIN, 1);
        if minimum > 0 {
            let refused = Reject::Dust { output: 1, value: minimum - 1, minimum };
            assert_eq!(chain.submit(pay(minimum - 1)), Err(refused));
        }
        assert_eq!(chain.submit(pay(minimum)), Ok(Submitted::Accepted), "{script}");
    }
}

#[test]
fn version_and_weight_are_bounded() {
    let mut chain = chain();
    let coin = chain.mint(p2wpkh(1), COIN);
    for version in [0, 4, -1] {
        let mut tx = unsigned(&[(coin, 0xffff_ffff)], &[(p2wpkh(2), COIN - 500)]);
        tx.version.0 = version;
        assert_eq!(chain.submit(tx), Err(Reject::Version { got: version }));
    }
    let outputs: Vec<_> = (0..3300).map(|_| (p2wpkh(2), 300)).collect();
    let heavy = unsigned(&[(coin, 0)], &outputs);
    let weight = heavy.weight().to_wu();
    assert_eq!(chain.submit(heavy), Err(Reject::TooHeavy { weight, limit: 400_000 }));
}

#[test]
fn a_line_has_25_transactions() {
    let mut chain = chain();
    let mut coin = (chain.mint(anyone(1).to_p2wsh(), COIN), COIN);
    for _ in 0..25 {
        let tx = split(coin.0, coin.1, 1, 1, 500);
        coin = (outpoint(&tx, 0), coin.1 - 500);
        assert_eq!(chain.submit(tx), Ok(Submitted::Accepted));
    }
    let last = split(coin.0, coin.1, 1, 1, 500);
    assert_eq!(chain.submit(last.clone()), Err(Reject::TooManyAncestors { count: 26, limit: 25 }));
    chain.mine();
    assert_eq!(chain.submit(last), Ok(Submitted::Accepted));
}

#[test]
fn a_replacement_pays_for_what_it_evicts_and_for_itself() {
    let mut chain = chain();
    let coin = chain.mint(p2wpkh(1), COIN);
    let first = pay(coin, COIN, 1, p2wpkh(2), 1000);
    let child = pay(outpoint(&first, 0), COIN - 1000, 2, p2wpkh(3), 2000);
    chain.submit(first.clone()).unwrap();
    chain.submit(child.clone()).unwrap();
    let own = u64::try_from(first.vsize()).unwrap();
    let needed = 3000 + own;
    let rival = |fee| pay(coin, COIN, 1, p2wpkh(4), fee);
    let with = first.compute_txid();
    assert_eq!(chain.submit(rival(needed - 1)), Err(Reject::ReplacementTooCheap { with, fee: needed - 1, needed }));
    assert_eq!(txids(chain.mempool()).len(), 2);
    assert_eq!(chain.submit(rival(needed)), Ok(Submitted::Accepted));
    assert_eq!(txids(chain.mempool()), [rival(needed).compute_txid()]);
}

#[test]
fn a_replacement_needs_the_higher_rate_as_well() {
    let mut chain = chain();
    let coin = chain.mint(p2wpkh(1), COIN);
    let small = pay(coin, COIN, 1, p2wpkh(2), 1000);
    chain.submit(small.clone()).unwrap();
    let outputs: Vec<_> = (0..20).map(|_| (p2wpkh(3), 1000)).collect();
    let large =
        sign_p2wpkh(unsigned(&[(coin, 0)], &[outputs, vec![(p2wpkh(3), COIN - 20_000 - 5000)]].concat()), 0, COIN, 1);
    let answer = chain.submit(large);
    assert!(
        matches!(answer, Err(Reject::ReplacementTooCheap { with, fee: 5000, needed }) if with == small.compute_txid() && needed < 5000)
    );
}

#[test]
fn nothing_replaces_its_own_parent() {
    let mut chain = chain();
    let coin = chain.mint(p2wpkh(1), COIN);
    let parent = pay(coin, COIN, 1, p2wpkh(1), 500);
    chain.submit(parent.clone()).unwrap();
    let bare = unsigned(&[(coin, 0), (outpoint(&parent, 0), 0)], &[(p2wpkh(2), COIN)]);
    let both = sign_p2wpkh(sign_p2wpkh(bare, 0, COIN, 1), 1, COIN - 500, 1);
    assert_eq!(chain.submit(both), Err(Reject::Conflict { with: parent.compute_txid() }));
}

/// A version 3 transaction without fee and with an anchor of `anchor` sat, like a zero-fee commitment.
fn commitment(coin: OutPoint, to: u8, anchor: u64) -> Transaction {
    let mut tx = unsigned(&[(coin, 0x8000_0000)], &[(p2wpkh(to), COIN - anchor), (p2a(), anchor)]);
    tx.version.0 = 3;
    sign_p2wpkh(tx, 0, COIN, 1)
}

/// A child that spends the anchor of a commitment and a wallet coin of key 9.
fn bump(parent: &Transaction, wallet: OutPoint, fee: u64) -> Transaction {
    let anchor = parent.output[1].value.to_sat();
    let bare = unsigned(&[(outpoint(parent, 1), 0), (wallet, 0)], &[(p2wpkh(9), COIN + anchor - fee)]);
    sign_p2wpkh(bare, 1, COIN, 9)
}

#[test]
fn a_child_carries_a_zero_fee_parent_and_its_dust() {
    let mut chain = chain();
    let (funding, wallet) = (chain.mint(p2wpkh(1), COIN), chain.mint(p2wpkh(9), COIN));
    let parent = commitment(funding, 2, 0);
    assert!(matches!(chain.submit(parent.clone()), Err(Reject::Dust { output: 1, value: 0, minimum: 240 })));
    let poor = bump(&parent, wallet, 200);
    let refused = chain.submit_package(&[parent.clone(), poor]);
    assert!(
        matches!(refused, Err(PackageReject { index: 0, reject: Reject::BelowFloor { fee: 200, .. } })),
        "{refused:?}"
    );
    let unswept = pay(outpoint(&parent, 0), COIN, 2, p2wpkh(9), 5000);
    let refused = chain.submit_package(&[parent.clone(), unswept]);
    assert!(matches!(refused, Err(PackageReject { index: 0, reject: Reject::Dust { .. } })));
    assert_eq!(chain.mempool().count(), 0);
    let child = bump(&parent, wallet, 1000);
    let package = [parent, child];
    assert_eq!(chain.submit_package(&package), Ok(vec![Submitted::Accepted; 2]));
    assert_eq!(chain.submit_package(&package), Ok(vec![Submitted::AlreadyInMempool; 2]));
    assert_eq!(chain.mine().txs, package);
    assert_eq!(chain.submit_package(&package), Ok(vec![Submitted::AlreadyConfirmed; 2]));
}

#[test]
fn a_package_replaces_another_and_a_failing_one_leaves_no_trace() {
    let mut chain = chain();
    let (funding, wallet, theirs) =
        (chain.mint(p2wpkh(1), COIN), chain.mint(p2wpkh(9), COIN), chain.mint(p2wpkh(9), COIN));
    let rival = commitment(funding, 3, 240);
    chain.submit_package(&[rival.clone(), bump(&rival, theirs, 1000)]).unwrap();
    let before = txids(chain.mempool());
    let parent = commitment(funding, 2, 240);
    let refused = chain.submit_package(&[parent.clone(), bump(&parent, wallet, 1100)]).unwrap_err();
    assert!(matches!(refused, PackageReject { index: 1, reject: Reject::ReplacementTooCheap { fee: 1100, .. } }));
    let mut forged = bump(&parent, wallet, 5000);
    forged.output[0].value = bitcoin::Amount::from_sat(COIN - 6000);
    let refused = chain.submit_package(&[parent.clone(), forged]).unwrap_err();
    assert!(matches!(refused, PackageReject { index: 1, reject: Reject::Script { input: 1, .. } }));
    assert_eq!(txids(chain.mempool()), before, "the rival is back");
    let child = bump(&parent, wallet, 5000);
    chain.submit_package(&[parent.clone(), child.clone()]).unwrap();
    assert_eq!(chain.mine().txs, [parent, child]);
}

#[test]
fn a_miner_takes_the_best_line_first_and_parents_before_children() {
    let mut chain = chain();
    let coins: Vec<OutPoint> = (0..3).map(|_| chain.mint(p2wpkh(1), COIN)).collect();
    let parent = pay(coins[0], COIN, 1, p2wpkh(2), 200);
    let child = pay(outpoint(&parent, 0), COIN - 200, 2, p2wpkh(3), 9000); // the two pay about 42 sat/vB
    let middle = pay(coins[1], COIN, 1, p2wpkh(2), 3000); // about 27
    let lower = pay(coins[2], COIN, 1, p2wpkh(2), 1000); // about 9
    for tx in [&lower, &middle, &parent, &child] {
        chain.submit(tx.clone()).unwrap();
    }
    let order = [parent.clone(), child.clone(), middle.clone(), lower.clone()];
    assert_eq!(chain.mine().txs, order);
    chain.disconnect_tip().unwrap();
    let block = chain.mine_with(|tx| tx.compute_txid() != parent.compute_txid());
    assert_eq!(block.txs, [middle, lower], "a withheld parent withholds its child");
    assert_eq!(chain.mine().txs, [parent, child]);
}

#[test]
fn what_fits_is_mined_and_the_rest_waits() {
    let config = arb_lab::chain::ChainConfig { max_block_weight: 500, ..Default::default() };
    let mut chain = Chain::new(config);
    let coins: Vec<OutPoint> = (0..3).map(|_| chain.mint(p2wpkh(1), COIN)).collect();
    let txs: Vec<Transaction> =
        coins.iter().zip([1000, 3000, 2000]).map(|(coin, fee)| pay(*coin, COIN, 1, p2wpkh(2), fee)).collect();
    for tx in &txs {
        chain.submit(tx.clone()).unwrap();
    }
    assert_eq!(chain.mine().txs, [txs[1].clone()], "437 of 500");
    assert_eq!(chain.mempool().count(), 2);
}

#[test]
fn a_line_too_heavy_for_the_block_gives_way_to_its_parent() {
    let config = arb_lab::chain::ChainConfig { max_block_weight: 500, ..Default::default() };
    let mut chain = Chain::new(config);
    let coin = chain.mint(p2wpkh(1), COIN);
    let parent = pay(coin, COIN, 1, p2wpkh(2), 500);
    let child = pay(outpoint(&parent, 0), COIN - 500, 2, p2wpkh(3), 5000);
    chain.submit_package(&[parent.clone(), child.clone()]).unwrap();
    assert_eq!(chain.mine().txs, [parent]);
    assert_eq!(chain.mine().txs, [child]);
}

#[test]
fn a_parent_with_dust_pays_no_fee_of_its_own() {
    let mut chain = chain();
    let (funding, wallet) = (chain.mint(p2wpkh(1), COIN), chain.mint(p2wpkh(9), COIN));
    let mut paying = unsigned(&[(funding, 0x8000_0000)], &[(p2wpkh(2), COIN - 1), (p2a(), 0)]);
    paying.version.0 = 3;
    let paying = sign_p2wpkh(paying, 0, COIN, 1);
    let refused = chain.submit_package(&[paying.clone(), bump(&paying, wallet, 5000)]).unwrap_err();
    assert!(matches!(refused, PackageReject { index: 0, reject: Reject::Dust { output: 1, .. } }), "{refused}");
}

#[test]
fn a_package_pays_for_all_that_its_members_evict_together() {
    let mut chain = chain();
    let (funding, wallet) = (chain.mint(p2wpkh(1), COIN), chain.mint(p2wpkh(9), COIN));
    for (coin, key) in [(funding, 1), (wallet, 9)] {
        let outputs: Vec<_> = (0..20).map(|_| (p2wpkh(3), (COIN - 2000) / 20)).collect(); // large: a low rate
        chain.submit(sign_p2wpkh(unsigned(&[(coin, 0)], &outputs), 0, COIN, key)).unwrap();
    }
    let parent = commitment(funding, 2, 240);
    let short = chain.submit_package(&[parent.clone(), bump(&parent, wallet, 4100)]).unwrap_err();
    assert!(
        matches!(short, PackageReject { index: 1, reject: Reject::ReplacementTooCheap { fee: 4100, .. } }),
        "{short}"
    );
    assert_eq!(chain.mempool().count(), 2);
    let package = [parent.clone(), bump(&parent, wallet, 8000)];
    assert_eq!(chain.submit_package(&package), Ok(vec![Submitted::Accepted; 2]));
    assert_eq!(chain.mempool().count(), 2);
}

#[test]
fn eviction_takes_the_line_and_returns_it_parents_first() {
    let mut chain = chain();
    let coin = chain.mint(p2wpkh(1), COIN);
    let parent = pay(coin, COIN, 1, p2wpkh(2), 500);
    let child = pay(outpoint(&parent, 0), COIN - 500, 2, p2wpkh(3), 500);
    let grandchild = pay(outpoint(&child, 0), COIN - 1000, 3, p2wpkh(4), 500);
    let line = [parent.clone(), child, grandchild];
    for tx in &line {
        chain.submit(tx.clone()).unwrap();
    }
    let evicted = chain.evict(&parent.compute_txid());
    assert_eq!(evicted, line);
    assert_eq!(chain.evict(&parent.compute_txid()), []);
    for tx in evicted {
        assert_eq!(chain.submit(tx), Ok(Submitted::Accepted));
    }
    chain.mint_transaction(pay(OutPoint::new(parent.compute_txid(), 9), COIN, 1, p2wpkh(2), 500)).unwrap();
    assert_eq!(chain.mempool().count(), 3);
}

/// No benchmark, but a bound that a quadratic algorithm would exceed.
#[test]
fn a_large_mempool_and_a_long_returned_line_are_mined_in_good_time() {
    let mut chain = chain();
    let fan = chain.mint(anyone(1).to_p2wsh(), 3_000_000);
    let fan = split(fan, 3_000_000, 1, 1500, 100_000);
    chain.mine_txs(vec![fan.clone()]).unwrap();
    for vout in 0..1500 {
        let fee = 200 + u64::from(vout % 7);
        chain.submit(split(outpoint(&fan, vout), fan.output[0].value.to_sat(), 1, 1, fee)).unwrap();
    }
    assert_eq!(chain.mine().txs.len(), 1500);
    let mut coin = (chain.mint(anyone(2).to_p2wsh(), 1_000_000), 1_000_000);
    let mut line = Vec::new();
    for _ in 0..300 {
        let tx = split(coin.0, coin.1, 2, 1, 500);
        coin = (outpoint(&tx, 0), coin.1 - 500);
        line.push(tx);
    }
    chain.mine_txs(line.clone()).unwrap();
    chain.disconnect_tip().unwrap();
    assert_eq!(chain.mine().txs, line);
}
