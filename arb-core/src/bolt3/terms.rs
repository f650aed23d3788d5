//! What a commitment and its second-level transactions are both made of.

use serde::{Deserialize, Serialize};

use super::keys::KeyError;
use super::types::PaymentHash;

/// Expiries from here on are read as times, not as heights (BIP 65, BOLT 2 `update_add_htlc`).
pub const HTLC_EXPIRY_LIMIT: u32 = 500_000_000;

/// Why no commitment or second-level transaction follows from the terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitmentError {
    /// A basepoint, funding key or per-commitment point is no key.
    #[error("a key of the channel is not usable: {0}")]
    Key(#[from] KeyError),
    /// A delay of zero would make the penalty a race.
    #[error("the owner's delay is zero")]
    ZeroDelay,
    /// The commitment number does not fit into 48 bits.
    #[error("commitment number {0} needs more than 48 bits")]
    NumberOutOfRange(u64),
    /// An HTLC's expiry is a time, not a block height.
    #[error("expiry {cltv_expiry} is not a block height")]
    ExpiryNotAHeight {
        /// The expiry as agreed.
        cltv_expiry: u32,
    },
    /// Balances and HTLCs together are more than the channel holds (or overflow).
    #[error("balances and HTLCs exceed the funding output")]
    BalancesExceedFunding,
    /// The outputs would create money: the opener cannot pay for the anchors.
    #[error("the outputs exceed the funding output")]
    OutputsExceedFunding,
    /// The second-level fee is more than the HTLC; such an HTLC is trimmed and has no second level.
    #[error("the second-level fee of {fee_sat} sat exceeds the HTLC")]
    FeeAboveAmount {
        /// The fee in satoshis.
        fee_sat: u64,
    },
    /// More outputs than a transaction can number.
    #[error("too many outputs")]
    TooManyOutputs,
}

/// One HTLC as a commitment transaction sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CommitmentHtlc {
    /// Whether the owner of the commitment offered it (else the owner received it).
    pub offered_by_owner: bool,
    /// Amount in millisatoshis.
    pub amount_msat: u64,
    /// Hash that the preimage must match.
    pub payment_hash: PaymentHash,
    /// Height from which on it can be taken back.
    pub cltv_expiry: u32,
}

impl CommitmentHtlc {
    /// The amount in whole satoshis, rounded down.
    #[must_use]
    pub fn amount_sat(&self) -> u64 {
        whole_sat(self.amount_msat)
    }
}

/// Millisatoshis as whole satoshis, rounded down (BOLT 3, "Commitment Transaction Construction").
pub(super) fn whole_sat(msat: u64) -> u64 {
    msat.checked_div(1000).unwrap_or(0)
}
