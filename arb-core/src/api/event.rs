//! What the outside tells the court: plain data, serialisable. Events and actions are exhaustive on purpose: a new one must
//! break an embedder's build.
//!
//! Delivery is at-least-once: an event that was heard before is a [`Duplicate`](crate::Heard::Duplicate), never an error. One
//! about what is over is [`Past`](crate::Heard::Past).
//!
//! Tests: arb-harness/lab/tests/court_suite/duplicates.rs, arb-harness/lab/tests/court_suite/bad_input.rs

use crate::api::facts::{ChannelFacts, Htlc, Standing};
use crate::api::fees::Fees;
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
///
/// A `why` in text is for people and has at most 256 bytes; a `request` is the id of the action that is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub enum Event {
    /// The first event of a journal; it comes once.
    JournalOpened(JournalIdentity),
    /// The new policy, whole.
    PolicySet(Policy),
    /// Heard first after every start, before any action.
    Started(Started),
    /// A channel joins the court, new or running. For one that an irrevocable close resolved it is a duplicate, and
    /// `ChannelResolved` is due once more (A52).
    ChannelOpened(Box<ChannelOpened>),
    /// A channel joins with its static facts only (a channel backup): outdated from the start (BOLT 5 F5).
    ChannelRestored(Box<ChannelFacts>),
    /// The channel's short channel id became known, or changed.
    ChannelSignals {
        channel: ChannelId,
        /// As BOLT 7 packs it.
        short_channel_id: u64,
    },
    /// The counterparty signed our next commitment. Accepted: `revoke_and_ack` may be sent.
    LocalCommitmentSigned(Box<LocalCommitmentSigned>),
    /// We are about to sign the counterparty's next commitment. Accepted: `commitment_signed` may be sent.
    RemoteCommitmentSigned(Box<RemoteCommitmentSigned>),
    /// The counterparty revoked its oldest commitment. Accepted: its consequences may be acted on.
    RemoteRevoked(Box<RemoteRevoked>),
    /// A preimage, and the HTLCs that it may be used for (R8). One that a joining channel has not told yet counts once it is told.
    PreimageLearned {
        preimage: Preimage,
        /// Received HTLCs that may be claimed with it, and offered ones that may be settled upstream.
        usable_for: Vec<HtlcKey>,
    },
    /// The node will never have a preimage for this received HTLC.
    HtlcGivenUp { htlc: HtlcKey },
    /// The node durably settled or failed the upstream HTLC, or our own payment.
    UpstreamAcknowledged {
        /// The HTLC that we sent.
        htlc: HtlcKey,
        outcome: Acknowledged,
    },
    /// What `channel_reestablish` (BOLT 2) said about whose state is newer.
    PeerStateSeen { channel: ChannelId, peer: PeerState },
    /// The channel shall go to chain. Refused of a forgotten one while no funding is known to be confirmed.
    CloseRequested { channel: ChannelId, why: CloseReason },
    /// A closing transaction that we are about to sign. Accepted: our signature may leave.
    ClosingSigned(Box<ClosingSigned>),
    /// The node has given up a channel that never held an HTLC and of which no commitment pays us. Refused until all blocks are
    /// heard, the funding was searched for, and everything is told: only then is it known what there is. One that would pay
    /// us, and whose funding cannot confirm: [`NeverFunded`](Self::NeverFunded).
    ChannelForgotten { channel: ChannelId },
    /// The operator wants more for a claim, or for a whole close. What it changed is in the records; a later request
    /// adds to an earlier one and lowers nothing.
    BumpRequested {
        channel: ChannelId,
        /// The output whose claim is meant; `None` for the whole close.
        outpoint: Option<OutPoint>,
        bump: Bump,
    },
    /// A block joined the best chain.
    BlockConnected(Box<Block>),
    /// The tip left the best chain.
    BlockDisconnected(Disconnected),
    /// The answer to [`Action::SearchSpends`](crate::Action::SearchSpends).
    Scanned(Box<Scanned>),
    /// An unconfirmed transaction that a node's mempool accepted, so its signatures are good. It may add a preimage, or
    /// the first sight of a close; it ends nothing (R12).
    MempoolSeen {
        #[serde(with = "wire::tx")]
        tx: Transaction,
    },
    /// New fee estimates. Worth an event when they moved by about a tenth; less is a duplicate until they are half
    /// stale.
    FeesEstimated(Fees),
    /// What the network made of an [`Action::Broadcast`](crate::Action::Broadcast).
    BroadcastAnswered {
        channel: ChannelId,
        /// The last transaction of that action.
        txid: Txid,
        answer: BroadcastAnswer,
    },
    /// The signatures that an [`Action::Sign`](crate::Action::Sign) asked for.
    Signed(Box<Signed>),
    /// The signer will not sign.
    SigningRefused { channel: ChannelId, request: ActionId, why: String },
    /// A fresh script for the sweeps of a close.
    ScriptsOffered {
        channel: ChannelId,
        request: ActionId,
        /// The scriptPubKey that sweeps shall pay to.
        script: ScriptBuf,
    },
    /// Coins for a claim whose fee comes from the wallet.
    FeeInputsOffered(Box<FeeInputsOffered>),
    /// The wallet has too few coins for a request.
    FeeInputsRefused {
        channel: ChannelId,
        request: ActionId,
        /// How many satoshi are missing.
        missing_sat: u64,
    },
    /// What is known of a revoked commitment; the answer to [`Action::LoadRevoked`](crate::Action::LoadRevoked).
    RevokedLoaded {
        channel: ChannelId,
        /// Its commitment number.
        number: u64,
        /// Every commitment that was signed under that number; the txid tells which one confirmed. Empty if neither log
        /// nor node knows one.
        candidates: Vec<RevokedCommitment>,
    },
    /// An action was carried out that no other event completes.
    Performed { channel: ChannelId, id: ActionId },
    /// An action could not be carried out; it stays due.
    Failed { channel: ChannelId, id: ActionId, why: String },
    /// An operator gives an output of a close up for good: it ends as uneconomic, and the channel waits for it no more. The
    /// court itself gives nothing up that is unspent and could pay for its own claim at some feerate that nodes relay.
    ClaimAbandoned {
        /// The channel.
        channel: ChannelId,
        /// The output that is to be claimed next: of the commitment, or of the HTLC transaction that spent it. The
        /// contract's own output on the commitment stands for either.
        outpoint: OutPoint,
    },
    /// One channel gets a policy of its own. It applies from now on; the feerate that a claim wants already never falls (R10).
    ChannelPolicySet {
        channel: ChannelId,
        /// The new policy, whole; `None`: the channel follows [`PolicySet`](Self::PolicySet) again.
        policy: Option<Box<Policy>>,
    },
    /// The node has told all that it knows: of a channel that joined, or of every channel after a start. Until then nothing
    /// rests on absence (R11): nothing is failed or given up, no deadline leads to chain, and our commitment is not signed.
    AdoptionComplete {
        /// The channel; `None`: every channel of the court, as after a start.
        channel: Option<ChannelId>,
        /// HTLCs that are irrevocably committed on both sides, although one side's commitment has them no more: they are
        /// being removed. Those that both sides' commitments have need not be named. One that is not told yet counts once it is
        /// told.
        committed: Vec<HtlcKey>,
    },
    /// An outdated channel is brought up to date: everything of it is told anew, as of one that joins, up to
    /// [`AdoptionComplete`](Self::AdoptionComplete).
    ChannelAdoptedAnew {
        channel: ChannelId,
        /// How far it has come: no number is below one that was ever shown.
        standing: Box<Standing>,
    },
    /// No funding of the channel can confirm any more, for example because a confirmed transaction spends an input of each. The
    /// node knows that, the court cannot. Every HTLC that we sent there is failed upstream, or settled with a known preimage, and
    /// the channel is then forgotten, whatever froze it before.
    NeverFunded { channel: ChannelId },
    /// Our per-commitment point of a commitment that confirmed; the answer to [`Action::LoadPoint`](crate::Action::LoadPoint).
    PointLoaded {
        channel: ChannelId,
        /// The commitment's number.
        number: u64,
        /// The point of *our* commitment of that number, as the node's seed gives it; `None` if the node cannot tell.
        point: Option<Point>,
    },
    /// The counterparty signed our newest commitment again, with other content, as BOLT 2 allows after a reconnection: the node
    /// says with it that our revocation of the commitment before has not left. Accepted: this version is our commitment, the
    /// other one is gone, and `revoke_and_ack` may be sent. The update is the change from the commitment before both, or whole.
    /// If the court has no version of it yet, it is the same as `LocalCommitmentSigned`.
    LocalCommitmentSignedAgain(Box<LocalCommitmentSigned>),
    /// A part of an answer to [`Action::SearchSpends`](crate::Action::SearchSpends) that has more than [`Scanned::BYTES_MAX`]:
    /// the next blocks in chain order, each whole, and nothing of `confirmed`. What it found counts at once. The search stays
    /// due until `Scanned` brings the last part.
    ScannedPart(Box<Scanned>),
}

