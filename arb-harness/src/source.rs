//! The source of blocks: what the court hears of the chain, and where its transactions go.
//!
//! [`ChainSource`] is what an embedder implements for the chain that it has: a full node, an index server, a light client.
//! [`next_blocks`] brings a court from its tip to the source's, with whole blocks, one after the other, and takes back those
//! that left the best chain, also the ones that were delivered before a restart. [`scan`] searches the past for spends.
//! Nothing here judges anything.

use arb_core::{Block, BroadcastAnswer, ChannelId, Disconnected, Event, Fees, FoundSpend, Height, Scanned, Tip};
use bitcoin::{BlockHash, OutPoint, Transaction, Txid};

/// What a source knows of a block without its transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its height: the number of blocks below it on its branch.
    pub height: Height,
    /// The hash of the block below.
    pub parent: BlockHash,
}

/// A view of the block chain and of the mempool.
///
/// The best chain may change between any two calls. So whatever is asked about a block or up to a block names its hash, and the
/// answer is `Ok(None)` if the source does not know that block, or if a search up to it would be one on another branch. Then
/// nothing is reported to the court, which asks again. An answer from another branch would be believed: a source that cannot
/// tell branches apart must not answer.
///
/// Heights count blocks from the identity block, which has height 0.
///
/// An error says that the source could not answer: it is down, or too busy. It is never an answer, and nothing is lost by it:
/// what the court wanted stays due.
pub trait ChainSource {
    /// Why there is no answer.
    type Error: std::error::Error;

    /// The last block of the best chain that is validated, and that the source can deliver in full with all blocks below it.
    ///
    /// # Errors
    /// If the source cannot say.
    fn tip(&self) -> Result<Tip, Self::Error>;

    /// The hash of the block at this height of the best chain. `None` above the tip, and below the first block that the source
    /// has.
    ///
    /// # Errors
    /// If the source cannot say.
    fn hash_at(&self, height: Height) -> Result<Option<BlockHash>, Self::Error>;

    /// Height and parent of a block, also of one that *left* the best chain: without it the court could not be led back. Such
    /// a header has to be known for as long as a court may stand on its block, also across restarts of the source. `None` if
    /// the block is not known.
    ///
    /// # Errors
    /// If the source cannot say.
    fn header(&self, hash: &BlockHash) -> Result<Option<Header>, Self::Error>;

    /// The transactions of a block, in block order. They may be reduced to those that create or spend what the court watches.
    /// `None` if the source does not have the block.
    ///
    /// # Errors
    /// If the source cannot say.
    fn block(&self, hash: &BlockHash) -> Result<Option<Vec<Transaction>>, Self::Error>;

    /// Every confirmed transaction that spends one of these outputs, in blocks up to and including `through`, with the height
    /// at which it confirmed. In any order; one that spends several may be there several times. An empty list says that none
    /// of the outputs is spent as of `through`: the search has to go back to where each output was created. `None` if
    /// `through` is not on the best chain, at the beginning of the search or at its end.
    ///
    /// # Errors
    /// If the source cannot say.
    fn spends_of(&self, outpoints: &[OutPoint], through: &BlockHash) -> Result<Option<Vec<FoundSpend>>, Self::Error>;

    /// Gives transactions to the mempool, parents first: one, or a commitment and its child, which must be taken as a package.
    /// There is at least one. The answer is about the last of them. Giving the same twice is [`BroadcastAnswer::Known`].
    ///
    /// # Errors
    /// If the source cannot say what became of them. They are given again then.
    fn submit(&mut self, transactions: &[Transaction]) -> Result<BroadcastAnswer, Self::Error>;

    /// The present estimates, in satoshi per 1000 weight units, by rising target in blocks, and the mempool's own floor.
    /// `None` if the source has no estimator, or does not know enough yet.
    ///
    /// # Errors
    /// If the source cannot say.
    fn estimates(&self) -> Result<Option<Fees>, Self::Error>;
}

/// The next events that bring a court at `tip` towards the source's tip: at most `limit` blocks. They stop short where the
/// source has lost a block, or goes over to another branch meanwhile: the next call goes on from there.
///
/// # Errors
/// If the source fails.
pub fn next_blocks<C: ChainSource>(source: &C, tip: Tip, limit: usize) -> Result<Vec<Event>, C::Error> {
    let best_height = source.tip()?.height;
    let mut events = Vec::new();
    let mut at = tip;
    // The way back to the branch that both know.
    while source.hash_at(at.height)? != Some(at.hash) {
        let Some(Header { parent, .. }) = source.header(&at.hash)? else { return Ok(events) };
        let Tip { height, hash } = at;
        events.push(Event::BlockDisconnected(Disconnected { height, hash, parent, best_height }));
        at = Tip { height: Height::new(height.get().saturating_sub(1)), hash: parent };
    }
    for _ in 0..limit {
        let height = Height::new(at.height.get().saturating_add(1));
        let Some(hash) = source.hash_at(height)? else { break };
        let Some(Header { parent, .. }) = source.header(&hash)?.filter(|header| header.parent == at.hash) else {
            break;
        };
        let Some(txs) = source.block(&hash)? else { break };
        // A block may have come since the tip was asked for.
        let best_height = best_height.max(height);
        events.push(Event::BlockConnected(Box::new(Block { height, hash, parent, best_height, txs })));
        at = Tip { height, hash };
    }
    Ok(events)
}

/// Searches the chain for spends of these outputs, up to the block that the court knows. `None` if the source does not have
/// that block on its best chain.
///
/// # Errors
/// If the source fails.
pub fn scan<C: ChainSource>(
    source: &C,
    channel: ChannelId,
    parent: Txid,
    outpoints: &[OutPoint],
    through: Tip,
) -> Result<Option<Event>, C::Error> {
    let Some(mut spends) = source.spends_of(outpoints, &through.hash)? else { return Ok(None) };
    // The order is part of what is recorded: it must not depend on the source.
    spends.sort_by_cached_key(|spend| (spend.height, spend.tx.compute_txid()));
    spends.dedup_by_key(|spend| (spend.height, spend.tx.compute_txid()));
    let through = through.height;
    Ok(Some(Event::Scanned(Box::new(Scanned { channel, parent, through, spends }))))
}
