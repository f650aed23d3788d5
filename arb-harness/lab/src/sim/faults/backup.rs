//! A journal from a backup takes the place of the newest one (A4). It is told to be suspect; the node and the counterparty say
//! how far the channels have come, and what is outdated joins anew.

use arb_core::bolt3::Secret;
use arb_core::{CloseReason, Event, HtlcKey, Side};

use crate::sim::checks::journal::{self, Excuses};
use crate::sim::plan::rng::Rng;
use crate::sim::violation::Violation;
use crate::sim::world::World;
use crate::sim::world::channel::SimChannel;
use crate::sim::world::process::Backup;

impl World {
    /// Makes a backup, or restores it, if the act has come before which that happens.
    pub(crate) fn backup_at(&mut self, act: u64) -> Result<(), Violation> {
        let Some((made, restored)) = self.belief.as_ref().and_then(|belief| belief.backup) else { return Ok(()) };
        if act == made {
            self.settle()?;
            let (memory, checkpointed) = (self.process.memory.fork(), self.process.checkpointed);
            let numbers = self.channels.iter().map(|at| (at.local, at.remote)).collect();
            self.process.backup = Some(Backup { memory, checkpointed, numbers });
        }
        if act == restored {
            self.restore()?;
        }
        Ok(())
    }

    fn restore(&mut self) -> Result<(), Violation> {
        self.settle()?;
        // A close of which the journal knows nothing would be another story.
        let is_calm = self.channels.iter().all(|at| at.is_open() && at.mutual.is_none());
        let Some(backup) = self.process.backup.take().filter(|_| is_calm) else { return Ok(()) };
        self.counts.one("belief/restored");
        self.note(|| "the journal comes from a backup".into());
        (self.process.memory, self.process.checkpointed) = (backup.memory, backup.checkpointed);
        (self.process.driver, self.process.dead) = (None, None);
        (self.process.told, self.process.checked, self.process.alarm) = (false, 0, None);
        self.process.is_suspect = true;
        let frames = journal::frames(&self.process.memory);
        let mut has_all = true;
        for at in self.channels.iter_mut().filter(|at| at.joined.is_some()) {
            if journal::index_of(&frames, &at.fixture.id()).is_none() {
                has_all = false;
                // To the court it joins now.
                at.plan.adopted = (at.local, at.remote);
            }
        }
        self.seen.excuses = Excuses::default();
        // The court learns the preimages once more.
        self.seen.usable_since.clear();
        if has_all && self.belief.as_ref().is_some_and(|belief| belief.node_is_old) {
            self.old_node(&backup.numbers)?;
        }
        let words: Vec<Event> = self.channels.iter().filter(|at| at.joined.is_some()).map(says_where_it_is).collect();
        let is_first = self.belief.as_ref().is_some_and(|belief| belief.peer_speaks_first);
        if is_first {
            words.iter().for_each(|word| self.tell(word.clone()));
        }
        self.settle()?;
        if !is_first {
            words.into_iter().for_each(|word| self.tell(word));
            self.settle()?;
        }
        for channel in 0..self.channels.len() {
            if self.channels[channel].joined.is_some() {
                self.adopt_anew(channel)?;
            }
        }
        self.process.is_suspect = false;
        // A start meanwhile brought the suspicion back, and the counterparty connects again.
        let joined = self.channels.iter().filter(|at| at.joined.is_some());
        let words: Vec<Event> = joined.map(says_where_it_is).collect();
        words.into_iter().for_each(|word| self.tell(word));
        self.tell_fees();
        self.settle()
    }

    /// The node's own store is old, too: it tells nothing newer, and the counterparty proves nothing. So nothing lifts the
    /// suspicion, and a close that somebody asks for must wait.
    fn old_node(&mut self, numbers: &[(u64, u64)]) -> Result<(), Violation> {
        self.process.is_mute = true;
        self.settle()?;
        for (channel, (local, remote)) in numbers.iter().enumerate() {
            let at = &self.channels[channel];
            // One step behind is what a journal may be that the node goes on with.
            let is_old = at.local >= local + 2 && at.remote >= remote + 2;
            if !is_old || at.joined.is_none() || !self.is_watched(channel) {
                continue;
            }
            let at = &self.channels[channel];
            let claim = claims(at);
            let why = CloseReason::PeerError;
            let close = Event::CloseRequested { channel: at.fixture.id(), why };
            self.tell(claim);
            self.tell(close);
            self.channels[channel].closing = true;
            self.counts.one("belief/old_node");
        }
        self.settle()?;
        self.next_block()?;
        self.settle()?;
        self.process.is_mute = false;
        let Some(court) = self.court() else { return Ok(()) };
        let everything = self.everything(court)?;
        everything.into_iter().for_each(|event| self.process.inbox.push(event));
        self.settle()
    }

    fn adopt_anew(&mut self, channel: usize) -> Result<(), Violation> {
        let id = self.channels[channel].fixture.id();
        let view = self.court().and_then(|court| court.channel(court.index_of(&id)?));
        match view.map(|view| view.is_outdated()) {
            Some(true) => {}
            Some(false) => return Ok(()),
            // The backup is older than the channel's opening, of which the node tells after every start.
            None => return Err(Violation::world(format!("channel {channel} was not told again"))),
        }
        self.counts.one("belief/outdated");
        let mut rng = Rng::new(self.steps, 9);
        let at = &mut self.channels[channel];
        at.plan.adopted = (at.plan.adopted.0.max(at.local), at.plan.adopted.1.max(at.remote));
        let standing = Box::new(at.fixture.standing(at.local, at.remote).map_err(Violation::world)?);
        let mut events = vec![Event::ChannelAdoptedAnew { channel: id, standing }];
        events.extend(at.commitments(&mut rng).map_err(Violation::world)?);
        let committed: Vec<HtlcKey> = at.committed();
        events.extend(self.told_of(channel));
        events.push(Event::AdoptionComplete { channel: Some(id), committed });
        events.into_iter().for_each(|event| self.tell(event));
        self.settle()
    }
}

/// The same without our secret, which would prove it.
fn claims(at: &SimChannel) -> Event {
    let Event::PeerStateSeen { channel, mut peer } = says_where_it_is(at) else { return at.fixture.peer_is_current() };
    (peer.secret_is_ours, peer.last_secret) = (false, Secret([7; 32]));
    Event::PeerStateSeen { channel, peer }
}

/// The counterparty's honest `channel_reestablish` (BOLT 2).
fn says_where_it_is(at: &SimChannel) -> Event {
    let newest = at.fixture.newest(Side::Local).unwrap_or(0);
    debug_assert_eq!(newest, at.local);
    let Event::PeerStateSeen { channel, mut peer } = at.fixture.peer_state(0, at.local > 0) else {
        return at.fixture.peer_is_current();
    };
    peer.next_commitment_number = at.remotes().last().map_or(1, |newest| newest + 1);
    Event::PeerStateSeen { channel, peer }
}
