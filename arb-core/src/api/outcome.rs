//! What becomes of an HTLC's origin, and of a contract.

use crate::bolt3::Preimage;
use serde::{Deserialize, Serialize};

/// What the origin of an HTLC that we sent gets: nothing < failing < settled (R8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Upstream {
    /// Fail it.
    Failed(FailReason),
    /// Settle it.
    Settled(Preimage),
}

/// The rule by which an origin is failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailReason {
    /// Its output was spent without a preimage, and that is buried (LL3, RL2).
    TimedOut,
    /// No unrevoked commitment has an output for it (LL7, RL5; B63).
    OnNoCommitment,
    /// The confirmed commitment has no output for it, and is buried (LL6, RL4).
    NotOnConfirmed,
    /// A revoked commitment is buried: its funds are taken either way (B43).
    Revoked,
    /// A mutual close is buried.
    MutualClose,
    /// The upstream is about to expire: the risk is taken on purpose.
    GivenUpForUpstream,
    /// Long past every expiry.
    ForgetDepth,
}

impl FailReason {
    /// Whether it is a wager that a later preimage could lose: then a risk record goes with it, and it is not due
    /// while blocks are still being caught up (R11).
    pub const fn is_give_up(self) -> bool {
        matches!(self, Self::GivenUpForUpstream | Self::ForgetDepth)
    }
}

/// How a contract ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContractOutcome {
    /// We claimed it, and the sats are under a script of our wallet.
    Claimed,
    /// The counterparty took what is rightly theirs.
    TakenByPeer,
    /// Somebody else took what was ours.
    Lost,
    /// Nobody took it in time.
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
    /// It is unspent.
    Nobody,
}
