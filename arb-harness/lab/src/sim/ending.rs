//! The end of a run: everything is closed, healed and waited for, and then judged from outside.

use std::collections::BTreeMap;

use arb_core::bolt3::ChannelType;
use arb_core::sweep::Limit;
use arb_core::{
    Acknowledged, Alert, CloseKind, CloseReason, Conclusion, ContractOutcome, Event, FailReason, Frame, FreezeReason,
    HtlcKey, HtlcRef, Link, ResolverKind, Side, Upstream,
};
use bitcoin::OutPoint;

use super::Violation;
use super::invariants::{self, Outcomes};
use super::journal;
use super::lane::Weighed;
use super::prices::{self, Estate};
use super::seeds::our_scripts;
use super::weather::CLEARS_UP;
use super::world::{START, World};
use crate::balance_oracle::{self, Known};

/// Blocks after which everything must have ended: the latest expiry, twice the irrevocable depth, and what lies between.
const LONGEST: u32 = 1_200;

/// Blocks after which the node looks again, while it waits for the end.
const BLOCKS_A_HEAL: u32 = 6;

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Ended {
    pub(super) outcomes: Outcomes,
    pub(super) lost_sat: u64,
}

impl World {
    /// No more faults; what is open is closed; then time passes until nothing is left.
    pub(super) fn heal(&mut self) -> Result<(), Violation> {
        self.faults.heal();
        self.plan.reorgs = 0;
        for lane in 0..self.lanes.len() {
            let funding = self.lanes[lane].fixture.setup().funding;
            if self.chain.spender_of(&funding).is_none() && self.is_watched(lane) {
                let why = CloseReason::Operator;
                self.tell(Event::CloseRequested { channel: self.lanes[lane].fixture.id(), why });
                self.lanes[lane].closing = true;
            }
        }
        let (clears_up, end) = (self.height() + CLEARS_UP, START + LONGEST + self.weather.patience_blocks());
        while (0..self.lanes.len()).any(|lane| self.is_watched(lane)) && self.height() < end {
            if self.height() >= clears_up {
                let height = self.height();
                self.weather.clear_up(height);
                self.foe_leaves();
                self.chain.set_mempool_min_feerate(0);
            }
            self.node_speaks();
            self.mine(BLOCKS_A_HEAL)?;
        }
        let left = |lane: &usize| self.is_watched(*lane);
        let unresolved: Vec<(usize, String)> = (0..self.lanes.len())
            .filter(left)
            .map(|lane| {
                let court = self.court();
                let id = self.lanes[lane].fixture.id();
                let docket = court.and_then(|court| court.docket(court.index_of(&id)?));
                (lane, format!("{docket:?}"))
            })
            .collect();
        invariants::invariant_i12_everything_ends(&unresolved)
    }

    /// Judges the run.
    pub(super) fn judge(&mut self, replay: bool) -> Result<Ended, Violation> {
        self.foe_leaves();
        let frames = journal::frames(&self.memory);
        let mut ended = Ended::default();
        if let Some(court) = self.court().filter(|_| replay) {
            invariants::invariant_i2_replay_concludes_the_same(court, &frames)?;
            self.counts.one("check/replayed");
        }
        for lane in 0..self.lanes.len() {
            let index = arb_core::ChannelIndex::new(u32::try_from(lane).unwrap_or(u32::MAX));
            let id = self.lanes[lane].fixture.id();
            invariants::invariant_i4_outcomes_only_rise(&frames, index, id)?;
            invariants::invariant_i5_every_wager_is_recorded(&frames, index)?;
            let (estate, policy) = (self.estate(lane, &frames)?, &self.plan.policy);
            prices::invariant_i8_prices_rise_and_budgets_hold(&frames, index, &estate, policy)?;
            self.counts.one("check/prices");
            self.count_sweeps(lane, index, &frames, &estate);
            self.count_revoked(lane);
            let at = &self.lanes[lane];
            let hashes = at.htlcs().map(|htlc| (htlc.key, htlc.payment_hash)).collect();
            let funding = at.fixture.setup().funding;
            let settled = invariants::invariant_i4_what_was_shown_is_not_failed(&frames, index, funding, &hashes)?;
            if self.revoked(lane).is_some() {
                self.counts.many("revoked/preimage_shown", settled);
            }
            let origins = self.node.origins.iter().filter(|(key, _)| key.channel == id);
            let origins: BTreeMap<HtlcRef, Acknowledged> = origins.map(|(key, (done, _))| (key.htlc, *done)).collect();
            invariants::invariant_i4_every_htlc_has_an_outcome(&self.lanes[lane].owed, &origins)?;
            self.balance(lane, &mut ended)?;
        }
        self.links()?;
        self.count(&frames);
        ended.outcomes.origins = self.node.origins.iter().map(|(key, (done, _))| (*key, *done)).collect();
        Ok(ended)
    }

