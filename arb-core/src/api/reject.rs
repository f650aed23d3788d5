//! Why an event was refused (R1, R14). A refusal leaves the step, and the court, as they were.
//!
//! Tests: arb-harness/lab/tests/court_suite/bad_input.rs, arb-harness/lab/tests/court_suite/bad_commitments.rs,
//! arb-harness/lab/tests/court_suite/bad_answers.rs

use crate::api::event::Tip;
use crate::api::ids::{ActionId, ChannelId, HtlcKey, HtlcRef};
use crate::api::units::Height;
use bitcoin::{BlockHash, OutPoint, Txid};

/// Why an event was not heard, and what was expected instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "name and type say it")]
pub enum Rejected {
    /// Another event came before `JournalOpened`.
    #[error("no journal is open: JournalOpened must be the first event")]
    JournalNotOpened,
    /// A second `JournalOpened` has another content.
    #[error("the journal was opened with another id, network, first block or policy")]
    OtherIdentity,
    /// A number of the policy is out of its range.
    #[error(
        "the policy is invalid: a divisor, a depth, max_feerate_sat_per_kw or max_inputs is zero, depths do not rise, \
         or idle_child_permille is above 1,000"
    )]
    UnsoundPolicy,
    /// The court has no such channel, or it is resolved.
    #[error("channel {0} is unknown")]
    UnknownChannel(ChannelId),
    /// The channel is known with other facts.
    #[error("channel {0} is known with other facts; facts never change")]
    OtherFacts(ChannelId),
    /// Another channel has this funding output.
    #[error("funding {outpoint} belongs to channel {channel}")]
    FundingTaken {
        outpoint: OutPoint,
        /// The channel that has it.
        channel: ChannelId,
    },
    /// A channel needs at least one funding; fundings are distinct and have one possible value.
    #[error("a channel needs one or more distinct fundings, all of one value, 1 sat to 21 million BTC")]
    BadFundings,
    /// A delay of 0 leaves no time to punish.
    #[error("a delay of {0} blocks is invalid, expected 1 to 65,535")]
    BadDelay(u16),
    /// A key is no point on the curve.
    #[error("a key is not a point on the curve")]
    BadKey,
    /// The fallback script, a close's fresh script or a change script is not one that we can pay to.
    #[error(
        "a script to pay to is invalid, expected P2WPKH, P2WSH or P2TR, or, if it is not for change, P2PKH or P2SH"
    )]
    BadScript,
    /// The counterparty's secrets are not those of all remote commitments below the next one.
    #[error(
        "next_remote is {next_remote}, so the store must hold every secret below it and no other; the secret that it \
         expects next is {missing}"
    )]
    BadStanding {
        /// The number of the next remote commitment.
        next_remote: u64,
        /// The number of the secret that follows the newest of the store.
        missing: u64,
    },
    /// The channel takes no new commitments any more (R10).
    #[error("channel {0} is frozen: it takes no new commitments")]
    Frozen(ChannelId),
    /// Our state is outdated (R10), until the channel is adopted anew.
    #[error("our state of channel {0} is outdated: it takes no new commitments")]
    Outdated(ChannelId),
    /// Only an outdated channel is adopted anew.
    #[error("channel {0} is not outdated: it needs not be adopted anew")]
    NotOutdated(ChannelId),
    /// A signature of ours for an old commitment was given out, so that commitment may confirm.
    #[error("a signature of ours for channel {0} was given out: it cannot be adopted anew")]
    SignatureGiven(ChannelId),
    /// The standing is below a number that was shown.
    #[error(
        "the standing is older than what was shown, expected next_local {next_local} and next_remote {next_remote} at least"
    )]
    StandingBehind { next_local: u64, next_remote: u64 },
    /// A commitment number was skipped, or repeated with another content.
    #[error("commitment {got} is out of order, expected {expected}")]
    WrongNumber { expected: u64, got: u64 },
    /// Another version of our newest commitment was signed, and something rests on the first one (A18).
    #[error("our commitment {number} cannot be replaced by another version of it: {why}")]
    CannotReplace { number: u64, why: &'static str },
    /// The counterparty has two unrevoked commitments, or too many candidates for the newer one.
    #[error("the counterparty must first revoke the commitment before commitment {pending}")]
    RevocationMissing {
        /// The number of the newest remote commitment.
        pending: u64,
    },
    /// The point is not the one that the counterparty announced in `revoke_and_ack`.
    #[error("the per-commitment point of commitment {number} is not the one that was announced")]
    WrongPoint { number: u64 },
    /// The secret is not the private key of the commitment's point.
    #[error("the secret of commitment {number} is not that of its per-commitment point")]
    SecretNotOfPoint { number: u64 },
    /// The secret and one that is known cannot come from one seed (BOLT 3), or the commitment was revoked with another.
    #[error("the secret of commitment {number} contradicts the secrets that are known")]
    SecretContradicts { number: u64 },
    /// The counterparty did not revoke this commitment.
    #[error("commitment {number} is not revoked")]
    NotRevoked { number: u64 },
    /// What was told of a revoked commitment does not give the txid that confirmed (A13), or is not what gave it before.
    #[error("what was told of revoked commitment {number} contradicts the txid that confirmed, or what is stored")]
    RevokedContradicts { number: u64 },
    /// Another point gave an output of the commitment that confirmed.
    #[error("our point of commitment {number} contradicts the one that gave an output of it")]
    PointContradicts { number: u64 },
    /// There are more candidates than one commitment number can have.
    #[error("{got} candidates for one commitment number, expected at most {max}")]
    TooManyCandidates { got: usize, max: usize },
    /// The HTLC is there already, is known with another content, or its id was used before.
    #[error("HTLC {0} was added before; an id is used once")]
    HtlcTwice(HtlcRef),
    /// The channel, or the commitment before, has no such HTLC.
    #[error("HTLC {0} is unknown")]
    UnknownHtlc(HtlcRef),
    /// The channel joins, no commitment that was told has this HTLC, and what is said of it is not kept.
    #[error("HTLC {0} is not told yet: its channel joins, and a commitment that has it must come first")]
    HtlcNotTold(HtlcRef),
    /// The HTLC is invalid.
    #[error("HTLC {htlc} is invalid: {why}")]
    BadHtlc { htlc: HtlcRef, why: &'static str },
    /// More HTLCs than BOLT 2 allows (483 each way).
    #[error("{got} HTLCs in one direction, expected at most 483 (BOLT 2)")]
    TooManyHtlcs { got: usize },
    /// The upstream is not a received HTLC of a channel that the court knows.
    #[error("upstream HTLC {0} is not a received HTLC of a known channel")]
    UnknownUpstream(HtlcKey),
    /// Balances and HTLCs of a revoked commitment exceed its funding.
    #[error("balances and HTLCs are {sum_msat} msat, expected at most the funding's {capacity_msat} msat")]
    AboveCapacity { sum_msat: u64, capacity_msat: u64 },
    /// Balances and HTLCs, too small ones included, are not the funding exactly (BOLT 2).
    #[error("balances and HTLCs are {sum_msat} msat, expected exactly the funding's {capacity_msat} msat")]
    NotTheFunding { sum_msat: u64, capacity_msat: u64 },
    /// There are too many or too few signatures.
    #[error("{got} signatures, expected {expected}")]
    SignatureCount { expected: usize, got: usize },
    /// The counterparty's signature does not fit the rebuilt commitment.
    #[error("the signature for commitment {txid} is wrong")]
    WrongCommitmentSignature {
        /// The rebuilt commitment.
        txid: Txid,
    },
    /// The counterparty's signature does not fit the rebuilt HTLC transaction.
    #[error("the HTLC signature for output {vout} of commitment {txid} is wrong")]
    WrongHtlcSignature {
        /// The rebuilt commitment.
        txid: Txid,
        /// The HTLC's output in it.
        vout: u32,
    },
    /// No commitment transaction has these terms (BOLT 3).
    #[error("no commitment transaction has these terms: a key, the number, an expiry or an amount is out of range")]
    CannotBuild,
    /// The preimage does not hash to the HTLC's payment hash.
    #[error("the preimage does not hash to the payment hash of HTLC {0}")]
    WrongPreimage(HtlcKey),
    /// The acknowledged outcome was not released, or another one was acknowledged before.
    #[error("the acknowledged outcome of HTLC {0} was not released, or another was acknowledged before")]
    NoSuchOutcome(HtlcKey),
    /// A block is not the next one, or what a search found is above the block that it reached.
    #[error("height {got} does not fit to block {} at height {}", .tip.hash, .tip.height)]
    HeightGap {
        /// The tip, or the block that the search reached.
        tip: Tip,
        /// The height of the block, or of what was found.
        got: Height,
    },
    /// The block does not follow the tip.
    #[error("the block's parent is {got}, expected the tip, {} at height {}", .tip.hash, .tip.height)]
    UnknownParent {
        tip: Tip,
        /// The block's parent.
        got: BlockHash,
    },
    /// Only the tip can leave the best chain.
    #[error("only the tip can be disconnected: it is {} at height {}", .tip.hash, .tip.height)]
    NotTheTip { tip: Tip },
    /// The best known height is below the block's own.
    #[error("the best known height {best} is below the block's height {height}")]
    BadBestHeight {
        /// The block's height.
        height: Height,
        /// The best known height.
        best: Height,
    },
    /// The scan ends below the height at which it was asked for: spends between would be missed.
    #[error("the scan ends at height {through}, expected {needed} at least")]
    ScanTooShort {
        /// The last height that was searched.
        through: Height,
        /// The tip when it was asked for.
        needed: Height,
    },
    /// The search reached a block that the court does not have, or that a reorg took: what it found or missed is another chain's.
    /// It stays due.
    #[error(
        "the search reached block {} at height {}, expected one of the last {kept} blocks up to {}",
        .reached.hash, .reached.height, .tip.height
    )]
    SearchedElsewhere {
        /// The block that it names.
        reached: Tip,
        tip: Tip,
        /// How many blocks the court remembers.
        kept: usize,
    },
    /// There is no estimate, targets do not rise, or a feerate is zero.
    #[error("fee estimates need one or more targets, in rising order, with feerates above zero")]
    BadFees,
    /// No such request is outstanding.
    #[error("request {0} is not outstanding")]
    UnknownRequest(ActionId),
    /// A signature does not fit the transaction that was to be signed.
    #[error("signature {input} of request {request} is wrong")]
    WrongSignature {
        request: ActionId,
        /// The signature's place in the answer, from 0.
        input: usize,
    },
    /// A coin is not P2WPKH, is in use, or was offered twice.
    #[error("coin {0} is invalid: it is not P2WPKH, is in use, or was offered twice")]
    BadFeeInput(OutPoint),
    /// The coins are worth less than was asked for.
    #[error("the coins are worth {net_sat} sat after paying for their inputs, expected at least {amount_sat} sat")]
    FeeInputsTooSmall {
        /// What was asked for.
        amount_sat: u64,
        /// What they are worth after paying for their own inputs.
        net_sat: u64,
    },
    /// No claim of this channel spends this output.
    #[error("no claim spends output {0}: nothing to raise")]
    NothingToBump(OutPoint),
    /// The channel held an HTLC, is closing, or a commitment of it has a balance of ours (BOLT 5, Failing a Channel). Of one that
    /// shall never be funded: a funding is confirmed, or spent.
    #[error(
        "channel {0} held an HTLC, is closing, has a balance of ours, or was said never to be funded and is: it must not be \
         forgotten"
    )]
    CannotForget(ChannelId),
    /// That nothing of the channel can be claimed, or that no funding is confirmed, follows from absence, so it waits for the best
    /// known block and for the search for the funding, and the former for the node, too (R11).
    #[error(
        "it is too soon to forget channel {0}: blocks are missing, its funding was not searched for, or the node has not \
         told everything"
    )]
    ForgottenTooSoon(ChannelId),
    /// The channel was forgotten, and no funding of it is known to be confirmed.
    #[error("channel {0} was forgotten, and no funding of it is known to be confirmed: there is nothing to close")]
    NothingToClose(ChannelId),
    /// A closing transaction spends a funding of the channel, and `local_output` is one of its outputs.
    #[error("a closing transaction must spend a funding of the channel, and local_output must be one of its outputs")]
    NotAClosing,
    /// A closing transaction has no output for an HTLC, so none may be on a commitment that can confirm (BOLT 2).
    #[error("HTLC {0} is on a commitment that can confirm: no closing transaction can be signed before it is gone")]
    HtlcPending(HtlcRef),
    /// Nothing of the close wants this output.
    #[error("{0} is no unspent output that is ours to claim now: there is nothing to give up")]
    NothingToAbandon(OutPoint),
    /// The counterparty signed every fee that this close has now, or nothing of it is left to be claimed.
    #[error(
        "nothing of the close of channel {0} can be raised now: its fees are fixed by the counterparty's signatures, or \
         nothing of it is left to be claimed"
    )]
    NothingToRaise(ChannelId),
    /// There are too many of something.
    #[error("{what}: there are {got}, and at most {max} are possible")]
    TooMany {
        /// What.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// How many there may be.
        max: usize,
    },
    /// A text or a tag is too long.
    #[error("the {what} has {got} bytes, expected at most {max}")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its length in bytes.
        got: usize,
        /// The most bytes it may have.
        max: usize,
    },
}

