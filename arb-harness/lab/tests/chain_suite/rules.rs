//! Consensus rules: what mempool and blocks both refuse, and the exact block from which it is accepted.

use arb_lab::chain::{Chain, ChainConfig, Reject, Submitted};
use bitcoin::{Amount, OutPoint, ScriptBuf, TxOut, Witness};

use crate::support::*;

#[test]
fn a_signed_payment_is_accepted_once_and_mined() {
    let mut chain = chain();
    let coin = chain.mint(p2wpkh(1), COIN);
    let tx = pay(coin, COIN, 1, p2wpkh(2), 500);
    assert_eq!(chain.submit(tx.clone()), Ok(Submitted::Accepted));
    assert_eq!(chain.submit(tx.clone()), Ok(Submitted::AlreadyInMempool));
    assert_eq!(chain.mempool_spender(&coin), Some(&tx));
    let block = chain.mine();
    assert_eq!((block.height, block.txs.as_slice()), (START + 1, [tx.clone()].as_slice()));
    assert_eq!(chain.submit(tx.clone()), Ok(Submitted::AlreadyConfirmed));
    assert_eq!(chain.mine_txs(vec![tx.clone()]), Err(Reject::AlreadyConfirmed { height: START + 1 }));
    assert_eq!(chain.spender_of(&coin), Some((START + 1, tx.compute_txid(), 0)));
    assert_eq!(chain.utxo(&coin), None);
    assert_eq!(chain.utxo(&outpoint(&tx, 0)).unwrap().height, START + 1);
    assert_eq!(chain.fee_of(&tx.compute_txid()), Some(500));
    assert_eq!(chain.mempool().count(), 0);
}

#[test]
fn missing_and_spent_inputs_are_told_apart() {
    let mut chain = chain();
    let nowhere = OutPoint::new(bitcoin::Txid::from_raw_hash(bitcoin::hashes::Hash::all_zeros()), 7);
    let tx = pay(nowhere, COIN, 1, p2wpkh(2), 500);
    assert_eq!(chain.submit(tx), Err(Reject::MissingInputs { outpoint: nowhere, spent_by: None }));
    let coin = chain.mint(p2wpkh(1), COIN);
    let first = pay(coin, COIN, 1, p2wpkh(2), 500);
    chain.mine_txs(vec![first.clone()]).unwrap();
    let spent_by = Some(first.compute_txid());
    let second = pay(coin, COIN, 1, p2wpkh(3), 500);
    assert_eq!(chain.submit(second), Err(Reject::MissingInputs { outpoint: coin, spent_by }));
}

#[test]
fn a_block_spends_a_coin_once_and_an_invalid_block_changes_nothing() {
    let mut chain = chain();
    let coin = chain.mint(p2wpkh(1), COIN);
    let (first, second) = (pay(coin, COIN, 1, p2wpkh(2), 500), pay(coin, COIN, 1, p2wpkh(3), 500));
    let tip = chain.tip();
    let with = first.compute_txid();
    assert_eq!(chain.mine_txs(vec![first.clone(), second]), Err(Reject::Conflict { with }));
    assert_eq!(chain.mine_txs(vec![first.clone(), first]), Err(Reject::Conflict { with }));
    assert_eq!((chain.tip(), chain.utxos().len()), (tip, 1));
}

#[test]
fn shape_and_value_are_checked() {
    let mut chain = chain();
    let coin = chain.mint(p2wpkh(1), COIN);
    let rich = sign_p2wpkh(unsigned(&[(coin, 0)], &[(p2wpkh(2), COIN + 1)]), 0, COIN, 1);
    assert_eq!(chain.submit(rich), Err(Reject::OutputsExceedInputs { value_in: COIN, value_out: COIN + 1 }));
    let twice = unsigned(&[(coin, 0), (coin, 0)], &[(p2wpkh(2), COIN)]);
    assert_eq!(chain.submit(twice), Err(Reject::DuplicateInput { outpoint: coin }));
    let empty = unsigned(&[(coin, 0)], &[]);
    assert_eq!(chain.submit(empty), Err(Reject::Empty { inputs: 1, outputs: 0 }));
    let coinbase = unsigned(&[(OutPoint::null(), 0)], &[(p2wpkh(2), COIN)]);
    assert_eq!(chain.mine_txs(vec![coinbase]), Err(Reject::Coinbase));
    let all = sign_p2wpkh(unsigned(&[(coin, 0)], &[(p2wpkh(2), COIN)]), 0, COIN, 1);
    assert!(chain.mine_txs(vec![all]).is_ok(), "a fee of zero is consensus-valid");
}

