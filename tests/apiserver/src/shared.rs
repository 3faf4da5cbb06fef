//! What the control of the server and the answers to clients have in common.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::fault::Faults;
use crate::posted::Log;
use crate::store::Store;
use crate::{Options, Resource};

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method, such as `GET`.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query as it was sent, without the question mark; empty when there was none.
    pub query: String,
    /// The header User-Agent.
    pub user_agent: String,
    /// When it came.
    pub at: Instant,
}

/// The state of a server. No lock of it is held over I/O, nor two at once.
#[derive(Debug)]
pub(crate) struct Shared {
    pub store: Mutex<Store>,
    pub settings: Mutex<Settings>,
    pub faults: Mutex<Faults>,
    pub requests: Mutex<Vec<Request>>,
    pub posted: Mutex<Log>,
    pub bookmark_interval: Duration,
    /// How many answers were given, from which their audit ids are made.
    answers: AtomicU64,
}

/// What can change while the server runs.
#[derive(Debug)]
pub(crate) struct Settings {
    pub tokens: HashSet<String>,
    pub not_served: HashSet<Resource>,
    pub streaming_lists: bool,
}

impl Shared {
    pub(crate) fn new(options: &Options) -> Self {
        let settings = Settings {
            tokens: options.tokens.iter().cloned().collect(),
            not_served: options.not_served.iter().copied().collect(),
            streaming_lists: options.streaming_lists,
        };
        Self {
            store: Mutex::new(Store::new()),
            settings: Mutex::new(settings),
            faults: Mutex::default(),
            requests: Mutex::default(),
            posted: Mutex::default(),
            bookmark_interval: options.bookmark_interval,
            answers: AtomicU64::new(0),
        }
    }

    /// A number for the next answer.
    pub(crate) fn next_answer(&self) -> u64 {
        self.answers.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn is_served(&self, resource: Resource) -> bool {
        !lock(&self.settings).not_served.contains(&resource)
    }
}

/// Locks what stays valid even where a test panics while it holds the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