impl Event {
    /// Whether this is a block, after which everything still due is repeated.
    pub const fn is_block(&self) -> bool {
        matches!(self, Self::BlockConnected(_))
    }
}

/// What a journal belongs to: another store's journal is refused by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalIdentity {
    /// The network whose blocks are delivered.
    pub network: Network,
    /// A random id that the embedder drew for this journal.
    pub journal: [u8; 32],
    /// The block that the first delivered one follows.
    pub tip: Tip,
    /// The policy until the first `PolicySet`.
    pub policy: Policy,
}

/// A block of the best chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub struct Tip {
    pub height: Height,
    pub hash: BlockHash,
}

/// Whether the journal is known to be the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Freshness {
    /// It is the newest.
    Trusted,
    /// It may be older than the node: no commitment of ours is signed or sent before the counterparty's state was seen.
    Suspect,
}

/// The embedder started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The build that decides from now on; at most 256 bytes.
    pub build: String,
    /// Whether the journal is known to be the newest.
    pub freshness: Freshness,
    /// The greatest height that the chain source has validated and can deliver.
    pub best_height: Height,
    /// A number that no other start of this journal has, such as the journal's epoch: told again, a start is a duplicate.
    pub run: u64,
}

/// A channel joins the court.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelOpened {
    /// What never changes.
    pub facts: ChannelFacts,
    /// How far it has come; all zero for a new channel.
    pub standing: Standing,
}

