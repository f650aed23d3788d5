//! One channel with fixed secrets, its commitment transaction, and every claim of BOLT 5 on it.
#![allow(dead_code, reason = "each test crate uses its own part")]

use arb_core::bolt3::{
    Basepoints, BuiltCommitment, ChannelType, ClaimPath, CommitmentHtlc, CommitmentTerms, CompactSig, OutputKind,
    Point, Preimage, Secret, SpendPath, counterparty_sighash_type, delayed_script, derive_private_key, point_of_secret,
    revocation_private_key, second_level_tx, sighash_p2wpkh, sighash_p2wsh, witness,
};
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, EcdsaSighashType, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, WPubkeyHash, Witness,
};

use crate::support::sign;

pub(crate) const DELAY: u16 = 144;
pub(crate) const EXPIRY: u32 = 800_144;
pub(crate) const FEERATE: u32 = 1000;
pub(crate) const FUNDING_SAT: u64 = 1_000_000;
pub(crate) const TYPES: [ChannelType; 2] = [ChannelType::StaticRemotekey, ChannelType::AnchorsZeroFeeHtlcTx];

/// A side's five secrets.
#[derive(Clone, Copy)]
pub(crate) struct Side {
    pub(crate) funding: Secret,
    pub(crate) revocation: Secret,
    pub(crate) payment: Secret,
    pub(crate) delayed: Secret,
    pub(crate) htlc: Secret,
}

impl Side {
    fn new(first: u8) -> Self {
        let secret = |offset: u8| Secret([first + offset; 32]);
        Self { funding: secret(0), revocation: secret(1), payment: secret(2), delayed: secret(3), htlc: secret(4) }
    }

    fn basepoints(&self, secp: &Secp256k1<All>) -> Basepoints {
        let point = |secret| point_of_secret(secp, secret).unwrap();
        Basepoints {
            revocation: point(&self.revocation),
            payment: point(&self.payment),
            delayed_payment: point(&self.delayed),
            htlc: point(&self.htlc),
        }
    }
}

pub(crate) struct World {
    pub(crate) secp: Secp256k1<All>,
    pub(crate) channel_type: ChannelType,
    pub(crate) owner: Side,
    pub(crate) other: Side,
    pub(crate) owner_base: Basepoints,
    pub(crate) other_base: Basepoints,
    pub(crate) per_commitment_secret: Secret,
    pub(crate) preimage: Preimage,
    pub(crate) htlcs: Vec<CommitmentHtlc>,
}

/// An output to claim.
pub(crate) struct Spot {
    pub(crate) outpoint: OutPoint,
    pub(crate) output: TxOut,
    pub(crate) script: Option<ScriptBuf>,
}

impl World {
    /// HTLC 0 is offered by the owner, HTLC 1 received.
    pub(crate) fn new(channel_type: ChannelType) -> Self {
        let secp = Secp256k1::new();
        let (owner, other) = (Side::new(0x11), Side::new(0x41));
        let preimage = Preimage([0x77; 32]);
        let htlc = |offered_by_owner, amount_msat| CommitmentHtlc {
            offered_by_owner,
            amount_msat,
            payment_hash: preimage.hash(),
            cltv_expiry: EXPIRY,
        };
        Self {
            channel_type,
            owner,
            other,
            owner_base: owner.basepoints(&secp),
            other_base: other.basepoints(&secp),
            per_commitment_secret: Secret([0x22; 32]),
            preimage,
            htlcs: vec![htlc(true, 50_000_000), htlc(false, 60_000_000)],
            secp,
        }
    }

    pub(crate) fn point(&self, secret: &Secret) -> Point {
        point_of_secret(&self.secp, secret).unwrap()
    }