/// What the sender of a refused event should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectedClass {
    /// It came too early: once something else has been heard, or is there, the same event may be accepted.
    NotYet,
    /// The embedder, or its source, is wrong. Told again it is refused again, unless what it contradicts has changed.
    Mistake,
    /// The counterparty sent something invalid. The node must refuse that message.
    Hostile,
}

impl Rejected {
    /// What the refusal means.
    pub const fn class(&self) -> RejectedClass {
        match self {
            Self::JournalNotOpened
            | Self::UnknownChannel(_)
            | Self::Outdated(_)
            | Self::RevocationMissing { .. }
            | Self::UnknownUpstream(_)
            | Self::HtlcNotTold(_)
            | Self::ForgottenTooSoon(_)
            | Self::NothingToClose(_)
            | Self::HtlcPending(_)
            | Self::HeightGap { .. }
            | Self::UnknownParent { .. }
            | Self::ScanTooShort { .. }
            | Self::SearchedElsewhere { .. }
            | Self::NotRevoked { .. }
            | Self::NothingToBump(_)
            | Self::NothingToAbandon(_)
            | Self::NothingToRaise(_)
            | Self::FeeInputsTooSmall { .. } => RejectedClass::NotYet,
            Self::WrongPoint { .. }
            | Self::SecretNotOfPoint { .. }
            | Self::SecretContradicts { .. }
            | Self::SignatureCount { .. }
            | Self::WrongCommitmentSignature { .. }
            | Self::WrongHtlcSignature { .. } => RejectedClass::Hostile,
            Self::OtherIdentity
            | Self::UnsoundPolicy
            | Self::OtherFacts(_)
            | Self::FundingTaken { .. }
            | Self::BadFundings
            | Self::BadDelay(_)
            | Self::BadKey
            | Self::BadScript
            | Self::BadStanding { .. }
            | Self::Frozen(_)
            | Self::NotOutdated(_)
            | Self::SignatureGiven(_)
            | Self::StandingBehind { .. }
            | Self::WrongNumber { .. }
            | Self::CannotReplace { .. }
            | Self::RevokedContradicts { .. }
            | Self::PointContradicts { .. }
            | Self::TooManyCandidates { .. }
            | Self::HtlcTwice(_)
            | Self::UnknownHtlc(_)
            | Self::BadHtlc { .. }
            | Self::TooManyHtlcs { .. }
            | Self::AboveCapacity { .. }
            | Self::NotTheFunding { .. }
            | Self::CannotBuild
            | Self::WrongPreimage(_)
            | Self::NoSuchOutcome(_)
            | Self::NotTheTip { .. }
            | Self::BadBestHeight { .. }
            | Self::BadFees
            | Self::UnknownRequest(_)
            | Self::WrongSignature { .. }
            | Self::BadFeeInput(_)
            | Self::CannotForget(_)
            | Self::NotAClosing
            | Self::TooMany { .. }
            | Self::TooLong { .. } => RejectedClass::Mistake,
        }
    }
}

/// A frame of the log does not fit the state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "name and type say it")]
pub enum Mismatch {
    /// The frame is not the next one.
    #[error("frame {got} does not follow frame {have}, expected the next one")]
    Sequence {
        /// The last frame that was folded.
        have: u64,
        got: u64,
    },
    /// The frame names a channel that does not exist.
    #[error("frame {sequence} names a channel that does not exist")]
    NoChannel { sequence: u64 },
    /// The frame concludes something that is not possible in the state before it.
    #[error("frame {sequence} contradicts the state: {what}")]
    Impossible { sequence: u64, what: &'static str },
}
