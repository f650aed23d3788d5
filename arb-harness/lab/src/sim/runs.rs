//! Plays the seeds of a simulation, on one thread or on several, and adds the runs up in the order of their seeds. So the
//! report is the same for any number of threads, but for the time it took.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use serde::Serialize;

use super::checks::unclaimed::Sums;
use super::counts::Counts;
use super::plan::economy::Focus;
use super::{Run, one};

/// The seeds that a simulation runs, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimOptions {
    /// The seed of the first run.
    pub seed: u64,
    /// How many runs, each with the next seed.
    pub runs: u64,
    /// How many threads play them; 0 counts as 1.
    pub jobs: usize,
    /// Whether the simulation ends at the lowest seed that fails.
    pub stop_at_first: bool,
    /// What the worlds are drawn for; `None` for all kinds of worlds.
    pub focus: Option<Focus>,
}

impl SimOptions {
    /// So many runs from this seed on, on one thread, in all kinds of worlds.
    pub fn new(seed: u64, runs: u64) -> Self {
        Self { seed, runs, jobs: 1, stop_at_first: false, focus: None }
    }
}

/// A run that broke an invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SimFailure {
    /// The seed that repeats this run on its own.
    pub seed: u64,
    /// The invariant by its name in the architecture (`I1` to `I20`), `refusal` for an event that the court should have
    /// accepted, or `world` for a bug of the simulator.
    pub invariant: String,
    /// What was found, and what was expected.
    pub what: String,
    /// How often the process had been run until idle by then.
    pub step: u64,
    /// One line for each thing that happened until then, each with the height.
    pub trace: Vec<String>,
}

/// The result of a simulation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SimReport {
    /// The version of the report's JSON fields.
    pub schema: u32,
    /// The seed of the first run.
    pub seed: u64,
    /// How many runs there were.
    pub runs: u64,
    /// How often the process was run until it was idle, over all runs.
    pub steps: u64,
    /// Runs per second of wall-clock time.
    pub runs_per_s: f64,
    /// Runs that broke an invariant.
    pub invariant_violations: u64,
    /// Runs in which a channel left `Open` and was never resolved (I12).
    pub unresolved: u64,
    /// Satoshis lost although I14 promises them, measured on the chain.
    pub lost_sat: u64,
    /// Satoshis of outputs that could never leave anything, all stages of their claims counted (I16).
    pub uneconomic_sat: u64,
    /// Satoshis of anchors that no child spent.
    pub anchors_sat: u64,
    /// Satoshis of HTLCs that the counterparty took while prices were above every sane budget.
    pub priced_out_sat: u64,
    /// Satoshis of HTLCs that the counterparty took and that no policy could have claimed with our wallet and signer.
    pub out_of_reach_sat: u64,
    /// Satoshis that were given up although they could have been claimed (I16).
    pub given_up_sat: u64,
    /// What our claims paid in fees, in satoshi.
    pub paid_sat: u64,
    /// What they brought, in satoshi, before fees.
    pub gained_sat: u64,
    /// What single claims paid above what they brought, in satoshi: known only afterwards (I18).
    pub overpaid_sat: u64,
    /// What was seen, by name; names that were never seen are there with zero.
    pub counts: BTreeMap<&'static str, u64>,
    /// The runs that failed, by their seeds.
    pub failures: Vec<SimFailure>,
}

/// One run, with its trace if it failed.
struct Played {
    run: Run,
    failure: Option<SimFailure>,
}

/// Plays one run; a run that fails is played once more for its trace.
fn played(seed: u64, focus: Option<Focus>) -> Played {
    let run = one(seed, focus, false);
    let failure = run.end.as_ref().err().map(|violation| {
        let traced = one(seed, focus, true);
        let (invariant, what) = (violation.invariant.into(), violation.what.clone());
        SimFailure { seed, invariant, what, step: traced.steps, trace: traced.trace }
    });
    Played { run, failure }
}

/// Runs the simulation and calls `progress` after each run with the number of runs done.
pub fn run(options: &SimOptions, progress: &mut dyn FnMut(u64)) -> SimReport {
    let begun = Instant::now();
    // The numbers of the next run that a thread takes, and of the first that none takes any more.
    let (next, end) = (AtomicU64::new(0), AtomicU64::new(options.runs));
    let (sender, results) = mpsc::channel();
    let work = |sender: mpsc::Sender<(u64, Played)>| {
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            if number >= end.load(Ordering::SeqCst) {
                return;
            }
            let played = played(options.seed.wrapping_add(number), options.focus);
            if options.stop_at_first && played.failure.is_some() {
                // Runs with lower numbers were taken before, and end; the lowest that fails is the last that counts.
                end.fetch_min(number.saturating_add(1), Ordering::SeqCst);
            }
            if sender.send((number, played)).is_err() {
                return;
            }
        }
    };
    let mut total = Total::new(options);
    thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            let sender = sender.clone();
            scope.spawn(|| work(sender));
        }
        drop(sender);
        for (done, (number, played)) in (1..).zip(results.iter()) {
            total.add(number, played);
            progress(done);
        }
    });
    total.report(begun)
}

