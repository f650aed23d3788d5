//! The commands and their arguments.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::failure::{Answer, Failure};
#[cfg(feature = "lab")]
use super::{bench, demo, resume, sim};
use super::{export, history, inspect, output, replay};

#[cfg_attr(
    feature = "lab",
    doc = "The Lightning on-chain contract court: its demonstration, and the tools that read its journals."
)]
#[cfg_attr(not(feature = "lab"), doc = "The Lightning on-chain contract court: the tools that read its journals.")]
#[derive(Debug, Parser)]
#[command(name = "arb", version, max_term_width = 100)]
struct Arguments {
    /// Print one JSON object on standard output, and everything else on standard error.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "lab")]
    /// Closes BOLT 3's test-vector channels in every way, with a process that dies after every append but that of its start.
    Demo(demo::Options),
    #[cfg(feature = "lab")]
    /// Continues a demonstration that was killed, from the journals and chains in a folder.
    Resume(resume::Options),
    /// Prints a journal, one line for each frame.
    History(history::Options),
    /// Folds a journal, or with --check decides it again from the recorded events alone.
    Replay(replay::Options),
    /// Shows what each channel and each of its contracts waits for.
    Inspect(inspect::Options),
    /// Writes a journal as an .arb file, for a bug report.
    Export(export::Options),
    #[cfg(feature = "lab")]
    /// Plays random channels, closes, crashes and reorgs, and checks the invariants.
    Sim(sim::Options),
    #[cfg(feature = "lab")]
    /// Compares the sweeper with other implementations.
    #[command(subcommand)]
    Bench(bench::Options),
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    // A library may panic on a damaged file. That becomes an error below, and a user needs no backtrace for it.
    std::panic::set_hook(Box::new(|_| {}));
    let arguments = Arguments::parse();
    let answer = catch_unwind(AssertUnwindSafe(|| run(&arguments))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| String::from(*text));
        Err(Failure::Panicked(text.or_else(|| panic.downcast_ref().cloned()).unwrap_or_default()))
    });
    match answer {
        Ok(verdict) => verdict.into(),
        Err(failure) => {
            if !matches!(failure, Failure::Closed) {
                output::note(&format!("arb: {}", failure.one_line()));
            }
            failure.into()
        }
    }
}

fn run(arguments: &Arguments) -> Answer {
    let json = arguments.json;
    match &arguments.command {
        #[cfg(feature = "lab")]
        Command::Demo(options) => demo::run(options, json),
        #[cfg(feature = "lab")]
        Command::Resume(options) => resume::run(options, json),
        Command::History(options) => history::run(options, json),
        Command::Replay(options) => replay::run(options, json),
        Command::Inspect(options) => inspect::run(options, json),
        Command::Export(options) => export::run(options, json),
        #[cfg(feature = "lab")]
        Command::Sim(options) => sim::run(options, json),
        #[cfg(feature = "lab")]
        Command::Bench(options) => bench::run(options, json),
    }
}
