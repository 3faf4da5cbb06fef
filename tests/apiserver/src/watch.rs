//! Watches, and the lists that are told as the beginning of one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use crate::body::{Gone, Writer};
use crate::object::{self, Object};
use crate::query::Query;
use crate::resource::Facts;
use crate::selector::Selection;
use crate::shared::{Shared, lock};
use crate::status::Refusal;
use crate::store::{Change, Command, Opened, Store, Told, TooOld};
use crate::{Fault, Resource, Verb};

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
        let mut stream = Stream { facts: self.resource.facts(), writer, fault, whole: 0, held: None };
        let ended = match self.begin(&mut stream).await {
            Ok(()) => self.follow(&shared, &mut stream).await,
            Err(end) => end,
        };
        stream.finish(ended).await;
    }

    async fn begin(&mut self, stream: &mut Stream) -> Result<(), End> {
        stream.arm(self.resource).await?;
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
                () = stream.writer.closed() => Err(End::Gone),
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
                Command::Fault(fault) => {
                    stream.fault = Some(fault);
                    stream.whole = 0;
                    stream.arm(self.resource).await?;
                }
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

/// Why a stream ends.
#[derive(Debug)]
enum End {
    /// As it should.
    Proper,
    /// The client went first.
    Gone,
    /// With the connection.
    Cut,
    /// It does not end, but nothing comes any more.
    Hang,
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// The lines of a watch on their way, with the faults that concern them.
struct Stream {
    facts: &'static Facts,
    writer: Writer,
    fault: Option<Fault>,
    /// How many events have been sent since the fault began.
    whole: usize,
    /// An event that waits for the next one.
    held: Option<Vec<u8>>,
}

impl Stream {
    /// Lets faults begin that do not wait for an event.
    async fn arm(&mut self, resource: Resource) -> Result<(), End> {
        match &self.fault {
            Some(Fault::Status(failure) | Fault::ErrorEvent(failure)) => {
                let refusal = Refusal::on_command(failure, Some(resource), Verb::Watch);
                self.writer.send(error_line(refusal)).await?;
                Err(End::Proper)
            }
            Some(Fault::Silence | Fault::Hang { after: 0 }) => Err(End::Hang),
            Some(Fault::End { after: 0 }) => Err(End::Proper),
            Some(Fault::Slow { bytes, pause }) => {
                self.writer.slow_down(*bytes, *pause);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Sends an event; `before` is what a MODIFIED object was.
    async fn event(&mut self, kind: &str, object: &Object, before: Option<&Object>) -> Result<(), End> {
        let line = self.line(kind, object);
        match self.fault {
            Some(Fault::Cut { after }) if self.whole == after => {
                let half = line.get(..line.len() / 2).unwrap_or_default().to_vec();
                self.writer.send(half).await?;
                return Err(End::Cut);
            }
            Some(Fault::Duplicate) => {
                self.writer.send(line.clone()).await?;
                self.writer.send(line).await?;
            }
            Some(Fault::Reorder) => match self.held.take() {
                None => self.held = Some(line),
                Some(first) => {
                    self.writer.send(line).await?;
                    self.writer.send(first).await?;
                }
            },
            Some(Fault::Stale { .. }) => {
                self.writer.send(line).await?;
                if let Some(before) = before {
                    self.writer.send(self.line("MODIFIED", before)).await?;
                }
            }
            _ => self.writer.send(line).await?,
        }
        self.whole += 1;
        match self.fault {
            Some(Fault::Hang { after }) if self.whole >= after => Err(End::Hang),
            Some(Fault::End { after }) if self.whole >= after => Err(End::Proper),
            _ => Ok(()),
        }
    }

    async fn bookmark(&mut self, version: u64, ends_initial: bool) -> Result<(), End> {
        if let Some(held) = self.held.take() {
            self.writer.send(held).await?;
        }
        let mut line = br#"{"type":"BOOKMARK","object":"#.to_vec();
        object::write_type(self.facts, &mut line);
        line.extend_from_slice(br#""metadata":{"resourceVersion":""#);
        object::write_number(version, &mut line);
        line.push(b'"');
        if ends_initial {
            line.extend_from_slice(br#","annotations":{"k8s.io/initial-events-end":"true"}"#);
        }
        line.push(b'}');
        line.extend_from_slice(self.facts.empty.as_bytes());
        line.extend_from_slice(b"}}\n");
        Ok(self.writer.send(line).await?)
    }

    fn line(&self, kind: &str, object: &Object) -> Vec<u8> {
        let mut line = Vec::with_capacity(object.size() + 128);
        for part in [r#"{"type":""#, kind, r#"","object":"#] {
            line.extend_from_slice(part.as_bytes());
        }
        object.write(self.facts, &mut line);
        line.extend_from_slice(b"}\n");
        line
    }

    async fn finish(self, end: End) {
        match end {
            // Whatever waits for a second event is still to come.
            End::Proper => {
                if let Some(held) = self.held {
                    let _gone = self.writer.send(held).await;
                }
            }
            End::Gone => {}
            End::Cut => self.writer.cut().await,
            End::Hang => self.writer.closed().await,
        }
    }
}

/// A stream that is refused after its HTTP status has been sent.
pub(crate) fn error_line(refusal: Refusal) -> Vec<u8> {
    let mut line = br#"{"type":"ERROR","object":"#.to_vec();
    object::write_json(&refusal.into_status(), &mut line);
    line.extend_from_slice(b"}\n");
    line
}
