//! Miners: what they put into the next block.
//!
//! Transactions of other users compete for the same block and are not simulated. A clearing feerate stands for the least
//! feerate that got into the block, and a weight for the room that is left. A miner can also have interests of its own:
//! transactions that it puts first, and others that it leaves out.

use std::collections::BTreeSet;

use bitcoin::{Transaction, Txid};

use super::ledger::BlockCandidate;
use super::reject::Reject;
use super::{Block, Chain};

/// What a miner puts into the next block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockTemplate {
    /// The miner's own transactions, parents first: they come before all others, whatever fee they pay.
    pub first: Vec<Transaction>,
    /// Transactions in the mempool that the miner leaves out, together with their descendants.
    pub leaves_out: BTreeSet<Txid>,
    /// The least feerate of a transaction with its unconfirmed ancestors.
    pub min_feerate_sat_per_kw: u32,
    /// The room for `first` and the mempool together in weight units; the chain's own limit holds as well.
    pub max_weight_wu: u64,
}

impl Default for BlockTemplate {
    /// Everything in the mempool that fits.
    fn default() -> Self {
        Self { first: Vec::new(), leaves_out: BTreeSet::new(), min_feerate_sat_per_kw: 0, max_weight_wu: u64::MAX }
    }
}

impl Chain {
    /// Mines everything in the mempool that fits: parents first, the best ancestor feerate first.
    pub fn mine(&mut self) -> Block {
        self.mine_at(0, u64::MAX)
    }

    /// Mines like [`mine`](Self::mine), without what `filter` refuses and its descendants.
    pub fn mine_with(&mut self, mut filter: impl FnMut(&Transaction) -> bool) -> Block {
        let refused = self.mempool.entries().filter(|(_, entry)| !filter(&entry.tx)).map(|(txid, _)| *txid).collect();
        self.mine_mempool(BlockTemplate { leaves_out: refused, ..BlockTemplate::default() })
    }

    /// Mines what pays at least this feerate together with its unconfirmed ancestors, as far as there is room.
    pub fn mine_at(&mut self, min_feerate_sat_per_kw: u32, max_weight_wu: u64) -> Block {
        self.mine_mempool(BlockTemplate { min_feerate_sat_per_kw, max_weight_wu, ..BlockTemplate::default() })
    }

    /// Mines these first, parents before children and whatever fee they pay, and then everything in the mempool that fits
    /// and does not conflict. An error changes nothing.
    pub fn mine_own(&mut self, first: Vec<Transaction>) -> Result<Block, Reject> {
        self.mine_template(BlockTemplate { first, ..BlockTemplate::default() })
    }

    /// Mines a template. Consensus is checked for `first`; an error changes nothing.
    pub fn mine_template(&mut self, template: BlockTemplate) -> Result<Block, Reject> {
        let mut candidate = BlockCandidate::new(&self.ledger, self.config.max_block_weight);
        for tx in &template.first {
            let txid = tx.compute_txid();
            let spend = candidate.check(&txid, tx)?;
            self.scripts.verify(tx, &spend.prevouts)?;
            candidate.take(txid, tx);
        }
        let mut txs = template.first;
        let own: BTreeSet<Txid> = txs.iter().map(Transaction::compute_txid).collect();
        let spenders = txs.iter().flat_map(|tx| &tx.input).filter_map(|at| self.mempool.spender(&at.previous_output));
        let rivals: BTreeSet<Txid> = spenders.filter(|txid| !own.contains(txid)).collect();
        let room = self.config.max_block_weight.min(template.max_weight_wu).saturating_sub(candidate.weight());
        if room == 0 {
            return Ok(self.connect(txs));
        }
        let is_open = |txid: &&Txid| !rivals.contains(*txid) && !template.leaves_out.contains(*txid);
        let allowed: BTreeSet<Txid> = self.mempool.entries().map(|(txid, _)| txid).filter(is_open).copied().collect();
        for tx in self.mempool.select(&allowed, own, template.min_feerate_sat_per_kw, room) {
            let txid = tx.compute_txid();
            let checked = candidate.check(&txid, &tx).and_then(|spend| self.scripts.verify(&tx, &spend.prevouts));
            if checked.is_ok() {
                candidate.take(txid, &tx);
                txs.push(tx);
            } else {
                debug_assert!(false, "the mempool holds {txid}, which is invalid in a block: {checked:?}");
                self.mempool.evict(&txid);
            }
        }
        Ok(self.connect(txs))
    }

    /// Mines exactly these, parents first, whatever fee they pay. Consensus is checked; an error changes nothing.
    /// Transactions in the mempool that conflict with them leave it.
    pub fn mine_txs(&mut self, txs: Vec<Transaction>) -> Result<Block, Reject> {
        self.mine_template(BlockTemplate { first: txs, max_weight_wu: 0, ..BlockTemplate::default() })
    }

    fn mine_mempool(&mut self, template: BlockTemplate) -> Block {
        self.mine_template(template).expect("a template without transactions of the miner is never refused")
    }
}
