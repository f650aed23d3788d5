//! What the court decided. A record holds a judgement and repeats nothing that was heard (R3).
//!
//! Tests: arb-harness/lab/tests/court_suite/log_order.rs, arb-log/tests/journal.rs, arb-log/tests/earlier_journals.rs

use crate::api::event::Event;
use crate::api::ids::{ChannelIndex, ContractId, HtlcRef};
use crate::api::notice::{FreezeReason, Notice};
use crate::api::outcome::Upstream;
use crate::api::plan::{Ask, Declined, Sweep};
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
    /// Counts the log's frames from 1, without gaps.
    pub sequence: u64,
    /// What was heard, each with what was concluded from it.
    pub entries: Vec<Entry>,
}

/// One heard event and what was concluded from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The event; a block is reduced to the transactions that matter.
    pub heard: Event,
    /// The conclusions, in the order in which they are applied.
    pub concluded: Vec<Record>,
}

/// One conclusion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub struct Record {
    /// The channel that it is about.
    pub channel: ChannelIndex,
    pub what: Conclusion,
}

/// What was concluded about a channel. Exhaustive on purpose, as events and actions are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub enum Conclusion {
    /// When the upstream HTLC expires, read from the channel that it is in.
    UpstreamLinked {
        /// The HTLC that we sent.
        htlc: HtlcRef,
        /// The height at which its upstream expires.
        expiry: Height,
    },
    /// This preimage may be used for this HTLC from now on.
    PreimageUsable { htlc: HtlcRef, preimage: Preimage },
    /// A transaction showed this preimage while the node is still telling. It fits no HTLC that we sent, but one may be told that it
    /// fits (A15).
    ShownEarly {
        preimage: Preimage,
        /// An input showed it that spends something watched.
        is_watched: bool,
    },
    /// Everything is told, so the preimages that fitted no HTLC are kept no longer.
    EarlyForgotten,
    /// This received HTLC will never have a preimage: what it was forwarded as failed for good.
    GaveUp { htlc: HtlcRef },
    /// The channel is frozen for ever (R10).
    Frozen(FreezeReason),
    /// Our commitment shall go to chain: its signature may be asked for, and the transaction sent.
    WentToChain,
    /// What becomes of the upstream of an HTLC that we sent; it only ever rises (R8).
    Released {
        /// The HTLC that we sent.
        htlc: HtlcRef,
        outcome: Upstream,
    },
    /// A fresh script is wanted for this close's sweeps.
    ScriptsRequested,
    /// Coins are wanted for a claim.
    FeeInputsRequested(Ask),
    /// Coins that were given for a claim are not needed.
    FeeInputsReturned {
        /// The output that is claimed.
        owner: OutPoint,
    },
    /// A transaction was planned for a group: its first, or the replacement of its last.
    SweepPlanned(Box<Sweep>),
    /// A group's transaction cannot confirm any more.
    SweepDropped {
        /// The group's number.
        group: u32,
        /// Whether its claims wait for the next block, so that answers of network and wallet cannot keep one block's
        /// decisions going for ever.
        pauses: bool,
    },
    /// The operator's request raised what is wanted for a claim.
    Bumped {
        /// The output that is claimed.
        outpoint: OutPoint,
        /// The feerate wanted before, in satoshi per kiloweight.
        from_sat_per_kw: u32,
        /// The feerate wanted now, in satoshi per kiloweight.
        to_sat_per_kw: u32,
    },
    /// A claim costs more than it may cost; it is looked at again when feerates fall.
    Uneconomic {
        /// The output that is not claimed.
        outpoint: OutPoint,
        /// What it would cost, and what it may cost, when it was declined.
        why: Declined,
    },
    /// An entry for the outbox.
    Noticed(Box<Notice>),
    /// Explains which kind of transaction spent the funding. Recovery ignores it, replay compares it (R9).
    Classified {
        /// `None`: the funding is unspent again.
        kind: Option<CloseKind>,
    },
    /// Explains that a contract went from one resolver to another.
    HandedOff {
        contract: ContractId,
        /// The resolver that owns it now.
        to: ResolverKind,
    },
    /// Explains a contract's stage.
    Staged { contract: ContractId, stage: StageRecord },
}