#[test]
fn a_block_has_a_weight_limit() {
    let mut chain = chain();
    let coin = chain.mint(p2wpkh(1), COIN);
    let tx = pay(coin, COIN, 1, p2wpkh(2), 500);
    let weight = tx.weight().to_wu();
    let with_limit = |max_block_weight| {
        let mut chain = Chain::new(ChainConfig { max_block_weight, ..ChainConfig::default() });
        chain.mint(p2wpkh(1), COIN);
        chain
    };
    assert!(with_limit(weight).mine_txs(vec![tx.clone()]).is_ok());
    let mut small = with_limit(weight - 1);
    assert_eq!(small.mine_txs(vec![tx.clone()]), Err(Reject::BlockTooHeavy { weight, limit: weight - 1 }));
    small.submit(tx).unwrap();
    assert_eq!(small.mine().txs, []);
}

#[test]
fn lock_time_h_enters_the_mempool_at_tip_h_and_block_h_plus_1() {
    let mut chain = chain();
    let coin = chain.mint(p2wpkh(1), COIN);
    let bare = unsigned(&[(coin, 0xffff_fffe)], &[(p2wpkh(2), COIN - 500)]);
    let tx = sign_p2wpkh(locked_until(bare, START + 1), 0, COIN, 1);
    let refused = Err(Reject::NonFinal { lock_time: START + 1, next_height: START + 1 });
    assert_eq!(chain.submit(tx.clone()), refused);
    assert_eq!(chain.mine_txs(vec![tx.clone()]).map(|_| Submitted::Accepted), refused);
    chain.mine();
    assert_eq!(chain.submit(tx.clone()), Ok(Submitted::Accepted));
    assert_eq!(chain.mine().txs, [tx]);
}

#[test]
fn final_sequences_and_timestamps_switch_the_lock_time_off() {
    let mut chain = chain();
    for (sequence, lock_time) in [(0xffff_ffff, 400_000), (0, 500_000_000), (0x8000_0000, 0x20ff_ffff)] {
        let coin = chain.mint(p2wpkh(1), COIN);
        let bare = unsigned(&[(coin, sequence)], &[(p2wpkh(2), COIN - 500)]);
        let tx = sign_p2wpkh(locked_until(bare, lock_time), 0, COIN, 1);
        assert_eq!(chain.submit(tx), Ok(Submitted::Accepted), "{sequence:x} {lock_time}");
    }
}

#[test]
fn a_cltv_script_opens_with_its_height_and_not_before() {
    let mut chain = chain();
    let script = after_cltv(START + 3, 1);
    let coin = chain.mint(script.to_p2wsh(), COIN);
    let claim = |lock_time| {
        let bare = unsigned(&[(coin, 0xffff_fffe)], &[(p2wpkh(2), COIN - 500)]);
        sign_p2wsh(locked_until(bare, lock_time), 0, COIN, &script, 1)
    };
    assert!(
        matches!(chain.submit(claim(START)), Err(Reject::Script { input: 0, .. })),
        "the locktime is below the script's"
    );
    mine(&mut chain, 2);
    let refused = Reject::NonFinal { lock_time: START + 3, next_height: START + 3 };
    assert_eq!(chain.submit(claim(START + 3)), Err(refused));
    chain.mine();
    assert_eq!(chain.submit(claim(START + 3)), Ok(Submitted::Accepted));
    assert_eq!(chain.mine().height, START + 4);
    assert_eq!(chain.mempool().count(), 0);
}

