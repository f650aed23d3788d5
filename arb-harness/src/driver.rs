//! The run loop: events in, one frame, actions out, for ever. It decides nothing: a bug here may delay an action, never
//! change a decision.
//!
//! 1. *Start*: the journal is claimed (a new epoch) and folded. `Started` is the first event, and after it everything that
//!    was due is due again (R4). The embedder tells everything again, and says so with `AdoptionComplete` (R11).
//! 2. *Gather*: events wait; all that wait make up one step (group commit).
//! 3. *Commit*: the frame is durable before any action is known. Refusals are reported, not retried.
//! 4. *Perform*: each action is carried out; its answer is an event that waits for the next step. The journal answers
//!    itself what a revoked commitment was.
//! 5. *After a failed write* durability is unknown. The journal is reopened, the court catches up with what was durable, and
//!    the same events are heard again. An event that counted already is a duplicate. Of several blocks that counted, those
//!    below the last are refused, which changes nothing either.

use std::collections::BTreeSet;

use arb_core::{Action, ChainArbitrator, ChannelId, Event, Heard, JournalIdentity, Rejected, Started};
use arb_log::{Journal, JournalError, Storage};

/// Carries out the court's actions, and answers with events.
pub trait Outside {
    /// Carries out one action and pushes its answers. The same action may come again, also after a restart.
    fn perform(&mut self, action: Action, answers: &mut Vec<Event>);

    /// The court refused an event: its source is wrong, or late.
    fn refused(&mut self, event: &Event, why: &Rejected);

    /// The journal's rows of a channel's past commitments are damaged: an operator should know. The court goes on with the
    /// node's own records.
    fn damaged(&mut self, channel: ChannelId, why: &str);
}

/// A court, its journal, and the events that wait.
#[derive(Debug)]
pub struct Driver<S: Storage> {
    court: ChainArbitrator,
    journal: Option<Journal<S>>,
    waiting: Vec<Event>,
    /// Actions of a committed step, not yet carried out.
    due: Vec<Action>,
    /// `Started` was not heard yet, so no action may go out.
    fresh: bool,
    /// Past commitments whose last answer did not give the txid that confirmed, if it came from the journal: the next one comes
    /// from the outside (A13).
    unfit: BTreeSet<(ChannelId, u64)>,
}

impl<S: Storage> Driver<S> {
    /// Opens the journal and recovers the court. `Started` is heard in the first step, with the journal's epoch as its `run`;
    /// actions that were due before the restart are due again after it. Tell everything again then, and end with
    /// [`Event::AdoptionComplete`].
    ///
    /// # Errors
    /// If the storage cannot be claimed or read, or holds a journal of another network or id.
    pub fn start(storage: S, identity: &JournalIdentity, mut started: Started) -> Result<Self, JournalError<S::Error>> {
        let mut journal = Journal::open(storage)?;
        let court = journal.recover(identity)?;
        started.run = journal.condition().epoch;
        Ok(Self {
            court,
            journal: Some(journal),
            waiting: vec![Event::Started(started)],
            due: Vec::new(),
            fresh: true,
            unfit: BTreeSet::new(),
        })
    }

    /// The court as of the last committed step.
    pub fn court(&self) -> &ChainArbitrator {
        &self.court
    }

    /// Queues an event for the next step.
    pub fn tell(&mut self, event: Event) {
        self.waiting.push(event);
    }

    /// Queues events for the next step.
    pub fn tell_all(&mut self, events: impl IntoIterator<Item = Event>) {
        self.waiting.extend(events);
    }

