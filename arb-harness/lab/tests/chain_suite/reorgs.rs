//! Reorgs: coins are restored exactly, transactions return to the mempool where they can, and block hashes are never reused.

use std::collections::{BTreeMap, BTreeSet};

use arb_lab::chain::{Chain, ChainConfig, Coin};
use bitcoin::{OutPoint, Transaction};
use proptest::prelude::*;

use crate::support::*;

#[test]
fn transactions_of_a_dropped_block_wait_again_and_those_that_need_its_height_leave() {
    let mut chain = chain();
    let (coin, other) = (chain.mint(p2wpkh(1), COIN), chain.mint(p2wpkh(1), COIN));
    let parent = pay(coin, COIN, 1, p2wpkh(2), 500);
    chain.mine_txs(vec![parent.clone()]).unwrap();
    let child = pay(outpoint(&parent, 0), COIN - 500, 2, p2wpkh(3), 500);
    let bare = unsigned(&[(other, 0)], &[(p2wpkh(4), COIN - 500)]);
    let timely = sign_p2wpkh(locked_until(bare, START + 1), 0, COIN, 1);
    chain.submit(child.clone()).unwrap();
    chain.submit(timely.clone()).unwrap();
    let block = chain.disconnect_tip().unwrap();
    assert_eq!(txids(&block.txs), [parent.compute_txid()]);
    assert!(chain.in_mempool(&parent.compute_txid()).is_some());
    assert!(chain.in_mempool(&child.compute_txid()).is_some(), "its parent waits with it");
    assert!(chain.in_mempool(&timely.compute_txid()).is_none(), "its locktime is not reached any more");
    assert_eq!(chain.mine().txs, [parent, child]);
}

#[test]
fn a_returned_parent_evicts_the_child_whose_relative_lock_it_ended() {
    let mut chain = chain();
    let coin = chain.mint(p2wpkh(1), COIN);
    let parent = pay(coin, COIN, 1, p2wpkh(2), 500);
    chain.mine_txs(vec![parent.clone()]).unwrap();
    let bare = unsigned(&[(outpoint(&parent, 0), 1)], &[(p2wpkh(3), COIN - 1000)]);
    chain.submit(sign_p2wpkh(bare, 0, COIN - 500, 2)).unwrap();
    chain.disconnect_tip().unwrap();
    assert_eq!(txids(chain.mempool()), [parent.compute_txid()]);
}

#[test]
fn reorg_drop_returns_the_blocks_tip_first_and_forgets_what_depended_on_them() {
    let mut chain = chain();
    let coin = chain.mint(p2wpkh(1), COIN);
    let parent = pay(coin, COIN, 1, p2wpkh(2), 500);
    let child = pay(outpoint(&parent, 0), COIN - 500, 2, p2wpkh(3), 500);
    let first = chain.mine_txs(vec![parent]).unwrap();
    let second = chain.mine();
    chain.submit(child).unwrap();
    assert_eq!(chain.reorg_drop(2), [second, first]);
    assert_eq!((chain.tip().0, chain.mempool().count()), (START, 0));
    assert_eq!(chain.spender_of(&coin), None);
    assert!(chain.utxo(&coin).is_some());
    assert_eq!(chain.reorg_drop(1), [], "the first block stays");
}

#[test]
fn equal_blocks_of_two_branches_have_different_hashes_and_two_equal_runs_the_same() {
    let run = || {
        let mut chain = chain();
        let first = chain.mine();
        assert_eq!(chain.disconnect_tip().as_ref(), Some(&first));
        let second = chain.mine();
        (first, second)
    };
    let (first, second) = run();
    assert_eq!((first.height, first.parent), (second.height, second.parent));
    assert_ne!(first.hash, second.hash);
    assert_eq!(run(), (first, second));
}

#[test]
fn the_reorg_limit_counts_from_the_highest_tip() {
    let mut chain = Chain::new(ChainConfig { reorg_limit: 3, ..ChainConfig::default() });
    mine(&mut chain, 5);
    assert_eq!(chain.reorg_drop(2).len(), 2);
    chain.mine();
    assert_eq!(chain.reorg_drop(9).len(), 2, "at most three below the highest tip");
    assert!(chain.disconnect_tip().is_none());
}

#[test]
fn planted_coins_outlive_a_reorg_below_them() {
    let mut chain = chain();
    mine(&mut chain, 2);
    let coin = chain.mint(p2wpkh(1), COIN);
    let tx = pay(coin, COIN, 1, p2wpkh(2), 500);
    chain.mine_txs(vec![tx.clone()]).unwrap();
    chain.reorg_drop(3);
    assert_eq!(chain.tip().0, START);
    assert_eq!(chain.utxo(&coin).map(|coin| coin.height), Some(START + 2), "its height is kept");
    assert!(chain.confirmed(&coin.txid).is_some());
    chain.mine_txs(vec![tx]).unwrap();
}

