//! The wallet as the court's driver needs it: a script to sweep to, and confirmed coins that pay a fee.

use arb_core::bolt3::{INPUT_BASE_WEIGHT, SIGNATURE_SIZE_MAX};
use arb_core::{ActionId, FeeInput};
use bitcoin::{OutPoint, ScriptBuf};

/// Largest weight of a P2WPKH input: base, item count, signature and key with their lengths.
pub const P2WPKH_INPUT_WEIGHT: u64 = INPUT_BASE_WEIGHT + 1 + (1 + SIGNATURE_SIZE_MAX) + (1 + 33);

/// What a wallet offers for one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The coins.
    pub inputs: Vec<FeeInput>,
    /// Where change goes.
    pub change: ScriptBuf,
}

/// All free coins together are not worth enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the free coins are {missing_sat} sat too small")]
pub struct Missing {
    /// How much more they would have to be worth.
    pub missing_sat: u64,
}

/// The embedder's wallet, as far as the court needs one.
pub trait Wallet {
    /// A script for this request's sweeps; the same request gets the same script.
    fn fresh_script(&mut self, request: ActionId) -> ScriptBuf;

    /// Reserves confirmed coins for `owner` that are worth `amount_sat` after paying for their own inputs: one, if one will
    /// do. The same request gets the same coins for as long as they will do; coins that a transaction holds are not
    /// offered again.
    fn offer(
        &mut self,
        request: ActionId,
        owner: OutPoint,
        amount_sat: u64,
        feerate_sat_per_kw: u32,
    ) -> Result<Offer, Missing>;

    /// Reserves these coins for `owner`, whoever had them: a live transaction spends them.
    fn hold(&mut self, owner: OutPoint, coins: &[OutPoint]);

    /// Frees those of these coins that `owner` has.
    fn release(&mut self, owner: OutPoint, coins: &[OutPoint]);
}
