//! What a journal says about a close: read from its frames alone, so that it can be told after a crash, or by somebody else.

use std::collections::BTreeMap;

use arb_core::{
    Acknowledged, CloseKind, Conclusion, ContractReport, Event, Frame, HtlcRef, Notice, Sheet, TakenBy, Upstream,
};
use arb_harness::names::{kind_name, outcome_name, resolver_name};
use serde::Serialize;

/// The end of a channel, as its journal has it.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// The kind of the last spend of the funding that was seen.
    pub close: Option<CloseKind>,
    /// Every contract's report, in the order in which they came.
    pub reports: Vec<ContractReport>,
    /// What was released for the origins, and what the node said.
    pub upstream: BTreeMap<HtlcRef, (Upstream, Option<Acknowledged>)>,
    /// The balance sheet, once the channel was resolved.
    pub sheet: Option<Sheet>,
    /// Whether the channel's end was performed: nothing of it is left in the court.
    pub gone: bool,
    /// How many frames there are.
    pub frames: u64,
}

impl Ending {
    /// Reads the frames of a journal with one channel.
    pub fn of<'a>(frames: impl IntoIterator<Item = &'a Frame>) -> Self {
        let mut ending = Self::default();
        for frame in frames {
            ending.frames += 1;
            for entry in &frame.entries {
                ending.hear(&entry.heard);
                entry.concluded.iter().for_each(|record| ending.conclude(&record.what));
            }
        }
        ending
    }

    fn hear(&mut self, event: &Event) {
        if let Event::UpstreamAcknowledged { htlc, outcome } = event
            && let Some(known) = self.upstream.get_mut(&htlc.htlc)
        {
            known.1 = Some(*outcome);
        }
        if matches!(event, Event::Performed { .. }) && self.sheet.is_some() {
            self.gone = true;
        }
    }

    fn conclude(&mut self, conclusion: &Conclusion) {
        match conclusion {
            Conclusion::Classified { kind } => self.close = *kind,
            Conclusion::Released { htlc, outcome } => {
                self.upstream.insert(*htlc, (*outcome, None));
            }
            Conclusion::Noticed(notice) => match &**notice {
                Notice::Report(report) => self.reports.push(report.clone()),
                Notice::Resolved(sheet) => self.sheet = Some(*sheet),
                Notice::Freeze(_) | Notice::Alert(_) | Notice::Release { .. } => {}
            },
            Conclusion::UpstreamLinked { .. }
            | Conclusion::PreimageUsable { .. }
            | Conclusion::GaveUp { .. }
            | Conclusion::Frozen(_)
            | Conclusion::WentToChain
            | Conclusion::ScriptsRequested
            | Conclusion::FeeInputsRequested(_)
            | Conclusion::FeeInputsReturned { .. }
            | Conclusion::Bumped { .. }
            | Conclusion::SweepPlanned(_)
            | Conclusion::SweepDropped { .. }
            | Conclusion::Uneconomic { .. }
            | Conclusion::HandedOff { .. }
            | Conclusion::Staged { .. } => {}
        }
    }
}

/// A contract, as `--json` and the table have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContractRow {
    /// `to_local`, `to_remote`, `anchor`, `htlc`, `revoked_to_local` or `revoked_second_level`.
    pub contract: &'static str,
    /// The HTLC's id.
    pub htlc_id: Option<u64>,
    /// `offered` or `received`.
    pub direction: Option<&'static str>,
    /// Its amount.
    pub amount_sat: u64,
    /// The resolvers that it went through.
    pub resolver_chain: Vec<String>,
    /// How it ended.
    pub outcome: &'static str,
    /// What became of its origin.
    pub upstream: &'static str,
    /// Who has it.
    pub taken_by: &'static str,
    /// The transactions that spent it.
    pub txids: Vec<String>,
    /// What ours among them paid.
    pub fee_sat: u64,
}

impl ContractRow {
    /// The rows of an ending: outputs by kind and id, then HTLCs without an output.
    pub fn of(ending: &Ending) -> Vec<Self> {
        let mut reports: Vec<&ContractReport> = ending.reports.iter().collect();
        reports.sort_by_key(|report| (report.kind, report.htlc.map(|htlc| htlc.id), report.id));
        reports.into_iter().map(|report| Self::row(ending, report)).collect()
    }

    fn row(ending: &Ending, report: &ContractReport) -> Self {
        let upstream = report.htlc.and_then(|htlc| ending.upstream.get(&htlc));
        Self {
            contract: kind_name(report.kind),
            htlc_id: report.htlc.map(|htlc| htlc.id),
            direction: report.htlc.map(|htlc| if htlc.is_offered() { "offered" } else { "received" }),
            amount_sat: report.amount_sat,
            resolver_chain: report.resolvers.iter().map(|kind| resolver_name(*kind).to_owned()).collect(),
            outcome: outcome_name(report.outcome),
            upstream: match upstream {
                Some((Upstream::Settled(_), _)) => "settled",
                Some((Upstream::Failed(_), _)) => "failed",
                None => "none",
            },
            taken_by: match report.outcome.taken_by() {
                TakenBy::Us => "us",
                TakenBy::Peer => "peer",
                TakenBy::Nobody => "nobody",
            },
            txids: report.txids.iter().map(ToString::to_string).collect(),
            fee_sat: report.fee_sat,
        }
    }
}
