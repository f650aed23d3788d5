//! The demonstration's progress on standard error: a bar on a terminal, a line for each scenario otherwise.

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
    /// The progress before the first of `total` scenarios ends.
    pub(crate) fn new(total: usize) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(u64::try_from(total).unwrap_or(u64::MAX));
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {elapsed} {msg}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, total, done: 0 }
    }

    /// A handle that reports a running scenario, from any thread.
    pub(crate) fn ticker(&self) -> Ticker {
        Ticker(self.bar.clone())
    }

    /// Reports that a scenario ended.
    pub(crate) fn done(&mut self, summary: &str) {
        self.done += 1;
        match &self.bar {
            Some(bar) => bar.inc(1),
            None => output::note(&format!("[{}/{}] {summary}", self.done, self.total)),
        }
    }

    /// Runs something, such as printing, while the bar is hidden.
    pub(crate) fn aside<T>(&self, run: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(run),
            None => run(),
        }
    }
}

/// Reports how far a running scenario is.
pub(crate) struct Ticker(Option<ProgressBar>);

impl Ticker {
    /// Reports a scenario's chain height and its appends so far.
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
