//! Several HTLCs of one commitment and coins of a wallet in one transaction, for either side.
//!
//! On the claimant's own commitment HTLCs go through their second level, and the other side's signature ties each input to
//! the output of its number. On the other side's commitment they are spent directly, and their value goes to one output at
//! the end. The former needs a channel type with zero-fee HTLC transactions: the signature of the older type covers the
//! whole transaction. The caller chooses the absolute fee.

use arb_core::Side;
use arb_core::bolt3::{
    ChannelType, CompactSig, Point, Preimage, counterparty_sighash_type, sighash_p2wpkh, sighash_p2wsh, witness,
};
use arb_harness::keys::WalletKeys;
use arb_harness::keys::{secp, sign};
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, EcdsaSighashType, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};

use crate::chain::Chain;
use crate::fixture::{ChannelFixture, Commitment, FixtureError};

/// An HTLC output to be spent, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Its position in the commitment's list.
    pub index: usize,
    /// The preimage; `None` to claim after the expiry.
    pub preimage: Option<Preimage>,
}

/// What one transaction spends, and the script for what is left.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The channel.
    pub fixture: &'a ChannelFixture,
    /// The side that spends.
    pub side: Side,
    /// The commitment with the HTLCs.
    pub commitment: &'a Commitment,
    /// The HTLCs.
    pub targets: &'a [Target],
    /// The output number of the claimant's anchor, if it is spent, too.
    pub anchor: Option<u32>,
    /// Coins of the wallet, which are spent, too.
    pub coins: &'a [(OutPoint, TxOut)],
    /// The wallet's keys.
    pub keys: &'a WalletKeys,
    /// The script for what is left.
    pub to: &'a ScriptBuf,
    /// How many further outputs of how many satoshi pay the same script.
    pub extra: (u32, u64),
}

