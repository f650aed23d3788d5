//! The end of a run, judged from outside.

use std::collections::BTreeMap;

use arb_core::{Acknowledged, Alert, ChannelIndex, CloseKind, HtlcKey, HtlcRef};

use super::counted::close_name;
use super::recovery::Outcomes;
use super::{journal, outcomes, prices, recovery, sheet};
use crate::sim::violation::Violation;
use crate::sim::world::World;

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended {
    pub(crate) outcomes: Outcomes,
    pub(crate) lost_sat: u64,
}

impl World {
    /// Judges the run.
    pub(crate) fn judge(&mut self, replay: bool) -> Result<Ended, Violation> {
        let frames = journal::frames(&self.process.memory);
        let mut ended = Ended::default();
        if let Some(court) = self.court().filter(|_| replay) {
            recovery::invariant_i2_replay_concludes_the_same(court, &frames)?;
            self.counts.one("check/replayed");
        }
        for lane in 0..self.lanes.len() {
            let index = ChannelIndex::new(u32::try_from(lane).unwrap_or(u32::MAX));
            let id = self.lanes[lane].fixture.id();
            outcomes::invariant_i4_outcomes_only_rise(&frames, index, id)?;
            outcomes::invariant_i5_every_wager_is_recorded(&frames, index)?;
            let (estate, policy) = (self.estate(lane, &frames)?, &self.plan.policy);
            prices::invariant_i8_prices_rise_and_budgets_hold(&frames, index, &estate, policy)?;
            self.counts.one("check/prices");
            self.count_sweeps(lane, index, &frames, &estate);
            self.count_revoked(lane);
            let at = &self.lanes[lane];
            let hashes = at.htlcs().map(|htlc| (htlc.key, htlc.payment_hash)).collect();
            let funding = at.fixture.setup().funding;
            let settled = outcomes::invariant_i4_what_was_shown_is_not_failed(&frames, index, funding, &hashes)?;
            if self.revoked(lane).is_some() {
                self.counts.many("revoked/preimage_shown", settled);
            }
            let origins = self.node.origins.iter().filter(|(key, _)| key.channel == id);
            let origins: BTreeMap<HtlcRef, Acknowledged> = origins.map(|(key, (done, _))| (key.htlc, *done)).collect();
            outcomes::invariant_i4_every_htlc_has_an_outcome(&self.lanes[lane].owed, &origins)?;
            self.balance(lane, &mut ended)?;
        }
        self.links()?;
        self.count(&frames);
        ended.outcomes.origins = self.node.origins.iter().map(|(key, (done, _))| (*key, *done)).collect();
        Ok(ended)
    }

    fn balance(&mut self, lane: usize, ended: &mut Ended) -> Result<(), Violation> {
        let at = &self.lanes[lane];
        let id = at.fixture.id();
        let (Some(oracle), Some(court)) = (&at.weighed, self.node.sheets.get(&id)) else {
            return Err(Violation::new("I12", format!("lane {lane} left no sheet")));
        };
        sheet::invariant_i11_every_satoshi_is_accounted_for(court, oracle.sheet.as_ref(), oracle.kind)?;
        match (self.weather.is_fair(), self.weather.foe) {
            (true, _) => ended.lost_sat += oracle.lost_sat,
            (false, None) => self.counts.many("not_promised/market_sat", oracle.lost_sat),
            (false, Some(_)) => self.counts.many("not_promised/adversary_sat", oracle.lost_sat),
        }
        self.counts.many("not_promised/kept_out_sat", oracle.kept_out_sat);
        for (_, report) in self.node.reports.iter().filter(|(channel, _)| *channel == id) {
            ended.outcomes.contracts.insert((lane, report.id), report.outcome);
        }
        self.counts.one(close_name(oracle.kind));
        Ok(())
    }

    /// Whether an HTLC was paid and its origin was not settled, and whether anybody says so.
    pub(crate) fn links(&mut self) -> Result<(), Violation> {
        for lane in 0..self.lanes.len() {
            let id = self.lanes[lane].fixture.id();
            let sent: Vec<HtlcRef> =
                self.lanes[lane].htlcs().map(|htlc| htlc.key).filter(|key| key.is_offered()).collect();
            for htlc in sent {
                let key = HtlcKey { channel: id, htlc };
                let paid = self.was_paid(lane, htlc);
                let origin = self.node.origins.get(&key).map(|(done, _)| *done);
                let payment = self.payments.iter().find(|payment| payment.forwarded == Some((lane, key)));
                let learnt = payment.is_some_and(|payment| self.node.preimages.contains_key(&payment.received));
                let settled = origin == Some(Acknowledged::Settled) || learnt || self.seen.fulfilled.contains(&key);
                let recorded = self.node.alerts.iter().any(|(channel, alert)| {
                    *channel == id && matches!(alert, Alert::Loss { htlc: lost, .. } if *lost == htlc)
                });
                match self.lanes[lane].weighed.as_ref().map(|weighed| weighed.kind) {
                    // The court is done with what an old commitment has and no newer one: its origin had its outcome.
                    Some(CloseKind::Revoked) if paid && !self.lanes[lane].owed.contains(&htlc) => {}
                    // Two HTLCs of one hash and amount cannot be told apart there: a loss may be told too often.
                    Some(CloseKind::Revoked) if recorded && !paid && self.is_untold(lane) => {}
                    Some(CloseKind::Unknown) if recorded && !paid => {}
                    Some(
                        CloseKind::Local
                        | CloseKind::Remote
                        | CloseKind::RemotePending
                        | CloseKind::Revoked
                        | CloseKind::Mutual
                        | CloseKind::Unknown,
                    )
                    | None => outcomes::invariant_i14_no_silent_loss_between_channels(paid, settled, recorded)?,
                }
                match payment {
                    Some(_) if settled => self.counts.one("linked/settled"),
                    Some(payment) if payment.told => self.counts.one("linked/failed"),
                    Some(_) | None => {}
                }
                if recorded {
                    self.counts.one("alert/loss");
                }
            }
        }
        Ok(())
    }

    /// Whether the counterparty took an HTLC that we sent with its preimage, on chain, and has it.
    fn was_paid(&self, lane: usize, htlc: HtlcRef) -> bool {
        if self.revoked(lane).is_some() {
            return self.got_away(lane, htlc);
        }
        let at = &self.lanes[lane];
        let close = self.chain.spender_of(&at.fixture.setup().funding);
        let close = close.and_then(|(_, txid, _)| self.chain.confirmed(&txid));
        let close = close.and_then(|(_, tx)| at.fixture.recognise(tx).ok().flatten());
        let Some(close) = close else { return false };
        let position = close.htlcs.iter().position(|other| other.key == htlc);
        let output = position.and_then(|position| close.htlc_output(position).ok());
        let spender = output.and_then(|(outpoint, _, _)| self.chain.spender_of(&outpoint));
        // What happens after the court has given up waiting is nobody's affair: that was a wager, and on record (I5).
        let done = at.weighed.as_ref().map_or(u32::MAX, |weighed| weighed.height);
        let spender = spender.filter(|(height, ..)| *height <= done);
        let spender = spender.and_then(|(_, txid, input)| Some((self.chain.confirmed(&txid)?.1, input)));
        spender.is_some_and(|(tx, input)| tx.input[input].witness.iter().any(|item| item.len() == 32))
    }
}
