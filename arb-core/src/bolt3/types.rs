//! The values that BOLT 3 computes with: points, hashes, secrets and signatures, as bytes.
//!
//! They are no library types, so a record that holds them is small, ordered, comparable, and decodes without curve
//! arithmetic. A [`Point`] may therefore not be on the curve; [`Point::parse`] tells.
//!
//! Tests: in this file

use bitcoin::hashes::{Hash, hash160, ripemd160, sha256};
use bitcoin::hex::DisplayHex;
use bitcoin::secp256k1::PublicKey;
use core::fmt;
use serde::{Deserialize, Serialize};

/// The format of a channel's transactions, fixed when the channel is opened.
///
/// Exhaustive on purpose: a new type changes scripts, weights and sequences, and must break every match on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ChannelType {
    /// `option_static_remotekey` (feature bits 12/13): no anchors, second-level transactions pay their own fee.
    StaticRemotekey,
    /// `option_anchors` (bits 22/23): two keyed anchors, a delay of one block on every output of the other side, and
    /// second-level transactions that pay no fee.
    AnchorsZeroFeeHtlcTx,
}

impl ChannelType {
    /// Whether commitments have anchors, so that a child can pay for them and HTLC transactions pay what we want. Without
    /// anchors the counterparty's signatures fix these fees.
    pub const fn has_anchors(self) -> bool {
        match self {
            Self::StaticRemotekey => false,
            Self::AnchorsZeroFeeHtlcTx => true,
        }
    }
}

/// A compressed public key, 33 bytes, not necessarily on the curve.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "(u8, [u8; 32])", from = "(u8, [u8; 32])")]
pub struct Point(pub [u8; 33]);

/// SHA256 of a payment preimage, as in `update_add_htlc` (BOLT 2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PaymentHash(pub [u8; 32]);

/// The 32 bytes that fulfil an HTLC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Preimage(pub [u8; 32]);

/// A private key or a per-commitment secret, 32 bytes; its `Debug` form hides them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Secret(pub [u8; 32]);

/// An ECDSA signature as BOLT 2 sends it: r and s, 32 bytes each, big-endian, without a sighash type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "([u8; 32], [u8; 32])", from = "([u8; 32], [u8; 32])")]
pub struct CompactSig(pub [u8; 64]);

impl Preimage {
    /// The payment hash that this preimage fulfils.
    pub fn hash(&self) -> PaymentHash {
        PaymentHash(sha256::Hash::hash(&self.0).to_byte_array())
    }
}

impl PaymentHash {
    /// RIPEMD160 of the payment hash, as HTLC scripts carry it.
    pub fn script_hash(&self) -> [u8; 20] {
        ripemd160::Hash::hash(&self.0).to_byte_array()
    }
}

impl Point {
    /// HASH160 of the 33 bytes, as scripts and P2WPKH programs carry a key.
    pub fn hash160(&self) -> [u8; 20] {
        hash160::Hash::hash(&self.0).to_byte_array()
    }
}

impl CompactSig {
    /// The r and s halves, big-endian.
    pub fn halves(&self) -> ([u8; 32], [u8; 32]) {
        let mut r = [0; 32];
        let mut s = [0; 32];
        for (to, from) in r.iter_mut().chain(s.iter_mut()).zip(self.0) {
            *to = from;
        }
        (r, s)
    }
}

impl From<PublicKey> for Point {
    fn from(key: PublicKey) -> Self {
        Self(key.serialize())
    }
}

impl From<Point> for (u8, [u8; 32]) {
    fn from(point: Point) -> Self {
        let [tag, x @ ..] = point.0;
        (tag, x)
    }
}

impl From<(u8, [u8; 32])> for Point {
    fn from((tag, x): (u8, [u8; 32])) -> Self {
        let mut bytes = [tag; 33];
        for (to, from) in bytes.iter_mut().skip(1).zip(x) {
            *to = from;
        }
        Self(bytes)
    }
}

impl From<CompactSig> for ([u8; 32], [u8; 32]) {
    fn from(sig: CompactSig) -> Self {
        sig.halves()
    }
}

impl From<([u8; 32], [u8; 32])> for CompactSig {
    fn from((r, s): ([u8; 32], [u8; 32])) -> Self {
        let mut bytes = [0; 64];
        for (to, from) in bytes.iter_mut().zip(r.into_iter().chain(s)) {
            *to = from;
        }
        Self(bytes)
    }
}

impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Point({})", self.0.as_hex())
    }
}

impl fmt::Debug for PaymentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PaymentHash({})", self.0.as_hex())
    }
}

impl fmt::Debug for Preimage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Preimage({})", self.0.as_hex())
    }
}

impl fmt::Debug for CompactSig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompactSig({})", self.0.as_hex())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not even a hash: two logs must not tell whether two secrets are equal.
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn debug_shows_bytes_as_hex_and_never_a_secret() {
        assert_eq!(format!("{:?}", Secret([0xab; 32])), "Secret(..)");
        assert_eq!(format!("{:?}", Preimage([0xab; 32])), format!("Preimage({})", "ab".repeat(32)));
        assert_eq!(format!("{:?}", Point([2; 33])), format!("Point({})", "02".repeat(33)));
    }

    #[test]
    fn points_and_signatures_survive_their_serde_form() {
        let point = Point(core::array::from_fn(|i| u8::try_from(i).unwrap()));
        let sig = CompactSig(core::array::from_fn(|i| u8::try_from(i).unwrap()));
        assert_eq!(Point::from(<(u8, [u8; 32])>::from(point)), point);
        assert_eq!(CompactSig::from(<([u8; 32], [u8; 32])>::from(sig)), sig);
        let bytes = postcard::to_allocvec(&(point, sig)).unwrap();
        assert_eq!(bytes.len(), 33 + 64);
        assert_eq!(postcard::from_bytes::<(Point, CompactSig)>(&bytes).unwrap(), (point, sig));
    }
}
