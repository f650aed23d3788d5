//! Resolvers: each owns one output of a confirmed commitment until it is irrevocably resolved (front page,
//! Stages and resolvers).
//!
//! An enum of structs. Each is a deterministic step function of a borrowed, read-only [`ResolverKit`]: stay in a stage,
//! hand off to another resolver, or done with an outcome. Nothing is stored: a resolver is run from its first kind to
//! its fixed point whenever its channel is touched, so a reorg needs no inverse of anything (R9).

mod anchor;
mod breach;
mod commit_sweep;
mod htlc;
mod incoming_contest;
mod incoming_success;
mod outgoing_contest;
mod outgoing_timeout;

use crate::bolt3::{CompactSig, Point, Preimage, Secret};
use crate::channel::{ChannelArbitrator, HtlcState};
use crate::facts::Side;
use crate::ids::HtlcRef;
use crate::outcome::ContractOutcome;
use crate::policy::Policy;
use crate::record::ClaimPath;
use crate::units::{Blocks, Height};
use crate::view::{Close, SpendOf};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bitcoin::{OutPoint, ScriptBuf, TxOut, Txid};
use serde::{Deserialize, Serialize};

pub(crate) use anchor::Anchor;
pub(crate) use breach::{Breach, Revoked};
pub(crate) use commit_sweep::CommitSweep;
pub(crate) use htlc::{Taker, taker};
pub(crate) use incoming_contest::IncomingContest;
pub(crate) use incoming_success::IncomingSuccess;
pub(crate) use outgoing_contest::OutgoingContest;
pub(crate) use outgoing_timeout::OutgoingTimeout;

/// The kinds of resolvers, by the names of lnd's contract court.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ResolverKind {
    /// Our main output, on either commitment.
    CommitSweep,
    /// An HTLC that we sent, not expired.
    OutgoingContest,
    /// An HTLC that we sent, expired.
    OutgoingTimeout,
    /// A received HTLC without a usable preimage.
    IncomingContest,
    /// A received HTLC with a usable preimage.
    IncomingSuccess,
    /// Our anchor.
    Anchor,
    /// An output of a revoked commitment, or of what the cheat made of it.
    Breach,
}

/// Whoever owns a contract right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resolver {
    CommitSweep(CommitSweep),
    OutgoingContest(OutgoingContest),
    OutgoingTimeout(OutgoingTimeout),
    IncomingContest(IncomingContest),
    IncomingSuccess(IncomingSuccess),
    Anchor(Anchor),
    Breach(Breach),
}

/// What a resolver may look at; all borrowed, read-only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResolverKit<'a> {
    pub(crate) channel: &'a ChannelArbitrator,
    pub(crate) close: &'a Close,
    pub(crate) spends: &'a BTreeMap<OutPoint, SpendOf>,
    pub(crate) tip: Height,
    pub(crate) policy: &'a Policy,
}

/// What a resolver answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Stay(Stage),
    HandOff(Resolver),
    Done(ContractOutcome),
}

/// What a contract waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A height: maturity or expiry.
    Waiting { until: Height },
    /// A preimage, until this height at most.
    Contested { until: Height },
    /// The sweeper.
    ClaimWanted(Box<Claim>),
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
    /// The tip height at which waiting for feerates to fall ends: `forget_depth` past its maturity, and past its deadline
    /// (a preimage may come long after the output could have been claimed).
    pub(crate) fn worth_waiting_until(&self, policy: &Policy) -> Height {
        self.deadline.map_or(self.since, |deadline| deadline.max(self.since)).after(policy.forget_depth)
    }
}

impl Resolver {
    pub(crate) fn kind(&self) -> ResolverKind {
        match self {
            Self::CommitSweep(_) => ResolverKind::CommitSweep,
            Self::OutgoingContest(_) => ResolverKind::OutgoingContest,
            Self::OutgoingTimeout(_) => ResolverKind::OutgoingTimeout,
            Self::IncomingContest(_) => ResolverKind::IncomingContest,
            Self::IncomingSuccess(_) => ResolverKind::IncomingSuccess,
            Self::Anchor(_) => ResolverKind::Anchor,
            Self::Breach(_) => ResolverKind::Breach,
        }
    }

    pub(crate) fn next(&self, kit: &ResolverKit<'_>) -> Next {
        match self {
            Self::CommitSweep(resolver) => resolver.next(kit),
            Self::OutgoingContest(resolver) => resolver.next(kit),
            Self::OutgoingTimeout(resolver) => resolver.next(kit),
            Self::IncomingContest(resolver) => resolver.next(kit),
            Self::IncomingSuccess(resolver) => resolver.next(kit),
            Self::Anchor(resolver) => resolver.next(kit),
            Self::Breach(resolver) => resolver.next(kit),
        }
    }

    /// Runs from this resolver to the fixed point: the resolvers it went through, and where it stands.
    ///
    /// Each kind hands off to a later one only, so there are fewer rounds than kinds; the bound is a belt.
    pub(crate) fn run(self, kit: &ResolverKit<'_>) -> (Vec<ResolverKind>, Result<Stage, ContractOutcome>) {
        let mut kinds = Vec::new();
        let mut resolver = self;
        for _ in 0..8 {
            kinds.push(resolver.kind());
            match resolver.next(kit) {
                Next::Stay(stage) => return (kinds, Ok(stage)),
                Next::Done(outcome) => return (kinds, Err(outcome)),
                Next::HandOff(other) => resolver = other,
            }
        }
        (kinds, Ok(Stage::Waiting { until: kit.tip.next() }))
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
        if self.tip.buries(spend.height, self.policy.forget_depth) {
            Next::Done(outcome)
        } else {
            Next::Stay(Stage::Spent { until: Height::buried_at(spend.height, self.policy.forget_depth) })
        }
    }

    /// The stage of something that can be claimed: wanted, or given up as uneconomic `forget_depth` after its maturity.
    pub(crate) fn claim(&self, claim: Claim) -> Next {
        if self.tip < claim.since {
            return Next::Stay(Stage::Waiting { until: claim.since });
        }
        let uneconomic = self.channel.requests.desk.uneconomic.contains(&claim.outpoint);
        if uneconomic && self.tip >= claim.worth_waiting_until(self.policy) {
            return Next::Done(ContractOutcome::Uneconomic);
        }
        Next::Stay(Stage::ClaimWanted(Box::new(claim)))
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
