//! Packages of one parent and one child: which parents they carry into the mempool, and what they may replace.

use arb_lab::chain::{PackageReject, Reject, Submitted};
use bitcoin::{OutPoint, ScriptBuf, Transaction};

use crate::support::*;

fn any() -> ScriptBuf {
    anyone(1).to_p2wsh()
}

fn child(parent: &Transaction, fee: u64) -> Transaction {
    split(outpoint(parent, 0), parent.output[0].value.to_sat(), 1, 1, fee)
}

/// A parent with the fee `parent_fee` and its child; both together pay `total`.
fn package(coin: OutPoint, parent_fee: u64, total: u64) -> [Transaction; 2] {
    let parent = join(&[coin], 1, &[(any(), COIN - 1000 - parent_fee), (anyone(7).to_p2wsh(), 1000)]);
    let child = child(&parent, total - parent_fee);
    [parent, child]
}

fn vsize(txs: &[Transaction]) -> u64 {
    txs.iter().map(vsize_of).sum()
}

fn refused(index: usize, reject: Reject) -> Result<Vec<Submitted>, PackageReject> {
    Err(PackageReject { index, reject })
}

const BOTH: Result<[Submitted; 2], ()> = Ok([Submitted::Accepted; 2]);

fn both(answer: Result<Vec<Submitted>, PackageReject>) -> Result<[Submitted; 2], ()> {
    answer.map_err(|_| ()).and_then(|answers| answers.try_into().map_err(|_| ()))
}

#[test]
fn a_package_is_a_child_with_its_parents() {
    let mut chain = chain();
    let (a, b) = (coin(&mut chain), coin(&mut chain));
    let [parent, child] = package(a, 300, 600);
    let grandchild = split(outpoint(&child, 0), child.output[0].value.to_sat(), 1, 1, 300);
    let stranger = split(b, COIN, 1, 1, 300);
    for bad in [
        vec![],
        vec![parent.clone()],
        vec![child.clone(), parent.clone()],
        vec![parent.clone(), stranger.clone()],
        vec![parent.clone(), child.clone(), grandchild],
    ] {
        assert_eq!(chain.submit_package(&bad), refused(bad.len().saturating_sub(1), Reject::NotChildWithParents));
    }
    let inputs = [outpoint(&parent, 0), outpoint(&stranger, 0)];
    let of_both = join(&inputs, 1, &[(any(), COIN)]);
    assert_eq!(chain.submit_package(&[parent, stranger, of_both]), Ok(vec![Submitted::Accepted; 3]));
}

#[test]
fn no_package_lifts_version_2_over_the_floor() {
    let mut chain = chain();
    let coin = coin(&mut chain);
    let own = vsize_of(&package(coin, 0, 5000)[0]);
    let below = Reject::BelowFloor { fee: own - 1, needed: own };
    assert_eq!(chain.submit_package(&package(coin, own - 1, 5000)), refused(0, below));
    let [mut v3, _] = package(coin, own - 1, 5000);
    v3.version.0 = 3;
    let carrier = child(&v3, 5000);
    assert_eq!(both(chain.submit_package(&[v3, carrier])), BOTH);
    chain.clear_mempool();
    assert_eq!(both(chain.submit_package(&package(coin, own, 5000))), BOTH);
}

#[test]
fn a_child_lifts_its_parent_over_the_moving_minimum_at_its_exact_price() {
    let mut chain = chain();
    let coin = coin(&mut chain);
    chain.set_mempool_min_feerate(3000);
    let of = |total| package(coin, 300, total);
    let needed = (vsize(&of(5000)) * 3000).div_ceil(1000);
    let short = Reject::BelowMempoolMinimum { fee: needed - 1, needed };
    assert_eq!(chain.submit_package(&of(needed - 1)), refused(0, short));
    assert_eq!(chain.mempool().count(), 0);
    assert_eq!(both(chain.submit_package(&of(needed))), BOTH);
    assert_eq!(chain.trim(), [], "together they rank high enough");
}

#[test]
fn a_parent_that_waits_already_leaves_its_child_to_the_rules_for_one() {
    let mut chain = chain();
    let coin = coin(&mut chain);
    let [parent, poor] = package(coin, 300, 500);
    chain.submit(parent.clone()).unwrap();
    chain.set_mempool_min_feerate(3000);
    let needed = (vsize_of(&poor) * 3000).div_ceil(1000);
    let answer = chain.submit_package(&[parent.clone(), poor]);
    assert_eq!(answer, refused(1, Reject::BelowMempoolMinimum { fee: 200, needed }));
    let enough = child(&parent, needed);
    let answer = chain.submit_package(&[parent, enough]);
    assert_eq!(answer, Ok(vec![Submitted::AlreadyInMempool, Submitted::Accepted]));
}

#[test]
fn a_package_replaces_for_all_fees_and_its_own_relay_and_not_for_one_satoshi_less() {
    let mut chain = chain();
    let coin = coin(&mut chain);
    let rival = split(coin, COIN, 1, 20, 1000);
    let with = rival.compute_txid();
    chain.submit(rival.clone()).unwrap();
    // The rival is large, so its feerate is low and the absolute fee decides.
    let needed = 1000 + 1500 + vsize(&package(coin, 500, 5000));
    chain.submit(child(&rival, 1500)).unwrap();
    let short = Reject::ReplacementTooCheap { with, fee: needed - 1, needed };
    let before = txids(chain.mempool());
    assert_eq!(chain.submit_package(&package(coin, 500, needed - 1)), refused(1, short));
    assert_eq!(txids(chain.mempool()), before);
    assert_eq!(both(chain.submit_package(&package(coin, 500, needed))), BOTH);
    assert_eq!(chain.mempool().count(), 2);
}

