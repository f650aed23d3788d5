//! What one side can claim from a confirmed commitment, as signed transactions (BOLT 5).
//!
//! It works for either side, with the core's builders and the fixture's keys. The caller decides when a claim is final. The
//! answer is `None` if a claim cannot pay the relay floor and leave more than dust.

use arb_core::bolt3::{
    ChannelType, ClaimPath, CompactSig, Point, Preimage, claim_witness_weight, counterparty_sighash_type,
    delayed_script, sighash_p2wpkh, sighash_p2wsh, witness,
};
use arb_core::{FeeInput, Side};
use arb_harness::keys::WalletKeys;
use arb_harness::keys::{secp, sign};
use arb_harness::wallet::{Offer, P2WPKH_INPUT_WEIGHT};
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, EcdsaSighashType, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};

use crate::fixture::{ChannelFixture, Commitment, FixtureError, SecondLevel};

/// Weight of marker and flag of a transaction with witnesses.
const SEGWIT_WEIGHT: u64 = 2;

/// The feerates of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// The wanted feerate.
    pub feerate_sat_per_kw: u32,
    /// The least feerate, in satoshi per thousand virtual bytes.
    pub floor_sat_per_kvb: u64,
}

/// An output to claim, and its path.
#[derive(Clone, Copy)]
struct Spot<'a> {
    kind: ClaimPath,
    outpoint: OutPoint,
    spent: &'a TxOut,
    script: Option<&'a Script>,
}

/// One side, and a confirmed commitment of either side.
#[derive(Clone, Copy, Debug)]
pub struct Claimant<'a> {
    /// The channel.
    pub fixture: &'a ChannelFixture,
    /// The side that claims.
    pub side: Side,
    /// The commitment that it claims from.
    pub commitment: &'a Commitment,
    /// The feerates of its claims.
    pub rates: Rates,
}

impl Rates {
    /// The wanted feerate, or the floor if that is higher.
    pub fn at_least_floor_sat_per_kw(&self) -> u32 {
        self.feerate_sat_per_kw.max(u32::try_from(self.floor_sat_per_kvb.div_ceil(4)).unwrap_or(u32::MAX))
    }

    /// The fee of a weight: the wanted one, or `spare_sat` if that is less; `None` below the floor.
    fn fee_sat(&self, weight: u64, spare_sat: u64) -> Option<u64> {
        let floor = weight.div_ceil(4).saturating_mul(self.floor_sat_per_kvb).div_ceil(1000);
        let wanted = weight.saturating_mul(u64::from(self.feerate_sat_per_kw)).div_ceil(1000);
        (spare_sat >= floor).then(|| wanted.clamp(floor, spare_sat))
    }
}