/// One commitment: as the change from the one before on the same side, or whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub struct CommitmentUpdate {
    pub channel: ChannelId,
    /// BOLT 3's commitment number, from 0.
    pub number: u64,
    /// The owner's per-commitment point for this number.
    pub point: Point,
    pub feerate_sat_per_kw: u32,
    /// Our balance in millisatoshi, before fees and without HTLCs.
    pub local_msat: u64,
    /// The counterparty's balance in millisatoshi, before fees and without HTLCs.
    pub remote_msat: u64,
    /// HTLCs that this commitment has and the one before does not; all that it has, if it is told `whole`.
    pub added: Vec<Htlc>,
    /// HTLCs that the one before has and this one does not; none, if it is told `whole`.
    pub removed: Vec<HtlcRef>,
    /// Whether `added` has every HTLC, so that nothing else need be known. The log keeps the change.
    pub whole: bool,
}

/// The counterparty's signatures for one funding's version of our commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitmentSignatures {
    /// On the commitment transaction.
    pub commitment: CompactSig,
    /// On its HTLC transactions, in output order (BOLT 2 `htlc_signature`).
    pub htlcs: Vec<CompactSig>,
}

/// Our next commitment, signed by the counterparty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalCommitmentSigned {
    /// What changed.
    pub update: CommitmentUpdate,
    /// The counterparty's signatures, one set for each funding, in the order of `ChannelFacts::fundings`.
    pub signatures: Vec<CommitmentSignatures>,
}

/// The counterparty's next commitment, about to be signed by us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteCommitmentSigned {
    /// What changed.
    pub update: CommitmentUpdate,
}

/// The counterparty's `revoke_and_ack` (BOLT 2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub struct RemoteRevoked {
    pub channel: ChannelId,
    /// The commitment that it revokes.
    pub number: u64,
    /// That commitment's `per_commitment_secret`.
    pub secret: Secret,
    /// The point of commitment `number + 2` (`next_per_commitment_point`).
    pub next_point: Point,
}

/// What the node did with the upstream HTLC, or with our own payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Acknowledged {
    /// It settled it.
    Settled,
    /// It failed it.
    Failed,
}

/// What the counterparty's `channel_reestablish` said (BOLT 2).
///
/// With L our newest commitment and S the newest that we signed for it, L − 1 or L and S or S + 1 are as they should be, and
/// lift a suspicion: tell them if they shall. More than L, with our own secret, proves that our state is old. Without it a
/// greater number is a claim, of which an alert tells. A lower number says that the counterparty lost data, and nothing of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerState {
    /// Its `next_commitment_number`.
    pub next_commitment_number: u64,
    /// Its `next_revocation_number`.
    pub next_revocation_number: u64,
    /// Its `your_last_per_commitment_secret`.
    pub last_secret: Secret,
    /// The node's own word: that secret is ours, for the commitment before `next_revocation_number`. The court checks the
    /// secret itself if it knows our point of that commitment.
    pub secret_is_ours: bool,
}

