//! HTLC-timeout and HTLC-success transactions (BOLT 3, "HTLC-Timeout and HTLC-Success Transactions").
//!
//! They spend an HTLC output of the owner's own commitment into a delayed output, and both sides sign them. They are built
//! as the counterparty signs them; with anchors the owner adds inputs and outputs for the fee afterwards.
//!
//! Tests: arb-core/tests/bolt3_appendix_c_f.rs, arb-core/tests/bolt3_interpreter.rs

use crate::bolt3::keys::CommitmentKeys;
use crate::bolt3::scripts::{delayed_script, offered_htlc_script, received_htlc_script};
use crate::bolt3::terms::{CommitmentError, CommitmentHtlc, HTLC_EXPIRY_LIMIT};
use crate::bolt3::types::ChannelType;
use crate::bolt3::weight::{HTLC_SUCCESS_WEIGHT, HTLC_TIMEOUT_WEIGHT};
use alloc::vec;
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, EcdsaSighashType, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};

/// The unsigned second-level transaction of the HTLC at `vout`: HTLC-timeout if the owner offered it, else
/// HTLC-success.
///
/// `feerate_sat_per_kw` is the commitment's, and unused with anchors. `owner_delay_blocks` is the owner's CSV delay.
///
/// # Errors
/// If the delay is zero, the expiry is a time, or the fee exceeds the HTLC.
pub fn second_level_tx(
    channel_type: ChannelType,
    commitment_txid: Txid,
    vout: u32,
    htlc: &CommitmentHtlc,
    feerate_sat_per_kw: u32,
    keys: &CommitmentKeys,
    owner_delay_blocks: u16,
) -> Result<Transaction, CommitmentError> {
    if owner_delay_blocks == 0 {
        return Err(CommitmentError::ZeroDelay);
    }
    if htlc.cltv_expiry >= HTLC_EXPIRY_LIMIT {
        return Err(CommitmentError::ExpiryNotAHeight { cltv_expiry: htlc.cltv_expiry });
    }
    let fee_sat = second_level_fee_sat(channel_type, feerate_sat_per_kw, htlc.offered_by_owner);
    let value_sat = htlc.amount_sat().checked_sub(fee_sat).ok_or(CommitmentError::FeeAboveAmount { fee_sat })?;
    let lock_time = if htlc.offered_by_owner { htlc.cltv_expiry } else { 0 };
    // With anchors every HTLC branch but the revocation waits for one block (`1 CSV`).
    let sequence = match channel_type {
        ChannelType::StaticRemotekey => 0,
        ChannelType::AnchorsZeroFeeHtlcTx => 1,
    };
    let script = delayed_script(&keys.revocation, owner_delay_blocks, &keys.owner_delayed);
    Ok(Transaction {
        version: Version::TWO,
        lock_time: LockTime::from_consensus(lock_time),
        input: vec![TxIn {
            previous_output: OutPoint::new(commitment_txid, vout),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::from_consensus(sequence),
            witness: Witness::new(),
        }],
        output: vec![TxOut { value: Amount::from_sat(value_sat), script_pubkey: script.to_p2wsh() }],
    })
}

/// The fee of a second-level transaction in satoshi; trimming adds it to the dust limit (BOLT 3, "Trimmed Outputs").
pub fn second_level_fee_sat(channel_type: ChannelType, feerate_sat_per_kw: u32, offered_by_owner: bool) -> u64 {
    let weight: u64 = match (channel_type, offered_by_owner) {
        (ChannelType::StaticRemotekey, true) => HTLC_TIMEOUT_WEIGHT,
        (ChannelType::StaticRemotekey, false) => HTLC_SUCCESS_WEIGHT,
        (ChannelType::AnchorsZeroFeeHtlcTx, true | false) => 0,
    };
    // A 32-bit rate times a small weight cannot saturate.
    weight.saturating_mul(u64::from(feerate_sat_per_kw)).checked_div(1000).unwrap_or(0)
}

/// The sighash type of the counterparty's signature on a second-level transaction.
///
/// With anchors it covers only its own input and output, so the owner can add inputs that pay the fee (BOLT 5 H2).
pub fn counterparty_sighash_type(channel_type: ChannelType) -> EcdsaSighashType {
    match channel_type {
        ChannelType::StaticRemotekey => EcdsaSighashType::All,
        ChannelType::AnchorsZeroFeeHtlcTx => EcdsaSighashType::SinglePlusAnyoneCanPay,
    }
}

/// The witness script of an HTLC's output on the commitment with these keys.
pub fn htlc_script(channel_type: ChannelType, htlc: &CommitmentHtlc, keys: &CommitmentKeys) -> ScriptBuf {
    let CommitmentHtlc { offered_by_owner, amount_msat: _, payment_hash, cltv_expiry } = htlc;
    let CommitmentKeys { revocation, other_htlc, owner_htlc, .. } = keys;
    if *offered_by_owner {
        offered_htlc_script(channel_type, revocation, other_htlc, owner_htlc, payment_hash)
    } else {
        received_htlc_script(channel_type, revocation, other_htlc, owner_htlc, payment_hash, *cltv_expiry)
    }
}
