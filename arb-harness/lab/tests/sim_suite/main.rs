//! Some runs of the simulator, which checks the invariants, and regressions that it found. `sim::checks::planted` shows that
//! each check of an invariant can fail.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test panics")]

mod regressions;

use arb_lab::sim::{Focus, SimOptions, SimReport, run};

fn simulate(seed: u64, runs: u64) -> SimReport {
    run(&SimOptions::new(seed, runs), &mut |_| {})
}

#[test]
fn sixty_runs_break_nothing() {
    let mut done = 0;
    let report = run(&SimOptions::new(1, 60), &mut |runs| done = runs);
    for failure in &report.failures {
        println!("seed {}: {} in step {}: {}", failure.seed, failure.invariant, failure.step, failure.what);
        failure.trace.iter().for_each(|line| println!("    {line}"));
    }
    println!("{} steps, {:?}", report.steps, report.counts);
    assert_eq!((report.invariant_violations, report.unresolved, report.lost_sat, report.given_up_sat), (0, 0, 0, 0));
    assert_eq!(done, 60);
    // Sixty runs must at least see these kinds of closes, faults and claims.
    let closes = ["close/ours", "close/theirs", "close/pending", "close/mutual", "close/revoked"];
    let others = ["fault/crash", "fault/lost_write", "revoked/taken", "class/penalty_raced", "class/penalty_safe"];
    for name in closes.into_iter().chain(others) {
        assert!(report.counts[name] > 0, "{name}");
    }
}

#[test]
fn a_seed_is_a_run_and_a_later_run_stands_alone() {
    let normal = |mut report: SimReport| {
        report.runs_per_s = 0.0;
        report
    };
    let both = normal(simulate(4, 2));
    assert_eq!(both, normal(simulate(4, 2)));
    let (first, second) = (simulate(4, 1), simulate(5, 1));
    assert_eq!(both.steps, first.steps + second.steps);
    for (name, count) in &both.counts {
        assert_eq!(*count, first.counts[name] + second.counts[name], "{name}");
    }
}

#[test]
fn threads_change_nothing_in_the_report() {
    for focus in [None, Some(Focus::Money), Some(Focus::Belief)] {
        let on = |jobs| {
            let mut done = Vec::new();
            let options = SimOptions { jobs, focus, ..SimOptions::new(4, 5) };
            let report = run(&options, &mut |runs| done.push(runs));
            (SimReport { runs_per_s: 0.0, ..report }, done)
        };
        assert_eq!(on(1), on(3));
    }
}
