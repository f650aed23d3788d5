//! What a resolver may read, and the claims and stages that it answers with.
//!
//! Tests: `arb-harness/lab/tests/thief_suite/fees.rs`, `arb-harness/lab/tests/court_suite/breach_state.rs`.

use crate::api::facts::Side;
use crate::api::ids::HtlcRef;
use crate::api::outcome::ContractOutcome;
use crate::api::policy::Policy;
use crate::api::units::{Blocks, Height};
use crate::bolt3::{ClaimPath, CompactSig, INPUT_BASE_WEIGHT, Point, Preimage, Secret, claim_witness_weight};
use crate::channel::{ChannelArbitrator, Close, HtlcState, SpendOf};
use crate::resolver::Next;
use crate::sweep::price::{FEERATE_LEAST, FRAME_WEIGHT, WIDEST_DUST_SAT, WIDEST_OUTPUT_WEIGHT, fee_sat};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use bitcoin::{OutPoint, ScriptBuf, Sequence, TxOut, Txid};

/// What a resolver may read: one channel, its close and the spends below it, at one tip and under one policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResolverKit<'a> {
    pub(crate) channel: &'a ChannelArbitrator,
    pub(crate) close: &'a Close,
    pub(crate) spends: &'a BTreeMap<OutPoint, SpendOf>,
    pub(crate) tip: Height,
    pub(crate) policy: &'a Policy,
    /// Whether an output that was given up counts as wanted still: its report names what is left.
    pub(crate) ignores_give_ups: bool,
}

/// What a contract waits for; each `until` is a tip height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContractStage {
    /// Its output matures, expires or is given up at this height.
    Waiting { until: Height },
    /// A preimage, until this height at most.
    Contested { until: Height },
    /// The sweeper is to claim its output.
    ClaimWanted(Arc<Claim>),
    /// Its output was spent, irrevocably at this height.
    Spent { until: Height },
}

/// Where a contract stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContractState {
    Live(ContractStage),
    Done(ContractOutcome),
}

/// A resolver's wish to spend one outpoint, with everything that the input and its signature need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) outpoint: OutPoint,
    pub(crate) way: ClaimWay,
    pub(crate) amount_sat: u64,
    pub(crate) script_pubkey: ScriptBuf,
    /// `None` if the output is P2WPKH.
    pub(crate) witness_script: Option<ScriptBuf>,
    pub(crate) sequence: Sequence,
    pub(crate) lock_time: Height,
    /// The tip height from which on a spend can be mined in the next block.
    pub(crate) since: Height,
    /// The block by which it should confirm; `None` if nobody contests it.
    pub(crate) deadline: Option<Height>,
}

/// The path by which an output is spent, with what that path alone needs. `point` is the per-commitment point that tweaks our
/// key; `key` is the public key that signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClaimWay {
    ToLocal { point: Point },
    ToRemote,
    HtlcTimeout { point: Point, htlc: HtlcRef, peer_signature: CompactSig },
    HtlcSuccess { point: Point, htlc: HtlcRef, peer_signature: CompactSig, preimage: Preimage },
    SecondLevelOutput { point: Point },
    DirectTimeout { point: Point, htlc: HtlcRef },
    DirectPreimage { point: Point, htlc: HtlcRef, preimage: Preimage },
    Anchor { funding: OutPoint, key: Point },
    ToLocalPenalty(RevocationKey),
    OfferedPenalty(RevocationKey),
    ReceivedPenalty(RevocationKey),
    SecondLevelPenalty(RevocationKey),
}

/// The revocation public key of a revoked commitment, and the per-commitment secret that its private key is derived with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RevocationKey {
    pub(crate) key: Point,
    pub(crate) secret: Secret,
}

impl ClaimWay {
    /// The HTLC whose own output this claims.
    pub(crate) const fn htlc(&self) -> Option<HtlcRef> {
        match self {
            Self::HtlcTimeout { htlc, .. }
            | Self::HtlcSuccess { htlc, .. }
            | Self::DirectTimeout { htlc, .. }
            | Self::DirectPreimage { htlc, .. } => Some(*htlc),
            Self::ToLocal { .. }
            | Self::ToRemote
            | Self::SecondLevelOutput { .. }
            | Self::Anchor { .. }
            | Self::ToLocalPenalty(_)
            | Self::OfferedPenalty(_)
            | Self::ReceivedPenalty(_)
            | Self::SecondLevelPenalty(_) => None,
        }
    }

    pub(crate) const fn path(&self) -> ClaimPath {
        match self {
            Self::ToLocal { .. } => ClaimPath::ToLocal,
            Self::ToRemote => ClaimPath::ToRemote,
            Self::HtlcTimeout { .. } => ClaimPath::HtlcTimeout,
            Self::HtlcSuccess { .. } => ClaimPath::HtlcSuccess,
            Self::SecondLevelOutput { .. } => ClaimPath::SecondLevelOutput,
            Self::DirectTimeout { .. } => ClaimPath::DirectTimeout,
            Self::DirectPreimage { .. } => ClaimPath::DirectPreimage,
            Self::Anchor { .. } => ClaimPath::Anchor,
            Self::ToLocalPenalty(_) => ClaimPath::ToLocalPenalty,
            Self::OfferedPenalty(_) => ClaimPath::OfferedPenalty,
            Self::ReceivedPenalty(_) => ClaimPath::ReceivedPenalty,
            Self::SecondLevelPenalty(_) => ClaimPath::SecondLevelPenalty,
        }
    }
}

