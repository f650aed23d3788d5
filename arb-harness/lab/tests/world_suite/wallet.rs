//! The wallet on the embedded chain: coins, reservations, reorgs and restarts.

use arb_core::bolt3::{ChannelType, witness};
use arb_core::sweep::wallet_input_fee_sat;
use arb_core::{ActionId, ChannelId, InputSignature, InputToSign, SignRequest, SigningKey};
use arb_harness::signer::{KeySigner, Signer};
use arb_harness::wallet::{Missing, Wallet};
use arb_lab::chain::{Chain, ChainConfig};
use arb_lab::peer::{PeerPlan, Publish};
use arb_lab::wallet::SmallWallet;
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{Amount, EcdsaSighashType, OutPoint, Sequence, Transaction, TxIn, TxOut, Txid};

use crate::support::{END, NUMBER, PEER_SEED, START, chain_with, peer_with_coins, published, run};

const SEED: [u8; 32] = [5; 32];

fn request(number: u8) -> ActionId {
    ActionId([number; 16])
}

fn claim(number: u8) -> OutPoint {
    OutPoint::new(Txid::from_byte_array([number; 32]), 0)
}

fn with_coins(values: &[u64]) -> (SmallWallet, Chain, Vec<OutPoint>) {
    let (mut wallet, mut chain) = (SmallWallet::from_seed(&SEED), Chain::new(ChainConfig::default()));
    let coins = values.iter().map(|value| chain.mint(wallet.deposit_script(), *value)).collect();
    wallet.rescan(&chain);
    (wallet, chain, coins)
}

#[test]
fn a_request_gets_the_smallest_coin_that_will_do_and_keeps_it() {
    let (mut wallet, _, coins) = with_coins(&[9_000, 3_000, 5_000]);
    let first = wallet.offer(request(1), claim(1), 2_000, 1000, &[]).unwrap();
    assert_eq!(first.inputs[0].outpoint, coins[1]);
    assert_eq!(wallet.offer(request(1), claim(1), 2_000, 1000, &[]).unwrap(), first);
    let second = wallet.offer(request(2), claim(2), 2_000, 1000, &[]).unwrap();
    assert_eq!(second.inputs[0].outpoint, coins[2], "the first is reserved");
    assert_eq!(wallet.owner_of(&coins[1]), Some(claim(1)));
    assert!(wallet.scripts().contains(&first.change));
}

#[test]
fn an_owner_that_asks_for_more_gets_another_coin_and_keeps_the_first() {
    let (mut wallet, _, coins) = with_coins(&[9_000, 3_000]);
    assert_eq!(wallet.offer(request(1), claim(1), 2_000, 1000, &[]).unwrap().inputs[0].outpoint, coins[1]);
    assert_eq!(
        wallet.offer(request(2), claim(1), 1_000, 1000, &[]).unwrap().inputs[0].outpoint,
        coins[1],
        "its first coin is enough"
    );
    assert_eq!(wallet.offer(request(3), claim(1), 5_000, 1000, &[]).unwrap().inputs[0].outpoint, coins[0]);
    assert_eq!(wallet.owner_of(&coins[1]), Some(claim(1)));
}

#[test]
fn a_coin_has_to_pay_for_its_own_input() {
    let (mut wallet, _, _) = with_coins(&[3_000]);
    let most = 3_000 - wallet_input_fee_sat(1000);
    assert_eq!(wallet.offer(request(1), claim(1), most + 1, 1000, &[]), Err(Missing { missing_sat: 1 }));
    assert!(wallet.offer(request(1), claim(1), most, 1000, &[]).is_ok());
    let taken = wallet.offer(request(2), claim(2), 500, 0, &[]);
    assert_eq!(taken, Err(Missing { missing_sat: 500 }), "no coin is unreserved");
}

#[test]
fn only_the_owner_releases() {
    let (mut wallet, _, coins) = with_coins(&[3_000]);
    wallet.offer(request(1), claim(1), 1_000, 1000, &[]).unwrap();
    wallet.release(claim(2), &coins);
    assert_eq!(wallet.owner_of(&coins[0]), Some(claim(1)));
    wallet.release(claim(1), &coins);
    assert!(wallet.offer(request(2), claim(2), 1_000, 1000, &[]).is_ok());
}

