//! The commitment dance (`commitment_signed`, `revoke_and_ack`): each message is sent only after the court has accepted it.

use crate::sim::violation::Violation;
use crate::sim::world::World;
use crate::sim::world::channel::Message;

impl World {
    /// Sends one possible message on one channel.
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

    /// Sends one message on one channel; true if the court accepted it.
    pub(crate) fn exchange(&mut self, channel: usize, message: Message) -> Result<bool, Violation> {
        let event = self.channels[channel].message(message).map_err(Violation::world)?;
        self.note(|| format!("channel {channel}: {message:?}"));
        if self.channels[channel].joined.is_none() {
            self.channels[channel].heard(message);
            return Ok(true);
        }
        self.channels[channel].arriving = message == Message::LocalSigned;
        let heard = self.ask(event)?;
        self.channels[channel].arriving = false;
        if heard {
            self.channels[channel].heard(message);
            if self.channels[channel].frozen {
                // The court accepted the message and froze the channel in the same step, or in one of the following.
                let owed = self.channels[channel].on_unrevoked();
                self.channels[channel].owed.extend(owed.iter().map(|htlc| htlc.key).filter(|htlc| htlc.is_offered()));
            }
            self.node_reacts()?;
        }
        Ok(heard)
    }

    /// Sends messages on one channel until no update is left to commit.
    pub(crate) fn finish_dance(&mut self, channel: usize) -> Result<(), Violation> {
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