/// The sum of the runs so far.
struct Total {
    report: SimReport,
    counts: Counts,
    sums: Sums,
    stop_at_first: bool,
    /// Runs that ended before one with a lower number.
    early: BTreeMap<u64, Played>,
}

impl Total {
    fn new(options: &SimOptions) -> Self {
        let report = SimReport {
            schema: 1,
            seed: options.seed,
            runs: 0,
            steps: 0,
            runs_per_s: 0.0,
            invariant_violations: 0,
            unresolved: 0,
            lost_sat: 0,
            uneconomic_sat: 0,
            anchors_sat: 0,
            priced_out_sat: 0,
            out_of_reach_sat: 0,
            given_up_sat: 0,
            paid_sat: 0,
            gained_sat: 0,
            overpaid_sat: 0,
            counts: BTreeMap::new(),
            failures: Vec::new(),
        };
        let (counts, sums, stop_at_first) = (Counts::new(), Sums::default(), options.stop_at_first);
        Self { report, counts, sums, stop_at_first, early: BTreeMap::new() }
    }

    /// Adds a run, and those that waited for it.
    fn add(&mut self, number: u64, played: Played) {
        self.early.insert(number, played);
        while !self.is_over() {
            let Some(played) = self.early.remove(&self.report.runs) else { return };
            self.add_next(played);
        }
    }

    fn is_over(&self) -> bool {
        self.stop_at_first && !self.report.failures.is_empty()
    }

    fn add_next(&mut self, Played { run, failure }: Played) {
        let report = &mut self.report;
        report.runs += 1;
        report.steps += run.steps;
        self.sums.add(&run.sums);
        self.counts.add(&run.counts);
        if let Err(violation) = run.end {
            report.invariant_violations += 1;
            report.unresolved += u64::from(violation.invariant == "I12");
        }
        report.failures.extend(failure);
    }

    fn report(self, begun: Instant) -> SimReport {
        let Sums { lost, uneconomic, anchors, priced_out, out_of_reach, given_up, paid, gained, overpaid } = self.sums;
        SimReport {
            runs_per_s: rate(self.report.runs, begun),
            lost_sat: lost,
            uneconomic_sat: uneconomic,
            anchors_sat: anchors,
            priced_out_sat: priced_out,
            out_of_reach_sat: out_of_reach,
            given_up_sat: given_up,
            paid_sat: paid,
            gained_sat: gained,
            overpaid_sat: overpaid,
            counts: self.counts.into_map(),
            ..self.report
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(runs: u64, begun: Instant) -> f64 {
    let seconds = begun.elapsed().as_secs_f64();
    if seconds > 0.0 { (runs as f64 / seconds * 10.0).round() / 10.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::checks::ending::Ended;
    use crate::sim::violation::Violation;

    fn ended(seed: u64, good: bool) -> Played {
        let end = if good { Ok(Ended::default()) } else { Err(Violation::new("I12", "planted")) };
        let sums = Sums { given_up: u64::from(!good), ..Sums::default() };
        let run = Run { steps: 1, counts: Counts::new(), sums, trace: Vec::new(), end };
        let (invariant, what, trace) = ("I12".into(), "planted".into(), Vec::new());
        Played { run, failure: (!good).then_some(SimFailure { seed, invariant, what, step: 1, trace }) }
    }

    fn sum(stop_at_first: bool, played: &[(u64, bool)]) -> (u64, u64, u64, Vec<u64>) {
        let mut total = Total::new(&SimOptions { stop_at_first, ..SimOptions::new(10, 4) });
        for (number, good) in played {
            total.add(*number, ended(10 + number, *good));
        }
        let report = total.report(Instant::now());
        let failed = report.failures.iter().map(|failure| failure.seed).collect();
        (report.runs, report.steps, report.unresolved, failed)
    }

    #[test]
    fn runs_are_added_in_the_order_of_their_seeds() {
        let early = [(2, false), (3, true), (1, false), (0, true)];
        assert_eq!(sum(false, &early), (4, 4, 2, vec![11, 12]));
        assert_eq!(sum(true, &early), (2, 2, 1, vec![11]), "the later failure does not count");
        assert_eq!(sum(true, &[(0, true), (1, true)]), (2, 2, 0, vec![]));
    }
}
