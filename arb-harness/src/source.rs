//! The embedded chain as a source of blocks: what the court has to hear to get from its tip to the chain's.
//!
//! Delivers whole blocks, one after the other, and takes back the ones that left the best chain, also those that it
//! delivered before a restart. Searches the past for spends. Judges nothing.

use arb_core::{Block, ChannelId, Disconnected, Event, FoundSpend, Height, Scanned, Tip};
use bitcoin::{OutPoint, Txid};

use crate::chain::Chain;

/// The next events that bring a court at `tip` towards the chain's tip: at most `limit` blocks.
pub fn next_blocks(chain: &Chain, tip: Tip, limit: usize) -> Vec<Event> {
    let (best, _) = chain.tip();
    let best_height = Height::new(best);
    let mut events = Vec::new();
    let (mut height, mut hash) = (tip.height.get(), tip.hash);
    // The way back to the branch that both know.
    while chain.block_at(height).is_none_or(|block| block.hash != hash) {
        let Some(parent) = chain.parent_of(&hash) else { return events };
        let height_left = Height::new(height);
        events.push(Event::BlockDisconnected(Disconnected { height: height_left, hash, parent, best_height }));
        height = height.saturating_sub(1);
        hash = parent;
    }
    for _ in 0..limit {
        height = height.saturating_add(1);
        let Some(block) = chain.block_at(height) else { break };
        events.push(Event::BlockConnected(Box::new(Block {
            height: Height::new(block.height),
            hash: block.hash,
            parent: block.parent,
            best_height,
            txs: block.txs.clone(),
        })));
    }
    events
}

/// Searches the chain for spends of these outputs, up to the height that the court knows.
pub fn scan(chain: &Chain, channel: ChannelId, parent: Txid, outpoints: &[OutPoint], through: Height) -> Event {
    let spends = outpoints.iter().filter_map(|outpoint| chain.spender_of(outpoint));
    let mut found: Vec<(u32, Txid)> = spends.map(|(height, txid, _)| (height, txid)).collect();
    found.retain(|(height, _)| *height <= through.get());
    found.sort_unstable();
    found.dedup();
    let spends = found.iter().filter_map(|(height, txid)| {
        let (_, tx) = chain.confirmed(txid)?;
        Some(FoundSpend { height: Height::new(*height), tx: tx.clone() })
    });
    Event::Scanned(Box::new(Scanned { channel, parent, through, spends: spends.collect() }))
}
