//! `arb demo`: every close, each by a process that dies after every append.

use std::path::PathBuf;
use std::time::Duration;

use arb_harness::chain::Chain;
use arb_harness::demo::Scenario;
use arb_harness::demo::stage::chain_config;

use super::failure::{Answer, Failure};
use super::folder::{Files, Folder, scenarios_in};
use super::output;
use super::play::play;
use super::progress::Progress;
use super::report::{Report, Reports};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Keep every scenario's journal (NN-NAME.redb) and chain (NN-NAME.chain) in this folder.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Play this scenario only.
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    #[command(flatten)]
    pace: Pace,
}

/// How slowly to go: for whoever wants to kill the program at a certain moment.
#[derive(Debug, clap::Args)]
pub(crate) struct Pace {
    /// Rest this long after each append.
    #[arg(long, hide = true, value_name = "MILLISECONDS", default_value_t = 0)]
    slow_ms: u64,
}

impl Pace {
    /// The rest after each append.
    pub(crate) const fn pause(&self) -> Duration {
        Duration::from_millis(self.slow_ms)
    }
}

/// Plays the demonstration.
pub(crate) fn run(options: &Options, json: bool) -> Answer {
    let scenarios: Vec<Scenario> = match &options.scenario {
        None => Scenario::all(),
        Some(name) => Scenario::all().into_iter().filter(|scenario| scenario.name() == *name).collect(),
    };
    if let (true, Some(name)) = (scenarios.is_empty(), &options.scenario) {
        return Err(Failure::NoScenario(name.clone()));
    }
    let folder = match &options.keep {
        Some(path) => Folder::kept(path)?,
        None => Folder::temporary()?,
    };
    if !scenarios_in(folder.path())?.is_empty() {
        return Err(Failure::Occupied(folder.path().to_owned()));
    }
    let kept = options.keep.is_some();
    play_all(&scenarios, &options.pace, json, |scenario| {
        let files = Files::of(folder.path(), scenario);
        let chain = if kept { Chain::create(&files.chain, chain_config())? } else { Chain::new(chain_config()) };
        Ok((files, chain))
    })
}

/// Plays scenarios one after the other and prints how each ended.
pub(crate) fn play_all(
    scenarios: &[Scenario],
    pace: &Pace,
    json: bool,
    mut begin: impl FnMut(&Scenario) -> Result<(Files, Chain), Failure>,
) -> Answer {
    let mut progress = Progress::new(scenarios.len());
    let mut reports: Vec<Report> = Vec::new();
    for scenario in scenarios {
        let (files, chain) = begin(scenario)?;
        let name = scenario.name();
        let report =
            play(*scenario, &files, chain, pace.pause(), |height, appends| progress.tick(&name, height, appends))?;
        progress.done(&report.summary());
        if !json {
            progress.aside(|| output::print(&report.tables()))?;
        }
        reports.push(report);
    }
    drop(progress);
    let reports = Reports::new(reports);
    if json {
        output::json(&reports)?
    } else {
        output::print(&reports.summary())?
    }
    Ok(reports.verdict())
}