/// How an input will be signed.
enum Lock<'a> {
    Direct { script: &'a ScriptBuf, preimage: Option<Preimage> },
    SecondLevel { script: ScriptBuf, other_sig: CompactSig, preimage: Option<Preimage> },
    Anchor { script: &'a ScriptBuf },
    Coin,
}

/// A transaction without witnesses, and how each input is signed.
struct Unsigned<'a> {
    tx: Transaction,
    spent: Vec<(TxOut, Lock<'a>)>,
}

impl<'a> Batch<'a> {
    /// Whether this claimant can spend several HTLCs of this commitment in one transaction.
    pub fn can_claim(&self) -> bool {
        self.commitment.owner != self.side || self.fixture.setup().channel_type == ChannelType::AnchorsZeroFeeHtlcTx
    }

    /// The absolute lock of a target. On the claimant's own commitment the other side's signatures cover it, so only
    /// targets with equal locks go together.
    pub fn lock_time(&self, target: &Target) -> u32 {
        let expiry = self.commitment.htlcs.get(target.index).map_or(0, |htlc| htlc.cltv_expiry.get());
        if target.preimage.is_some() { 0 } else { expiry }
    }

    /// The signed transaction with this fee; `None` if what is left is dust.
    pub fn pay(&self, fee_sat: u64) -> Result<Option<Transaction>, FixtureError> {
        let Some(unsigned) = self.assemble(fee_sat)? else { return Ok(None) };
        self.sign_all(unsigned).map(Some)
    }

    /// The transaction at the least fee that the mempool accepts. Some signatures are a byte shorter, so it may pay for one
    /// virtual byte too many.
    pub fn cheapest(&self, chain: &Chain) -> Result<Option<Transaction>, FixtureError> {
        let Some(mut tx) = self.pay(0)? else { return Ok(None) };
        let mut paid = 0;
        for _ in 0..4 {
            let needed = chain.price_of(&tx);
            if needed <= paid {
                break;
            }
            paid = needed;
            let Some(better) = self.pay(paid)? else { return Ok(None) };
            tx = better;
        }
        Ok(Some(tx))
    }

    fn assemble(&self, fee_sat: u64) -> Result<Option<Unsigned<'a>>, FixtureError> {
        let (mut spent, mut left_sat, mut lock_time) = (Vec::new(), 0_u64, 0);
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for target in self.targets {
            lock_time = self.lock_time(target).max(lock_time);
            let (outpoint, txout, script) = self.commitment.htlc_output(target.index)?;
            if self.commitment.owner == self.side {
                let level = self.fixture.second_level(self.commitment, target.index)?;
                inputs.extend(level.tx.input);
                outputs.extend(level.tx.output);
                let (script, other_sig) = (level.script, level.other_sig);
                spent.push((level.spent, Lock::SecondLevel { script, other_sig, preimage: target.preimage }));
            } else {
                let sequence = match self.fixture.setup().channel_type {
                    ChannelType::StaticRemotekey => Sequence::ENABLE_RBF_NO_LOCKTIME,
                    ChannelType::AnchorsZeroFeeHtlcTx => Sequence::from_height(1),
                };
                inputs.push(input(outpoint, sequence));
                left_sat = left_sat.saturating_add(txout.value.to_sat());
                spent.push((txout.clone(), Lock::Direct { script, preimage: target.preimage }));
            }
        }
        let anchor = self.anchor.and_then(|vout| Some((vout, usize::try_from(vout).ok()?)));
        if let Some((vout, place)) = anchor {
            let outputs = &self.commitment.built.tx.output;
            if let (Some(txout), Some(Some(script))) = (outputs.get(place), self.commitment.scripts.get(place)) {
                inputs.push(input(self.commitment.outpoint(vout), Sequence::ENABLE_RBF_NO_LOCKTIME));
                left_sat = left_sat.saturating_add(txout.value.to_sat());
                spent.push((txout.clone(), Lock::Anchor { script }));
            }
        }
        for (outpoint, txout) in self.coins {
            inputs.push(input(*outpoint, Sequence::ENABLE_RBF_NO_LOCKTIME));
            left_sat = left_sat.saturating_add(txout.value.to_sat());
            spent.push((txout.clone(), Lock::Coin));
        }
        let (count, each_sat) = self.extra;
        let small = TxOut { value: Amount::from_sat(each_sat), script_pubkey: self.to.clone() };
        outputs.extend((0..count).map(|_| small.clone()));
        let Some(left_sat) = left_sat.checked_sub(fee_sat.saturating_add(u64::from(count).saturating_mul(each_sat)))
        else {
            return Ok(None);
        };
        if left_sat >= self.to.minimal_non_dust().to_sat() {
            outputs.push(TxOut { value: Amount::from_sat(left_sat), script_pubkey: self.to.clone() });
        } else if left_sat > 0 || outputs.is_empty() {
            return Ok(None);
        }
        let lock_time = LockTime::from_consensus(lock_time);
        let tx = Transaction { version: Version::TWO, lock_time, input: inputs, output: outputs };
        Ok(Some(Unsigned { tx, spent }))
    }

    fn sign_all(&self, unsigned: Unsigned<'a>) -> Result<Transaction, FixtureError> {
        let mut signed = unsigned.tx.clone();
        for ((place, (txout, lock)), input) in unsigned.spent.iter().enumerate().zip(&mut signed.input) {
            input.witness = self.witness(&unsigned.tx, place, txout, lock)?;
        }
        Ok(signed)
    }

    fn witness(&self, tx: &Transaction, place: usize, txout: &TxOut, lock: &Lock<'_>) -> Result<Witness, FixtureError> {
        let (value_sat, all) = (txout.value.to_sat(), EcdsaSighashType::All);
        let keys = self.fixture.setup().keys(self.side);
        let by_htlc_key = |script: &ScriptBuf| -> Result<CompactSig, FixtureError> {
            let secret = keys.htlc_secret(&self.commitment.built.keys.per_commitment_point)?;
            Ok(sign(&secret, sighash_p2wsh(tx, place, script, value_sat, all)?)?)
        };
        Ok(match lock {
            Lock::Direct { script, preimage: Some(preimage) } => {
                witness::direct_preimage(&by_htlc_key(script)?, preimage, script)
            }
            Lock::Direct { script, preimage: None } => witness::direct_timeout(&by_htlc_key(script)?, script),
            Lock::SecondLevel { script, other_sig, preimage } => {
                let (other_type, own) =
                    (counterparty_sighash_type(self.fixture.setup().channel_type), by_htlc_key(script)?);
                match preimage {
                    Some(preimage) => witness::htlc_success(other_sig, other_type, &own, preimage, script),
                    None => witness::htlc_timeout(other_sig, other_type, &own, script),
                }
            }
            Lock::Anchor { script } => {
                let digest = sighash_p2wsh(tx, place, script, value_sat, all)?;
                witness::anchor_by_key(&sign(&keys.secrets().funding, digest)?, script)
            }
            Lock::Coin => {
                let coin = tx.input.get(place).map_or(OutPoint::null(), |input| input.previous_output);
                let secret = self.keys.secret_of(&txout.script_pubkey).ok_or(FixtureError::UnknownCoin { coin })?;
                let point = Point::from_secret(secp(), &secret)?;
                let sig = sign(&secret, sighash_p2wpkh(tx, place, &point, value_sat, all)?)?;
                witness::to_remote(&sig, &point, None)
            }
        })
    }
}

fn input(previous_output: OutPoint, sequence: Sequence) -> TxIn {
    TxIn { previous_output, script_sig: ScriptBuf::new(), sequence, witness: Witness::new() }
}
