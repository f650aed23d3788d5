//! Counts what a run saw, by name, at its end.

use std::collections::BTreeMap;

use arb_core::bolt3::ChannelType;
use arb_core::sweep::Limit;
use arb_core::{
    ChannelIndex, CloseKind, Conclusion, ContractOutcome, FailReason, Frame, FreezeReason, ResolverKind, Side, Upstream,
};
use bitcoin::OutPoint;

use super::prices;
use super::stakes::AtStake;
use crate::sim::world::World;

impl World {
    pub(crate) fn count(&mut self, frames: &[Frame]) {
        self.counts.one(self.conditions.name());
        if self.conditions.adversary.is_some() {
            self.counts.one("world/adversary");
        }
        if let Some(poor) = &self.economy.poor {
            self.counts.one("world/poor");
            self.counts.many("wallet/gone_coin", u64::from(poor.gone_sat.is_some()));
            self.counts.many("wallet/refused_coin", u64::from(poor.is_refused));
        }
        self.counts.many("world/belief", u64::from(self.belief.is_some()));
        let manners = &self.process.manners;
        self.counts.many("belief/slow_search", manners.slow);
        self.counts.many("belief/late_acknowledgement", u64::try_from(manners.late.len()).unwrap_or(u64::MAX));
        self.counts.many("belief/wrong_record", manners.wrong());
        self.counts.many("world/money", u64::from(self.economy.money.is_some()));
        self.counts.many("fault/refused_batch", self.seen.actions.refused_batches);
        self.counts.one(if self.channels.len() == 1 { "channel/one" } else { "channel/linked" });
        for channel in &self.channels {
            self.counts.one(match channel.plan.channel_type {
                ChannelType::StaticRemotekey => "channel/static_remotekey",
                ChannelType::AnchorsZeroFeeHtlcTx => "channel/anchors_zero_fee_htlc_tx",
            });
        }
        for (_, report) in &self.node.reports {
            report.resolvers.iter().for_each(|kind| self.counts.one(resolver_name(*kind)));
            if let Some(name) = outcome_name(report.outcome) {
                self.counts.one(name);
            }
            let gained = if report.outcome == ContractOutcome::Claimed { report.amount_sat } else { 0 };
            self.sums.paid += report.fee_sat;
            self.sums.gained += gained;
            self.sums.overpaid += report.fee_sat.saturating_sub(gained);
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
                | Conclusion::ShownEarly { .. }
                | Conclusion::EarlyForgotten
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

    pub(crate) fn count_sweeps(&mut self, channel: usize, index: ChannelIndex, frames: &[Frame], at_stake: &AtStake) {
        let local = self.channels[channel].fixture.commitment(Side::Local, self.channels[channel].local).ok();
        let local = local.map(|commitment| commitment.built.txid);
        let mut before: BTreeMap<u32, Vec<OutPoint>> = BTreeMap::new();
        let records = frames.iter().flat_map(|frame| &frame.entries).flat_map(|entry| &entry.concluded);
        for record in records.filter(|record| record.channel == index) {
            let Conclusion::SweepPlanned(sweep) = &record.what else { continue };
            let plan = &sweep.plan;
            self.counts.one("sweep/planned");
            self.count_penalties(&plan.members, at_stake);
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
}

pub(crate) fn close_name(kind: CloseKind) -> &'static str {
    match kind {
        CloseKind::Local => "close/ours",
        CloseKind::Remote => "close/theirs",
        CloseKind::RemotePending => "close/pending",
        CloseKind::Revoked => "close/revoked",
        CloseKind::Mutual => "close/mutual",
        CloseKind::Unknown => "close/unknown",
        CloseKind::Superseded => "close/superseded",
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
