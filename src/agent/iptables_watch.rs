//! Notices what others change of our iptables rules.
//!
//! For the variant nft the kernel notifies of every change. What our own programs change is told from it by counting: each
//! of them is one sender of notifications, so while they run there are as many senders as programs, or somebody else was at
//! work as well. ip_tables notifies of nothing, so for the variant legacy the sizes of its tables are looked at; what leaves them as
//! they were is found by the comparison of every `syncPeriod`.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use crate::netlink::{self, Heard, Listen, Monitor, TableSizes};

/// How often the sizes of tables are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Watches one variant's rules, and tells of disturbances. Whoever reads or writes them says so.
pub(super) enum Watch {
    Nft(Arc<Notifications>),
    Legacy(Arc<Sizes>),
}

/// The notifications of nf_tables.
pub(super) struct Notifications {
    monitor: Monitor,
    disturbances: Sender<()>,
    /// What was heard since our own programs began to write; nothing while they do not.
    writing: Mutex<Option<Heard>>,
}

/// The sizes of the tables of ip_tables.
pub(super) struct Sizes {
    disturbances: Sender<()>,
    /// What they should be; nothing while that is not known.
    expected: Mutex<Option<TableSizes>>,
}

impl Watch {
    /// Begins to watch what the variant nft keeps, from a thread of its own.
    pub(super) fn nft(disturbances: Sender<()>) -> Result<Self, netlink::Error> {
        let monitor = Monitor::open(Listen::Iptables)?;
        let watched = Arc::new(Notifications { monitor, disturbances, writing: Mutex::default() });
        let listener = Arc::clone(&watched);
        start(move || listener.listen())?;
        Ok(Self::Nft(watched))
    }

    /// The same for the variant legacy.
    pub(super) fn legacy(disturbances: Sender<()>) -> Result<Self, netlink::Error> {
        let watched = Arc::new(Sizes { disturbances, expected: Mutex::default() });
        let looker = Arc::clone(&watched);
        start(move || looker.look())?;
        Ok(Self::Legacy(watched))
    }

    /// The rules are going to be read.
    pub(super) fn reading(&self) {
        if let Self::Legacy(sizes) = self {
            sizes.expect_these();
        }
    }

    /// Programs of ours are going to write.
    pub(super) fn writing(&self) {
        match self {
            Self::Nft(notifications) => notifications.begin(),
            Self::Legacy(sizes) => *lock(&sizes.expected) = None,
        }
    }

    /// So many of them have written and ended.
    pub(super) fn written(&self, programs: usize) {
        match self {
            Self::Nft(notifications) => notifications.end(programs),
            Self::Legacy(sizes) => sizes.expect_these(),
        }
    }
}

fn start(work: impl FnOnce() + Send + 'static) -> Result<(), netlink::Error> {
    let started = thread::Builder::new().name("monitor".to_owned()).spawn(work);
    started.map(drop).map_err(|source| netlink::Error::Io { action: "start a thread", source })
}

/// Nothing that is locked here is left half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One that waits already says the same.
fn tell(disturbances: &Sender<()>) {
    let _ = disturbances.try_send(());
}

impl Notifications {
    fn listen(&self) {
        while !self.disturbances.is_closed() {
            if let Err(error) = self.monitor.wait() {
                warn(&error);
            }
            let mut writing = lock(&self.writing);
            let heard = self.take();
            match writing.as_mut() {
                Some(while_writing) => while_writing.add(heard),
                None => self.tell_of_more_than(0, &heard),
            }
        }
    }

    fn begin(&self) {
        let mut writing = lock(&self.writing);
        self.tell_of_more_than(0, &self.take());
        *writing = Some(Heard::default());
    }

    fn end(&self, programs: usize) {
        let mut writing = lock(&self.writing);
        let mut heard = writing.take().unwrap_or_default();
        heard.add(self.take());
        self.tell_of_more_than(programs, &heard);
    }

    fn tell_of_more_than(&self, senders: usize, heard: &Heard) {
        if heard.lost || heard.senders.len() > senders {
            tell(&self.disturbances);
        }
    }

    fn take(&self) -> Heard {
        self.monitor.take().unwrap_or_else(|error| {
            warn(&error);
            Heard { lost: true, ..Heard::default() }
        })
    }
}

fn warn(error: &io::Error) {
    tracing::warn!("cannot hear of changes of the rules: {error}");
}

impl Sizes {
    fn look(&self) {
        while !self.disturbances.is_closed() {
            thread::sleep(LOOK);
            let mut expected = lock(&self.expected);
            // Told once, until the rules are read again.
            if expected.is_some() && *expected != read_sizes() {
                *expected = None;
                tell(&self.disturbances);
            }
        }
    }

    fn expect_these(&self) {
        let mut expected = lock(&self.expected);
        *expected = read_sizes();
    }
}

/// Where they cannot be read, nothing is expected of them.
fn read_sizes() -> Option<TableSizes> {
    TableSizes::read().inspect_err(|error| tracing::warn!("cannot look at the sizes of tables: {error}")).ok()
}
