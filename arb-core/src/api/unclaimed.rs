//! What a spend of an output of ours needs, except a private key of ours: the key by its role, and the scripts.
//!
//! Tests: arb-harness/lab/tests/sweeper_suite/waiting.rs

use crate::bolt3::{Point, Secret};
use bitcoin::{OutPoint, ScriptBuf};
use serde::{Deserialize, Serialize};

/// A key by its role: basepoint and tweak (BOLT 3, Key Derivation). None holds a private key of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SigningKey {
    /// Our funding key of this funding output.
    Funding(OutPoint),
    /// Our payment basepoint, untweaked.
    Payment,
    /// Our HTLC basepoint, tweaked with this per-commitment point.
    Htlc(Point),
    /// Our delayed payment basepoint, tweaked with this per-commitment point.
    DelayedPayment(Point),
    /// Our revocation basepoint, blinded with the per-commitment secret that the counterparty revealed when it revoked the
    /// commitment (BOLT 3 `revocationprivkey`).
    Revocation(Secret),
    /// The wallet's key of this coin.
    Wallet(OutPoint),
}

/// An unspent output that is ours to claim, with what its spend needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub struct UnclaimedOutput {
    pub outpoint: OutPoint,
    pub amount_sat: u64,
    pub script_pubkey: ScriptBuf,
    /// `None` if the output is P2WPKH.
    pub witness_script: Option<ScriptBuf>,
    /// The key of ours that the script asks for.
    pub key: SigningKey,
}
