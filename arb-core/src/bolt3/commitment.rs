//! Commitment transactions, built from the terms that both sides agreed on (BOLT 3, "Commitment Transaction Construction").
//!
//! The same terms give the same txid, and the build ties each HTLC to its output (R7). An output's script does not tell the
//! HTLC: two offered HTLCs with one hash and one amount have identical outputs even if their expiries differ (B8).
//!
//! Tests: arb-core/tests/bolt3_appendix_c_f.rs, arb-core/tests/bolt3_incidents.rs, arb-core/tests/bolt3_amounts.rs

use crate::bolt3::keys::{Basepoints, CommitmentKeys};
use crate::bolt3::number::{COMMITMENT_NUMBER_MAX, ObscureFactor};
use crate::bolt3::scripts::{
    ANCHOR_SAT, anchor_script, delayed_script, funding_redeem_script, to_remote_script, to_remote_script_pubkey,
};
use crate::bolt3::second_level::{htlc_script, second_level_fee_sat};
use crate::bolt3::terms::{CommitmentError, CommitmentHtlc, HTLC_EXPIRY_LIMIT, whole_sat};
use crate::bolt3::types::{ChannelType, Point};
use crate::bolt3::weight::{HTLC_OUTPUT_WEIGHT, commitment_weight};
use crate::bolt3::witness::sighash_p2wsh;
use alloc::vec;
use alloc::vec::Vec;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, EcdsaSighashType, OutPoint, ScriptBuf, Transaction, TxIn, TxOut, Txid, Witness,
    secp256k1::{Secp256k1, Verification},
};
use serde::{Deserialize, Serialize};

/// All that determines one commitment transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitmentTerms<'a> {
    /// Format of the channel.
    pub channel_type: ChannelType,
    /// The funding output that it spends.
    pub funding: OutPoint,
    /// That output's value in satoshi.
    pub funding_value_sat: u64,
    /// The owner's funding key.
    pub owner_funding: Point,
    /// The other side's funding key.
    pub other_funding: Point,
    /// The owner's basepoints.
    pub owner: &'a Basepoints,
    /// The other side's basepoints.
    pub other: &'a Basepoints,
    /// Whether the owner opened the channel, and so pays the fee and the anchors.
    pub owner_is_opener: bool,
    /// CSV delay on the owner's own outputs, in blocks: the `to_self_delay` that the other side asked for.
    pub owner_delay_blocks: u16,
    /// The owner's `dust_limit_satoshis`.
    pub owner_dust_limit_sat: u64,
    /// Commitment number, from 0.
    pub number: u64,
    /// The owner's per-commitment point for that number.
    pub point: Point,
    /// Feerate in satoshi per kiloweight.
    pub feerate_sat_per_kw: u32,
    /// The owner's balance in millisatoshi, before fees.
    pub owner_msat: u64,
    /// The other side's balance in millisatoshi, before fees.
    pub other_msat: u64,
    /// The HTLCs of this commitment, trimmed ones included, in any order.
    pub htlcs: &'a [CommitmentHtlc],
}

/// What an output of a commitment transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OutputKind {
    /// The owner's delayed balance (`to_local`).
    ToOwner,
    /// The other side's balance (`to_remote`).
    ToOther,
    /// The anchor under the owner's funding key.
    OwnerAnchor,
    /// The anchor under the other side's funding key.
    OtherAnchor,
    /// An HTLC, by its index in [`CommitmentTerms::htlcs`].
    Htlc(usize),
}

/// A commitment transaction and the meaning of its outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltCommitment {
    /// The transaction, unsigned.
    pub tx: Transaction,
    /// Its id; signing does not change it.
    pub txid: Txid,
    /// The keys in its scripts.
    pub keys: CommitmentKeys,
    /// What each output is, in output order.
    pub outputs: Vec<OutputKind>,
    /// The output index of each of the terms' HTLCs; `None` if it was trimmed.
    pub htlc_vouts: Vec<Option<u32>>,
    /// Funding value less all outputs, in satoshi: the base fee, trimmed outputs, an anchor that is left out, and
    /// fractions of a satoshi.
    pub fee_sat: u64,
    /// Witness script of the funding output.
    pub funding_script: ScriptBuf,
}

