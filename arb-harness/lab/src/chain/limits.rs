//! Core's limits for the unconfirmed ancestors and descendants of a transaction.
//!
//! A parent's descendants are counted with those that the new transaction would evict, as Core counts them: a replacement
//! below a parent with full limits is refused, except in the two cases that Core allows ([`Lenience`]).

use std::collections::BTreeSet;

use bitcoin::{Transaction, Txid};

use super::check;
use super::mempool::Mempool;
use super::reject::Reject;

/// The most unconfirmed ancestors of a transaction, itself included.
const MAX_ANCESTORS: usize = 25;
/// The most unconfirmed descendants of a transaction, itself included.
const MAX_DESCENDANTS: usize = 25;
/// The most virtual bytes of either.
const MAX_CHAIN_VSIZE: u64 = 101_000;
/// The largest child that the carve-out accepts (vB).
const CARVE_OUT_VSIZE: u64 = 10_000;

/// Which limits may be exceeded.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lenience<'a> {
    /// None: the transaction comes in a package.
    None,
    /// The transaction comes alone. If it conflicts directly with exactly one transaction, that one and its descendants do
    /// not count; and the carve-out may accept it.
    Alone {
        /// The direct conflicts of the transaction.
        conflicts: &'a BTreeSet<Txid>,
        /// Whether there is a carve-out.
        carve_out: bool,
    },
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    ancestors: usize,
    descendants: usize,
    descendants_vsize: u64,
}

/// Checks a single transaction.
pub(super) fn check_one(mempool: &Mempool, tx: &Transaction, lenience: Lenience<'_>) -> Result<(), Reject> {
    let ancestors = mempool.ancestors(tx);
    let vsize = check::vsize(tx.weight().to_wu());
    let mut limits =
        Limits { ancestors: MAX_ANCESTORS, descendants: MAX_DESCENDANTS, descendants_vsize: MAX_CHAIN_VSIZE };
    let Lenience::Alone { conflicts, carve_out } = lenience else { return fits(mempool, &ancestors, 1, vsize, limits) };
    if let (Some(conflict), 1) = (conflicts.first(), conflicts.len()) {
        limits.descendants += 1;
        limits.descendants_vsize += mempool.total(mempool.descendants(conflict)).1;
    }
    let refused = match fits(mempool, &ancestors, 1, vsize, limits) {
        Ok(()) => return Ok(()),
        Err(reject) => reject,
    };
    // The carve-out: if the counterparty has filled the descendants of a shared transaction, one more child is accepted,
    // small and directly below. Not for version 3, which has its own rules.
    if !carve_out || vsize > CARVE_OUT_VSIZE || tx.version.0 == 3 {
        return Err(refused);
    }
    let carved = Limits {
        ancestors: 2,
        descendants: limits.descendants + 1,
        descendants_vsize: limits.descendants_vsize + CARVE_OUT_VSIZE,
    };
    fits(mempool, &ancestors, 1, vsize, carved).map_err(|_| refused)
}

/// Checks a package as if it were one transaction of its size.
pub(super) fn check_package(mempool: &Mempool, txs: &[&Transaction]) -> Result<(), Reject> {
    let ancestors: BTreeSet<Txid> = txs.iter().flat_map(|tx| mempool.ancestors(tx)).collect();
    let ancestors: Vec<Txid> = ancestors.into_iter().collect();
    let vsize = check::sum(txs.iter().map(|tx| check::vsize(tx.weight().to_wu())));
    let limits = Limits { ancestors: MAX_ANCESTORS, descendants: MAX_DESCENDANTS, descendants_vsize: MAX_CHAIN_VSIZE };
    fits(mempool, &ancestors, txs.len(), vsize, limits)
}

/// Whether `count` transactions of `vsize` together fit below these ancestors.
fn fits(mempool: &Mempool, ancestors: &[Txid], count: usize, vsize: u64, limits: Limits) -> Result<(), Reject> {
    let total = ancestors.len() + count;
    if total > limits.ancestors {
        return Err(Reject::TooManyAncestors { count: total, limit: limits.ancestors });
    }
    let size = mempool.total(ancestors.iter().copied()).1.saturating_add(vsize);
    if size > MAX_CHAIN_VSIZE {
        return Err(Reject::AncestorsTooLarge { vsize: size, limit: MAX_CHAIN_VSIZE });
    }
    for of in ancestors {
        let below = mempool.descendants(of);
        let total = below.len() + count;
        if total > limits.descendants {
            return Err(Reject::TooManyDescendants { of: *of, count: total, limit: limits.descendants });
        }
        let size = mempool.total(below).1.saturating_add(vsize);
        if size > limits.descendants_vsize {
            return Err(Reject::DescendantsTooLarge { of: *of, vsize: size, limit: limits.descendants_vsize });
        }
    }
    Ok(())
}
