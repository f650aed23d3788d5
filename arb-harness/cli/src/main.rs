//! The `arb` program: reads journals, plays the demonstration, runs the simulator.
//!
//! `inspect`, `history`, `replay` and `export` read a journal. They never claim it, so they fence no owner. `demo`, `resume`,
//! `sim` and `bench` use the simulated world of `arb-lab`. They need the feature `lab`, which is on by default; without it the
//! program builds without a C++ compiler.
//!
//! Exit codes: 0 good; 1 the claim is false (unresolved, unbalanced, a difference, a violation); 2 bad input or usage; 3 not
//! available in this build (unused so far). With `--json` one object with `"schema":1` goes to standard output, and everything
//! else to standard error.

#[cfg(feature = "lab")]
mod balance;
#[cfg(feature = "lab")]
mod bench;
mod commands;
#[cfg(feature = "lab")]
mod demo;
mod export;
mod failure;
#[cfg(feature = "lab")]
mod folder;
mod history;
mod inspect;
#[cfg(feature = "lab")]
mod journal_facts;
#[cfg(feature = "lab")]
mod lab_failure;
mod output;
#[cfg(feature = "lab")]
mod play;
#[cfg(feature = "lab")]
mod progress;
mod replay;
#[cfg(feature = "lab")]
mod report;
#[cfg(feature = "lab")]
mod resume;
#[cfg(feature = "lab")]
mod sim;
mod source;
mod words;

fn main() -> std::process::ExitCode {
    commands::main()
}
