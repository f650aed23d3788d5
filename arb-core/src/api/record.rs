//! What the court decided. A record carries judgement only and repeats nothing that was heard (R3).

use crate::api::event::Event;
use crate::api::ids::{ChannelIndex, ContractId, HtlcRef};
use crate::api::notice::{FreezeReason, Notice};
use crate::api::outcome::Upstream;
use crate::api::plan::{Ask, Sweep};
use crate::api::stage::{CloseKind, ResolverKind, StageRecord};
use crate::api::units::Height;
use crate::bolt3::Preimage;
use alloc::boxed::Box;
use alloc::vec::Vec;
use bitcoin::OutPoint;
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
        pauses: bool,
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
