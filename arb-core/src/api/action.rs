//! What the court wants done: level-triggered, idempotent, due until an event says it is done (R4).

use crate::api::ids::{ActionId, ChannelId, HtlcKey};
use crate::api::notice::{Alert, ContractReport, FreezeReason};
use crate::api::outcome::FailReason;
use crate::api::sheet::Sheet;
use crate::api::units::Height;
use crate::bolt3::{Point, Preimage, Secret};
use alloc::vec::Vec;
use bitcoin::psbt::{self, Psbt};
use bitcoin::sighash::EcdsaSighashType;
use bitcoin::{OutPoint, ScriptBuf, Transaction, TxOut, Txid};

/// One thing to do. Exhaustive on purpose: a new action must break an embedder's build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Search the chain for spends of these outputs; answer with `Scanned`.
    SearchSpends {
        /// Stable identity.
        id: ActionId,
        /// The channel.
        channel: ChannelId,
        /// The transaction whose outputs these are.
        parent: Txid,
        /// The outputs.
        outpoints: Vec<OutPoint>,
        /// Their scripts, as far as the court knows them.
        scripts: Vec<ScriptBuf>,
        /// From which height.
        from: Height,
    },
    /// Give this transaction, or this package, to the network, in every block until it is confirmed; answer with
    /// `BroadcastAnswered` about the last one.
    Broadcast {
        /// Contains the height: the next block's repetition is another action.
        id: ActionId,
        /// The channel.
        channel: ChannelId,
        /// The signed transaction; or an unconfirmed commitment and the child that pays for it, in that order, to be
        /// submitted as one package.
        txs: Vec<Transaction>,
        /// The greatest feerate that is meant; a node's "absurd fee" guard may be set above it.
        max_feerate_sat_per_kw: u32,
    },
    /// Sign; answer with `Signed` or `SigningRefused`.
    Sign(SignRequest),
    /// Offer one fresh script for this close; answer with `ScriptsOffered`.
    RequestScripts {
        /// Stable identity; the answer names it.
        id: ActionId,
        /// The channel.
        channel: ChannelId,
    },
    /// Offer confirmed coins; answer with `FeeInputsOffered` or `FeeInputsRefused`. When there are not enough for all, the
    /// nearest deadline goes first, then the greatest value.
    RequestFeeInputs {
        /// Stable identity; the answer names it.
        id: ActionId,
        /// The channel.
        channel: ChannelId,
        /// The claim that owns what is offered.
        owner: OutPoint,
        /// What they have to be worth together after paying for their own inputs: the fee and a change output that is not
        /// dust.
        amount_sat: u64,
        /// The feerate that the coins' own inputs are counted with.
        feerate_sat_per_kw: u32,
        /// When the claim is due; `None`: nobody contests it.
        deadline: Option<Height>,
        /// What is at stake, in satoshi.
        value_sat: u64,
    },
    /// These coins belong to a live sweep: keep them reserved.
    HoldFeeInputs {
        /// Stable identity.
        id: ActionId,
        /// The channel.
        channel: ChannelId,
        /// The claim that owns them.
        owner: OutPoint,
        /// The coins.
        coins: Vec<OutPoint>,
    },
    /// These coins are free again; answer with `Performed`.
    ReleaseFeeInputs {
        /// Stable identity.
        id: ActionId,
        /// The channel.
        channel: ChannelId,
        /// The claim that owned them.
        owner: OutPoint,
        /// The coins.
        coins: Vec<OutPoint>,
    },
    /// No more updates: the channel is going to chain; answer with `Performed`.
    FreezeChannel {
        /// Stable identity.
        id: ActionId,
        /// The channel.
        channel: ChannelId,
        /// Why.
        why: FreezeReason,
    },
    /// Settle this HTLC's origin; answer with `UpstreamAcknowledged`.
    SettleUpstream {
        /// Stable identity.
        id: ActionId,
        /// The HTLC that we sent.
        htlc: HtlcKey,
        /// Its preimage.
        preimage: Preimage,
        /// The HTLC's opaque tag.
        tag: Vec<u8>,
    },
    /// Fail this HTLC's origin; answer with `UpstreamAcknowledged`.
    FailUpstream {
        /// Stable identity.
        id: ActionId,
        /// The HTLC that we sent.
        htlc: HtlcKey,
        /// By which rule.
        why: FailReason,
        /// The HTLC's opaque tag.
        tag: Vec<u8>,
    },
    /// A received HTLC's output is live: a preimage before this height would claim it.
    AskForPreimage {
        /// Stable identity.
        id: ActionId,
        /// The HTLC.
        htlc: HtlcKey,
        /// The last height at which a preimage is of use.
        until: Height,
        /// The HTLC's opaque tag.
        tag: Vec<u8>,
    },
    /// A revoked commitment confirmed: say what it was, with [`Event::RevokedLoaded`](crate::Event::RevokedLoaded). From
    /// the log's rows; for a channel that was adopted while it ran, from the node's own records; with no candidate where
    /// neither has it.
    LoadRevoked {
        /// Stable identity.
        id: ActionId,
        /// The channel.
        channel: ChannelId,
        /// The funding that it spends.
        funding: OutPoint,
        /// The commitment.
        number: u64,
    },
    /// Something that a person should know; answer with `Performed`.
    Alert {
        /// Stable identity.
        id: ActionId,
        /// The channel.
        channel: ChannelId,
        /// What.
        alert: Alert,
    },
    /// A contract is over; answer with `Performed`.
    ReportOutcome {
        /// Stable identity.
        id: ActionId,
        /// The channel.
        channel: ChannelId,
        /// What became of it.
        report: ContractReport,
    },
    /// Every contract is irrevocable and every outcome acknowledged; answer with `Performed`. Only then may the
    /// channel's rows go.
    ChannelResolved {
        /// Stable identity.
        id: ActionId,
        /// The channel.
        channel: ChannelId,
        /// Where every satoshi went (I11).
        sheet: Sheet,
    },
}

