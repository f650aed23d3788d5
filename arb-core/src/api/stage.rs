//! Where a channel and its contracts stand: kinds and stages, by name.

use crate::api::outcome::ContractOutcome;
use crate::api::units::Height;
use serde::{Deserialize, Serialize};

/// What kind of transaction spends a funding output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CloseKind {
    /// Our commitment.
    Local,
    /// The counterparty's commitment, the oldest that is not revoked.
    Remote,
    /// The counterparty's commitment that we signed last, with the one before not yet revoked.
    RemotePending,
    /// A commitment that the counterparty revoked.
    Revoked,
    /// A closing transaction that we signed.
    Mutual,
    /// None that we know: newer than our state, or foreign.
    Unknown,
}

/// The stages of a channel. Never back to `Open` once left (R10).
///
/// ```text
/// Open ──(HTLC deadline · operator · peer's error · peer went on chain)──► GoingToChain
///   │                                                                       │ our signature was given out
///   │ funding output spent, in any stage, classified                        ▼
///   ├───────────────────────────────────────────────────────────────► AwaitingCommitment
///   ▼                                                                       │ funding output spent
/// Resolving ◄───────────────────────────────────────────────────────────────┘
///   │ all contracts irrevocable, outbox acknowledged
///   ▼
/// Resolved
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// In use, or at least able to be.
    Open,
    /// Frozen; our commitment is not signed yet, or must not be.
    GoingToChain,
    /// Our commitment was given out; waits for whatever spends the funding.
    AwaitingCommitment,
    /// A spend of the funding is confirmed.
    Resolving(CloseKind),
    /// Everything is irrevocable and acknowledged.
    Resolved,
}

/// What kind of output a contract is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ContractKind {
    /// Our main output on our commitment.
    ToLocal,
    /// Our main output on the counterparty's commitment.
    ToRemote,
    /// Our anchor.
    Anchor,
    /// An HTLC.
    Htlc,
    /// The counterparty's main output on a commitment that it revoked.
    RevokedToLocal,
    /// What an HTLC transaction left of a revoked commitment whose HTLCs nobody knows any more.
    RevokedSecondLevel,
}

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

/// A contract's stage, as the log explains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StageRecord {
    /// Waits for a height.
    Waiting {
        /// The height.
        until: Height,
    },
    /// Waits for a preimage.
    Contested {
        /// The last height at which one is of use.
        until: Height,
    },
    /// Wants to be claimed.
    ClaimWanted,
    /// Spent; waits until that is irrevocable.
    Spent {
        /// The height at which it is.
        until: Height,
    },
    /// Over.
    Done(ContractOutcome),
}
