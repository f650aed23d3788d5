//! The door of the mempool: policy, replacement, packages, and what becomes of the waiting after a reorg.
//!
//! Replacement follows BIP 125 without asking for the signal (full replace-by-fee): a higher feerate than each direct
//! conflict, and a higher absolute fee than everything evicted plus the relay rate of the newcomer. A package pays as
//! one, so a child can carry a zero-fee parent and both can replace their rivals. Not modelled: TRUC limits, limits on
//! descendants, eviction from a full mempool.

use std::collections::BTreeSet;

use bitcoin::{OutPoint, Transaction, Txid};

use super::check::{self, Spend};
use super::mempool::Entry;
use super::reject::{PackageReject, Reject, Submitted};
use super::{Chain, Coin};

/// At most so many unconfirmed transactions in one line, the last included.
const MAX_ANCESTORS: usize = 25;
/// A replacement evicts no more than this.
const MAX_REPLACED: usize = 100;

/// Who pays for a transaction: itself, or its package.
#[derive(Debug, Clone, Copy)]
struct Payer {
    fee: u64,
    weight: u64,
    /// Fees of what this package has evicted so far.
    evicted: u64,
}

impl Chain {
    /// Offers one transaction to the mempool.
    pub fn submit(&mut self, tx: Transaction) -> Result<Submitted, Reject> {
        if let Some(known) = self.known(&tx)? {
            return Ok(known);
        }
        check::standard_form(&tx)?;
        if let Some((_, reject)) = check::dust(&tx).next() {
            return Err(reject);
        }
        let spend = self.spend_of(&tx)?;
        let mut payer = Payer { fee: spend.fee, weight: tx.weight().to_wu(), evicted: 0 };
        self.admit(tx, &spend, &mut payer)?;
        Ok(Submitted::Accepted)
    }

    /// Offers transactions in order, parents first. When one cannot pay for itself (a zero-fee commitment), it and all
    /// after it are taken as one: their fees and weights add up, and dust is allowed on a transaction without fee if a
    /// later one spends it. Of that part either everything is accepted or nothing; what came before it stays.
    pub fn submit_package(&mut self, txs: &[Transaction]) -> Result<Vec<Submitted>, PackageReject> {
        let mut answers = Vec::with_capacity(txs.len());
        for (index, tx) in txs.iter().enumerate() {
            match self.submit(tx.clone()) {
                Ok(answer) => answers.push(answer),
                Err(reject) if index + 1 < txs.len() && is_about_pay(&reject) => {
                    let before = self.mempool.clone();
                    let group = self.submit_as_one(&txs[index..]).map_err(|(later, reject)| {
                        self.mempool = before;
                        PackageReject { index: index + later, reject }
                    })?;
                    answers.extend(group);
                    return Ok(answers);
                }
                Err(reject) => return Err(PackageReject { index, reject }),
            }
        }
        Ok(answers)
    }

    fn submit_as_one(&mut self, txs: &[Transaction]) -> Result<Vec<Submitted>, (usize, Reject)> {
        let mut payer = Payer { fee: 0, weight: 0, evicted: 0 };
        for (index, tx) in txs.iter().enumerate() {
            if self.known(tx).map_err(|reject| (index, reject))?.is_none() {
                payer.fee = payer.fee.saturating_add(self.fee_within(txs, tx));
                payer.weight = payer.weight.saturating_add(tx.weight().to_wu());
            }
        }
        let mut answers = Vec::with_capacity(txs.len());
        for (index, tx) in txs.iter().enumerate() {
            let later = txs.get(index + 1..).unwrap_or_default();
            answers.push(self.submit_member(tx, later, &mut payer).map_err(|reject| (index, reject))?);
        }
        Ok(answers)
    }

    fn submit_member(
        &mut self,
        tx: &Transaction,
        later: &[Transaction],
        payer: &mut Payer,
    ) -> Result<Submitted, Reject> {
        if let Some(known) = self.known(tx)? {
            return Ok(known);
        }
        check::standard_form(tx)?;
        let spend = self.spend_of(tx)?;
        let txid = tx.compute_txid();
        for (output, reject) in check::dust(tx) {
            let is_swept = later.iter().flat_map(|tx| &tx.input).any(|input| {
                input.previous_output.txid == txid && usize::try_from(input.previous_output.vout) == Ok(output)
            });
            if spend.fee > 0 || !is_swept {
                return Err(reject);
            }
        }
        self.admit(tx.clone(), &spend, payer)?;
        Ok(Submitted::Accepted)
    }

    /// The fee of `tx` when the other transactions of its package count as coins; zero if it cannot be known.
    fn fee_within(&self, package: &[Transaction], tx: &Transaction) -> u64 {
        let value_at = |outpoint: &OutPoint| {
            let parent = package.iter().find(|parent| parent.compute_txid() == outpoint.txid);
            let inside = parent.and_then(|parent| parent.output.get(usize::try_from(outpoint.vout).ok()?).cloned());
            inside.or_else(|| self.mempool_coin(outpoint).ok().map(|coin| coin.txout)).map(|txout| txout.value.to_sat())
        };
        let values: Option<Vec<u64>> = tx.input.iter().map(|input| value_at(&input.previous_output)).collect();
        let value_out = check::sum(tx.output.iter().map(|output| output.value.to_sat()));
        values.map_or(0, |values| check::sum(values.into_iter()).saturating_sub(value_out))
    }

