//! How far the demonstration is, on standard error: a bar on a terminal, a line for each scenario otherwise.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

use super::output;

/// The progress of several scenarios.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    total: usize,
    done: usize,
}

impl Progress {
    /// Nothing is done of `total` scenarios.
    pub(crate) fn new(total: usize) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(u64::try_from(total).unwrap_or(u64::MAX));
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {elapsed} {msg}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, total, done: 0 }
    }

    /// Whoever tells how far a scenario is, from any thread.
    pub(crate) fn ticker(&self) -> Ticker {
        Ticker(self.bar.clone())
    }

    /// A scenario ended.
    pub(crate) fn done(&mut self, summary: &str) {
        self.done += 1;
        match &self.bar {
            Some(bar) => bar.inc(1),
            None => output::note(&format!("[{}/{}] {summary}", self.done, self.total)),
        }
    }

    /// Does something with the bar out of the way.
    pub(crate) fn aside<T>(&self, run: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(run),
            None => run(),
        }
    }
}

/// Tells how far a scenario is.
pub(crate) struct Ticker(Option<ProgressBar>);

impl Ticker {
    /// A scenario is at this height, after so many appends.
    pub(crate) fn tick(&self, name: &str, height: u32, appends: u64) {
        if let Some(bar) = &self.0 {
            bar.set_message(format!("{name}: height {height}, {appends} appends"));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
