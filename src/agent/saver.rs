//! Keeps the last known state in a file, so that a node that boots while the control plane is away has its Services.
//!
//! A thread of its own asks the keeper for some Services at a time, so that changes go between, and each Service is written as it
//! was at one moment. It has the lowest priority: it may take as long as it likes, while all else is about connections.

use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use svcnat_rules::engine::Engine;
use tokio::task::spawn_blocking;

use super::questions::Asker;
use crate::memory;
use crate::metrics::Metrics;
use crate::state_file::{self, Error, Text};

/// The least time between two writings. The file of a large cluster has 15 MB; what is a minute old is as good for a node that
/// boots alone.
const INTERVAL: Duration = Duration::from_secs(60);

/// The niceness of the thread: the lowest priority that there is (`sched(7)`).
const NICENESS: i32 = 19;

pub(super) struct Saver {
    target: Target,
    asker: Asker,
    /// Whether the state is complete: what was only read from the file says nothing new.
    trusted: bool,
    dirty: bool,
    next: Instant,
    /// Gives whether the state was written, or at least tried to be.
    writing: Option<JoinHandle<bool>>,
}

#[derive(Clone)]
struct Target {
    path: PathBuf,
    metrics: Metrics,
}

impl Saver {
    pub(super) fn new(path: PathBuf, metrics: Metrics, asker: Asker) -> Self {
        let target = Target { path, metrics };
        Self { target, asker, trusted: false, dirty: false, next: Instant::now(), writing: None }
    }

    /// The source has told all that exists.
    pub(super) fn trust(&mut self) {
        (self.trusted, self.dirty) = (true, true);
    }

    /// The state is different.
    pub(super) fn changed(&mut self) {
        self.dirty = true;
    }

    /// When the state should be written next.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.dirty && self.trusted).then_some(self.next)
    }

    /// Has the state written, if it is time. The thread asks what it is, and must be answered.
    pub(super) fn save_if_due(&mut self) {
        let now = Instant::now();
        let busy = self.writing.as_ref().is_some_and(|writing| !writing.is_finished());
        if self.due().is_none_or(|due| due > now) {
            return;
        }
        self.next = now + INTERVAL;
        if !busy {
            self.writing = self.start();
            // Without a thread it is still to be written, at the next time.
            self.dirty = self.writing.is_none();
        }
    }

    fn start(&self) -> Option<JoinHandle<bool>> {
        let (target, asker) = (self.target.clone(), self.asker.clone());
        let work = move || {
            if let Err(error) = rustix::process::nice(NICENESS) {
                tracing::debug!("the state is kept with the priority of everything else: {error}");
            }
            let Some(text) = gather(&asker) else { return false };
            target.write(text);
            true
        };
        let started = thread::Builder::new().name("state".to_owned()).spawn(work);
        started.inspect_err(|error| tracing::warn!("the last known state is not kept: {error}")).ok()
    }

    /// Writes what is not written yet. A thread that writes is answered no more by then.
    pub(super) async fn finish(&mut self, engine: &Engine) {
        if let Some(writing) = self.writing.take() {
            self.dirty |= !spawn_blocking(|| writing.join().unwrap_or_default()).await.unwrap_or_default();
        }
        if self.dirty && self.trusted {
            let (target, cluster) = (self.target.clone(), engine.cluster());
            let write = move || target.write(Text::of(&cluster));
            drop(spawn_blocking(write).await);
        }
    }
}

impl Target {
    fn write(&self, text: serde_json::Result<Text>) {
        let failed =
            |source: serde_json::Error| Error::Unwritable { path: self.path.clone(), source: source.into() };
        let written = text.map_err(failed).and_then(|text| state_file::write(&self.path, text));
        self.metrics.state_file_written(written.is_ok());
        if let Err(error) = written {
            tracing::warn!("{error}");
        }
        memory::give_back();
    }
}

/// The whole state; `None` when the agent ends meanwhile.
fn gather(asker: &Asker) -> Option<serde_json::Result<Text>> {
    let mut text = Text::default();
    let mut after = None;
    loop {
        let (part, last) = asker.known_blocking(after)?;
        if let Err(error) = text.add(&part) {
            return Some(Err(error));
        }
        let Some(last) = last else { return Some(Ok(text)) };
        after = Some(last);
    }
}
