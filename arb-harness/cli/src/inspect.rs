//! `arb inspect`: what each channel and each of its contracts waits for, and what the sweeper does about it.

use arb_core::sweep::{Declined, Limit, Reason, ReserveAdvice};
use arb_core::{ChainArbitrator, CoinsStatus, ContractId, ContractStatus, Stage, StageRecord, SweepStatus};
use arb_harness::names::{close_name, kind_name, outcome_name, resolver_name};
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde::Serialize;

use super::failure::{Answer, Failure, Verdict};
use super::output;
use super::source::{JournalArguments, Source};
use super::words;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    journal: JournalArguments,
    /// Show the state as of this frame instead of the last one.
    #[arg(long, value_name = "SEQUENCE")]
    at: Option<u64>,
}

#[derive(Serialize)]
struct Inspected {
    journal_id: String,
    network: String,
    tip: TipRow,
    frames: u64,
    reserve_advice: AdviceRow,
    channels: Vec<ChannelRow>,
}

/// What the wallet should have free for all open channels.
#[derive(Serialize)]
struct AdviceRow {
    channels: u64,
    coins: u64,
    sat: u64,
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
    has_own_policy: bool,
    contracts: Vec<ContractRow>,
    sweeps: Vec<SweepRow>,
    coins_wanted: Vec<CoinsRow>,
    alerts: Vec<String>,
}

/// A transaction of the sweeper that may still confirm.
#[derive(Serialize)]
struct SweepRow {
    number: u32,
    txid: String,
    claims: Vec<String>,
    wanted_sat_per_kw: u32,
    offered_sat_per_kw: u32,
    limit: Option<&'static str>,
    fee_sat: u64,
    coins: Vec<String>,
    signed: bool,
    trouble: Option<&'static str>,
    reason: ReasonRow,
    #[serde(skip)]
    why: String,
}

/// Why a transaction offers what it offers, by its most urgent claim.
#[derive(Serialize)]
struct ReasonRow {
    claim: String,
    branch: &'static str,
    deadline: Option<u32>,
    budget_sat: u64,
    at_stake_sat: u64,
    estimate_sat_per_kw: u32,
    estimate_age_blocks: Option<u32>,
}

/// Why a claim is declined.
#[derive(Serialize)]
struct DeclinedRow {
    least_sat_per_kw: u32,
    cost_sat: u64,
    budget_sat: u64,
}

/// A request for coins to the wallet.
#[derive(Serialize)]
struct CoinsRow {
    claim: String,
    amount_sat: u64,
    deadline: Option<u32>,
    value_sat: u64,
    missing_sat: Option<u64>,
}

#[derive(Serialize)]
struct ContractRow {
    contract: &'static str,
    htlc_id: Option<u64>,
    direction: Option<&'static str>,
    outpoint: Option<String>,
    next_outpoint: Option<String>,
    amount_sat: u64,
    resolver_chain: Vec<&'static str>,
    stage: &'static str,
    until: Option<u32>,
    outcome: Option<&'static str>,
    declined: Option<DeclinedRow>,
    waits_for: String,
}

/// Shows a journal's court.
pub(crate) fn run(options: &Options, json: bool) -> Answer {
    let source = Source::open(&options.journal)?;
    let court = source.court(options.at)?;
    let identity = court.identity().ok_or_else(|| Failure::JournalNotOpened(source.path().to_owned()))?;
    let inspected = Inspected {
        journal_id: identity.journal.iter().map(|byte| format!("{byte:02x}")).collect(),
        network: identity.network.to_string(),
        tip: TipRow { height: court.tip().height.get(), hash: court.tip().hash.to_string() },
        frames: court.sequence(),
        reserve_advice: AdviceRow::of(&court.reserve_advice()),
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
            has_own_policy: channel.own_policy().is_some(),
            contracts: docket.contracts.iter().map(ContractRow::of).collect(),
            sweeps: docket.sweeps.iter().map(SweepRow::of).collect(),
            coins_wanted: docket.coins_wanted.iter().map(CoinsRow::of).collect(),
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
            next_outpoint: status.next_output.map(|outpoint| outpoint.to_string()),
            amount_sat: status.amount_sat,
            resolver_chain: status.resolvers.iter().map(|kind| resolver_name(*kind)).collect(),
            stage,
            until: until.map(|height| height.get()),
            outcome,
            declined: status.declined.as_ref().map(DeclinedRow::of),
            waits_for: match (status.stage, status.next_output) {
                (stage @ StageRecord::ClaimWanted, Some(next)) => {
                    let declined = status
                        .declined
                        .map_or_else(String::new, |why| format!("; declined: {}", words::declined(&why)));
                    format!("{}: {}{declined}", words::stage(&stage), words::outpoint(&next))
                }
                (stage, _) => words::stage(&stage),
            },
        }
    }
}