#[test]
fn a_restart_forgets_reservations_but_no_script_and_holding_brings_them_back() {
    let (mut wallet, chain, coins) = with_coins(&[3_000]);
    let offer = wallet.offer(request(1), claim(1), 1_000, 1000, &[]).unwrap();
    let script = wallet.fresh_script(request(9));
    let mut restarted = SmallWallet::from_seed(&SEED);
    restarted.rescan(&chain);
    assert_eq!(restarted.owner_of(&coins[0]), None);
    restarted.hold(claim(1), &coins);
    assert_eq!(restarted.owner_of(&coins[0]), Some(claim(1)));
    assert!(restarted.offer(request(2), claim(2), 1_000, 1000, &[]).is_err());
    assert_eq!(restarted.fresh_script(request(9)), script);
    assert_eq!(restarted.scripts(), wallet.scripts());
    assert!(restarted.offer(request(1), claim(1), 1_000, 1000, &[]).is_err(), "the coin is held for a transaction");
    restarted.release(claim(1), &coins);
    assert_eq!(restarted.offer(request(1), claim(1), 1_000, 1000, &[]).unwrap(), offer);
}

#[test]
fn requests_spread_over_the_pool() {
    let mut wallet = SmallWallet::from_seed(&SEED);
    let scripts: std::collections::BTreeSet<_> = (0..100).map(|n| wallet.fresh_script(request(n))).collect();
    // 100 draws from 256 scripts give about 83 different ones.
    assert!(scripts.len() > 70, "{}", scripts.len());
    assert!(scripts.is_subset(&wallet.scripts()));
}

#[test]
fn blocks_up_and_down_leave_what_a_rescan_finds() {
    let fixture = published(ChannelType::StaticRemotekey);
    let mut chain = chain_with(&fixture);
    // The counterparty's wallet, because it receives sweeps and pays with them later.
    let plan = PeerPlan { publishes: Some((0, Publish::Commitment(NUMBER))), ..PeerPlan::default() };
    let mut peer = peer_with_coins(plan, &mut chain);
    let mut followed = SmallWallet::from_seed(&PEER_SEED);
    followed.rescan(&chain);
    let check = |followed: &SmallWallet, chain: &Chain| {
        let mut fresh = SmallWallet::from_seed(&PEER_SEED);
        fresh.rescan(chain);
        assert_eq!(followed.coins(), fresh.coins(), "at {}", chain.tip().0);
        fresh
    };
    for height in START + 1..=END {
        run(&mut peer, &fixture, &mut chain, height);
        followed.connect(chain.block_at(height).unwrap());
        spend_one(&followed, &mut chain);
        check(&followed, &chain);
    }
    let mut opened_at_the_end = check(&followed, &chain);
    assert!(chain.utxos().len() > 10);
    while let Some(block) = chain.disconnect_tip() {
        followed.disconnect(&block);
        opened_at_the_end.disconnect(&block);
        check(&followed, &chain);
        assert_eq!(opened_at_the_end.coins(), followed.coins());
    }
    assert_eq!(followed.coins().len(), 10, "what was minted");
}

/// Spends the wallet's smallest coin to a script of its own, twice, so that blocks both spend its coins and create new ones.
fn spend_one(wallet: &SmallWallet, chain: &mut Chain) {
    let Some((outpoint, txout)) = wallet.coins().iter().min_by_key(|(_, txout)| txout.value) else { return };
    let Some(first) = spend(wallet, *outpoint, txout) else { return };
    chain.submit(first.clone()).unwrap();
    // The second transaction spends the first one's output in the same block.
    let Some(second) = spend(wallet, OutPoint::new(first.compute_txid(), 0), &first.output[0]) else { return };
    chain.submit(second).unwrap();
}

fn spend(wallet: &SmallWallet, outpoint: OutPoint, txout: &TxOut) -> Option<Transaction> {
    let value = txout.value.to_sat();
    let left = value.checked_sub(200).filter(|left| *left > 1_000)?;
    let to = wallet.keys().script_for(&value.to_le_bytes());
    let mut tx = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn { previous_output: outpoint, sequence: Sequence::ZERO, ..TxIn::default() }],
        output: vec![TxOut { value: Amount::from_sat(left), script_pubkey: to }],
    };
    let script = txout.script_pubkey.clone();
    let request = SignRequest {
        id: request(0),
        channel: ChannelId([0; 32]),
        tx: tx.clone(),
        prevouts: vec![txout.clone()],
        inputs: vec![InputToSign {
            index: 0,
            key: SigningKey::Wallet(outpoint),
            script,
            sighash: EcdsaSighashType::All,
        }],
    };
    let answer = KeySigner::new(wallet.keys().clone()).sign(&request).unwrap();
    let [InputSignature::Wallet { signature, key }] = answer.as_slice() else { panic!("{answer:?}") };
    tx.input[0].witness = witness::to_remote(signature, key, None);
    Some(tx)
}
