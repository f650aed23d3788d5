//! The tactics against our claims: outbid, cycle, stall, evict, or leave out of a block.

use bitcoin::{OutPoint, Transaction, TxOut};

use super::batch::Target;
use super::sight::Sight;
use super::{Act, ActKind, Adversary, refs};
use crate::chain::{BlockTemplate, Chain};
use crate::fixture::{ChannelFixture, FixtureError};

impl Adversary {
    /// Outbids each of our claims for every HTLC of it that it can take.
    pub(super) fn replace(&mut self, fixture: &ChannelFixture, chain: &mut Chain) -> Result<Vec<Act>, FixtureError> {
        let Some(sight) = self.look(fixture, chain, b"replace")? else { return Ok(Vec::new()) };
        let contested = sight.contested(chain, &self.targets(&sight, chain));
        let mut acts = Vec::new();
        for targets in contested.values() {
            let Some(group) = sight.groups(targets).into_iter().next() else { continue };
            acts.extend(self.claim(&sight, chain, &group, ActKind::Replaced)?);
        }
        Ok(acts)
    }

    /// Takes one HTLC of our transaction with the most HTLCs.
    pub(super) fn stall(&mut self, fixture: &ChannelFixture, chain: &mut Chain) -> Result<Vec<Act>, FixtureError> {
        let Some(sight) = self.look(fixture, chain, b"stall")? else { return Ok(Vec::new()) };
        let contested = sight.contested(chain, &self.targets(&sight, chain));
        let Some(largest) = contested.values().max_by_key(|targets| targets.len()) else { return Ok(Vec::new()) };
        let place = self.draw(u64::try_from(largest.len()).unwrap_or(1).max(1));
        let Some(target) = usize::try_from(place).ok().and_then(|place| largest.get(place)) else {
            return Ok(Vec::new());
        };
        Ok(self.claim(&sight, chain, &[*target], ActKind::Stalled)?.into_iter().collect())
    }

    /// Replaces our claims by one spend of one HTLC each and a coin, and then that spend by another of the coin.
    pub(super) fn cycle(&mut self, fixture: &ChannelFixture, chain: &mut Chain) -> Result<Vec<Act>, FixtureError> {
        let Some(sight) = self.look(fixture, chain, b"cycle")? else { return Ok(Vec::new()) };
        let contested = sight.contested(chain, &self.targets(&sight, chain));
        let one_of_each: Vec<Target> = contested.values().filter_map(|targets| targets.first()).copied().collect();
        let mut acts = Vec::new();
        for group in sight.groups(&one_of_each) {
            for coin in self.coins(chain) {
                let coin = [coin];
                let Some(into) = sight.batch(&group, &coin).cheapest(chain)? else { continue };
                let htlcs = refs(&sight, &group);
                let Some(first) = self.submit(chain, into, ActKind::CycleIn, htlcs) else { continue };
                acts.push(first);
                // If the second half fails, the first is an ordinary claim at a high fee; another coin would not change
                // that.
                let out = sight.batch(&[], &coin).cheapest(chain)?;
                acts.extend(out.and_then(|out| self.submit(chain, out, ActKind::CycleOut, Vec::new())));
                break;
            }
        }
        Ok(acts)
    }

