//! Pinning: a transaction that comes first, pays little, and is expensive to replace.
//!
//! A replacement pays the fees of all descendants of what it replaces (BIP 125 rule 3), even if a miner gains little by
//! them. So the adversary submits early, at the lowest price, and adds a chain of its own transactions below.

use bitcoin::{OutPoint, Transaction, TxOut};

use super::sight::Sight;
use super::{Act, ActKind, Adversary, refs};
use crate::chain::Chain;
use crate::fixture::{ChannelFixture, FixtureError};

/// Satoshis that are not dust for any script.
const JUNK_SAT: u64 = 330;

impl Adversary {
    /// Pins the anchor of an unconfirmed commitment, or the HTLCs of a confirmed one.
    pub(super) fn pin(
        &mut self,
        fixture: &ChannelFixture,
        chain: &mut Chain,
        descendants: u32,
        outputs_each: u32,
    ) -> Result<Vec<Act>, FixtureError> {
        let Some(sight) = self.look(fixture, chain, b"pin")? else { return Ok(Vec::new()) };
        let waits = chain.in_mempool(&sight.commitment.built.txid).is_some();
        let anchor = sight.anchor(chain).filter(|_| waits);
        let unclaimed = sight.unclaimed(chain, &self.targets(&sight, chain));
        let group = sight.groups(&unclaimed).into_iter().next().unwrap_or_default();
        if anchor.is_none() && group.is_empty() {
            return Ok(Vec::new());
        }
        // The largest free coin: it pays for all the descendants.
        let Some(coin) = self.coins(chain).into_iter().find(|(coin, _)| chain.mempool_spender(coin).is_none()) else {
            return Ok(Vec::new());
        };
        let coin = [coin];
        let mut batch = sight.batch(&group, &coin);
        batch.anchor = anchor;
        let Some(tx) = batch.cheapest(chain)? else { return Ok(Vec::new()) };
        let Some(pin) = self.submit(chain, tx.clone(), ActKind::Pinned, refs(&sight, &group)) else {
            return Ok(Vec::new());
        };
        let mut acts = vec![pin];
        let mut last = tx;
        for _ in 0..descendants {
            let Some(next) = junk(&sight, chain, &last, outputs_each)? else { break };
            let Some(act) = self.submit(chain, next.clone(), ActKind::Junk, Vec::new()) else { break };
            acts.push(act);
            last = next;
        }
        Ok(acts)
    }
}

/// Spends the last output of a transaction into many small outputs and, last, one with what is left.
fn junk(
    sight: &Sight<'_>,
    chain: &Chain,
    parent: &Transaction,
    outputs_each: u32,
) -> Result<Option<Transaction>, FixtureError> {
    let Some(spent) = parent.output.last() else { return Ok(None) };
    let vout = u32::try_from(parent.output.len().saturating_sub(1)).unwrap_or(u32::MAX);
    let coin: [(OutPoint, TxOut); 1] = [(OutPoint::new(parent.compute_txid(), vout), spent.clone())];
    let mut batch = sight.batch(&[], &coin);
    batch.extra = (outputs_each, JUNK_SAT);
    batch.cheapest(chain)
}