    pub(crate) fn terms(&self) -> CommitmentTerms<'_> {
        CommitmentTerms {
            channel_type: self.channel_type,
            funding: OutPoint::new(Txid::from_byte_array([0xf0; 32]), 1),
            funding_value_sat: FUNDING_SAT,
            owner_funding: self.point(&self.owner.funding),
            other_funding: self.point(&self.other.funding),
            owner: &self.owner_base,
            other: &self.other_base,
            owner_is_opener: true,
            owner_delay_blocks: DELAY,
            owner_dust_limit_sat: 546,
            number: 7,
            point: self.point(&self.per_commitment_secret),
            feerate_sat_per_kw: FEERATE,
            owner_msat: 500_000_000,
            other_msat: 250_000_000,
            htlcs: &self.htlcs,
        }
    }

    pub(crate) fn build(&self) -> BuiltCommitment {
        self.terms().build(&self.secp).unwrap()
    }

    /// Every kind of claim that this channel type has.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = ClaimPath> {
        let anchors = self.channel_type == ChannelType::AnchorsZeroFeeHtlcTx;
        let is_anchor = |kind| matches!(kind, ClaimPath::Anchor | ClaimPath::AnchorByAnyone);
        ClaimPath::ALL.into_iter().filter(move |kind| anchors || !is_anchor(*kind))
    }

    /// The output that a claim of this kind spends.
    pub(crate) fn spot(&self, kind: ClaimPath) -> Spot {
        let built = self.build();
        let wanted = match kind {
            ClaimPath::ToLocal | ClaimPath::ToLocalPenalty => OutputKind::ToOwner,
            ClaimPath::ToRemote => OutputKind::ToOther,
            ClaimPath::Anchor | ClaimPath::AnchorByAnyone => OutputKind::OwnerAnchor,
            ClaimPath::HtlcTimeout | ClaimPath::DirectPreimage | ClaimPath::OfferedPenalty => OutputKind::Htlc(0),
            ClaimPath::HtlcSuccess | ClaimPath::DirectTimeout | ClaimPath::ReceivedPenalty => OutputKind::Htlc(1),
            ClaimPath::SecondLevelOutput | ClaimPath::SecondLevelPenalty => {
                let tx = self.second_level(&built, 0);
                let script = delayed_script(&built.keys.revocation, DELAY, &built.keys.owner_delayed);
                let outpoint = OutPoint::new(tx.compute_txid(), 0);
                return Spot { outpoint, output: tx.output[0].clone(), script: Some(script) };
            }
        };
        let vout = built.outputs.iter().position(|kind| *kind == wanted).unwrap();
        let number = u32::try_from(vout).unwrap();
        Spot {
            outpoint: OutPoint::new(built.txid, number),
            output: built.tx.output[vout].clone(),
            script: built.output_script(&self.terms(), number),
        }
    }

    pub(crate) fn second_level(&self, built: &BuiltCommitment, htlc: usize) -> Transaction {
        let vout = built.htlc_vouts[htlc].unwrap();
        second_level_tx(self.channel_type, built.txid, vout, &self.htlcs[htlc], FEERATE, &built.keys, DELAY).unwrap()
    }

    /// The unsigned claim, with the sequence and locktime that its script demands.
    pub(crate) fn unsigned(&self, kind: ClaimPath, spot: &Spot) -> Transaction {
        if kind == ClaimPath::HtlcTimeout {
            return self.second_level(&self.build(), 0);
        }
        if kind == ClaimPath::HtlcSuccess {
            return self.second_level(&self.build(), 1);
        }
        let sequence =
            self.csv(kind).map_or(Sequence::ENABLE_RBF_NO_LOCKTIME, |blocks| Sequence::from_consensus(blocks.into()));
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::from_consensus(self.cltv(kind).unwrap_or(0)),
            input: vec![TxIn {
                previous_output: spot.outpoint,
                script_sig: ScriptBuf::new(),
                sequence,
                witness: Witness::new(),
            }],
            output: vec![TxOut {
                value: spot.output.value / 2,
                script_pubkey: ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([0xee; 20])),
            }],
        }
    }

    /// What the script's CHECKSEQUENCEVERIFY demands.
    pub(crate) fn csv(&self, kind: ClaimPath) -> Option<u16> {
        let anchors = self.channel_type == ChannelType::AnchorsZeroFeeHtlcTx;
        match kind {
            ClaimPath::ToLocal | ClaimPath::SecondLevelOutput => Some(DELAY),
            ClaimPath::ToRemote
            | ClaimPath::HtlcTimeout
            | ClaimPath::HtlcSuccess
            | ClaimPath::DirectPreimage
            | ClaimPath::DirectTimeout => anchors.then_some(1),
            ClaimPath::AnchorByAnyone => Some(16),
            ClaimPath::ToLocalPenalty
            | ClaimPath::SecondLevelPenalty
            | ClaimPath::Anchor
            | ClaimPath::OfferedPenalty
            | ClaimPath::ReceivedPenalty => None,
        }
    }

    /// What the script's CHECKLOCKTIMEVERIFY demands.
    pub(crate) fn cltv(&self, kind: ClaimPath) -> Option<u32> {
        (kind == ClaimPath::DirectTimeout).then_some(EXPIRY)
    }

    /// The key that signs this claim, derived as its holder derives it.
    pub(crate) fn key(&self, kind: ClaimPath) -> Secret {
        let point = self.point(&self.per_commitment_secret);
        let derive = |base: &Secret| derive_private_key(&self.secp, base, &point).unwrap();
        match kind {
            ClaimPath::ToLocal | ClaimPath::SecondLevelOutput => derive(&self.owner.delayed),
            ClaimPath::ToLocalPenalty
            | ClaimPath::SecondLevelPenalty
            | ClaimPath::OfferedPenalty
            | ClaimPath::ReceivedPenalty => {
                revocation_private_key(&self.secp, &self.other.revocation, &self.per_commitment_secret).unwrap()
            }
            ClaimPath::ToRemote => self.other.payment,
            ClaimPath::Anchor | ClaimPath::AnchorByAnyone => self.owner.funding,
            ClaimPath::HtlcTimeout | ClaimPath::HtlcSuccess => derive(&self.owner.htlc),
            ClaimPath::DirectPreimage | ClaimPath::DirectTimeout => derive(&self.other.htlc),
        }
    }

    /// The message that this claim's first input signs.
    pub(crate) fn message(&self, tx: &Transaction, spot: &Spot, kind: EcdsaSighashType) -> [u8; 32] {
        let value_sat = spot.output.value.to_sat();
        match &spot.script {
            Some(script) => sighash_p2wsh(tx, 0, script, value_sat, kind).unwrap(),
            None => sighash_p2wpkh(tx, 0, &self.other_base.payment, value_sat, kind).unwrap(),
        }
    }

    /// The counterparty's signature on a second-level transaction, over its pre-signed form.
    pub(crate) fn counterparty_sig(&self, tx: &Transaction, spot: &Spot) -> CompactSig {
        let message = self.message(tx, spot, counterparty_sighash_type(self.channel_type));
        let point = self.point(&self.per_commitment_secret);
        let key = derive_private_key(&self.secp, &self.other.htlc, &point).unwrap();
        sign(&self.secp, message, &key)
    }

    /// The witness of a claim from its signatures.
    pub(crate) fn witness(&self, kind: ClaimPath, spot: &Spot, sig: &CompactSig, other_sig: &CompactSig) -> Witness {
        let other_type = counterparty_sighash_type(self.channel_type);
        let Some(script) = &spot.script else {
            return witness::to_remote(sig, &self.other_base.payment, None);
        };
        match kind {
            ClaimPath::ToLocal | ClaimPath::SecondLevelOutput => witness::delayed(sig, script),
            ClaimPath::ToLocalPenalty | ClaimPath::SecondLevelPenalty => witness::penalty(sig, script),
            ClaimPath::ToRemote => witness::to_remote(sig, &self.other_base.payment, Some(script)),
            ClaimPath::Anchor => witness::anchor_by_key(sig, script),
            ClaimPath::AnchorByAnyone => witness::anchor_by_anyone(script),
            ClaimPath::HtlcTimeout => witness::htlc_timeout(other_sig, other_type, sig, script),
            ClaimPath::HtlcSuccess => witness::htlc_success(other_sig, other_type, sig, &self.preimage, script),
            ClaimPath::DirectPreimage => witness::direct_preimage(sig, &self.preimage, script),
            ClaimPath::DirectTimeout => witness::direct_timeout(sig, script),
            ClaimPath::OfferedPenalty | ClaimPath::ReceivedPenalty => {
                witness::htlc_penalty(sig, &self.build().keys.revocation, script)
            }
        }
    }

    /// A claim, signed and complete.
    pub(crate) fn signed(&self, kind: ClaimPath, spot: &Spot) -> Transaction {
        let mut tx = self.unsigned(kind, spot);
        let other_sig = self.counterparty_sig(&tx, spot);
        let sig = sign(&self.secp, self.message(&tx, spot, EcdsaSighashType::All), &self.key(kind));
        tx.input[0].witness = self.witness(kind, spot, &sig, &other_sig);
        tx
    }

    /// The path that this claim's witness must be read as.
    pub(crate) fn path(&self, kind: ClaimPath) -> SpendPath {
        match kind {
            ClaimPath::ToLocal | ClaimPath::SecondLevelOutput => SpendPath::Delayed,
            ClaimPath::ToLocalPenalty
            | ClaimPath::SecondLevelPenalty
            | ClaimPath::OfferedPenalty
            | ClaimPath::ReceivedPenalty => SpendPath::Revocation,
            ClaimPath::ToRemote => SpendPath::ToRemote,
            ClaimPath::Anchor => SpendPath::AnchorKey,
            ClaimPath::AnchorByAnyone => SpendPath::AnchorAnyone,
            ClaimPath::HtlcTimeout => SpendPath::SecondLevelTimeout,
            ClaimPath::HtlcSuccess => SpendPath::SecondLevelSuccess(self.preimage),
            ClaimPath::DirectPreimage => SpendPath::Preimage(self.preimage),
            ClaimPath::DirectTimeout => SpendPath::Timeout,
        }
    }
}

/// `value` plus one satoshi.
pub(crate) fn one_more(value: Amount) -> Amount {
    value + Amount::ONE_SAT
}