    /// The kind of close that is irrevocable, told from the chain.
    fn close_kind(&self, lane: usize) -> Option<CloseKind> {
        let at = &self.lanes[lane];
        let (_, txid, _) = self.chain.spender_of(&at.fixture.setup().funding)?;
        let (_, tx) = self.chain.confirmed(&txid)?;
        Some(match at.fixture.recognise(tx).ok()? {
            None => CloseKind::Mutual,
            Some(commitment) => match commitment.owner {
                Side::Local => CloseKind::Local,
                Side::Remote if commitment.number < at.remote => CloseKind::Revoked,
                Side::Remote if commitment.number == at.remote => CloseKind::Remote,
                Side::Remote if at.remotes().contains(&commitment.number) => CloseKind::RemotePending,
                Side::Remote => CloseKind::Unknown,
            },
        })
    }

    /// What the oracle says about a channel that the court is done with.
    pub(super) fn oracle_says(&self, lane: usize) -> Result<Weighed, Violation> {
        let Some(kind) = self.close_kind(lane) else {
            return Err(Violation::new("I12", format!("lane {lane} is gone, and its funding is unspent")));
        };
        let all = self.usable(lane, |_, _| true);
        // What had its preimage late or is small was not promised (I14); of a commitment that we have no record of, only the
        // main output is ours to claim.
        let promised = self.usable(lane, |htlc, since| {
            let in_time = since + self.plan.policy.incoming_margin.get() <= htlc.cltv_expiry.get();
            in_time && htlc.amount_sat() > self.weather.small_sat()
        });
        let ours = our_scripts();
        let known = |usable_since| Known {
            fixture: &self.lanes[lane].fixture,
            ours: &ours,
            usable_since,
            commitment: self.knowledge(lane, kind),
        };
        let (lost_sat, kept_out_sat) = match kind {
            CloseKind::Unknown => (0, 0),
            CloseKind::Revoked => {
                let missed = balance_oracle::missed(&self.chain, &known(&all)).map_err(Violation::world)?;
                self.split_missed(lane, &missed)
            }
            CloseKind::Local | CloseKind::Remote | CloseKind::RemotePending | CloseKind::Mutual => {
                let sheet = balance_oracle::sheet(&self.chain, &known(&promised)).map_err(Violation::world)?;
                (sheet.map_or(0, |sheet| sheet.lost_sat), 0)
            }
        };
        let sheet = balance_oracle::sheet(&self.chain, &known(&all)).map_err(Violation::world)?;
        Ok(Weighed { kind, height: self.height(), sheet, lost_sat, kept_out_sat })
    }