/// Whether an HTLC has no output: less its second-level fee it is below the owner's dust limit (BOLT 3, "Trimmed
/// Outputs").
pub fn is_trimmed(
    channel_type: ChannelType,
    feerate_sat_per_kw: u32,
    dust_limit_sat: u64,
    offered_by_owner: bool,
    amount_msat: u64,
) -> bool {
    let fee_sat = second_level_fee_sat(channel_type, feerate_sat_per_kw, offered_by_owner);
    // Added to the limit, because the amount less the fee may be negative.
    whole_sat(amount_msat) < dust_limit_sat.saturating_add(fee_sat)
}

impl CommitmentTerms<'_> {
    /// Whether this commitment has no output for `htlc`. Needs no curve arithmetic.
    pub fn is_trimmed(&self, htlc: &CommitmentHtlc) -> bool {
        is_trimmed(
            self.channel_type,
            self.feerate_sat_per_kw,
            self.owner_dust_limit_sat,
            htlc.offered_by_owner,
            htlc.amount_msat,
        )
    }

    /// Builds the transaction and fixes which output is which.
    ///
    /// # Errors
    /// Why these terms make no commitment.
    pub fn build<C: Verification>(&self, secp: &Secp256k1<C>) -> Result<BuiltCommitment, CommitmentError> {
        self.check()?;
        let keys = CommitmentKeys::derive(secp, &self.point, self.owner, self.other)?;
        let planned = self.plan(&keys)?;
        let fee_sat = self.fee_left(&planned)?;
        let mut htlc_vouts = vec![None; self.htlcs.len()];
        for (vout, output) in planned.iter().enumerate() {
            if let OutputKind::Htlc(htlc) = output.kind {
                if let Some(place) = htlc_vouts.get_mut(htlc) {
                    *place = Some(u32::try_from(vout).map_err(|_| CommitmentError::TooManyOutputs)?);
                }
            }
        }
        let outputs = planned.iter().map(|output| output.kind).collect();
        let tx = self.transaction(planned);
        let funding_script = funding_redeem_script(&self.owner_funding, &self.other_funding);
        Ok(BuiltCommitment { txid: tx.compute_txid(), tx, keys, outputs, htlc_vouts, fee_sat, funding_script })
    }

    /// Refuses everything that [`build`](Self::build) refuses, except bad keys, which cost curve arithmetic.
    ///
    /// # Errors
    /// Why these terms make no commitment.
    pub fn check_amounts(&self) -> Result<(), CommitmentError> {
        self.check_terms()?;
        let untrimmed = || self.htlcs.iter().filter(|htlc| !self.is_trimmed(htlc));
        let (owner_sat, other_sat) = self.balances_sat(untrimmed().count())?;
        let has = |balance_sat: u64| balance_sat >= self.owner_dust_limit_sat && balance_sat > 0;
        let any_htlc = untrimmed().next().is_some();
        let anchor = |is_there: bool| match self.channel_type {
            ChannelType::AnchorsZeroFeeHtlcTx if is_there || any_htlc => ANCHOR_SAT,
            ChannelType::AnchorsZeroFeeHtlcTx | ChannelType::StaticRemotekey => 0,
        };
        let balances = [owner_sat, other_sat].into_iter().filter(|balance_sat| has(*balance_sat));
        let anchors = [anchor(has(owner_sat)), anchor(has(other_sat))];
        untrimmed()
            .map(CommitmentHtlc::amount_sat)
            .chain(balances)
            .chain(anchors)
            .try_fold(self.funding_value_sat, u64::checked_sub)
            .map(|_fee_sat| ())
            .ok_or(CommitmentError::OutputsExceedFunding)
    }

    /// Refuses terms and keys that no honest pair of peers agrees on.
    fn check(&self) -> Result<(), CommitmentError> {
        self.owner_funding.parse()?;
        self.other_funding.parse()?;
        // `derive` does not check it: only the obscuring factor uses it.
        self.owner.payment.parse()?;
        self.check_terms()
    }

    fn check_terms(&self) -> Result<(), CommitmentError> {
        if self.owner_delay_blocks == 0 {
            return Err(CommitmentError::ZeroDelay);
        }
        if self.number > COMMITMENT_NUMBER_MAX {
            return Err(CommitmentError::NumberOutOfRange(self.number));
        }
        if let Some(htlc) = self.htlcs.iter().find(|htlc| htlc.cltv_expiry >= HTLC_EXPIRY_LIMIT) {
            return Err(CommitmentError::ExpiryNotAHeight { cltv_expiry: htlc.cltv_expiry });
        }
        let balances = self.owner_msat.checked_add(self.other_msat);
        let total = self.htlcs.iter().try_fold(balances, |sum, htlc| Some(sum?.checked_add(htlc.amount_msat)));
        let held = self.funding_value_sat.checked_mul(1000);
        match (total.flatten(), held) {
            (Some(total), Some(held)) if total <= held => Ok(()),
            _ => Err(CommitmentError::BalancesExceedFunding),
        }
    }

    /// All outputs in their final order.
    fn plan(&self, keys: &CommitmentKeys) -> Result<Vec<Planned>, CommitmentError> {
        let mut planned = Vec::new();
        for (index, htlc) in self.htlcs.iter().enumerate().filter(|(_, htlc)| !self.is_trimmed(htlc)) {
            planned.push(Planned {
                value_sat: htlc.amount_sat(),
                script_pubkey: htlc_script(self.channel_type, htlc, keys).to_p2wsh(),
                cltv_expiry: htlc.cltv_expiry,
                kind: OutputKind::Htlc(index),
            });
        }
        let any_htlc = !planned.is_empty();
        let (owner_sat, other_sat) = self.balances_sat(planned.len())?;
        // BOLT 2 allows no dust limit of zero, but if a peer set one, no output of 0 sat must follow.
        let has_owner = owner_sat >= self.owner_dust_limit_sat && owner_sat > 0;
        let has_other = other_sat >= self.owner_dust_limit_sat && other_sat > 0;
        if has_owner {
            let script = delayed_script(&keys.revocation, self.owner_delay_blocks, &keys.owner_delayed);
            planned.push(Planned::plain(owner_sat, script.to_p2wsh(), OutputKind::ToOwner));
        }
        if has_other {
            let script_pubkey = to_remote_script_pubkey(self.channel_type, &keys.other_payment);
            planned.push(Planned::plain(other_sat, script_pubkey, OutputKind::ToOther));
        }
        match self.channel_type {
            ChannelType::StaticRemotekey => {}
            ChannelType::AnchorsZeroFeeHtlcTx => {
                if has_owner || any_htlc {
                    planned.push(Planned::anchor(&self.owner_funding, OutputKind::OwnerAnchor));
                }
                if has_other || any_htlc {
                    planned.push(Planned::anchor(&self.other_funding, OutputKind::OtherAnchor));
                }
            }
        }
        // A stable sort: equal outputs keep the order of the terms' HTLCs.
        planned.sort_by(|a, b| a.order().cmp(&b.order()));
        Ok(planned)
    }

    /// Both balances in satoshi, after the opener has paid fee and anchors; an opener that has less is left with
    /// nothing.
    fn balances_sat(&self, untrimmed: usize) -> Result<(u64, u64), CommitmentError> {
        let anchors_sat = match self.channel_type {
            ChannelType::StaticRemotekey => 0,
            // The opener pays for both anchors, even if one is left out (BOLT 3).
            ChannelType::AnchorsZeroFeeHtlcTx => ANCHOR_SAT.saturating_mul(2),
        };
        let base = commitment_weight(self.channel_type);
        let cost_sat = u64::try_from(untrimmed)
            .ok()
            .and_then(|htlcs| htlcs.checked_mul(HTLC_OUTPUT_WEIGHT)?.checked_add(base))
            .and_then(|weight| weight.checked_mul(u64::from(self.feerate_sat_per_kw))?.checked_div(1000))
            .and_then(|fee_sat| fee_sat.checked_add(anchors_sat))
            .ok_or(CommitmentError::TooManyOutputs)?;
        let (owner_sat, other_sat) = (whole_sat(self.owner_msat), whole_sat(self.other_msat));
        Ok(if self.owner_is_opener {
            (owner_sat.saturating_sub(cost_sat), other_sat)
        } else {
            (owner_sat, other_sat.saturating_sub(cost_sat))
        })
    }

    /// The funding value that no output takes.
    fn fee_left(&self, planned: &[Planned]) -> Result<u64, CommitmentError> {
        planned
            .iter()
            .try_fold(self.funding_value_sat, |left, output| left.checked_sub(output.value_sat))
            .ok_or(CommitmentError::OutputsExceedFunding)
    }

    /// The unsigned transaction with these outputs.
    fn transaction(&self, planned: Vec<Planned>) -> Transaction {
        let (opener, accepter) = if self.owner_is_opener { (self.owner, self.other) } else { (self.other, self.owner) };
        let factor = ObscureFactor::new(&opener.payment, &accepter.payment);
        Transaction {
            version: Version::TWO,
            lock_time: factor.lock_time(self.number),
            input: vec![TxIn {
                previous_output: self.funding,
                script_sig: ScriptBuf::new(),
                sequence: factor.sequence(self.number),
                witness: Witness::new(),
            }],
            output: planned.into_iter().map(Planned::into_output).collect(),
        }
    }
}

