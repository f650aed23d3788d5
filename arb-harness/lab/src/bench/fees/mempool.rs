//! The mempool for the transactions of one close, with BIP 125's rules for replacements.

use super::policy::{Offered, Standing};

/// What a replacement pays for its own relay (sat/vB).
const INCREMENT_SAT_PER_VB: u64 = 1;

/// A transaction in the mempool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The ids of the claims that it spends.
    pub claims: Vec<usize>,
    /// Its weight and fee.
    pub standing: Standing,
}

/// How an offer was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The same transaction was there already.
    Known,
    /// It conflicted with no transaction.
    New,
    /// It replaced this many transactions.
    Replaced(usize),
}

/// Why an offer was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its feerate is below the mempool's floor.
    BelowFloor,
    /// It pays less than the fees of what it replaces and its own relay.
    FeeTooLow {
        /// The least fee that would be accepted.
        wanted_sat: u64,
    },
    /// Its feerate is not above that of every transaction that it replaces.
    FeerateTooLow,
}

/// The transactions of one close in the mempool.
#[derive(Clone, Debug, Default)]
pub struct Mempool {
    entries: Vec<Entry>,
}

impl Mempool {
    /// All transactions, in the order of their arrival.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The transaction that spends this claim.
    #[must_use]
    pub fn standing(&self, claim: usize) -> Option<Standing> {
        self.entries.iter().find(|entry| entry.claims.contains(&claim)).map(|entry| entry.standing)
    }

    /// Accepts a transaction, or returns why not; an error changes nothing.
    ///
    /// # Errors
    ///
    /// BIP 125's rules 3, 4 and 6 (feerate), and the mempool's floor.
    pub fn offer(&mut self, offered: &Offered, floor_sat_per_kw: u32) -> Result<Accepted, Refusal> {
        let Offered { claims, weight, fee_sat } = offered;
        let in_the_way = |entry: &&Entry| entry.claims.iter().any(|claim| claims.contains(claim));
        let conflicts: Vec<&Entry> = self.entries.iter().filter(in_the_way).collect();
        let standing = Standing { weight: *weight, fee_sat: *fee_sat };
        if let [only] = conflicts[..]
            && only.standing == standing
            && only.claims == *claims
        {
            return Ok(Accepted::Known);
        }
        // Compared as products, so nothing is rounded.
        let pays = |fee: u64, per_kw: u64, weight: u64| fee * 1_000 >= per_kw * weight;
        if !pays(*fee_sat, floor_sat_per_kw.into(), *weight) {
            return Err(Refusal::BelowFloor);
        }
        if conflicts.iter().any(|old| fee_sat * old.standing.weight <= old.standing.fee_sat * weight) {
            return Err(Refusal::FeerateTooLow);
        }
        let old_fees: u64 = conflicts.iter().map(|old| old.standing.fee_sat).sum();
        let wanted_sat = old_fees + weight.div_ceil(4) * INCREMENT_SAT_PER_VB;
        if !conflicts.is_empty() && *fee_sat < wanted_sat {
            return Err(Refusal::FeeTooLow { wanted_sat });
        }
        let replaced = conflicts.len();
        self.entries.retain(|entry| !in_the_way(&entry));
        self.entries.push(Entry { claims: claims.clone(), standing });
        Ok(if replaced == 0 { Accepted::New } else { Accepted::Replaced(replaced) })
    }

    /// Removes and returns what a block with this clearing feerate confirms.
    pub fn mine(&mut self, clearing_sat_per_kw: u32) -> Vec<Entry> {
        let pays = |entry: &mut Entry| {
            entry.standing.fee_sat * 1_000 >= u64::from(clearing_sat_per_kw) * entry.standing.weight
        };
        self.entries.extract_if(.., pays).collect()
    }

    /// Removes what spends this claim, whose output was spent elsewhere.
    pub fn void(&mut self, claim: usize) {
        self.entries.retain(|entry| !entry.claims.contains(&claim));
    }
}
