//! Keys, scripts and signed transactions.

use arb_lab::chain::{Chain, ChainConfig};
use bitcoin::hashes::Hash;
use bitcoin::key::{Secp256k1, TapTweak};
use bitcoin::opcodes::all::{OP_CHECKSIG, OP_CLTV, OP_CSV, OP_DROP, OP_PUSHNUM_1};
use bitcoin::secp256k1::{Keypair, Message, SecretKey};
use bitcoin::sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use bitcoin::{
    Amount, OutPoint, PublicKey, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, absolute, script,
    transaction,
};

/// Value of a coin, in sat.
pub const COIN: u64 = 100_000;
/// Height of a new chain's tip.
pub const START: u32 = 100;

pub fn chain() -> Chain {
    Chain::new(ChainConfig::default())
}

pub fn mine(chain: &mut Chain, blocks: u32) {
    for _ in 0..blocks {
        chain.mine();
    }
}

fn secret(key: u8) -> SecretKey {
    SecretKey::from_slice(&[key; 32]).expect("a small number is a key")
}

pub fn public(key: u8) -> PublicKey {
    PublicKey::new(secret(key).public_key(&Secp256k1::new()))
}

pub fn p2wpkh(key: u8) -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&public(key).wpubkey_hash().expect("compressed"))
}

pub fn p2tr(key: u8) -> ScriptBuf {
    let secp = Secp256k1::new();
    ScriptBuf::new_p2tr(&secp, Keypair::from_secret_key(&secp, &secret(key)).x_only_public_key().0, None)
}

pub fn p2a() -> ScriptBuf {
    ScriptBuf::from_bytes(vec![0x51, 0x02, 0x4e, 0x73])
}

/// A witness script that `key` can spend `delay` blocks after confirmation (CSV).
pub fn after_csv(delay: u16, key: u8) -> ScriptBuf {
    let locked = script::Builder::new().push_int(i64::from(delay)).push_opcode(OP_CSV).push_opcode(OP_DROP);
    locked.push_key(&public(key)).push_opcode(OP_CHECKSIG).into_script()
}

/// A witness script that `key` can spend with a locktime of at least `height` (CLTV).
pub fn after_cltv(height: u32, key: u8) -> ScriptBuf {
    let locked = script::Builder::new().push_int(i64::from(height)).push_opcode(OP_CLTV).push_opcode(OP_DROP);
    locked.push_key(&public(key)).push_opcode(OP_CHECKSIG).into_script()
}

/// A witness script that needs no signature; different numbers give different scripts.
pub fn anyone(number: i64) -> ScriptBuf {
    script::Builder::new().push_int(number).push_opcode(OP_DROP).push_opcode(OP_PUSHNUM_1).into_script()
}

pub fn unsigned(inputs: &[(OutPoint, u32)], outputs: &[(ScriptBuf, u64)]) -> Transaction {
    let input = |(previous_output, sequence): &(OutPoint, u32)| TxIn {
        previous_output: *previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence(*sequence),
        witness: Witness::new(),
    };
    let output =
        |(script, value): &(ScriptBuf, u64)| TxOut { value: Amount::from_sat(*value), script_pubkey: script.clone() };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: inputs.iter().map(input).collect(),
        output: outputs.iter().map(output).collect(),
    }
}

pub fn locked_until(mut tx: Transaction, lock_time: u32) -> Transaction {
    tx.lock_time = absolute::LockTime::from_consensus(lock_time);
    tx
}

pub fn sign_p2wpkh(mut tx: Transaction, input: usize, value: u64, key: u8) -> Transaction {
    let kind = EcdsaSighashType::All;
    let mut cache = SighashCache::new(&mut tx);
    let hash = cache.p2wpkh_signature_hash(input, &p2wpkh(key), Amount::from_sat(value), kind).expect("input exists");
    let signature = Secp256k1::new().sign_ecdsa(&Message::from_digest(hash.to_byte_array()), &secret(key));
    let signature = bitcoin::ecdsa::Signature { signature, sighash_type: kind };
    tx.input[input].witness = Witness::p2wpkh(&signature, &public(key).inner);
    tx
}

