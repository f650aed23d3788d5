//! What counterparties submit, alone or for two channels, and the blocks of a cheat's miner.

use arb_core::bolt3::OutputKind;
use bitcoin::Transaction;

use crate::chain::BlockTemplate;
use crate::fixture::ChannelFixture;
use crate::peer::{Peer, Withheld};
use crate::sim::plan::cheat::Withholds;
use crate::sim::violation::Violation;
use crate::sim::world::World;
use crate::sim::world::lane::Lane;

impl World {
    /// Whose miner makes the next block: that of a cheat, for as long as its plan says. One enemy at a time.
    pub(crate) fn thief(&self) -> Option<usize> {
        let mines = |lane: &usize| {
            let at = &self.lanes[*lane];
            let closed = self.chain.spender_of(&at.fixture.setup().funding);
            let is_time = closed.is_some_and(|(height, ..)| self.height() < height + at.plan.cheat.mines);
            is_time && !at.plan.dead && self.revoked(*lane).is_some()
        };
        (0..self.lanes.len()).find(mines).filter(|_| self.foe.is_none())
    }

    /// A cheat's own block.
    pub(crate) fn thiefs_block(&mut self) -> Result<Option<BlockTemplate>, Violation> {
        let Some((lane, (_, commitment))) = self.thief().and_then(|lane| Some((lane, self.revoked(lane)?))) else {
            return Ok(None);
        };
        let htlcs = (0..).zip(&commitment.built.outputs).filter(|(_, kind)| matches!(kind, OutputKind::Htlc(_)));
        let withheld = match self.lanes[lane].plan.cheat.withholds {
            Withholds::Nothing => Withheld::Nothing,
            Withholds::Htlcs => Withheld::Of(htlcs.map(|(vout, _)| commitment.outpoint(vout)).collect()),
            Withholds::Everything => Withheld::Everything,
        };
        self.counts.one("revoked/own_block");
        let is_one = self.is_one_peer();
        let (peer, fixtures) = peer_of(&mut self.lanes, lane, is_one);
        let template = peer.template(&fixtures, &self.chain, &withheld).map_err(Violation::world)?;
        Ok(Some(template))
    }

    /// What a channel's counterparty would submit now: of all its channels, and nothing for the second of them.
    pub(crate) fn peer_acts(&mut self, lane: usize) -> Result<Vec<Transaction>, Violation> {
        let is_one = self.is_one_peer();
        if is_one && lane > 0 {
            return Ok(Vec::new());
        }
        let (peer, fixtures) = peer_of(&mut self.lanes, lane, is_one);
        peer.act_on(&fixtures, &self.chain).map_err(Violation::world)
    }

    /// Whether both channels are with the first one's counterparty: from when on both are closed, so that what was
    /// published is settled.
    fn is_one_peer(&self) -> bool {
        let closed = |at: &Lane| self.chain.spender_of(&at.fixture.setup().funding).is_some();
        let acts = |at: &Lane| !at.plan.dead;
        let all = self.lanes.iter().all(|at| closed(at) && acts(at));
        self.plan.one_peer && self.foe.is_none() && all
    }
}

/// Who acts for a channel, and on which channels: if both are with one counterparty, that is the first one's.
fn peer_of(lanes: &mut [Lane], lane: usize, is_one: bool) -> (&mut Peer, Vec<&ChannelFixture>) {
    if is_one {
        let more: Vec<_> = lanes.iter().flat_map(|at| at.peer.plan().preimages.clone()).collect();
        let mut peers = Vec::new();
        let mut fixtures = Vec::new();
        for at in lanes {
            peers.push(&mut at.peer);
            fixtures.push(&at.fixture);
        }
        let first = peers.swap_remove(0);
        for (preimage, from) in more {
            let known = first.plan_mut().preimages.entry(preimage).or_insert(from);
            *known = from.min(*known);
        }
        return (first, fixtures);
    }
    let at = &mut lanes[lane];
    (&mut at.peer, vec![&at.fixture])
}
