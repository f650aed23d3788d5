//! The simulator: random worlds, every fault, every invariant.
//!
//! A seed draws channels, payments, closes, reorgs and faults; the world plays them on the embedded chain against real
//! counterparties; each action is looked at when the court asks for it, and the end is judged from outside. Run `i` of seed
//! `S` is run 0 of seed `S + i`, so whatever fails is played again with `--seed S+i --runs 1`.

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

/// How much is simulated.
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
    /// The seed of that run alone.
    pub seed: u64,
    /// Which invariant, by its name in the architecture.
    pub invariant: String,
    /// What is wrong.
    pub what: String,
    /// The step in which it was seen.
    pub step: u64,
    /// What happened until then.
    pub trace: Vec<String>,
}

/// What a simulation came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SimReport {
    /// The version of this report's form.
    pub schema: u32,
    /// The seed of the first run.
    pub seed: u64,
    /// How many runs there were.
    pub runs: u64,
    /// How often the process was let run until it came to rest.
    pub steps: u64,
    /// By the clock of the machine.
    pub runs_per_s: f64,
    /// Runs that broke an invariant.
    pub invariant_violations: u64,
    /// Channels that left `Open` and were never resolved.
    pub unresolved: u64,
    /// What was lost that should not have been, measured on the chain.
    pub lost_sat: u64,
    /// What was seen, by name.
    pub counts: BTreeMap<&'static str, u64>,
    /// The runs that failed.
    pub failures: Vec<SimFailure>,
}

/// What one run came to.
struct Run {
    steps: u64,
    counts: Counts,
    trace: Vec<String>,
    end: Result<Ended, Violation>,
}

/// Runs, and tells how many runs are done after each.
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

/// One seed: with faults, and for some seeds once more without, which must come to the same (I3).
fn one(seed: u64, traced: bool) -> Run {
    let mut with = play(seed, Faults::new(seed), traced);
    // An adversary picks its prey by what it sees, and crashes change which transactions carry a claim (I3: not the same
    // txids or fees): its schedule is another one.
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

/// Plays one world to its end. A panic is a violation, too (I1).
fn play(seed: u64, faults: Faults, traced: bool) -> Run {
    let mut world = match World::new(seed, faults, traced) {
        Ok(world) => world,
        Err(violation) => return Run { steps: 0, counts: Counts::new(), trace: Vec::new(), end: Err(violation) },
    };
    let end = catch_unwind(AssertUnwindSafe(|| to_the_end(&mut world, seed)));
    let end = end.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Violation::new("I1", text.unwrap_or_else(|| "a panic".to_owned())))
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
        // What confirms now leaves again, before rights are given up.
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
