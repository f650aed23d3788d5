//! What each path of a claim means for sweeper and signer, one row for each path. The weight of its witness is
//! [`bolt3::claim_witness_weight`](crate::bolt3::claim_witness_weight), its deadline comes from its resolver.
//!
//! | path | class | fee from | our key | deadline |
//! |---|---|---|---|---|
//! | `ToLocal`, `SecondLevelOutput` | delayed | its value | delayed payment | none |
//! | `ToRemote` | delayed | its value | payment | none |
//! | `HtlcTimeout`, `HtlcSuccess` | contested | wallet; without anchors fixed by the counterparty | HTLC | the HTLC's |
//! | `DirectTimeout`, `DirectPreimage` | contested | its value | HTLC | the HTLC's |
//! | `Anchor` | anchor | wallet | funding | those of the claims that need the commitment |
//! | `ToLocalPenalty`, `SecondLevelPenalty` | penalty-safe | its value | revocation | the last block before the delay ends |
//! | `OfferedPenalty`, `ReceivedPenalty` | penalty-raced | its value | revocation | the same for the earliest second level |
//!
//! No claim of ours uses `AnchorByAnyone`, so its values are those of `Anchor`.
//!
//! Tests: `arb-harness/lab/tests/sweeper_suite/closes.rs`, `arb-harness/lab/tests/sweeper_suite/groups.rs`.

use crate::api::facts::Side;
use crate::api::unclaimed::{SigningKey, UnclaimedOutput};
use crate::bolt3::{ChannelType, ClaimPath, CompactSig, Point, counterparty_sighash_type, derive_public_key, witness};
use crate::channel::ChannelArbitrator;
use crate::resolver::{Claim, ClaimWay, RevocationKey};
use crate::sweep::{Class, Pays};
use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::{ScriptBuf, Witness};

/// Whether the path leads through a second-level transaction of ours (BOLT 3 HTLC-timeout and HTLC-success).
pub(crate) const fn is_second_level(path: ClaimPath) -> bool {
    matches!(path, ClaimPath::HtlcTimeout | ClaimPath::HtlcSuccess)
}

/// The class of a claim: it shares a transaction only with claims of its class.
pub(crate) const fn class(path: ClaimPath) -> Class {
    match path {
        ClaimPath::ToLocal | ClaimPath::ToRemote | ClaimPath::SecondLevelOutput => Class::Delayed,
        ClaimPath::HtlcTimeout | ClaimPath::HtlcSuccess | ClaimPath::DirectTimeout | ClaimPath::DirectPreimage => {
            Class::Contested
        }
        ClaimPath::Anchor | ClaimPath::AnchorByAnyone => Class::Anchor,
        ClaimPath::ToLocalPenalty | ClaimPath::SecondLevelPenalty => Class::PenaltySafe,
        ClaimPath::OfferedPenalty | ClaimPath::ReceivedPenalty => Class::PenaltyRaced,
    }
}

/// Where the claim's fee comes from.
pub(crate) const fn pays(path: ClaimPath, channel_type: ChannelType) -> Pays {
    match (path, channel_type) {
        (ClaimPath::HtlcTimeout | ClaimPath::HtlcSuccess, ChannelType::StaticRemotekey) => Pays::Signed,
        (ClaimPath::HtlcTimeout | ClaimPath::HtlcSuccess, ChannelType::AnchorsZeroFeeHtlcTx)
        | (ClaimPath::Anchor | ClaimPath::AnchorByAnyone, _) => Pays::FromWallet,
        (
            ClaimPath::ToLocal
            | ClaimPath::ToRemote
            | ClaimPath::SecondLevelOutput
            | ClaimPath::DirectTimeout
            | ClaimPath::DirectPreimage
            | ClaimPath::ToLocalPenalty
            | ClaimPath::OfferedPenalty
            | ClaimPath::ReceivedPenalty
            | ClaimPath::SecondLevelPenalty,
            _,
        ) => Pays::FromValue,
    }
}

