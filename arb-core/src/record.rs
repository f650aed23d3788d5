//! What the court decided. A record carries judgement only and repeats nothing that was heard (R3).

use crate::bolt3::{CompactSig, Point, Preimage};
use crate::channel::CloseKind;
use crate::event::{Event, FeeInput};
use crate::ids::{ActionId, ChannelIndex, ContractId, HtlcRef};
use crate::notice::{FreezeReason, Notice};
use crate::outcome::{ContractOutcome, Upstream};
use crate::resolver::ResolverKind;
use crate::units::Height;
use crate::wire;
use alloc::boxed::Box;
use alloc::vec::Vec;
use bitcoin::{OutPoint, ScriptBuf, Transaction};
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
    /// A coin is wanted for a claim.
    FeeInputsRequested(FeeRequest),
    /// A transaction was planned for a claim.
    SweepPlanned(Box<Sweep>),
    /// A planned transaction cannot confirm any more, or another one is wanted.
    SweepDropped {
        /// The claim.
        outpoint: OutPoint,
        /// Why.
        why: DropReason,
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

/// A request for a coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeRequest {
    /// The request's identity.
    pub id: ActionId,
    /// The claim that it is for.
    pub owner: OutPoint,
    /// The least value.
    pub amount_sat: u64,
    /// The feerate that the coin's own input is counted with.
    pub feerate_sat_per_kw: u32,
}

/// Why a planned transaction was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DropReason {
    /// Its coin was spent by something else.
    CoinSpent,
    /// The network wants more fee than it pays.
    TooCheap,
    /// The network does not know one of its inputs.
    MissingInputs,
    /// Its output was spent for good by something else.
    Superseded,
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
}

/// A transaction that the court planned for one claim, with all it takes to complete it once it is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// The output that it claims; its first input.
    pub outpoint: OutPoint,
    /// How.
    pub path: ClaimPath,
    /// The unsigned transaction.
    #[serde(with = "wire::tx")]
    pub tx: Transaction,
    /// The value of the claimed output.
    pub amount_sat: u64,
    /// The claimed output's script.
    pub script_pubkey: ScriptBuf,
    /// Its witness script; none for P2WPKH.
    pub witness_script: Option<ScriptBuf>,
    /// The per-commitment point that our key is tweaked with.
    pub point: Point,
    /// The preimage, where the path needs one.
    pub preimage: Option<Preimage>,
    /// The counterparty's signature, where the path needs one.
    pub peer_signature: Option<CompactSig>,
    /// The wallet's coin.
    pub fee_input: Option<FeeInput>,
    /// What it pays, unless the counterparty's signature fixed that.
    pub feerate_sat_per_kw: u32,
    /// Its fee.
    pub fee_sat: u64,
}
