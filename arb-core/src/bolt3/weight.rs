//! Witness weights of claims, for fees that are set before anything is signed.
//!
//! They are upper bounds: a signature counts 73 bytes as in BOLT 3's "Expected Weights", although one with a low s has at
//! most 72. BOLT 5's own penalty weights assume other script sizes and are not used.
//!
//! Tests: arb-core/tests/bolt3_interpreter.rs

use crate::bolt3::types::ChannelType;
use serde::{Deserialize, Serialize};

/// The longest signature item in bytes: DER with a high s, and the sighash byte.
pub const SIGNATURE_SIZE_MAX: u64 = 73;

/// Weight of an input without its witness: outpoint, empty scriptSig and sequence.
pub const INPUT_BASE_WEIGHT: u64 = 164;

/// Weight of one HTLC output of a commitment, as of any P2WSH output (BOLT 3, "Expected Weight of the Commitment
/// Transaction").
pub const HTLC_OUTPUT_WEIGHT: u64 = 172;

/// Weight of an HTLC-timeout transaction without anchors (BOLT 3, "Fee Calculation for HTLC Transactions").
pub(super) const HTLC_TIMEOUT_WEIGHT: u64 = 663;

/// Weight of an HTLC-success transaction without anchors (BOLT 3, "Fee Calculation for HTLC Transactions").
pub(super) const HTLC_SUCCESS_WEIGHT: u64 = 703;

/// Weight of a commitment without HTLCs (BOLT 3, "Fee Calculation for Commitment Transactions").
pub const fn commitment_weight(channel_type: ChannelType) -> u64 {
    match channel_type {
        ChannelType::StaticRemotekey => 724,
        ChannelType::AnchorsZeroFeeHtlcTx => 1_124,
    }
}

/// A way to spend an output of a commitment or second-level transaction (BOLT 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ClaimPath {
    /// The owner spends `to_local` after its delay.
    ToLocal,
    /// The other side spends `to_remote`.
    ToRemote,
    /// The HTLC-timeout transaction spends an HTLC that the owner offered.
    HtlcTimeout,
    /// The HTLC-success transaction spends an HTLC that the owner received.
    HtlcSuccess,
    /// The owner spends a second-level output after its delay.
    SecondLevelOutput,
    /// The other side spends an HTLC that the owner received, after its expiry.
    DirectTimeout,
    /// The other side spends an HTLC that the owner offered, with the preimage.
    DirectPreimage,
    /// A side spends its own anchor.
    Anchor,
    /// The other side spends a revoked `to_local`.
    ToLocalPenalty,
    /// The other side spends a revoked HTLC that the owner offered.
    OfferedPenalty,
    /// The other side spends a revoked HTLC that the owner received.
    ReceivedPenalty,
    /// The other side spends the output of a revoked commitment's second-level transaction.
    SecondLevelPenalty,
    /// Anybody spends an anchor after sixteen blocks.
    AnchorByAnyone,
}

impl ClaimPath {
    /// Every path, in declaration order.
    pub const ALL: [Self; 13] = [
        Self::ToLocal,
        Self::ToRemote,
        Self::HtlcTimeout,
        Self::HtlcSuccess,
        Self::SecondLevelOutput,
        Self::DirectTimeout,
        Self::DirectPreimage,
        Self::Anchor,
        Self::ToLocalPenalty,
        Self::OfferedPenalty,
        Self::ReceivedPenalty,
        Self::SecondLevelPenalty,
        Self::AnchorByAnyone,
    ];
}

/// The length of the longest witness script of this path in bytes: delays up to 65,535, expiries up to 499,999,999.
///
/// `None` if the output has no witness script (`to_remote` without anchors) or does not exist (an anchor without
/// anchors).
pub fn widest_script_len(path: ClaimPath, channel_type: ChannelType) -> Option<u64> {
    let (csv_suffix, anchors) = match channel_type {
        ChannelType::StaticRemotekey => (0u64, false),
        ChannelType::AnchorsZeroFeeHtlcTx => (3u64, true),
    };
    match path {
        ClaimPath::ToLocal
        | ClaimPath::ToLocalPenalty
        | ClaimPath::SecondLevelOutput
        | ClaimPath::SecondLevelPenalty => Some(78),
        ClaimPath::ToRemote => anchors.then_some(37),
        ClaimPath::Anchor | ClaimPath::AnchorByAnyone => anchors.then_some(40),
        ClaimPath::HtlcTimeout | ClaimPath::DirectPreimage | ClaimPath::OfferedPenalty => {
            Some(csv_suffix.saturating_add(133))
        }
        ClaimPath::HtlcSuccess | ClaimPath::DirectTimeout | ClaimPath::ReceivedPenalty => {
            Some(csv_suffix.saturating_add(140))
        }
    }
}

/// The largest weight of this claim's witness, its item count included.
///
/// `script_len` is the witness script's length in bytes (`None` takes [`widest_script_len`]). A P2WPKH `to_remote`
/// ignores it.
pub fn claim_witness_weight(path: ClaimPath, channel_type: ChannelType, script_len: Option<u64>) -> u64 {
    /// A signature with its length byte.
    const SIG: u64 = SIGNATURE_SIZE_MAX.saturating_add(1);
    /// An empty item: only the length byte.
    const EMPTY: u64 = 1;
    let items: &[u64] = match path {
        ClaimPath::ToLocal | ClaimPath::SecondLevelOutput | ClaimPath::DirectTimeout => &[SIG, EMPTY],
        ClaimPath::ToLocalPenalty | ClaimPath::SecondLevelPenalty => &[SIG, 2],
        ClaimPath::ToRemote => match channel_type {
            ChannelType::StaticRemotekey => &[SIG, 34],
            ChannelType::AnchorsZeroFeeHtlcTx => &[SIG],
        },
        ClaimPath::Anchor => &[SIG],
        ClaimPath::AnchorByAnyone => &[EMPTY],
        ClaimPath::HtlcTimeout => &[EMPTY, SIG, SIG, EMPTY],
        ClaimPath::HtlcSuccess => &[EMPTY, SIG, SIG, 33],
        ClaimPath::DirectPreimage => &[SIG, 33],
        ClaimPath::OfferedPenalty | ClaimPath::ReceivedPenalty => &[SIG, 34],
    };
    let p2wpkh = path == ClaimPath::ToRemote && !channel_type.has_anchors();
    let script = if p2wpkh { None } else { script_len.or_else(|| widest_script_len(path, channel_type)) };
    let script_item = script.map_or(0, |len| len.saturating_add(if len < 253 { 1 } else { 3 }));
    items.iter().fold(1u64, |sum, item| sum.saturating_add(*item)).saturating_add(script_item)
}
