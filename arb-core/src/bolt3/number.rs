//! The commitment number, obscured in a commitment transaction's locktime and sequence (BOLT 3, "Commitment Transaction").
//!
//! The number tells which state a transaction *claims* to be. It does not tell whose it is, and anybody who can spend the
//! funding output can write any number: only a rebuilt txid proves a state (B59).
//!
//! Tests: arb-core/tests/bolt3_incidents.rs, arb-core/tests/bolt3_appendix_c_f.rs

use crate::bolt3::types::Point;
use bitcoin::absolute::LockTime;
use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::{Sequence, Transaction};
use serde::{Deserialize, Serialize};

/// The last commitment number, 2^48 - 1: numbers have 48 bits.
pub const COMMITMENT_NUMBER_MAX: u64 = 0xffff_ffff_ffff;

/// Upper byte of the locktime: reads as a time in 1987, which has always passed.
const LOCK_TIME_TAG: u8 = 0x20;
/// Upper byte of the sequence: switches BIP 68 off and signals replaceability (BIP 125).
const SEQUENCE_TAG: u8 = 0x80;

/// The channel's 48-bit mask for its commitment numbers, the same for both sides' commitments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObscureFactor(u64);

impl ObscureFactor {
    /// The lower 48 bits of SHA256 over the payment basepoint of the opener, then of the accepter.
    pub fn new(opener_payment: &Point, accepter_payment: &Point) -> Self {
        let mut engine = sha256::Hash::engine();
        engine.input(&opener_payment.0);
        engine.input(&accepter_payment.0);
        let [.., a, b, c, d, e, f] = sha256::Hash::from_engine(engine).to_byte_array();
        Self(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// The factor as a number below 2^48.
    pub fn get(&self) -> u64 {
        self.0
    }

    /// The locktime of commitment `number` (taken modulo 2^48): the lower half of the obscured number.
    pub fn lock_time(&self, number: u64) -> LockTime {
        let [.., a, b, c] = (self.0 ^ number).to_be_bytes();
        LockTime::from_consensus(u32::from_be_bytes([LOCK_TIME_TAG, a, b, c]))
    }

    /// The sequence of commitment `number`'s only input: the upper half of the obscured number.
    pub fn sequence(&self, number: u64) -> Sequence {
        let [_, _, a, b, c, ..] = (self.0 ^ number).to_be_bytes();
        Sequence::from_consensus(u32::from_be_bytes([SEQUENCE_TAG, a, b, c]))
    }

    /// The number that `tx` carries; `None` if it has not the form of a commitment: one input and both tags.
    ///
    /// A mutual close has other tags (BOLT 3, "Closing Transaction").
    pub fn number_of(&self, tx: &Transaction) -> Option<u64> {
        let [input] = tx.input.as_slice() else { return None };
        let [sequence_tag, a, b, c] = input.sequence.to_consensus_u32().to_be_bytes();
        let [lock_time_tag, d, e, f] = tx.lock_time.to_consensus_u32().to_be_bytes();
        let tagged = sequence_tag == SEQUENCE_TAG && lock_time_tag == LOCK_TIME_TAG;
        tagged.then_some(u64::from_be_bytes([0, 0, a, b, c, d, e, f]) ^ self.0)
    }
}
