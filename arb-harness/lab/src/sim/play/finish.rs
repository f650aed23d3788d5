//! The last phase: no more faults, everything is closed, and time passes until nothing is left.

use arb_core::{CloseReason, Event};

use crate::sim::checks::outcomes;
use crate::sim::plan::START;
use crate::sim::plan::conditions::CALMS_DOWN;
use crate::sim::violation::Violation;
use crate::sim::world::World;

/// Blocks after which everything must have ended: the latest expiry, twice the irrevocable depth, and what lies between.
const LONGEST: u32 = 1_200;

/// Blocks after which the node looks again, while it waits for the end.
const BLOCKS_A_LOOK: u32 = 6;

impl World {
    /// No more faults; what is open is closed; then time passes until nothing is left.
    pub(crate) fn finish(&mut self) -> Result<(), Violation> {
        self.process.faults.stop();
        self.plan.reorgs = 0;
        for channel in 0..self.channels.len() {
            let funding = self.channels[channel].fixture.setup().funding;
            if self.chain.spender_of(&funding).is_none() && self.is_watched(channel) {
                let why = CloseReason::Operator;
                self.tell(Event::CloseRequested { channel: self.channels[channel].fixture.id(), why });
                self.channels[channel].closing = true;
            }
        }
        let (calms_down, end) = (self.height() + CALMS_DOWN, START + LONGEST + self.conditions.patience_blocks());
        while (0..self.channels.len()).any(|channel| self.is_watched(channel)) && self.height() < end {
            if self.height() >= calms_down {
                let height = self.height();
                self.conditions.calm_down(height);
                self.adversary_leaves();
                self.chain.set_mempool_min_feerate(0);
            }
            self.node_speaks();
            self.mine(BLOCKS_A_LOOK)?;
        }
        let left = |channel: &usize| self.is_watched(*channel);
        let unresolved: Vec<(usize, String)> = (0..self.channels.len())
            .filter(left)
            .map(|channel| {
                let court = self.court();
                let id = self.channels[channel].fixture.id();
                let docket = court.and_then(|court| court.docket(court.index_of(&id)?));
                (channel, format!("{docket:?}"))
            })
            .collect();
        outcomes::invariant_i12_everything_ends(&unresolved)
    }
}
