//! The witness scripts of BOLT 3, "Transaction Outputs", as functions of their keys and numbers.
//!
//! Each function is total: what it is given goes into the script. Whether a delay or an expiry makes sense is the caller's
//! question (`CommitmentTerms::build` asks it).
//!
//! Tests: arb-core/tests/bolt3_appendix_c_f.rs, arb-core/tests/bolt3_interpreter.rs

use crate::bolt3::types::{ChannelType, PaymentHash, Point};
use bitcoin::opcodes::all as op;
use bitcoin::script::{Builder, ScriptBuf};
use bitcoin::{WPubkeyHash, hashes::Hash};

/// Value of a keyed anchor output, in satoshis (BOLT 3, "to_local_anchor and to_remote_anchor Output").
pub const ANCHOR_SAT: u64 = 330;

/// The 2-of-2 of the funding output; the keys go in lexicographic order whatever the order of the arguments.
pub fn funding_redeem_script(one: &Point, two: &Point) -> ScriptBuf {
    let (first, second) = if one <= two { (one, two) } else { (two, one) };
    Builder::new()
        .push_int(2)
        .push_slice(first.0)
        .push_slice(second.0)
        .push_int(2)
        .push_opcode(op::OP_CHECKMULTISIG)
        .into_script()
}

/// The owner's delayed output: `to_local`, and the single output of every second-level transaction.
pub fn delayed_script(revocation: &Point, delay_blocks: u16, owner_delayed: &Point) -> ScriptBuf {
    Builder::new()
        .push_opcode(op::OP_IF)
        .push_slice(revocation.0)
        .push_opcode(op::OP_ELSE)
        .push_int(i64::from(delay_blocks))
        .push_opcode(op::OP_CSV)
        .push_opcode(op::OP_DROP)
        .push_slice(owner_delayed.0)
        .push_opcode(op::OP_ENDIF)
        .push_opcode(op::OP_CHECKSIG)
        .into_script()
}

/// The witness script of `to_remote`, or `None` where that output is a plain P2WPKH.
pub fn to_remote_script(channel_type: ChannelType, other_payment: &Point) -> Option<ScriptBuf> {
    match channel_type {
        ChannelType::StaticRemotekey => None,
        ChannelType::AnchorsZeroFeeHtlcTx => Some(
            Builder::new()
                .push_slice(other_payment.0)
                .push_opcode(op::OP_CHECKSIGVERIFY)
                .push_int(1)
                .push_opcode(op::OP_CSV)
                .into_script(),
        ),
    }
}

/// The scriptPubKey of `to_remote`: P2WPKH without anchors, P2WSH with them.
pub fn to_remote_script_pubkey(channel_type: ChannelType, other_payment: &Point) -> ScriptBuf {
    to_remote_script(channel_type, other_payment).map_or_else(|| p2wpkh(other_payment), |script| script.to_p2wsh())
}

/// A keyed anchor: the funding key at once, anybody after sixteen blocks.
pub fn anchor_script(funding: &Point) -> ScriptBuf {
    Builder::new()
        .push_slice(funding.0)
        .push_opcode(op::OP_CHECKSIG)
        .push_opcode(op::OP_IFDUP)
        .push_opcode(op::OP_NOTIF)
        .push_int(16)
        .push_opcode(op::OP_CSV)
        .push_opcode(op::OP_ENDIF)
        .into_script()
}

/// An HTLC that the commitment's owner offered: the other side takes it with the preimage.
pub fn offered_htlc_script(
    channel_type: ChannelType,
    revocation: &Point,
    other_htlc: &Point,
    owner_htlc: &Point,
    payment_hash: &PaymentHash,
) -> ScriptBuf {
    let script = htlc_head(revocation, other_htlc)
        .push_opcode(op::OP_NOTIF)
        .push_opcode(op::OP_DROP)
        .push_int(2)
        .push_opcode(op::OP_SWAP)
        .push_slice(owner_htlc.0)
        .push_int(2)
        .push_opcode(op::OP_CHECKMULTISIG)
        .push_opcode(op::OP_ELSE)
        .push_opcode(op::OP_HASH160)
        .push_slice(payment_hash.script_hash())
        .push_opcode(op::OP_EQUALVERIFY)
        .push_opcode(op::OP_CHECKSIG);
    htlc_tail(channel_type, script)
}

/// An HTLC that the commitment's owner received: the other side takes it back from height `cltv_expiry` on.
pub fn received_htlc_script(
    channel_type: ChannelType,
    revocation: &Point,
    other_htlc: &Point,
    owner_htlc: &Point,
    payment_hash: &PaymentHash,
    cltv_expiry: u32,
) -> ScriptBuf {
    let script = htlc_head(revocation, other_htlc)
        .push_opcode(op::OP_IF)
        .push_opcode(op::OP_HASH160)
        .push_slice(payment_hash.script_hash())
        .push_opcode(op::OP_EQUALVERIFY)
        .push_int(2)
        .push_opcode(op::OP_SWAP)
        .push_slice(owner_htlc.0)
        .push_int(2)
        .push_opcode(op::OP_CHECKMULTISIG)
        .push_opcode(op::OP_ELSE)
        .push_opcode(op::OP_DROP)
        .push_int(i64::from(cltv_expiry))
        .push_opcode(op::OP_CLTV)
        .push_opcode(op::OP_DROP)
        .push_opcode(op::OP_CHECKSIG);
    htlc_tail(channel_type, script)
}

/// P2WPKH of a key (BIP 141): what `static_remotekey` pays the other side to, and every wallet coin.
pub fn p2wpkh(key: &Point) -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array(key.hash160()))
}

/// The part that both HTLC scripts begin with: the revocation branch, then the test for a 32-byte item.
fn htlc_head(revocation: &Point, other_htlc: &Point) -> Builder {
    Builder::new()
        .push_opcode(op::OP_DUP)
        .push_opcode(op::OP_HASH160)
        .push_slice(revocation.hash160())
        .push_opcode(op::OP_EQUAL)
        .push_opcode(op::OP_IF)
        .push_opcode(op::OP_CHECKSIG)
        .push_opcode(op::OP_ELSE)
        .push_slice(other_htlc.0)
        .push_opcode(op::OP_SWAP)
        .push_opcode(op::OP_SIZE)
        .push_int(32)
        .push_opcode(op::OP_EQUAL)
}

/// Closes the inner branch, adds the one-block delay of anchor channels, and closes the outer one.
fn htlc_tail(channel_type: ChannelType, script: Builder) -> ScriptBuf {
    let script = script.push_opcode(op::OP_ENDIF);
    let script = match channel_type {
        ChannelType::StaticRemotekey => script,
        ChannelType::AnchorsZeroFeeHtlcTx => script.push_int(1).push_opcode(op::OP_CSV).push_opcode(op::OP_DROP),
    };
    script.push_opcode(op::OP_ENDIF).into_script()
}
