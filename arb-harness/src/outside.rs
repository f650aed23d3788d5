//! What is outside the court, and the one action that is answered from the journal itself.

use arb_core::{Action, ChainArbitrator, ChannelId, Event, Rejected};
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
