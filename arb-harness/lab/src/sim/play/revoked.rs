//! What a cheating peer does before it publishes a revoked commitment.

use crate::sim::violation::Violation;
use crate::sim::world::World;

impl World {
    /// Publishes a revoked commitment of a channel, or one that will be revoked after it confirmed.
    pub(crate) fn publish_revoked(&mut self, channel: usize) -> Result<(), Violation> {
        // A peer that cheats on both channels makes both histories first.
        let all = if self.plan.one_peer { 0..self.channels.len() } else { channel..channel + 1 };
        for of in all {
            for _ in 0..core::mem::take(&mut self.channels[of].plan.cheater.rounds) {
                self.make_history(of)?;
            }
        }
        self.mine(self.channels[channel].plan.cheater.waits)?;
        if self.channels[channel].plan.cheater.revokes_late.is_some() {
            if !self.channels[channel].pending {
                self.sign_pending(channel)?;
            }
            self.publish(channel, self.channels[channel].remote);
            return Ok(());
        }
        match self.old_number(channel) {
            Some(number) => self.publish(channel, number),
            None => self.request_close(channel),
        }
        Ok(())
    }

    /// Adds HTLCs, and removes most of those that are committed.
    fn make_history(&mut self, channel: usize) -> Result<(), Violation> {
        for _ in 0..self.rng.between(1, 4) {
            if !self.channels[channel].is_open() {
                return Ok(());
            }
            if self.rng.percent(50) {
                self.receive_on(channel);
            } else {
                self.pay_on(channel);
            }
        }
        self.finish_dance(channel)?;
        let blocks = self.rng.blocks(0, 2);
        self.mine(blocks)?;
        for htlc in self.channels[channel].settled_adds() {
            if !self.rng.percent(60) {
                continue;
            }
            if htlc.key.is_offered() {
                let fulfil = self.rng.percent(50);
                self.peer_ends_on(channel, fulfil);
            } else {
                self.node_ends(channel, htlc.key);
            }
        }
        self.finish_dance(channel)
    }
}
