//! What the court decided. A record carries judgement only and repeats nothing that was heard (R3).

use crate::bolt3::Preimage;
use crate::channel::CloseKind;
use crate::event::Event;
use crate::ids::{ChannelIndex, ContractId, HtlcRef};
use crate::notice::{FreezeReason, Notice};
use crate::outcome::{ContractOutcome, Upstream};
use crate::resolver::ResolverKind;
use crate::sweep::{Ask, Plan};
use crate::units::Height;
use crate::wire;
use alloc::boxed::Box;
use alloc::vec::Vec;
use bitcoin::{OutPoint, Transaction};
use serde::{Deserialize, Serialize};

/// One step of the court, as the log has it: one atomic append.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Counts frames from 1, without gaps.
    pub sequence: u64,
    /// What was heard, each with what was concluded from it.
    pub entries: Vec<Entry>,
}

/// One heard event and what was concluded from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The event; a block is reduced to the transactions that matter.
    pub heard: Event,
    /// The conclusions, in order.
    pub concluded: Vec<Record>,
}

/// One conclusion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The channel that it is about.
    pub channel: ChannelIndex,
    /// What was concluded.
    pub what: Conclusion,
}

/// What was concluded about a channel. Exhaustive on purpose, as events and actions are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Conclusion {
    /// The upstream HTLC's expiry, from the channel that it is in.
    UpstreamLinked {
        /// The HTLC that we sent.
        htlc: HtlcRef,
        /// When its origin expires.
        expiry: Height,
    },
    /// A preimage may be used for this HTLC from now on.
    PreimageUsable {
        /// The HTLC.
        htlc: HtlcRef,
        /// The preimage.
        preimage: Preimage,
    },
    /// This received HTLC will never have a preimage: its downstream failed for good.
    GaveUp {
        /// The received HTLC.
        htlc: HtlcRef,
    },
    /// The channel is frozen for ever (R10).
    Frozen(FreezeReason),
    /// Our commitment shall go to chain: the signature may be asked for, and the transaction given out.
    WentToChain,
    /// An origin's outcome; only ever rises (R8).
    Released {
        /// The HTLC that we sent.
        htlc: HtlcRef,
        /// What its origin gets.
        outcome: Upstream,
    },
    /// A fresh script is wanted for this close.
    ScriptsRequested,
    /// Coins are wanted for a claim.
    FeeInputsRequested(Ask),
    /// Coins that were given for a claim are not needed.
    FeeInputsReturned {
        /// The claim.
        owner: OutPoint,
    },
    /// A transaction was planned: new, or instead of its group's last.
    SweepPlanned(Box<Sweep>),
    /// A group's transaction cannot confirm any more.
    SweepDropped {
        /// The group.
        group: u32,
        /// Whether its claims rest until the next block, so that network and wallet cannot make us run in a circle.
        rests: bool,
    },
    /// What the operator's request changed.
    Bumped {
        /// The claim.
        outpoint: OutPoint,
        /// What was wanted for it, in satoshi per kiloweight.
        from_sat_per_kw: u32,
        /// What is wanted now.
        to_sat_per_kw: u32,
    },
    /// A claim costs more than it is worth; looked at again when feerates fall.
    Uneconomic {
        /// The claim.
        outpoint: OutPoint,
    },
    /// Something for the outbox.
    Noticed(Box<Notice>),
    /// Explains: the funding spend's kind. Recovery ignores it, replay compares it (R9).
    Classified {
        /// The kind, if the funding is spent.
        kind: Option<CloseKind>,
    },
    /// Explains: a contract went from one resolver to another.
    HandedOff {
        /// The contract.
        contract: ContractId,
        /// The resolver that has it now.
        to: ResolverKind,
    },
    /// Explains: a contract's stage.
    Staged {
        /// The contract.
        contract: ContractId,
        /// Its stage.
        stage: StageRecord,
    },
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

/// How an output is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ClaimPath {
    /// `to_local` after its delay.
    ToLocal,
    /// `to_remote`.
    ToRemote,
    /// HTLC-timeout transaction of our commitment.
    HtlcTimeout,
    /// HTLC-success transaction of our commitment.
    HtlcSuccess,
    /// A second-level transaction's output after its delay.
    SecondLevelOutput,
    /// Our offered HTLC on their commitment, after its expiry.
    DirectTimeout,
    /// A received HTLC on their commitment, with the preimage.
    DirectPreimage,
    /// Our anchor, by a child that pays for its commitment.
    Anchor,
    /// `to_local` of a revoked commitment, with the revocation key.
    ToLocalPenalty,
    /// An HTLC that the cheat offered, on its revoked commitment.
    OfferedPenalty,
    /// An HTLC that the cheat received, on its revoked commitment.
    ReceivedPenalty,
    /// What the cheat's HTLC transaction left.
    SecondLevelPenalty,
}

/// A transaction that the court planned for a group of claims. All else that it takes to complete it follows from the
/// claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// What was decided.
    pub plan: Plan,
    /// The unsigned transaction.
    #[serde(with = "wire::tx")]
    pub tx: Transaction,
}
