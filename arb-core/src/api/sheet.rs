//! The balance sheet of a closed channel (I11).
//!
//! Tests: arb-harness/lab/tests/closes/main.rs, arb-harness/lab/tests/breach_suite/main.rs

use serde::{Deserialize, Serialize};

/// Where every satoshi of a channel went: capacity + wallet_in = the sum of all the other terms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sheet {
    /// The value of the funding output that was spent.
    pub capacity_sat: u64,
    /// What the wallet's coins added to our transactions.
    pub wallet_in_sat: u64,
    /// What our sweeps paid to the wallet.
    pub swept_sat: u64,
    /// What of the wallet's coins came back as change.
    pub wallet_change_sat: u64,
    /// Fees, trimmed HTLCs and rounded millisatoshis.
    pub fees_sat: u64,
    /// What the counterparty was entitled to.
    pub peer_sat: u64,
    /// HTLC outputs that nobody took.
    pub contested_unclaimed_sat: u64,
    /// Outputs of ours that cost more to claim than they are worth.
    pub uneconomic_sat: u64,
    /// Outputs of ours that somebody else took.
    pub lost_sat: u64,
}

impl Sheet {
    /// Whether both sides of the equation are equal.
    pub fn balances(&self) -> bool {
        let left = self.capacity_sat.checked_add(self.wallet_in_sat);
        let right = [
            self.swept_sat,
            self.wallet_change_sat,
            self.fees_sat,
            self.peer_sat,
            self.contested_unclaimed_sat,
            self.uneconomic_sat,
            self.lost_sat,
        ]
        .into_iter()
        .try_fold(0_u64, u64::checked_add);
        left.is_some() && left == right
    }
}
