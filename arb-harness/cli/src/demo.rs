//! `arb demo`: plays every kind of close with a process that dies after every append but that of its start.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use arb_lab::chain::Chain;
use arb_lab::demo::Scenario;
use arb_lab::demo::stage::chain_config;

use super::failure::{Answer, Failure};
use super::folder::{Files, Folder, scenarios_in};
use super::lab_failure::LabFailure;
use super::output;
use super::play::play;
use super::progress::Progress;
use super::report::{Report, Reports};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Keep each scenario's journal (NN-NAME.redb) and chain (NN-NAME.chain) in this folder.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Play only this scenario; an unknown name prints the list.
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    #[command(flatten)]
    pace: Pace,
}

/// How fast to go.
#[derive(Debug, clap::Args)]
pub(crate) struct Pace {
    /// The number of scenarios that are played at a time, from 1 to 64.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = jobs)]
    jobs: usize,
    /// Pause this long after each append, so that a test can kill the program at a certain moment.
    #[arg(long, hide = true, value_name = "MILLISECONDS", default_value_t = 0)]
    slow_ms: u64,
}

impl Pace {
    /// The pause after each append.
    pub(crate) const fn pause(&self) -> Duration {
        Duration::from_millis(self.slow_ms)
    }
}

fn jobs(text: &str) -> Result<usize, String> {
    let jobs = text.parse().ok().filter(|jobs| (1..=64).contains(jobs));
    jobs.ok_or_else(|| "expected a number from 1 to 64".to_owned())
}

/// Plays the demonstration.
pub(crate) fn run(options: &Options, json: bool) -> Answer {
    let scenarios: Vec<Scenario> = match &options.scenario {
        None => Scenario::all(),
        Some(name) => Scenario::all().into_iter().filter(|scenario| scenario.name() == *name).collect(),
    };
    if let (true, Some(name)) = (scenarios.is_empty(), &options.scenario) {
        return Err(LabFailure::NoScenario(name.clone()).into());
    }
    let folder = match &options.keep {
        Some(path) => Folder::kept(path)?,
        None => Folder::temporary()?,
    };
    if !scenarios_in(folder.path())?.is_empty() {
        return Err(LabFailure::Occupied(folder.path().to_owned()).into());
    }
    let kept = options.keep.is_some();
    play_all(&scenarios, &options.pace, json, |scenario| {
        let files = Files::of(folder.path(), scenario);
        let chain = if kept { Chain::create(&files.chain, chain_config())? } else { Chain::new(chain_config()) };
        Ok((files, chain))
    })
}

/// Plays scenarios, a few at a time, and prints their reports in order. They share nothing; each mostly waits for the disk.
pub(crate) fn play_all(
    scenarios: &[Scenario],
    pace: &Pace,
    json: bool,
    begin: impl Fn(&Scenario) -> Result<(Files, Chain), Failure> + Sync,
) -> Answer {
    let mut progress = Progress::new(scenarios.len());
    let (next, ticker) = (AtomicUsize::new(0), progress.ticker());
    let one = |scenario: &Scenario| {
        let (files, chain) = begin(scenario)?;
        let name = scenario.name();
        play(*scenario, &files, chain, pace.pause(), |height, appends| ticker.tick(&name, height, appends))
    };
    let reports = thread::scope(|scope| {
        let (ended, ends) = mpsc::channel();
        for _ in 0..pace.jobs.min(scenarios.len()) {
            let (ended, next, one) = (ended.clone(), &next, &one);
            scope.spawn(move || {
                // The receiver is gone after the first failure.
                while let Some((place, scenario)) = take(scenarios, next) {
                    if ended.send((place, one(scenario))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(ended);
        in_order(ends, |report| {
            progress.done(&report.summary());
            if json { Ok(()) } else { progress.aside(|| output::print(&report.tables())) }
        })
    })?;
    drop(progress);
    let reports = Reports::new(reports);
    if json {
        output::json(&reports)?
    } else {
        output::print(&reports.summary())?
    }
    Ok(reports.verdict())
}

/// The next scenario that no thread has taken.
fn take<'a>(scenarios: &'a [Scenario], next: &AtomicUsize) -> Option<(usize, &'a Scenario)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    scenarios.get(place).map(|scenario| (place, scenario))
}

/// Shows reports in the scenarios' order, and collects them; the first failure ends it.
fn in_order(
    ends: mpsc::Receiver<(usize, Result<Report, Failure>)>,
    mut show: impl FnMut(&Report) -> Result<(), Failure>,
) -> Result<Vec<Report>, Failure> {
    let (mut early, mut reports) = (BTreeMap::new(), Vec::new());
    for (place, end) in ends {
        early.insert(place, end?);
        while let Some(report) = early.remove(&reports.len()) {
            show(&report)?;
            reports.push(report);
        }
    }
    Ok(reports)
}
