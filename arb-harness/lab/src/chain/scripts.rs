//! Script verification by Bitcoin Core's own interpreter, once for each transaction.
//!
//! A success is remembered under a hash of the witness transaction id *and* of the outputs spent, so it does not count for
//! another witness or another coin at the same outpoint. Failures are not remembered. The cache is in memory, grows by 32
//! bytes for each transaction and is never trimmed.

use std::collections::BTreeSet;

use bitcoin::consensus::Encodable;
use bitcoin::hashes::{Hash, sha256};
use bitcoin::{Transaction, TxOut};
use bitcoinconsensus::{Utxo, VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT, verify_with_flags};

use super::reject::Reject;

/// The transactions that have passed the interpreter.
#[derive(Debug, Default)]
pub(super) struct ScriptCache {
    passed: BTreeSet<sha256::Hash>,
    checks: u64,
}

impl ScriptCache {
    /// How many inputs the interpreter has checked.
    pub(super) fn checks(&self) -> u64 {
        self.checks
    }

    /// Verifies every input of `tx`, which spends `prevouts` in this order.
    pub(super) fn verify(&mut self, tx: &Transaction, prevouts: &[TxOut]) -> Result<(), Reject> {
        let key = key_of(tx, prevouts);
        if self.passed.contains(&key) {
            return Ok(());
        }
        let bytes = bitcoin::consensus::serialize(tx);
        let spent: Vec<Utxo> = prevouts.iter().map(utxo_of).collect();
        for (input, prevout) in prevouts.iter().enumerate() {
            self.checks = self.checks.saturating_add(1);
            let script = prevout.script_pubkey.as_bytes();
            let flags = VERIFY_ALL_PRE_TAPROOT | VERIFY_TAPROOT;
            verify_with_flags(script, prevout.value.to_sat(), &bytes, Some(&spent), input, flags)
                .map_err(|error| Reject::Script { input, error })?;
        }
        self.passed.insert(key);
        Ok(())
    }
}

/// The form of an output that the interpreter takes. It has a pointer into `prevout`, which must outlive the call.
fn utxo_of(prevout: &TxOut) -> Utxo {
    let script = prevout.script_pubkey.as_bytes();
    Utxo {
        script_pubkey: script.as_ptr(),
        script_pubkey_len: u32::try_from(script.len()).expect("a script is shorter than 4 GiB"),
        value: i64::try_from(prevout.value.to_sat()).unwrap_or(i64::MAX),
    }
}

fn key_of(tx: &Transaction, prevouts: &[TxOut]) -> sha256::Hash {
    let mut engine = sha256::Hash::engine();
    let written = tx.compute_wtxid().consensus_encode(&mut engine);
    written.expect("a hash engine takes every byte");
    for prevout in prevouts {
        let written = prevout.consensus_encode(&mut engine);
        written.expect("a hash engine takes every byte");
    }
    sha256::Hash::from_engine(engine)
}