#[test]
fn a_csv_script_opens_at_its_depth_and_not_before() {
    const DELAY: u16 = 5;
    let mut chain = chain();
    let funds = chain.mint(p2wpkh(1), COIN);
    let script = after_csv(DELAY, 2);
    let parent = pay(funds, COIN, 1, script.to_p2wsh(), 500);
    chain.submit(parent.clone()).unwrap();
    let value = COIN - 500;
    let claim = |sequence: u32| {
        let bare = unsigned(&[(outpoint(&parent, 0), sequence)], &[(p2wpkh(3), value - 500)]);
        sign_p2wsh(bare, 0, value, &script, 2)
    };
    let tx = claim(u32::from(DELAY));
    let opens = |at: u32| Reject::NonBip68Final { input: 0, spendable_at: at, next_height: START + 1 };
    assert_eq!(chain.submit(tx.clone()), Err(opens(START + 1 + u32::from(DELAY))), "the parent is unconfirmed");
    let confirmed_at = chain.mine().height;
    let spendable_at = confirmed_at + u32::from(DELAY);
    for depth in 1..u32::from(DELAY) {
        let next_height = confirmed_at + depth;
        let refused = Reject::NonBip68Final { input: 0, spendable_at, next_height };
        assert_eq!(chain.submit(tx.clone()), Err(refused.clone()), "depth {depth}");
        assert_eq!(chain.mine_txs(vec![tx.clone()]), Err(refused));
        assert!(
            matches!(chain.submit(claim(depth)), Err(Reject::Script { input: 0, .. })),
            "the sequence is below the script's"
        );
        chain.mine();
    }
    assert_eq!(chain.submit(tx.clone()), Ok(Submitted::Accepted), "depth {DELAY}");
    assert_eq!(chain.mine().txs, [tx]);
}

#[test]
fn relative_locks_bind_version_2_and_3_only_and_bit_31_switches_them_off() {
    let mut chain = chain();
    for (version, sequence, binds) in
        [(1, 5, false), (2, 5, true), (3, 5, true), (2, 0x8000_0005, false), (2, 0x0040_0005, false)]
    {
        let coin = chain.mint(p2wpkh(1), COIN);
        let mut bare = unsigned(&[(coin, sequence)], &[(p2wpkh(2), COIN - 500)]);
        bare.version.0 = version;
        let answer = chain.submit(sign_p2wpkh(bare, 0, COIN, 1));
        assert_eq!(matches!(answer, Err(Reject::NonBip68Final { .. })), binds, "{version} {sequence:x}: {answer:?}");
        assert_eq!(answer.is_ok(), !binds);
    }
}

#[test]
fn a_lock_of_one_block_refuses_an_unconfirmed_parent_and_one_of_the_same_block() {
    let mut chain = chain();
    let coin = chain.mint(p2wpkh(1), COIN);
    let parent = pay(coin, COIN, 1, p2wpkh(2), 500);
    let bare = unsigned(&[(outpoint(&parent, 0), 1)], &[(p2wpkh(3), COIN - 1000)]);
    let child = sign_p2wpkh(bare, 0, COIN - 500, 2);
    chain.submit(parent.clone()).unwrap();
    let refused = Reject::NonBip68Final { input: 0, spendable_at: START + 2, next_height: START + 1 };
    assert_eq!(chain.submit(child.clone()), Err(refused.clone()));
    assert_eq!(chain.mine_txs(vec![parent, child.clone()]), Err(refused));
    chain.mine();
    assert_eq!(chain.submit(child), Ok(Submitted::Accepted));
}

#[test]
fn a_wrong_signature_is_refused_by_the_interpreter() {
    let mut chain = chain();
    let coin = chain.mint(p2wpkh(1), COIN);
    let mut forged = pay(coin, COIN, 1, p2wpkh(2), 500);
    forged.output[0].value = Amount::from_sat(COIN - 600);
    let error = bitcoinconsensus::Error::ERR_SCRIPT;
    assert_eq!(chain.submit(forged.clone()), Err(Reject::Script { input: 0, error }));
    assert_eq!(chain.mine_txs(vec![forged]), Err(Reject::Script { input: 0, error }));
    let wrong_amount = sign_p2wpkh(unsigned(&[(coin, 0)], &[(p2wpkh(2), COIN - 500)]), 0, COIN - 1, 1);
    assert_eq!(chain.submit(wrong_amount), Err(Reject::Script { input: 0, error }));
}

