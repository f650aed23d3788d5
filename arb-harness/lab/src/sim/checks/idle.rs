//! What is checked when the process is idle: refusals, claims that are missing (I7), and the sheet of each channel that the
//! court is done with.

use arb_core::{Action, Height};
use bitcoin::OutPoint;

use super::{actions, recovery};
use crate::sim::violation::Violation;
use crate::sim::world::World;

impl World {
    /// Checks the court, if it has appended anything since the last time.
    pub(crate) fn check_idle(&mut self) -> Result<(), Violation> {
        self.note_purse();
        let heard_again = core::mem::take(&mut self.process.heard_again);
        for (_, why) in &self.process.refusals {
            recovery::refusals_are_expected(why, heard_again)?;
        }
        let Some(driver) = self.process.driver.as_mut() else { return Ok(()) };
        if driver.court().sequence() == self.process.checked {
            return Ok(());
        }
        if let Some(journal) = driver.journal() {
            self.seen.excuses.read(journal);
        }
        let court = driver.court();
        self.process.checked = court.sequence();
        self.process.alarm = None;
        let height = court.tip().height.get();
        let due = court.actions_due();
        for at in &mut self.channels {
            let Some(index) = court.index_of(&at.fixture.id()) else { continue };
            let (Some(view), Some(docket)) = (court.channel(index), court.docket(index)) else { continue };
            let alarm = docket.alarm.map(Height::get);
            self.process.alarm = self.process.alarm.min(alarm).or(alarm).or(self.process.alarm);
            let received = view.htlcs().map(|htlc| htlc.key).filter(|htlc| !htlc.is_offered());
            for htlc in received.filter(|htlc| view.usable(*htlc).is_some() && at.is_committed(*htlc)) {
                self.seen.usable_since.entry(at.key(htlc)).or_insert(height);
            }
            if view.frozen().is_none() {
                continue;
            }
            at.frozen = true;
            at.frozen_at.get_or_insert(height);
            at.owed.extend(at.on_unrevoked().iter().map(|htlc| htlc.key).filter(|htlc| htlc.is_offered()));
            // What a slow search will find, the court cannot know.
            let id = at.fixture.id();
            if due.iter().any(|due| matches!(due, Action::SearchSpends { channel, .. } if *channel == id)) {
                continue;
            }
            let below = |outpoint: &OutPoint| {
                let spender = self.chain.spender_of(outpoint);
                spender.map(|(_, txid, input)| OutPoint::new(txid, u32::try_from(input).unwrap_or(u32::MAX)))
            };
            actions::invariant_i7_claims_are_live(&docket, &due, below, |outpoint| self.seen.excuses.has(outpoint))?;
        }
        self.check_silence()?;
        self.measure_finished()
    }

    /// Measures each channel in the moment in which the court is done with it. What happens to its outputs afterwards does
    /// not count.
    fn measure_finished(&mut self) -> Result<(), Violation> {
        // A preimage may be the last event that the court hears of a channel.
        let height = self.chain.tip().0;
        for payment in self.payments.iter().filter(|payment| self.node.preimages.contains_key(&payment.received)) {
            if self.channels[payment.channel].is_committed(payment.received.htlc) {
                self.seen.usable_since.entry(payment.received).or_insert(height);
            }
        }
        for channel in 0..self.channels.len() {
            let at = &self.channels[channel];
            if at.joined.is_some() && at.measured.is_none() && !self.is_watched(channel) {
                self.channels[channel].measured = Some(self.measure(channel)?);
            }
        }
        Ok(())
    }
}
