//! Witness weights of claims, for fees that are set before anything is signed.
//!
//! Bounds from above: a signature counts 73 bytes as in BOLT 3's "Expected Weights", although a low s never needs more
//! than 72. BOLT 5's own penalty numbers assume other script sizes and are not used.

use super::types::ChannelType;

/// Longest signature item: DER with a high s, and the sighash byte.
pub const SIGNATURE_SIZE_MAX: u64 = 73;

/// Weight of an input apart from its witness: outpoint, empty scriptSig and sequence.
pub const INPUT_BASE_WEIGHT: u64 = 164;

/// A way to spend an output of a commitment or second-level transaction (BOLT 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClaimKind {
    /// The owner spends `to_local` after its delay.
    ToLocalDelayed,
    /// The punisher spends a revoked `to_local`.
    ToLocalPenalty,
    /// The owner spends a second-level output after its delay.
    SecondLevelDelayed,
    /// The punisher spends the output of a revoked commitment's second-level transaction.
    SecondLevelPenalty,
    /// The other side spends `to_remote`.
    ToRemote,
    /// A side spends its own anchor.
    AnchorByKey,
    /// Anybody spends an anchor after sixteen blocks.
    AnchorByAnyone,
    /// HTLC-timeout transaction's spend of an offered HTLC.
    HtlcTimeout,
    /// HTLC-success transaction's spend of a received HTLC.
    HtlcSuccess,
    /// The other side spends an offered HTLC with the preimage.
    DirectPreimage,
    /// The other side spends a received HTLC after its expiry.
    DirectTimeout,
    /// The punisher spends an offered HTLC.
    OfferedPenalty,
    /// The punisher spends a received HTLC.
    ReceivedPenalty,
}

impl ClaimKind {
    /// Every kind, in declaration order.
    pub const ALL: [Self; 13] = [
        Self::ToLocalDelayed,
        Self::ToLocalPenalty,
        Self::SecondLevelDelayed,
        Self::SecondLevelPenalty,
        Self::ToRemote,
        Self::AnchorByKey,
        Self::AnchorByAnyone,
        Self::HtlcTimeout,
        Self::HtlcSuccess,
        Self::DirectPreimage,
        Self::DirectTimeout,
        Self::OfferedPenalty,
        Self::ReceivedPenalty,
    ];
}

/// Length of the longest witness script of this kind in bytes: delays up to 65535, expiries up to 499,999,999.
///
/// `None` if the output has no witness script (`to_remote` without anchors) or does not exist (anchors without anchors).
#[must_use]
pub fn widest_script_len(kind: ClaimKind, channel_type: ChannelType) -> Option<u64> {
    let (csv_suffix, anchors) = match channel_type {
        ChannelType::StaticRemotekey => (0u64, false),
        ChannelType::AnchorsZeroFeeHtlcTx => (3u64, true),
    };
    match kind {
        ClaimKind::ToLocalDelayed
        | ClaimKind::ToLocalPenalty
        | ClaimKind::SecondLevelDelayed
        | ClaimKind::SecondLevelPenalty => Some(78),
        ClaimKind::ToRemote => anchors.then_some(37),
        ClaimKind::AnchorByKey | ClaimKind::AnchorByAnyone => anchors.then_some(40),
        ClaimKind::HtlcTimeout | ClaimKind::DirectPreimage | ClaimKind::OfferedPenalty => {
            Some(csv_suffix.saturating_add(133))
        }
        ClaimKind::HtlcSuccess | ClaimKind::DirectTimeout | ClaimKind::ReceivedPenalty => {
            Some(csv_suffix.saturating_add(140))
        }
    }
}

/// Largest weight of this claim's witness, its item count included.
///
/// `script_len` is the witness script's length in bytes (`None` takes [`widest_script_len`]). A P2WPKH `to_remote` ignores
/// it.
#[must_use]
pub fn claim_witness_weight(kind: ClaimKind, channel_type: ChannelType, script_len: Option<u64>) -> u64 {
    /// A signature with its length byte.
    const SIG: u64 = SIGNATURE_SIZE_MAX.saturating_add(1);
    /// An empty item: only the length byte.
    const EMPTY: u64 = 1;
    let items: &[u64] = match kind {
        ClaimKind::ToLocalDelayed | ClaimKind::SecondLevelDelayed | ClaimKind::DirectTimeout => &[SIG, EMPTY],
        ClaimKind::ToLocalPenalty | ClaimKind::SecondLevelPenalty => &[SIG, 2],
        ClaimKind::ToRemote => match channel_type {
            ChannelType::StaticRemotekey => &[SIG, 34],
            ChannelType::AnchorsZeroFeeHtlcTx => &[SIG],
        },
        ClaimKind::AnchorByKey => &[SIG],
        ClaimKind::AnchorByAnyone => &[EMPTY],
        ClaimKind::HtlcTimeout => &[EMPTY, SIG, SIG, EMPTY],
        ClaimKind::HtlcSuccess => &[EMPTY, SIG, SIG, 33],
        ClaimKind::DirectPreimage => &[SIG, 33],
        ClaimKind::OfferedPenalty | ClaimKind::ReceivedPenalty => &[SIG, 34],
    };
    let p2wpkh = kind == ClaimKind::ToRemote && channel_type == ChannelType::StaticRemotekey;
    let script = if p2wpkh { None } else { script_len.or_else(|| widest_script_len(kind, channel_type)) };
    let script_item = script.map_or(0, |len| len.saturating_add(if len < 253 { 1 } else { 3 }));
    items.iter().fold(1u64, |sum, item| sum.saturating_add(*item)).saturating_add(script_item)
}