#[test]
fn taproot_is_enforced() {
    let mut chain = chain();
    let coin = chain.mint(p2tr(1), COIN);
    let prevouts = [TxOut { value: Amount::from_sat(COIN), script_pubkey: p2tr(1) }];
    let good = sign_p2tr(unsigned(&[(coin, 0)], &[(p2wpkh(2), COIN - 500)]), &prevouts, 1);
    let mut bad = good.clone();
    bad.input[0].witness = Witness::from_slice(&[vec![1; 64]]);
    assert!(matches!(chain.submit(bad), Err(Reject::Script { input: 0, .. })));
    assert_eq!(chain.submit(good), Ok(Submitted::Accepted));
}

#[test]
fn the_script_cache_does_not_know_a_changed_witness() {
    let mut chain = chain();
    let coin = chain.mint(p2wpkh(1), COIN);
    let good = pay(coin, COIN, 1, p2wpkh(2), 500);
    chain.submit(good.clone()).unwrap();
    assert_eq!(chain.script_checks(), 1);
    let mut changed = good.clone();
    changed.input[0].witness = Witness::from_slice(&[vec![0x30; 71], public(1).to_bytes()]);
    assert_eq!(changed.compute_txid(), good.compute_txid());
    assert_eq!(chain.submit(changed.clone()), Err(Reject::WitnessDiffers));
    assert!(matches!(chain.mine_txs(vec![changed.clone()]), Err(Reject::Script { input: 0, .. })));
    assert!(chain.evict(&good.compute_txid()).len() == 1);
    assert!(matches!(chain.submit(changed), Err(Reject::Script { input: 0, .. })));
    let asked = chain.script_checks();
    chain.mine_txs(vec![good.clone()]).unwrap();
    chain.disconnect_tip().unwrap();
    assert_eq!(txids(chain.mempool()), [good.compute_txid()]);
    assert_eq!(chain.mine().txs, [good]);
    assert_eq!(chain.script_checks(), asked, "mined, returned and mined again without asking the interpreter");
}

#[test]
fn planted_coins_spend_like_others_and_cannot_be_planted_twice() {
    let mut chain = chain();
    let foreign = unsigned(&[(OutPoint::new(public_txid(), 3), 0)], &[(p2wpkh(1), COIN)]);
    let txid = chain.mint_transaction(foreign.clone()).unwrap();
    assert_eq!(txid, foreign.compute_txid());
    assert_eq!(chain.mint_transaction(foreign.clone()), Err(Reject::AlreadyConfirmed { height: START }));
    assert_eq!(chain.submit(foreign.clone()), Ok(Submitted::AlreadyConfirmed));
    assert_eq!(chain.fee_of(&txid), None);
    let at = OutPoint::new(public_txid(), 0);
    let txout = TxOut { value: Amount::from_sat(COIN), script_pubkey: p2wpkh(1) };
    chain.mint_at(at, txout.clone()).unwrap();
    assert_eq!(chain.mint_at(at, txout.clone()), Err(Reject::OutputExists { outpoint: at }));
    let tx = pay(at, COIN, 1, p2wpkh(2), 500);
    chain.mine_txs(vec![tx.clone()]).unwrap();
    assert_eq!(chain.mint_at(at, txout), Err(Reject::OutputExists { outpoint: at }));
    assert_eq!(chain.fee_of(&tx.compute_txid()), Some(500));
    let mined_only = pay(outpoint(&tx, 0), COIN - 500, 2, p2wpkh(3), 500);
    assert_eq!(chain.mint_transaction(mined_only), Err(Reject::InputExists { outpoint: outpoint(&tx, 0) }));
    let other = chain.mint(ScriptBuf::new(), 1);
    assert_ne!(other, chain.mint(ScriptBuf::new(), 1));
}

fn public_txid() -> bitcoin::Txid {
    "8984484a580b825b9972d7adb15050b3ab624ccd731946b3eeddb92f4e7ef6be".parse().expect("a transaction id")
}
