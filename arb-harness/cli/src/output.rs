//! Standard output for results, standard error for everything else. Colours only on a terminal.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;

use serde::Serialize;

use super::failure::Failure;

/// The version of every object that `--json` writes.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Object<'a, T> {
    schema: u32,
    #[serde(flatten)]
    body: &'a T,
}

/// Writes text and a newline to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
    written.map_err(|source| {
        let closed = source.kind() == ErrorKind::BrokenPipe;
        if closed { Failure::Closed } else { Failure::io("write", Path::new("standard output"))(source) }
    })
}

/// Writes one JSON object on one line to standard output, with the field `schema` added.
pub(crate) fn json(body: &impl Serialize) -> Result<(), Failure> {
    object(&Object { schema: SCHEMA, body })
}

/// Writes one JSON object that has the field `schema` itself.
pub(crate) fn object(object: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(object);
    print(&text.map_err(|why| Failure::io("write", Path::new("standard output"))(why.into()))?)
}

/// Writes a line to standard error. If that fails, there is nowhere to report it.
pub(crate) fn note(text: &str) {
    let _written = writeln!(io::stderr(), "{text}").is_ok();
}

/// A word for a terminal: green if it is good, red if it is bad. Without colours otherwise.
pub(crate) fn painted(word: &str, good: bool) -> String {
    let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    match (colours, good) {
        (false, _) => word.to_owned(),
        (true, true) => format!("\u{1b}[32m{word}\u{1b}[0m"),
        (true, false) => format!("\u{1b}[31m{word}\u{1b}[0m"),
    }
}
