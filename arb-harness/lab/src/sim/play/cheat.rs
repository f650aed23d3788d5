//! What a cheat does before it plays an old commitment.

use crate::sim::violation::Violation;
use crate::sim::world::World;

impl World {
    /// Plays an old commitment of a channel, or one that will be old soon.
    pub(crate) fn cheat(&mut self, lane: usize) -> Result<(), Violation> {
        // Whoever cheats on several channels does so at once.
        let all = if self.plan.one_peer { 0..self.lanes.len() } else { lane..lane + 1 };
        for of in all {
            for _ in 0..core::mem::take(&mut self.lanes[of].plan.cheat.rounds) {
                self.history(of)?;
            }
        }
        self.mine(self.lanes[lane].plan.cheat.waits)?;
        if self.lanes[lane].plan.cheat.confesses.is_some() {
            if !self.lanes[lane].pending {
                self.sign_pending(lane)?;
            }
            self.publish(lane, self.lanes[lane].remote);
            return Ok(());
        }
        match self.old_number(lane) {
            Some(number) => self.publish(lane, number),
            None => self.request_close(lane),
        }
        Ok(())
    }

    /// HTLCs come, and most of those that there are go again.
    fn history(&mut self, lane: usize) -> Result<(), Violation> {
        for _ in 0..self.rng.between(1, 4) {
            if !self.lanes[lane].is_open() {
                return Ok(());
            }
            if self.rng.percent(50) {
                self.receive_on(lane);
            } else {
                self.pay_on(lane);
            }
        }
        self.dance_out(lane)?;
        let blocks = self.rng.blocks(0, 2);
        self.mine(blocks)?;
        for htlc in self.lanes[lane].settled_adds() {
            if !self.rng.percent(60) {
                continue;
            }
            if htlc.key.is_offered() {
                let fulfil = self.rng.percent(50);
                self.peer_ends_on(lane, fulfil);
            } else {
                self.node_ends(lane, htlc.key);
            }
        }
        self.dance_out(lane)
    }
}
