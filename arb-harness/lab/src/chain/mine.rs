//! Miners: what they put into the next block.
//!
//! The world outside the mempool competes for the same block. It is not simulated: a clearing feerate says what got the
//! worst paid transaction of the rest of the world in, and a weight how much room is left to those who pay at least that.
//! A miner can also have interests of its own: transactions that it puts first, and others that it leaves out.

use std::collections::BTreeSet;

use bitcoin::{Transaction, Txid};

use super::ledger::BlockCandidate;
use super::reject::Reject;
use super::{Block, Chain};

/// What a miner wants the next block to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockTemplate {
    /// The miner's own transactions, parents first: they come before all others, whatever they pay.
    pub first: Vec<Transaction>,
    /// Waiting transactions that the miner does not take, nor what descends from them.
    pub leaves_out: BTreeSet<Txid>,
    /// What a transaction has to pay with its unconfirmed ancestors.
    pub min_feerate_sat_per_kw: u32,
    /// The room for `first` and the mempool together; the chain's own limit binds as well.
    pub max_weight_wu: u64,
}

impl Default for BlockTemplate {
    /// All of the mempool that fits.
    fn default() -> Self {
        Self { first: Vec::new(), leaves_out: BTreeSet::new(), min_feerate_sat_per_kw: 0, max_weight_wu: u64::MAX }
    }
}

impl Chain {
    /// Mines all of the mempool that fits: parents first, the best ancestor feerate first.
    pub fn mine(&mut self) -> Block {
        self.mine_at(0, u64::MAX)
    }

    /// Mines like [`mine`](Self::mine), but withholds what `filter` refuses and all that descends from it.
    pub fn mine_with(&mut self, mut filter: impl FnMut(&Transaction) -> bool) -> Block {
        let refused = self.mempool.entries().filter(|(_, entry)| !filter(&entry.tx)).map(|(txid, _)| *txid).collect();
        self.mine_mempool(BlockTemplate { leaves_out: refused, ..BlockTemplate::default() })
    }

    /// Mines what pays at least a clearing feerate together with its unconfirmed ancestors, and finds room.
    pub fn mine_at(&mut self, min_feerate_sat_per_kw: u32, max_weight_wu: u64) -> Block {
        self.mine_mempool(BlockTemplate { min_feerate_sat_per_kw, max_weight_wu, ..BlockTemplate::default() })
    }

    /// Mines these first, parents before children and whatever they pay, and then all of the mempool that fits and does
    /// not conflict with them. On an error nothing has happened.
    pub fn mine_own(&mut self, first: Vec<Transaction>) -> Result<Block, Reject> {
        self.mine_template(BlockTemplate { first, ..BlockTemplate::default() })
    }

    /// Mines what a template says. Consensus is checked for `first`; on an error nothing has happened.
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
                debug_assert!(false, "the mempool holds {txid}, which cannot be mined: {checked:?}");
                self.mempool.evict(&txid);
            }
        }
        Ok(self.connect(txs))
    }

    /// Mines exactly these, parents first, whatever they pay. Consensus is checked; on an error nothing has happened.
    /// What the mempool holds against them leaves it.
    pub fn mine_txs(&mut self, txs: Vec<Transaction>) -> Result<Block, Reject> {
        self.mine_template(BlockTemplate { first: txs, max_weight_wu: 0, ..BlockTemplate::default() })
    }

    fn mine_mempool(&mut self, template: BlockTemplate) -> Block {
        self.mine_template(template).expect("without transactions of the miner's own there is nothing to refuse")
    }
}
