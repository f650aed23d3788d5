//! Limits on ancestors and descendants of unconfirmed transactions, in number and size, and the carve-out.

use arb_lab::chain::{Chain, ChainConfig, PackageReject, Reject, Submitted};
use bitcoin::Transaction;

use crate::support::*;

/// An unconfirmed transaction with this many outputs of 10,000 sat.
fn parent(chain: &mut Chain, outputs: u64) -> Transaction {
    let value = outputs * 10_000 + 5_000;
    let coin = chain.mint(anyone(1).to_p2wsh(), value);
    let tx = split(coin, value, 1, outputs, 5_000);
    chain.submit(tx.clone()).unwrap();
    tx
}

fn child(parent: &Transaction, vout: u32, fee: u64) -> Transaction {
    split(outpoint(parent, vout), 10_000, 1, 1, fee)
}

#[test]
fn a_transaction_has_24_descendants_and_one_small_child_more() {
    let mut chain = chain();
    let parent = parent(&mut chain, 27);
    for vout in 0..24 {
        assert_eq!(chain.submit(child(&parent, vout, 200)), Ok(Submitted::Accepted), "{vout}");
    }
    let of = parent.compute_txid();
    let refused = |count| Reject::TooManyDescendants { of, count, limit: 25 };
    let below = split(outpoint(&child(&parent, 0, 200), 0), 9_800, 1, 1, 200);
    assert_eq!(chain.submit(below), Err(refused(26)), "the carve-out is for children only");
    let mut v3 = child(&parent, 24, 200);
    v3.version.0 = 3;
    assert_eq!(chain.submit(v3), Err(refused(26)));
    // A confirmed coin pays for the large child.
    let coin = chain.mint(anyone(1).to_p2wsh(), COIN);
    let large = |vsize| sized(&[outpoint(&parent, 24), coin], COIN + 10_000, 1, 11_000, vsize);
    assert_eq!(chain.submit(large(10_001)), Err(refused(26)));
    let package = [parent.clone(), large(9_000)];
    assert_eq!(chain.submit_package(&package), Err(PackageReject { index: 1, reject: refused(26) }));
    assert_eq!(chain.submit(large(10_000)), Ok(Submitted::Accepted));
    assert_eq!(chain.submit(child(&parent, 25, 200)), Err(refused(27)), "only one more child");
    chain.mine();
    assert_eq!(chain.submit(child(&parent, 25, 200)), Ok(Submitted::Accepted));
}

/// Bitcoin Core 31 has no carve-out any more.
#[test]
fn without_the_carve_out_a_full_family_takes_no_child_more() {
    let mut chain = Chain::new(ChainConfig { carve_out: false, ..ChainConfig::default() });
    let parent = parent(&mut chain, 27);
    for vout in 0..24 {
        assert_eq!(chain.submit(child(&parent, vout, 200)), Ok(Submitted::Accepted), "{vout}");
    }
    let refused = Reject::TooManyDescendants { of: parent.compute_txid(), count: 26, limit: 25 };
    assert_eq!(chain.submit(child(&parent, 24, 200)), Err(refused));
    assert_eq!(chain.submit(child(&parent, 3, 2000)), Ok(Submitted::Accepted), "it takes the place of another");
}

#[test]
fn a_line_has_101_kvb_upwards() {
    let mut chain = chain();
    let coin = chain.mint(anyone(1).to_p2wsh(), 300_000);
    let parent = sized(&[coin], 300_000, 1, 60_000, 60_000);
    chain.submit(parent.clone()).unwrap();
    let child = |vsize| sized(&[outpoint(&parent, 0)], 240_000, 1, 50_000, vsize);
    let refused = Reject::AncestorsTooLarge { vsize: 101_001, limit: 101_000 };
    assert_eq!(chain.submit(child(41_001)), Err(refused));
    assert_eq!(chain.submit(child(41_000)), Ok(Submitted::Accepted));
}

#[test]
fn a_family_has_101_kvb_downwards_and_10_more_for_one_child() {
    let mut chain = chain();
    let parent = parent(&mut chain, 4);
    let coins: Vec<_> = (0..4).map(|_| chain.mint(anyone(1).to_p2wsh(), COIN)).collect();
    let child = |place: u32, vsize| {
        let inputs = [outpoint(&parent, place), coins[usize::try_from(place).unwrap()]];
        sized(&inputs, COIN + 10_000, 1, vsize, vsize)
    };
    let first = 101_000 - vsize_of(&parent) - 20_000;
    chain.submit(child(0, first)).unwrap();
    let refused = |vsize| Err(Reject::DescendantsTooLarge { of: parent.compute_txid(), vsize, limit: 101_000 });
    assert_eq!(chain.submit(child(1, 20_001)), refused(101_001));
    assert_eq!(chain.submit(child(1, 20_000)), Ok(Submitted::Accepted));
    let dearer = sized(&[outpoint(&parent, 1), coins[1]], COIN + 10_000, 1, 50_000, 20_000);
    assert_eq!(chain.submit(dearer), Ok(Submitted::Accepted), "it replaces a child of the same size");
    assert_eq!(chain.submit(child(2, 10_001)), refused(111_001));
    assert_eq!(chain.submit(child(2, 5_000)), Ok(Submitted::Accepted));
    assert_eq!(chain.submit(child(3, 5_001)), refused(111_001), "one carve-out of 10 kvB for all children");
    assert_eq!(chain.submit(child(3, 5_000)), Ok(Submitted::Accepted));
}

#[test]
fn a_package_counts_as_one_against_the_limits() {
    let mut chain = chain();
    let mut coin = (chain.mint(anyone(1).to_p2wsh(), COIN), COIN);
    let mut next = |fee| {
        let tx = split(coin.0, coin.1, 1, 1, fee);
        coin = (outpoint(&tx, 0), coin.1 - fee);
        tx
    };
    for _ in 0..23 {
        chain.submit(next(1000)).unwrap();
    }
    chain.set_mempool_min_feerate(3000);
    let [last, parent, child] = [next(1000), next(150), next(2000)];
    assert_eq!(chain.submit(last), Ok(Submitted::Accepted));
    let package = [parent, child];
    let refused = Reject::TooManyAncestors { count: 26, limit: 25 };
    assert_eq!(chain.submit_package(&package), Err(PackageReject { index: 1, reject: refused }));
    chain.mine();
    assert_eq!(chain.submit_package(&package), Ok(vec![Submitted::Accepted; 2]));
}

#[test]
fn who_replaces_one_of_a_full_family_takes_its_place_and_who_replaces_two_does_not() {
    let mut chain = chain();
    let parent = parent(&mut chain, 27);
    for vout in 0..25 {
        chain.submit(child(&parent, vout, 200)).unwrap(); // the last by the carve-out
    }
    assert_eq!(chain.submit(child(&parent, 3, 2000)), Ok(Submitted::Accepted));
    let two = [outpoint(&parent, 4), outpoint(&parent, 5)];
    let tx = join(&two, 1, &[(anyone(1).to_p2wsh(), 12_000)]);
    let refused = Reject::TooManyDescendants { of: parent.compute_txid(), count: 27, limit: 25 };
    assert_eq!(chain.submit(tx), Err(refused), "descendants are counted before the conflicts leave");
    assert_eq!(chain.mempool().count(), 26);
}
