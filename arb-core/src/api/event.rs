//! What the outside tells the court. Plain, serialisable, exhaustive on purpose: a new event or action must break an
//! embedder's build, so neither enum is `non_exhaustive`.
//!
//! Everybody is at-least-once: the same event again is a [`Duplicate`](crate::Heard::Duplicate), never an error.

use crate::api::facts::{ChannelFacts, Htlc, Standing};
use crate::api::ids::{ActionId, ChannelId, HtlcKey, HtlcRef};
use crate::api::past::RevokedCommitment;
use crate::api::policy::Policy;
use crate::api::units::Height;
use crate::api::wire;
use crate::bolt3::{CompactSig, Point, Preimage, Secret};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use bitcoin::{BlockHash, Network, OutPoint, ScriptBuf, Transaction, Txid};
use serde::{Deserialize, Serialize};

/// One thing that the outside told us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The first event of a journal.
    JournalOpened(JournalIdentity),
    /// The whole policy, whenever it changes.
    PolicySet(Policy),
    /// Heard first after every start, before any action.
    Started(Started),
    /// A channel joins the court, new or running.
    ChannelOpened(Box<ChannelOpened>),
    /// A channel joins with its static facts only (a channel backup): outdated from birth (BOLT 5 F5).
    ChannelRestored(Box<ChannelFacts>),
    /// Fresh signals for a channel.
    ChannelSignals {
        /// The channel.
        channel: ChannelId,
        /// Its short channel id, as BOLT 7 packs it.
        short_channel_id: u64,
    },
    /// The counterparty signed our next commitment. Accepted: `revoke_and_ack` may be sent.
    LocalCommitmentSigned(Box<LocalCommitmentSigned>),
    /// We are about to sign the counterparty's next commitment. Accepted: `commitment_signed` may be sent.
    RemoteCommitmentSigned(Box<RemoteCommitmentSigned>),
    /// The counterparty revoked its oldest commitment. Accepted: its consequences may be acted on.
    RemoteRevoked(Box<RemoteRevoked>),
    /// A preimage, and the HTLCs that it may be used for (R8).
    PreimageLearned {
        /// The preimage.
        preimage: Preimage,
        /// The HTLCs it may be used for: received ones may be claimed, offered ones settled upstream.
        usable_for: Vec<HtlcKey>,
    },
    /// The node will never have a preimage for this received HTLC.
    HtlcGivenUp {
        /// The received HTLC.
        htlc: HtlcKey,
    },
    /// The node carried out an upstream outcome durably.
    UpstreamAcknowledged {
        /// The HTLC that we sent.
        htlc: HtlcKey,
        /// What was done with its origin.
        outcome: Acknowledged,
    },
    /// What `channel_reestablish` proved about the counterparty's state.
    PeerStateSeen {
        /// The channel.
        channel: ChannelId,
        /// What it proved.
        peer: PeerState,
    },
    /// Go to chain.
    CloseRequested {
        /// The channel.
        channel: ChannelId,
        /// Why.
        why: CloseReason,
    },
    /// A closing transaction that we are about to sign. Accepted: our signature may leave.
    ClosingSigned(Box<ClosingSigned>),
    /// The node has given up on a channel that never held an HTLC.
    ChannelForgotten {
        /// The channel.
        channel: ChannelId,
    },
    /// The operator wants more for a claim, or for a whole close. What it changed is in the records; a later request adds
    /// to an earlier one, and nothing falls.
    BumpRequested {
        /// The channel.
        channel: ChannelId,
        /// One outpoint, or the whole close.
        outpoint: Option<OutPoint>,
        /// What is wanted.
        bump: Bump,
    },
    /// A block joined the best chain.
    BlockConnected(Box<Block>),
    /// The tip left the best chain.
    BlockDisconnected(Disconnected),
    /// The answer to [`Action::SearchSpends`](crate::Action::SearchSpends).
    Scanned(Box<Scanned>),
    /// An unconfirmed transaction was seen: one that a node's mempool accepted, so that its signatures are known to be
    /// good. It may add a preimage, or the first sight of a close; it ends nothing (R12).
    MempoolSeen {
        /// The transaction.
        #[serde(with = "wire::tx")]
        tx: Transaction,
    },
    /// Feerates, whenever they move by about a tenth.
    FeesEstimated(Fees),
    /// What became of a broadcast.
    BroadcastAnswered {
        /// The channel.
        channel: ChannelId,
        /// The transaction.
        txid: Txid,
        /// Accepted, known, or why not.
        answer: BroadcastAnswer,
    },
    /// The signer's answer.
    Signed(Box<Signed>),
    /// The signer will not sign.
    SigningRefused {
        /// The channel.
        channel: ChannelId,
        /// The request.
        request: ActionId,
        /// Why, for people.
        why: String,
    },
    /// A fresh script for this close's sweeps.
    ScriptsOffered {
        /// The channel.
        channel: ChannelId,
        /// The request.
        request: ActionId,
        /// The script that sweeps shall pay to.
        script: ScriptBuf,
    },
    /// Coins for a claim whose fee comes from the wallet.
    FeeInputsOffered(Box<FeeInputsOffered>),
    /// The wallet has nothing to offer.
    FeeInputsRefused {
        /// The channel.
        channel: ChannelId,
        /// The request.
        request: ActionId,
        /// How much is missing.
        missing_sat: u64,
    },
    /// What is known of a revoked commitment; the answer to [`Action::LoadRevoked`](crate::Action::LoadRevoked).
    RevokedLoaded {
        /// The channel.
        channel: ChannelId,
        /// The commitment.
        number: u64,
        /// Every candidate of that number: which one confirmed, its txid tells. Empty: neither log nor node know it.
        candidates: Vec<RevokedCommitment>,
    },
    /// An action that no domain event completes was carried out.
    Performed {
        /// The channel.
        channel: ChannelId,
        /// The action.
        id: ActionId,
    },
    /// An action could not be carried out; it stays due.
    Failed {
        /// The channel.
        channel: ChannelId,
        /// The action.
        id: ActionId,
        /// Why, for people.
        why: String,
    },
}

