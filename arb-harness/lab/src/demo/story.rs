//! The result of a close, read from the frames of its journal alone. So it can be told after a crash, and by another
//! program.

use std::collections::BTreeMap;

use arb_core::{
    Acknowledged, CloseKind, Conclusion, ContractReport, Event, Frame, HtlcRef, Notice, Sheet, TakenBy, Upstream,
};
use arb_harness::names::{kind_name, outcome_name, resolver_name};
use serde::Serialize;

/// The end of a channel by its journal.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// The kind of the last spend of the funding; `None` while there is none.
    pub close: Option<CloseKind>,
    /// Every contract's report, in the order in which they came.
    pub reports: Vec<ContractReport>,
    /// The outcome that the court released for the upstream of each HTLC, and the node's acknowledgement.
    pub upstream: BTreeMap<HtlcRef, (Upstream, Option<Acknowledged>)>,
    /// The balance sheet, once the channel was resolved.
    pub sheet: Option<Sheet>,
    /// Whether the court has forgotten the channel after its end was carried out.
    pub gone: bool,
    /// The number of frames.
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
            | Conclusion::ShownEarly { .. }
            | Conclusion::EarlyForgotten
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

/// One contract, as `--json` and the table show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContractRow {
    /// `to_local`, `to_remote`, `anchor`, `htlc`, `revoked_to_local` or `revoked_second_level`.
    pub contract: &'static str,
    /// The HTLC's id (BOLT 2); `None` if the contract is no HTLC.
    pub htlc_id: Option<u64>,
    /// `offered` or `received`, from our side.
    pub direction: Option<&'static str>,
    /// The amount in satoshi.
    pub amount_sat: u64,
    /// The resolvers that it went through, in order.
    pub resolver_chain: Vec<String>,
    /// The outcome.
    pub outcome: &'static str,
    /// The outcome of its upstream: `settled`, `failed` or `none`.
    pub upstream: &'static str,
    /// Which side got it: `us`, `peer` or `nobody`.
    pub taken_by: &'static str,
    /// The txids of the transactions that spent it.
    pub txids: Vec<String>,
    /// The fees of our transactions among them (sat).
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
