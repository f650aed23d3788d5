//! The run loop: events in, one frame, actions out, for ever. Everything that is judgement is elsewhere; a bug here may
//! delay an action, never change a decision.
//!
//! 1. *Start*: the journal is claimed (a new epoch) and folded; `Started` waits to be heard, and everything that is
//!    due is due again (R4).
//! 2. *Gather*: events wait until somebody has time for them; what waits is one step (group commit).
//! 3. *Commit*: the frame is durable before any action is known. Refusals are answered, not retried.
//! 4. *Perform*: each action is carried out; its answer is an event and waits for the next step. What a revoked commitment
//!    was, the journal itself knows.
//! 5. After a failed write durability is unknown: the journal is reopened, what was durable all the same is caught up,
//!    and the same events are heard again: what counted already is a duplicate, and of several blocks those below the
//!    last are refused, which is as good.

use arb_core::{Action, ChainArbitrator, ChannelId, Event, Heard, JournalIdentity, Rejected, Started};
use arb_log::{Journal, JournalError, Storage};

/// Carries out actions; the answers are events.
pub trait Outside {
    /// Carries out one action, at least once and idempotently, and says what came of it.
    fn perform(&mut self, action: Action, answers: &mut Vec<Event>);

    /// An event was refused: somebody outside is wrong, or late.
    fn refused(&mut self, event: &Event, why: &Rejected);

    /// What the journal had of a channel's past commitment is damaged: a person should know. The court goes on with what
    /// the node knows.
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
    /// `Started` was not heard yet: nothing may go out.
    fresh: bool,
}

impl<S: Storage> Driver<S> {
    /// Opens the journal and recovers the court. `Started` is heard with the first step, and only then is everything
    /// that was due before due again.
    ///
    /// # Errors
    /// If the storage cannot be claimed or read, or holds another journal.
    pub fn start(storage: S, identity: &JournalIdentity, started: Started) -> Result<Self, JournalError<S::Error>> {
        let mut journal = Journal::open(storage)?;
        let court = journal.recover(identity)?;
        Ok(Self { court, journal: Some(journal), waiting: vec![Event::Started(started)], due: Vec::new(), fresh: true })
    }

    /// The court.
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

    /// Makes one step of everything that waits; whether a frame was appended. What became due waits for
    /// [`perform`](Self::perform).
    ///
    /// # Errors
    /// If another owner has taken the journal over, or it cannot be reopened after a failed write. Nothing was done
    /// then that is not durable.
    pub fn commit(&mut self, outside: &mut impl Outside) -> Result<bool, JournalError<S::Error>> {
        let mut journal = self.journal.take().ok_or(JournalError::Latched)?;
        let sequence = self.court.sequence();
        let mut step = self.court.step();
        let answers: Vec<Result<Heard, Rejected>> = self.waiting.iter().map(|event| step.hear(event)).collect();
        match step.commit(&mut journal) {
            Ok(due) => {
                for (event, answer) in self.waiting.iter().zip(answers) {
                    if let Err(why) = answer {
                        outside.refused(event, &why);
                    }
                }
                let block = self.waiting.drain(..).any(|event| event.is_block());
                // A start and a block repeat whatever is still due. What an earlier step left here may not be due any
                // more: a commitment that was to be signed, and that is outdated since.
                let all = block || core::mem::take(&mut self.fresh) || !self.due.is_empty();
                self.due = if all { self.court.actions_due() } else { due };
                self.journal = Some(journal);
                Ok(self.court.sequence() > sequence)
            }
            Err(error) if error.is_fenced() => Err(error),
            // Too much for one frame, and nothing was written: half of it first.
            Err(JournalError::Unwritable(_)) if self.waiting.len() > 1 => {
                let later = self.waiting.split_off(self.waiting.len() / 2);
                self.journal = Some(journal);
                let appended = self.commit(outside)?;
                self.waiting.extend(later);
                Ok(appended)
            }
            Err(error @ JournalError::Unwritable(_)) => Err(error),
            Err(_) => {
                // The events are still in hand.
                let mut journal = journal.reopen()?;
                journal.catch_up(&mut self.court)?;
                // Nothing goes out before `Started` was heard: it may say that this journal is an old one.
                self.due = if self.fresh { Vec::new() } else { self.court.actions_due() };
                self.journal = Some(journal);
                Ok(false)
            }
        }
    }

    /// Carries out what the last committed step made due; the answers wait for the next one.
    pub fn perform(&mut self, outside: &mut impl Outside) -> usize {
        let due = core::mem::take(&mut self.due);
        let count = due.len();
        for action in due {
            match self.journal.as_ref().and_then(|journal| from_rows(&self.court, journal, &action, outside)) {
                Some(answer) => self.waiting.push(answer),
                None => outside.perform(action, &mut self.waiting),
            }
        }
        count
    }

    /// Turns until nothing waits and nothing is due.
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

    /// Whether answers wait to be heard.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The journal, for checkpoints and tools.
    pub fn journal(&mut self) -> Option<&mut Journal<S>> {
        self.journal.as_mut()
    }
}

/// What a revoked commitment was, from the journal's rows (R15). `None`: the action is another one, or the rows have
/// nothing, or nothing that can be believed; then the outside is asked.
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
        // The row may be there all the same: nobody else is asked, and the action is due again in the next block.
        Err(why @ JournalError::Storage(_)) => Some(Event::Failed { id, channel, why: why.to_string() }),
        Err(damage) => {
            outside.damaged(channel, &damage.to_string());
            None
        }
    }
}
