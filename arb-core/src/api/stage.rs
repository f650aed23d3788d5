//! Where a channel and its contracts stand: kinds and stages, by name.
//!
//! Tests: arb-harness/lab/tests/court_suite/ratchets.rs, arb-harness/lab/tests/court_suite/going_to_chain.rs

use crate::api::outcome::ContractOutcome;
use crate::api::units::Height;
use serde::{Deserialize, Serialize};

/// What kind of transaction spends a funding output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CloseKind {
    /// Our commitment.
    Local,
    /// The counterparty's oldest commitment that is not revoked.
    Remote,
    /// The counterparty's commitment that we signed last, while the one before is not revoked.
    RemotePending,
    /// A commitment that the counterparty revoked.
    Revoked,
    /// A closing transaction that we signed.
    Mutual,
    /// No transaction that we know: newer than our state, foreign, or a commitment of which nothing proves whose it is.
    Unknown,
    /// A commitment of ours that is not the newest which we know: superseded, or from after a backup.
    Superseded,
}

/// The stages of a channel. Back to `Open` leads only [`Event::ChannelAdoptedAnew`](crate::Event::ChannelAdoptedAnew), of a channel
/// that nothing but its outdated state froze (R10). A reorg that takes the close leads back to the stage before it.
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
    /// Updates are possible.
    Open,
    /// Frozen; our commitment is not signed yet, or must not be.
    GoingToChain,
    /// Our commitment was given out; no spend of the funding is confirmed.
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
    /// The output of an HTLC transaction below a revoked commitment whose HTLCs are unknown.
    RevokedSecondLevel,
}

/// The kinds of resolvers, named as in lnd's contract court.
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
    /// An output of a revoked commitment, or of an HTLC transaction below it.
    Breach,
}

/// A contract's stage, as the log explains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub enum StageRecord {
    /// Waits for a height.
    Waiting { until: Height },
    /// A received HTLC waits for a preimage.
    Contested {
        /// The height at which the contract ends without one.
        until: Height,
    },
    /// Wants to be claimed.
    ClaimWanted,
    /// Spent, not yet irrevocably.
    Spent {
        /// The height at which the spend is irrevocable.
        until: Height,
    },
    /// Over.
    Done(ContractOutcome),
}
