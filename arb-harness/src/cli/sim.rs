//! `arb sim`: the simulator.

use super::failure::{Answer, Failure};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where to begin: the same seed runs the same.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many runs.
    #[arg(long, default_value_t = 1_000)]
    runs: u64,
}

/// Runs the simulator.
pub(crate) fn run(_options: &Options, _json: bool) -> Answer {
    Err(Failure::NotHere("the simulator is not in this build"))
}