#[test]
fn three_replace_nothing_and_neither_do_two_with_an_ancestor() {
    let mut chain = chain();
    let (a, b, c) = (coin(&mut chain), coin(&mut chain), coin(&mut chain));
    for coin in [a, b] {
        chain.submit(split(coin, COIN, 1, 1, 1000)).unwrap();
    }
    let parents = [split(a, COIN, 1, 2, 300), split(b, COIN, 1, 2, 300)];
    let inputs = [outpoint(&parents[0], 0), outpoint(&parents[1], 0)];
    let of_both = join(&inputs, 1, &[(any(), COIN - 20_000)]);
    let answer = chain.submit_package(&[parents[0].clone(), parents[1].clone(), of_both]);
    assert_eq!(answer, refused(2, Reject::PackageReplaces { count: 3 }));
    let ancestor = split(c, COIN, 1, 1, 300);
    chain.submit(ancestor.clone()).unwrap();
    let [parent, _] = package(a, 300, 20_000);
    let inputs = [outpoint(&parent, 0), outpoint(&ancestor, 0)];
    let with_ancestor = join(&inputs, 1, &[(any(), COIN)]);
    let refusal = Reject::PackageWithAncestors { ancestor: ancestor.compute_txid() };
    assert_eq!(chain.submit_package(&[parent.clone(), with_ancestor]), refused(1, refusal));
    assert_eq!(both(chain.submit_package(&package(a, 300, 20_000))), BOTH);
}

#[test]
fn a_package_replaces_lines_of_two_and_no_longer_ones() {
    let mut chain = chain();
    let coin = coin(&mut chain);
    let first = split(coin, COIN, 1, 2, 500);
    let second = child(&first, 400);
    let third = split(outpoint(&second, 0), second.output[0].value.to_sat(), 1, 1, 400);
    let sibling = split(outpoint(&first, 1), first.output[1].value.to_sat(), 1, 1, 400);
    let too_large = |with: &Transaction| Reject::ClusterTooLarge { with: with.compute_txid() };
    let rich = package(coin, 300, 20_000);
    for extra in [&third, &sibling] {
        for tx in [&first, &second, extra] {
            chain.submit(tx.clone()).unwrap();
        }
        assert_eq!(chain.submit_package(&rich), refused(1, too_large(&first)));
        chain.evict(&extra.compute_txid());
        chain.evict(&first.compute_txid());
    }
    chain.submit(first).unwrap();
    chain.submit(second).unwrap();
    assert_eq!(both(chain.submit_package(&rich)), BOTH);
}

#[test]
fn a_conflict_with_a_child_looks_at_its_parent_and_at_that_ones_other_children() {
    let mut chain = chain();
    let (a, b) = (coin(&mut chain), coin(&mut chain));
    let above = split(a, COIN, 1, 2, 500);
    let half = above.output[0].value.to_sat();
    // The conflict spends an unconfirmed output and the package's coin; it is large, so its feerate is low.
    let outputs: Vec<_> = (0..30).map(|_| (any(), (half + COIN - 3000) / 30)).collect();
    let conflict = join(&[outpoint(&above, 0), b], 1, &outputs);
    let sibling = split(outpoint(&above, 1), half, 1, 1, 400);
    for tx in [&above, &conflict, &sibling] {
        chain.submit(tx.clone()).unwrap();
    }
    let rich = package(b, 300, 20_000);
    assert_eq!(chain.submit_package(&rich), refused(1, Reject::ClusterTooLarge { with: conflict.compute_txid() }));
    chain.evict(&sibling.compute_txid());
    // The package need not pay the fee of the conflict's parent, because that parent stays in the mempool.
    let least = chain.fee_of(&conflict.compute_txid()).unwrap() + vsize(&package(b, 300, 5000));
    assert_eq!(both(chain.submit_package(&package(b, 300, least))), BOTH);
    assert!(chain.in_mempool(&above.compute_txid()).is_some(), "the parent of a conflict stays");
}

#[test]
fn the_child_pays_for_its_parent() {
    let mut chain = chain();
    let coin = coin(&mut chain);
    chain.submit(split(coin, COIN, 1, 20, 2000)).unwrap();
    let own = |txs: &[Transaction]| (vsize_of(&txs[0]), vsize(txs));
    let (parent_vsize, total_vsize) = own(&package(coin, 2000, 4000));
    // The parent pays more than the conflict but too little for its own relay, so it is judged with its child.
    let parent_fee = 2000 + parent_vsize - 1;
    let parent = parent_fee * 1000 / parent_vsize;
    let enough = ((parent + 1) * total_vsize).div_ceil(1000);
    let package_rate = (enough - 1) * 1000 / total_vsize;
    let refusal = Reject::ChildDoesNotPay { package: package_rate, parent };
    assert_eq!(chain.submit_package(&package(coin, parent_fee, enough - 1)), refused(1, refusal));
    assert_eq!(both(chain.submit_package(&package(coin, parent_fee, enough))), BOTH);
}

#[test]
fn a_miner_never_earns_less_with_the_package() {
    let mut chain = chain();
    let coin = coin(&mut chain);
    // Small with a high feerate: a larger package must beat the feerate, not only the fee.
    let small = split(coin, COIN, 1, 1, 3000);
    let small_vsize = vsize_of(&small);
    chain.submit(small).unwrap();
    let total_vsize = vsize(&package(coin, 200, 3200));
    let level = (3000 * total_vsize).div_ceil(small_vsize);
    assert!(level > 3000 + total_vsize, "the feerate must decide here, not the absolute fee");
    assert_eq!(chain.submit_package(&package(coin, 200, level - 1)), refused(1, Reject::DiagramNotImproved));
    assert_eq!(both(chain.submit_package(&package(coin, 200, level))), BOTH);
}
