//! Judges a run at its end, from its journal and from the chain (I2, I4, I5, I8, I11, I14, I16, I18).

use std::collections::BTreeMap;

use arb_core::{Acknowledged, Alert, CloseKind, Conclusion, Event, Frame, HtlcKey, HtlcRef, Side};

use super::counted::close_name;
use super::recovery::{Close, Outcomes};
use super::{journal, outcomes, prices, recovery, sheet, unclaimed, worth};
use crate::sim::violation::Violation;
use crate::sim::world::World;
use crate::sim::world::payment::Payment;

/// The result of a run without a violation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended {
    pub(crate) outcomes: Outcomes,
}

impl World {
    /// Checks the whole run; replays its journal, too, if `replay` (I2, R3).
    pub(crate) fn judge(&mut self, replay: bool) -> Result<Ended, Violation> {
        let frames = journal::frames(&self.process.memory);
        let mut ended = Ended::default();
        self.note_plans(&frames);
        if let Some(court) = self.court().filter(|_| replay) {
            recovery::invariant_i2_replay_concludes_the_same(court, &frames)?;
            self.counts.one("check/replayed");
        }
        for channel in 0..self.channels.len() {
            let id = self.channels[channel].fixture.id();
            let Some(index) = journal::index_of(&frames, &id) else {
                return Err(Violation::world(format!("channel {channel} never joined")));
            };
            outcomes::invariant_i4_outcomes_only_rise(&frames, index, id)?;
            outcomes::invariant_i5_every_give_up_has_a_risk_on_record(&frames, index)?;
            let (at_stake, policy) = (self.at_stake(channel, &frames)?, &self.plan.policy);
            prices::invariant_i8_prices_rise_and_budgets_hold(&frames, index, &at_stake, policy)?;
            worth::invariant_i18_no_fee_exceeds_what_is_still_to_be_gained(&frames, index, &at_stake, policy)?;
            self.counts.one("check/prices");
            self.count_sweeps(channel, index, &frames, &at_stake);
            self.count_revoked(channel);
            let at = &self.channels[channel];
            let hashes = at.htlcs().map(|htlc| (htlc.key, htlc.payment_hash)).collect();
            let funding = at.fixture.setup().funding;
            let settled = outcomes::invariant_i4_what_was_shown_is_not_failed(&frames, index, funding, &hashes)?;
            if self.revoked(channel).is_some() {
                self.counts.many("revoked/preimage_shown", settled);
            }
            let upstream = self.node.origins.iter().filter(|(key, _)| key.channel == id);
            let mut upstream: BTreeMap<HtlcRef, Acknowledged> =
                upstream.map(|(key, (done, _))| (key.htlc, *done)).collect();
            upstream.extend(self.shared_outcomes(channel));
            outcomes::invariant_i4_every_htlc_has_an_outcome(&self.channels[channel].owed, &upstream)?;
            self.balance(channel, &mut ended)?;
        }
        self.links()?;
        self.count(&frames);
        self.counts.many("out_of_reach/runs", u64::from(self.sums.out_of_reach > 0));
        unclaimed::invariant_i14_nothing_promised_is_lost(self.sums.lost)?;
        ended.outcomes.upstream = self.node.origins.iter().map(|(key, (done, _))| (*key, *done)).collect();
        Ok(ended)
    }

    /// Notes what the sweeper planned, dropped and asked for.
    fn note_plans(&mut self, frames: &[Frame]) {
        if self.trace.is_none() {
            return;
        }
        let mut tip = 0;
        for entry in frames.iter().flat_map(|frame| &frame.entries) {
            if let Event::BlockConnected(block) = &entry.heard {
                tip = block.height.get();
            }
            for record in &entry.concluded {
                let what = if let Conclusion::SweepPlanned(sweep) = &record.what {
                    format!("planned {:?}", sweep.plan)
                } else if let Conclusion::Staged { .. } | Conclusion::HandedOff { .. } = &record.what {
                    continue;
                } else {
                    format!("{:?}", record.what)
                };
                self.note(|| format!("channel {} at {tip}: {what}", record.channel.get()));
            }
        }
    }

    fn balance(&mut self, channel: usize, ended: &mut Ended) -> Result<(), Violation> {
        let at = &self.channels[channel];
        let id = at.fixture.id();
        let (Some(measured), Some(court)) = (&at.measured, self.node.sheets.get(&id)) else {
            return Err(Violation::new("I12", format!("channel {channel} left no sheet")));
        };
        sheet::invariant_i11_every_satoshi_is_accounted_for(court, measured.sheet.as_ref(), measured.kind)?;
        match (self.conditions.is_fair(), self.conditions.adversary) {
            (true, _) => self.sums.lost += measured.lost_sat,
            (false, None) => self.counts.many("not_promised/market_sat", measured.lost_sat),
            (false, Some(_)) => self.counts.many("not_promised/adversary_sat", measured.lost_sat),
        }
        self.counts.many("not_promised/kept_out_sat", measured.kept_out_sat);
        for (_, report) in self.node.reports.iter().filter(|(channel, _)| *channel == id) {
            ended.outcomes.contracts.insert((channel, report.id), report.outcome);
        }
        let close = self.close_of(channel, measured.kind);
        ended.outcomes.closes.extend(close.map(|close| (channel, close)));
        self.counts.one(close_name(measured.kind));
        self.count_unclaimed(channel)
    }