impl Event {
    /// Whether this is a block, after which everything still due is repeated.
    pub const fn is_block(&self) -> bool {
        matches!(self, Self::BlockConnected(_))
    }
}

/// What a journal belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalIdentity {
    /// The Bitcoin network.
    pub network: Network,
    /// A random id that the embedder drew for this journal: another store's journal is refused.
    pub journal: [u8; 32],
    /// The block from which on blocks are delivered.
    pub tip: Tip,
    /// The first policy.
    pub policy: Policy,
}

/// A block of the best chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub hash: BlockHash,
}

/// Whether the journal is known to be the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Freshness {
    /// It is.
    Trusted,
    /// It may be older than the node: no commitment of ours is signed until the peer's state was seen.
    Suspect,
}

/// A start of the embedder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The build that decides from now on.
    pub build: String,
    /// Whether the journal can be trusted to be the newest.
    pub freshness: Freshness,
    /// The greatest height that the chain source has validated and can deliver.
    pub best_height: Height,
}

/// A channel joins the court.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelOpened {
    /// What never changes.
    pub facts: ChannelFacts,
    /// Where it stands.
    pub standing: Standing,
}

/// One commitment, as the change from the one before on the same side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitmentUpdate {
    /// The channel.
    pub channel: ChannelId,
    /// The commitment number.
    pub number: u64,
    /// The owner's per-commitment point.
    pub point: Point,
    /// The commitment's feerate.
    pub feerate_sat_per_kw: u32,
    /// Our balance.
    pub local_msat: u64,
    /// The counterparty's balance.
    pub remote_msat: u64,
    /// HTLCs that this commitment has and the one before had not.
    pub added: Vec<Htlc>,
    /// HTLCs that the one before had and this one has not.
    pub removed: Vec<HtlcRef>,
}

/// The counterparty's signatures for one funding's version of our commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitmentSignatures {
    /// For the commitment.
    pub commitment: CompactSig,
    /// For its HTLC transactions, in output order (BOLT 2 `htlc_signature`).
    pub htlcs: Vec<CompactSig>,
}

/// Our next commitment, signed by the counterparty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalCommitmentSigned {
    /// The commitment.
    pub update: CommitmentUpdate,
    /// The counterparty's signatures, one set for each active funding.
    pub signatures: Vec<CommitmentSignatures>,
}

/// The counterparty's next commitment, about to be signed by us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteCommitmentSigned {
    /// The commitment.
    pub update: CommitmentUpdate,
}

/// A `revoke_and_ack`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteRevoked {
    /// The channel.
    pub channel: ChannelId,
    /// The commitment that it revokes.
    pub number: u64,
    /// That commitment's secret.
    pub secret: Secret,
    /// The point of the commitment after the next.
    pub next_point: Point,
}