/// Why a channel was asked to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CloseReason {
    /// The operator asked.
    Operator,
    /// The counterparty sent an error.
    PeerError,
}

/// A mutual closing transaction that we sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub struct ClosingSigned {
    pub channel: ChannelId,
    /// The transaction; it spends a funding of the channel.
    #[serde(with = "wire::tx")]
    pub tx: Transaction,
    /// The index of our output; `None` if we have none.
    pub local_output: Option<u32>,
}

/// A block, whole or reduced to what the court watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub struct Block {
    pub height: Height,
    pub hash: BlockHash,
    /// The hash of the block before.
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
    /// The hash of the block before, which is the tip now.
    pub parent: BlockHash,
    /// The greatest height that the chain source has validated and can deliver.
    pub best_height: Height,
}

/// What a scan found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub struct Scanned {
    pub channel: ChannelId,
    /// The transaction whose outputs were searched for.
    pub parent: Txid,
    /// The last block that was searched. The court believes the answer only if this is one of the last `irrevocable_depth`
    /// blocks of the chain that it heard: a reorg may have taken what was found, and what was not found (A10).
    pub through: Tip,
    /// The height at which `parent` confirmed, up to `through`; `None` if it did not. The court may not have been told that a
    /// funding is confirmed (A21).
    pub confirmed: Option<Height>,
    /// The spends that were found, in chain order.
    pub spends: Vec<FoundSpend>,
}

impl Scanned {
    /// The most bytes that the transactions of one event may have, so that it fits into a frame of the log.
    pub const BYTES_MAX: usize = 32 * 1024 * 1024;
}

/// One transaction that a scan found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub struct FoundSpend {
    /// The height at which it confirmed.
    pub height: Height,
    #[serde(with = "wire::tx")]
    pub tx: Transaction,
}

/// What became of a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BroadcastAnswer {
    /// It is in the mempool now.
    Accepted,
    /// It was in the mempool before, or is confirmed.
    Known,
    /// It was refused.
    Rejected(BroadcastRejection),
}

/// Why a transaction was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BroadcastRejection {
    /// Its fee is below the mempool's minimum, or too low to replace another transaction (BIP 125).
    FeeTooLow,
    /// An input does not exist or is spent.
    MissingInputs,
    /// An unconfirmed transaction spends one of its inputs.
    ConflictInMempool,
    /// A timelock has not passed yet.
    NonFinal,
    /// Too many unconfirmed ancestors.
    TooLongChain,
    /// A script or signature is wrong.
    ScriptFailure,
    /// Anything else.
    Unknown,
}

/// The signer's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub struct Signed {
    pub channel: ChannelId,
    /// The [`SignRequest`](crate::SignRequest) that it answers.
    pub request: ActionId,
    /// One signature for every input that was asked for, in that order.
    pub signatures: Vec<InputSignature>,
}

/// A signature for one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub enum InputSignature {
    /// With a key of the channel.
    Channel(CompactSig),
    /// With the wallet's key of a P2WPKH coin.
    Wallet {
        signature: CompactSig,
        /// The key that signed; its P2WPKH is the coin's script.
        key: Point,
    },
}

/// A confirmed P2WPKH coin of the wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub struct FeeInput {
    pub outpoint: OutPoint,
    pub value_sat: u64,
    /// Its scriptPubKey.
    pub script: ScriptBuf,
}

/// What an operator wants for a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bump {
    /// At least this feerate, as far as the budget bears it, in satoshi per kiloweight; 0 for none.
    pub feerate_sat_per_kw: u32,
    /// A deadline that replaces the claim's own if it is earlier.
    pub deadline: Option<Height>,
    /// A budget in place of the policy's if it is larger, in satoshi: up to what is at stake, which is a claim's value,
    /// and for a commitment's child everything of that commitment that is ours.
    pub budget_sat: Option<u64>,
    /// A budget that may be more than what is at stake, in satoshi, for each claim that is meant and for a commitment's
    /// child. What is missing comes from the wallet; a fee that comes from a claim's value stays within that. The
    /// policy's highest feerate still bounds it.
    pub bound_sat: Option<u64>,
}

/// The wallet's answer to a request for fee inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "name and type say it")]
pub struct FeeInputsOffered {
    pub channel: ChannelId,
    /// The [`Action::RequestFeeInputs`](crate::Action::RequestFeeInputs) that it answers.
    pub request: ActionId,
    /// The coins.
    pub inputs: Vec<FeeInput>,
    /// The scriptPubKey that change pays to: P2WPKH, P2WSH or P2TR.
    pub change: ScriptBuf,
}