impl Claimant<'_> {
    fn channel_type(&self) -> ChannelType {
        self.fixture.setup().channel_type
    }

    /// Whether the claimant's HTLCs on its own commitment can share a transaction. The other side's signature of the older
    /// channel type covers the whole transaction, so there they cannot.
    pub fn can_aggregate(&self) -> bool {
        self.commitment.owner == self.side && self.channel_type() == ChannelType::AnchorsZeroFeeHtlcTx
    }

    /// The CSV delay of the claimant's own outputs on its own commitment.
    pub fn own_delay(&self) -> u16 {
        self.fixture.setup().delay_blocks(self.side)
    }

    /// The CSV delay of an HTLC output for a direct claim.
    pub fn htlc_delay(&self) -> u16 {
        match self.channel_type() {
            ChannelType::StaticRemotekey => 0,
            ChannelType::AnchorsZeroFeeHtlcTx => 1,
        }
    }

    /// The CSV delay of the claimant's balance: its own delay on its commitment, that of `to_remote` on the other's.
    pub fn main_delay(&self) -> u16 {
        if self.commitment.owner == self.side { self.own_delay() } else { self.htlc_delay() }
    }

    /// Claims the claimant's balance, which is output `vout`.
    pub fn main(&self, vout: u32, to: ScriptBuf) -> Result<Option<Transaction>, FixtureError> {
        let place = usize::try_from(vout).unwrap_or(usize::MAX);
        let outputs = &self.commitment.built.tx.output;
        let (Some(spent), Some(script)) = (outputs.get(place), self.commitment.scripts.get(place)) else {
            return Ok(None);
        };
        let (keys, outpoint) = (self.fixture.setup().keys(self.side), self.commitment.outpoint(vout));
        if self.commitment.owner == self.side {
            let Some(script) = script else { return Ok(None) };
            return self.delayed(ClaimPath::ToLocal, outpoint, spent, script, to);
        }
        let sequence = relative(self.main_delay());
        let spot = Spot { kind: ClaimPath::ToRemote, outpoint, spent, script: script.as_deref() };
        let Some(mut tx) = self.unsigned(&spot, sequence, 0, to) else { return Ok(None) };
        let (value_sat, point) = (spent.value.to_sat(), keys.basepoints().payment);
        let digest = match script {
            Some(script) => sighash_p2wsh(&tx, 0, script, value_sat, EcdsaSighashType::All)?,
            None => sighash_p2wpkh(&tx, 0, &point, value_sat, EcdsaSighashType::All)?,
        };
        let sig = sign(&keys.secrets().payment, digest)?;
        attach(&mut tx, 0, witness::to_remote(&sig, &point, script.as_deref()));
        Ok(Some(tx))
    }

    /// Claims an HTLC directly from the other side's commitment: with its preimage, or without one after its expiry.
    pub fn direct(
        &self,
        index: usize,
        preimage: Option<Preimage>,
        to: ScriptBuf,
    ) -> Result<Option<Transaction>, FixtureError> {
        let (outpoint, spent, script) = self.commitment.htlc_output(index)?;
        let (kind, lock_time) = match preimage {
            Some(_) => (ClaimPath::DirectPreimage, 0),
            None => (ClaimPath::DirectTimeout, self.expiry(index)?),
        };
        let sequence = relative(self.htlc_delay());
        let spot = Spot { kind, outpoint, spent, script: Some(script) };
        let Some(mut tx) = self.unsigned(&spot, sequence, lock_time, to) else { return Ok(None) };
        let sig = self.sign_htlc(&tx, 0, script, spent)?;
        attach(
            &mut tx,
            0,
            match preimage {
                Some(preimage) => witness::direct_preimage(&sig, &preimage, script),
                None => witness::direct_timeout(&sig, script),
            },
        );
        Ok(Some(tx))
    }

    /// The value that a coin must have, after paying for its own input, to carry this HTLC transaction (sat); `None` if the
    /// transaction pays its own fee.
    pub fn second_level_needs(&self, index: usize) -> Result<Option<u64>, FixtureError> {
        match self.channel_type() {
            ChannelType::StaticRemotekey => Ok(None),
            ChannelType::AnchorsZeroFeeHtlcTx => {
                let level = self.fixture.second_level(self.commitment, index)?;
                // A P2WPKH output of change: 31 bytes, and not dust.
                let weight = self.second_level_weight(&level.tx, &level.script, index).saturating_add(31 * 4);
                Ok(Some(self.fee_at_rate(weight).saturating_add(294)))
            }
        }
    }

    /// The HTLC transaction on the claimant's own commitment, with coins for its fee if it pays none itself.
    pub fn second_level(
        &self,
        index: usize,
        preimage: Option<Preimage>,
        fee: Option<(&Offer, &WalletKeys)>,
    ) -> Result<Transaction, FixtureError> {
        let level = self.fixture.second_level(self.commitment, index)?;
        let (mut tx, script) = (level.tx.clone(), &level.script);
        if let Some((offer, _)) = fee {
            let coins = u64::try_from(offer.inputs.len()).unwrap_or(u64::MAX).saturating_mul(P2WPKH_INPUT_WEIGHT);
            let weight = self.second_level_weight(&tx, script, index).saturating_add(31 * 4).saturating_add(coins);
            let value_sat = offer.inputs.iter().fold(0_u64, |sum, coin| sum.saturating_add(coin.value_sat));
            let change_sat = value_sat.saturating_sub(self.fee_at_rate(weight));
            let coins = offer.inputs.iter().map(|coin| input(coin.outpoint, Sequence::ENABLE_RBF_NO_LOCKTIME));
            tx.input.extend(coins);
            tx.output.push(TxOut { value: Amount::from_sat(change_sat), script_pubkey: offer.change.clone() });
        }
        let witness = self.second_level_witness(&tx, 0, &level, preimage)?;
        attach(&mut tx, 0, witness);
        if let Some((offer, keys)) = fee {
            for (index, coin) in (1..).zip(&offer.inputs) {
                let witness = coin_witness(&tx, index, coin, keys)?;
                attach(&mut tx, index, witness);
            }
        }
        Ok(tx)
    }

    /// The witness of an HTLC's input at its place in a second-level transaction, which may have other inputs and outputs.
    pub(super) fn second_level_witness(
        &self,
        tx: &Transaction,
        place: usize,
        level: &SecondLevel,
        preimage: Option<Preimage>,
    ) -> Result<Witness, FixtureError> {
        let own_sig = self.sign_htlc(tx, place, &level.script, &level.spent)?;
        let (other_sig, other_type) = (&level.other_sig, counterparty_sighash_type(self.channel_type()));
        Ok(match preimage {
            Some(preimage) => witness::htlc_success(other_sig, other_type, &own_sig, &preimage, &level.script),
            None => witness::htlc_timeout(other_sig, other_type, &own_sig, &level.script),
        })
    }

    /// Claims the delayed output of the claimant's own second-level transaction; `None` if this is not one.
    pub fn second_level_output(
        &self,
        outpoint: OutPoint,
        spent: &TxOut,
        to: ScriptBuf,
    ) -> Result<Option<Transaction>, FixtureError> {
        let keys = &self.commitment.built.keys;
        let script = delayed_script(&keys.revocation, self.own_delay(), &keys.owner_delayed);
        if script.to_p2wsh() != spent.script_pubkey {
            return Ok(None);
        }
        self.delayed(ClaimPath::SecondLevelOutput, outpoint, spent, &script, to)
    }

    fn delayed(
        &self,
        kind: ClaimPath,
        outpoint: OutPoint,
        spent: &TxOut,
        script: &Script,
        to: ScriptBuf,
    ) -> Result<Option<Transaction>, FixtureError> {
        let sequence = Sequence::from_height(self.own_delay());
        let spot = Spot { kind, outpoint, spent, script: Some(script) };
        let Some(mut tx) = self.unsigned(&spot, sequence, 0, to) else { return Ok(None) };
        let digest = sighash_p2wsh(&tx, 0, script, spent.value.to_sat(), EcdsaSighashType::All)?;
        let secret = self.fixture.setup().keys(self.side).delayed_secret(&self.point())?;
        let sig = sign(&secret, digest)?;
        attach(&mut tx, 0, witness::delayed(&sig, script));
        Ok(Some(tx))
    }

    /// One input, one output, and the fee for the weight with its witness.
    fn unsigned(&self, spot: &Spot<'_>, sequence: Sequence, lock_time: u32, to: ScriptBuf) -> Option<Transaction> {
        let value_sat = spot.spent.value.to_sat();
        let mut tx = Transaction {
            version: Version::TWO,
            lock_time: LockTime::from_consensus(lock_time),
            input: vec![input(spot.outpoint, sequence)],
            output: vec![TxOut { value: spot.spent.value, script_pubkey: to }],
        };
        let weight = tx.weight().to_wu().saturating_add(self.witness_weight(spot.kind, spot.script));
        let output = tx.output.first_mut()?;
        let spare_sat = value_sat.checked_sub(output.script_pubkey.minimal_non_dust().to_sat())?;
        let fee_sat = self.rates.fee_sat(weight, spare_sat)?;
        output.value = Amount::from_sat(value_sat.saturating_sub(fee_sat));
        Some(tx)
    }

    fn witness_weight(&self, kind: ClaimPath, script: Option<&Script>) -> u64 {
        let script_len = script.and_then(|script| u64::try_from(script.len()).ok());
        claim_witness_weight(kind, self.channel_type(), script_len).saturating_add(SEGWIT_WEIGHT)
    }

    fn second_level_weight(&self, tx: &Transaction, script: &Script, index: usize) -> u64 {
        tx.weight().to_wu().saturating_add(self.second_level_witness_weight(script, index))
    }

    pub(super) fn second_level_witness_weight(&self, script: &Script, index: usize) -> u64 {
        let by_claimant = self.commitment.terms.get(index).is_some_and(|htlc| htlc.offered_by_owner);
        let kind = if by_claimant { ClaimPath::HtlcTimeout } else { ClaimPath::HtlcSuccess };
        self.witness_weight(kind, Some(script))
    }

    pub(super) fn fee_at_rate(&self, weight: u64) -> u64 {
        weight.saturating_mul(u64::from(self.rates.at_least_floor_sat_per_kw())).div_ceil(1000)
    }

    fn sign_htlc(
        &self,
        tx: &Transaction,
        place: usize,
        script: &Script,
        spent: &TxOut,
    ) -> Result<CompactSig, FixtureError> {
        let digest = sighash_p2wsh(tx, place, script, spent.value.to_sat(), EcdsaSighashType::All)?;
        let secret = self.fixture.setup().keys(self.side).htlc_secret(&self.point())?;
        Ok(sign(&secret, digest)?)
    }

    fn expiry(&self, index: usize) -> Result<u32, FixtureError> {
        let htlc = self.commitment.htlcs.get(index).ok_or(FixtureError::NoSuchHtlc { index })?;
        Ok(htlc.cltv_expiry.get())
    }

    fn point(&self) -> Point {
        self.commitment.built.keys.per_commitment_point
    }
}

