//! Keys in memory: the secrets of one side of a channel, with what BOLT 3 derives from them, and those of a wallet.
//!
//! Deterministic: the same seed and label always give the same keys, so a demonstration, a test or a simulation saves only a
//! seed. Secrets can also be given one by one, as published test vectors need. Nothing here protects memory: keys that hold
//! real money belong behind another [`Signer`](crate::signer::Signer).

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arb_core::bolt3::{
    Basepoints, CompactSig, KeyError, Point, Secret, commitment_secret, derive_private_key, p2wpkh, point_of_secret,
    revocation_private_key,
};
use bitcoin::ScriptBuf;
use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::secp256k1::{All, Message, Secp256k1};

/// The secrets behind a side's basepoints, its funding key and its per-commitment points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelSecrets {
    /// Private key of `funding_pubkey`.
    pub funding: Secret,
    /// Secret of `revocation_basepoint`.
    pub revocation: Secret,
    /// Secret of `payment_basepoint`.
    pub payment: Secret,
    /// Secret of `delayed_payment_basepoint`.
    pub delayed_payment: Secret,
    /// Secret of `htlc_basepoint`.
    pub htlc: Secret,
    /// The seed of the per-commitment secrets (BOLT 3, Per-commitment Secret Requirements).
    pub commitment_seed: Secret,
}

/// All keys of one side of one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelKeys {
    secrets: ChannelSecrets,
    basepoints: Basepoints,
    funding_point: Point,
    /// Per-commitment secrets that do not come from the seed.
    given: BTreeMap<u64, Secret>,
}

impl ChannelKeys {
    /// Keys from their secrets.
    ///
    /// # Errors
    /// If a secret is not a private key: zero, or not below the curve's order.
    pub fn new(secrets: ChannelSecrets) -> Result<Self, KeyError> {
        let point = |secret: &Secret| point_of_secret(secp(), secret);
        let basepoints = Basepoints {
            revocation: point(&secrets.revocation)?,
            payment: point(&secrets.payment)?,
            delayed_payment: point(&secrets.delayed_payment)?,
            htlc: point(&secrets.htlc)?,
        };
        Ok(Self { funding_point: point(&secrets.funding)?, basepoints, secrets, given: BTreeMap::new() })
    }

    /// Keys from a seed and a label that tells channels and sides apart.
    pub fn from_seed(seed: &[u8; 32], label: &str) -> Self {
        let secret = |role| derived_secret(seed, &[label.as_bytes(), role]);
        let secrets = ChannelSecrets {
            funding: secret(b"funding"),
            revocation: secret(b"revocation"),
            payment: secret(b"payment"),
            delayed_payment: secret(b"delayed payment"),
            htlc: secret(b"htlc"),
            commitment_seed: secret(b"commitment seed"),
        };
        Self::new(secrets).expect("derived secrets are private keys")
    }

    /// The same keys, but with this secret for commitment `number` instead of the seed's.
    #[must_use]
    pub fn with_commitment_secret(mut self, number: u64, secret: Secret) -> Self {
        self.given.insert(number, secret);
        self
    }

    /// The four basepoints, as `open_channel` and `accept_channel` carry them (BOLT 2).
    pub fn basepoints(&self) -> Basepoints {
        self.basepoints
    }

    /// The public key of this side in the funding script.
    pub fn funding_point(&self) -> Point {
        self.funding_point
    }

    /// The secrets that the keys were made from.
    pub fn secrets(&self) -> &ChannelSecrets {
        &self.secrets
    }

    /// The per-commitment secret of this side's commitment `number`, counted from 0.
    pub fn secret(&self, number: u64) -> Secret {
        let given = self.given.get(&number).copied();
        given.unwrap_or_else(|| commitment_secret(&self.secrets.commitment_seed.0, number))
    }

    /// The per-commitment point of this side's commitment `number`, counted from 0.
    pub fn point(&self, number: u64) -> Result<Point, KeyError> {
        point_of_secret(secp(), &self.secret(number))
    }

    /// This side's HTLC key on the commitment with this per-commitment point, which may be either side's.
    pub fn htlc_secret(&self, point: &Point) -> Result<Secret, KeyError> {
        derive_private_key(secp(), &self.secrets.htlc, point)
    }

    /// The revocation key on the counterparty's commitment, from the per-commitment secret that the counterparty revealed.
    pub fn revocation_secret(&self, secret: &Secret) -> Result<Secret, KeyError> {
        revocation_private_key(secp(), &self.secrets.revocation, secret)
    }

    /// The delayed payment key on this side's commitment with this per-commitment point.
    pub fn delayed_secret(&self, point: &Point) -> Result<Secret, KeyError> {
        derive_private_key(secp(), &self.secrets.delayed_payment, point)
    }
}

/// The number of keys in [`WalletKeys`].
pub const POOL: u32 = 256;

