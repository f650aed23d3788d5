//! Replacement: when a new transaction may evict what it conflicts with.
//!
//! These are Bitcoin Core's rules of 28 and 29, which need no signal (full replace-by-fee). The numbers are those of Core's
//! comments and BIP 125; rule 1 is the signal. A single transaction needs a higher feerate than each direct conflict. A
//! package of one parent and one child must improve the feerate diagram, which Core compares for clusters of at most two.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use bitcoin::{Transaction, Txid};

use super::check;
use super::mempool::{Entry, Mempool};
use super::reject::Reject;

/// Rule 5: a replacement evicts no more than this.
const MAX_REPLACED: usize = 100;

/// Fee (sat) and virtual bytes of transactions that are mined together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) fee: u64,
    pub(super) vsize: u64,
}

impl Chunk {
    pub(super) fn of(entry: &Entry) -> Self {
        Self { fee: entry.fee, vsize: entry.vsize() }
    }

    pub(super) fn feerate(self) -> u64 {
        check::feerate(self.fee, self.vsize)
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self { fee: self.fee.saturating_add(other.fee), vsize: self.vsize.saturating_add(other.vsize) }
    }

    /// Whether its feerate is higher, compared without rounding.
    fn beats(self, other: Self) -> bool {
        u128::from(self.fee) * u128::from(other.vsize) > u128::from(other.fee) * u128::from(self.vsize)
    }
}

/// The transactions in the mempool that spend an input of `tx`.
pub(super) fn direct_conflicts(mempool: &Mempool, tx: &Transaction) -> BTreeSet<Txid> {
    tx.input.iter().filter_map(|input| mempool.spender(&input.previous_output)).collect()
}

/// These conflicts and all their descendants.
fn evicted_by(mempool: &Mempool, direct: &BTreeSet<Txid>) -> BTreeSet<Txid> {
    direct.iter().flat_map(|txid| mempool.descendants(txid)).collect()
}

/// Refuses a transaction that spends from a transaction that it would replace.
pub(super) fn spends_no_conflict(mempool: &Mempool, tx: &Transaction, direct: &BTreeSet<Txid>) -> Result<(), Reject> {
    let with = mempool.ancestors(tx).into_iter().find(|txid| direct.contains(txid));
    with.map_or(Ok(()), |with| Err(Reject::Conflict { with }))
}

/// What a single `tx` would evict, if the rules allow it.
pub(super) fn by_one(
    mempool: &Mempool,
    tx: &Transaction,
    paid: Chunk,
    incremental_sat_per_kvb: u64,
) -> Result<BTreeSet<Txid>, Reject> {
    let direct = direct_conflicts(mempool, tx);
    let Some(first) = direct.first() else { return Ok(BTreeSet::new()) };
    let evicted = evicted_by(mempool, &direct);
    let needed = pays_for(mempool, &evicted, paid.vsize, incremental_sat_per_kvb);
    let too_cheap = |with: Txid| Reject::ReplacementTooCheap { with, fee: paid.fee, needed };
    // Rule 6, as Core calls it: a higher feerate than each direct conflict.
    let rate_of = |txid: &Txid| mempool.get(txid).map_or(0, Entry::feerate);
    if let Some(unbeaten) = direct.iter().find(|txid| paid.feerate() <= rate_of(txid)) {
        return Err(too_cheap(*unbeaten));
    }
    few_enough(mempool, &direct)?;
    // Rule 2: no new unconfirmed inputs.
    let spent_before: BTreeSet<Txid> = evicted
        .iter()
        .filter_map(|txid| mempool.get(txid))
        .flat_map(|entry| entry.tx.input.iter().map(|input| input.previous_output.txid))
        .collect();
    let is_new = |parent: &Txid| mempool.get(parent).is_some() && !spent_before.contains(parent);
    if let Some(input) = tx.input.iter().find(|input| is_new(&input.previous_output.txid)) {
        return Err(Reject::NewUnconfirmedInput { outpoint: input.previous_output });
    }
    if paid.fee < needed { Err(too_cheap(*first)) } else { Ok(evicted) }
}

