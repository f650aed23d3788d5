//! What a commitment and its second-level transactions are both made of.
//!
//! Tests: arb-core/tests/bolt3_incidents.rs

use crate::bolt3::keys::KeyError;
use crate::bolt3::types::PaymentHash;
use serde::{Deserialize, Serialize};

/// Expiries from here on are times, not heights (BIP 65, BOLT 2 `update_add_htlc`).
pub const HTLC_EXPIRY_LIMIT: u32 = 500_000_000;

/// Why no commitment or second-level transaction follows from the terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitmentError {
    /// A basepoint, funding key or per-commitment point is not on the curve.
    #[error("a key of the channel is invalid: {0}")]
    Key(#[from] KeyError),
    /// A delay of zero would leave no time for a penalty.
    #[error("the owner's delay is 0 blocks, expected at least 1")]
    ZeroDelay,
    /// The commitment number does not fit into 48 bits.
    #[error("commitment number {0} has more than 48 bits")]
    NumberOutOfRange(u64),
    /// An HTLC's expiry is a time, not a block height.
    #[error("expiry {cltv_expiry} is a time, expected a height below 500,000,000")]
    ExpiryNotAHeight {
        /// The expiry as agreed.
        cltv_expiry: u32,
    },
    /// Balances and HTLCs are worth more than the funding output, or overflow.
    #[error("balances and HTLCs exceed the funding output")]
    BalancesExceedFunding,
    /// The outputs are worth more than the funding output: the opener does not have what its anchors cost.
    #[error("the outputs exceed the funding output")]
    OutputsExceedFunding,
    /// The second-level fee exceeds the HTLC; such an HTLC is trimmed and has no second level.
    #[error("the second-level fee of {fee_sat} sat exceeds the HTLC")]
    FeeAboveAmount {
        /// The fee in satoshi.
        fee_sat: u64,
    },
    /// There are more outputs than a transaction can number.
    #[error("the commitment has more outputs than a transaction can number")]
    TooManyOutputs,
}

/// One HTLC as a commitment transaction sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CommitmentHtlc {
    /// Whether the owner of the commitment offered it (else the owner received it).
    pub offered_by_owner: bool,
    /// Amount in millisatoshi.
    pub amount_msat: u64,
    /// The hash that the preimage must match.
    pub payment_hash: PaymentHash,
    /// The height from which on the side that offered it can take it back.
    pub cltv_expiry: u32,
}

impl CommitmentHtlc {
    /// The amount in whole satoshi, rounded down.
    pub fn amount_sat(&self) -> u64 {
        whole_sat(self.amount_msat)
    }
}

/// Millisatoshi as whole satoshi, rounded down (BOLT 3, "Commitment Transaction Construction").
pub(super) fn whole_sat(msat: u64) -> u64 {
    msat.checked_div(1000).unwrap_or(0)
}
