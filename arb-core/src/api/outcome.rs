//! What an HTLC that we sent means for its upstream (R8), and how a contract ends.
//!
//! Tests: arb-harness/lab/tests/court_suite/outcomes.rs, arb-harness/lab/tests/court_suite/incidents_outcomes.rs

use crate::bolt3::Preimage;
use serde::{Deserialize, Serialize};

/// What the upstream HTLC, or our own payment, gets: nothing < failing < settled (R8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Upstream {
    /// Fail it.
    Failed(FailReason),
    /// Settle it.
    Settled(Preimage),
}

/// The rule by which an upstream HTLC, or our own payment, is failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailReason {
    /// Its output was spent without a preimage, and that spend is buried (LL3, RL2).
    TimedOut,
    /// No unrevoked commitment has an output for it (LL7, RL5; B63), or none can confirm, because no funding can.
    OnNoCommitment,
    /// The confirmed commitment has no output for it, and is buried (LL6, RL4).
    NotOnConfirmed,
    /// A revoked commitment is buried: its outputs are ours either way (B43).
    Revoked,
    /// A mutual close is buried.
    MutualClose,
    /// The upstream is about to expire: we risk that the counterparty still claims this one.
    GivenUpForUpstream,
    /// Both expiries are `irrevocable_depth` blocks past.
    ForgetDepth,
}

impl FailReason {
    /// Whether a later preimage could make this failure a loss: then a risk is recorded with it, and it is not due
    /// while blocks are being caught up (R11).
    pub const fn is_give_up(self) -> bool {
        matches!(self, Self::GivenUpForUpstream | Self::ForgetDepth)
    }
}

/// How a contract ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContractOutcome {
    /// We claimed it, and the value is under a script of our wallet.
    Claimed,
    /// The counterparty took what it was entitled to.
    TakenByPeer,
    /// Somebody else took what was ours.
    Lost,
    /// Nobody claimed it, and we wait no longer.
    Unclaimed,
    /// It costs more to claim than it is worth.
    Uneconomic,
    /// The HTLC has no output in the confirmed commitment.
    NoOutput,
}

impl ContractOutcome {
    /// Who has the output now.
    pub const fn taken_by(self) -> TakenBy {
        match self {
            Self::Claimed => TakenBy::Us,
            Self::TakenByPeer | Self::Lost => TakenBy::Peer,
            Self::Unclaimed | Self::Uneconomic | Self::NoOutput => TakenBy::Nobody,
        }
    }
}

/// Who took an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TakenBy {
    /// We did.
    Us,
    /// The counterparty, or a third party.
    Peer,
    /// It is unspent, or there is no output.
    Nobody,
}
