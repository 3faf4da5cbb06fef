//! How far a benchmark is.

use std::fmt::Display;
use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on a terminal, and a line for each phase elsewhere.
///
/// It is drawn where a phase begins and never meanwhile, since what is measured would be the drawing as well.
pub struct Progress(Option<ProgressBar>);

impl Progress {
    /// Of so many phases.
    pub fn of(phases: usize) -> super::Result<Self> {
        if !io::stderr().is_terminal() {
            return Ok(Self(None));
        }
        let bar = ProgressBar::new(u64::try_from(phases)?);
        let style = ProgressStyle::with_template("[{bar:32}] {pos} of {len}, {elapsed}: {msg}")?;
        bar.set_style(style.progress_chars("=> "));
        Ok(Self(Some(bar)))
    }

    /// A phase begins.
    pub fn phase(&self, what: impl Display) {
        match &self.0 {
            Some(bar) => {
                bar.set_message(what.to_string());
                bar.inc(1);
                // Two phases may follow each other faster than the bar is drawn by itself.
                bar.force_draw();
            }
            None => eprintln!("{what}"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
