//! What inotify told and nobody has acted on yet.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind};
use tokio::sync::Notify;

use super::Pace;
use super::paths::Interests;
use crate::manifests::has_manifest_name;

/// What must be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Touched {
    /// Whatever has another stamp.
    ByStamp,
    /// That, and these paths whatever their stamps are: the clock of stamps may tick slower than somebody writes.
    Paths(BTreeSet<PathBuf>),
    /// Everything.
    All,
}

/// Filled by the thread that reads inotify, emptied by the one that acts.
pub(super) struct Pending {
    pace: Pace,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    interests: Interests,
    /// When the first and the latest change came that nobody has acted on.
    since: Option<(Instant, Instant)>,
    all: bool,
    paths: BTreeSet<PathBuf>,
    /// Manifests that somebody writes, with the time of the latest write.
    written: HashMap<PathBuf, Instant>,
}

impl Pending {
    pub fn new(pace: Pace) -> Self {
        Self { pace, state: Mutex::default(), changed: Notify::new() }
    }

    /// Says which changes count.
    pub fn set_interests(&self, interests: &Interests) {
        self.state().interests.clone_from(interests);
    }

    /// Takes in what inotify tells.
    pub fn take(&self, event: &Event) {
        let now = Instant::now();
        let mut state = self.state();
        if event.need_rescan() {
            state.all = true;
            // The end of a writing may be among what was lost.
            state.written.clear();
            state.touch(now);
        }
        for path in &event.paths {
            state.take(event.kind, path, now);
        }
        if state.since.is_some() {
            self.changed.notify_one();
        }
    }

    /// Has everything looked at.
    pub fn touch_all(&self) {
        let mut state = self.state();
        state.all = true;
        state.touch(Instant::now());
        self.changed.notify_one();
    }

    /// Waits until there is something to look at and nobody is writing it, or until it is time for a look at everything.
    pub async fn touched(&self) -> Touched {
        let rescan = Instant::now() + self.pace.rescan;
        loop {
            let due = self.state().due(self.pace);
            let until = due.unwrap_or(rescan);
            if until <= Instant::now() {
                return if due.is_some() { self.state().empty(self.pace) } else { Touched::ByStamp };
            }
            // Something that came in between is kept by `changed`, and then this returns at once.
            let _ = tokio::time::timeout_at(until.into(), self.changed.notified()).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, kind: EventKind, path: &Path, now: Instant) {
        if !self.interests.concern(path) {
            return;
        }
        match kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                self.written.remove(path);
            }
            // Reading, ours too.
            EventKind::Access(_) => return,
            EventKind::Modify(ModifyKind::Data(_)) if self.is_manifest(path) => {
                self.written.insert(path.to_owned(), now);
            }
            // Another file has the name from then on, or none.
            EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) => {
                self.written.remove(path);
            }
            _ => {}
        }
        self.paths.insert(path.to_owned());
        self.touch(now);
    }

    fn is_manifest(&self, path: &Path) -> bool {
        has_manifest_name(path) || self.interests.entries.contains(path)
    }

    fn touch(&mut self, now: Instant) {
        let first = self.since.map_or(now, |(first, _)| first);
        self.since = Some((first, now));
    }

    /// When to act.
    fn due(&self, pace: Pace) -> Option<Instant> {
        let (first, last) = self.since?;
        let quiet = (last + pace.quiet).min(first + pace.longest);
        let written = self.written.values().map(|last| *last + pace.longest);
        Some(written.fold(quiet, Instant::max))
    }

    /// Hands over what there is. A writer that has not been heard of for so long does not count any more.
    fn empty(&mut self, pace: Pace) -> Touched {
        let now = Instant::now();
        self.written.retain(|_, last| *last + pace.longest > now);
        self.since = None;
        let paths = std::mem::take(&mut self.paths);
        if std::mem::take(&mut self.all) { Touched::All } else { Touched::Paths(paths) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use notify::event::{CreateKind, DataChange, Flag, MetadataKind, RemoveKind, RenameMode};

    use super::*;

    const CREATE: EventKind = EventKind::Create(CreateKind::File);
    const WRITE: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    const CLOSE: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    const RENAMED: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::To));
    const ATTRIBUTES: EventKind = EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any));
    const REMOVE: EventKind = EventKind::Remove(RemoveKind::File);
    const READ: EventKind = EventKind::Access(AccessKind::Open(AccessMode::Any));

    /// Events, each with the milliseconds since the one before, and when what they touch is due, in milliseconds from
    /// the first one; `None` where nothing is.
    fn check(events: &[(u64, EventKind, &str)], due: Option<u64>) {
        let interests = Interests {
            entries: ["/etc/svcnat", "/etc/svcnat/link.yaml", "/data/real"].map(PathBuf::from).into(),
            folders: [PathBuf::from("/etc/svcnat")].into(),
            watched: ["/", "/etc", "/etc/svcnat", "/data"].map(PathBuf::from).into(),
        };
        let mut state = State { interests, ..State::default() };
        let start = Instant::now();
        let mut now = start;
        for (later, kind, path) in events {
            now += Duration::from_millis(*later);
            state.take(*kind, Path::new(path), now);
        }
        let due = due.map(Duration::from_millis);
        assert_eq!(state.due(Pace::default()).map(|due| due - start), due, "{events:?}");
    }

    #[test]
    fn changes_are_due_when_it_is_quiet_and_nobody_writes() {
        let (a, b) = ("/etc/svcnat/a.yaml", "/etc/svcnat/b.yaml");
        check(&[], None);
        check(&[(0, RENAMED, a)], Some(50));
        check(&[(0, RENAMED, a), (30, REMOVE, b)], Some(80));
        check(&[(0, ATTRIBUTES, a)], Some(50));
        let busy = [(0, CREATE, a), (400, CREATE, b), (300, CREATE, a), (290, CREATE, b)];
        check(&busy, Some(1000));
        check(&[(0, WRITE, a)], Some(1000));
        check(&[(0, WRITE, a), (900, WRITE, a)], Some(1900));
        check(&[(0, CREATE, a), (0, WRITE, a), (20, CLOSE, a)], Some(70));
        check(&[(0, WRITE, a), (10, WRITE, b), (10, CLOSE, b)], Some(1000));
        check(&[(0, WRITE, a), (10, RENAMED, a)], Some(60));
        check(&[(0, WRITE, a), (10, REMOVE, a)], Some(60));
        // Not a manifest, so nobody waits for its end.
        check(&[(0, WRITE, "/etc/svcnat/.a.yaml.swp")], Some(50));
        // What a link leads to.
        check(&[(0, WRITE, "/data/real")], Some(1000));
    }

    #[test]
    fn what_others_do_beside_does_not_count() {
        check(&[(0, READ, "/etc/svcnat/a.yaml")], None);
        check(&[(0, WRITE, "/etc/passwd"), (0, REMOVE, "/etc/passwd")], None);
        check(&[(0, WRITE, "/etc/other.yaml")], None);
        check(&[(0, REMOVE, "/data/other")], None);
        check(&[(0, REMOVE, "/data")], Some(50));
        check(&[(0, REMOVE, "/etc")], Some(50));
        check(&[(0, CREATE, "/etc/svcnat")], Some(50));
    }

    #[test]
    fn events_that_were_lost_have_everything_read() {
        let pending = Pending::new(Pace::default());
        pending.take(&Event::new(EventKind::Other).set_flag(Flag::Rescan));
        let mut state = pending.state();
        assert!(state.due(pending.pace).is_some());
        assert_eq!(state.empty(pending.pace), Touched::All);
        assert_eq!(state.due(pending.pace), None);
    }
}
