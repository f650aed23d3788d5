//! The `arb` program: plays the demonstration, and reads journals.
//!
//! Exit codes: 0 good; 1 the claim is false (unresolved, unbalanced, a difference, a violation); 2 bad input or usage;
//! 3 not available here (nothing, so far). With `--json` one object goes to standard output, with `"schema":1`, and
//! everything else to standard error. Tools that read never claim a journal, so that nobody is fenced by being looked at.

mod balance;
mod bench;
mod demo;
mod export;
mod failure;
mod folder;
mod history;
mod inspect;
mod journal_facts;
mod output;
mod play;
mod progress;
mod replay;
mod report;
mod resume;
mod sim;
mod source;
mod words;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::{Answer, Failure};

/// The Lightning on-chain contract court: its demonstration, and the tools that read its journals.
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
    /// Closes BOLT 3's channels in every way, with a process that dies after every append.
    Demo(demo::Options),
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
    /// Runs the simulator.
    Sim(sim::Options),
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
        Command::Demo(options) => demo::run(options, json),
        Command::Resume(options) => resume::run(options, json),
        Command::History(options) => history::run(options, json),
        Command::Replay(options) => replay::run(options, json),
        Command::Inspect(options) => inspect::run(options, json),
        Command::Export(options) => export::run(options, json),
        Command::Sim(options) => sim::run(options, json),
        Command::Bench(options) => bench::run(options, json),
    }
}
