//! What the court wants done: level-triggered, idempotent, due until an event says that it is done (R4).
//!
//! Tests: arb-harness/lab/tests/court_suite/log_order.rs, arb-harness/lab/tests/court_suite/incidents_restart.rs

use crate::api::ids::{ActionId, ChannelId, HtlcKey};
use crate::api::notice::{Alert, ContractReport, FreezeReason};
use crate::api::outcome::FailReason;
use crate::api::sheet::Sheet;
use crate::api::unclaimed::SigningKey;
use crate::api::units::Height;
use crate::bolt3::Preimage;
use alloc::vec::Vec;
use bitcoin::psbt::{self, Psbt};
use bitcoin::sighash::EcdsaSighashType;
use bitcoin::{OutPoint, ScriptBuf, Transaction, TxOut, Txid};

/// One thing to do, due until the event that its variant names.
///
/// Exhaustive on purpose: a new action must break an embedder's build. An `id` stays the same after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "name and type say it")]
pub enum Action {
    /// Search the chain for spends of these outputs; answer with `Scanned`.
    SearchSpends {
        id: ActionId,
        channel: ChannelId,
        /// The transaction whose outputs these are: a funding, or a confirmed one below it. The answer names it, and says
        /// whether it is confirmed.
        parent: Txid,
        outpoints: Vec<OutPoint>,
        /// The scriptPubKeys of `outpoints`, in the same order.
        scripts: Vec<ScriptBuf>,
        /// The first height to search.
        from: Height,
    },
    /// Submit this transaction, or this package, in every block until it is confirmed; answer with `BroadcastAnswered`
    /// for the last one.
    Broadcast {
        /// Contains the height: the repetition in the next block is another action.
        id: ActionId,
        channel: ChannelId,
        /// The signed transaction; or an unconfirmed commitment and the child that pays for it, in that order, to be
        /// submitted as one package.
        txs: Vec<Transaction>,
        /// What the last transaction pays, rounded up, in satoshi per kiloweight: a node's "absurd fee" guard must let
        /// it pass.
        max_feerate_sat_per_kw: u32,
    },
    /// Sign; answer with `Signed` or `SigningRefused`.
    Sign(SignRequest),
    /// Offer one fresh script for the sweeps of this close; answer with `ScriptsOffered`. The fallback script is used
    /// if no answer comes within a block.
    RequestScripts {
        /// The answer names it.
        id: ActionId,
        channel: ChannelId,
    },
    /// Offer confirmed coins; answer with `FeeInputsOffered` or `FeeInputsRefused`. If the wallet has too few for all
    /// requests, the nearest deadline goes first, then the greatest value.
    RequestFeeInputs {
        /// The answer names it.
        id: ActionId,
        channel: ChannelId,
        /// The output whose claim the coins pay for.
        owner: OutPoint,
        /// What the coins must be worth together, in satoshi, after paying for their own inputs: the fee and a change
        /// output that is not dust. [`wallet_input_fee_sat`](crate::sweep::wallet_input_fee_sat) is the price of one input.
        amount_sat: u64,
        /// The feerate that the coins' own inputs are counted with, in satoshi per kiloweight.
        feerate_sat_per_kw: u32,
        /// The height by which the claim should be confirmed; `None` if nobody contests it.
        deadline: Option<Height>,
        /// What is at stake, in satoshi.
        value_sat: u64,
        /// Coins that network or signer refused a short while ago: offer others.
        exclude: Vec<OutPoint>,
    },
    /// These coins belong to a planned transaction: keep them reserved, also after a restart of the wallet.
    HoldFeeInputs {
        id: ActionId,
        channel: ChannelId,
        /// The output whose claim the coins pay for.
        owner: OutPoint,
        coins: Vec<OutPoint>,
    },
    /// These coins are free again; answer with `Performed`.
    ReleaseFeeInputs {
        id: ActionId,
        channel: ChannelId,
        /// The output whose claim the coins were held for.
        owner: OutPoint,
        coins: Vec<OutPoint>,
    },
    /// Make no more updates in this channel; answer with `Performed`.
    FreezeChannel { id: ActionId, channel: ChannelId, why: FreezeReason },
    /// Settle the upstream HTLC, or our own payment; answer with `UpstreamAcknowledged`.
    SettleUpstream {
        id: ActionId,
        /// The HTLC that we sent.
        htlc: HtlcKey,
        preimage: Preimage,
        /// What the node gave with that HTLC ([`Htlc::tag`](crate::Htlc::tag)).
        tag: Vec<u8>,
    },
    /// Fail the upstream HTLC, or our own payment; answer with `UpstreamAcknowledged`.
    FailUpstream {
        id: ActionId,
        /// The HTLC that we sent.
        htlc: HtlcKey,
        why: FailReason,
        /// What the node gave with that HTLC ([`Htlc::tag`](crate::Htlc::tag)).
        tag: Vec<u8>,
    },
    /// The output of a received HTLC is unspent and would be claimed with a preimage; answer with `PreimageLearned` or
    /// `HtlcGivenUp`.
    AskForPreimage {
        id: ActionId,
        /// The received HTLC.
        htlc: HtlcKey,
        /// The HTLC's expiry. Later the counterparty can claim the output, too. The question stays due after it while the
        /// output is unspent, because a preimage still helps until then.
        until: Height,
        /// What the node gave with that HTLC ([`Htlc::tag`](crate::Htlc::tag)).
        tag: Vec<u8>,
    },
    /// A revoked commitment confirmed: say what it was, with [`Event::RevokedLoaded`](crate::Event::RevokedLoaded).
    /// Take it from the log's rows; for a channel that was adopted while it ran, from the node's own records. If
    /// neither has it, answer without a candidate.
    LoadRevoked {
        id: ActionId,
        channel: ChannelId,
        /// The funding output that it spends.
        funding: OutPoint,
        /// Its commitment number.
        number: u64,
    },
    /// A commitment confirmed that is, or may be, an old one of ours: say our per-commitment point for its number, with
    /// [`Event::PointLoaded`](crate::Event::PointLoaded). Our main output on it is claimed with that point.
    LoadPoint {
        id: ActionId,
        channel: ChannelId,
        /// Its commitment number.
        number: u64,
    },
    /// Something that a person should know; answer with `Performed`.
    Alert { id: ActionId, channel: ChannelId, alert: Alert },
    /// A contract is over; answer with `Performed`.
    ReportOutcome { id: ActionId, channel: ChannelId, report: ContractReport },
    /// Every contract is irrevocable and every outcome acknowledged; answer with `Performed`. Only then may the
    /// channel's rows be removed. Due once more if the node opens the channel again.
    ChannelResolved {
        id: ActionId,
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
    /// The channel whose keys sign; the answer names it.
    pub channel: ChannelId,
    /// The transaction without witnesses.
    pub tx: Transaction,
    /// The outputs that the inputs spend, in input order.
    pub prevouts: Vec<TxOut>,
    /// The signatures wanted; the answer has them in this order.
    pub inputs: Vec<InputToSign>,
}

/// One signature that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputToSign {
    /// The input's index in the transaction.
    pub index: u32,
    /// The key to sign with.
    pub key: SigningKey,
    /// The witness script of a P2WSH output; the scriptPubKey of a P2WPKH output.
    pub script: ScriptBuf,
    /// The sighash type that the signature commits to.
    pub sighash: EcdsaSighashType,
}

impl SignRequest {
    /// The request as a PSBT (BIP 174) with outputs, witness scripts and sighash types, for signers that speak it.
    ///
    /// # Errors
    /// If an input is signed already; a request's never is.
    pub fn to_psbt(&self) -> Result<Psbt, psbt::Error> {
        let mut psbt = Psbt::from_unsigned_tx(self.tx.clone())?;
        for (input, prevout) in psbt.inputs.iter_mut().zip(&self.prevouts) {
            input.witness_utxo = Some(prevout.clone());
        }
        for wanted in &self.inputs {
            let index = usize::try_from(wanted.index).unwrap_or(usize::MAX);
            if let Some(input) = psbt.inputs.get_mut(index) {
                input.sighash_type = Some(wanted.sighash.into());
                // BIP 174 wants a witness script for P2WSH only; a P2WPKH request names the scriptPubKey.
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
