//! `arb sim`: random worlds with every fault and every invariant. The seed of a failed run plays that run again alone.

use std::io::{self, IsTerminal};

use arb_lab::sim::{SimOptions, SimReport, run as simulate};
use indicatif::ProgressBar;

use super::failure::{Answer, Verdict};
use super::output::{self, painted};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The seed of the first run; each further run has the next seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of runs.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
}

/// Runs the simulator.
pub(crate) fn run(options: &Options, json: bool) -> Answer {
    let bar = io::stderr().is_terminal().then(|| ProgressBar::new(options.runs));
    let tenth = options.runs.div_ceil(10);
    let mut progress = |done: u64| match &bar {
        Some(bar) => bar.set_position(done),
        None if done.is_multiple_of(tenth) || done == options.runs => {
            output::note(&format!("[{done}/{}]", options.runs))
        }
        None => {}
    };
    let report = simulate(&SimOptions { seed: options.seed, runs: options.runs }, &mut progress);
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    if json {
        output::object(&report)?
    } else {
        output::print(&text(&report))?
    }
    let good = report.invariant_violations == 0 && report.unresolved == 0 && report.lost_sat == 0;
    Ok(if good { Verdict::Good } else { Verdict::False })
}

fn text(report: &SimReport) -> String {
    let counts: Vec<String> = report.counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let head = format!(
        "seed {}: {} runs, {} steps, {:.1} runs a second\n{}\n{}, {}, {}",
        report.seed,
        report.runs,
        report.steps,
        report.runs_per_s,
        counts.join(", "),
        verdict(report.invariant_violations, "violations of invariants"),
        verdict(report.unresolved, "unresolved"),
        verdict(report.lost_sat, "sat lost"),
    );
    report.failures.iter().fold(head, |text, failure| {
        let (seed, invariant, what) = (failure.seed, &failure.invariant, &failure.what);
        let trace: String = failure.trace.iter().map(|line| format!("\n    {line}")).collect();
        format!("{text}\n\n{invariant}: {what}\n  play it again: arb sim --seed {seed} --runs 1{trace}")
    })
}

fn verdict(count: u64, of: &str) -> String {
    painted(&format!("{count} {of}"), count == 0)
}
