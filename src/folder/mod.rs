//! A source that follows manifests as they change: Services for hosts without Kubernetes.
//!
//! inotify tells what was touched, and after a short quiet time the files that have changed are read again; what is told
//! is the difference between the cluster before and after. Editors write in many ways (over the file, beside it and
//! renamed, by links that are swapped, as ConfigMap volumes do with `..data`); all of them come down to a path that
//! stands for another file afterwards, or for the same one with another stamp. What they keep beside it meanwhile is hidden,
//! and hidden files are no manifests.
//!
//! Rules made from half of the manifests would take Services down. So a file is not read while somebody writes it, and as
//! long as anything cannot be read or understood (a folder without manifests included), it is reported and the last good
//! state of all paths together stays in force. Whoever wants to take all Services away leaves a manifest with an empty
//! list: `{apiVersion: v1, kind: List, items: []}`.
//!
//! inotify knows only of changes made on this host. For others (a network file system) and for what it lost, everything
//! is looked at every half a minute too.

mod error;
mod paths;
mod pending;
mod reader;
mod watch;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use svcnat_rules::engine::Event;
use svcnat_rules::name::Name;
use svcnat_rules::net::Cidr;
use tokio::sync::mpsc;
use tokio::task;

pub use error::Error;
use pending::{Pending, Touched};
use reader::{Outcome, Reader};
use watch::Watch;

use crate::source::{Change, News};

/// What to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Files and folders, as [`Source::Path`](crate::manifests::Source::Path) takes them, in their order.
    pub paths: Vec<PathBuf>,
    /// The name of the Node that the rules are for.
    pub node_name: Name,
    /// Networks that ClusterIPs are taken from, besides those of ServiceCIDR objects.
    pub service_cidrs: Vec<Cidr>,
}

/// How soon changes are acted on.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// For how long nothing must have been touched.
    quiet: Duration,
    /// After that, it is acted even if something is touched all the time; and a writer that has written nothing for
    /// so long is not waited for.
    longest: Duration,
    /// How often everything is looked at without being told.
    rescan: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(50),
            longest: Duration::from_secs(1),
            rescan: Duration::from_secs(30),
        }
    }
}

/// For how long the start waits for manifests that change all the time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Manifests that are followed.
pub struct Folder {
    pending: Arc<Pending>,
    pace: Pace,
    follower: Follower,
    /// What the manifests said at the start, until it is told.
    start: Vec<Event>,
}

impl Folder {
    /// Begins to watch, and reads everything.
    ///
    /// # Errors
    ///
    /// All that is wrong with any of the manifests; [`Error`] where they cannot be watched.
    pub async fn open(options: Options) -> Result<Self, Error> {
        Self::open_at(options, Pace::default()).await
    }

    async fn open_at(options: Options, pace: Pace) -> Result<Self, Error> {
        let pending = Arc::new(Pending::new(pace));
        let watch = Watch::new(Arc::clone(&pending))?;
        let mut follower = Follower { watch, reader: Reader::new(options) };
        let begun = Instant::now();
        loop {
            let look = follower.look(Touched::All).await;
            look.watched?;
            follower = look.follower;
            match look.outcome {
                Outcome::Read(start) => return Ok(Self { pending, pace, follower, start }),
                Outcome::Broken(errors) => return Err(errors.into()),
                Outcome::Unsettled if begun.elapsed() > PATIENCE => return Err(Error::Unsettled),
                Outcome::Unsettled => tokio::time::sleep(pace.quiet).await,
            }
        }
    }

    /// Tells what the manifests said at the start and how that changes, until nobody listens.
    pub async fn run(mut self, news: mpsc::Sender<News>) {
        let start = std::mem::take(&mut self.start);
        if tell(&news, start).await.is_none()
            || news.send(News::Eligible(true)).await.is_err()
            || news.send(News::Complete).await.is_err()
        {
            return;
        }
        loop {
            let touched = tokio::select! {
                () = news.closed() => return,
                touched = self.pending.touched() => touched,
            };
            let look = self.follower.look(touched).await;
            self.follower = look.follower;
            if let Err(error) = look.watched {
                tracing::error!("{error}; changes are noticed within {} s only", self.pace.rescan.as_secs());
            }
            match look.outcome {
                Outcome::Read(events) => {
                    if tell(&news, events).await.is_none() {
                        return;
                    }
                }
                Outcome::Broken(errors) => self.follower.reader.report(&errors),
                Outcome::Unsettled => self.pending.touch_all(),
            }
        }
    }
}

/// Sends changes; `None` where nobody listens any more.
async fn tell(news: &mpsc::Sender<News>, events: Vec<Event>) -> Option<()> {
    let read = Instant::now();
    for event in events {
        news.send(News::Change(Change { event, read, triggered: None })).await.ok()?;
    }
    Some(())
}

/// What touches the file system, in blocking calls.
struct Follower {
    watch: Watch,
    reader: Reader,
}

/// What a look at the manifests gave.
struct Look {
    follower: Follower,
    /// Whether every change that comes will be told.
    watched: Result<(), Error>,
    outcome: Outcome,
}

impl Follower {
    /// Watches what there is to be watched and reads what has changed.
    async fn look(self, touched: Touched) -> Look {
        match task::spawn_blocking(move || self.look_now(&touched)).await {
            Ok(look) => look,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down: it will not poll this again.
                Err(_) => std::future::pending().await,
            },
        }
    }

    fn look_now(mut self, touched: &Touched) -> Look {
        let (watched, settled) = match self.watch.follow(&self.reader.options().paths) {
            Ok(settled) => (Ok(()), settled),
            Err(error) => (Err(error), true),
        };
        let outcome = if settled { self.reader.read(touched) } else { Outcome::Unsettled };
        Look { follower: self, watched, outcome }
    }
}
