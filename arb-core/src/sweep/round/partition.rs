//! Which loose claims share a transaction.
//!
//! Tests: `arb-harness/lab/tests/sweeper_suite/groups.rs`.

use super::Round;
use crate::api::units::{Blocks, Height};
use crate::sweep::terms::{Bundle, Class, Pays, Terms};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;

impl<'a> Round<'a> {
    /// Groups loose claims by class, source of fee, locktime and deadline. A pure function of the claims: the same claims group
    /// the same way, whatever came before (B12, B13).
    pub(super) fn partition(&self) -> Vec<Vec<&'a Terms>> {
        let mut loose: Vec<&Terms> = self.loose.iter().filter_map(|outpoint| self.terms.get(outpoint)).collect();
        loose.retain(|terms| !self.pauses(terms));
        loose.sort_by_cached_key(|terms| {
            let deadline = terms.deadline().unwrap_or(Height::MAX);
            (terms.class, terms.pays, terms.lock_time, deadline, Reverse(terms.amount_sat), terms.outpoint)
        });
        let mut parts: Vec<Bundle<'a>> = Vec::new();
        let mut open: BTreeMap<(Class, Pays, Height, bool, u32), usize> = BTreeMap::new();
        for terms in loose {
            let urgent = self.now.is_urgent(terms.class, terms.deadline());
            let place = (terms.class, terms.pays, terms.lock_time, urgent, self.suspicion(terms));
            let part = open.get(&place).copied().filter(|_| !self.stands_alone(terms));
            let fits = part.and_then(|index| parts.get_mut(index)).filter(|part| self.joins(part, terms));
            match fits {
                Some(part) => part.members.push(terms),
                None => {
                    if !self.stands_alone(terms) {
                        open.insert(place, parts.len());
                    }
                    parts.push(Bundle::new([terms].into(), None, self.now.wallet_output_weight));
                }
            }
        }
        parts.into_iter().map(|part| part.members).collect()
    }

    /// Whether a claim's transaction was dropped in this block, because a coin was missing.
    pub(super) fn pauses(&self, terms: &Terms) -> bool {
        self.sweeper.paused.get(&terms.outpoint).is_some_and(|since| *since >= self.now.tip)
    }

    /// Whether a claim gets a transaction of its own. An urgent claim that the wallet pays for does, unless the wallet said that
    /// it has no more coins.
    fn stands_alone(&self, terms: &Terms) -> bool {
        let apart = match (terms.class, terms.pays) {
            (Class::Anchor, _) | (_, Pays::Signed) => true,
            (
                Class::Contested | Class::Delayed | Class::PenaltySafe | Class::PenaltyRaced,
                Pays::FromValue | Pays::FromWallet,
            ) => false,
        };
        let is_short = terms.pays == Pays::FromWallet && self.sweeper.missing.contains_key(&terms.outpoint);
        // The split of a group was priced for single claims, so each of them stands alone, also one with more time.
        let dissolved =
            self.opened.iter().any(|opened| opened.in_mempool && opened.group.members.contains(&terms.outpoint));
        apart || dissolved || (self.now.is_urgent(terms.class, terms.deadline()) && !is_short)
    }

    /// Whether a claim joins others: there is room, and its deadline is at most a quarter of the time left after their nearest
    /// one, or at most `alone` blocks.
    pub(super) fn joins(&self, part: &Bundle<'_>, terms: &Terms) -> bool {
        let near = match (part.deadline(), terms.deadline()) {
            (Some(first), Some(deadline)) => {
                let slack = self.now.left(first).get().checked_div(4).unwrap_or(0);
                deadline <= first.after(Blocks::new(slack).max(self.now.policy.alone))
            }
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        near && part.has_room(terms, self.now.policy)
    }
}
