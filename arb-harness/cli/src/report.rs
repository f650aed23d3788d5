//! How a scenario ended, for `--json` and as tables.

use arb_core::{Frame, Sheet};
use arb_harness::names::close_name;
use arb_lab::demo::story::{ContractRow, Ending};
use arb_lab::demo::{Scenario, type_name};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use super::balance;
use super::failure::Verdict;
use super::journal_facts::blocks_and_reorgs;
use super::output::painted;

/// How one scenario ended.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    name: String,
    channel_type: &'static str,
    closed_by: &'static str,
    appends: u64,
    restarts: u64,
    reorgs: u64,
    blocks: u64,
    journal_bytes: u64,
    resolved: bool,
    balance: Option<Sheet>,
    contracts: Vec<ContractRow>,
    #[serde(skip)]
    title: String,
    #[serde(skip)]
    oracle: Option<Sheet>,
}

/// All scenarios: the JSON object of `demo` and `resume`.
#[derive(Debug, Serialize)]
pub(crate) struct Reports {
    scenarios: Vec<Report>,
    all_resolved: bool,
    sats_balance: bool,
}

impl Report {
    /// The end of a scenario as its journal and the oracle have it. If `wrong`, it is not resolved, whatever its journal says.
    pub(crate) fn of(scenario: Scenario, ending: &Ending, oracle: Option<Sheet>, wrong: bool) -> Self {
        let closed_by = ending.close.map_or("nobody", close_name);
        Self {
            name: scenario.name(),
            channel_type: type_name(scenario.channel_type),
            closed_by,
            appends: 0,
            restarts: 0,
            reorgs: 0,
            blocks: 0,
            journal_bytes: 0,
            resolved: !wrong && ending.gone && ending.sheet.is_some() && closed_by == scenario.closed_by.name(),
            balance: ending.sheet,
            contracts: ContractRow::of(ending),
            title: scenario.file_stem(),
            oracle,
        }
    }

    /// Adds the journal's counts. `restarts` counts only this run of the program.
    pub(crate) fn counted(self, frames: &[Frame], restarts: u64, journal_bytes: u64) -> Self {
        let (blocks, reorgs) = blocks_and_reorgs(frames);
        let appends = u64::try_from(frames.len()).unwrap_or(u64::MAX);
        Self { appends, restarts, reorgs, blocks, journal_bytes, ..self }
    }

    /// Compares the court's balance sheet with the oracle's.
    pub(crate) fn compare(&self) -> Result<(), balance::Imbalance> {
        balance::compare(self.balance.as_ref(), self.oracle.as_ref())
    }

    /// One line for standard error.
    pub(crate) fn summary(&self) -> String {
        let resolved = if self.resolved { "resolved" } else { "NOT RESOLVED" };
        let sats = self.compare().map_or_else(|why| why.to_string(), |()| "every satoshi accounted for".to_owned());
        format!("{}: {resolved}, {sats}; {} appends, {} restarts", self.title, self.appends, self.restarts)
    }

    /// A headline, the table of contracts, the balance sheet and the verdict on it.
    pub(crate) fn tables(&self) -> String {
        let resolved = painted(if self.resolved { "resolved" } else { "NOT RESOLVED" }, self.resolved);
        let verdict = match self.compare() {
            Ok(()) => painted("the two agree, to the satoshi", true),
            Err(why) => painted(&why.to_string(), false),
        };
        format!(
            "{title}: {channel_type}, closed by {closed_by}, {resolved}; {appends} appends, {restarts} restarts, \
             {reorgs} reorgs, {blocks} blocks, {bytes} bytes of journal\n{contracts}\n{balance}\n{verdict}\n",
            title = self.title,
            channel_type = self.channel_type,
            closed_by = self.closed_by,
            appends = self.appends,
            restarts = self.restarts,
            reorgs = self.reorgs,
            blocks = self.blocks,
            bytes = self.journal_bytes,
            contracts = self.contract_table(),
            balance = self.balance_table(),
        )
    }

    fn contract_table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["contract", "resolver chain", "outcome", "upstream", "transactions", "sats", "fee"]);
        for row in &self.contracts {
            let htlc = row.htlc_id.map(|id| format!("{} {id}", row.direction.unwrap_or_default()));
            table.add_row([
                htlc.map_or_else(|| row.contract.to_owned(), |htlc| format!("{} {htlc}", row.contract)),
                row.resolver_chain.join(" → "),
                row.outcome.to_owned(),
                row.upstream.to_owned(),
                row.txids.iter().map(|txid| short(txid)).collect::<Vec<_>>().join(" "),
                row.amount_sat.to_string(),
                row.fee_sat.to_string(),
            ]);
        }
        align_right(&mut table, &[5, 6]);
        table
    }

    fn balance_table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["sats", "court", "oracle"]);
        let [court, oracle] = [self.balance, self.oracle].map(|sheet| {
            let terms = sheet.map(|sheet| balance::terms(&sheet).map(|(_, sat)| sat.to_string()));
            (terms, sheet.map(|sheet| balance::sides(&sheet)))
        });
        let cell = |terms: &Option<[String; 9]>, place: usize| {
            terms.as_ref().and_then(|terms| terms.get(place)).cloned().unwrap_or_else(|| "–".to_owned())
        };
        let side = |sides: Option<(u64, u64)>, right: bool| {
            sides.map_or_else(|| "–".to_owned(), |sides| if right { sides.1 } else { sides.0 }.to_string())
        };
        for (place, (term, _)) in balance::terms(&Sheet::default()).iter().enumerate() {
            let term = if place < 2 { format!("+ {term}") } else { format!("− {term}") };
            table.add_row([term, cell(&court.0, place), cell(&oracle.0, place)]);
        }
        for (name, right) in [("capacity + wallet_in", false), ("everything else", true)] {
            table.add_row([name.to_owned(), side(court.1, right), side(oracle.1, right)]);
        }
        align_right(&mut table, &[1, 2]);
        table
    }
}