/// What a parent and its child would evict together, if the rules allow it.
pub(super) fn by_package(
    mempool: &Mempool,
    txs: &[&Transaction],
    paid: &[Chunk],
    incremental_sat_per_kvb: u64,
) -> Result<BTreeSet<Txid>, Reject> {
    let direct: BTreeSet<Txid> = txs.iter().flat_map(|tx| direct_conflicts(mempool, tx)).collect();
    let Some(first) = direct.first() else { return Ok(BTreeSet::new()) };
    let ([_, _], [parent, child]) = (txs, paid) else { return Err(Reject::PackageReplaces { count: txs.len() }) };
    if let Some(ancestor) = txs.iter().find_map(|tx| mempool.ancestors(tx).first().copied()) {
        return Err(Reject::PackageWithAncestors { ancestor });
    }
    few_enough(mempool, &direct)?;
    let evicted = evicted_by(mempool, &direct);
    let package = parent.and(*child);
    let needed = pays_for(mempool, &evicted, package.vsize, incremental_sat_per_kvb);
    if package.fee < needed {
        return Err(Reject::ReplacementTooCheap { with: *first, fee: package.fee, needed });
    }
    if package.feerate() <= parent.feerate() {
        return Err(Reject::ChildDoesNotPay { package: package.feerate(), parent: parent.feerate() });
    }
    if let Some(with) = direct.iter().find(|txid| !is_in_small_cluster(mempool, txid)) {
        return Err(Reject::ClusterTooLarge { with: *with });
    }
    let (old, new) = diagrams(mempool, &direct, &evicted, package);
    if improves(&old, &new) { Ok(evicted) } else { Err(Reject::DiagramNotImproved) }
}

/// Rule 5, with Core's count: a descendant of two conflicts counts twice.
fn few_enough(mempool: &Mempool, direct: &BTreeSet<Txid>) -> Result<(), Reject> {
    let count = direct.iter().map(|txid| mempool.descendants(txid).len()).sum();
    if count > MAX_REPLACED { Err(Reject::TooManyReplaced { count, limit: MAX_REPLACED }) } else { Ok(()) }
}

/// Rules 3 and 4: the fees of everything evicted, and the relay fee of the replacement.
fn pays_for(mempool: &Mempool, evicted: &BTreeSet<Txid>, vsize: u64, incremental_sat_per_kvb: u64) -> u64 {
    let (fees, _) = mempool.total(evicted.iter().copied());
    fees.saturating_add(check::fee_at(incremental_sat_per_kvb, vsize))
}

/// The least fee with which a transaction of this size replaces its conflicts, if nothing but fees is in the way.
pub(super) fn price(mempool: &Mempool, tx: &Transaction, vsize: u64, incremental_sat_per_kvb: u64) -> u64 {
    let direct = direct_conflicts(mempool, tx);
    if direct.is_empty() {
        return 0;
    }
    let rates = direct.iter().filter_map(|txid| mempool.get(txid)).map(Entry::feerate);
    // The least fee whose feerate, rounded down, exceeds that of every conflict.
    let beating = rates.max().map_or(0, |rate| check::fee_at(rate.saturating_add(1), vsize));
    beating.max(pays_for(mempool, &evicted_by(mempool, &direct), vsize, incremental_sat_per_kvb))
}

/// Whether a conflict is in a cluster of at most two transactions.
fn is_in_small_cluster(mempool: &Mempool, txid: &Txid) -> bool {
    let below = mempool.descendants(txid);
    let above = mempool.get(txid).map(|entry| mempool.ancestors(&entry.tx)).unwrap_or_default();
    match (above.as_slice(), below.as_slice()) {
        ([], [_]) => true,
        ([parent], [_]) => mempool.descendants(parent).len() == 2,
        ([], [_, child]) => mempool.get(child).is_some_and(|entry| mempool.ancestors(&entry.tx).len() == 1),
        _ => false,
    }
}