/// The key that the signer is asked to sign with.
pub(crate) const fn signing_key(way: &ClaimWay) -> SigningKey {
    match way {
        ClaimWay::ToLocal { point } | ClaimWay::SecondLevelOutput { point } => SigningKey::DelayedPayment(*point),
        ClaimWay::ToRemote => SigningKey::Payment,
        ClaimWay::HtlcTimeout { point, .. }
        | ClaimWay::HtlcSuccess { point, .. }
        | ClaimWay::DirectTimeout { point, .. }
        | ClaimWay::DirectPreimage { point, .. } => SigningKey::Htlc(*point),
        ClaimWay::Anchor { funding, .. } => SigningKey::Funding(*funding),
        ClaimWay::ToLocalPenalty(RevocationKey { secret, .. })
        | ClaimWay::OfferedPenalty(RevocationKey { secret, .. })
        | ClaimWay::ReceivedPenalty(RevocationKey { secret, .. })
        | ClaimWay::SecondLevelPenalty(RevocationKey { secret, .. }) => SigningKey::Revocation(*secret),
    }
}

/// What a spend of a claim's output needs, for somebody who makes it by hand.
pub(crate) fn unclaimed(claim: &Claim) -> UnclaimedOutput {
    UnclaimedOutput {
        outpoint: claim.outpoint,
        amount_sat: claim.amount_sat,
        script_pubkey: claim.script_pubkey.clone(),
        witness_script: claim.witness_script.clone(),
        key: signing_key(&claim.way),
    }
}

/// The public key that our signature must verify under; `None` if the key cannot be derived.
pub(crate) fn public_key(secp: &Secp256k1<All>, channel: &ChannelArbitrator, way: &ClaimWay) -> Option<Point> {
    let basepoints = &channel.facts.side(Side::Local).basepoints;
    match way {
        ClaimWay::ToRemote => Some(basepoints.payment),
        ClaimWay::ToLocal { point } | ClaimWay::SecondLevelOutput { point } => {
            derive_public_key(secp, &basepoints.delayed_payment, point).ok()
        }
        ClaimWay::HtlcTimeout { point, .. }
        | ClaimWay::HtlcSuccess { point, .. }
        | ClaimWay::DirectTimeout { point, .. }
        | ClaimWay::DirectPreimage { point, .. } => derive_public_key(secp, &basepoints.htlc, point).ok(),
        ClaimWay::Anchor { key, .. }
        | ClaimWay::ToLocalPenalty(RevocationKey { key, .. })
        | ClaimWay::OfferedPenalty(RevocationKey { key, .. })
        | ClaimWay::ReceivedPenalty(RevocationKey { key, .. })
        | ClaimWay::SecondLevelPenalty(RevocationKey { key, .. }) => Some(*key),
    }
}

/// The witness with our signature; `None` if the path needs a witness script and the claim has none.
pub(crate) fn witness_of(channel: &ChannelArbitrator, claim: &Claim, ours: &CompactSig) -> Option<Witness> {
    let peer_type = counterparty_sighash_type(channel.facts.channel_type);
    let script = claim.witness_script.as_ref();
    Some(match &claim.way {
        ClaimWay::ToRemote => {
            let payment = &channel.facts.side(Side::Local).basepoints.payment;
            witness::to_remote(ours, payment, script.map(ScriptBuf::as_script))
        }
        ClaimWay::ToLocal { .. } | ClaimWay::SecondLevelOutput { .. } => witness::delayed(ours, script?),
        ClaimWay::HtlcTimeout { peer_signature, .. } => witness::htlc_timeout(peer_signature, peer_type, ours, script?),
        ClaimWay::HtlcSuccess { peer_signature, preimage, .. } => {
            witness::htlc_success(peer_signature, peer_type, ours, preimage, script?)
        }
        ClaimWay::DirectTimeout { .. } => witness::direct_timeout(ours, script?),
        ClaimWay::DirectPreimage { preimage, .. } => witness::direct_preimage(ours, preimage, script?),
        ClaimWay::Anchor { .. } => witness::anchor_by_key(ours, script?),
        ClaimWay::ToLocalPenalty(_) | ClaimWay::SecondLevelPenalty(_) => witness::penalty(ours, script?),
        ClaimWay::OfferedPenalty(key) | ClaimWay::ReceivedPenalty(key) => {
            witness::htlc_penalty(ours, &key.key, script?)
        }
    })
}