/// A request to sign one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignRequest {
    /// Hash of the unsigned transaction and its keys; the answer names it.
    pub id: ActionId,
    /// The channel.
    pub channel: ChannelId,
    /// The unsigned transaction.
    pub tx: Transaction,
    /// What its inputs spend, input by input.
    pub prevouts: Vec<TxOut>,
    /// The signatures wanted, in the order in which they are answered.
    pub inputs: Vec<InputToSign>,
}

/// One signature that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputToSign {
    /// Which input.
    pub index: u32,
    /// With which key.
    pub key: SigningKey,
    /// The witness script (P2WSH), or the script that is spent (P2WPKH).
    pub script: ScriptBuf,
    /// The sighash type.
    pub sighash: EcdsaSighashType,
}

/// A key by its role: basepoint and tweak (BOLT 3, Key Derivation).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningKey {
    /// Our funding key of this funding output.
    Funding(OutPoint),
    /// Our payment basepoint, untweaked.
    Payment,
    /// Our HTLC basepoint, tweaked with this per-commitment point.
    Htlc(Point),
    /// Our delayed payment basepoint, tweaked with this per-commitment point.
    DelayedPayment(Point),
    /// Our revocation basepoint, blinded with the counterparty's per-commitment secret (BOLT 3 `revocationprivkey`).
    Revocation(Secret),
    /// The wallet's key of this coin.
    Wallet(OutPoint),
}

impl SignRequest {
    /// The request as a PSBT (BIP 174) with outputs, witness scripts and sighash types, for signers that speak it.
    ///
    /// # Errors
    /// If the transaction is signed already, which a request's never is.
    pub fn to_psbt(&self) -> Result<Psbt, psbt::Error> {
        let mut psbt = Psbt::from_unsigned_tx(self.tx.clone())?;
        for (input, prevout) in psbt.inputs.iter_mut().zip(&self.prevouts) {
            input.witness_utxo = Some(prevout.clone());
        }
        for wanted in &self.inputs {
            let index = usize::try_from(wanted.index).unwrap_or(usize::MAX);
            if let Some(input) = psbt.inputs.get_mut(index) {
                input.sighash_type = Some(wanted.sighash.into());
                // A P2WPKH input is complete with its output; the script is the output's own.
                let own = input.witness_utxo.as_ref().is_some_and(|prevout| prevout.script_pubkey == wanted.script);
                input.witness_script = (!own).then(|| wanted.script.clone());
            }
        }
        Ok(psbt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bolt3::Point;
    use alloc::vec;
    use bitcoin::hashes::Hash;
    use bitcoin::{Amount, Sequence, TxIn, Witness, absolute, transaction};

    #[test]
    fn a_request_becomes_a_psbt_with_all_a_signer_needs() {
        let script = ScriptBuf::from(vec![0x51]);
        let outpoint = OutPoint::new(Txid::all_zeros(), 1);
        let input = |previous_output| TxIn {
            previous_output,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        };
        let coin = ScriptBuf::from(vec![0x00, 0x14]);
        let out = |sat, script_pubkey| TxOut { value: Amount::from_sat(sat), script_pubkey };
        let request = SignRequest {
            id: ActionId([1; 16]),
            channel: ChannelId([2; 32]),
            tx: Transaction {
                version: transaction::Version::TWO,
                lock_time: absolute::LockTime::ZERO,
                input: vec![input(outpoint), input(OutPoint::new(Txid::all_zeros(), 2))],
                output: vec![out(500, script.clone())],
            },
            prevouts: vec![out(1000, script.to_p2wsh()), out(700, coin.clone())],
            inputs: vec![
                InputToSign {
                    index: 0,
                    key: SigningKey::Htlc(Point([2; 33])),
                    script: script.clone(),
                    sighash: EcdsaSighashType::All,
                },
                InputToSign {
                    index: 1,
                    key: SigningKey::Wallet(outpoint),
                    script: coin,
                    sighash: EcdsaSighashType::All,
                },
            ],
        };
        let psbt = request.to_psbt().expect("an unsigned transaction");
        assert_eq!(psbt.inputs[0].witness_script, Some(script));
        assert_eq!(psbt.inputs[0].witness_utxo.as_ref().map(|prevout| prevout.value.to_sat()), Some(1000));
        assert_eq!(psbt.inputs[1].witness_script, None);
        assert!(psbt.inputs.iter().all(|input| input.sighash_type == Some(EcdsaSighashType::All.into())));
    }
}
