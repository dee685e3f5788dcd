//! A progress bar with the time left, on a terminal; nothing elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

/// How far a run is.
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar on standard error, if that is a terminal.
    pub fn new() -> Progress {
        let bar = ProgressBar::new(0);
        let style = "{bar:30} {pos}/{len}, {elapsed} gone, about {eta} left  {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Progress(bar)
    }

    /// There is this much more to do.
    pub fn expect(&self, steps: usize) {
        self.0.inc_length(steps as u64);
    }

    pub(crate) fn step(&self, done: &str) {
        self.0.set_message(done.to_owned());
        self.0.inc(1);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Default for Progress {
    fn default() -> Self {
        Progress::new()
    }
}
