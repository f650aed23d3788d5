//! The commitment dance: one message at a time, each asked of the court first.

use crate::sim::violation::Violation;
use crate::sim::world::World;
use crate::sim::world::lane::Message;

impl World {
    /// One message of the commitment dance, where one is possible.
    pub(crate) fn dance(&mut self) -> Result<(), Violation> {
        let messages = [Message::LocalSigned, Message::RemoteSigned, Message::RemoteRevoked];
        let mut possible = Vec::new();
        for lane in (0..self.lanes.len()).filter(|lane| self.lanes[*lane].is_open()) {
            possible.extend(messages.into_iter().filter(|m| self.lanes[lane].may(*m)).map(|m| (lane, m)));
        }
        match self.rng.pick(&possible) {
            Some((lane, message)) => self.exchange(lane, message).map(|_| ()),
            None => Ok(()),
        }
    }

    /// One message of one channel; whether the court let it pass.
    pub(crate) fn exchange(&mut self, lane: usize, message: Message) -> Result<bool, Violation> {
        let event = self.lanes[lane].message(message).map_err(Violation::world)?;
        self.note(|| format!("lane {lane}: {message:?}"));
        self.lanes[lane].arriving = message == Message::LocalSigned;
        let heard = self.ask(event)?;
        self.lanes[lane].arriving = false;
        if heard {
            self.lanes[lane].heard(message);
            if self.lanes[lane].frozen {
                // It was accepted in the step that froze the channel, or before.
                let owed = self.lanes[lane].on_unrevoked();
                self.lanes[lane].owed.extend(owed.iter().map(|htlc| htlc.key).filter(|htlc| htlc.is_offered()));
            }
            self.node_reacts()?;
        }
        Ok(heard)
    }

    /// The commitment dance of one channel, until nothing is left to say.
    pub(crate) fn dance_out(&mut self, lane: usize) -> Result<(), Violation> {
        for _ in 0..12 {
            let at = &self.lanes[lane];
            let next = [Message::RemoteRevoked, Message::LocalSigned, Message::RemoteSigned];
            let Some(message) = next.into_iter().find(|message| at.is_open() && at.may(*message)) else { break };
            if !self.exchange(lane, message)? {
                break;
            }
        }
        Ok(())
    }
}
