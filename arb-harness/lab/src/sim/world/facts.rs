//! What the chain and the court's list of channels say of a world, without a judgement.

use arb_core::{CloseKind, Side};

use super::World;
use crate::fixture::Commitment;

impl World {
    /// The tip.
    pub(crate) fn height(&self) -> u32 {
        self.chain.tip().0
    }

    /// Whether the court still has a channel, by lane.
    pub(crate) fn is_watched(&self, lane: usize) -> bool {
        let id = self.lanes[lane].fixture.id();
        self.court().is_some_and(|court| court.index_of(&id).is_some())
    }

    /// The commitment that spends a channel's funding, and where it confirmed.
    pub(crate) fn closed_by(&self, lane: usize) -> Option<(u32, Commitment)> {
        let fixture = &self.lanes[lane].fixture;
        let (height, txid, _) = self.chain.spender_of(&fixture.setup().funding)?;
        let (_, tx) = self.chain.confirmed(&txid)?;
        Some((height, fixture.recognise(tx).ok()??))
    }

    /// The same, if it is revoked.
    pub(crate) fn revoked(&self, lane: usize) -> Option<(u32, Commitment)> {
        let remote = self.lanes[lane].remote;
        self.closed_by(lane).filter(|(_, commitment)| commitment.owner == Side::Remote && commitment.number < remote)
    }

    /// The kind of close that is irrevocable, told from the chain.
    pub(crate) fn close_kind(&self, lane: usize) -> Option<CloseKind> {
        let at = &self.lanes[lane];
        let (_, txid, _) = self.chain.spender_of(&at.fixture.setup().funding)?;
        let (_, tx) = self.chain.confirmed(&txid)?;
        Some(match at.fixture.recognise(tx).ok()? {
            None => CloseKind::Mutual,
            Some(commitment) => match commitment.owner {
                Side::Local => CloseKind::Local,
                Side::Remote if commitment.number < at.remote => CloseKind::Revoked,
                Side::Remote if commitment.number == at.remote => CloseKind::Remote,
                Side::Remote if at.remotes().contains(&commitment.number) => CloseKind::RemotePending,
                Side::Remote => CloseKind::Unknown,
            },
        })
    }

    /// Whether the commitment that confirmed is older than the channel's place in the court, and the node has no record of it.
    pub(crate) fn is_untold(&self, lane: usize) -> bool {
        let at = &self.lanes[lane];
        let number = self.revoked(lane).map(|(_, commitment)| commitment.number);
        number.is_some_and(|number| {
            number < at.plan.adopted.1 && !self.node.past.contains_key(&(at.fixture.id(), number))
        })
    }

    /// The deepest reorg that may bring anything: below the depth at which rights are given up.
    pub(crate) fn free_depth(&self) -> u32 {
        let depth = |capacity| self.plan.policy.fail_depth(capacity).get();
        let least = self.lanes.iter().map(|lane| depth(lane.plan.capacity_sat)).min().unwrap_or(1);
        least.saturating_sub(1)
    }
}
