//! How a close begins: asked for by us, or published by the counterparty.

use arb_core::{CloseReason, Event, Height, Htlc, Link, Side};

use crate::peer::Publish;
use crate::sim::violation::Violation;
use crate::sim::world::World;
use crate::sim::world::lane::{Change, Message};

impl World {
    pub(crate) fn request_close(&mut self, lane: usize) {
        let why = if self.rng.percent(50) { CloseReason::Operator } else { CloseReason::PeerError };
        self.tell(Event::CloseRequested { channel: self.lanes[lane].fixture.id(), why });
    }

    pub(crate) fn publish(&mut self, lane: usize, number: u64) {
        let height = self.height();
        self.note(|| format!("lane {lane}: the counterparty publishes its commitment {number}"));
        self.lanes[lane].peer.plan_mut().publishes = Some((height, Publish::Commitment(number)));
    }

    /// Gets a remote commitment signed that the counterparty will not answer.
    pub(crate) fn sign_pending(&mut self, lane: usize) -> Result<(), Violation> {
        if !self.lanes[lane].is_open() {
            return Ok(());
        }
        if !self.lanes[lane].may(Message::RemoteSigned) {
            let height = self.height();
            let at = &mut self.lanes[lane];
            let key = at.next_id(Side::Local);
            let preimage = self.new_preimage();
            let at = &mut self.lanes[lane];
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
                self.lanes[lane].peer.plan_mut().preimages.insert(preimage, height);
            }
        }
        self.exchange(lane, Message::RemoteSigned)?;
        self.counts.one("htlc/only_pending");
        Ok(())
    }

    /// A number of a commitment that is revoked: any, and now and then that of our own newest one.
    pub(crate) fn old_number(&mut self, lane: usize) -> Option<u64> {
        let at = &self.lanes[lane];
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
