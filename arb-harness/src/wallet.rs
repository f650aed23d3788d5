//! The wallet as the court needs it: scripts to sweep to, and confirmed coins that pay fees.

use arb_core::sweep::WALLET_INPUT_WEIGHT;
use arb_core::{ActionId, FeeInput};
use bitcoin::{OutPoint, ScriptBuf};

/// Largest weight of a P2WPKH input, in weight units: base, item count, signature and key with their lengths.
pub const P2WPKH_INPUT_WEIGHT: u64 = WALLET_INPUT_WEIGHT;

/// Coins that a wallet offers for one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Confirmed P2WPKH coins, one or several.
    pub inputs: Vec<FeeInput>,
    /// The script of the change output.
    pub change: ScriptBuf,
}

/// All free coins together are worth too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the free coins are worth {missing_sat} sat too little")]
pub struct Missing {
    /// How much more they would need to be worth, in satoshi.
    pub missing_sat: u64,
}

/// The embedder's wallet, as far as the court needs it.
pub trait Wallet {
    /// A script for this request's sweeps; the same request gets the same script.
    fn fresh_script(&mut self, request: ActionId) -> ScriptBuf;

    /// Reserves confirmed coins for `owner` that are together worth `amount_sat` after paying for their own inputs at
    /// `feerate_sat_per_kw`; one coin, if one is enough. The same request gets the same coins for as long as they are enough.
    /// Coins that a transaction holds are not offered again, and neither are those in `exclude`: the network or the signer
    /// refused them a short while ago.
    ///
    /// # Errors
    /// If all free coins together are worth too little.
    fn offer(
        &mut self,
        request: ActionId,
        owner: OutPoint,
        amount_sat: u64,
        feerate_sat_per_kw: u32,
        exclude: &[OutPoint],
    ) -> Result<Offer, Missing>;

    /// Reserves these coins for `owner`, also if another claim had them: a live transaction of `owner` spends them.
    fn hold(&mut self, owner: OutPoint, coins: &[OutPoint]);

    /// Frees those of these coins that are reserved for `owner`.
    fn release(&mut self, owner: OutPoint, coins: &[OutPoint]);
}