    /// Raises the mempool's minimum above all our transactions in it, and holds it.
    pub(super) fn evict(
        &mut self,
        fixture: &ChannelFixture,
        chain: &mut Chain,
        up_to_sat_per_kvb: u64,
        blocks: u32,
    ) -> Result<Vec<Act>, FixtureError> {
        let tip = chain.tip().0;
        if let Some((_, before)) = self.holding.filter(|(until, _)| *until <= tip) {
            chain.set_mempool_min_feerate(before);
            self.holding = None;
        }
        let Some(sight) = self.look(fixture, chain, b"evict")? else { return Ok(Vec::new()) };
        let ranks = sight.ours(chain).into_iter().filter_map(|txid| chain.mempool_rank(&txid));
        let Some(minimum) = ranks.max().map(|rank| rank.saturating_add(1)) else {
            return Ok(self.hold(chain).into_iter().collect());
        };
        let minimum = minimum.max(chain.mempool_min_feerate());
        if minimum > up_to_sat_per_kvb {
            return Ok(self.hold(chain).into_iter().collect());
        }
        let before = self.holding.map_or(chain.mempool_min_feerate(), |(_, before)| before);
        let until = self.holding.map_or(tip.saturating_add(blocks), |(until, _)| until);
        self.holding = Some((until, before));
        chain.set_mempool_min_feerate(minimum);
        chain.trim();
        Ok(self.hold(chain).into_iter().collect())
    }

    /// The cost of holding the minimum for one more block: the miner takes what fills the mempool, so it must be paid for
    /// again in every block. `None` if no minimum is held.
    fn hold(&mut self, chain: &Chain) -> Option<Act> {
        self.holding?;
        let block_vsize = chain.config().max_block_weight.div_ceil(4);
        let cost_sat = block_vsize.saturating_mul(chain.mempool_min_feerate()).div_ceil(1000);
        self.other_sat = self.other_sat.saturating_add(cost_sat);
        self.count(ActKind::Evicted);
        Some(Act { kind: ActKind::Evicted, tx: None, htlcs: Vec::new(), cost_sat })
    }

    /// The template of a block that it mines: its claims first and without a fee, ours not at all. It costs the fees that
    /// it leaves out.
    pub(super) fn template(&mut self, fixture: &ChannelFixture, chain: &Chain) -> Result<BlockTemplate, FixtureError> {
        self.wallet.refresh(chain);
        let mut template = BlockTemplate::default();
        self.count(ActKind::Mined);
        let Some(sight) = self.look(fixture, chain, b"mine")? else { return Ok(template) };
        for group in sight.groups(&self.targets(&sight, chain)) {
            let tx = sight.batch(&group, &[]).pay(0)?;
            self.own.extend(tx.iter().map(Transaction::compute_txid));
            template.first.extend(tx);
        }
        template.leaves_out = sight.ours(chain);
        let left_out = template.leaves_out.iter().filter_map(|txid| chain.fee_of(txid));
        self.other_sat = left_out.fold(self.other_sat, u64::saturating_add);
        self.settle(chain);
        Ok(template)
    }

    /// Claims these together at the lowest price, with the smallest coin that is enough, if a coin is needed.
    pub(super) fn claim(
        &mut self,
        sight: &Sight<'_>,
        chain: &mut Chain,
        targets: &[Target],
        kind: ActKind,
    ) -> Result<Option<Act>, FixtureError> {
        let Some(tx) = self.cheapest_claim(sight, chain, targets)? else { return Ok(None) };
        Ok(self.submit(chain, tx, kind, refs(sight, targets)))
    }

    fn cheapest_claim(
        &self,
        sight: &Sight<'_>,
        chain: &Chain,
        targets: &[Target],
    ) -> Result<Option<Transaction>, FixtureError> {
        if let Some(tx) = sight.batch(targets, &[]).cheapest(chain)? {
            return Ok(Some(tx));
        }
        let coins = self.coins(chain);
        let Some(largest) = coins.first() else { return Ok(None) };
        let Some(tx) = sight.batch(targets, std::slice::from_ref(largest)).cheapest(chain)? else { return Ok(None) };
        let needed = chain.price_of(&tx);
        let is_enough = |coin: &&(OutPoint, TxOut)| {
            chain.mempool_spender(&coin.0).is_none() && coin.1.value.to_sat() >= needed.saturating_add(600)
        };
        match coins.iter().rev().find(is_enough) {
            Some(coin) => Ok(sight.batch(targets, std::slice::from_ref(coin)).cheapest(chain)?.or(Some(tx))),
            None => Ok(Some(tx)),
        }
    }
}