impl BuiltCommitment {
    /// The witness script of an output; `None` if it is P2WPKH, or there is no such output.
    ///
    /// `terms` are those that this commitment was built from.
    pub fn output_script(&self, terms: &CommitmentTerms<'_>, vout: u32) -> Option<ScriptBuf> {
        match *self.outputs.get(usize::try_from(vout).ok()?)? {
            OutputKind::ToOwner => {
                Some(delayed_script(&self.keys.revocation, terms.owner_delay_blocks, &self.keys.owner_delayed))
            }
            OutputKind::ToOther => to_remote_script(terms.channel_type, &self.keys.other_payment),
            OutputKind::OwnerAnchor => Some(anchor_script(&terms.owner_funding)),
            OutputKind::OtherAnchor => Some(anchor_script(&terms.other_funding)),
            OutputKind::Htlc(index) => Some(htlc_script(terms.channel_type, terms.htlcs.get(index)?, &self.keys)),
        }
    }

    /// The message (BIP 143) that both funding keys sign with SIGHASH_ALL; `funding_value_sat` is the value of the
    /// spent output.
    ///
    /// # Panics
    ///
    /// If a caller removed the input from `tx`.
    pub fn sighash(&self, funding_value_sat: u64) -> [u8; 32] {
        sighash_p2wsh(&self.tx, 0, &self.funding_script, funding_value_sat, EcdsaSighashType::All)
            .expect("a built commitment has its funding input")
    }

