//! `arb bench`: comparisons with other implementations. `fees` plays every fee policy on the same claims in four markets.

use std::io::{self, IsTerminal};

use arb_lab::bench::fees::{FeesOptions, FeesReport, MarketReport, PolicyReport, run as play};
use arb_lab::market::MarketKind;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Color, Table};
use indicatif::ProgressBar;

use super::failure::{Answer, Verdict};
use super::lab_failure::LabFailure;
use super::output;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Options {
    /// Plays each fee policy on the same claims in four markets: missed deadlines, fees and losses.
    Fees(Fees),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Fees {
    /// The first seed; a seed determines the closes and the markets.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of force closes for each seed.
    #[arg(long, default_value_t = 500)]
    closes: u32,
    /// The number of consecutive seeds; their results are added.
    #[arg(long, default_value_t = 1)]
    seeds: u32,
}

/// Runs a comparison.
pub(crate) fn run(options: &Options, json: bool) -> Answer {
    match options {
        Options::Fees(options) => fees(options, json),
    }
}

fn fees(options: &Fees, json: bool) -> Answer {
    let Fees { seed, closes, seeds } = *options;
    for (name, number) in [("--closes", closes), ("--seeds", seeds)] {
        if number == 0 {
            return Err(LabFailure::Nothing(name).into());
        }
    }
    let rounds = u64::from(seeds) * MarketKind::ALL.len() as u64;
    let bar = io::stderr().is_terminal().then(|| ProgressBar::new(rounds));
    let tenth = rounds.div_ceil(10);
    let mut progress = |done: u64| match &bar {
        Some(bar) => bar.set_position(done),
        None if done.is_multiple_of(tenth) || done == rounds => output::note(&format!("[{done}/{rounds}]")),
        None => {}
    };
    let report = play(&FeesOptions { seed, closes, seeds }, &mut progress);
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    if json {
        output::json(&report)?
    } else {
        output::print(&text(&report, seeds))?
    }
    Ok(Verdict::Good)
}

fn text(report: &FeesReport, seeds: u32) -> String {
    let seeds =
        if seeds == 1 { format!("seed {}", report.seed) } else { format!("{seeds} seeds from {} on", report.seed) };
    let head = format!("{seeds}: {} closes; the best of a column has a *", thousands(report.closes.into()));
    report.markets.iter().fold(head, |text, market| format!("{text}\n\n{}\n{}", title(market), table(market)))
}

fn title(market: &MarketReport) -> String {
    let first = market.policies.first();
    let count = |of: fn(&PolicyReport) -> u64| thousands(first.map_or(0, of).into());
    let (due, hopeless) = (count(|policy| policy.claims_due), count(|policy| policy.hopeless));
    format!("{}: {due} claims due, {hopeless} hopeless and left out", market.market)
}

/// A column: its name, whether more is better, and its number.
type Column = (&'static str, bool, fn(&PolicyReport) -> i128);

const COLUMNS: [Column; 5] = [
    ("deadlines missed", false, |policy| policy.deadlines_missed.into()),
    ("lost sat", false, |policy| policy.lost_sat.into()),
    ("fees sat", false, |policy| policy.fees_sat.into()),
    ("recovered sat", true, |policy| policy.recovered_sat.into()),
    ("replacements", false, |policy| policy.replacements.into()),
];

fn table(market: &MarketReport) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(std::iter::once("policy").chain(COLUMNS.map(|(name, _, _)| name)));
    // The table detects a terminal itself, but does not read NO_COLOR.
    if std::env::var_os("NO_COLOR").is_some() {
        table.force_no_tty();
    }
    for policy in &market.policies {
        let cells = COLUMNS.map(|(_, more, of)| {
            let all = market.policies.iter().map(of);
            let best = if more { all.max() } else { all.min() } == Some(of(policy));
            let cell = Cell::new(format!("{}{}", thousands(of(policy)), if best { " *" } else { "  " }));
            let cell = cell.set_alignment(CellAlignment::Right);
            if best { cell.fg(Color::Green) } else { cell }
        });
        table.add_row(std::iter::once(Cell::new(policy.policy)).chain(cells));
    }
    table
}

/// A number with commas between thousands.
fn thousands(number: i128) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let all = [0, 999, 1_000, 12_345, 123_456, 1_234_567, -1_234].map(thousands);
        assert_eq!(all, ["0", "999", "1,000", "12,345", "123,456", "1,234,567", "-1,234"]);
    }
}
