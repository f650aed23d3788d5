//! What counterparties submit, for one channel or for two, and the blocks of a cheating peer's miner.

use arb_core::bolt3::OutputKind;
use bitcoin::Transaction;

use crate::chain::BlockTemplate;
use crate::fixture::ChannelFixture;
use crate::peer::{Peer, Withheld};
use crate::sim::plan::cheater::Withholds;
use crate::sim::violation::Violation;
use crate::sim::world::World;
use crate::sim::world::channel::SimChannel;

impl World {
    /// The channel whose cheating peer mines the next block, for as many blocks as its plan says. Never while there is an
    /// adversary, so only one of them mines.
    pub(crate) fn mining_cheater(&self) -> Option<usize> {
        let mines = |channel: &usize| {
            let at = &self.channels[*channel];
            let closed = self.chain.spender_of(&at.fixture.setup().funding);
            let is_time = closed.is_some_and(|(height, ..)| self.height() < height + at.plan.cheater.mines);
            is_time && !at.plan.idle && self.revoked(*channel).is_some()
        };
        (0..self.channels.len()).find(mines).filter(|_| self.adversary.is_none())
    }

    /// The template of a cheating peer for the next block, if it mines it.
    pub(crate) fn cheaters_block(&mut self) -> Result<Option<BlockTemplate>, Violation> {
        let Some((channel, (_, commitment))) =
            self.mining_cheater().and_then(|channel| Some((channel, self.revoked(channel)?)))
        else {
            return Ok(None);
        };
        let htlcs = (0..).zip(&commitment.built.outputs).filter(|(_, kind)| matches!(kind, OutputKind::Htlc(_)));
        let withheld = match self.channels[channel].plan.cheater.withholds {
            Withholds::Nothing => Withheld::Nothing,
            Withholds::Htlcs => Withheld::Of(htlcs.map(|(vout, _)| commitment.outpoint(vout)).collect()),
            Withholds::Everything => Withheld::Everything,
        };
        self.counts.one("revoked/own_block");
        let is_one = self.is_one_peer();
        let (peer, fixtures) = peer_of(&mut self.channels, channel, is_one);
        let template = peer.template(&fixtures, &self.chain, &withheld).map_err(Violation::world)?;
        Ok(Some(template))
    }

    /// What a channel's counterparty submits now. A counterparty with both channels submits for both when asked for the
    /// first, and nothing when asked for the second.
    pub(crate) fn peer_acts(&mut self, channel: usize) -> Result<Vec<Transaction>, Violation> {
        let is_one = self.is_one_peer();
        if is_one && channel > 0 {
            return Ok(Vec::new());
        }
        let (peer, fixtures) = peer_of(&mut self.channels, channel, is_one);
        peer.act_on(&fixtures, &self.chain).map_err(Violation::world)
    }

    /// Whether one counterparty acts on both channels. Only once both are closed: until then each publishes its own close.
    fn is_one_peer(&self) -> bool {
        let closed = |at: &SimChannel| self.chain.spender_of(&at.fixture.setup().funding).is_some();
        let acts = |at: &SimChannel| !at.plan.idle;
        let all = self.channels.iter().all(|at| closed(at) && acts(at));
        self.plan.one_peer && self.adversary.is_none() && all
    }
}

/// The counterparty that acts for a channel, and the channels that it acts on. The first channel's counterparty acts for
/// both if both are with one peer.
fn peer_of(channels: &mut [SimChannel], channel: usize, is_one: bool) -> (&mut Peer, Vec<&ChannelFixture>) {
    if is_one {
        let more: Vec<_> = channels.iter().flat_map(|at| at.peer.plan().preimages.clone()).collect();
        let mut peers = Vec::new();
        let mut fixtures = Vec::new();
        for at in channels {
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
    let at = &mut channels[channel];
    (&mut at.peer, vec![&at.fixture])
}
