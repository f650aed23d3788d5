//! The opening of channels. Some were running before the court heard of them: the journal has no record of their old
//! commitments, and the node may have one.

use arb_core::{Event, Height, Htlc, Link, RevokedCommitment, Side};

use crate::fixture::CommitmentState;
use crate::sim::plan::START;
use crate::sim::violation::Violation;
use crate::sim::world::World;

impl World {
    /// Opens every channel in the court.
    pub(crate) fn open(&mut self) -> Result<(), Violation> {
        for channel in 0..self.channels.len() {
            let mut first = self.adopt(channel)?;
            // A channel that joins later is told then, as it is then.
            if self.belief.as_ref().is_none_or(|belief| belief.joins_at[channel].is_none()) {
                self.channels[channel].joined = Some(self.height());
                self.process.inbox.append(&mut first);
            }
        }
        self.tell_fees();
        self.settle()
    }

    /// The first events of a channel; draws the past commitments that its plan gives it.
    fn adopt(&mut self, channel: usize) -> Result<Vec<Event>, Violation> {
        let (_, remote) = self.channels[channel].plan.adopted;
        let first = self.channels[channel].opening_events().map_err(Violation::world)?;
        if remote > 0 {
            self.counts.one("channel/adopted");
        }
        for number in 0..remote {
            let state = self.past(channel);
            let id = self.channels[channel].fixture.id();
            self.channels[channel].fixture.sign_unheard(Side::Remote, number, state);
            if self.rng.percent(50) {
                let state = &self.channels[channel].fixture.states(Side::Remote)[&number];
                let known = RevokedCommitment::from(state);
                // A second candidate of the same number, as a reconnection can leave: it was signed and never confirms.
                let other = RevokedCommitment { local_msat: known.local_msat - 1_000, ..known.clone() };
                let all = if self.rng.percent(30) { vec![other, known] } else { vec![known] };
                self.node.past.insert((id, number), all);
            }
        }
        Ok(first)
    }

    /// Draws a past commitment that the court never heard of.
    fn past(&mut self, channel: usize) -> CommitmentState {
        let plan = &self.channels[channel].plan;
        let feerate_sat_per_kw = plan.feerate_sat_per_kw;
        let (mut local_msat, mut remote_msat) = plan.balances_msat();
        let mut htlcs = Vec::new();
        for _ in 0..self.rng.between(0, 3) {
            let by = if self.rng.percent(50) { Side::Local } else { Side::Remote };
            let (cltv_expiry, amount_msat) = (START + self.rng.blocks(5, 120), 1_000 * self.rng.between(2_000, 60_000));
            let key = self.channels[channel].next_id(by);
            let (from, link) = match by {
                Side::Local => (&mut local_msat, Link::Own),
                Side::Remote => (&mut remote_msat, Link::Received),
            };
            *from -= amount_msat;
            let preimage = self.new_preimage();
            if by == Side::Local && self.rng.percent(60) {
                self.channels[channel].peer.plan_mut().preimages.insert(preimage, START);
            }
            let (payment_hash, cltv_expiry) = (preimage.hash(), Height::new(cltv_expiry));
            htlcs.push(Htlc { key, amount_msat, payment_hash, cltv_expiry, link, tag: Vec::new() });
        }
        CommitmentState { local_msat, remote_msat, feerate_sat_per_kw, htlcs }
    }
}
