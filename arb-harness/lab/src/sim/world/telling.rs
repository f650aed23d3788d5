//! What the node knows of its channels, and tells a court that joins or starts (A53).

use arb_core::{ChainArbitrator, Event, HtlcKey, Side};

use super::World;
use super::channel::SimChannel;
use crate::fixture::FixtureError;
use crate::sim::plan::rng::Rng;
use crate::sim::violation::Violation;

impl SimChannel {
    /// The event with which the channel joins as it is now, or joins anew.
    pub(crate) fn joining(&self) -> Result<Event, FixtureError> {
        Ok(self.fixture.opened(self.fixture.standing(self.local, self.remote)?))
    }

    /// The commitments that can confirm, whole, in any order that keeps each side's own.
    pub(crate) fn commitments(&self, rng: &mut Rng) -> Result<Vec<Event>, FixtureError> {
        let mut events = Vec::new();
        // A journal from a backup may lack the revocation before: then the commitment is refused, and told again after it.
        if let Some(before) = self.remote.checked_sub(2) {
            events.push(self.fixture.whole(Side::Remote, self.remote)?);
            events.push(self.fixture.remote_revoked(before)?);
        }
        events.push(self.fixture.whole(Side::Remote, self.remote)?);
        if let Some(before) = self.remote.checked_sub(1) {
            events.push(self.fixture.remote_revoked(before)?);
        }
        if self.pending {
            events.push(self.fixture.whole(Side::Remote, self.remote + 1)?);
        }
        let place = rng.between(0, u64::try_from(events.len()).unwrap_or(0));
        let local = self.fixture.whole(Side::Local, self.local)?;
        events.insert(usize::try_from(place).unwrap_or(0), local);
        Ok(events)
    }

    /// The HTLCs of the commitments that can confirm that are irrevocably committed on both sides.
    pub(crate) fn committed(&self) -> Vec<HtlcKey> {
        let live = self.on_unrevoked().into_iter().map(|htlc| htlc.key);
        live.filter(|htlc| self.is_committed(*htlc)).map(|htlc| self.key(htlc)).collect()
    }
}

/// The HTLCs that a fact of the node is about; none: it is not such a fact.
fn subjects(event: &Event) -> &[HtlcKey] {
    if let Event::PreimageLearned { usable_for, .. } = event {
        usable_for
    } else if let Event::HtlcGivenUp { htlc } = event {
        std::slice::from_ref(htlc)
    } else {
        &[]
    }
}

impl World {
    /// Keeps what the node will tell again. False if the court does not hear it now, because its channel joins later.
    pub(crate) fn remember(&mut self, event: &Event) -> bool {
        let channel = subjects(event).first().map(|htlc| htlc.channel);
        let Some(channel) = channel.filter(|_| self.belief.is_some()) else { return true };
        self.told.push(event.clone());
        self.channels.iter().any(|at| at.fixture.id() == channel && at.joined.is_some())
    }

    /// What the node has told of the HTLCs of a channel that can still confirm.
    pub(crate) fn told_of(&self, channel: usize) -> Vec<Event> {
        let at = &self.channels[channel];
        let live: Vec<HtlcKey> = at.on_unrevoked().iter().map(|htlc| at.key(htlc.key)).collect();
        let told = self.told.iter().filter(|event| subjects(event).iter().any(|htlc| live.contains(htlc)));
        told.cloned().collect()
    }

    /// Everything that the node tells after a start, of each channel that has joined, also if it is resolved.
    pub(crate) fn everything(&self, court: &ChainArbitrator) -> Result<Vec<Event>, Violation> {
        let mut rng = Rng::new(self.steps, 7);
        let (mut events, mut committed) = (Vec::new(), Vec::new());
        for channel in (0..self.channels.len()).filter(|channel| self.channels[*channel].joined.is_some()) {
            let at = &self.channels[channel];
            events.push(at.joining().map_err(Violation::world)?);
            events.extend(at.commitments(&mut rng).map_err(Violation::world)?);
            if court.index_of(&at.fixture.id()).is_some() {
                committed.extend(at.committed());
            }
        }
        events.extend(
            self.told
                .iter()
                .filter(|event| {
                    let joined = |htlc: &HtlcKey| {
                        self.channels.iter().any(|at| at.fixture.id() == htlc.channel && at.joined.is_some())
                    };
                    subjects(event).iter().all(joined)
                })
                .cloned(),
        );
        events.push(Event::AdoptionComplete { channel: None, committed });
        Ok(events)
    }
}
