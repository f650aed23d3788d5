//! The simulator: random worlds, every fault, every invariant.
//!
//! A seed draws channels, payments, closes, reorgs and faults. The world plays them on the embedded chain against real
//! counterparties. Each action of the court is checked when it is due, and the end of the run is judged from the chain. Run
//! `i` of seed `S` is run 0 of seed `S + i`, so `--seed S+i --runs 1` repeats a run that failed.
//!
//! A folder uses only the folders above it:
//!
//! ```text
//! plan     what a seed draws: channels, acts, fee market, adversary, faults
//! world    what there is: chain, channels with their peers, payments, node, process
//! checks   the invariants, and when they are asked
//! faults   what goes wrong: crashes, failed writes, reorgs, cheating peers, the adversary
//! play     what happens in a turn: updates, blocks, closes
//! ```

mod checks;
mod counts;
mod faults;
mod plan;
mod play;
mod violation;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use serde::Serialize;

use checks::ending::Ended;
use checks::recovery;
use counts::Counts;
use plan::act::{Act, ReorgKind};
use plan::faults::Faults;
use violation::Violation;
use world::World;

/// The seeds that a simulation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimOptions {
    /// The seed of the first run.
    pub seed: u64,
    /// How many runs, each with the next seed.
    pub runs: u64,
}

/// A run that broke an invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SimFailure {
    /// The seed that repeats this run on its own.
    pub seed: u64,
    /// The invariant by its name in the architecture (`I1` to `I15`), `refusal` for an event that the court should have
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
    /// What was seen, by name; names that were never seen are there with zero.
    pub counts: BTreeMap<&'static str, u64>,
    /// The runs that failed.
    pub failures: Vec<SimFailure>,
}

/// The result of one run.
struct Run {
    steps: u64,
    counts: Counts,
    trace: Vec<String>,
    end: Result<Ended, Violation>,
}

/// Runs the simulation and calls `progress` after each run with the number of runs done.
pub fn run(options: &SimOptions, progress: &mut dyn FnMut(u64)) -> SimReport {
    let begun = Instant::now();
    let mut report = SimReport {
        schema: 1,
        seed: options.seed,
        runs: options.runs,
        steps: 0,
        runs_per_s: 0.0,
        invariant_violations: 0,
        unresolved: 0,
        lost_sat: 0,
        counts: BTreeMap::new(),
        failures: Vec::new(),
    };
    let mut counts = Counts::new();
    for number in 0..options.runs {
        let seed = options.seed.wrapping_add(number);
        let run = one(seed, false);
        report.steps += run.steps;
        counts.add(&run.counts);
        match run.end {
            Ok(ended) => report.lost_sat += ended.lost_sat,
            Err(violation) => {
                report.invariant_violations += 1;
                report.unresolved += u64::from(violation.invariant == "I12");
                let traced = one(seed, true);
                report.failures.push(SimFailure {
                    seed,
                    invariant: violation.invariant.into(),
                    what: violation.what,
                    step: traced.steps,
                    trace: traced.trace,
                });
            }
        }
        progress(number + 1);
    }
    report.counts = counts.into_map();
    report.runs_per_s = rate(options.runs, begun);
    report
}

#[allow(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(runs: u64, begun: Instant) -> f64 {
    let seconds = begun.elapsed().as_secs_f64();
    if seconds > 0.0 { (runs as f64 / seconds * 10.0).round() / 10.0 } else { 0.0 }
}

/// Runs one seed with faults, and every fourth seed once more without. Both must have the same outcomes (I3).
fn one(seed: u64, traced: bool) -> Run {
    let mut with = play(seed, Faults::new(seed), traced);
    // Not in a world with an adversary: it chooses targets by the transactions that it sees, and crashes change which
    // transactions carry a claim. I3 promises equal outcomes, not equal txids or fees.
    let is_fought = with.counts.get("world/adversary") > 0;
    if !seed.is_multiple_of(4) || is_fought {
        return with;
    }
    let without = play(seed, Faults::none(), false);
    with.steps += without.steps;
    with.counts.one("check/without_faults");
    with.end = match (with.end, without.end) {
        (Ok(with), Ok(without)) => {
            recovery::invariant_i3_faults_change_no_outcome(&with.outcomes, &without.outcomes).map(|()| with)
        }
        (Err(violation), _) | (_, Err(violation)) => Err(violation),
    };
    with
}

/// Plays one world to its end. A panic counts as a violation of I1.
fn play(seed: u64, faults: Faults, traced: bool) -> Run {
    let mut world = match World::new(seed, faults, traced) {
        Ok(world) => world,
        Err(violation) => return Run { steps: 0, counts: Counts::new(), trace: Vec::new(), end: Err(violation) },
    };
    let end = catch_unwind(AssertUnwindSafe(|| to_the_end(&mut world, seed)));
    let end = end.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Violation::new("I1", text.unwrap_or_else(|| "a panic without a text".to_owned())))
    });
    Run { steps: world.steps, counts: world.counts, trace: world.trace.unwrap_or_default(), end }
}

fn to_the_end(world: &mut World, seed: u64) -> Result<Ended, Violation> {
    world.open()?;
    for _ in 0..world.plan.acts.0 {
        let act = Act::draw(&mut world.rng, false);
        world.act(act)?;
    }
    world.act(Act::Close)?;
    if world.plan.swap {
        // The close leaves again before it is deep enough for the court to give rights up.
        let depth = world.rng.blocks(1, world.free_depth().clamp(1, 6));
        world.act(Act::Mine(depth))?;
        world.act(Act::Reorg(ReorgKind::Swap, depth))?;
    }
    for _ in 0..world.plan.acts.1 {
        let act = Act::draw(&mut world.rng, true);
        world.act(act)?;
    }
    world.finish()?;
    world.adversary_leaves();
    world.judge(seed.is_multiple_of(8))
}
