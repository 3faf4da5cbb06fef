//! Watches, and the lists that are told as the beginning of one.

mod stream;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use crate::body::Writer;
use crate::object::Object;
use crate::query::Query;
use crate::selector::Selection;
use crate::shared::{Shared, lock};
use crate::status::Refusal;
use crate::store::{Change, Command, Opened, Store, Told, TooOld};
use crate::{Fault, Resource};

pub(crate) use stream::error_line;
use stream::{End, Stream};

/// How long a watch lasts whose client does not say: the real server's `--min-request-timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);

/// How many changes are taken at once, which bounds how long the store is locked.
const BATCH: usize = 256;

/// A watch that is granted.
#[derive(Debug)]
pub(crate) struct Watch {
    resource: Resource,
    selection: Selection,
    opened: Opened,
    /// Commands that wait until the changes before them have been told.
    commands: VecDeque<Told>,
    initial: Vec<Object>,
    /// Whether a bookmark tells where the initial events end.
    marks_end: bool,
    bookmarks: bool,
    /// All changes up to this version have been told.
    version: u64,
    deadline: Instant,
}

impl Watch {
    /// Registers the watch that the query asks for. The error is for the client, in a stream that has begun.
    pub(crate) fn open(
        shared: &Shared,
        resource: Resource,
        query: Query,
        fault: Option<&Fault>,
    ) -> Result<Self, Refusal> {
        let streams_lists = lock(&shared.settings).streaming_lists;
        let mut store = lock(&shared.store);
        if query.initial_events == Some(true) && !streams_lists {
            return Err(Refusal::no_streaming_lists());
        }
        let asked = query.version.unwrap_or(0);
        let wants_list = query.initial_events.unwrap_or(asked == 0);
        let (initial, version) = if wants_list {
            if asked > store.version() {
                return Err(Refusal::too_large(asked, store.version()));
            }
            initial(&store, resource, &query.selection, fault)?
        } else if asked == 0 {
            (Vec::new(), store.version())
        } else {
            let oldest = store.oldest(resource);
            if asked < oldest {
                return Err(Refusal::too_old(asked, oldest));
            }
            (Vec::new(), asked)
        };
        Ok(Self {
            resource,
            opened: store.open(resource),
            commands: VecDeque::new(),
            initial,
            marks_end: query.initial_events == Some(true) && query.bookmarks,
            bookmarks: query.bookmarks,
            version,
            deadline: Instant::now() + query.timeout.unwrap_or(DEFAULT_TIMEOUT),
            selection: query.selection,
        })
    }

    /// Tells what happens until the client goes, time is over, or a fault says otherwise.
    pub(crate) async fn run(mut self, shared: Arc<Shared>, writer: Writer, fault: Option<Fault>) {
        let mut stream = Stream::new(self.resource, writer);
        let ended = match self.begin(&mut stream, fault).await {
            Ok(()) => self.follow(&shared, &mut stream).await,
            Err(end) => end,
        };
        stream.finish(ended).await;
    }

    async fn begin(&mut self, stream: &mut Stream, fault: Option<Fault>) -> Result<(), End> {
        if let Some(fault) = fault {
            stream.meet(fault).await?;
        }
        for object in std::mem::take(&mut self.initial) {
            stream.event("ADDED", &object, None).await?;
        }
        if self.marks_end {
            stream.bookmark(self.version, true).await?;
        }
        Ok(())
    }

    async fn follow(&mut self, shared: &Shared, stream: &mut Stream) -> End {
        let mut bookmarks = bookmark_clock(shared.bookmark_interval);
        loop {
            if let Err(end) = self.catch_up(shared, stream).await {
                return end;
            }
            let done = tokio::select! {
                changed = self.opened.changed.changed() => changed.map_err(|_| End::Proper),
                Some(command) = self.opened.commands.recv() => {
                    self.commands.push_back(command);
                    Ok(())
                }
                _ = bookmarks.tick() => self.bookmark(self.version, stream).await,
                () = sleep_until(self.deadline) => Err(End::Proper),
                () = stream.closed() => Err(End::Gone),
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// Tells all changes that there are, and obeys the commands that were given between them.
    async fn catch_up(&mut self, shared: &Shared, stream: &mut Stream) -> Result<(), End> {
        loop {
            let (changes, version) = {
                let store = lock(&shared.store);
                // Commands are given under the same lock, so none is missed that precedes one of these changes.
                while let Ok(command) = self.opened.commands.try_recv() {
                    self.commands.push_back(command);
                }
                (store.changes_after(self.resource, self.version, BATCH), store.version())
            };
            // The real server ends the watch of a client that reads too slowly.
            let changes = changes.map_err(|TooOld(_)| End::Proper)?;
            for change in &changes {
                self.obey_before(change.version, stream).await?;
                self.tell(change, stream).await?;
                self.version = change.version;
            }
            if changes.len() < BATCH {
                // A version from the future stays, so that what happens up to it is not told.
                self.version = self.version.max(version);
                return self.obey_before(u64::MAX, stream).await;
            }
        }
    }

    async fn tell(&self, change: &Change, stream: &mut Stream) -> Result<(), End> {
        let selected =
            |object: &Option<Object>| object.clone().filter(|object| self.selection.matches(object));
        match (selected(&change.before), selected(&change.after)) {
            (None, None) => Ok(()),
            (None, Some(after)) => stream.event("ADDED", &after, None).await,
            (Some(before), Some(after)) => stream.event("MODIFIED", &after, Some(&before)).await,
            // Gone, or not selected any more: what it was, with the version of its going.
            (Some(before), None) => stream.event("DELETED", &before.at(change.version), None).await,
        }
    }

    /// Obeys the commands that were given before there was a version.
    async fn obey_before(&mut self, version: u64, stream: &mut Stream) -> Result<(), End> {
        while self.commands.front().is_some_and(|(at, _)| *at < version)
            && let Some((at, command)) = self.commands.pop_front()
        {
            match command {
                Command::Bookmark => self.bookmark(at.max(self.version), stream).await?,
                Command::Fault(fault) => stream.meet(fault).await?,
            }
        }
        Ok(())
    }

    async fn bookmark(&self, version: u64, stream: &mut Stream) -> Result<(), End> {
        if self.bookmarks { stream.bookmark(version, false).await } else { Ok(()) }
    }
}

fn initial(
    store: &Store,
    resource: Resource,
    selection: &Selection,
    fault: Option<&Fault>,
) -> Result<(Vec<Object>, u64), Refusal> {
    let version = match fault {
        Some(Fault::Stale { changes }) => store.version_before(resource, *changes),
        _ => store.version(),
    };
    let objects = store.at(resource, version).map_err(|TooOld(oldest)| Refusal::too_old(version, oldest))?;
    Ok((objects.values().filter(|object| selection.matches(object)).cloned().collect(), version))
}

fn bookmark_clock(period: Duration) -> Interval {
    let mut clock = interval_at(Instant::now() + period, period);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock
}