impl Claim {
    /// The tip height at which we stop waiting for lower feerates: `irrevocable_depth` past its maturity or its deadline,
    /// whichever is later. A preimage may make an output claimable long after the output matured.
    pub(crate) fn worth_waiting_until(&self, policy: &Policy) -> Height {
        self.deadline.map_or(self.since, |deadline| deadline.max(self.since)).after(policy.irrevocable_depth)
    }
}

impl<'a> ResolverKit<'a> {
    /// How an outpoint was spent; `None` while it is unspent.
    pub(crate) fn spend_of(&self, outpoint: &OutPoint) -> Option<&'a SpendOf> {
        self.spends.get(outpoint)
    }

    /// Whose commitment confirmed.
    pub(crate) const fn owner(&self) -> Side {
        self.close.owner
    }

    pub(crate) fn htlc(&self, htlc: HtlcRef) -> Option<&'a HtlcState> {
        self.channel.htlcs.get(&htlc)
    }

    /// The stage of a contract whose last output was spent; its end once the spend is irrevocable.
    pub(crate) fn follow(&self, spend: &SpendOf, outcome: ContractOutcome) -> Next {
        if self.tip.buries(spend.height, self.policy.irrevocable_depth) {
            Next::Done(outcome)
        } else {
            Next::Stay(ContractStage::Spent { until: Height::buried_at(spend.height, self.policy.irrevocable_depth) })
        }
    }

    /// The stage of an unspent output: it waits for its maturity, then it is wanted. If its claim costs more than it is worth,
    /// it ends as uneconomic at [`Claim::worth_waiting_until`].
    pub(crate) fn claim(&self, claim: Claim) -> Next {
        if !self.ignores_give_ups && self.channel.requests.sweeper.abandoned.contains(&claim.outpoint) {
            return Next::Done(ContractOutcome::Uneconomic);
        }
        if self.tip < claim.since {
            return Next::Stay(ContractStage::Waiting { until: claim.since });
        }
        let uneconomic = self.channel.requests.sweeper.uneconomic.contains_key(&claim.outpoint);
        if !self.ignores_give_ups
            && uneconomic
            && self.tip >= claim.worth_waiting_until(self.policy)
            && !self.can_pay_ever(&claim)
        {
            return Next::Done(ContractOutcome::Uneconomic);
        }
        Next::Stay(ContractStage::ClaimWanted(Arc::new(claim)))
    }

    /// Whether a claim leaves something at the lowest feerate that nodes relay. What is unspent and still ours to spend is not
    /// given up by time while it does (A14): prices fall again.
    fn can_pay_ever(&self, claim: &Claim) -> bool {
        let channel_type = self.channel.facts.channel_type;
        let input = |path| INPUT_BASE_WEIGHT.saturating_add(claim_witness_weight(path, channel_type, None));
        let alone = |path| FRAME_WEIGHT.saturating_add(input(path)).saturating_add(WIDEST_OUTPUT_WEIGHT);
        let weight = match claim.way {
            // The wallet pays for the first stage, if it is worth the second.
            ClaimWay::HtlcTimeout { .. } | ClaimWay::HtlcSuccess { .. } => alone(ClaimPath::SecondLevelOutput),
            ClaimWay::Anchor { .. } => return false,
            ClaimWay::ToLocal { .. }
            | ClaimWay::ToRemote
            | ClaimWay::SecondLevelOutput { .. }
            | ClaimWay::DirectTimeout { .. }
            | ClaimWay::DirectPreimage { .. }
            | ClaimWay::ToLocalPenalty(_)
            | ClaimWay::OfferedPenalty(_)
            | ClaimWay::ReceivedPenalty(_)
            | ClaimWay::SecondLevelPenalty(_) => alone(claim.way.path()),
        };
        claim.amount_sat >= fee_sat(weight, FEERATE_LEAST).saturating_add(WIDEST_DUST_SAT)
    }

    /// The tip height from which on the next block may spend an output that confirmed at `height` under a CSV of `delay` blocks
    /// (BIP 68). It is also the height of the last block that cannot hold such a spend.
    pub(crate) const fn matures(height: Height, delay: u16) -> Height {
        Height::new(height.get().saturating_add(widen(delay))).before(Blocks::new(1))
    }

    /// The output at an outpoint; `None` if the chain's facts have no such output.
    pub(crate) fn output(&self, outpoint: &OutPoint) -> Option<&'a TxOut> {
        self.channel.chain.output(outpoint)
    }

    /// The output of a spending transaction at the index of this input, as second-level transactions pair them (BOLT 3).
    pub(crate) fn child(&self, txid: Txid, input: u32) -> Option<(OutPoint, &'a TxOut)> {
        let outpoint = OutPoint { txid, vout: input };
        Some((outpoint, self.output(&outpoint)?))
    }
}

/// `u32::from` is not const.
const fn widen(delay: u16) -> u32 {
    let [high, low] = delay.to_be_bytes();
    u32::from_be_bytes([0, 0, high, low])
}
