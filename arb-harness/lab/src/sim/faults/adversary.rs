//! The adversary, which acts against our claims before every block, and the mining of the next block.

use bitcoin::Transaction;

use crate::chain::BlockTemplate;
use crate::peer::PeerPlan;
use crate::sim::plan::conditions::act_name;
use crate::sim::violation::Violation;
use crate::sim::world::World;

impl World {
    /// Mines the next block: the template of the adversary or of a cheating peer, if it is theirs, else everything that
    /// pays enough.
    pub(crate) fn next_block(&mut self) -> Result<(), Violation> {
        let min_feerate_sat_per_kw = self.conditions.clearing(self.height() + 1).unwrap_or(0);
        let own = match &mut self.adversary {
            Some((channel, adversary)) => {
                adversary.mines(&self.channels[*channel].fixture, &self.chain).map_err(Violation::world)?
            }
            None => self.cheaters_block()?,
        };
        let template = BlockTemplate { min_feerate_sat_per_kw, ..own.unwrap_or_default() };
        // The template's own transactions may have become invalid since it was made.
        if self.chain.mine_template(template).is_err() {
            self.chain.mine_at(min_feerate_sat_per_kw, u64::MAX);
        }
        self.conditions.fill(&mut self.chain);
        Ok(())
    }

    /// Lets the adversary act on the mempool; `seen` gets the transactions that it submitted.
    pub(crate) fn adversary_acts(&mut self, seen: &mut Vec<Transaction>) -> Result<(), Violation> {
        let Some((channel, adversary)) = &mut self.adversary else { return Ok(()) };
        let at = &self.channels[*channel];
        *adversary.plan_mut() = PeerPlan { claims: false, ..at.peer.plan().clone() };
        let acts = adversary.act(&at.fixture, &mut self.chain).map_err(Violation::world)?;
        for act in acts {
            self.note(|| format!("the adversary: {:?} of {:?} for {} sat", act.kind, act.htlcs, act.cost_sat));
            seen.extend(act.tx);
        }
        Ok(())
    }

    /// Ends the adversary: its channel's counterparty acts like any other again.
    pub(crate) fn adversary_leaves(&mut self) {
        let Some((_, mut adversary)) = self.adversary.take() else { return };
        adversary.settle(&self.chain);
        for (kind, count) in adversary.counts() {
            self.counts.many(act_name(*kind), u64::from(*count));
        }
        self.counts.many("adversary/spend_sat", adversary.spend_sat());
        self.chain.set_mempool_min_feerate(self.conditions.minimum_sat_per_kvb(self.height()));
    }
}
