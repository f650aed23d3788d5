//! The commitment dance: one message at a time, each asked of the court first.

use crate::sim::violation::Violation;
use crate::sim::world::World;
use crate::sim::world::channel::Message;

impl World {
    /// One message of the commitment dance, where one is possible.
    pub(crate) fn dance(&mut self) -> Result<(), Violation> {
        let messages = [Message::LocalSigned, Message::RemoteSigned, Message::RemoteRevoked];
        let mut possible = Vec::new();
        for channel in (0..self.channels.len()).filter(|channel| self.channels[*channel].is_open()) {
            possible.extend(messages.into_iter().filter(|m| self.channels[channel].may(*m)).map(|m| (channel, m)));
        }
        match self.rng.pick(&possible) {
            Some((channel, message)) => self.exchange(channel, message).map(|_| ()),
            None => Ok(()),
        }
    }

    /// One message of one channel; whether the court let it pass.
    pub(crate) fn exchange(&mut self, channel: usize, message: Message) -> Result<bool, Violation> {
        let event = self.channels[channel].message(message).map_err(Violation::world)?;
        self.note(|| format!("channel {channel}: {message:?}"));
        self.channels[channel].arriving = message == Message::LocalSigned;
        let heard = self.ask(event)?;
        self.channels[channel].arriving = false;
        if heard {
            self.channels[channel].heard(message);
            if self.channels[channel].frozen {
                // It was accepted in the step that froze the channel, or before.
                let owed = self.channels[channel].on_unrevoked();
                self.channels[channel].owed.extend(owed.iter().map(|htlc| htlc.key).filter(|htlc| htlc.is_offered()));
            }
            self.node_reacts()?;
        }
        Ok(heard)
    }

    /// The commitment dance of one channel, until nothing is left to say.
    pub(crate) fn dance_out(&mut self, channel: usize) -> Result<(), Violation> {
        for _ in 0..12 {
            let at = &self.channels[channel];
            let next = [Message::RemoteRevoked, Message::LocalSigned, Message::RemoteSigned];
            let Some(message) = next.into_iter().find(|message| at.is_open() && at.may(*message)) else { break };
            if !self.exchange(channel, message)? {
                break;
            }
        }
        Ok(())
    }
}
