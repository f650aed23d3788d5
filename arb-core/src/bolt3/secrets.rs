//! Per-commitment secrets: generation from a seed and compact storage (BOLT 3, "Per-commitment Secret Requirements").
//!
//! Secret number n has the 48-bit index 2^48-1-n. A secret whose index ends in k zero bits yields all secrets whose index
//! differs from it in those k bits only, so 49 slots hold every secret ever received. Numbers must come in order.
//!
//! Tests: in this file, arb-core/tests/bolt3_appendix_d_e.rs

use crate::bolt3::number::COMMITMENT_NUMBER_MAX;
use crate::bolt3::types::Secret;
use alloc::vec::Vec;
use bitcoin::hashes::{Hash, sha256};
use serde::{Deserialize, Serialize};

/// Bits in an index; also the number of the slot that only index 0 fills.
const INDEX_BITS: u32 = 48;

/// Why a secret was not stored. The store is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// There is no commitment with such a number.
    #[error("commitment number {0} needs more than 48 bits")]
    NumberOutOfRange(u64),
    /// The secret and the one in `slot` cannot come from one seed: the peer lied, now or earlier.
    #[error("the secret contradicts the one stored in slot {slot}")]
    Contradiction {
        /// The slot (0..=48) that holds the earlier secret.
        slot: u8,
    },
    /// A number was left out or is older than everything stored, so storing it could lose another secret.
    #[error("the next secret is number {expected}, not {number}")]
    OutOfOrder {
        /// The number that was offered.
        number: u64,
        /// The only number that can follow.
        expected: u64,
    },
}

/// All revealed secrets of one peer, in at most 49 entries.
///
/// Decoding refuses entries that no sequence of insertions leaves behind in this form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "Vec<Entry>", try_from = "Vec<Entry>")]
pub struct SecretStore {
    /// In ascending order of slot; at most one per slot.
    entries: Vec<Entry>,
}

/// One filled slot. The slot's number follows from the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Entry {
    index: u64,
    secret: Secret,
}

impl SecretStore {
    /// Stores the secret of commitment `number`.
    ///
    /// The first number is free; after it they come one by one. A number that is already known is compared, not stored.
    pub fn insert(&mut self, number: u64, secret: Secret) -> Result<(), SecretError> {
        let index = index_of(number).ok_or(SecretError::NumberOutOfRange(number))?;
        if let Some((entry, known)) = self.find(index) {
            return if known == secret { Ok(()) } else { Err(SecretError::Contradiction { slot: entry.slot() }) };
        }
        if let Some(expected) = self.newest_number().map(|newest| newest.saturating_add(1)) {
            if number != expected {
                return Err(SecretError::OutOfOrder { number, expected });
            }
        }
        let new = Entry { index, secret };
        let slot = new.slot();
        for entry in self.entries.iter().filter(|entry| entry.slot() < slot) {
            if new.derive(entry.index) != Some(entry.secret) {
                return Err(SecretError::Contradiction { slot: entry.slot() });
            }
        }
        match self.entries.binary_search_by_key(&slot, Entry::slot) {
            Ok(at) => {
                if let Some(entry) = self.entries.get_mut(at) {
                    *entry = new;
                }
            }
            Err(at) => self.entries.insert(at, new),
        }
        Ok(())
    }

    /// The secret of commitment `number`, if it was inserted or follows from one that was.
    pub fn get(&self, number: u64) -> Option<Secret> {
        self.find(index_of(number)?).map(|(_, secret)| secret)
    }

    /// How many slots are filled (at most 49); not the number of secrets that can be derived.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no secret was ever inserted.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The highest commitment number whose secret is known.
    pub fn newest_number(&self) -> Option<u64> {
        let lowest = self.entries.iter().map(|entry| entry.index).min()?;
        COMMITMENT_NUMBER_MAX.checked_sub(lowest)
    }

    /// The entry that yields the secret at `index`, and that secret.
    fn find(&self, index: u64) -> Option<(&Entry, Secret)> {
        self.entries.iter().find_map(|entry| Some((entry, entry.derive(index)?)))
    }
}

impl Entry {
    /// Trailing zero bits of the index, at most 48.
    fn slot(&self) -> u8 {
        u8::try_from(self.index.trailing_zeros().min(INDEX_BITS)).unwrap_or(u8::MAX)
    }

    /// The secret at `index`, if this entry covers it.
    fn derive(&self, index: u64) -> Option<Secret> {
        let slot = u32::from(self.slot());
        let low_bits = 1u64.checked_shl(slot)?.checked_sub(1)?;
        (index & !low_bits == self.index).then(|| walk(self.secret.0, slot, index))
    }
}

impl From<SecretStore> for Vec<Entry> {
    fn from(store: SecretStore) -> Self {
        store.entries
    }
}

impl TryFrom<Vec<Entry>> for SecretStore {
    type Error = &'static str;

    fn try_from(entries: Vec<Entry>) -> Result<Self, Self::Error> {
        let in_range = entries.iter().all(|entry| entry.index <= COMMITMENT_NUMBER_MAX);
        let ascending = entries.iter().zip(entries.iter().skip(1)).all(|(low, high)| low.slot() < high.slot());
        if in_range && ascending {
            Ok(Self { entries })
        } else {
            Err("entries are not one per slot in ascending order")
        }
    }
}

/// The secret of commitment `number` (taken modulo 2^48) of the side that owns `seed`.
pub fn commitment_secret(seed: &[u8; 32], number: u64) -> Secret {
    walk(*seed, INDEX_BITS, !number & COMMITMENT_NUMBER_MAX)
}

/// 2^48-1-number.
fn index_of(number: u64) -> Option<u64> {
    COMMITMENT_NUMBER_MAX.checked_sub(number)
}

/// BOLT 3's `derive_secret`: for each set bit of `index` below `bits`, from the top, flips that bit and hashes.
fn walk(base: [u8; 32], bits: u32, index: u64) -> Secret {
    let mut value = base;
    for bit in (0..bits).rev() {
        if index.checked_shr(bit).is_some_and(|shifted| shifted & 1 == 1) {
            flip(&mut value, bit);
            value = sha256::Hash::hash(&value).to_byte_array();
        }
    }
    Secret(value)
}

/// Flips bit `bit % 8` of byte `bit / 8`.
fn flip(value: &mut [u8; 32], bit: u32) {
    let place = usize::try_from(bit >> 3).ok().and_then(|byte| value.get_mut(byte));
    if let (Some(byte), Some(mask)) = (place, 1u8.checked_shl(bit & 7)) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_refuses_entries_that_insertion_never_leaves() {
        let entry = |index| Entry { index, secret: Secret([1; 32]) };
        let decodes = |entries: &[Entry]| {
            let bytes = postcard::to_allocvec(entries).unwrap();
            postcard::from_bytes::<SecretStore>(&bytes).is_ok()
        };
        assert!(decodes(&[]));
        assert!(decodes(&[entry(1), entry(2), entry(0)]));
        assert!(!decodes(&[entry(2), entry(1)]), "slots out of order");
        assert!(!decodes(&[entry(1), entry(3)]), "two entries for slot 0");
        assert!(!decodes(&[entry(COMMITMENT_NUMBER_MAX + 1)]), "more than 48 bits");
    }
}
