//! `arb inspect`: what every channel, and every contract of it, waits for.

use arb_core::{ChainArbitrator, ContractId, ContractStatus, Stage, StageRecord};
use arb_harness::demo::story::{close_name, kind_name, outcome_name, resolver_name};
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde::Serialize;

use super::JournalArguments;
use super::failure::{Answer, Failure, Verdict};
use super::output;
use super::source::Source;
use super::words;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    journal: JournalArguments,
    /// As of this frame; without it, as of the last one.
    #[arg(long, value_name = "SEQUENCE")]
    at: Option<u64>,
}

#[derive(Serialize)]
struct Inspected {
    journal_id: String,
    network: String,
    tip: TipRow,
    frames: u64,
    channels: Vec<ChannelRow>,
}

#[derive(Serialize)]
struct TipRow {
    height: u32,
    hash: String,
}

#[derive(Serialize)]
struct ChannelRow {
    id: String,
    stage: &'static str,
    closed_by: Option<&'static str>,
    limbo_sat: u64,
    judged_at: Option<u32>,
    contracts: Vec<ContractRow>,
    alerts: Vec<String>,
}

#[derive(Serialize)]
struct ContractRow {
    contract: &'static str,
    htlc_id: Option<u64>,
    direction: Option<&'static str>,
    outpoint: Option<String>,
    amount_sat: u64,
    resolver_chain: Vec<&'static str>,
    stage: &'static str,
    until: Option<u32>,
    outcome: Option<&'static str>,
    waits_for: String,
}

/// Shows a journal's court.
pub(crate) fn run(options: &Options, json: bool) -> Answer {
    let source = Source::open(&options.journal)?;
    let court = source.court(options.at)?;
    let genesis = court.genesis().ok_or_else(|| Failure::NoGenesis(source.path().to_owned()))?;
    let inspected = Inspected {
        journal_id: genesis.journal.iter().map(|byte| format!("{byte:02x}")).collect(),
        network: genesis.network.to_string(),
        tip: TipRow { height: court.tip().height.get(), hash: court.tip().hash.to_string() },
        frames: court.sequence(),
        channels: channels(&court),
    };
    if json {
        output::json(&inspected)?;
    } else {
        output::print(&inspected.text())?;
    }
    Ok(Verdict::Good)
}

fn channels(court: &ChainArbitrator) -> Vec<ChannelRow> {
    let rows = court.channels().filter_map(|(index, channel)| {
        let docket = court.docket(index)?;
        Some(ChannelRow {
            id: channel.id().to_string(),
            stage: stage_name(docket.stage),
            closed_by: match docket.stage {
                Stage::Resolving(kind) => Some(close_name(kind)),
                Stage::Open | Stage::GoingToChain | Stage::AwaitingCommitment | Stage::Resolved => None,
            },
            limbo_sat: docket.limbo_sat,
            judged_at: docket.alarm.map(|height| height.get()),
            contracts: docket.contracts.iter().map(ContractRow::of).collect(),
            alerts: docket.alerts.iter().map(words::alert).collect(),
        })
    });
    rows.collect()
}

const fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Open => "open",
        Stage::GoingToChain => "going_to_chain",
        Stage::AwaitingCommitment => "awaiting_commitment",
        Stage::Resolving(_) => "resolving",
        Stage::Resolved => "resolved",
    }
}

impl ContractRow {
    fn of(status: &ContractStatus) -> Self {
        let (stage, until, outcome) = match status.stage {
            StageRecord::Waiting { until } => ("waiting", Some(until), None),
            StageRecord::Contested { until } => ("contested", Some(until), None),
            StageRecord::ClaimWanted => ("claim_wanted", None, None),
            StageRecord::Spent { until } => ("spent", Some(until), None),
            StageRecord::Done(outcome) => ("done", None, Some(outcome_name(outcome))),
        };
        Self {
            contract: kind_name(status.kind),
            htlc_id: status.htlc.map(|htlc| htlc.id),
            direction: status.htlc.map(|htlc| if htlc.is_offered() { "offered" } else { "received" }),
            outpoint: match status.id {
                ContractId::Output(outpoint) => Some(outpoint.to_string()),
                ContractId::NoOutput(_) => None,
            },
            amount_sat: status.amount_sat,
            resolver_chain: status.resolvers.iter().map(|kind| resolver_name(*kind)).collect(),
            stage,
            until: until.map(|height| height.get()),
            outcome,
            waits_for: words::stage(&status.stage),
        }
    }
}

impl Inspected {
    fn text(&self) -> String {
        let head = format!(
            "journal {}, {}, height {}, {} frames, {} channels",
            self.journal_id,
            self.network,
            self.tip.height,
            self.frames,
            self.channels.len()
        );
        self.channels.iter().fold(head, |text, channel| format!("{text}\n\n{}", channel.text()))
    }
}

impl ChannelRow {
    fn text(&self) -> String {
        let closed_by = self.closed_by.map_or_else(String::new, |kind| format!(", closed by {kind}"));
        let judged_at = self.judged_at.map_or_else(String::new, |height| format!(", judged again at height {height}"));
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["contract", "resolver chain", "sats", "waits for"]);
        for row in &self.contracts {
            let htlc = row.htlc_id.map(|id| format!(" {} {id}", row.direction.unwrap_or_default()));
            table.add_row([
                format!("{}{}", row.contract, htlc.unwrap_or_default()),
                row.resolver_chain.join(" → "),
                row.amount_sat.to_string(),
                row.waits_for.clone(),
            ]);
        }
        let contracts = if self.contracts.is_empty() { String::new() } else { format!("\n{table}") };
        let alerts: String = self.alerts.iter().map(|alert| format!("\nalert: {alert}")).collect();
        let (id, stage, limbo) = (&self.id, self.stage, self.limbo_sat);
        format!("channel {id}: {stage}{closed_by}, {limbo} sat in limbo{judged_at}{contracts}{alerts}")
    }
}