pub fn sign_p2wsh(mut tx: Transaction, input: usize, value: u64, script: &ScriptBuf, key: u8) -> Transaction {
    let kind = EcdsaSighashType::All;
    let mut cache = SighashCache::new(&mut tx);
    let hash = cache.p2wsh_signature_hash(input, script, Amount::from_sat(value), kind).expect("input exists");
    let signature = Secp256k1::new().sign_ecdsa(&Message::from_digest(hash.to_byte_array()), &secret(key));
    let signature = bitcoin::ecdsa::Signature { signature, sighash_type: kind };
    tx.input[input].witness = Witness::from_slice(&[signature.to_vec(), script.to_bytes()]);
    tx
}

pub fn sign_p2tr(mut tx: Transaction, prevouts: &[TxOut], key: u8) -> Transaction {
    let secp = Secp256k1::new();
    let mut cache = SighashCache::new(&mut tx);
    let hash = cache.taproot_key_spend_signature_hash(0, &Prevouts::All(prevouts), TapSighashType::Default);
    let message = Message::from_digest(hash.expect("input exists").to_byte_array());
    let pair = Keypair::from_secret_key(&secp, &secret(key)).tap_tweak(&secp, None).to_keypair();
    tx.input[0].witness = Witness::from_slice(&[secp.sign_schnorr_no_aux_rand(&message, &pair).as_ref()]);
    tx
}

/// Spends one P2WPKH coin of `key` to `to`, less a fee in sat.
pub fn pay(coin: OutPoint, value: u64, key: u8, to: ScriptBuf, fee: u64) -> Transaction {
    sign_p2wpkh(unsigned(&[(coin, 0xffff_fffd)], &[(to, value - fee)]), 0, value, key)
}

/// Spends one coin that needs no signature into equal outputs of the same script; the last one takes the remainder.
pub fn split(coin: OutPoint, value: u64, number: i64, outputs: u64, fee: u64) -> Transaction {
    let script = anyone(number);
    let each = (value - fee) / outputs;
    let value_of = |index| if index + 1 == outputs { value - fee - each * (outputs - 1) } else { each };
    let outputs: Vec<_> = (0..outputs).map(|index| (script.to_p2wsh(), value_of(index))).collect();
    join(&[coin], number, &outputs)
}

/// Spends coins that need no signature into any outputs.
pub fn join(coins: &[OutPoint], number: i64, outputs: &[(ScriptBuf, u64)]) -> Transaction {
    let inputs: Vec<_> = coins.iter().map(|coin| (*coin, 0xffff_fffd)).collect();
    let mut tx = unsigned(&inputs, outputs);
    for input in &mut tx.input {
        input.witness = Witness::from_slice(&[anyone(number).to_bytes()]);
    }
    tx
}

/// Spends coins that need no signature into one output, with data that pads the transaction to exactly `vsize`.
pub fn sized(coins: &[OutPoint], value: u64, number: i64, fee: u64, vsize: u64) -> Transaction {
    let with = |data: usize| {
        let data = ScriptBuf::from_bytes(vec![0x6a; data]);
        join(coins, number, &[(anyone(number).to_p2wsh(), value - fee), (data, 0)])
    };
    let mut data = usize::try_from(vsize).unwrap() - with(0).vsize();
    while vsize_of(&with(data)) > vsize {
        data -= 1; // the data's length prefix may be longer than one byte
    }
    let tx = with(data);
    assert_eq!(vsize_of(&tx), vsize);
    tx
}

/// A confirmed coin that needs no signature.
pub fn coin(chain: &mut Chain) -> OutPoint {
    chain.mint(anyone(1).to_p2wsh(), COIN)
}

pub fn vsize_of(tx: &Transaction) -> u64 {
    u64::try_from(tx.vsize()).unwrap()
}

pub fn outpoint(tx: &Transaction, vout: u32) -> OutPoint {
    OutPoint::new(tx.compute_txid(), vout)
}

pub fn txids<'a>(txs: impl IntoIterator<Item = &'a Transaction>) -> Vec<Txid> {
    txs.into_iter().map(Transaction::compute_txid).collect()
}
