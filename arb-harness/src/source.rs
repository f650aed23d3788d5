//! The chain source: what the court hears of the chain, and where its transactions go.
//!
//! An embedder implements [`ChainSource`] for its full node, index server or light client. [`next_blocks`] brings a court from
//! its tip to the source's, block by block; it first disconnects blocks that left the best chain, also those that were
//! delivered before a restart. [`scan`] searches past blocks for spends. Nothing here decides anything.

use arb_core::{Block, BroadcastAnswer, ChannelId, Disconnected, Event, Fees, FoundSpend, Height, Scanned, Tip};
use bitcoin::{BlockHash, OutPoint, Transaction, Txid};

/// A block's place in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The number of blocks below it on its branch.
    pub height: Height,
    /// The hash of the block below.
    pub parent: BlockHash,
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The height at which the transaction confirmed whose outputs were searched for; `None` if it did not.
    pub confirmed: Option<Height>,
    /// The transactions that spend these outputs.
    pub spends: Vec<FoundSpend>,
}

/// A view of the block chain and of the mempool.
///
/// The best chain may change between any two calls. So every question about a block, or up to a block, names its hash. The
/// answer is `Ok(None)` if the source does not know that block, or if a search up to it would end on another branch. Then
/// nothing is reported to the court, which asks again. The court would believe an answer from another branch, so a source that
/// cannot tell branches apart must not answer.
///
/// Heights count blocks from the network's genesis block, which has height 0.
///
/// An error says that the source could not answer, because it is down or too busy. It is never an answer, and nothing is lost:
/// the action stays due.
pub trait ChainSource {
    /// Why the source could not answer.
    type Error: std::error::Error;

    /// The last validated block of the best chain that the source can deliver in full, with all blocks below it.
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

    /// Height and parent of a block, also of one that *left* the best chain: without it the court could not disconnect that
    /// block. Such a header must stay known for as long as the block may be a court's tip, also across restarts of the source.
    /// `None` if the block is not known.
    ///
    /// # Errors
    /// If the source cannot say.
    fn header(&self, hash: &BlockHash) -> Result<Option<Header>, Self::Error>;

    /// The transactions of a block, in block order. They may be reduced to those that create or spend outputs that the court
    /// watches.
    /// `None` if the source does not have the block.
    ///
    /// # Errors
    /// If the source cannot say.
    fn block(&self, hash: &BlockHash) -> Result<Option<Vec<Transaction>>, Self::Error>;

    /// Every confirmed transaction that spends one of these outputs of `parent`, in blocks up to and including `through`, with
    /// the height at which it confirmed, and whether `parent` itself is confirmed. In any order; a transaction that spends
    /// several outputs may be listed several times. An empty list says that none of the outputs is spent as of `through`, so the
    /// search must go back to where each output was created. `None` if `through` is not on the best chain at the beginning of
    /// the search or at its end.
    ///
    /// # Errors
    /// If the source cannot say.
    fn spends_of(
        &self,
        parent: &Txid,
        outpoints: &[OutPoint],
        through: &BlockHash,
    ) -> Result<Option<Found>, Self::Error>;

    /// Submits transactions to the mempool, parents first: one, or a commitment and its child, which must be submitted as a
    /// package. There is at least one. The answer is about the last of them: [`BroadcastAnswer::Known`] if the mempool has it.
    ///
    /// # Errors
    /// If the source cannot say what became of them. Then they are submitted again.
    fn submit(&mut self, transactions: &[Transaction]) -> Result<BroadcastAnswer, Self::Error>;

    /// The present feerate estimates, in satoshi per 1000 weight units, by rising target in blocks, and the mempool's minimum.
    /// `None` if the source has no estimator, or none that has enough data.
    ///
    /// # Errors
    /// If the source cannot say.
    fn estimates(&self) -> Result<Option<Fees>, Self::Error>;
}

/// The next events that bring a court at `tip` towards the source's tip: every disconnected block, and at most `limit`
/// connected ones. They end early if the source lacks a block or changes its branch meanwhile; then call again.
///
/// # Errors
/// If the source fails.
pub fn next_blocks<C: ChainSource>(source: &C, tip: Tip, limit: usize) -> Result<Vec<Event>, C::Error> {
    let best_height = source.tip()?.height;
    let mut events = Vec::new();
    let mut at = tip;
    // Back to the last block on the source's best chain.
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
        // The source's tip may have grown since it was asked for.
        let best_height = best_height.max(height);
        events.push(Event::BlockConnected(Box::new(Block { height, hash, parent, best_height, txs })));
        at = Tip { height, hash };
    }
    Ok(events)
}

/// Searches the chain for spends of these outputs up to `through`, the court's tip, and answers in one event, or in parts if one
/// would be too large. `None` if that block is not on the source's best chain.
///
/// # Errors
/// If the source fails.
pub fn scan<C: ChainSource>(
    source: &C,
    channel: ChannelId,
    parent: Txid,
    outpoints: &[OutPoint],
    through: Tip,
) -> Result<Option<Vec<Event>>, C::Error> {
    let Some(found) = source.spends_of(&parent, outpoints, &through.hash)? else { return Ok(None) };
    let Found { confirmed, mut spends } = found;
    // The order is recorded, so it must not depend on the source.
    spends.sort_by_cached_key(|spend| (spend.height, spend.tx.compute_txid()));
    spends.dedup_by_key(|spend| (spend.height, spend.tx.compute_txid()));
    Ok(Some(in_parts(Scanned { channel, parent, through, confirmed, spends })))
}

/// An answer of a search, whose spends are in chain order, as the events that bring it: no event has more than
/// [`Scanned::BYTES_MAX`], and none ends within a block, which is far smaller.
pub fn in_parts(scanned: Scanned) -> Vec<Event> {
    let (mut parts, mut bytes) = (vec![Vec::new()], 0_usize);
    for block in scanned.spends.chunk_by(|a, b| a.height == b.height) {
        let size: usize = block.iter().map(|spend| spend.tx.total_size()).sum();
        bytes = bytes.saturating_add(size);
        if bytes > Scanned::BYTES_MAX {
            parts.push(Vec::new());
            bytes = size;
        }
        if let Some(part) = parts.last_mut() {
            part.extend_from_slice(block);
        }
    }
    let last = parts.pop().unwrap_or_default();
    let part = |spends| Event::ScannedPart(Box::new(Scanned { confirmed: None, spends, ..scanned }));
    let mut events: Vec<Event> = parts.into_iter().map(part).collect();
    events.push(Event::Scanned(Box::new(Scanned { spends: last, ..scanned })));
    events
}
