//! Packages: a child with its parents, submitted together (Core's `submitpackage`).
//!
//! Every transaction is first submitted alone. Those that are refused for their fee are then submitted together: their fees
//! and sizes are added for the mempool's minimum, and a package of one parent and one child may replace. A package never
//! lifts a transaction over the relay floor unless it has version 3: the child that pays may be replaced later. Not
//! modelled: the other rules for version 3.

use std::collections::BTreeSet;

use bitcoin::{Transaction, Txid};

use super::check::{self, Spend};
use super::limits;
use super::reject::{PackageReject, Reject, Submitted};
use super::replace::{self, Chunk};
use super::{Chain, Coin};

/// A member of a package that is submitted together.
struct Member<'a> {
    index: usize,
    tx: &'a Transaction,
    spend: Spend,
    paid: Chunk,
}

impl Chain {
    /// Submits a child, last, with its parents. A member that pays for itself is accepted alone, and stays even if a later
    /// one is refused. The others are accepted together or not at all; a member without a fee may have dust that a later
    /// one spends.
    pub fn submit_package(&mut self, txs: &[Transaction]) -> Result<Vec<Submitted>, PackageReject> {
        if !is_child_with_parents(txs) {
            return Err(PackageReject { index: txs.len().saturating_sub(1), reject: Reject::NotChildWithParents });
        }
        let mut answers = Vec::with_capacity(txs.len());
        let mut deferred: Vec<(usize, Reject)> = Vec::new();
        for (index, tx) in txs.iter().enumerate() {
            match self.submit_with(tx.clone(), true) {
                Ok(answer) => answers.push(answer),
                Err(reject) if is_about_fees_or_dust(&reject) || waits_for(tx, &reject, txs, &deferred) => {
                    answers.push(Submitted::Accepted);
                    deferred.push((index, reject));
                }
                Err(reject) => return Err(PackageReject { index, reject }),
            }
        }
        match deferred.as_slice() {
            [] => {}
            [(index, reject)] => return Err(PackageReject { index: *index, reject: reject.clone() }),
            _ => {
                let indices: Vec<usize> = deferred.iter().map(|(index, _)| *index).collect();
                self.submit_together(txs, &indices).map_err(|(index, reject)| PackageReject { index, reject })?;
            }
        }
        Ok(answers)
    }

    fn submit_together(&mut self, txs: &[Transaction], indices: &[usize]) -> Result<(), (usize, Reject)> {
        let members: Vec<(usize, &Transaction)> = indices.iter().filter_map(|i| Some((*i, txs.get(*i)?))).collect();
        let mut checked: Vec<Member<'_>> = Vec::with_capacity(members.len());
        for (place, (index, tx)) in members.iter().enumerate() {
            let (before, after) = (&members[..place], &members[place + 1..]);
            checked.push(self.check_member(*index, tx, before, after).map_err(|reject| (*index, reject))?);
        }
        let (first, last) = (indices.first().copied().unwrap_or(0), indices.last().copied().unwrap_or(0));
        let total = checked.iter().fold(Chunk { fee: 0, vsize: 0 }, |sum, member| sum.and(member.paid));
        self.pays_the_minimum(total).map_err(|reject| (first, reject))?;
        let offered: Vec<&Transaction> = checked.iter().map(|member| member.tx).collect();
        let paid: Vec<Chunk> = checked.iter().map(|member| member.paid).collect();
        limits::check_package(&self.mempool, &offered).map_err(|reject| (last, reject))?;
        let incremental = self.config.incremental_relay_sat_per_kvb;
        let evicted =
            replace::by_package(&self.mempool, &offered, &paid, incremental).map_err(|reject| (last, reject))?;
        for member in &checked {
            self.scripts.verify(member.tx, &member.spend.prevouts).map_err(|reject| (member.index, reject))?;
        }
        self.replace(&evicted);
        for member in checked {
            self.insert(member.tx.clone(), &member.spend);
        }
        Ok(())
    }

    /// Checks one member, except its ancestor and descendant limits and its conflicts: these are checked for the package.
    fn check_member<'a>(
        &self,
        index: usize,
        tx: &'a Transaction,
        before: &[(usize, &Transaction)],
        after: &[(usize, &Transaction)],
    ) -> Result<Member<'a>, Reject> {
        check::standard_form(tx)?;
        let height = self.ledger.next_height();
        let spend = check::consensus(tx, height, |outpoint| {
            let parent = before.iter().find(|(_, parent)| parent.compute_txid() == outpoint.txid);
            let output = parent.and_then(|(_, tx)| tx.output.get(usize::try_from(outpoint.vout).ok()?));
            output.map_or_else(|| self.mempool_coin(outpoint), |txout| Ok(Coin { txout: txout.clone(), height }))
        })?;
        let paid = Chunk { fee: spend.fee, vsize: check::vsize(tx.weight().to_wu()) };
        self.pays_the_floor(tx, paid)?;
        let txid = tx.compute_txid();
        for (output, reject) in check::dust(tx) {
            let is_swept = after.iter().flat_map(|(_, tx)| &tx.input).any(|input| {
                input.previous_output.txid == txid && usize::try_from(input.previous_output.vout) == Ok(output)
            });
            if spend.fee > 0 || !is_swept {
                return Err(reject);
            }
        }
        Ok(Member { index, tx, spend, paid })
    }
}

/// Whether the last transaction spends from every other one.
fn is_child_with_parents(txs: &[Transaction]) -> bool {
    let Some((child, parents)) = txs.split_last() else { return false };
    let spent: BTreeSet<Txid> = child.input.iter().map(|input| input.previous_output.txid).collect();
    !parents.is_empty() && parents.iter().all(|parent| spent.contains(&parent.compute_txid()))
}

/// Whether other members can cure this refusal: with more fee, or by spending the dust.
fn is_about_fees_or_dust(reject: &Reject) -> bool {
    matches!(
        reject,
        Reject::BelowFloor { .. }
            | Reject::BelowMempoolMinimum { .. }
            | Reject::ReplacementTooCheap { .. }
            | Reject::Dust { .. }
    )
}

/// Whether the missing input is an output of a member that was deferred.
fn waits_for(tx: &Transaction, reject: &Reject, txs: &[Transaction], deferred: &[(usize, Reject)]) -> bool {
    let waiting: BTreeSet<Txid> =
        deferred.iter().filter_map(|(index, _)| txs.get(*index)).map(Transaction::compute_txid).collect();
    matches!(reject, Reject::MissingInputs { .. })
        && tx.input.iter().any(|input| waiting.contains(&input.previous_output.txid))
}