/// The keys of a wallet with a fixed pool of [`POOL`] P2WPKH scripts. A clone shares them.
#[derive(Clone, Debug)]
pub struct WalletKeys {
    scripts: Arc<Vec<ScriptBuf>>,
    secrets: Arc<BTreeMap<ScriptBuf, Secret>>,
}

impl WalletKeys {
    /// The pool that follows from this seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let pool = (0..POOL).map(|index| {
            let secret = derived_secret(seed, &[b"wallet", &index.to_le_bytes()]);
            let point = Point::from_secret(secp(), &secret).expect("derived secrets are private keys");
            (p2wpkh(&point), secret)
        });
        let pool: Vec<(ScriptBuf, Secret)> = pool.collect();
        let scripts = pool.iter().map(|(script, _)| script.clone()).collect();
        Self { scripts: Arc::new(scripts), secrets: Arc::new(pool.into_iter().collect()) }
    }

    /// Every script of the pool, in the order of derivation.
    pub fn scripts(&self) -> &[ScriptBuf] {
        &self.scripts
    }

    /// The private key of a script of the pool; `None` for any other script.
    pub fn secret_of(&self, script: &ScriptBuf) -> Option<Secret> {
        self.secrets.get(script).copied()
    }

    /// A script of the pool chosen by a name: the same name gives the same script, also after a restart.
    pub fn script_for(&self, name: &[u8]) -> ScriptBuf {
        let [a, b, ..] = sha256::Hash::hash(name).to_byte_array();
        let place = usize::from(u16::from_be_bytes([a, b])).checked_rem(self.scripts.len()).unwrap_or(0);
        self.scripts.get(place).cloned().unwrap_or_default()
    }
}

/// The program's only secp256k1 context: making one costs more than a signature.
pub fn secp() -> &'static Secp256k1<All> {
    static SECP: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);
    &SECP
}

/// Signs with RFC 6979's nonce and no extra randomness, so that a request has the same signature after a restart.
pub fn sign(secret: &Secret, digest: [u8; 32]) -> Result<CompactSig, KeyError> {
    let signature = secp().sign_ecdsa(&Message::from_digest(digest), &secret.parse()?);
    Ok(CompactSig(signature.serialize_compact()))
}

/// A private key from a seed and the parts of a name.
pub(crate) fn derived_secret(seed: &[u8; 32], name: &[&[u8]]) -> Secret {
    let mut secret = Secret(derived_bytes(seed, name));
    // Once in 2^128 the hash is not a private key: hash again.
    while secret.parse().is_err() {
        secret = Secret(sha256::Hash::hash(&secret.0).to_byte_array());
    }
    secret
}

/// SHA-256 of a seed and the parts of a name; each part's length is hashed, so ("ab", "c") and ("a", "bc") differ.
pub fn derived_bytes(seed: &[u8; 32], name: &[&[u8]]) -> [u8; 32] {
    let mut engine = sha256::Hash::engine();
    engine.input(seed);
    for part in name {
        engine.input(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        engine.input(part);
    }
    sha256::Hash::from_engine(engine).to_byte_array()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_label_give_the_same_keys_and_another_label_gives_others() {
        let keys = ChannelKeys::from_seed(&[7; 32], "ours");
        assert_eq!(keys, ChannelKeys::from_seed(&[7; 32], "ours"));
        let others = [ChannelKeys::from_seed(&[7; 32], "theirs"), ChannelKeys::from_seed(&[8; 32], "ours")];
        for other in others {
            assert_ne!(keys.funding_point(), other.funding_point());
            assert_ne!(keys.point(3), other.point(3));
        }
    }

    #[test]
    fn every_role_has_its_own_key() {
        let keys = ChannelKeys::from_seed(&[7; 32], "ours");
        let Basepoints { revocation, payment, delayed_payment, htlc } = keys.basepoints();
        let points = [keys.funding_point(), revocation, payment, delayed_payment, htlc, keys.point(0).unwrap()];
        let distinct: std::collections::BTreeSet<Point> = points.into_iter().collect();
        assert_eq!(distinct.len(), points.len());
    }

    #[test]
    fn a_given_secret_replaces_one_number_only() {
        let keys = ChannelKeys::from_seed(&[7; 32], "ours");
        let changed = keys.clone().with_commitment_secret(42, Secret([1; 32]));
        assert_eq!(changed.secret(42), Secret([1; 32]));
        assert_eq!(changed.secret(41), keys.secret(41));
    }

    #[test]
    fn a_secret_that_is_no_key_is_refused() {
        let secrets = ChannelKeys::from_seed(&[7; 32], "ours").secrets().clone();
        let refused = ChannelKeys::new(ChannelSecrets { htlc: Secret([0xff; 32]), ..secrets });
        assert_eq!(refused, Err(KeyError::InvalidSecret));
    }
}