pub(super) fn coin_witness(
    tx: &Transaction,
    index: usize,
    coin: &FeeInput,
    keys: &WalletKeys,
) -> Result<Witness, FixtureError> {
    let unknown = FixtureError::UnknownCoin { coin: coin.outpoint };
    let secret = keys.secret_of(&coin.script).ok_or(unknown)?;
    let point = Point::from_secret(secp(), &secret)?;
    let sig = sign(&secret, sighash_p2wpkh(tx, index, &point, coin.value_sat, EcdsaSighashType::All)?)?;
    Ok(witness::to_remote(&sig, &point, None))
}

pub(super) fn attach(tx: &mut Transaction, index: usize, witness: Witness) {
    if let Some(input) = tx.input.get_mut(index) {
        input.witness = witness;
    }
}

pub(super) fn input(previous_output: OutPoint, sequence: Sequence) -> TxIn {
    TxIn { previous_output, script_sig: ScriptBuf::new(), sequence, witness: Witness::new() }
}

/// A relative lock. Without one the input signals replacement and is not final, so that an absolute lock holds.
fn relative(delay_blocks: u16) -> Sequence {
    if delay_blocks == 0 { Sequence::ENABLE_RBF_NO_LOCKTIME } else { Sequence::from_height(delay_blocks) }
}