impl DeclinedRow {
    const fn of(why: &Declined) -> Self {
        Self { least_sat_per_kw: why.least_sat_per_kw, cost_sat: why.cost_sat, budget_sat: why.budget_sat }
    }
}

impl ReasonRow {
    fn of(reason: &Reason) -> Self {
        Self {
            claim: reason.outpoint.to_string(),
            branch: words::branch_name(reason.branch),
            deadline: reason.deadline.map(|height| height.get()),
            budget_sat: reason.budget_sat,
            at_stake_sat: reason.at_stake_sat,
            estimate_sat_per_kw: reason.estimate_sat_per_kw,
            estimate_age_blocks: reason.estimate_age.map(|age| age.get()),
        }
    }
}

impl AdviceRow {
    const fn of(advice: &ReserveAdvice) -> Self {
        Self { channels: advice.channels, coins: advice.coins, sat: advice.amount_sat }
    }
}

impl SweepRow {
    fn of(status: &SweepStatus) -> Self {
        let plan = &status.plan;
        Self {
            number: plan.group,
            txid: status.txid.to_string(),
            claims: plan.members.iter().map(ToString::to_string).collect(),
            wanted_sat_per_kw: status.wanted_sat_per_kw,
            offered_sat_per_kw: plan.feerate_sat_per_kw,
            limit: plan.limit.map(|limit| match limit {
                Limit::Budget => "budget",
                Limit::Coins => "coins",
            }),
            fee_sat: plan.fee_sat,
            coins: plan.fee_inputs.coins.iter().map(|coin| coin.outpoint.to_string()).collect(),
            signed: status.signed,
            trouble: status.trouble.map(words::rejection),
            reason: ReasonRow::of(&plan.reason),
            why: words::reason(&plan.reason),
        }
    }

    fn cells(&self) -> [String; 6] {
        let limit = self.limit.map_or_else(String::new, |limit| format!(" ({limit})"));
        let trouble = match (self.trouble, self.signed) {
            (Some(trouble), _) => trouble.replace('_', " "),
            (None, false) => "waits for the signer".to_owned(),
            (None, true) => String::new(),
        };
        [
            self.number.to_string(),
            self.claims.len().to_string(),
            format!("{} / {}{limit}", self.wanted_sat_per_kw, self.offered_sat_per_kw),
            self.fee_sat.to_string(),
            self.coins.len().to_string(),
            trouble,
        ]
    }
}

impl CoinsRow {
    fn of(status: &CoinsStatus) -> Self {
        Self {
            claim: status.ask.owner.to_string(),
            amount_sat: status.ask.amount_sat,
            deadline: status.ask.deadline.map(|height| height.get()),
            value_sat: status.ask.value_sat,
            missing_sat: status.missing_sat,
        }
    }

    fn text(&self) -> String {
        let deadline = self.deadline.map_or_else(String::new, |height| format!(", due at height {height}"));
        let missing = self.missing_sat.map_or_else(String::new, |sat| format!("; the wallet lacks {sat} sat"));
        let (amount, claim, value) = (self.amount_sat, &self.claim, self.value_sat);
        format!("coins wanted: {amount} sat for {claim}, {value} sat at stake{deadline}{missing}")
    }
}

impl Inspected {
    fn text(&self) -> String {
        let AdviceRow { channels, coins, sat } = self.reserve_advice;
        let advice = match channels {
            0 => "reserve: no open channel needs coins of the wallet".to_owned(),
            _ => format!("reserve: {coins} confirmed coins, {sat} sat together, for {channels} open channels"),
        };
        let head = format!(
            "journal {}, {}, height {}, {} frames, {} channels\n{advice}",
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
        let (sweeps, coins) = (self.sweeps(), self.coins_wanted.iter().map(CoinsRow::text));
        let coins: String = coins.map(|line| format!("\n{line}")).collect();
        let alerts: String = self.alerts.iter().map(|alert| format!("\nalert: {alert}")).collect();
        let (id, stage, limbo) = (&self.id, self.stage, self.limbo_sat);
        let policy = if self.has_own_policy { ", with a policy of its own" } else { "" };
        format!(
            "channel {id}: {stage}{closed_by}, {limbo} sat in limbo{judged_at}{policy}{contracts}{sweeps}{coins}{alerts}"
        )
    }

    /// A table of the sweeper's transactions that may still confirm; empty if there is none.
    fn sweeps(&self) -> String {
        if self.sweeps.is_empty() {
            return String::new();
        }
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["transaction", "claims", "sat/kw wanted / offered", "fee sat", "coins", "trouble"]);
        for row in &self.sweeps {
            table.add_row(row.cells());
        }
        let why: String = self.sweeps.iter().map(|row| format!("\ntransaction {}: {}", row.number, row.why)).collect();
        format!("\n{table}{why}")
    }
}
