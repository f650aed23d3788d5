//! Pinning: what is in the mempool first, pays little, and is expensive to replace.
//!
//! Whoever replaces a transaction pays the fees of all that descends from it (rule 3), however little that is worth to a
//! miner. So the adversary is early, at the lowest price, and then hangs a line of its own below it.

use bitcoin::{OutPoint, Transaction, TxOut};

use super::sight::Sight;
use super::{Act, ActKind, Adversary, refs};
use crate::chain::Chain;
use crate::fixture::{ChannelFixture, FixtureError};

/// Just above dust for every script.
const JUNK_SAT: u64 = 330;

impl Adversary {
    /// Pins the anchor of a commitment that waits, or the HTLCs of one that is confirmed.
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
        // The largest coin: it has to pay for all the descendants.
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

/// Spends the last output of a transaction into many small ones and, last, the rest.
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
