//! The rules for a transaction, as pure functions: consensus without scripts, and standardness.
//!
//! The caller supplies the coins and the height of the block that the transaction would be in. Median time past is taken to
//! be far in the future: every time-based lock, absolute or relative, has passed. Not modelled: sigop counts, coinbase
//! maturity (there is no coinbase), and the topology rules of version 3 (TRUC).

use std::collections::BTreeSet;

use bitcoin::absolute::LockTime;
use bitcoin::relative::LockTime as RelativeLock;
use bitcoin::{OutPoint, Sequence, Transaction, TxOut};

use super::Coin;
use super::reject::Reject;

/// The heaviest transaction that the mempool accepts (weight units).
pub(super) const MAX_STANDARD_WEIGHT: u64 = 400_000;

/// What a valid transaction spends and pays.
#[derive(Debug)]
pub(super) struct Spend {
    /// Inputs less outputs, in satoshi.
    pub(super) fee: u64,
    /// The outputs spent, in the order of the inputs.
    pub(super) prevouts: Vec<TxOut>,
}

/// Checks everything in consensus except scripts, for a block at `next_height`.
pub(super) fn consensus(
    tx: &Transaction,
    next_height: u32,
    coin: impl Fn(&OutPoint) -> Result<Coin, Reject>,
) -> Result<Spend, Reject> {
    shape(tx)?;
    let coins = tx.input.iter().map(|input| coin(&input.previous_output)).collect::<Result<Vec<_>, _>>()?;
    let value_in = sum(coins.iter().map(|coin| coin.txout.value.to_sat()));
    let value_out = sum(tx.output.iter().map(|output| output.value.to_sat()));
    let fee = value_in.checked_sub(value_out).ok_or(Reject::OutputsExceedInputs { value_in, value_out })?;
    absolute_lock(tx, next_height)?;
    relative_locks(tx, &coins, next_height)?;
    Ok(Spend { fee, prevouts: coins.into_iter().map(|coin| coin.txout).collect() })
}

/// Checks what needs no coins: there are inputs and outputs, no input is there twice, and it is not a coinbase.
fn shape(tx: &Transaction) -> Result<(), Reject> {
    if tx.input.is_empty() || tx.output.is_empty() {
        return Err(Reject::Empty { inputs: tx.input.len(), outputs: tx.output.len() });
    }
    let mut seen = BTreeSet::new();
    for input in &tx.input {
        let outpoint = input.previous_output;
        if outpoint.is_null() {
            return Err(Reject::Coinbase);
        }
        if !seen.insert(outpoint) {
            return Err(Reject::DuplicateInput { outpoint });
        }
    }
    Ok(())
}

/// nLockTime: a height must be below the next height; a time has always passed; final sequences disable the lock.
fn absolute_lock(tx: &Transaction, next_height: u32) -> Result<(), Reject> {
    let disabled = tx.input.iter().all(|input| input.sequence == Sequence::MAX);
    match tx.lock_time {
        LockTime::Blocks(height) if !disabled && height.to_consensus_u32() >= next_height => {
            Err(Reject::NonFinal { lock_time: height.to_consensus_u32(), next_height })
        }
        LockTime::Blocks(_) | LockTime::Seconds(_) => Ok(()),
    }
}

/// BIP 68: a coin confirmed at `h` and locked for `n` blocks may be spent in block `h + n`, not before.
fn relative_locks(tx: &Transaction, coins: &[Coin], next_height: u32) -> Result<(), Reject> {
    if (0..2).contains(&tx.version.0) {
        return Ok(());
    }
    for (input, (txin, coin)) in tx.input.iter().zip(coins).enumerate() {
        match txin.sequence.to_relative_lock_time() {
            Some(RelativeLock::Blocks(blocks)) if blocks.value() > 0 => {
                let spendable_at = coin.height.saturating_add(u32::from(blocks.value()));
                if spendable_at > next_height {
                    return Err(Reject::NonBip68Final { input, spendable_at, next_height });
                }
            }
            Some(RelativeLock::Blocks(_) | RelativeLock::Time(_)) | None => {}
        }
    }
    Ok(())
}

/// Checks version and weight, which no package can cure.
pub(super) fn standard_form(tx: &Transaction) -> Result<(), Reject> {
    if !(1..=3).contains(&tx.version.0) {
        return Err(Reject::Version { got: tx.version.0 });
    }
    let weight = tx.weight().to_wu();
    if weight > MAX_STANDARD_WEIGHT {
        return Err(Reject::TooHeavy { weight, limit: MAX_STANDARD_WEIGHT });
    }
    Ok(())
}

/// The outputs that are dust at 3 sat/vB, as Core counts it (a pay-to-anchor output below 240 sat).
pub(super) fn dust(tx: &Transaction) -> impl Iterator<Item = (usize, Reject)> + '_ {
    tx.output.iter().enumerate().filter_map(|(output, txout)| {
        let (value, minimum) = (txout.value.to_sat(), txout.script_pubkey.minimal_non_dust().to_sat());
        (value < minimum).then_some((output, Reject::Dust { output, value, minimum }))
    })
}

/// Virtual bytes of a weight. Signature operations, which can raise them, are not modelled.
pub(super) fn vsize(weight: u64) -> u64 {
    weight.div_ceil(4)
}

/// The fee of a size at a feerate per thousand virtual bytes, rounded up (sat).
pub(super) fn fee_at(sat_per_kvb: u64, vsize: u64) -> u64 {
    vsize.saturating_mul(sat_per_kvb).div_ceil(1000)
}

/// A feerate as Core compares it: satoshi per thousand virtual bytes, rounded down. Zero for a size of zero.
pub(super) fn feerate(fee: u64, vsize: u64) -> u64 {
    fee.saturating_mul(1000).checked_div(vsize).unwrap_or(0)
}

/// A saturating sum. A saturated sum exceeds every real amount, so the caller refuses it.
pub(super) fn sum(values: impl Iterator<Item = u64>) -> u64 {
    values.fold(0, u64::saturating_add)
}
