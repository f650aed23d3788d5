//! The commitment number hidden in a commitment transaction's locktime and sequence (BOLT 3, "Commitment Transaction").
//!
//! The number says which state *claims* to be on chain. It does not say whose transaction it is, and anybody who can spend
//! the funding output can write any number: only a rebuilt txid proves a state.

use bitcoin::absolute::LockTime;
use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::{Sequence, Transaction};
use serde::{Deserialize, Serialize};

use super::types::Point;

/// The last commitment number: numbers are 48 bits wide.
pub const COMMITMENT_NUMBER_MAX: u64 = 0xffff_ffff_ffff;

/// Upper byte of the locktime: reads as a time in 1987, so it is always final.
const LOCK_TIME_TAG: u8 = 0x20;
/// Upper byte of the sequence: switches BIP 68 off and signals replaceability.
const SEQUENCE_TAG: u8 = 0x80;

/// The channel's 48-bit mask over its commitment numbers; the same for both sides' commitments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObscureFactor(u64);

impl ObscureFactor {
    /// Lower 48 bits of SHA256 over the payment basepoint of who opened the channel, then of who accepted it.
    #[must_use]
    pub fn new(opener_payment: &Point, accepter_payment: &Point) -> Self {
        let mut engine = sha256::Hash::engine();
        engine.input(&opener_payment.0);
        engine.input(&accepter_payment.0);
        let [.., a, b, c, d, e, f] = sha256::Hash::from_engine(engine).to_byte_array();
        Self(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// The factor as a number below 2^48.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0
    }

    /// The locktime of commitment `number` (taken modulo 2^48): the lower half of the obscured number.
    #[must_use]
    pub fn lock_time(&self, number: u64) -> LockTime {
        let [.., a, b, c] = (self.0 ^ number).to_be_bytes();
        LockTime::from_consensus(u32::from_be_bytes([LOCK_TIME_TAG, a, b, c]))
    }

    /// The sequence of commitment `number`'s only input: the upper half of the obscured number.
    #[must_use]
    pub fn sequence(&self, number: u64) -> Sequence {
        let [_, _, a, b, c, ..] = (self.0 ^ number).to_be_bytes();
        Sequence::from_consensus(u32::from_be_bytes([SEQUENCE_TAG, a, b, c]))
    }

    /// The number that `tx` carries, if it has the form of a commitment: one input and both tags.
    ///
    /// A cooperative close has other tags (BOLT 3, "Closing Transaction") and answers `None`.
    #[must_use]
    pub fn number_of(&self, tx: &Transaction) -> Option<u64> {
        let [input] = tx.input.as_slice() else { return None };
        let [sequence_tag, a, b, c] = input.sequence.to_consensus_u32().to_be_bytes();
        let [lock_time_tag, d, e, f] = tx.lock_time.to_consensus_u32().to_be_bytes();
        let tagged = sequence_tag == SEQUENCE_TAG && lock_time_tag == LOCK_TIME_TAG;
        tagged.then_some(u64::from_be_bytes([0, 0, a, b, c, d, e, f]) ^ self.0)
    }
}