    /// Makes one step of all waiting events, and answers whether a frame was appended. Actions that become due wait for
    /// [`perform`](Self::perform).
    ///
    /// # Errors
    /// If another owner has taken the journal over, if it cannot be reopened after a failed write, or if one event alone does
    /// not fit into a frame. No action has gone out whose frame is not durable. Start another driver then.
    pub fn commit(&mut self, outside: &mut impl Outside) -> Result<bool, JournalError<S::Error>> {
        let mut journal = self.journal.take().ok_or(JournalError::Latched)?;
        let sequence = self.court.sequence();
        let mut step = self.court.step();
        let answers: Vec<Result<Heard, Rejected>> = self.waiting.iter().map(|event| step.hear(event)).collect();
        match step.commit(&mut journal) {
            Ok(due) => {
                for (event, answer) in self.waiting.iter().zip(answers) {
                    if let Err(why) = answer {
                        if let (Event::RevokedLoaded { channel, .. }, Rejected::RevokedContradicts { number }) =
                            (event, &why)
                        {
                            // Journal and outside take turns: either may get a better answer later.
                            if !self.unfit.remove(&(*channel, *number)) {
                                self.unfit.insert((*channel, *number));
                            }
                        }
                        outside.refused(event, &why);
                    }
                }
                let block = self.waiting.drain(..).any(|event| event.is_block());
                // A start and a block repeat everything that is due. So do actions that an earlier step left here, because
                // they may not be due any more: for example signing a commitment of a channel that is outdated by now.
                let all = block || core::mem::take(&mut self.fresh) || !self.due.is_empty();
                self.due = if all { self.court.actions_due() } else { due };
                self.journal = Some(journal);
                Ok(self.court.sequence() > sequence)
            }
            Err(error) if error.is_fenced() => Err(error),
            // The frame is too large and nothing was written: hear the first half alone.
            Err(JournalError::Unwritable(_)) if self.waiting.len() > 1 => {
                let later = self.waiting.split_off(self.waiting.len() / 2);
                self.journal = Some(journal);
                let appended = self.commit(outside)?;
                self.waiting.extend(later);
                Ok(appended)
            }
            Err(error @ JournalError::Unwritable(_)) => Err(error),
            Err(_) => {
                // The events still wait.
                let mut journal = journal.reopen()?;
                journal.catch_up(&mut self.court)?;
                // No action goes out before `Started` was heard: it may say that this journal is stale.
                self.due = if self.fresh { Vec::new() } else { self.court.actions_due() };
                self.journal = Some(journal);
                Ok(false)
            }
        }
    }

    /// Carries out the actions that the last committed step made due, and answers how many. Their answers wait for the next
    /// step.
    pub fn perform(&mut self, outside: &mut impl Outside) -> usize {
        let due = core::mem::take(&mut self.due);
        let count = due.len();
        for action in due {
            let is_unfit = |action: &Action| {
                let Action::LoadRevoked { channel, number, .. } = action else { return false };
                self.unfit.contains(&(*channel, *number))
            };
            let journal = self.journal.as_ref().filter(|_| !is_unfit(&action));
            match journal.and_then(|journal| from_rows(&self.court, journal, &action, outside)) {
                Some(answer) => self.waiting.push(answer),
                None => outside.perform(action, &mut self.waiting),
            }
        }
        count
    }

    /// Performs and commits until no event waits and no action is due.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn settle(&mut self, outside: &mut impl Outside) -> Result<(), JournalError<S::Error>> {
        loop {
            self.perform(outside);
            if self.waiting.is_empty() {
                return Ok(());
            }
            self.commit(outside)?;
        }
    }

    /// Whether events wait to be heard.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The journal, for checkpoints and tools; `None` after a [`commit`](Self::commit) that answered an error.
    pub fn journal(&mut self) -> Option<&mut Journal<S>> {
        self.journal.as_mut()
    }
}

/// Answers [`Action::LoadRevoked`] from the journal's rows (R15). `None` for any other action, and if the rows are missing or
/// damaged: then the outside is asked.
pub fn from_rows<S: Storage>(
    court: &ChainArbitrator,
    journal: &Journal<S>,
    action: &Action,
    outside: &mut impl Outside,
) -> Option<Event> {
    let Action::LoadRevoked { id, channel, number, .. } = action else { return None };
    let (id, channel, number) = (*id, *channel, *number);
    match journal.revoked(court.index_of(&channel)?, number) {
        Ok(candidates) if candidates.is_empty() => None,
        Ok(candidates) => Some(Event::RevokedLoaded { channel, number, candidates }),
        // The row may still be there, so the node is not asked: the action is due again in the next block.
        Err(why @ JournalError::Storage(_)) => Some(Event::Failed { id, channel, why: why.to_string() }),
        Err(damage) => {
            outside.damaged(channel, &damage.to_string());
            None
        }
    }
}
