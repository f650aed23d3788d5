//! Key derivation (BOLT 3, "Key Derivation" and Appendix E).
//!
//! Every function takes bytes. It fails on bytes that are no key, and, with negligible probability, on a tweak outside the
//! group. The payment key is not tweaked: both channel types have a static remote key.
//!
//! Tests: arb-core/tests/bolt3_appendix_d_e.rs, arb-core/tests/bolt3_appendix_c_f.rs

use crate::bolt3::types::{Point, Secret};
use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::secp256k1::{PublicKey, Scalar, Secp256k1, SecretKey, Signing, Verification};
use serde::{Deserialize, Serialize};

/// Why a key or a signature was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The 33 bytes are not a point on the curve.
    #[error("the 33 bytes are not a compressed point on the curve")]
    InvalidPoint,
    /// The 32 bytes are zero or not below the group order.
    #[error("the 32 bytes are not a private key")]
    InvalidSecret,
    /// A tweak or its result is outside the group; no honest input does this.
    #[error("the derived key is outside the group")]
    TweakOutOfRange,
    /// r or s is not below the group order.
    #[error("r or s of the signature is not below the group order")]
    MalformedSignature,
    /// s is in the upper half: consensus accepts the signature, nodes do not relay it (CVE-2020-26895).
    #[error("the signature has a high s, which nodes do not relay")]
    HighS,
    /// The signature is not this key's signature of this message.
    #[error("the signature does not match key and message")]
    WrongSignature,
}

/// The four basepoints that a peer sends in `open_channel` or `accept_channel` (BOLT 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Basepoints {
    /// `revocation_basepoint`.
    pub revocation: Point,
    /// `payment_basepoint`; used untweaked.
    pub payment: Point,
    /// `delayed_payment_basepoint`.
    pub delayed_payment: Point,
    /// `htlc_basepoint`.
    pub htlc: Point,
}

/// The keys in the scripts of one commitment transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CommitmentKeys {
    /// The owner's point for this commitment; all other keys but `other_payment` depend on it.
    pub per_commitment_point: Point,
    /// Lets the other side claim, once it has the owner's per-commitment secret (`revocationpubkey`).
    pub revocation: Point,
    /// Pays the owner after its delay (`local_delayedpubkey`).
    pub owner_delayed: Point,
    /// The owner's key in HTLC scripts (`local_htlcpubkey`).
    pub owner_htlc: Point,
    /// The other side's key in HTLC scripts (`remote_htlcpubkey`).
    pub other_htlc: Point,
    /// Pays the other side (`remotepubkey`): its payment basepoint as it is.
    pub other_payment: Point,
}

impl CommitmentKeys {
    /// Derives the keys of the owner's commitment whose per-commitment point is `point`.
    ///
    /// # Errors
    /// If a basepoint or the point is not on the curve.
    pub fn derive<C: Verification>(
        secp: &Secp256k1<C>,
        point: &Point,
        owner: &Basepoints,
        other: &Basepoints,
    ) -> Result<Self, KeyError> {
        // Not tweaked, but checked: an output that pays to no key is lost.
        other.payment.parse()?;
        Ok(Self {
            per_commitment_point: *point,
            revocation: revocation_public_key(secp, &other.revocation, point)?,
            owner_delayed: derive_public_key(secp, &owner.delayed_payment, point)?,
            owner_htlc: derive_public_key(secp, &owner.htlc, point)?,
            other_htlc: derive_public_key(secp, &other.htlc, point)?,
            other_payment: other.payment,
        })
    }
}

impl Point {
    /// The point of a secret, `secret * G`.
    ///
    /// # Errors
    /// If the secret is not a private key.
    pub fn from_secret<C: Signing>(secp: &Secp256k1<C>, secret: &Secret) -> Result<Self, KeyError> {
        Ok(PublicKey::from_secret_key(secp, &secret.parse()?).into())
    }

    /// The point as a library key.
    ///
    /// # Errors
    /// If it is not on the curve.
    pub fn parse(&self) -> Result<PublicKey, KeyError> {
        PublicKey::from_slice(&self.0).map_err(|_| KeyError::InvalidPoint)
    }
}

impl Secret {
    /// The secret as a library key.
    ///
    /// # Errors
    /// If it is not a private key.
    pub fn parse(&self) -> Result<SecretKey, KeyError> {
        SecretKey::from_slice(&self.0).map_err(|_| KeyError::InvalidSecret)
    }
}

