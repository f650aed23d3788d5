//! The last phase of a run: no more faults, every channel is closed, and blocks follow until the court is done (I12).

use arb_core::{ChannelId, CloseReason, ContractId, Event, StageRecord};
use bitcoin::OutPoint;

use crate::sim::checks::outcomes;
use crate::sim::plan::START;
use crate::sim::plan::conditions::BLOCKS_UNTIL_CALM;
use crate::sim::violation::Violation;
use crate::sim::world::World;

/// Blocks after [`START`] in which everything must end: the latest expiry, twice the irrevocable depth, and time to spare.
const LONGEST: u32 = 1_600;

/// Blocks of calm after which the operator gives small outputs up: fees were at their lowest for a while (I12, A14).
const BLOCKS_UNTIL_GIVEN_UP: u32 = 300;

/// The most that the operator gives up, in satoshi: less than both stages of an HTLC cost at the lowest feerate, with the dust
/// limit.
const GIVEN_UP_SAT: u64 = 1_000;

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
                self.chain.set_mempool_min_feerate(self.conditions.minimum_sat_per_kvb(height));
            }
            if self.height() >= calm_from + BLOCKS_UNTIL_GIVEN_UP {
                self.gives_small_outputs_up();
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

    /// The operator gives up what waits for a lower feerate and is hardly worth any.
    fn gives_small_outputs_up(&mut self) {
        let Some(court) = self.court() else { return };
        let ids = self.channels.iter().map(|channel| channel.fixture.id());
        let next_claim = &|output: &OutPoint| self.to_be_claimed(output);
        let waiting = |id: ChannelId| {
            let docket = court.index_of(&id).and_then(|index| court.docket(index));
            let contracts = docket.map(|docket| docket.contracts).unwrap_or_default();
            let small = contracts
                .into_iter()
                .filter(|contract| contract.amount_sat <= GIVEN_UP_SAT && contract.stage == StageRecord::ClaimWanted);
            small.filter_map(move |contract| match contract.id {
                ContractId::Output(output) => {
                    Some(Event::ClaimAbandoned { channel: id, outpoint: next_claim(&output) })
                }
                ContractId::NoOutput(_) => None,
            })
        };
        let events: Vec<Event> = ids.flat_map(waiting).collect();
        for event in events {
            self.tell(event);
        }
    }

    /// The output of a contract that is to be claimed next: of the commitment, or of the HTLC transaction that spent it, which
    /// has it at the input's own index.
    fn to_be_claimed(&self, output: &OutPoint) -> OutPoint {
        let spent = self.chain.spender_of(output);
        let second = spent.and_then(|(_, txid, input)| Some(OutPoint::new(txid, u32::try_from(input).ok()?)));
        second.unwrap_or(*output)
    }
}
