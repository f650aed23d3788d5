//! `arb sim`: random worlds with every fault and every invariant. The seed of a failed run plays that run again alone.

use std::io::{self, IsTerminal};

use arb_lab::sim::{Focus, SimOptions, SimReport, run as simulate};
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
    /// The number of threads. The report is the same for any number, but for the time it took.
    #[arg(long, default_value_t = 1, value_parser = parse_jobs)]
    jobs: usize,
    /// Ends at the lowest seed that fails.
    #[arg(long)]
    stop_at_first: bool,
    /// Draws worlds for one subject only; these seeds are other worlds than without it.
    #[arg(long)]
    focus: Option<Subject>,
}

/// What worlds can be drawn for.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Subject {
    /// The sweeper's economy: many HTLCs of all sizes, dear and cheap times, poor wallets.
    Money,
    /// What the court believes: channels that join late, starts that tell everything again, backups, late answers.
    Belief,
}

impl From<Subject> for Focus {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Money => Self::Money,
            Subject::Belief => Self::Belief,
        }
    }
}

/// The most threads that one simulation may have.
const JOBS_MAX: usize = 1_024;

fn parse_jobs(text: &str) -> Result<usize, String> {
    let jobs = text.parse().ok().filter(|jobs| (1..=JOBS_MAX).contains(jobs));
    jobs.ok_or_else(|| format!("a number from 1 to {JOBS_MAX} is expected"))
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
    let Options { seed, runs, jobs, stop_at_first, focus } = *options;
    let asked = SimOptions { seed, runs, jobs, stop_at_first, focus: focus.map(Focus::from) };
    let report = simulate(&asked, &mut progress);
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    if json {
        output::object(&report)?
    } else {
        output::print(&text(&report, focus))?
    }
    let good = [report.invariant_violations, report.unresolved, report.lost_sat, report.given_up_sat];
    let good = good.iter().all(|count| *count == 0);
    Ok(if good { Verdict::Good } else { Verdict::False })
}

fn text(report: &SimReport, focus: Option<Subject>) -> String {
    let counts: Vec<String> = report.counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let head = format!(
        "seed {}: {} runs, {} steps, {:.1} runs a second\n{}\n{}\n{}\n{}, {}, {}, {}",
        report.seed,
        report.runs,
        report.steps,
        report.runs_per_s,
        counts.join(", "),
        unclaimed(report),
        costs(report),
        verdict(report.invariant_violations, "violations of invariants"),
        verdict(report.unresolved, "unresolved"),
        verdict(report.lost_sat, "sat lost"),
        verdict(report.given_up_sat, "sat given up"),
    );
    let again = focus.map_or("", |subject| match subject {
        Subject::Money => " --focus money",
        Subject::Belief => " --focus belief",
    });
    report.failures.iter().fold(head, |text, failure| {
        let (seed, invariant, what) = (failure.seed, &failure.invariant, &failure.what);
        let trace: String = failure.trace.iter().map(|line| format!("\n    {line}")).collect();
        format!("{text}\n\n{invariant}: {what}\n  play it again: arb sim --seed {seed} --runs 1{again}{trace}")
    })
}

/// What did not come back, and is no loss.
fn unclaimed(report: &SimReport) -> String {
    let SimReport { uneconomic_sat, anchors_sat, priced_out_sat, out_of_reach_sat, .. } = report;
    format!(
        "not claimed: {uneconomic_sat} sat worth nothing, {anchors_sat} sat of anchors, {priced_out_sat} sat priced out, \
         {out_of_reach_sat} sat out of the wallet's reach"
    )
}

/// What claims cost.
fn costs(report: &SimReport) -> String {
    let SimReport { paid_sat, gained_sat, overpaid_sat, .. } = report;
    format!("{paid_sat} sat paid for claims of {gained_sat} sat, {overpaid_sat} sat of it more than a claim brought")
}

fn verdict(count: u64, of: &str) -> String {
    painted(&format!("{count} {of}"), count == 0)
}