    fn balance(&mut self, lane: usize, ended: &mut Ended) -> Result<(), Violation> {
        let at = &self.lanes[lane];
        let id = at.fixture.id();
        let (Some(oracle), Some(court)) = (&at.weighed, self.node.sheets.get(&id)) else {
            return Err(Violation::new("I12", format!("lane {lane} left no sheet")));
        };
        invariants::invariant_i11_every_satoshi_is_accounted_for(court, oracle.sheet.as_ref(), oracle.kind)?;
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

    /// From when on received HTLCs could be claimed, for those that count.
    fn usable(&self, lane: usize, counts: impl Fn(&arb_core::Htlc, u32) -> bool) -> BTreeMap<HtlcRef, u32> {
        let at = &self.lanes[lane];
        let received = at.htlcs().filter(|htlc| !htlc.key.is_offered());
        let known = received.filter_map(|htlc| Some((htlc, *self.usable_since.get(&at.key(htlc.key))?)));
        known.filter(|(htlc, since)| counts(htlc, *since)).map(|(htlc, since)| (htlc.key, since)).collect()
    }

    /// Whether an HTLC was paid and its origin was not settled, and whether anybody says so.
    pub(super) fn links(&mut self) -> Result<(), Violation> {
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
                let settled = origin == Some(Acknowledged::Settled) || learnt || self.fulfilled.contains(&key);
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
                    | None => invariants::invariant_i14_no_silent_loss_between_channels(paid, settled, recorded)?,
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

    /// What is at stake in a channel, for I8.
    fn estate(&self, lane: usize, frames: &[Frame]) -> Result<Estate, Violation> {
        let at = &self.lanes[lane];
        let policy = &self.plan.policy;
        let children =
            at.htlcs().map(|htlc| htlc.amount_sat() / u64::from(policy.budget_divisor * policy.child_divisor));
        let child_sat = children.sum::<u64>().max(policy.idle_child_sat);
        let delay_blocks = u32::from(at.plan.delays.1);
        let mut estate = Estate { child_sat, delay_blocks, ..Estate::default() };
        for entry in frames.iter().flat_map(|frame| &frame.entries) {
            let Event::BlockConnected(block) = &entry.heard else { continue };
            for tx in &block.txs {
                estate.may_be_revoked(at, tx).map_err(Violation::world)?;
            }
        }
        let expiry_of = |key: &HtlcKey| {
            let lane = self.lanes.iter().find(|lane| lane.fixture.id() == key.channel)?;
            lane.htlcs().find(|htlc| htlc.key == key.htlc).map(|htlc| htlc.cltv_expiry.get())
        };
        for (side, number) in at.unrevoked() {
            let commitment = at.fixture.commitment(side, number).map_err(Violation::world)?;
            for (position, htlc) in commitment.htlcs.iter().enumerate() {
                let Ok((outpoint, _, _)) = commitment.htlc_output(position) else { continue };
                let upstream = match htlc.link {
                    Link::Forward(origin) => expiry_of(&origin),
                    Link::Relay { deadline } => Some(deadline.get()),
                    Link::Own | Link::Received => None,
                };
                let deadline = if htlc.key.is_offered() {
                    upstream.map(|expiry| expiry.saturating_sub(policy.upstream_margin.get()))
                } else {
                    Some(htlc.cltv_expiry.get())
                };
                estate.htlcs.insert(outpoint, (htlc.amount_sat(), deadline));
                if side == Side::Local && at.plan.channel_type == ChannelType::StaticRemotekey {
                    estate.signed.insert(outpoint);
                }
            }
        }
        Ok(estate)
    }

    fn count_sweeps(&mut self, lane: usize, index: arb_core::ChannelIndex, frames: &[Frame], estate: &Estate) {
        let local = self.lanes[lane].fixture.commitment(Side::Local, self.lanes[lane].local).ok();
        let local = local.map(|commitment| commitment.built.txid);
        let mut before: BTreeMap<u32, Vec<OutPoint>> = BTreeMap::new();
        let records = frames.iter().flat_map(|frame| &frame.entries).flat_map(|entry| &entry.concluded);
        for record in records.filter(|record| record.channel == index) {
            let Conclusion::SweepPlanned(sweep) = &record.what else { continue };
            let plan = &sweep.plan;
            self.counts.one("sweep/planned");
            self.count_penalties(&plan.members, estate);
            if plan.members.len() > 1 {
                self.counts.one("sweep/grouped");
            }
            match plan.limit {
                Some(Limit::Budget) => self.counts.one("sweep/limited_by_budget"),
                Some(Limit::Coins) => self.counts.one("sweep/limited_by_coins"),
                None => {}
            }
            if prices::is_child(sweep) {
                let ours = plan.members.iter().any(|member| Some(member.txid) == local);
                self.counts.one(if ours { "child/ours" } else { "child/theirs" });
            }
            let shared =
                |members: &Vec<OutPoint>| members.len() > plan.members.len() && members.contains(&plan.members[0]);
            if before.values().any(shared) {
                self.counts.one("sweep/split");
            }
            if before.insert(plan.group, plan.members.clone()).is_some() {
                self.counts.one("sweep/replaced");
            }
        }
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

    fn count(&mut self, frames: &[Frame]) {
        self.counts.one(self.weather.name());
        if self.weather.foe.is_some() {
            self.counts.one("world/adversary");
        }
        self.counts.one(if self.lanes.len() == 1 { "channel/one" } else { "channel/linked" });
        for lane in &self.lanes {
            self.counts.one(match lane.plan.channel_type {
                ChannelType::StaticRemotekey => "channel/static_remotekey",
                ChannelType::AnchorsZeroFeeHtlcTx => "channel/anchors_zero_fee_htlc_tx",
            });
        }
        for (_, report) in &self.node.reports {
            report.resolvers.iter().for_each(|kind| self.counts.one(resolver_name(*kind)));
            if let Some(name) = outcome_name(report.outcome) {
                self.counts.one(name);
            }
        }
        let records = frames.iter().flat_map(|frame| &frame.entries).flat_map(|entry| &entry.concluded);
        for record in records {
            match &record.what {
                Conclusion::Released { outcome: Upstream::Settled(_), .. } => self.counts.one("upstream/settled"),
                Conclusion::Released { outcome: Upstream::Failed(why), .. } => {
                    self.counts.one("upstream/failed");
                    if let Some(name) = reason_name(*why) {
                        self.counts.one(name);
                    }
                }
                Conclusion::Frozen(FreezeReason::Deadline(_)) => self.counts.one("freeze/deadline"),
                Conclusion::Frozen(FreezeReason::PeerOnChain) => self.counts.one("freeze/peer_on_chain"),
                Conclusion::Frozen(FreezeReason::FundingSpent) => self.counts.one("freeze/funding_spent"),
                Conclusion::Frozen(_)
                | Conclusion::UpstreamLinked { .. }
                | Conclusion::PreimageUsable { .. }
                | Conclusion::GaveUp { .. }
                | Conclusion::WentToChain
                | Conclusion::ScriptsRequested
                | Conclusion::FeeInputsRequested(_)
                | Conclusion::FeeInputsReturned { .. }
                | Conclusion::Bumped { .. }
                | Conclusion::SweepPlanned(_)
                | Conclusion::SweepDropped { .. }
                | Conclusion::Uneconomic { .. }
                | Conclusion::Noticed(_)
                | Conclusion::Classified { .. }
                | Conclusion::HandedOff { .. }
                | Conclusion::Staged { .. } => {}
            }
        }
    }
}

fn close_name(kind: CloseKind) -> &'static str {
    match kind {
        CloseKind::Local => "close/ours",
        CloseKind::Remote => "close/theirs",
        CloseKind::RemotePending => "close/pending",
        CloseKind::Revoked => "close/revoked",
        CloseKind::Mutual => "close/mutual",
        CloseKind::Unknown => "close/unknown",
    }
}

fn resolver_name(kind: ResolverKind) -> &'static str {
    match kind {
        ResolverKind::CommitSweep => "resolver/CommitSweep",
        ResolverKind::OutgoingContest => "resolver/OutgoingContest",
        ResolverKind::OutgoingTimeout => "resolver/OutgoingTimeout",
        ResolverKind::IncomingContest => "resolver/IncomingContest",
        ResolverKind::IncomingSuccess => "resolver/IncomingSuccess",
        ResolverKind::Anchor => "resolver/Anchor",
        ResolverKind::Breach => "resolver/Breach",
    }
}

fn outcome_name(outcome: ContractOutcome) -> Option<&'static str> {
    match outcome {
        ContractOutcome::Claimed => Some("outcome/claimed"),
        ContractOutcome::TakenByPeer => Some("outcome/taken_by_peer"),
        ContractOutcome::Unclaimed => Some("outcome/unclaimed"),
        ContractOutcome::Uneconomic => Some("outcome/uneconomic"),
        ContractOutcome::NoOutput => Some("outcome/no_output"),
        ContractOutcome::Lost => None,
    }
}

fn reason_name(why: FailReason) -> Option<&'static str> {
    match why {
        FailReason::TimedOut => Some("upstream/timed_out"),
        FailReason::OnNoCommitment => Some("upstream/on_no_commitment"),
        FailReason::NotOnConfirmed => Some("upstream/not_on_confirmed"),
        FailReason::Revoked => Some("upstream/revoked"),
        FailReason::GivenUpForUpstream => Some("upstream/given_up"),
        FailReason::MutualClose | FailReason::ForgetDepth => None,
    }
}
