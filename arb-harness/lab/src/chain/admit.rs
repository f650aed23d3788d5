//! How one transaction enters the mempool, and what stays in it after a reorg.
//!
//! The order of checks is Bitcoin Core's: form, coins and locks, fees, ancestor and descendant limits, replacement, and
//! scripts last, as they are the most expensive. Not modelled: the topology rules of version 3 (TRUC).

use std::collections::BTreeSet;

use bitcoin::{OutPoint, Transaction, Txid};

use super::check::{self, Spend};
use super::limits::{self, Lenience};
use super::mempool::Entry;
use super::reject::{Reject, Submitted};
use super::replace::{self, Chunk};
use super::{Chain, Coin};

impl Chain {
    /// Submits one transaction to the mempool.
    pub fn submit(&mut self, tx: Transaction) -> Result<Submitted, Reject> {
        self.submit_with(tx, false)
    }

    /// Submits one transaction; as a member of a package it gets no carve-out, as in Core.
    pub(super) fn submit_with(&mut self, tx: Transaction, in_package: bool) -> Result<Submitted, Reject> {
        if let Some(known) = self.known(&tx)? {
            return Ok(known);
        }
        check::standard_form(&tx)?;
        if let Some((_, reject)) = check::dust(&tx).next() {
            return Err(reject);
        }
        let spend = self.spend_of(&tx)?;
        let paid = Chunk { fee: spend.fee, vsize: check::vsize(tx.weight().to_wu()) };
        self.pays_the_floor(&tx, paid)?;
        self.pays_the_minimum(paid)?;
        let conflicts = replace::direct_conflicts(&self.mempool, &tx);
        let carve_out = self.config.carve_out;
        let lenience = if in_package { Lenience::None } else { Lenience::Alone { conflicts: &conflicts, carve_out } };
        limits::check_one(&self.mempool, &tx, lenience)?;
        replace::spends_no_conflict(&self.mempool, &tx, &conflicts)?;
        let evicted = replace::by_one(&self.mempool, &tx, paid, self.config.incremental_relay_sat_per_kvb)?;
        self.scripts.verify(&tx, &spend.prevouts)?;
        self.replace(&evicted);
        self.insert(tx, &spend);
        Ok(Submitted::Accepted)
    }

    /// The least fee with which a transaction of this size and with these inputs would enter the mempool, if nothing but
    /// fees is in its way: the floor, what a full mempool asks, and the price of what it would replace.
    pub fn price_of(&self, tx: &Transaction) -> u64 {
        let vsize = check::vsize(tx.weight().to_wu());
        let rate = self.config.relay_floor_sat_per_kvb.max(self.mempool_min_sat_per_kvb);
        let incremental = self.config.incremental_relay_sat_per_kvb;
        check::fee_at(rate, vsize).max(replace::price(&self.mempool, tx, vsize, incremental))
    }

    /// Whether this transaction is confirmed or in the mempool already.
    fn known(&self, tx: &Transaction) -> Result<Option<Submitted>, Reject> {
        let txid = tx.compute_txid();
        if self.ledger.confirmed(&txid).is_some() {
            return Ok(Some(Submitted::AlreadyConfirmed));
        }
        match self.mempool.get(&txid) {
            Some(entry) if entry.tx == *tx => Ok(Some(Submitted::AlreadyInMempool)),
            Some(_) => Err(Reject::WitnessDiffers),
            None => Ok(None),
        }
    }

    /// Checks consensus without scripts, against the coins and the outputs of the mempool.
    fn spend_of(&self, tx: &Transaction) -> Result<Spend, Reject> {
        check::consensus(tx, self.ledger.next_height(), |outpoint| self.mempool_coin(outpoint))
    }

    pub(super) fn mempool_coin(&self, outpoint: &OutPoint) -> Result<Coin, Reject> {
        let unconfirmed = self.mempool.output(outpoint);
        unconfirmed.map_or_else(
            || self.ledger.coin(outpoint),
            |txout| Ok(Coin { txout: txout.clone(), height: self.ledger.next_height() }),
        )
    }

    /// Checks the relay floor, which every transaction must pay alone; only a package with version 3 may lift it.
    pub(super) fn pays_the_floor(&self, tx: &Transaction, paid: Chunk) -> Result<(), Reject> {
        let needed = check::fee_at(self.config.relay_floor_sat_per_kvb, paid.vsize);
        if tx.version.0 != 3 && paid.fee < needed {
            return Err(Reject::BelowFloor { fee: paid.fee, needed });
        }
        Ok(())
    }

    /// Checks the minimum of a full mempool and the floor, for a transaction or a package.
    pub(super) fn pays_the_minimum(&self, paid: Chunk) -> Result<(), Reject> {
        let needed = check::fee_at(self.mempool_min_sat_per_kvb, paid.vsize);
        if paid.fee < needed {
            return Err(Reject::BelowMempoolMinimum { fee: paid.fee, needed });
        }
        let needed = check::fee_at(self.config.relay_floor_sat_per_kvb, paid.vsize);
        if paid.fee < needed {
            return Err(Reject::BelowFloor { fee: paid.fee, needed });
        }
        Ok(())
    }

    pub(super) fn replace(&mut self, evicted: &BTreeSet<Txid>) {
        for txid in evicted {
            self.mempool.remove(txid);
        }
    }

    pub(super) fn insert(&mut self, tx: Transaction, spend: &Spend) {
        let weight = tx.weight().to_wu();
        self.mempool.insert(tx.compute_txid(), Entry { tx, fee: spend.fee, weight });
    }

    /// Returns a transaction of a disconnected block to the mempool, whatever fee it pays, if it is still valid by
    /// consensus.
    pub(super) fn readmit(&mut self, tx: &Transaction) -> Result<(), Reject> {
        let spend = self.spend_of(tx)?;
        if let Some(with) = tx.input.iter().find_map(|input| self.mempool.spender(&input.previous_output)) {
            return Err(Reject::Conflict { with });
        }
        self.scripts.verify(tx, &spend.prevouts)?;
        self.insert(tx.clone(), &spend);
        Ok(())
    }

    /// Removes what a disconnected block made invalid, with its descendants: inputs are gone, or locks have not passed.
    pub(super) fn purge_mempool(&mut self) {
        let waiting: Vec<Txid> = self.mempool.entries().map(|(txid, _)| *txid).collect();
        for txid in waiting {
            let valid = self.mempool.get(&txid).is_none_or(|entry| self.spend_of(&entry.tx).is_ok());
            if !valid {
                self.mempool.evict(&txid);
            }
        }
    }
}
