//! What the server keeps: the objects of each resource, and their latest changes.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::object::{self, Object};
use crate::{Error, Fault, Resource, Result};

/// How many changes of each resource are kept.
pub const HISTORY: usize = 10_000;

/// The objects of a resource, by their keys.
pub(crate) type Objects = BTreeMap<Arc<str>, Object>;

/// All objects and what happened to them.
#[derive(Debug)]
pub(crate) struct Store {
    version: u64,
    uids: u64,
    kinds: [Kind; Resource::COUNT],
}

/// A resource.
#[derive(Debug)]
struct Kind {
    objects: Objects,
    history: VecDeque<Change>,
    /// The oldest version that new requests can ask for.
    oldest: u64,
    /// The version of the latest change that is not kept any more.
    dropped: u64,
    changed: watch::Sender<u64>,
    watches: Vec<mpsc::UnboundedSender<Told>>,
}

/// What happened to an object.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub version: u64,
    pub before: Option<Object>,
    pub after: Option<Object>,
}

/// What an open watch is told to do.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    Bookmark,
    Fault(Fault),
}

/// A command, and the version at which it was given: what happens until then is told first.
pub(crate) type Told = (u64, Command);

/// What a new watch holds on to.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Changes with the version of the latest change.
    pub changed: watch::Receiver<u64>,
    /// What a test wants of the watch.
    pub commands: mpsc::UnboundedReceiver<Told>,
}

/// The version that was asked for is not kept any more; the oldest that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooOld(pub u64);

impl Store {
    pub(crate) fn new() -> Self {
        Self { version: 1, uids: 0, kinds: std::array::from_fn(|_| Kind::new()) }
    }

    /// The version of the latest change of anything.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn objects(&self, resource: Resource) -> &Objects {
        &self.kind(resource).objects
    }

    /// Stores an object of a kind that is served, and gives its version.
    pub(crate) fn apply(&mut self, object: Value) -> Result<u64> {
        let Value::Object(fields) = object else { return Err(Error::Object("it is no JSON object")) };
        let kind = fields.get("kind").and_then(Value::as_str).unwrap_or_default();
        let resource = Resource::of_kind(kind)
            .filter(|resource| *resource != Resource::Events)
            .ok_or(Error::Object("its kind is not among those that are served"))?;
        let version = self.version + 1;
        let uids = self.uids + 1;
        let metadata = fields.get("metadata");
        let text = |field| metadata.and_then(|metadata| metadata.get(field)).and_then(Value::as_str);
        let namespace = if resource.facts().namespaced { text("namespace").unwrap_or("default") } else { "" };
        let key = object::key(namespace, text("name").unwrap_or_default());
        let kind = self.kind_mut(resource);
        let before = kind.objects.get(key.as_str()).cloned();
        let identity = before.as_ref().map(Object::identity);
        let after = Object::complete(resource, fields, identity, || uid(uids), version)?;
        kind.objects.insert(after.key(), after.clone());
        kind.record(Change { version, before, after: Some(after) });
        self.version = version;
        self.uids = uids;
        Ok(version)
    }

    /// Removes an object, and gives the version of that, if it was there.
    pub(crate) fn delete(&mut self, resource: Resource, namespace: &str, name: &str) -> Option<u64> {
        let version = self.version + 1;
        let kind = self.kind_mut(resource);
        let before = kind.objects.remove(object::key(namespace, name).as_str())?;
        kind.record(Change { version, before: Some(before), after: None });
        self.version = version;
        Some(version)
    }

    /// Makes all that happened so far too old to be told.
    pub(crate) fn compact(&mut self) {
        let version = self.version;
        for kind in &mut self.kinds {
            kind.oldest = version;
        }
    }

    /// Everything is gone, and versions begin anew.
    pub(crate) fn forget(&mut self) {
        self.version = 1;
        for kind in &mut self.kinds {
            *kind = Kind::new();
        }
    }

    /// The oldest version from which a watch can go on.
    pub(crate) fn oldest(&self, resource: Resource) -> u64 {
        self.kind(resource).oldest
    }

    /// The objects as they were at a version that is not in the future.
    pub(crate) fn at(&self, resource: Resource, version: u64) -> Result<Cow<'_, Objects>, TooOld> {
        let kind = self.kind(resource);
        if version < kind.oldest {
            return Err(TooOld(kind.oldest));
        }
        let mut objects = Cow::Borrowed(&kind.objects);
        for change in kind.history.iter().rev().take_while(|change| change.version > version) {
            match (&change.before, &change.after) {
                (Some(before), _) => {
                    objects.to_mut().insert(before.key(), before.clone());
                }
                (None, Some(after)) => {
                    objects.to_mut().remove(&after.key());
                }
                (None, None) => {}
            }
        }
        Ok(objects)
    }

    /// The version before the latest `changes` changes of a resource, or the oldest that is kept.
    pub(crate) fn version_before(&self, resource: Resource, changes: usize) -> u64 {
        let kind = self.kind(resource);
        let first = kind.history.len().checked_sub(changes).and_then(|index| kind.history.get(index));
        first.map_or(kind.oldest, |change| change.version - 1).max(kind.oldest)
    }

    /// The changes after a version, at most so many.
    pub(crate) fn changes_after(
        &self,
        resource: Resource,
        version: u64,
        limit: usize,
    ) -> Result<Vec<Change>, TooOld> {
        let kind = self.kind(resource);
        // What was compacted can still be told to watches that are open, but what was dropped cannot.
        if version < kind.dropped {
            return Err(TooOld(kind.dropped));
        }
        let first = kind.history.partition_point(|change| change.version <= version);
        Ok(kind.history.range(first..).take(limit).cloned().collect())
    }

    /// Registers a watch.
    pub(crate) fn open(&mut self, resource: Resource) -> Opened {
        let kind = self.kind_mut(resource);
        kind.watches.retain(|watch| !watch.is_closed());
        let (sender, commands) = mpsc::unbounded_channel();
        kind.watches.push(sender);
        Opened { changed: kind.changed.subscribe(), commands }
    }

    /// How many watches are open.
    pub(crate) fn open_watches(&self, resource: Resource) -> usize {
        self.kind(resource).watches.iter().filter(|watch| !watch.is_closed()).count()
    }

    /// Tells the open watches to do something.
    pub(crate) fn command(&self, resource: Resource, command: &Command) {
        for watch in &self.kind(resource).watches {
            // A watch that has ended does nothing.
            let _ = watch.send((self.version, command.clone()));
        }
    }

    #[expect(clippy::indexing_slicing, reason = "there is a place for each resource")]
    fn kind(&self, resource: Resource) -> &Kind {
        &self.kinds[resource as usize]
    }

    #[expect(clippy::indexing_slicing, reason = "there is a place for each resource")]
    fn kind_mut(&mut self, resource: Resource) -> &mut Kind {
        &mut self.kinds[resource as usize]
    }
}

impl Kind {
    fn new() -> Self {
        Self {
            objects: Objects::new(),
            history: VecDeque::new(),
            oldest: 1,
            dropped: 0,
            changed: watch::Sender::new(1),
            watches: Vec::new(),
        }
    }

    fn record(&mut self, change: Change) {
        let version = change.version;
        if self.history.len() >= HISTORY
            && let Some(dropped) = self.history.pop_front()
        {
            self.dropped = dropped.version;
            self.oldest = self.oldest.max(dropped.version);
        }
        self.history.push_back(change);
        self.changed.send_replace(version);
    }
}

/// A uid in the form of a UUID of version 4.
fn uid(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}
