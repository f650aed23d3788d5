//! Why the chain or its mempool refuses a transaction, and what it answers if it accepts one.
//!
//! One enum covers consensus and policy. Every variant carries what was expected and what was found, so that a test can
//! assert the limit and an operator can see the cause. Consensus reasons also refuse a block
//! ([`mine_txs`](super::Chain::mine_txs)); policy reasons are marked and concern only the mempool.

use bitcoin::{OutPoint, Txid};

/// The answer for a transaction that was not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// It was added to the mempool.
    Accepted,
    /// The same transaction with the same witness was in the mempool already.
    AlreadyInMempool,
    /// A transaction of this id is confirmed.
    AlreadyConfirmed,
}

/// Why a transaction was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reject {
    /// A transaction has at least one input and one output.
    #[error("a transaction needs inputs and outputs; this one has {inputs} and {outputs}")]
    Empty {
        /// How many inputs it has.
        inputs: usize,
        /// How many outputs it has.
        outputs: usize,
    },
    /// Coinbase transactions are not accepted: coins are minted instead.
    #[error("coinbase transactions are not accepted; coins of this chain are minted")]
    Coinbase,
    /// The same outpoint appears twice among the inputs.
    #[error("{outpoint} is spent twice by the same transaction")]
    DuplicateInput {
        /// The outpoint named twice.
        outpoint: OutPoint,
    },
    /// An input does not exist, or a confirmed transaction has spent it.
    #[error("input {outpoint} is missing (confirmed spender: {spent_by:?})")]
    MissingInputs {
        /// The first input that is not there.
        outpoint: OutPoint,
        /// The confirmed transaction that spent it; `None` if it never existed.
        spent_by: Option<Txid>,
    },
    /// The transaction spends what another of the same block spends, or would replace its own ancestor.
    #[error("the transaction conflicts with {with}, which it must not replace")]
    Conflict {
        /// The transaction it conflicts with.
        with: Txid,
    },
    /// Policy: the transaction conflicts with the mempool and does not pay enough to replace what is there.
    #[error("replacing {with} needs a fee of {needed} sat and a higher feerate; this pays {fee} sat")]
    ReplacementTooCheap {
        /// A conflicting transaction that pays too much to be replaced.
        with: Txid,
        /// The fee offered (of the whole package, if it came as one).
        fee: u64,
        /// The least absolute fee that could replace; the feerate must be higher as well.
        needed: u64,
    },
    /// Policy: the replacement would evict too many transactions.
    #[error("the transaction would replace {count} transactions; the limit is {limit}")]
    TooManyReplaced {
        /// How many would be evicted; a descendant of two conflicts counts twice.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// Policy: a replacement has an unconfirmed input whose transaction no conflict spends from.
    #[error("a replacement may not add the unconfirmed input {outpoint}")]
    NewUnconfirmedInput {
        /// The input.
        outpoint: OutPoint,
    },
    /// Policy: a package is one child, last, with some of its direct parents.
    #[error("a package must be one child and its parents, with the child last")]
    NotChildWithParents,
    /// Policy: only a package of one parent and one child may replace.
    #[error("a package of {count} transactions may not replace; only a package of 2 may")]
    PackageReplaces {
        /// How many transactions it has.
        count: usize,
    },
    /// Policy: a package that replaces may have no unconfirmed ancestor.
    #[error("a package that replaces must not spend from {ancestor}, which is unconfirmed")]
    PackageWithAncestors {
        /// The ancestor.
        ancestor: Txid,
    },
    /// Policy: a package may only replace transactions in clusters of at most two.
    #[error("a package must not replace {with}, which is connected to more than one other transaction")]
    ClusterTooLarge {
        /// The conflict.
        with: Txid,
    },
    /// Policy: the child of a package that replaces must raise the feerate of its parent.
    #[error("the package pays {package} sat/kvB, its parent alone {parent}: the child does not pay for it")]
    ChildDoesNotPay {
        /// Feerate of the package, in satoshi per thousand virtual bytes.
        package: u64,
        /// Feerate of the parent alone.
        parent: u64,
    },
    /// Policy: for some block size a miner would not earn more with the package than with what it replaces.
    #[error("the package does not improve the feerate diagram of what it replaces")]
    DiagramNotImproved,
    /// The outputs are worth more than the inputs.
    #[error("the outputs of {value_out} sat exceed the inputs of {value_in} sat")]
    OutputsExceedInputs {
        /// The sum of the inputs.
        value_in: u64,
        /// The sum of the outputs, saturating.
        value_out: u64,
    },
    /// The absolute lock time has not passed.
    #[error("lock time {lock_time} is not below the next height {next_height}")]
    NonFinal {
        /// The transaction's nLockTime.
        lock_time: u32,
        /// The height of the block it would be in; nLockTime must be lower.
        next_height: u32,
    },
    /// A relative lock (BIP 68) has not passed.
    #[error("input {input} can be spent from block {spendable_at} on; the next block is {next_height}")]
    NonBip68Final {
        /// The input whose sequence says so.
        input: usize,
        /// The first block that may hold the transaction.
        spendable_at: u32,
        /// The height of the block it would be in.
        next_height: u32,
    },
    /// The script interpreter refused an input. Its message is often just `ERR_SCRIPT`.
    #[error("script of input {input} fails: {error:?}")]
    Script {
        /// The input refused.
        input: usize,
        /// The interpreter's own answer.
        error: bitcoinconsensus::Error,
    },
    /// A confirmed transaction of this id exists (returned when mining; `submit` answers [`Submitted::AlreadyConfirmed`]).
    #[error("the transaction is confirmed at height {height} already")]
    AlreadyConfirmed {
        /// Where it is confirmed.
        height: u32,
    },
    /// An output of the transaction exists or has existed already, because it was planted.
    #[error("output {outpoint} exists already")]
    OutputExists {
        /// The outpoint that is taken.
        outpoint: OutPoint,
    },
    /// A transaction to be planted spends a coin of this chain: it must be mined.
    #[error("{outpoint} is a coin of this chain; mine its spender instead of planting it")]
    InputExists {
        /// The existing coin.
        outpoint: OutPoint,
    },
    /// The block would exceed the weight limit.
    #[error("the block would weigh {weight}; the limit is {limit}")]
    BlockTooHeavy {
        /// The block's weight with this transaction.
        weight: u64,
        /// The chain's limit.
        limit: u64,
    },
    /// The mempool has the same transaction with another witness, and keeps it.
    #[error("the mempool holds this transaction with another witness")]
    WitnessDiffers,
    /// Policy: an output is too small to be worth spending.
    #[error("output {output} of {value} sat is dust; the least value is {minimum} sat")]
    Dust {
        /// The output.
        output: usize,
        /// Its value.
        value: u64,
        /// The least value that is relayed.
        minimum: u64,
    },
    /// Policy: the fee is below the relay floor.
    #[error("fee of {fee} sat is below the floor of {needed} sat")]
    BelowFloor {
        /// The fee offered (of the whole package, if it came as one).
        fee: u64,
        /// The least fee that is relayed.
        needed: u64,
    },
    /// Policy: the feerate is below the present minimum of the full mempool.
    #[error("fee of {fee} sat is below the mempool's present minimum of {needed} sat")]
    BelowMempoolMinimum {
        /// The fee offered (of the whole package, if it came as one).
        fee: u64,
        /// The least fee that is taken.
        needed: u64,
    },
    /// Policy: only versions 1 to 3 are relayed.
    #[error("version {got} is not relayed; versions 1 to 3 are")]
    Version {
        /// The transaction's version.
        got: i32,
    },
    /// Policy: the transaction is too heavy.
    #[error("weight {weight} exceeds the limit of {limit}")]
    TooHeavy {
        /// Its weight.
        weight: u64,
        /// The heaviest that is relayed.
        limit: u64,
    },
    /// Policy: too many unconfirmed ancestors.
    #[error("{count} unconfirmed ancestors, itself included; the limit is {limit}")]
    TooManyAncestors {
        /// How many there would be, with the transaction itself.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Policy: the transaction and its unconfirmed ancestors are too large together.
    #[error("{vsize} vB of unconfirmed ancestors, itself included; the limit is {limit}")]
    AncestorsTooLarge {
        /// Their virtual bytes.
        vsize: u64,
        /// How many there may be.
        limit: u64,
    },
    /// Policy: an unconfirmed ancestor would have too many descendants.
    #[error("{of} would have {count} descendants, itself included; the limit is {limit}")]
    TooManyDescendants {
        /// The ancestor.
        of: Txid,
        /// How many it would have, itself included.
        count: usize,
        /// How many it may have.
        limit: usize,
    },
    /// Policy: an unconfirmed ancestor and its descendants would be too large together.
    #[error("{of} would have {vsize} vB of descendants, itself included; the limit is {limit}")]
    DescendantsTooLarge {
        /// The ancestor.
        of: Txid,
        /// Their virtual bytes.
        vsize: u64,
        /// How many there may be.
        limit: u64,
    },
}

/// Which transaction of a package was refused, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("transaction {index} of the package: {reject}")]
pub struct PackageReject {
    /// The position within the package.
    pub index: usize,
    /// The reason.
    #[source]
    pub reject: Reject,
}