impl Reports {
    /// The scenarios' reports, with whether all are resolved and all balance.
    pub(crate) fn new(scenarios: Vec<Report>) -> Self {
        let all_resolved = scenarios.iter().all(|report| report.resolved);
        let sats_balance = scenarios.iter().all(|report| report.compare().is_ok());
        Self { scenarios, all_resolved, sats_balance }
    }

    /// Good if every scenario is resolved and every satoshi is accounted for.
    pub(crate) fn verdict(&self) -> Verdict {
        if self.all_resolved && self.sats_balance { Verdict::Good } else { Verdict::False }
    }

    /// The last line.
    pub(crate) fn summary(&self) -> String {
        let sum = |of: fn(&Report) -> u64| self.scenarios.iter().map(of).sum::<u64>();
        let resolved = if self.all_resolved { "all resolved" } else { "NOT all resolved" };
        let sats = if self.sats_balance { "every satoshi accounted for" } else { "satoshis NOT accounted for" };
        format!(
            "{} scenarios, {} appends, {} restarts, {} reorgs, {} blocks: {}, {}",
            self.scenarios.len(),
            sum(|report| report.appends),
            sum(|report| report.restarts),
            sum(|report| report.reorgs),
            sum(|report| report.blocks),
            painted(resolved, self.all_resolved),
            painted(sats, self.sats_balance),
        )
    }
}

/// The beginning of a txid; `--json` has all of it.
pub(crate) fn short(hex: &str) -> String {
    hex.chars().take(12).collect()
}

fn align_right(table: &mut Table, columns: &[usize]) {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(court: Sheet, oracle: Sheet) -> Report {
        let scenario = Scenario::all().into_iter().next().expect("there are scenarios");
        let close = Some(arb_core::CloseKind::Local);
        let ending = Ending { close, sheet: Some(court), gone: true, ..Ending::default() };
        Report::of(scenario, &ending, Some(oracle), false)
    }

    const SHEET: Sheet = Sheet {
        capacity_sat: 1_000,
        wallet_in_sat: 0,
        swept_sat: 600,
        wallet_change_sat: 0,
        fees_sat: 100,
        peer_sat: 300,
        contested_unclaimed_sat: 0,
        uneconomic_sat: 0,
        lost_sat: 0,
    };

    #[test]
    fn good_scenarios_make_a_good_demonstration() {
        let reports = Reports::new(vec![ended(SHEET, SHEET), ended(SHEET, SHEET)]);
        assert_eq!(reports.verdict(), Verdict::Good);
    }

    #[test]
    fn one_satoshi_planted_wrong_in_the_courts_sheet_makes_the_demonstration_end_with_1() {
        let planted = Sheet { swept_sat: SHEET.swept_sat + 1, fees_sat: SHEET.fees_sat - 1, ..SHEET };
        let reports = Reports::new(vec![ended(SHEET, SHEET), ended(planted, SHEET)]);
        assert!(reports.all_resolved && !reports.sats_balance);
        assert_eq!(reports.verdict(), Verdict::False, "exit code 1");
        let tables = reports.scenarios[1].tables();
        assert!(tables.contains("swept: the court says 601, the oracle 600"), "{tables}");
    }

    #[test]
    fn what_is_not_resolved_or_closed_otherwise_is_no_success() {
        let good = ended(SHEET, SHEET);
        let wrong = Report { resolved: false, ..good };
        assert_eq!(Reports::new(vec![wrong]).verdict(), Verdict::False);
        let scenario = Scenario::all().into_iter().next().expect("there are scenarios");
        let close = Some(arb_core::CloseKind::Mutual);
        let ending = Ending { close, sheet: Some(SHEET), gone: true, ..Ending::default() };
        assert!(!Report::of(scenario, &ending, Some(SHEET), false).resolved, "another commitment confirmed");
        let ending = Ending { close: Some(arb_core::CloseKind::Local), ..ending };
        assert!(!Report::of(scenario, &ending, Some(SHEET), true).resolved, "the node was contradicted");
    }
}
