//! What the node does about received HTLCs: it settles them, fails them, and passes on the outcome of forwarded ones.

use arb_core::{Acknowledged, Event, HtlcKey, HtlcRef};

use crate::sim::violation::Violation;
use crate::sim::world::World;
use crate::sim::world::payment::{Intent, Payment};

impl World {
    /// Fails a received HTLC: off chain if updates are possible, and by telling the court.
    pub(crate) fn fail_back(&mut self, index: usize) {
        let (channel, htlc) = (self.payments[index].channel, self.payments[index].received);
        self.payments[index].told = true;
        self.counts.one("htlc/given_up_by_node");
        self.channels[channel].propose_end(htlc.htlc, false);
        self.tell(Event::HtlcGivenUp { htlc });
    }

    /// Settles a received HTLC: off chain if updates are possible, and by telling the court the preimage.
    pub(crate) fn settle_back(&mut self, index: usize) {
        let (channel, htlc, preimage) =
            (self.payments[index].channel, self.payments[index].received, self.payments[index].preimage);
        self.payments[index].told = true;
        if self.channels[channel].frozen {
            self.counts.one("htlc/preimage_learnt_late");
        }
        self.channels[channel].propose_end(htlc.htlc, true);
        self.node.preimages.insert(htlc, preimage);
        self.tell(Event::PreimageLearned { preimage, usable_for: vec![htlc] });
    }

    /// Settles or fails the HTLCs for this node whose height has come.
    pub(crate) fn node_speaks(&mut self) {
        let height = self.height();
        for index in 0..self.payments.len() {
            let payment = &self.payments[index];
            if payment.told || !self.channels[payment.channel].is_committed(payment.received.htlc) {
                continue;
            }
            match payment.intent {
                Intent::Known(at) | Intent::KnownAtOnce(at) if at <= height => self.settle_back(index),
                Intent::GivenUp(at) if at <= height => self.fail_back(index),
                Intent::Known(_) | Intent::KnownAtOnce(_) | Intent::GivenUp(_) | Intent::Never | Intent::Forward => {}
            }
        }
    }

    /// Settles or fails the upstream HTLCs of forwarded ones: by the outcome that the court released, after an irrevocable
    /// failure off chain, or because the downstream HTLC was never sent.
    pub(crate) fn node_reacts(&mut self) -> Result<(), Violation> {
        let mut spoke = false;
        for index in 0..self.payments.len() {
            let payment = &self.payments[index];
            if payment.forwarded.is_empty() || payment.told {
                continue;
            }
            let outcomes = payment.forwarded.iter().filter_map(|(_, sent)| self.node.origins.get(sent));
            let outcomes: Vec<Acknowledged> = outcomes.map(|(done, _)| *done).collect();
            let off_chain =
                |(channel, sent): &&(usize, HtlcKey)| self.channels[*channel].failed_for_good().contains(&sent.htlc);
            let unsent = |(channel, sent): &&(usize, HtlcKey)| {
                let to = &self.channels[*channel];
                to.frozen && !to.was_sent(sent.htlc)
            };
            let failed_off_chain = payment.forwarded.iter().filter(off_chain).count();
            let all_failed = payment.forwarded.iter().all(|part| off_chain(&part) || unsent(&part));
            if outcomes.contains(&Acknowledged::Settled) {
                self.settle_back(index);
            } else if outcomes.contains(&Acknowledged::Failed) {
                self.fail_back(index);
            } else if all_failed {
                self.counts.many("htlc/failed_off_chain", u64::from(failed_off_chain > 0));
                self.fail_back(index);
            } else {
                continue;
            }
            spoke = true;
        }
        if spoke { self.settle() } else { Ok(()) }
    }

    /// Settles or fails a received HTLC that was not forwarded.
    pub(crate) fn node_ends(&mut self, channel: usize, htlc: HtlcRef) {
        let received = self.channels[channel].key(htlc);
        let waits = |payment: &Payment| payment.received == received && !payment.told && payment.forwarded.is_empty();
        let Some(index) = self.payments.iter().position(waits) else { return };
        match self.payments[index].intent {
            Intent::Known(_) | Intent::KnownAtOnce(_) => self.settle_back(index),
            Intent::Forward | Intent::GivenUp(_) | Intent::Never => self.fail_back(index),
        }
    }
}
