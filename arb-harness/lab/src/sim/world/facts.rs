//! Facts of a world, read from the chain and from the list of channels that the court has.

use arb_core::{CloseKind, Side};

use super::World;
use crate::fixture::Commitment;

impl World {
    /// The height of the chain's tip.
    pub(crate) fn height(&self) -> u32 {
        self.chain.tip().0
    }

    /// Whether the court still has this channel.
    pub(crate) fn is_watched(&self, channel: usize) -> bool {
        let id = self.channels[channel].fixture.id();
        self.court().is_some_and(|court| court.index_of(&id).is_some())
    }

    /// The confirmed commitment that spends the channel's funding, and its height.
    pub(crate) fn closed_by(&self, channel: usize) -> Option<(u32, Commitment)> {
        let fixture = &self.channels[channel].fixture;
        let (height, txid, _) = self.chain.spender_of(&fixture.setup().funding)?;
        let (_, tx) = self.chain.confirmed(&txid)?;
        Some((height, fixture.recognise(tx).ok()??))
    }

    /// The same, if it is a revoked commitment of the counterparty.
    pub(crate) fn revoked(&self, channel: usize) -> Option<(u32, Commitment)> {
        let remote = self.channels[channel].remote;
        self.closed_by(channel).filter(|(_, commitment)| commitment.owner == Side::Remote && commitment.number < remote)
    }

    /// The kind of the confirmed close, told from the chain and from the true contents of the channel.
    pub(crate) fn close_kind(&self, channel: usize) -> Option<CloseKind> {
        let at = &self.channels[channel];
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

    /// Whether the confirmed commitment is revoked, older than the channel's first commitment in the court, and unknown to
    /// the node. The court then never learns its contents.
    pub(crate) fn has_no_record(&self, channel: usize) -> bool {
        let at = &self.channels[channel];
        let number = self.revoked(channel).map(|(_, commitment)| commitment.number);
        number.is_some_and(|number| {
            number < at.plan.adopted.1 && !self.node.past.contains_key(&(at.fixture.id(), number))
        })
    }

    /// The deepest reorg that may bring another close: one block less than the depth at which the court gives rights up.
    pub(crate) fn free_depth(&self) -> u32 {
        let depth = |capacity| self.plan.policy.fail_depth(capacity).get();
        let least = self.channels.iter().map(|channel| depth(channel.plan.capacity_sat)).min().unwrap_or(1);
        least.saturating_sub(1)
    }
}