/// `secret * G`, for per-commitment secrets.
///
/// # Errors
/// If the secret is not a private key.
pub fn point_of_secret<C: Signing>(secp: &Secp256k1<C>, secret: &Secret) -> Result<Point, KeyError> {
    Point::from_secret(secp, secret)
}

/// `basepoint + SHA256(per_commitment_point || basepoint) * G`: the delayed key, and both sides' HTLC keys.
///
/// # Errors
/// If one of the points is not on the curve.
pub fn derive_public_key<C: Verification>(
    secp: &Secp256k1<C>,
    basepoint: &Point,
    per_commitment_point: &Point,
) -> Result<Point, KeyError> {
    // The point is only hashed, but checked: with any other bytes no private key can be derived.
    per_commitment_point.parse()?;
    let key = basepoint.parse()?;
    let tweaked = key.add_exp_tweak(secp, &tweak(per_commitment_point, basepoint)?);
    tweaked.map(Point::from).map_err(|_| KeyError::TweakOutOfRange)
}

/// The private key of [`derive_public_key`].
///
/// # Errors
/// If the secret is not a private key, or the point not on the curve.
pub fn derive_private_key<C: Signing>(
    secp: &Secp256k1<C>,
    base_secret: &Secret,
    per_commitment_point: &Point,
) -> Result<Secret, KeyError> {
    per_commitment_point.parse()?;
    let basepoint = Point::from_secret(secp, base_secret)?;
    let tweaked = base_secret.parse()?.add_tweak(&tweak(per_commitment_point, &basepoint)?);
    tweaked.map(|key| Secret(key.secret_bytes())).map_err(|_| KeyError::TweakOutOfRange)
}

/// The revocation key of a commitment (BOLT 3 `revocationpubkey`).
///
/// It combines the other side's basepoint and the owner's point, so neither side knows the private key before the owner
/// reveals its secret.
///
/// # Errors
/// If one of the points is not on the curve.
pub fn revocation_public_key<C: Verification>(
    secp: &Secp256k1<C>,
    revocation_basepoint: &Point,
    per_commitment_point: &Point,
) -> Result<Point, KeyError> {
    let base_tweak = tweak(revocation_basepoint, per_commitment_point)?;
    let point_tweak = tweak(per_commitment_point, revocation_basepoint)?;
    let base = revocation_basepoint.parse()?.mul_tweak(secp, &base_tweak).map_err(|_| KeyError::TweakOutOfRange)?;
    let point = per_commitment_point.parse()?.mul_tweak(secp, &point_tweak).map_err(|_| KeyError::TweakOutOfRange)?;
    base.combine(&point).map(Point::from).map_err(|_| KeyError::TweakOutOfRange)
}

/// The private key of [`revocation_public_key`], from the other side's base secret and the owner's revealed secret.
///
/// # Errors
/// If one of the secrets is not a private key.
pub fn revocation_private_key<C: Signing>(
    secp: &Secp256k1<C>,
    revocation_base_secret: &Secret,
    per_commitment_secret: &Secret,
) -> Result<Secret, KeyError> {
    let basepoint = Point::from_secret(secp, revocation_base_secret)?;
    let point = Point::from_secret(secp, per_commitment_secret)?;
    let base_tweak = tweak(&basepoint, &point)?;
    let point_tweak = tweak(&point, &basepoint)?;
    let base = revocation_base_secret.parse()?.mul_tweak(&base_tweak).map_err(|_| KeyError::TweakOutOfRange)?;
    let part = per_commitment_secret.parse()?.mul_tweak(&point_tweak).map_err(|_| KeyError::TweakOutOfRange)?;
    let sum = base.add_tweak(&Scalar::from(part)).map_err(|_| KeyError::TweakOutOfRange)?;
    Ok(Secret(sum.secret_bytes()))
}

/// `SHA256(first || second)` as a scalar.
fn tweak(first: &Point, second: &Point) -> Result<Scalar, KeyError> {
    let mut engine = sha256::Hash::engine();
    engine.input(&first.0);
    engine.input(&second.0);
    let hash = sha256::Hash::from_engine(engine).to_byte_array();
    Scalar::from_be_bytes(hash).map_err(|_| KeyError::TweakOutOfRange)
}
