//! What a resolver may look at, and what it may wish for.

use crate::api::facts::Side;
use crate::api::ids::HtlcRef;
use crate::api::outcome::ContractOutcome;
use crate::api::plan::ClaimPath;
use crate::api::policy::Policy;
use crate::api::units::{Blocks, Height};
use crate::bolt3::{CompactSig, Point, Preimage, Secret};
use crate::channel::{ChannelArbitrator, Close, HtlcState, SpendOf};
use crate::resolver::Next;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use bitcoin::{OutPoint, ScriptBuf, TxOut, Txid};

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
    pub(crate) path: ClaimPath,
    pub(crate) amount_sat: u64,
    pub(crate) script_pubkey: ScriptBuf,
    pub(crate) witness_script: Option<ScriptBuf>,
    /// What tweaks the key: the commitment's point. For an anchor and a penalty, the key itself.
    pub(crate) point: Point,
    /// The counterparty's secret, for a penalty.
    pub(crate) secret: Option<Secret>,
    pub(crate) preimage: Option<Preimage>,
    pub(crate) peer_signature: Option<CompactSig>,
    pub(crate) sequence: u32,
    pub(crate) lock_time: Height,
    /// The tip height from which on it can be mined in the next block.
    pub(crate) since: Height,
    /// It should be confirmed by then; `None`: nobody contests it.
    pub(crate) deadline: Option<Height>,
    pub(crate) htlc: Option<HtlcRef>,
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