/// What the node did with an HTLC's origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Acknowledged {
    /// It was settled.
    Settled,
    /// It was failed.
    Failed,
}

/// What the counterparty proved about our state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerState {
    /// Our state is the newest.
    Current,
    /// It has a newer state: ours is outdated for ever.
    WeAreBehind,
}

/// Why a channel was asked to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CloseReason {
    /// The operator wants it.
    Operator,
    /// The counterparty sent an error.
    PeerError,
}

/// A mutual closing transaction that we sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosingSigned {
    /// The channel.
    pub channel: ChannelId,
    /// The transaction.
    #[serde(with = "wire::tx")]
    pub tx: Transaction,
    /// Which output is ours, if one is.
    pub local_output: Option<u32>,
}

/// A block, whole or reduced to what the court watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub hash: BlockHash,
    /// The block before.
    pub parent: BlockHash,
    /// The greatest height that the chain source has validated and can deliver.
    pub best_height: Height,
    /// Its transactions, in block order.
    #[serde(with = "wire::txs")]
    pub txs: Vec<Transaction>,
}

/// The tip left the best chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disconnected {
    /// The height of the block that left.
    pub height: Height,
    /// Its hash.
    pub hash: BlockHash,
    /// The block before, which is the tip now.
    pub parent: BlockHash,
    /// The greatest height that the chain source has validated and can deliver.
    pub best_height: Height,
}

/// What a scan found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scanned {
    /// The channel.
    pub channel: ChannelId,
    /// The transaction whose outputs were searched for.
    pub parent: Txid,
    /// The height up to which was searched.
    pub through: Height,
    /// The spends that were found, in chain order.
    pub spends: Vec<FoundSpend>,
}

/// One transaction that a scan found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundSpend {
    /// Where it confirmed.
    pub height: Height,
    /// The transaction.
    #[serde(with = "wire::tx")]
    pub tx: Transaction,
}

/// Feerates that the node's estimator gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fees {
    /// (confirmation target in blocks, satoshi per kiloweight), by rising target.
    pub by_target: Vec<(u16, u32)>,
    /// What the mempool asks for at least.
    pub relay_floor_sat_per_kw: u32,
}

/// What became of a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BroadcastAnswer {
    /// It is in the mempool now.
    Accepted,
    /// It was there before, or is confirmed.
    Known,
    /// It was refused.
    Rejected(BroadcastRejection),
}

/// Why a transaction was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BroadcastRejection {
    /// Below the mempool's floor, or too cheap a replacement.
    FeeTooLow,
    /// An input does not exist or is spent.
    MissingInputs,
    /// An unconfirmed transaction spends the same.
    ConflictInMempool,
    /// A timelock has not passed.
    NonFinal,
    /// Too many unconfirmed ancestors.
    TooLongChain,
    /// A script or signature is wrong.
    ScriptFailure,
    /// Anything else.
    Unknown,
}

/// The signer's answer: one signature for every input that was asked for, in that order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The channel.
    pub channel: ChannelId,
    /// The request.
    pub request: ActionId,
    /// The signatures.
    pub signatures: Vec<InputSignature>,
}

/// A signature for one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputSignature {
    /// With a channel's key.
    Channel(CompactSig),
    /// With the wallet's key of a P2WPKH coin.
    Wallet {
        /// The signature.
        signature: CompactSig,
        /// The key that it was made with.
        key: Point,
    },
}

/// A confirmed P2WPKH coin of the wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeInput {
    /// The coin.
    pub outpoint: OutPoint,
    /// Its value.
    pub value_sat: u64,
    /// Its script.
    pub script: ScriptBuf,
}

/// What an operator wants for a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bump {
    /// At least this feerate, as far as the budget bears it, in satoshi per kiloweight; 0 for none.
    pub feerate_sat_per_kw: u32,
    /// An earlier deadline.
    pub deadline: Option<Height>,
    /// Another budget, up to the claim's value.
    pub budget_sat: Option<u64>,
}

/// The wallet's answer to a request for fee inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeInputsOffered {
    /// The channel.
    pub channel: ChannelId,
    /// The request.
    pub request: ActionId,
    /// The coins.
    pub inputs: Vec<FeeInput>,
    /// Where change goes.
    pub change: ScriptBuf,
}
