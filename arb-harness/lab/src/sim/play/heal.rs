//! The last phase: no more faults, everything is closed, and time passes until nothing is left.

use arb_core::{CloseReason, Event};

use crate::sim::checks::outcomes;
use crate::sim::plan::START;
use crate::sim::plan::weather::CLEARS_UP;
use crate::sim::violation::Violation;
use crate::sim::world::World;

/// Blocks after which everything must have ended: the latest expiry, twice the irrevocable depth, and what lies between.
const LONGEST: u32 = 1_200;

/// Blocks after which the node looks again, while it waits for the end.
const BLOCKS_A_HEAL: u32 = 6;

impl World {
    /// No more faults; what is open is closed; then time passes until nothing is left.
    pub(crate) fn heal(&mut self) -> Result<(), Violation> {
        self.process.faults.heal();
        self.plan.reorgs = 0;
        for lane in 0..self.lanes.len() {
            let funding = self.lanes[lane].fixture.setup().funding;
            if self.chain.spender_of(&funding).is_none() && self.is_watched(lane) {
                let why = CloseReason::Operator;
                self.tell(Event::CloseRequested { channel: self.lanes[lane].fixture.id(), why });
                self.lanes[lane].closing = true;
            }
        }
        let (clears_up, end) = (self.height() + CLEARS_UP, START + LONGEST + self.weather.patience_blocks());
        while (0..self.lanes.len()).any(|lane| self.is_watched(lane)) && self.height() < end {
            if self.height() >= clears_up {
                let height = self.height();
                self.weather.clear_up(height);
                self.foe_leaves();
                self.chain.set_mempool_min_feerate(0);
            }
            self.node_speaks();
            self.mine(BLOCKS_A_HEAL)?;
        }
        let left = |lane: &usize| self.is_watched(*lane);
        let unresolved: Vec<(usize, String)> = (0..self.lanes.len())
            .filter(left)
            .map(|lane| {
                let court = self.court();
                let id = self.lanes[lane].fixture.id();
                let docket = court.and_then(|court| court.docket(court.index_of(&id)?));
                (lane, format!("{docket:?}"))
            })
            .collect();
        outcomes::invariant_i12_everything_ends(&unresolved)
    }
}
