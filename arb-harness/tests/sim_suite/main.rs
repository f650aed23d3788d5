//! The simulator, as often as a test has time for.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by stopping")]

mod regressions;

use arb_harness::sim::{SimOptions, SimReport, run};

fn simulate(seed: u64, runs: u64) -> SimReport {
    run(&SimOptions { seed, runs }, &mut |_| {})
}

#[test]
fn sixty_runs_break_nothing() {
    let report = simulate(1, 60);
    for failure in &report.failures {
        println!("seed {}: {} in step {}: {}", failure.seed, failure.invariant, failure.step, failure.what);
    }
    println!("{} steps, {:?}", report.steps, report.counts);
    assert_eq!(report.invariant_violations, 0);
    assert_eq!(report.unresolved, 0);
    assert_eq!(report.lost_sat, 0);
}
