//! Channels that join the court late: in the middle of an update, after their close, in any order of their facts (A6, A7, A17).

use arb_core::{Event, RevokedCommitment, Side};

use crate::sim::plan::rng::Rng;
use crate::sim::violation::Violation;
use crate::sim::world::World;

impl World {
    /// Lets the channels join whose act has come; all of them if there is none.
    pub(crate) fn join_at(&mut self, act: Option<u64>) -> Result<(), Violation> {
        for channel in 0..self.channels.len() {
            let at = self.belief.as_ref().and_then(|belief| belief.joins_at.get(channel).copied().flatten());
            if self.channels[channel].joined.is_none() && act.is_none_or(|act| at.is_none_or(|at| at <= act)) {
                self.join(channel)?;
            }
        }
        Ok(())
    }

    /// Tells the court a channel that it has not heard of, and everything that the node knows of it.
    pub(crate) fn join(&mut self, channel: usize) -> Result<(), Violation> {
        let mut rng = Rng::new(self.steps, 8);
        let height = self.height();
        let at = &mut self.channels[channel];
        if at.joined.is_some() {
            return Ok(());
        }
        at.joined = Some(height);
        at.plan.adopted = (at.local, at.remote);
        let id = at.fixture.id();
        let mut facts = vec![at.joining().map_err(Violation::world)?];
        facts.extend(at.commitments(&mut rng).map_err(Violation::world)?);
        let states = at.fixture.states(Side::Remote);
        for (number, state) in states.iter().filter(|(number, _)| **number < at.remote && rng.percent(50)) {
            self.node.past.entry((id, *number)).or_insert_with(|| vec![RevokedCommitment::from(state)]);
        }
        self.counts.one("belief/joined");
        self.counts.many("belief/joined_in_an_update", u64::from(!at.is_quiet()));
        self.counts.many("belief/joined_after_close", u64::from(self.closed_by(channel).is_some()));
        self.note(|| format!("channel {channel} joins"));
        facts.extend(self.told_of(channel));
        for fact in facts {
            self.tell(fact);
            if rng.percent(40) {
                self.settle()?;
            }
            if rng.percent(10) {
                self.next_block()?;
            }
        }
        let committed = self.channels[channel].committed();
        self.tell(Event::AdoptionComplete { channel: Some(id), committed });
        self.settle()?;
        self.node_reacts()
    }
}
