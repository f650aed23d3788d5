//! Claims that queue for the same coins (I16): how many of them the wallet could pay for at all.
//!
//! One claim alone could always have had the coin. So the claims are counted together, at the price that was estimated for
//! the next block: no policy knows before that block that less would have done.

use std::collections::BTreeMap;

use arb_core::{Htlc, Side};

use super::costs::{self, Stages};
use super::unclaimed::Use;
use crate::balance_oracle::{Taken, UnspentKind};
use crate::fixture::Commitment;
use crate::sim::world::World;

/// Claims that can share a transaction: received HTLCs, or offered ones of one expiry.
type Class = Option<u32>;

fn class_of(htlc: &Htlc) -> Class {
    htlc.key.is_offered().then(|| htlc.cltv_expiry.get())
}

/// How many claims with these stages the coins pay for in one transaction.
pub(crate) fn payable(coins: &[u64], stages: &Stages, price: u32) -> u64 {
    let left = costs::room_sat(coins, price).checked_sub(costs::fee_sat(stages.first, price));
    left.map_or(0, |left| 1 + left / costs::fee_sat(stages.marginal(), price).max(1))
}

/// How many claims of a queue the wallet did not pay for although it could. `coins` are the heights of the queue's window with the
/// usable coins after each, `paid` the heights of the claims that confirmed.
pub(crate) fn missed(coins: &[(u32, Vec<u64>)], stages: &Stages, price_at: impl Fn(u32) -> u32, paid: &[u32]) -> u64 {
    let count = |most: u32| u64::try_from(paid.iter().filter(|at| **at <= most).count()).unwrap_or(u64::MAX);
    let could = coins.iter().map(|(height, coins)| count(*height) + payable(coins, stages, price_at(*height)));
    could.max().map_or(u64::MAX, |could| could.saturating_sub(count(u32::MAX)))
}

impl World {
    /// Of HTLCs that the counterparty took and that single coins could have claimed, those that the wallet could not pay for
    /// together with what it did pay for.
    pub(super) fn behind_in_the_queue(
        &self,
        channel: usize,
        (closed, commitment): (u32, &Commitment),
        mut lost: Vec<Taken>,
    ) -> Vec<Taken> {
        let at = &self.channels[channel];
        let mut counted: BTreeMap<Class, u64> = BTreeMap::new();
        // The dearest ones count as missed.
        lost.sort_by_key(|taken| (core::cmp::Reverse(taken.value_sat), taken.outpoint));
        let mut behind = Vec::new();
        for taken in lost {
            let Some(htlc) = at.htlcs().find(|htlc| htlc.key == taken.htlc) else { continue };
            let class = class_of(htlc);
            let missed = self.missed_by(channel, (closed, commitment), &taken, htlc);
            let number = counted.entry(class).or_default();
            if *number < missed {
                *number += 1;
            } else {
                behind.push(taken);
            }
        }
        behind
    }

    fn missed_by(&self, channel: usize, (closed, commitment): (u32, &Commitment), taken: &Taken, htlc: &Htlc) -> u64 {
        let stages = self.stages(channel, commitment, UnspentKind::Htlc(taken.htlc));
        if !stages.from_wallet || commitment.owner != Side::Local {
            return u64::MAX;
        }
        let outputs = (0..commitment.htlcs.len()).filter_map(|position| {
            let (outpoint, _, _) = commitment.htlc_output(position).ok()?;
            let other = commitment.htlcs.get(position)?;
            (other.key.is_offered() == htlc.key.is_offered() && class_of(other) == class_of(htlc)).then_some(outpoint)
        });
        let measured = self.channels[channel].measured.as_ref();
        let all = measured.map(|measured| measured.unclaimed.taken.as_slice()).unwrap_or_default();
        let kept = outputs.filter(|outpoint| all.iter().all(|taken| taken.outpoint != *outpoint));
        let spends = kept.filter_map(|outpoint| self.chain.spender_of(&outpoint));
        let paid: Vec<u32> = spends.map(|(height, _, _)| height).collect();
        let coins: Vec<(u32, Vec<u64>)> = self
            .window(channel, closed, taken, htlc)
            .into_iter()
            .map(|(height, purse)| {
                // The node refused a batch, without a reason.
                if self.seen.actions.refused_at.contains(&height) {
                    return (height, Vec::new());
                }
                let usable =
                    purse.iter().filter(|(_, owner)| self.use_of(commitment, *owner, taken, htlc) != Use::Held);
                (height, usable.map(|(value, _)| *value).collect())
            })
            .collect();
        let price_at = |height: u32| self.price(height + 1).max(self.conditions.next_sat_per_kw(height));
        missed(&coins, &stages, price_at, &paid)
    }
}
