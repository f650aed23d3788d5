//! HTLCs of the claimant's own commitments in one transaction, of one channel or of several.
//!
//! The other side's signature (`SINGLE|ANYONECANPAY`) ties an HTLC's input to the output of the same number and to the lock
//! time, and leaves everything else free. Here a coin and a payment without relation to the channels come first, so the
//! HTLCs' pairs begin at number 1: code that expects them at 0 reads the wrong outputs.

use arb_core::bolt3::Preimage;
use arb_harness::keys::WalletKeys;
use arb_harness::wallet::{Offer, P2WPKH_INPUT_WEIGHT};
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxOut};

use super::claims::{Claimant, attach, coin_witness, input};
use crate::fixture::{FixtureError, SecondLevel};

/// The value of the payment in front (sat).
pub const ASIDE_SAT: u64 = 1_000;
/// Weight of a P2WPKH output.
const P2WPKH_OUTPUT_WEIGHT: u64 = 31 * 4;
/// The least value of a P2WPKH output that is not dust (sat).
const P2WPKH_DUST_SAT: u64 = 294;

/// One HTLC to claim, and how.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// The claimant and the commitment.
    pub claimant: Claimant<'a>,
    /// The HTLC's position in the commitment's list.
    pub index: usize,
    /// The preimage; `None` to claim after the expiry.
    pub preimage: Option<Preimage>,
}

impl Piece<'_> {
    /// The absolute lock that the other side's signature covers: only HTLCs with equal ones can share a transaction.
    pub fn lock_time(&self) -> Result<u32, FixtureError> {
        Ok(self.level()?.tx.lock_time.to_consensus_u32())
    }

    /// The outpoint of the HTLC.
    pub fn outpoint(&self) -> Result<OutPoint, FixtureError> {
        Ok(self.claimant.commitment.htlc_output(self.index)?.0)
    }

    fn level(&self) -> Result<SecondLevel, FixtureError> {
        self.claimant.fixture.second_level(self.claimant.commitment, self.index)
    }
}

/// The value that the coins must have, after paying for their own inputs, to carry these HTLCs (sat).
pub fn aggregate_needs(pieces: &[Piece<'_>]) -> Result<u64, FixtureError> {
    let change_sat = P2WPKH_DUST_SAT.saturating_add(ASIDE_SAT);
    Ok(fee_sat(pieces, 0)?.saturating_add(change_sat))
}

/// The signed transaction: coin and payment in front, then the HTLCs, then further coins, and change last. All pieces must
/// have one lock time.
pub fn aggregate(
    pieces: &[Piece<'_>],
    offer: &Offer,
    aside: ScriptBuf,
    keys: &WalletKeys,
) -> Result<Transaction, FixtureError> {
    let levels = pieces.iter().map(Piece::level).collect::<Result<Vec<_>, _>>()?;
    let coin = |coin: &arb_core::FeeInput| input(coin.outpoint, Sequence::ENABLE_RBF_NO_LOCKTIME);
    let (first, further) = offer.inputs.split_at(offer.inputs.len().min(1));
    let coins_sat = offer.inputs.iter().fold(0_u64, |sum, coin| sum.saturating_add(coin.value_sat));
    let spent_sat = fee_sat(pieces, offer.inputs.len())?.saturating_add(ASIDE_SAT);
    let change =
        TxOut { value: Amount::from_sat(coins_sat.saturating_sub(spent_sat)), script_pubkey: offer.change.clone() };
    let in_front = TxOut { value: Amount::from_sat(ASIDE_SAT), script_pubkey: aside };
    let paired = levels.iter().flat_map(|level| level.tx.output.iter().cloned());
    let claimed = levels.iter().flat_map(|level| level.tx.input.iter().cloned());
    let lock_time = levels.first().map_or(bitcoin::absolute::LockTime::ZERO, |level| level.tx.lock_time);
    let unsigned = Transaction {
        version: Version::TWO,
        lock_time,
        input: first.iter().map(coin).chain(claimed).chain(further.iter().map(coin)).collect(),
        output: [in_front].into_iter().chain(paired).chain([change]).collect(),
    };
    let mut tx = unsigned.clone();
    for (place, (piece, level)) in (first.len()..).zip(pieces.iter().zip(&levels)) {
        attach(&mut tx, place, piece.claimant.second_level_witness(&unsigned, place, level, piece.preimage)?);
    }
    let places = (0..first.len()).chain(first.len().saturating_add(pieces.len())..);
    for (place, coin) in places.zip(first.iter().chain(further)) {
        attach(&mut tx, place, coin_witness(&unsigned, place, coin, keys)?);
    }
    Ok(tx)
}

/// The fee at the feerate of the first piece's claimant (sat).
fn fee_sat(pieces: &[Piece<'_>], coins: usize) -> Result<u64, FixtureError> {
    // Version, lock time, marker, flag, and counts of up to three bytes.
    let mut weight = 4 * (4 + 4 + 3 + 3) + 2 + 2 * P2WPKH_OUTPUT_WEIGHT;
    weight += u64::try_from(coins).unwrap_or(u64::MAX).saturating_mul(P2WPKH_INPUT_WEIGHT);
    for piece in pieces {
        let level = piece.level()?;
        let alone = level.tx.weight().to_wu();
        weight += alone + piece.claimant.second_level_witness_weight(&level.script, piece.index);
    }
    Ok(pieces.first().map_or(0, |piece| piece.claimant.fee_at_rate(weight)))
}
