//! A queue for the coins of a poor wallet: many HTLCs of one expiry on one commitment of ours, whose preimages the node learns
//! all at once (A3).

use arb_core::bolt3::ChannelType;
use arb_core::{CloseKind, Link, Side};

use crate::sim::plan::economy::QUEUE_CHANNEL;
use crate::sim::violation::Violation;
use crate::sim::world::World;
use crate::sim::world::payment::{Intent, Payment};

impl World {
    /// Lets the counterparty add the HTLCs of the queue, if this is its channel, and commits them on both sides.
    pub(crate) fn queue_up(&mut self, channel: usize) -> Result<(), Violation> {
        let plan = &self.channels[channel].plan;
        let is_fit = plan.close == CloseKind::Local && plan.channel_type == ChannelType::AnchorsZeroFeeHtlcTx;
        let Some(queue) = self.economy.queue.filter(|_| channel == QUEUE_CHANNEL && is_fit) else { return Ok(()) };
        if !self.channels[channel].is_open() {
            return Ok(());
        }
        let learnt = self.height() + queue.learnt_after;
        for _ in 0..queue.htlcs {
            if self.channels[channel].spendable_sat(Side::Remote) < queue.amount_sat {
                break;
            }
            let preimage = self.new_preimage();
            let terms = (preimage, queue.amount_sat * 1_000);
            let received = self.add(channel, Side::Remote, terms, learnt + queue.left, Link::Received);
            let intent = Intent::KnownAtOnce(learnt);
            self.payments.push(Payment { channel, received, preimage, intent, forwarded: Vec::new(), told: false });
        }
        self.counts.one("world/queue");
        self.finish_dance(channel)
    }

    /// How many blocks it takes until the node has something to say that does not wait for its next turn.
    pub(crate) fn blocks_until_the_node_speaks(&self) -> Option<u32> {
        let untold = self.payments.iter().filter(|payment| !payment.told);
        let heights = untold.filter_map(|payment| match payment.intent {
            Intent::KnownAtOnce(at) => Some(at),
            Intent::Forward | Intent::Known(_) | Intent::GivenUp(_) | Intent::Never => None,
        });
        heights.filter(|at| *at >= self.height()).map(|at| at - self.height()).min()
    }
}
