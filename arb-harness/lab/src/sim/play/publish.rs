//! How a close begins: requested by us, or published by the counterparty.

use arb_core::{CloseReason, Event, Height, Htlc, Link, Side};

use crate::peer::Publish;
use crate::sim::violation::Violation;
use crate::sim::world::World;
use crate::sim::world::channel::{Change, Message};

impl World {
    /// Asks the court to close a channel.
    pub(crate) fn request_close(&mut self, channel: usize) {
        let why = if self.rng.percent(50) { CloseReason::Operator } else { CloseReason::PeerError };
        self.tell(Event::CloseRequested { channel: self.channels[channel].fixture.id(), why });
    }

    /// Makes the counterparty publish its commitment of this number.
    pub(crate) fn publish(&mut self, channel: usize, number: u64) {
        let height = self.height();
        self.note(|| format!("channel {channel}: the counterparty publishes its commitment {number}"));
        self.channels[channel].peer.plan_mut().publishes = Some((height, Publish::Commitment(number)));
    }

    /// Signs a remote commitment that the counterparty does not answer with a revocation.
    pub(crate) fn sign_pending(&mut self, channel: usize) -> Result<(), Violation> {
        if !self.channels[channel].is_open() {
            return Ok(());
        }
        if !self.channels[channel].may(Message::RemoteSigned) {
            let height = self.height();
            let at = &mut self.channels[channel];
            let key = at.next_id(Side::Local);
            let preimage = self.new_preimage();
            let at = &mut self.channels[channel];
            let htlc = Htlc {
                key,
                amount_msat: 9_000_000.min(at.spendable_sat(Side::Local) * 1000).max(1),
                payment_hash: preimage.hash(),
                cltv_expiry: Height::new(height + 45),
                link: Link::Own,
                tag: Vec::new(),
            };
            at.propose(Side::Local, Change::Add(htlc));
            if self.rng.percent(50) {
                self.channels[channel].peer.plan_mut().preimages.insert(preimage, height);
            }
        }
        self.exchange(channel, Message::RemoteSigned)?;
        self.counts.one("htlc/only_pending");
        Ok(())
    }

    /// Draws the number of a revoked commitment; sometimes the number that our own newest commitment has.
    pub(crate) fn old_number(&mut self, channel: usize) -> Option<u64> {
        let at = &self.channels[channel];
        let (own, last) = (at.local, at.remote.checked_sub(1)?);
        let before = at.plan.adopted.1;
        if before > 0 && self.rng.percent(60) {
            return Some(self.rng.between(0, before - 1));
        }
        if own <= last && self.rng.percent(25) {
            return Some(own);
        }
        Some(self.rng.between(0, last))
    }
}
