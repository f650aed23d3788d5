//! The opponent that fights over our claims before every block, and the blocks that it or others mine.

use bitcoin::Transaction;

use crate::chain::BlockTemplate;
use crate::peer::PeerPlan;
use crate::sim::plan::weather::act_name;
use crate::sim::violation::Violation;
use crate::sim::world::World;

impl World {
    /// The next block: what pays enough, unless it is an opponent's own.
    pub(crate) fn next_block(&mut self) -> Result<(), Violation> {
        let min_feerate_sat_per_kw = self.weather.clearing(self.height() + 1).unwrap_or(0);
        let own = match &mut self.foe {
            Some((lane, foe)) => foe.mines(&self.lanes[*lane].fixture, &self.chain).map_err(Violation::world)?,
            None => self.thiefs_block()?,
        };
        let template = BlockTemplate { min_feerate_sat_per_kw, ..own.unwrap_or_default() };
        // What it wants first may be gone since it looked.
        if self.chain.mine_template(template).is_err() {
            self.chain.mine_at(min_feerate_sat_per_kw, u64::MAX);
        }
        self.weather.fill(&mut self.chain);
        Ok(())
    }

    /// The opponent acts on what waits; whoever watches the mempool sees half of it.
    pub(crate) fn foe_acts(&mut self, seen: &mut Vec<Transaction>) -> Result<(), Violation> {
        let Some((lane, foe)) = &mut self.foe else { return Ok(()) };
        let at = &self.lanes[*lane];
        let claims = false;
        *foe.plan_mut() = PeerPlan { claims, ..at.peer.plan().clone() };
        let acts = foe.act(&at.fixture, &mut self.chain).map_err(Violation::world)?;
        for act in acts {
            self.note(|| format!("the opponent: {:?} of {:?} for {} sat", act.kind, act.htlcs, act.cost_sat));
            seen.extend(act.tx);
        }
        Ok(())
    }

    /// The opponent gives up: its channel's counterparty is one like others again.
    pub(crate) fn foe_leaves(&mut self) {
        let Some((_, mut foe)) = self.foe.take() else { return };
        foe.settle(&self.chain);
        for (kind, count) in foe.counts() {
            self.counts.many(act_name(*kind), u64::from(*count));
        }
        self.counts.many("adversary/spend_sat", foe.spend_sat());
        self.chain.set_mempool_min_feerate(0);
    }
}
