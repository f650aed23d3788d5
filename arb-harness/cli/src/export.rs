//! `arb export`: writes a journal to one file that can be sent.

use std::fs::OpenOptions;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

use arb_log::arb_file;
use serde::Serialize;

use super::failure::{Answer, Failure, Verdict};
use super::output;
use super::source::{JournalArguments, Source};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    journal: JournalArguments,
    /// The file to write; it must not exist. It has everything that the journal knows, also preimages.
    #[arg(value_name = "FILE.arb")]
    file: PathBuf,
}

#[derive(Serialize)]
struct Exported {
    frames: usize,
    first: u64,
    bytes: usize,
}

/// Writes the file.
pub(crate) fn run(options: &Options, json: bool) -> Answer {
    let source = Source::open(&options.journal)?;
    let mut frames = Vec::new();
    source.frames(|frame| {
        frames.push(frame.clone());
        ControlFlow::<()>::Continue(())
    })?;
    let bytes = arb_file::encode(&frames).map_err(|why| Failure::Unwritable(options.file.clone(), why))?;
    let file = OpenOptions::new().write(true).create_new(true).open(&options.file);
    let written = file.and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()));
    written.map_err(Failure::io("write", &options.file))?;
    let exported = Exported { frames: frames.len(), first: source.first(), bytes: bytes.len() };
    if json {
        output::json(&exported)?;
    } else {
        let (frames, bytes) = (exported.frames, exported.bytes);
        output::print(&format!("{}: {frames} frames, {bytes} bytes", options.file.display()))?;
    }
    Ok(Verdict::Good)
}
