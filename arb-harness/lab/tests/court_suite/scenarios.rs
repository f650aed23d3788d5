//! Scenarios as text files, for readers who know Lightning and not this code.
//!
//! A file begins with the duties of BOLT 5 that it shows and one sentence. Blocks of lines follow, separated by empty lines:
//! commands, `----`, and what happened. Each scenario runs on the embedded chain, with its script checks, against a
//! scripted counterparty. `UPDATE=1` rewrites what happened; without it a difference fails the test.

use std::fs;
use std::path::{Path, PathBuf};

use arb_lab::check::check;

use crate::scenario_run::ScenarioRun;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

/// Runs the commands of a file; the file's text with what happened now.
fn play(text: &str) -> String {
    let mut run = ScenarioRun::new();
    let mut out = String::new();
    for (number, block) in text.trim_end().split("\n\n").enumerate() {
        if number > 0 {
            out.push_str("\n\n");
        }
        let (commands, runs) = match block.split_once("\n----") {
            Some((commands, _)) => (commands, true),
            None => (block, !block.starts_with('#')),
        };
        out.push_str(commands.trim_end());
        if runs {
            for command in commands.lines().filter(|line| !line.starts_with('#')) {
                run.command(command);
            }
            out.push_str("\n----");
            for line in run.take() {
                out.push('\n');
                out.push_str(&line);
            }
        }
    }
    out.push('\n');
    let (court, frames) = run.end();
    check(&court, &frames).unwrap_or_else(|failure| panic!("{failure}\n{failure:#?}"));
    out
}

#[test]
fn every_scenario_goes_as_written() {
    let update = std::env::var_os("UPDATE").is_some_and(|value| value == "1");
    let files = files();
    assert!(files.len() >= 10, "{files:?}");
    let mut differ = Vec::new();
    for file in files {
        let expected = fs::read_to_string(&file).unwrap();
        assert!(
            expected.starts_with("# "),
            "{}: a scenario must begin with `# ` and the duties that it shows",
            file.display()
        );
        let happened = play(&expected);
        if update {
            fs::write(&file, &happened).unwrap();
        } else if happened != expected {
            let line = happened.lines().zip(expected.lines()).position(|(a, b)| a != b).unwrap_or(0);
            let (got, want) = (happened.lines().nth(line), expected.lines().nth(line));
            differ.push(format!("{}:{}\n  got  {got:?}\n  want {want:?}", file.display(), line + 1));
        }
    }
    assert!(differ.is_empty(), "run with UPDATE=1 and review the difference:\n{}", differ.join("\n"));
}
