//! Resolvers: each owns one output of a confirmed commitment until it is irrevocably resolved (front page,
//! Stages and resolvers).
//!
//! Each resolver is a deterministic step function of a borrowed, read-only [`ResolverKit`]: it stays in a stage, hands off to
//! another resolver, or is done with an outcome. Nothing is stored. Whenever the channel is touched, each contract runs from
//! its first resolver to the fixed point, so a reorg needs no inverse of anything (R9).
//!
//! Tests: `arb-harness/lab/tests/court_suite/scenarios.rs`, `arb-harness/lab/tests/court_suite/incidents_restart.rs`.

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
pub(crate) use kit::{Claim, ClaimWay, ContractStage, ContractState, ResolverKit, RevocationKey};
pub(crate) use outgoing_contest::OutgoingContest;
pub(crate) use outgoing_timeout::OutgoingTimeout;

/// Rounds of a run. Hand-offs only go to a later kind, so seven rounds suffice; the bound is defensive.
const MAX_ROUNDS: usize = 8;

/// The owner of a contract's output.
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

    /// Runs from this resolver to the fixed point: the kinds it went through, and where the contract stands.
    pub(crate) fn run(self, kit: &ResolverKit<'_>) -> (Vec<ResolverKind>, ContractState) {
        let mut kinds = Vec::new();
        let mut resolver = self;
        for _ in 0..MAX_ROUNDS {
            kinds.push(resolver.kind());
            match resolver.next(kit) {
                Next::Stay(stage) => return (kinds, ContractState::Live(stage)),
                Next::Done(outcome) => return (kinds, ContractState::Done(outcome)),
                Next::HandOff(other) => resolver = other,
            }
        }
        // Not reached. The contract would be looked at again in the next block instead of being forgotten (R13).
        (kinds, ContractState::Live(ContractStage::Waiting { until: kit.tip.next() }))
    }
}
