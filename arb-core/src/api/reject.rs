//! Why an event was refused. A refusal leaves the step, and the court, as they were.

use crate::api::event::Tip;
use crate::api::ids::{ActionId, ChannelId, HtlcKey, HtlcRef};
use crate::api::units::Height;
use bitcoin::{BlockHash, OutPoint, Txid};

/// Why an event was not heard, and what was expected instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// Nothing can be heard before `JournalIdentity`.
    #[error("no journal is open: JournalOpened has to be heard first")]
    JournalNotOpened,
    /// `JournalIdentity` comes once.
    #[error("the journal belongs to another node, network or start")]
    OtherIdentity,
    /// The policy divides by zero, or has an empty range.
    #[error("the policy has a number that cannot be worked with")]
    UnsoundPolicy,
    /// No such channel.
    #[error("channel {0} is not known")]
    UnknownChannel(ChannelId),
    /// The channel is known with other facts.
    #[error("channel {0} is known with other facts")]
    OtherFacts(ChannelId),
    /// Another channel has this funding output.
    #[error("funding {outpoint} belongs to channel {channel}")]
    FundingTaken {
        /// The funding.
        outpoint: OutPoint,
        /// The channel that has it.
        channel: ChannelId,
    },
    /// A channel has at least one funding, distinct, with a value.
    #[error("a channel needs one or more distinct fundings with a value")]
    BadFundings,
    /// A delay of 0 would leave no time to punish, or an unspendable script.
    #[error("a delay of {0} blocks cannot be used: 1 to 65,535 are possible")]
    BadDelay(u16),
    /// A key is no point on the curve.
    #[error("a key is not a point on the curve")]
    BadKey,
    /// The fallback script cannot take a sweep.
    #[error("the fallback script is empty")]
    BadScript,
    /// The standing contradicts itself.
    #[error("next remote commitment {next_remote} needs {next_remote} secrets; the store lacks that of {missing}")]
    BadStanding {
        /// The next remote commitment.
        next_remote: u64,
        /// A secret that is missing.
        missing: u64,
    },
    /// The channel refuses new commitments for ever (R10).
    #[error("channel {0} is frozen")]
    Frozen(ChannelId),
    /// The channel is outdated for ever.
    #[error("channel {0} is outdated")]
    Outdated(ChannelId),
    /// A commitment number was skipped, or repeated with other content.
    #[error("commitment {got}, expected {expected}")]
    WrongNumber {
        /// The number expected.
        expected: u64,
        /// The number given.
        got: u64,
    },
    /// The set already has two unrevoked remote commitments.
    #[error("commitment {pending} is still waiting for the revocation of the one before")]
    RevocationMissing {
        /// The newest remote commitment.
        pending: u64,
    },
    /// The point is not the one that was announced.
    #[error("the per-commitment point of commitment {number} is not the one that was announced")]
    WrongPoint {
        /// The commitment.
        number: u64,
    },
    /// The secret does not fit its point.
    #[error("the secret of commitment {number} does not fit its point")]
    SecretNotOfPoint {
        /// The commitment.
        number: u64,
    },
    /// The secret contradicts one that is known.
    #[error("the secret of commitment {number} contradicts the store")]
    SecretContradicts {
        /// The commitment.
        number: u64,
    },
    /// The commitment is not revoked.
    #[error("commitment {number} is not revoked")]
    NotRevoked {
        /// The commitment.
        number: u64,
    },
    /// What is said of a revoked commitment is not what confirmed, or not what is known.
    #[error("what is said of revoked commitment {number} contradicts its txid, or what is known of it")]
    RevokedContradicts {
        /// The commitment.
        number: u64,
    },
    /// More candidates than there can be for one commitment number.
    #[error("{got} candidates for one commitment; {max} are possible")]
    TooManyCandidates {
        /// How many.
        got: usize,
        /// How many there can be.
        max: usize,
    },
    /// The HTLC is there already, or its id was used before.
    #[error("HTLC {0} was added before")]
    HtlcTwice(HtlcRef),
    /// The HTLC is not in the commitment before.
    #[error("HTLC {0} is not known")]
    UnknownHtlc(HtlcRef),
    /// The HTLC cannot be.
    #[error("HTLC {htlc} cannot be: {why}")]
    BadHtlc {
        /// The HTLC.
        htlc: HtlcRef,
        /// Why.
        why: &'static str,
    },
    /// More HTLCs than BOLT 2 allows (483 each way).
    #[error("{got} HTLCs one way; BOLT 2 allows 483")]
    TooManyHtlcs {
        /// How many.
        got: usize,
    },
    /// The upstream HTLC is not known.
    #[error("upstream HTLC {0} is not known")]
    UnknownUpstream(HtlcKey),
    /// Balances and HTLCs exceed the funding.
    #[error("balances and HTLCs are {sum_msat} msat; the funding has {capacity_msat} msat")]
    AboveCapacity {
        /// The sum.
        sum_msat: u64,
        /// The capacity.
        capacity_msat: u64,
    },
    /// The number of signatures is wrong.
    #[error("{got} signatures, expected {expected}")]
    SignatureCount {
        /// How many are needed.
        expected: usize,
        /// How many came.
        got: usize,
    },
    /// The counterparty's commitment signature does not fit the rebuilt commitment.
    #[error("the signature for commitment {txid} is wrong")]
    WrongCommitmentSignature {
        /// The rebuilt commitment.
        txid: Txid,
    },
    /// The counterparty's HTLC signature does not fit the rebuilt HTLC transaction.
    #[error("the HTLC signature for output {vout} of commitment {txid} is wrong")]
    WrongHtlcSignature {
        /// The rebuilt commitment.
        txid: Txid,
        /// Its output.
        vout: u32,
    },
    /// The commitment cannot be built.
    #[error("the commitment cannot be built")]
    CannotBuild,
    /// The preimage does not hash to that HTLC's payment hash.
    #[error("the preimage is not that of HTLC {0}")]
    WrongPreimage(HtlcKey),
    /// The outcome acknowledged is not the one that was released.
    #[error("HTLC {0} has no such outcome to acknowledge")]
    NoSuchOutcome(HtlcKey),
    /// The block leaves a gap, or repeats a height with another hash.
    #[error("block {got} does not follow {tip:?}")]
    HeightGap {
        /// The tip.
        tip: Tip,
        /// The block's height.
        got: Height,
    },
    /// The block's parent is not our tip.
    #[error("the block's parent is {got}; the tip is {tip:?}")]
    UnknownParent {
        /// The tip.
        tip: Tip,
        /// The block's parent.
        got: BlockHash,
    },
    /// The disconnected block is not our tip.
    #[error("the tip is {tip:?}; only it can be disconnected")]
    NotTheTip {
        /// The tip.
        tip: Tip,
    },
    /// The best known height is below the block's own.
    #[error("best known height {best} is below {height}")]
    BadBestHeight {
        /// The block's height.
        height: Height,
        /// The best known height.
        best: Height,
    },
    /// The scan ends below the height at which it was asked for: what came in between would be missed.
    #[error("the scan ends at {through}; it has to reach {needed}")]
    ScanTooShort {
        /// Where it ends.
        through: Height,
        /// The tip when it was asked for.
        needed: Height,
    },
    /// Feerates must rise in target and not be zero.
    #[error("feerates need rising targets and values above zero")]
    BadFees,
    /// Nobody asked.
    #[error("request {0} is not outstanding")]
    UnknownRequest(ActionId),
    /// A signature does not fit the transaction that was to be signed.
    #[error("signature {input} of request {request} is wrong")]
    WrongSignature {
        /// The request.
        request: ActionId,
        /// Which signature.
        input: usize,
    },
    /// The coin offered cannot be used.
    #[error("coin {0} cannot be used: it is not P2WPKH, in use, or there twice")]
    BadFeeInput(OutPoint),
    /// The coins offered are not worth enough.
    #[error("the coins are worth {net_sat} sat after paying for their inputs; {amount_sat} sat are needed")]
    FeeInputsTooSmall {
        /// What was asked for.
        amount_sat: u64,
        /// What they are worth.
        net_sat: u64,
    },
    /// Nothing that is wanted has this outpoint.
    #[error("output {0} is not being claimed: there is nothing to raise")]
    NothingToBump(OutPoint),
    /// The channel held an HTLC: it cannot be forgotten.
    #[error("channel {0} held an HTLC or is closing; it cannot be forgotten")]
    CannotForget(ChannelId),
    /// A closing transaction must spend a funding of the channel.
    #[error("the transaction does not spend a funding of the channel")]
    NotAClosing,
    /// A text or tag is too long.
    #[error("{what} has {got} bytes; {max} are possible")]
    TooLong {
        /// What.
        what: &'static str,
        /// How long it is.
        got: usize,
        /// How long it may be.
        max: usize,
    },
}

/// The log does not fit the state: a fact that cannot have happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// The frame does not follow.
    #[error("frame {got} does not follow frame {have}")]
    Sequence {
        /// The last frame that was folded.
        have: u64,
        /// The frame given.
        got: u64,
    },
    /// The frame names a channel that does not exist.
    #[error("frame {sequence} names a channel that does not exist")]
    NoChannel {
        /// The frame.
        sequence: u64,
    },
    /// The frame says something that cannot follow from the state.
    #[error("frame {sequence} does not fit: {what}")]
    Impossible {
        /// The frame.
        sequence: u64,
        /// What.
        what: &'static str,
    },
}
