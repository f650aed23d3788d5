//! Blocks, and what the counterparties do before each of them.

use arb_core::{Event, Side};

use crate::sim::violation::Violation;
use crate::sim::world::World;
use crate::sim::world::channel::Message;
use crate::sim::world::process::BLOCKS_A_STEP;

impl World {
    /// Mines this many blocks; several at a time while nothing is under way.
    pub(crate) fn mine(&mut self, blocks: u32) -> Result<(), Violation> {
        let target = self.height() + blocks;
        while self.height() < target {
            self.settle()?;
            self.revoke_late()?;
            self.peers_act()?;
            if self.blocks_until_the_node_speaks() == Some(0) {
                self.node_speaks();
                self.settle()?;
            }
            let most = self.blocks_until_the_node_speaks().filter(|blocks| *blocks > 0).unwrap_or(u32::MAX);
            let idle = self.idle_blocks().min(target - self.height()).min(most);
            let is_fair = self.mining_cheater().is_none();
            for _ in 0..idle {
                self.next_block()?;
            }
            if is_fair {
                // The process heard several blocks at once, so only the first of them could hold its transactions.
                self.seen.fair_blocks.insert(self.height() + 1 - idle);
            }
            self.tell_fees();
            self.settle()?;
            self.node_reacts()?;
        }
        Ok(())
    }

    /// Lets the counterparties submit what they can; the court sees some of it in the mempool.
    fn peers_act(&mut self) -> Result<(), Violation> {
        let mut seen = Vec::new();
        let fighter = self.adversary.as_ref().map(|(channel, _)| *channel);
        let price = self.conditions.price_of_peers(self.height() + 1);
        for channel in 0..self.channels.len() {
            if let Some(price) = price {
                self.channels[channel].peer.plan_mut().feerate_sat_per_kw = price;
            }
            if fighter == Some(channel) {
                continue;
            }
            for tx in self.peer_acts(channel)? {
                // A transaction that is refused now is submitted again before the next block.
                if self.chain.submit(tx.clone()).is_ok() {
                    seen.push(tx);
                }
            }
        }
        self.adversary_acts(&mut seen)?;
        for tx in seen {
            self.note(|| format!("a counterparty sends {}", tx.compute_txid()));
            if self.rng.percent(if fighter.is_some() { 50 } else { 30 }) {
                self.counts.one("mempool/seen");
                self.tell(Event::MempoolSeen { tx });
                self.settle()?;
                self.node_reacts()?;
            }
        }
        Ok(())
    }

    /// How many blocks may pass at once: one while anything is under way, else up to the court's next alarm.
    fn idle_blocks(&self) -> u32 {
        if self.chain.mempool().next().is_some() || self.mining_cheater().is_some() {
            return 1;
        }
        let most = u32::try_from(BLOCKS_A_STEP).unwrap_or(1);
        self.process.alarm.map_or(most, |alarm| alarm.saturating_sub(self.height()).clamp(1, most))
    }

    /// Lets a counterparty whose commitment has confirmed revoke it, if its plan says so.
    fn revoke_late(&mut self) -> Result<(), Violation> {
        for channel in 0..self.channels.len() {
            let at = &self.channels[channel];
            let Some(after) = at.plan.cheater.revokes_late.filter(|_| at.pending && at.closing) else { continue };
            let Some((closed, commitment)) = self.closed_by(channel) else { continue };
            let is_current = commitment.owner == Side::Remote && commitment.number == at.remote;
            if !is_current || self.height() < closed + after {
                continue;
            }
            // The commitment counts as revoked from the step that hears the revocation.
            let event = self.channels[channel].message(Message::RemoteRevoked).map_err(Violation::world)?;
            self.channels[channel].heard(Message::RemoteRevoked);
            self.channels[channel].revoked_late = Some(self.height());
            if !self.ask(event)? {
                return Err(Violation::world("a revocation was refused"));
            }
            self.counts.one("revoked/confessed");
            self.node_reacts()?;
        }
        Ok(())
    }
}
