//! Keeps the last known state in a file, so that a node that boots while the control plane is away has its Services.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use svcnat_rules::cluster::Cluster;
use svcnat_rules::engine::Engine;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::metrics::Metrics;
use crate::state_file;

/// The least time between two writings. The file of a large cluster has 15 MB, and changes wait some milliseconds while the state is
/// copied; what is a minute old is as good for a node that boots alone.
const INTERVAL: Duration = Duration::from_secs(60);

pub(super) struct Saver {
    path: PathBuf,
    metrics: Metrics,
    /// Whether the state is complete: what was only read from the file says nothing new.
    trusted: bool,
    dirty: bool,
    next: Instant,
    writing: Option<JoinHandle<()>>,
}

impl Saver {
    pub(super) fn new(path: PathBuf, metrics: Metrics) -> Self {
        Self { path, metrics, trusted: false, dirty: false, next: Instant::now(), writing: None }
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

    /// Writes the state on another thread, if it is time.
    pub(super) fn save_if_due(&mut self, engine: &Engine) {
        let now = Instant::now();
        let busy = self.writing.as_ref().is_some_and(|writing| !writing.is_finished());
        if self.due().is_none_or(|due| due > now) {
            return;
        }
        self.next = now + INTERVAL;
        if !busy {
            self.dirty = false;
            self.writing = Some(self.write(engine.cluster()));
        }
    }

    /// Writes what is not written yet.
    pub(super) async fn finish(&mut self, engine: &Engine) {
        if let Some(writing) = self.writing.take() {
            drop(writing.await);
        }
        if self.dirty && self.trusted {
            drop(self.write(engine.cluster()).await);
        }
    }

    fn write(&self, cluster: Cluster) -> JoinHandle<()> {
        let (path, metrics) = (self.path.clone(), self.metrics.clone());
        spawn_blocking(move || {
            let written = state_file::write(&path, &cluster);
            metrics.state_file_written(written.is_ok());
            if let Err(error) = written {
                tracing::warn!("{error}");
            }
        })
    }
}
