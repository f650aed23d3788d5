//! What a resolver may look at, and what it may wish for.

use crate::api::facts::Side;
use crate::api::ids::HtlcRef;
use crate::api::outcome::ContractOutcome;
use crate::api::policy::Policy;
use crate::api::units::{Blocks, Height};
use crate::bolt3::{ClaimPath, CompactSig, Point, Preimage, Secret};
use crate::channel::{ChannelArbitrator, Close, HtlcState, SpendOf};
use crate::resolver::Next;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use bitcoin::{OutPoint, ScriptBuf, Sequence, TxOut, Txid};

/// What a resolver may look at; all borrowed, read-only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResolverKit<'a> {
    pub(crate) channel: &'a ChannelArbitrator,
    pub(crate) close: &'a Close,
    pub(crate) spends: &'a BTreeMap<OutPoint, SpendOf>,
    pub(crate) tip: Height,
    pub(crate) policy: &'a Policy,
}

/// What a contract waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContractStage {
    /// A height: maturity or expiry.
    Waiting { until: Height },
    /// A preimage, until this height at most.
    Contested { until: Height },
    /// The sweeper.
    ClaimWanted(Arc<Claim>),
    /// Spent; irrevocable at this height.
    Spent { until: Height },
}

/// A resolver's wish to spend one outpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) outpoint: OutPoint,
    pub(crate) way: ClaimWay,
    pub(crate) amount_sat: u64,
    pub(crate) script_pubkey: ScriptBuf,
    /// `None`: the output is P2WPKH.
    pub(crate) witness_script: Option<ScriptBuf>,
    pub(crate) sequence: Sequence,
    pub(crate) lock_time: Height,
    /// The tip height from which on it can be mined in the next block.
    pub(crate) since: Height,
    /// It should be confirmed by then; `None`: nobody contests it.
    pub(crate) deadline: Option<Height>,
}

/// How an output is spent, with what only that way needs. `point` is the commitment's per-commitment point, which tweaks our
/// key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClaimWay {
    ToLocal { point: Point },
    ToRemote,
    HtlcTimeout { point: Point, htlc: HtlcRef, peer_signature: CompactSig },
    HtlcSuccess { point: Point, htlc: HtlcRef, peer_signature: CompactSig, preimage: Preimage },
    SecondLevelOutput { point: Point },
    DirectTimeout { point: Point },
    DirectPreimage { point: Point, preimage: Preimage },
    Anchor { funding: OutPoint, key: Point },
    ToLocalPenalty(RevocationKey),
    OfferedPenalty(RevocationKey),
    ReceivedPenalty(RevocationKey),
    SecondLevelPenalty(RevocationKey),
}

/// The key under which everything of a revoked commitment is ours, and the counterparty's secret that gives it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RevocationKey {
    pub(crate) key: Point,
    pub(crate) secret: Secret,
}

impl ClaimWay {
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
    /// The tip height at which waiting for feerates to fall ends: `irrevocable_depth` past its maturity, and past its deadline
    /// (a preimage may come long after the output could have been claimed).
    pub(crate) fn worth_waiting_until(&self, policy: &Policy) -> Height {
        self.deadline.map_or(self.since, |deadline| deadline.max(self.since)).after(policy.irrevocable_depth)
    }
}

impl<'a> ResolverKit<'a> {
    /// How an outpoint was spent, if it was.
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

    /// The stage of something spent, or its end once that is irrevocable.
    pub(crate) fn follow(&self, spend: &SpendOf, outcome: ContractOutcome) -> Next {
        if self.tip.buries(spend.height, self.policy.irrevocable_depth) {
            Next::Done(outcome)
        } else {
            Next::Stay(ContractStage::Spent { until: Height::buried_at(spend.height, self.policy.irrevocable_depth) })
        }
    }

    /// The stage of something that can be claimed: wanted, or given up as uneconomic `irrevocable_depth` after its maturity.
    pub(crate) fn claim(&self, claim: Claim) -> Next {
        if self.tip < claim.since {
            return Next::Stay(ContractStage::Waiting { until: claim.since });
        }
        let uneconomic = self.channel.requests.sweeper.uneconomic.contains(&claim.outpoint);
        if uneconomic && self.tip >= claim.worth_waiting_until(self.policy) {
            return Next::Done(ContractOutcome::Uneconomic);
        }
        Next::Stay(ContractStage::ClaimWanted(Arc::new(claim)))
    }

    /// The tip height at which an output confirmed at `height` passes a CSV of `delay` blocks for the next block.
    pub(crate) const fn matures(height: Height, delay: u16) -> Height {
        Height::new(height.get().saturating_add(widen(delay))).before(Blocks::new(1))
    }

    /// The output at an outpoint, verified to exist.
    pub(crate) fn output(&self, outpoint: &OutPoint) -> Option<&'a TxOut> {
        self.channel.chain.output(outpoint)
    }

    /// An output of the transaction that made a spend.
    pub(crate) fn child(&self, txid: Txid, input: usize) -> Option<(OutPoint, &'a TxOut)> {
        let outpoint = OutPoint { txid, vout: u32::try_from(input).ok()? };
        Some((outpoint, self.output(&outpoint)?))
    }
}

/// `u32::from` is not const.
const fn widen(delay: u16) -> u32 {
    let [high, low] = delay.to_be_bytes();
    u32::from_be_bytes([0, 0, high, low])
}