/// The chunks of the old mempool and of the new one, each the best first.
fn diagrams(
    mempool: &Mempool,
    direct: &BTreeSet<Txid>,
    evicted: &BTreeSet<Txid>,
    package: Chunk,
) -> (Vec<Chunk>, Vec<Chunk>) {
    let (mut old, mut new) = (Vec::new(), vec![package]);
    for txid in evicted {
        let Some(entry) = mempool.get(txid).filter(|_| mempool.descendants(txid).len() == 1) else {
            continue; // drawn with its child
        };
        let own = Chunk::of(entry);
        match mempool.ancestors(&entry.tx).first().and_then(|parent| mempool.get(parent)).map(Chunk::of) {
            Some(parent) if own.beats(parent) => old.push(parent.and(own)),
            Some(parent) => old.extend([parent, own]),
            None => old.push(own),
        }
    }
    for conflict in direct.iter().filter_map(|txid| mempool.get(txid)) {
        let parents = mempool.ancestors(&conflict.tx).into_iter().filter(|parent| !evicted.contains(parent));
        new.extend(parents.filter_map(|parent| mempool.get(&parent)).map(Chunk::of));
    }
    for chunks in [&mut old, &mut new] {
        chunks
            .sort_by(|a, b| (u128::from(b.fee) * u128::from(a.vsize)).cmp(&(u128::from(a.fee) * u128::from(b.vsize))));
    }
    (old, new)
}

/// Whether the new diagram is nowhere lower and somewhere higher.
fn improves(old: &[Chunk], new: &[Chunk]) -> bool {
    let mut is_better = false;
    let corners: BTreeSet<u64> = [old, new].iter().flat_map(|chunks| corners(chunks)).collect();
    for corner in corners {
        let (before, after) = (earned(old, corner), earned(new, corner));
        // Compared as fractions; the denominators are the sizes of the chunks that the corner cuts.
        match (after.0 * before.1).cmp(&(before.0 * after.1)) {
            Ordering::Less => return false,
            Ordering::Greater => is_better = true,
            Ordering::Equal => {}
        }
    }
    is_better
}

/// The sizes at which a diagram bends.
fn corners(chunks: &[Chunk]) -> Vec<u64> {
    let sum = |end: &mut u64, chunk: &Chunk| {
        *end = end.saturating_add(chunk.vsize);
        Some(*end)
    };
    chunks.iter().scan(0, sum).collect()
}

/// What the first `size` virtual bytes of a diagram earn, as a fraction; beyond its end it is flat.
fn earned(chunks: &[Chunk], size: u64) -> (u128, u128) {
    let (mut fee, mut left) = (0_u128, size);
    for chunk in chunks {
        if left < chunk.vsize {
            let whole = u128::from(chunk.vsize);
            return (fee * whole + u128::from(chunk.fee) * u128::from(left), whole);
        }
        (fee, left) = (fee + u128::from(chunk.fee), left - chunk.vsize);
    }
    (fee, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(fee: u64, vsize: u64) -> Chunk {
        Chunk { fee, vsize }
    }

    #[test]
    fn a_diagram_has_to_be_nowhere_lower_and_somewhere_higher() {
        let old = [chunk(300, 100), chunk(100, 100)];
        assert!(!improves(&old, &old), "the same");
        assert!(improves(&old, &[chunk(301, 100), chunk(100, 100)]));
        assert!(improves(&old, &[chunk(300, 100), chunk(101, 100)]));
        assert!(improves(&old, &[chunk(600, 200)]), "level at 100, and higher at 200");
        assert!(!improves(&old, &[chunk(599, 200)]), "299.5 at 100, where 300 was");
        assert!(improves(&old, &[chunk(400, 100)]), "smaller and as much: the flat end counts");
        assert!(!improves(&old, &[chunk(399, 100)]));
        assert!(!improves(&[chunk(100, 100)], &[chunk(1000, 2000)]), "more fee, later");
        assert!(improves(&[chunk(100, 100)], &[chunk(3, 1), chunk(97, 80)]));
    }
}
