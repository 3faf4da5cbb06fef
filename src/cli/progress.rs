//! How far long work is: a line on standard error, while it lasts.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::manifests::Progress as Reading;

/// Work that takes less than this shows nothing.
const DELAY: Duration = Duration::from_millis(500);

/// How often the line is drawn anew where nothing else draws it.
const TICK: Duration = Duration::from_millis(100);

/// A phase of several commands.
pub(super) const READING_KERNEL: &str = "reading the rules in the kernel";

/// While the length of the work is known, and while it is not.
const BAR: &str = "{spinner} {msg} [{bar:24}] {percent} %, {elapsed}";
const SPINNER: &str = "{spinner} {msg}, {elapsed}";

/// The line that is shown, which the log must not run into.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// The progress of a command, which goes through phases. What is shown is gone when this is dropped.
///
/// Nothing is shown where standard error is no terminal, and nothing within [`DELAY`].
pub(super) struct Progress {
    bar: ProgressBar,
    /// Shows the bar when it is time; it ends when the sender is gone.
    clock: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Begins, with the reading of manifests.
    pub(super) fn start() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(style(SPINNER));
        bar.set_message("reading manifests");
        let clock = io::stderr().is_terminal().then(|| {
            let (sender, ended) = channel();
            let bar = bar.clone();
            let clock = thread::spawn(move || {
                if ended.recv_timeout(DELAY) == Err(RecvTimeoutError::Timeout) {
                    *shown() = Some(bar.clone());
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                    bar.enable_steady_tick(TICK);
                }
            });
            (sender, clock)
        });
        Self { bar, clock }
    }

    /// From now on it is this that is done, for as long as it takes.
    pub(super) fn phase(&self, what: impl Into<Cow<'static, str>>) {
        self.bar.set_style(style(SPINNER));
        self.bar.set_message(what);
    }

    /// So far manifests have been read.
    pub(super) fn reading(&self, so_far: Reading) {
        if self.clock.is_none() {
            return;
        }
        if let Some(total) = so_far.total.filter(|total| *total > 0 && self.bar.length() != Some(*total)) {
            self.bar.set_length(total);
            self.bar.set_style(style(BAR));
        }
        self.bar.set_position(so_far.bytes);
        self.bar.set_message(format!("reading manifests, {} objects", so_far.objects));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((sender, clock)) = self.clock.take() {
            drop(sender);
            // It has no way to fail.
            drop(clock.join());
        }
        *shown() = None;
        self.bar.finish_and_clear();
    }
}

fn shown() -> MutexGuard<'static, Option<ProgressBar>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A template that is not understood would show the bar in the library's own style.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .progress_chars("=> ")
}

/// Standard error for the log: its lines stand above what is shown there of progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &*shown() {
            Some(bar) => bar.suspend(|| io::stderr().write(line)),
            None => io::stderr().write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
