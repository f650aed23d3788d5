//! What few coins pay for, when they do not pay for all claims of a group.
//!
//! Tests: `arb-harness/lab/tests/sweeper_suite/faults_coins.rs`.

use super::{Round, room_sat};
use crate::api::plan::FeeInputs;
use crate::api::units::Blocks;
use crate::sweep::terms::{Bundle, Pays, Terms};
use alloc::vec::Vec;

impl<'a> Round<'a> {
    /// The estimate for the next block, in satoshi per kiloweight.
    pub(super) fn next_block(&self) -> u32 {
        self.now.estimate(Blocks::new(1))
    }

    /// Whether the wallet pays for these claims, and has too little for some claims of the channel. Then none of them begins
    /// above the price of the next block: what it does not spend pays for the next one.
    pub(super) fn is_short(&self, bundle: &Bundle<'_>) -> bool {
        bundle.members.iter().all(|terms| terms.pays == Pays::FromWallet)
            && self.sweeper.missing.keys().any(|outpoint| self.terms.contains_key(outpoint))
    }

    /// Parts claims that share coins into those that the coins pay for, and the rest: at the price of the next block, if that
    /// buys a place for any of them; if not, at the lazy estimate; if that buys none, one claim has all coins. Few claims that
    /// confirm are worth more than many at a price at which none does (A3). The dearest stay, after those whose own coins are
    /// used.
    pub(super) fn paid_for(
        &self,
        bundle: Bundle<'a>,
        fee_inputs: &FeeInputs,
        wanted: u32,
    ) -> (Bundle<'a>, Vec<&'a Terms>) {
        let shares = bundle.members.len() > 1 && bundle.members.iter().all(|terms| terms.pays == Pays::FromWallet);
        if !shares || fee_inputs.coins.is_empty() {
            return (bundle, Vec::new());
        }
        let prices = [self.next_block(), self.now.lazy()];
        let parted = prices.into_iter().find_map(|price| self.paid_at(&bundle, fee_inputs, price.min(wanted)));
        parted.unwrap_or_else(|| {
            let one = |terms: &&Terms| self.sweeper.unused.contains_key(&terms.outpoint);
            let (mut stay, mut rest): (Vec<&Terms>, Vec<&Terms>) = bundle.members.iter().copied().partition(one);
            if stay.is_empty() && !rest.is_empty() {
                stay.push(rest.remove(0));
            }
            (bundle.of(stay), rest)
        })
    }

    /// The same at one price; `None` if the coins pay for none of the claims.
    fn paid_at(&self, bundle: &Bundle<'a>, fee_inputs: &FeeInputs, price: u32) -> Option<(Bundle<'a>, Vec<&'a Terms>)> {
        let brings_coins = |terms: &&Terms| self.sweeper.unused.contains_key(&terms.outpoint);
        let is_paid = |bundle: &Bundle<'_>| {
            let first = bundle.members.first();
            first.is_some_and(|terms| room_sat(bundle, fee_inputs) >= terms.fee_of(price, bundle.weight()))
        };
        let (mut stay, mut rest) = (bundle.clone(), Vec::new());
        while !is_paid(&stay) {
            let last = stay.members.iter().rposition(|terms| !brings_coins(terms))?;
            if stay.members.len() == 1 {
                return None;
            }
            rest.push(stay.members.remove(last));
        }
        Some((stay, rest))
    }
}
