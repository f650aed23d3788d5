//! The mempool as a graph: transactions, what they spend, and in which order a miner takes them.
//!
//! It holds transactions that the chain has checked and checks nothing. Invariant: every outpoint in `spends` is an input
//! of exactly one entry, so no two entries conflict. Selection is by ancestor feerate, and by txid between equals, so a
//! child pays for its parents and the same mempool always gives the same block.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{OutPoint, Transaction, TxOut, Txid};

use super::check;

/// One transaction of the mempool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) tx: Transaction,
    pub(super) fee: u64,
    pub(super) weight: u64,
}

impl Entry {
    pub(super) fn vsize(&self) -> u64 {
        check::vsize(self.weight)
    }

    /// Satoshi per thousand virtual bytes, rounded down.
    pub(super) fn feerate(&self) -> u64 {
        check::feerate(self.fee, self.vsize())
    }
}

/// The transactions of the mempool, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mempool {
    entries: BTreeMap<Txid, Entry>,
    spends: BTreeMap<OutPoint, Txid>,
}

impl Mempool {
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Txid, &Entry)> {
        self.entries.iter()
    }

    pub(super) fn get(&self, txid: &Txid) -> Option<&Entry> {
        self.entries.get(txid)
    }

    pub(super) fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.spends.get(outpoint).copied()
    }

    /// The unconfirmed output at `outpoint`, spent or not.
    pub(super) fn output(&self, outpoint: &OutPoint) -> Option<&TxOut> {
        self.get(&outpoint.txid)?.tx.output.get(usize::try_from(outpoint.vout).ok()?)
    }

    /// Adds a checked transaction whose conflicts have been evicted.
    pub(super) fn insert(&mut self, txid: Txid, entry: Entry) {
        for input in &entry.tx.input {
            self.spends.insert(input.previous_output, txid);
        }
        self.entries.insert(txid, entry);
    }

    /// Removes one confirmed transaction and keeps its children.
    pub(super) fn remove(&mut self, txid: &Txid) -> Option<Entry> {
        let entry = self.entries.remove(txid)?;
        for input in &entry.tx.input {
            self.spends.remove(&input.previous_output);
        }
        Some(entry)
    }

    /// Removes a transaction and all its descendants; returns them, parents first.
    pub(super) fn evict(&mut self, txid: &Txid) -> Vec<Transaction> {
        let evicted = self.descendants(txid);
        evicted.iter().filter_map(|txid| self.remove(txid)).map(|entry| entry.tx).collect()
    }

    /// The unconfirmed transactions whose outputs `tx` spends directly.
    fn parents<'a>(&'a self, tx: &'a Transaction) -> impl Iterator<Item = Txid> + 'a {
        tx.input.iter().map(|input| input.previous_output.txid).filter(|txid| self.entries.contains_key(txid))
    }

    fn children(&self, txid: &Txid) -> Vec<Txid> {
        let outputs = self.get(txid).map_or(0, |entry| entry.tx.output.len());
        let outpoints = (0..outputs).filter_map(|vout| Some(OutPoint::new(*txid, u32::try_from(vout).ok()?)));
        outpoints.filter_map(|outpoint| self.spender(&outpoint)).collect()
    }

    /// All unconfirmed ancestors of `tx`, which need not be in the mempool; parents first.
    pub(super) fn ancestors(&self, tx: &Transaction) -> Vec<Txid> {
        depth_first(self.parents(tx), |txid| {
            self.get(txid).map(|entry| self.parents(&entry.tx).collect()).unwrap_or_default()
        })
    }

    /// `txid` and all its descendants; parents first.
    pub(super) fn descendants(&self, txid: &Txid) -> Vec<Txid> {
        let mut order = depth_first([*txid].into_iter(), |txid| self.children(txid));
        order.reverse();
        order
    }

    /// Fees and virtual bytes of some transactions together.
    pub(super) fn total(&self, txids: impl IntoIterator<Item = Txid>) -> (u64, u64) {
        let entries = txids.into_iter().filter_map(|txid| self.get(&txid));
        entries.fold((0, 0), |(fee, vsize), entry| (fee.saturating_add(entry.fee), vsize.saturating_add(entry.vsize())))
    }

    /// The feerate by which a full mempool ranks an entry: its own, or that with all its descendants if it is higher.
    pub(super) fn rank(&self, txid: &Txid) -> Option<u64> {
        let (fee, vsize) = self.total(self.descendants(txid));
        Some(self.get(txid)?.feerate().max(check::feerate(fee, vsize)))
    }

    /// Evicts every entry that ranks below a feerate, the worst first and with its descendants; returns them, parents
    /// first.
    pub(super) fn trim(&mut self, sat_per_kvb: u64) -> Vec<Transaction> {
        let mut evicted = Vec::new();
        loop {
            let ranks = self.entries.keys().filter_map(|txid| Some((self.rank(txid)?, *txid)));
            let Some((_, worst)) = ranks.filter(|(rank, _)| *rank < sat_per_kvb).min() else { return evicted };
            evicted.extend(self.evict(&worst));
        }
    }

    /// What a miner that takes only `allowed` puts into a block that has `taken` already: parents first, the best ancestor
    /// feerate first, and nothing below `min_sat_per_kw` with its ancestors.
    pub(super) fn select(
        &self,
        allowed: &BTreeSet<Txid>,
        mut taken: BTreeSet<Txid>,
        min_sat_per_kw: u32,
        max_weight: u64,
    ) -> Vec<Transaction> {
        let mut chosen = Vec::new();
        let min_score = u128::from(min_sat_per_kw) * 1000;
        let mut room = max_weight;
        let mut scores: BTreeMap<Txid, u128> =
            allowed.iter().filter_map(|txid| Some((*txid, self.score(txid, allowed, &taken)?))).collect();
        let mut queue: BTreeSet<(Reverse<u128>, Txid)> =
            scores.iter().map(|(txid, score)| (Reverse(*score), *txid)).collect();
        while let Some((_, txid)) = queue.pop_first().filter(|(Reverse(score), _)| *score >= min_score) {
            let members = self.untaken_ancestors(&txid, &taken);
            let weight: u64 = members.iter().filter_map(|txid| self.get(txid)).map(|entry| entry.weight).sum();
            if weight > room {
                continue; // tried again if an ancestor is taken alone
            }
            room -= weight;
            for member in &members {
                taken.insert(*member);
                chosen.extend(self.get(member).map(|entry| entry.tx.clone()));
            }
            for stale in members.iter().flat_map(|member| self.descendants(member)).collect::<BTreeSet<_>>() {
                let Some(score) = scores.remove(&stale) else { continue };
                queue.remove(&(Reverse(score), stale));
                if !taken.contains(&stale) {
                    scores.extend(self.score(&stale, allowed, &taken).map(|score| (stale, score)));
                    queue.extend(scores.get(&stale).map(|score| (Reverse(*score), stale)));
                }
            }
        }
        chosen
    }

    /// Millionths of a satoshi per weight unit of `txid` with its ancestors that are not taken; `None` if one is not
    /// allowed.
    fn score(&self, txid: &Txid, allowed: &BTreeSet<Txid>, taken: &BTreeSet<Txid>) -> Option<u128> {
        let (mut fee, mut weight) = (0_u128, 0_u128);
        for member in self.untaken_ancestors(txid, taken) {
            let entry = self.get(&member).filter(|_| allowed.contains(&member))?;
            fee += u128::from(entry.fee);
            weight += u128::from(entry.weight);
        }
        (fee * 1_000_000).checked_div(weight)
    }

    /// The ancestors of an entry that are not taken, and the entry itself; parents first.
    fn untaken_ancestors(&self, txid: &Txid, taken: &BTreeSet<Txid>) -> Vec<Txid> {
        let ancestors = self.get(txid).map(|entry| self.ancestors(&entry.tx)).unwrap_or_default();
        ancestors.into_iter().chain([*txid]).filter(|txid| !taken.contains(txid)).collect()
    }
}

/// Everything reachable from `roots`, each after all that `next` names for it. Without recursion, because chains can be
/// long.
fn depth_first(roots: impl Iterator<Item = Txid>, next: impl Fn(&Txid) -> Vec<Txid>) -> Vec<Txid> {
    let mut stack: Vec<(Txid, bool)> = roots.map(|txid| (txid, false)).collect();
    let (mut done, mut order) = (BTreeSet::new(), Vec::new());
    while let Some((txid, expanded)) = stack.pop() {
        if done.contains(&txid) {
            continue;
        }
        if expanded {
            done.insert(txid);
            order.push(txid);
        } else {
            stack.push((txid, true));
            stack.extend(next(&txid).into_iter().map(|txid| (txid, false)));
        }
    }
    order
}