    /// Indexes of the untrimmed HTLCs in output order, in which `commitment_signed` has its `htlc_signature`s (BOLT 2).
    pub fn htlcs_in_output_order(&self) -> Vec<usize> {
        self.outputs
            .iter()
            .filter_map(|kind| match *kind {
                OutputKind::Htlc(index) => Some(index),
                OutputKind::ToOwner | OutputKind::ToOther | OutputKind::OwnerAnchor | OutputKind::OtherAnchor => None,
            })
            .collect()
    }
}

/// An output whose index is not fixed yet.
struct Planned {
    value_sat: u64,
    script_pubkey: ScriptBuf,
    cltv_expiry: u32,
    kind: OutputKind,
}

impl Planned {
    fn plain(value_sat: u64, script_pubkey: ScriptBuf, kind: OutputKind) -> Self {
        Self { value_sat, script_pubkey, cltv_expiry: 0, kind }
    }

    fn anchor(funding: &Point, kind: OutputKind) -> Self {
        Self::plain(ANCHOR_SAT, anchor_script(funding).to_p2wsh(), kind)
    }

    /// The order of outputs: value and script (BIP 69), then expiry (BOLT 3, "Transaction Output Ordering").
    fn order(&self) -> (u64, &[u8], u32) {
        (self.value_sat, self.script_pubkey.as_bytes(), self.cltv_expiry)
    }

    fn into_output(self) -> TxOut {
        TxOut { value: Amount::from_sat(self.value_sat), script_pubkey: self.script_pubkey }
    }
}
