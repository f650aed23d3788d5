//! How transactions are encoded in the log: as their consensus bytes, not field by field.
//!
//! Tests: arb-log/tests/earlier_journals.rs

use alloc::vec::Vec;
use bitcoin::Transaction;
use bitcoin::consensus::encode::{deserialize, serialize};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `#[serde(with = "wire::tx")]`: one transaction.
pub(crate) mod tx {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(tx: &Transaction, to: S) -> Result<S::Ok, S::Error> {
        super::serialize(tx).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Transaction, D::Error> {
        let bytes = Vec::<u8>::deserialize(from)?;
        super::deserialize(&bytes).map_err(D::Error::custom)
    }
}

/// `#[serde(with = "wire::txs")]`: several transactions.
pub(crate) mod txs {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(txs: &[Transaction], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(txs.iter().map(super::serialize))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Transaction>, D::Error> {
        let all = Vec::<Vec<u8>>::deserialize(from)?;
        all.iter().map(|bytes| super::deserialize(bytes).map_err(D::Error::custom)).collect()
    }
}