#[test]
fn flows_follow_confirmed_spends_and_stop_at_a_wallet() {
    let mut chain = chain();
    let funding = chain.mint(p2wpkh(1), COIN);
    let bare = unsigned(&[(funding, 0)], &[(p2wpkh(2), 60_000), (p2wpkh(3), 39_000)]);
    let commitment = sign_p2wpkh(bare, 0, COIN, 1);
    let claim = pay(outpoint(&commitment, 0), 60_000, 2, p2wpkh(9), 1000);
    let spent_by_wallet = pay(outpoint(&claim, 0), 59_000, 9, p2wpkh(8), 1000);
    chain.mine_txs(vec![commitment.clone()]).unwrap();
    chain.mine_txs(vec![claim.clone(), spent_by_wallet.clone()]).unwrap();
    let wallet = BTreeSet::from([p2wpkh(9)]);
    let flows = chain.descendants_until(funding, &wallet);
    let seen: Vec<_> = flows.iter().map(|flow| (flow.outpoint, flow.value_sat, flow.depth, flow.height)).collect();
    let expected = [
        (outpoint(&commitment, 0), 60_000, 1, START + 1),
        (outpoint(&commitment, 1), 39_000, 1, START + 1),
        (outpoint(&claim, 0), 59_000, 2, START + 2),
    ];
    assert_eq!(seen, expected);
    assert_eq!(flows[2].spender, Some((START + 2, spent_by_wallet.compute_txid(), 0)));
    let all = chain.descendants(funding);
    assert_eq!(all.last().map(|flow| (flow.depth, flow.value_sat)), Some((3, 58_000)));
    let fees: u64 =
        [&commitment, &claim, &spent_by_wallet].iter().map(|tx| chain.fee_of(&tx.compute_txid()).unwrap()).sum();
    let left: u64 = all.iter().filter(|flow| flow.spender.is_none()).map(|flow| flow.value_sat).sum();
    assert_eq!(left + fees, COIN);
    assert_eq!(chain.value_of_unspent(&BTreeSet::from([p2wpkh(3), p2wpkh(8), p2wpkh(9)])), 39_000 + 58_000);
}

/// One drawn step of a chain.
#[derive(Debug, Clone)]
pub enum Step {
    Mint(u64),
    Split { coin: usize, outputs: u64, fee: u64 },
    Mine,
    MineSome(usize),
}

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => (10_000_u64..COIN).prop_map(Step::Mint),
        6 => (any::<usize>(), 1_u64..4, 300_u64..900).prop_map(|(coin, outputs, fee)| Step::Split { coin, outputs, fee }),
        2 => Just(Step::Mine),
        1 => (2_usize..4).prop_map(Step::MineSome),
    ];
    prop::collection::vec(step, 1..60)
}

/// Every unspent output, confirmed or in the mempool.
fn spendable(chain: &Chain) -> Vec<(OutPoint, u64)> {
    let confirmed = chain.utxos().iter().map(|(outpoint, coin)| (*outpoint, coin.txout.value.to_sat()));
    let waiting = chain
        .mempool()
        .flat_map(|tx| (0..).zip(&tx.output).map(|(vout, txout)| (outpoint(tx, vout), txout.value.to_sat())));
    confirmed.chain(waiting).filter(|(outpoint, _)| chain.mempool_spender(outpoint).is_none()).collect()
}

/// Carries out one step.
pub fn apply(chain: &mut Chain, step: &Step) {
    match step {
        Step::Mint(value) => {
            chain.mint(anyone(1).to_p2wsh(), *value);
        }
        Step::Split { coin, outputs, fee } => {
            let coins = spendable(chain);
            if coins.is_empty() {
                return;
            }
            let (outpoint, value) = coins[coin % coins.len()];
            if value > 3000 {
                let _policy_may_refuse = chain.submit(split(outpoint, value, 1, *outputs, *fee)).err();
            }
        }
        Step::Mine => {
            chain.mine();
        }
        Step::MineSome(modulus) => {
            let mut count = 0;
            chain.mine_with(|_| {
                count += 1;
                count % modulus == 0
            });
        }
    }
}

/// What a reorg must restore: tip, unspent coins, and the spenders of some outpoints.
type ChainState = (u32, bitcoin::BlockHash, BTreeMap<OutPoint, Coin>, Vec<Option<(u32, bitcoin::Txid, usize)>>);

fn chain_state(chain: &Chain, of: &[OutPoint]) -> ChainState {
    let (height, hash) = chain.tip();
    (height, hash, chain.utxos().clone(), of.iter().map(|outpoint| chain.spender_of(outpoint)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_reorg_restores_the_coins_of_every_height_exactly(steps in steps()) {
        let mut chain = chain();
        for _ in 0..3 {
            chain.mint(anyone(1).to_p2wsh(), COIN);
        }
        let minted: Vec<OutPoint> = chain.utxos().keys().copied().collect();
        let mut states = vec![chain_state(&chain, &minted)];
        for step in steps.iter().filter(|step| !matches!(step, Step::Mint(_))) {
            let tip = chain.tip();
            apply(&mut chain, step);
            if chain.tip() != tip {
                states.push(chain_state(&chain, &minted));
            }
        }
        while states.len() > 1 {
            prop_assert_eq!(&chain_state(&chain, &minted), states.last().unwrap());
            states.pop();
            prop_assert!(chain.disconnect_tip().is_some());
        }
        prop_assert_eq!(&chain_state(&chain, &minted), &states[0]);
        prop_assert!(chain.disconnect_tip().is_none());
    }

    #[test]
    fn everything_disconnected_and_mined_again_is_neutral(steps in steps()) {
        let mut chain = chain();
        chain.mint(anyone(1).to_p2wsh(), COIN);
        for step in &steps {
            apply(&mut chain, step);
        }
        chain.mine();
        let outpoints: Vec<OutPoint> = chain.utxos().keys().copied().collect();
        let asked = chain.script_checks();
        while chain.disconnect_tip().is_some() {}
        let waiting: Vec<Transaction> = chain.mempool().cloned().collect();
        let block = chain.mine();
        prop_assert_eq!(block.txs.len(), waiting.len());
        prop_assert_eq!(chain.utxos().keys().copied().collect::<Vec<_>>(), outpoints);
        prop_assert_eq!(chain.script_checks(), asked, "every script had been run before");
    }
}
