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
//!
//! [`run`] plays the seeds, on one thread or on several, and adds the runs up.

mod checks;
mod counts;
mod faults;
mod plan;
mod play;
mod runs;
mod violation;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use checks::ending::Ended;
use checks::recovery;
use checks::unclaimed::Sums;
use counts::Counts;
use plan::act::{Act, ReorgKind};
use plan::faults::Faults;
use violation::Violation;
use world::World;

pub use plan::economy::Focus;
pub use runs::{SimFailure, SimOptions, SimReport, run};

/// The result of one run.
struct Run {
    steps: u64,
    counts: Counts,
    sums: Sums,
    trace: Vec<String>,
    end: Result<Ended, Violation>,
}

/// Runs one seed with faults, and every fourth seed once more without. Both must have the same outcomes (I3).
fn one(seed: u64, focus: Option<Focus>, traced: bool) -> Run {
    let mut with = play(seed, focus, Faults::new(seed), traced);
    // Not in a world with an adversary: it chooses targets by the transactions that it sees, and crashes change which
    // transactions carry a claim. I3 promises equal outcomes, not equal txids or fees.
    let is_fought = with.counts.get("world/adversary") > 0;
    if !seed.is_multiple_of(4) || is_fought {
        return with;
    }
    let without = play(seed, focus, Faults::none(), false);
    with.steps += without.steps;
    with.counts.one("check/without_faults");
    with.end = match (with.end, without.end) {
        (Ok(ended), Ok(without)) => {
            let compared = recovery::invariant_i3_faults_change_no_outcome(&ended.outcomes, &without.outcomes);
            with.counts.many("check/race_of_commitments", u64::from(compared == Ok(false)));
            compared.map(|_| ended)
        }
        (Err(violation), _) | (_, Err(violation)) => Err(violation),
    };
    with
}

/// Plays one world to its end. A panic counts as a violation of I1.
fn play(seed: u64, focus: Option<Focus>, faults: Faults, traced: bool) -> Run {
    let mut world = match World::new(seed, focus, faults, traced) {
        Ok(world) => world,
        Err(violation) => {
            let (counts, sums) = (Counts::new(), Sums::default());
            return Run { steps: 0, counts, sums, trace: Vec::new(), end: Err(violation) };
        }
    };
    let end = catch_unwind(AssertUnwindSafe(|| to_the_end(&mut world, seed)));
    let end = end.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Violation::new("I1", text.unwrap_or_else(|| "a panic without a text".to_owned())))
    });
    Run { steps: world.steps, counts: world.counts, sums: world.sums, trace: world.trace.unwrap_or_default(), end }
}

fn to_the_end(world: &mut World, seed: u64) -> Result<Ended, Violation> {
    world.open()?;
    for number in 0..world.plan.acts.0 {
        world.join_at(Some(number))?;
        world.backup_at(number)?;
        let act = Act::draw(&mut world.rng, world.economy.act_weights(false));
        world.act(act)?;
    }
    world.act(Act::Close)?;
    if world.plan.swap {
        // The close leaves again before it is deep enough for the court to give rights up.
        let depth = world.rng.blocks(1, world.free_depth().clamp(1, 6));
        world.act(Act::Mine(depth))?;
        world.act(Act::Reorg(ReorgKind::Swap, depth))?;
    }
    for number in 0..world.plan.acts.1 {
        world.join_at(Some(world.plan.acts.0 + number))?;
        let act = Act::draw(&mut world.rng, world.economy.act_weights(true));
        world.act(act)?;
    }
    world.finish()?;
    world.adversary_leaves();
    world.judge(seed.is_multiple_of(8))
}
