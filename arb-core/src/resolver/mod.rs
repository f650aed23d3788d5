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
mod kit;
mod outgoing_contest;
mod outgoing_timeout;

use crate::api::outcome::ContractOutcome;
use crate::api::stage::ResolverKind;
use alloc::vec::Vec;

pub(crate) use anchor::{Anchor, anchor_claim};
pub(crate) use breach::{Breach, Revoked};
pub(crate) use commit_sweep::CommitSweep;
pub(crate) use htlc::{Taker, taker};
pub(crate) use incoming_contest::IncomingContest;
pub(crate) use incoming_success::IncomingSuccess;
pub(crate) use kit::{Claim, ClaimWay, ContractStage, ResolverKit, RevocationKey};
pub(crate) use outgoing_contest::OutgoingContest;
pub(crate) use outgoing_timeout::OutgoingTimeout;

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

/// What a resolver answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Stay(ContractStage),
    HandOff(Resolver),
    Done(ContractOutcome),
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
    pub(crate) fn run(self, kit: &ResolverKit<'_>) -> (Vec<ResolverKind>, Result<ContractStage, ContractOutcome>) {
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
        (kinds, Ok(ContractStage::Waiting { until: kit.tip.next() }))
    }
}
