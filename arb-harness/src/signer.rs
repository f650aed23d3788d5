//! The signer's interface, and a signer that holds its keys in memory.
//!
//! A request has the whole transaction and the outputs that it spends, so that a signer computes the sighash itself. It
//! refuses to sign with a key that the script does not contain, or for a script that the spent output does not commit to:
//! such a signature would be useless, and the request is a mistake.

use std::collections::BTreeMap;

use arb_core::bolt3::{KeyError, Point, Secret, p2wpkh, sighash_p2wpkh, sighash_p2wsh};
use arb_core::{ChannelId, InputSignature, InputToSign, SignRequest, SigningKey};
use bitcoin::{OutPoint, Script, TxOut};

use crate::keys::{self, ChannelKeys, WalletKeys};

/// Answers the court's requests to sign.
pub trait Signer {
    /// One signature for each input that is asked for, in the request's order.
    ///
    /// # Errors
    /// If an input cannot be signed; then nothing is. The court asks again in every block.
    fn sign(&mut self, request: &SignRequest) -> Result<Vec<InputSignature>, SignError>;
}

/// Why nothing was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// No keys are held for this channel.
    #[error("no keys are held for channel {0}")]
    UnknownChannel(ChannelId),
    /// The request names a funding output that is not this channel's.
    #[error("the channel has no funding output {0}")]
    UnknownFunding(OutPoint),
    /// The wallet has no key for this coin's script, or the input does not spend this coin.
    #[error("the wallet has no key for {0}")]
    UnknownCoin(OutPoint),
    /// The request must name one spent output for each input.
    #[error("the transaction has {inputs} inputs, but the request names {prevouts} spent outputs")]
    Prevouts {
        /// The transaction's number of inputs.
        inputs: usize,
        /// The number of outputs that the request names.
        prevouts: usize,
    },
    /// The transaction has no such input.
    #[error("the transaction has no input {index}")]
    NoSuchInput {
        /// The input's index in the transaction.
        index: u32,
    },
    /// The spent output does not commit to the script in the request.
    #[error("the output that input {index} spends does not commit to the script in the request")]
    OtherScript {
        /// The input's index in the transaction.
        index: u32,
    },
    /// The script does not contain the key that was asked for.
    #[error("the script of input {index} does not contain the key that is to sign it")]
    KeyNotInScript {
        /// The input's index in the transaction.
        index: u32,
    },
    /// A key could not be derived: the request's point is not on the curve, or its secret is not a private key.
    #[error("the key cannot be derived: {0}")]
    Key(#[from] KeyError),
}

/// Signs with keys in memory: those of each channel, and a wallet's.
#[derive(Clone, Debug)]
pub struct KeySigner {
    channels: BTreeMap<ChannelId, (OutPoint, ChannelKeys)>,
    wallet: WalletKeys,
}

impl KeySigner {
    /// A signer with a wallet's keys; channels are added with [`add_channel`](Self::add_channel).
    pub fn new(wallet: WalletKeys) -> Self {
        Self { channels: BTreeMap::new(), wallet }
    }

    /// Adds a channel: its funding output and our keys.
    pub fn add_channel(&mut self, id: ChannelId, funding: OutPoint, keys: ChannelKeys) {
        self.channels.insert(id, (funding, keys));
    }

    fn sign_input(&self, request: &SignRequest, input: &InputToSign) -> Result<InputSignature, SignError> {
        let no_input = SignError::NoSuchInput { index: input.index };
        let index = usize::try_from(input.index).map_err(|_| no_input)?;
        let (Some(txin), Some(prevout)) = (request.tx.input.get(index), request.prevouts.get(index)) else {
            return Err(no_input);
        };
        let secret = match input.key {
            SigningKey::Wallet(coin) if txin.previous_output != coin => return Err(SignError::UnknownCoin(coin)),
            SigningKey::Wallet(coin) => {
                self.wallet.secret_of(&prevout.script_pubkey).ok_or(SignError::UnknownCoin(coin))?
            }
            SigningKey::Funding(_)
            | SigningKey::Payment
            | SigningKey::Htlc(_)
            | SigningKey::DelayedPayment(_)
            | SigningKey::Revocation(_) => self.channel_secret(&request.channel, &input.key)?,
        };
        let key = Point::from_secret(keys::secp(), &secret)?;
        let digest = digest(request, input, index, prevout, &key)?;
        let signature = keys::sign(&secret, digest)?;
        Ok(match input.key {
            SigningKey::Wallet(_) => InputSignature::Wallet { signature, key },
            SigningKey::Funding(_)
            | SigningKey::Payment
            | SigningKey::Htlc(_)
            | SigningKey::DelayedPayment(_)
            | SigningKey::Revocation(_) => InputSignature::Channel(signature),
        })
    }

    fn channel_secret(&self, channel: &ChannelId, key: &SigningKey) -> Result<Secret, SignError> {
        let (funding, keys) = self.channels.get(channel).ok_or(SignError::UnknownChannel(*channel))?;
        match key {
            SigningKey::Funding(outpoint) if outpoint == funding => Ok(keys.secrets().funding),
            SigningKey::Funding(outpoint) => Err(SignError::UnknownFunding(*outpoint)),
            SigningKey::Payment => Ok(keys.secrets().payment),
            SigningKey::Htlc(point) => Ok(keys.htlc_secret(point)?),
            SigningKey::DelayedPayment(point) => Ok(keys.delayed_secret(point)?),
            SigningKey::Revocation(secret) => Ok(keys.revocation_secret(secret)?),
            SigningKey::Wallet(coin) => Err(SignError::UnknownCoin(*coin)),
        }
    }
}

impl Signer for KeySigner {
    fn sign(&mut self, request: &SignRequest) -> Result<Vec<InputSignature>, SignError> {
        let (inputs, prevouts) = (request.tx.input.len(), request.prevouts.len());
        if inputs != prevouts {
            return Err(SignError::Prevouts { inputs, prevouts });
        }
        request.inputs.iter().map(|input| self.sign_input(request, input)).collect()
    }
}

/// The sighash of an input, after a check that script, output and key belong together.
fn digest(
    request: &SignRequest,
    input: &InputToSign,
    index: usize,
    prevout: &TxOut,
    key: &Point,
) -> Result<[u8; 32], SignError> {
    let value_sat = prevout.value.to_sat();
    let hashed = if input.script.is_p2wpkh() {
        if input.script != prevout.script_pubkey {
            return Err(SignError::OtherScript { index: input.index });
        }
        if input.script != p2wpkh(key) {
            return Err(SignError::KeyNotInScript { index: input.index });
        }
        sighash_p2wpkh(&request.tx, index, key, value_sat, input.sighash)
    } else {
        if input.script.to_p2wsh() != prevout.script_pubkey {
            return Err(SignError::OtherScript { index: input.index });
        }
        if !holds(&input.script, key) {
            return Err(SignError::KeyNotInScript { index: input.index });
        }
        sighash_p2wsh(&request.tx, index, &input.script, value_sat, input.sighash)
    };
    hashed.map_err(|_| SignError::NoSuchInput { index: input.index })
}

/// Whether a script pushes this key, or its hash, as HTLC scripts do with the revocation key (BOLT 3). Instructions are
/// compared, not raw bytes: a pushed hash could contain any byte.
fn holds(script: &Script, key: &Point) -> bool {
    let hash = key.hash160();
    let mut pushes = script.instructions().filter_map(Result::ok);
    pushes.any(|instruction| {
        let bytes = instruction.push_bytes().map(|bytes| bytes.as_bytes());
        bytes.is_some_and(|bytes| bytes == key.0 || bytes == hash)
    })
}