    /// Whether this transaction needs no door: it is confirmed or waits already.
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

    /// Consensus but scripts, against the coins and the outputs of the mempool.
    fn spend_of(&self, tx: &Transaction) -> Result<Spend, Reject> {
        check::consensus(tx, self.ledger.next_height(), |outpoint| self.mempool_coin(outpoint))
    }

    fn mempool_coin(&self, outpoint: &OutPoint) -> Result<Coin, Reject> {
        let unconfirmed = self.mempool.output(outpoint);
        unconfirmed.map_or_else(
            || self.ledger.coin(outpoint),
            |txout| Ok(Coin { txout: txout.clone(), height: self.ledger.next_height() }),
        )
    }

    /// Floor, replacement, ancestors, scripts; then in.
    fn admit(&mut self, tx: Transaction, spend: &Spend, payer: &mut Payer) -> Result<(), Reject> {
        let needed = check::fee_at(self.config.relay_floor_sat_per_kvb, payer.weight);
        if payer.fee < needed {
            return Err(Reject::BelowFloor { fee: payer.fee, needed });
        }
        let evicted = self.replaced_by(&tx, payer)?;
        let ancestors = self.mempool.ancestors(&tx);
        if let Some(with) = ancestors.iter().find(|txid| evicted.contains(*txid)) {
            return Err(Reject::Conflict { with: *with });
        }
        let count = ancestors.len() + 1;
        if count > MAX_ANCESTORS {
            return Err(Reject::TooManyAncestors { count, limit: MAX_ANCESTORS });
        }
        self.scripts.verify(&tx, &spend.prevouts)?;
        payer.evicted = payer.evicted.saturating_add(self.fees_of(&evicted));
        for txid in &evicted {
            self.mempool.remove(txid);
        }
        self.insert(tx, spend);
        Ok(())
    }

    fn insert(&mut self, tx: Transaction, spend: &Spend) {
        let weight = tx.weight().to_wu();
        self.mempool.insert(tx.compute_txid(), Entry { tx, fee: spend.fee, weight });
    }

    /// What `tx` would evict, if whoever pays for it pays enough.
    fn replaced_by(&self, tx: &Transaction, payer: &Payer) -> Result<BTreeSet<Txid>, Reject> {
        let direct: BTreeSet<Txid> =
            tx.input.iter().filter_map(|input| self.mempool.spender(&input.previous_output)).collect();
        let evicted: BTreeSet<Txid> = direct.iter().flat_map(|txid| self.mempool.descendants(txid)).collect();
        let rate_beats = |entry: &Entry| {
            u128::from(payer.fee) * u128::from(entry.weight) > u128::from(entry.fee) * u128::from(payer.weight)
        };
        let rivals: Vec<(&Txid, &Entry)> =
            direct.iter().filter_map(|txid| Some((txid, self.mempool.get(txid)?))).collect();
        let Some((first, _)) = rivals.first() else { return Ok(evicted) };
        if evicted.len() > MAX_REPLACED {
            return Err(Reject::TooManyReplaced { count: evicted.len(), limit: MAX_REPLACED });
        }
        let fees = self.fees_of(&evicted).saturating_add(payer.evicted);
        let needed = fees.saturating_add(check::fee_at(self.config.relay_floor_sat_per_kvb, payer.weight));
        let unbeaten = rivals.iter().find(|(_, entry)| !rate_beats(entry)).map(|(txid, _)| *txid);
        if payer.fee < needed || unbeaten.is_some() {
            let with = *unbeaten.unwrap_or(first);
            return Err(Reject::ReplacementTooCheap { with, fee: payer.fee, needed });
        }
        Ok(evicted)
    }

    fn fees_of(&self, txids: &BTreeSet<Txid>) -> u64 {
        check::sum(txids.iter().filter_map(|txid| self.mempool.get(txid)).map(|entry| entry.fee))
    }

    /// Puts a transaction of a disconnected block back, whatever it pays, if it still keeps consensus.
    pub(super) fn readmit(&mut self, tx: &Transaction) -> Result<(), Reject> {
        let spend = self.spend_of(tx)?;
        if let Some(with) = tx.input.iter().find_map(|input| self.mempool.spender(&input.previous_output)) {
            return Err(Reject::Conflict { with });
        }
        self.scripts.verify(tx, &spend.prevouts)?;
        self.insert(tx.clone(), &spend);
        Ok(())
    }

    /// Drops what a disconnected block made invalid: inputs gone, locks no longer passed; and what descends from it.
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

/// Whether company can mend this refusal: more fee, or somebody who spends the dust.
fn is_about_pay(reject: &Reject) -> bool {
    matches!(reject, Reject::BelowFloor { .. } | Reject::ReplacementTooCheap { .. } | Reject::Dust { .. })
}
