//! The last phase of a run: no more faults, every channel is closed, and blocks follow until the court is done (I12).

use arb_core::{CloseReason, Event};

use crate::sim::checks::outcomes;
use crate::sim::plan::START;
use crate::sim::plan::conditions::BLOCKS_UNTIL_CALM;
use crate::sim::violation::Violation;
use crate::sim::world::World;

/// Blocks after [`START`] in which everything must end: the latest expiry, twice the irrevocable depth, and time to spare.
const LONGEST: u32 = 1_200;

/// Blocks between two turns of the node in this phase.
const BLOCKS_A_TURN: u32 = 6;

impl World {
    /// Ends the faults, closes what is open, and mines until the court has no channel left.
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
        let (calm_from, end) = (self.height() + BLOCKS_UNTIL_CALM, START + LONGEST + self.conditions.patience_blocks());
        while (0..self.channels.len()).any(|channel| self.is_watched(channel)) && self.height() < end {
            if self.height() >= calm_from {
                let height = self.height();
                self.conditions.calm_down(height);
                self.adversary_leaves();
                self.chain.set_mempool_min_feerate(0);
            }
            self.node_speaks();
            self.mine(BLOCKS_A_TURN)?;
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
