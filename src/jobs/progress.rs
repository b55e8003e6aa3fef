//! How far long work has come, on stderr, for people only.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// A bar that is drawn when stderr is a terminal, and nothing otherwise.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn of(what: &'static str, steps: usize) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::new(steps as u64).with_message(what);
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} ({elapsed}, {eta} left)") {
            bar.set_style(style);
        }
        Self { bar }
    }

    pub(crate) fn advance(&self, n: usize) {
        self.bar.inc(n as u64);
    }

    pub(crate) fn step(&self) {
        self.bar.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
