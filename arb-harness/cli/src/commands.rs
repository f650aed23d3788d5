//! The commands, and how they are called.

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
    /// One JSON object on standard output; everything else goes to standard error.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "lab")]
    /// Closes BOLT 3's channels in every way, with a process that dies after every append.
    Demo(demo::Options),
    #[cfg(feature = "lab")]
    /// Goes on with a demonstration that was killed, from the journals and chains in a folder.
    Resume(resume::Options),
    /// Tells a journal's story, one line for each frame.
    History(history::Options),
    /// Decides a journal again from what was heard alone.
    Replay(replay::Options),
    /// Shows what every channel, and every contract of it, waits for.
    Inspect(inspect::Options),
    /// Writes a journal as an .arb file, for a bug report.
    Export(export::Options),
    #[cfg(feature = "lab")]
    /// Runs the simulator.
    Sim(sim::Options),
    #[cfg(feature = "lab")]
    /// Measures the court's judgement beside that of others.
    #[command(subcommand)]
    Bench(bench::Options),
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    // What panics inside a library on a damaged file is turned into an error; nobody should read a backtrace for it.
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