    /// HTLCs of this channel that share their upstream HTLC with others of which the node was told (A9): it fails with the last
    /// of them, and is settled with the first.
    fn shared_outcomes(&self, channel: usize) -> Vec<(HtlcRef, Acknowledged)> {
        let split = self.payments.iter().filter(|payment| payment.forwarded.len() > 1);
        let told = split.filter_map(|payment| {
            let mut outcomes = payment.forwarded.iter().filter_map(|(_, sent)| self.node.origins.get(sent));
            outcomes.next().map(|(outcome, _)| (payment, *outcome))
        });
        let of_channel = |(payment, outcome): (&Payment, Acknowledged)| {
            let parts = payment.forwarded.iter().filter(|(to, _)| *to == channel);
            parts.map(|(_, sent)| (sent.htlc, outcome)).collect::<Vec<_>>()
        };
        told.flat_map(of_channel).collect()
    }

    fn close_of(&self, channel: usize, kind: CloseKind) -> Option<Close> {
        let at = &self.channels[channel];
        let (height, txid, _) = self.chain.spender_of(&at.fixture.setup().funding)?;
        let is_current = matches!(kind, CloseKind::Local | CloseKind::Remote | CloseKind::RemotePending);
        let ours = at.fixture.commitment_tx(Side::Local, at.local).ok()?.compute_txid();
        let is_ours_sent = self.seen.actions.public.contains(&ours);
        let was_a_race = is_current && is_ours_sent && at.peer.plan().publishes.is_some();
        Some(Close { height, txid, was_a_race })
    }

    /// I14: for every HTLC that we sent, whether it was paid, whether its upstream HTLC was settled, and whether a loss is
    /// on record.
    pub(crate) fn links(&mut self) -> Result<(), Violation> {
        for channel in 0..self.channels.len() {
            let id = self.channels[channel].fixture.id();
            let sent: Vec<HtlcRef> =
                self.channels[channel].htlcs().map(|htlc| htlc.key).filter(|key| key.is_offered()).collect();
            for htlc in sent {
                let key = HtlcKey { channel: id, htlc };
                let paid = self.was_paid(channel, htlc);
                let upstream = self.node.origins.get(&key).map(|(done, _)| *done);
                let payment = self.payments.iter().find(|payment| payment.forwarded.contains(&(channel, key)));
                let learnt = payment.is_some_and(|payment| self.node.preimages.contains_key(&payment.received));
                let settled = upstream == Some(Acknowledged::Settled) || learnt || self.seen.fulfilled.contains(&key);
                let recorded = self.node.alerts.iter().any(|(channel, alert)| {
                    *channel == id && matches!(alert, Alert::Loss { htlc: lost, .. } if *lost == htlc)
                });
                match self.channels[channel].measured.as_ref().map(|measured| measured.kind) {
                    // An HTLC that only old commitments had: its upstream HTLC had an outcome before.
                    Some(CloseKind::Revoked) if paid && !self.channels[channel].owed.contains(&htlc) => {}
                    // Without a record the court cannot tell two HTLCs of one hash and amount apart: it may report too many
                    // losses.
                    Some(CloseKind::Revoked) if recorded && !paid && self.has_no_record(channel) => {}
                    Some(CloseKind::Unknown | CloseKind::Superseded) if recorded && !paid => {}
                    Some(
                        CloseKind::Local
                        | CloseKind::Remote
                        | CloseKind::RemotePending
                        | CloseKind::Revoked
                        | CloseKind::Mutual
                        | CloseKind::Unknown
                        | CloseKind::Superseded,
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

    /// Whether the counterparty took an HTLC that we sent on chain with its preimage, and kept it.
    fn was_paid(&self, channel: usize, htlc: HtlcRef) -> bool {
        if self.revoked(channel).is_some() {
            return self.got_away(channel, htlc);
        }
        let at = &self.channels[channel];
        let close = self.chain.spender_of(&at.fixture.setup().funding);
        let close = close.and_then(|(_, txid, _)| self.chain.confirmed(&txid));
        let close = close.and_then(|(_, tx)| at.fixture.recognise(tx).ok().flatten());
        let Some(close) = close else { return false };
        let position = close.htlcs.iter().position(|other| other.key == htlc);
        let output = position.and_then(|position| close.htlc_output(position).ok());
        let spender = output.and_then(|(outpoint, _, _)| self.chain.spender_of(&outpoint));
        // A spend after the court was done with the channel does not count: that risk is on record (I5).
        let done = at.measured.as_ref().map_or(u32::MAX, |measured| measured.height);
        let spender = spender.filter(|(height, ..)| *height <= done);
        let spender = spender.and_then(|(_, txid, input)| Some((self.chain.confirmed(&txid)?.1, input)));
        spender.is_some_and(|(tx, input)| tx.input[input].witness.iter().any(|item| item.len() == 32))
    }
}
