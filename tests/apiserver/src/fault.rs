//! Misbehaviour on command.

use std::time::Duration;

use crate::{Failure, Resource};

/// What the server does instead of what it should.
///
/// | fault | list, get, create, patch | watch |
/// |---|---|---|
/// | `Status` | answers with this failure | the same; a watch that is open: an ERROR event, and the end |
/// | `ErrorEvent` | answers with this failure | 200, then an ERROR event, and the end |
/// | `Silence` | never answers | the same; a watch that is open: no byte any more |
/// | `Hang` | begins, then no byte any more | the same, after so many events |
/// | `Cut` | ends the connection in the middle of an item | the same in the middle of an event |
/// | `End` | no effect | ends as when its time is over |
/// | `Slow` | a few bytes at a time | the same |
/// | `Duplicate` | no effect | each event twice |
/// | `Reorder` | no effect | the second of two events before the first |
/// | `Stale` | answers with what was before the latest changes | an event is followed by what the object was before |
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A failure with its HTTP status.
    Status(Failure),
    /// A failure in a stream that has begun well.
    ErrorEvent(Failure),
    /// The request is accepted, and nothing comes.
    Silence,
    /// After so many items or events nothing comes any more; the connection stays.
    Hang {
        /// How many still come.
        after: usize,
    },
    /// The connection ends, with all that is on it, in the middle of the item or event that follows so many.
    Cut {
        /// How many are whole.
        after: usize,
    },
    /// The watch ends properly after so many events, as when the server finds its client too slow.
    End {
        /// How many still come.
        after: usize,
    },
    /// The answer comes in pieces.
    Slow {
        /// The size of a piece.
        bytes: usize,
        /// The time between two.
        pause: Duration,
    },
    /// Each event comes twice.
    Duplicate,
    /// Events come in pairs, the second first. Where a bookmark follows instead of a second event, the order is right.
    Reorder,
    /// Versions go back, as with a server whose cache is behind: a list is what it was that many changes ago, and a
    /// MODIFIED event is followed by one with the object as it was before, and with that version.
    Stale {
        /// How many changes a list is behind.
        changes: usize,
    },
}

impl Fault {
    /// Whether it concerns how bytes travel rather than what they say.
    pub(crate) fn is_on_the_way(&self) -> bool {
        matches!(self, Self::Hang { .. } | Self::Cut { .. } | Self::Slow { .. })
    }
}

/// What a client does with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Reads one object, or something that is no resource.
    Get,
    /// Reads a list.
    List,
    /// Watches.
    Watch,
    /// Creates an event.
    Create,
    /// Patches an event.
    Patch,
}

impl Verb {
    /// The verb as RBAC says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Patch => "patch",
        }
    }
}

/// Which requests a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct On {
    /// Of this resource; of any, and those for something that is no resource, when absent.
    pub resource: Option<Resource>,
    /// With this verb; with any when absent.
    pub verb: Option<Verb>,
}

impl On {
    /// All requests.
    #[must_use]
    pub fn anything() -> Self {
        Self::default()
    }

    /// Whatever is asked of a resource.
    #[must_use]
    pub fn resource(resource: Resource) -> Self {
        Self { resource: Some(resource), verb: None }
    }

    /// Lists of a resource. A streaming list is a watch.
    #[must_use]
    pub fn list(resource: Resource) -> Self {
        Self { resource: Some(resource), verb: Some(Verb::List) }
    }

    /// New watches of a resource.
    #[must_use]
    pub fn watch(resource: Resource) -> Self {
        Self { resource: Some(resource), verb: Some(Verb::Watch) }
    }

    fn holds(self, resource: Option<Resource>, verb: Verb) -> bool {
        (self.resource.is_none() || self.resource == resource) && self.verb.is_none_or(|own| own == verb)
    }
}

/// How many requests meet a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// So many, from the next one on.
    Next(usize),
    /// All from now on.
    Always,
}

/// The faults that are waiting for requests. The oldest that fits a request is the one that it meets.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    waiting: Vec<(On, Times, Fault)>,
}

impl Faults {
    pub(crate) fn add(&mut self, on: On, times: Times, fault: Fault) {
        self.waiting.push((on, times, fault));
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// The fault that a request meets.
    pub(crate) fn take(&mut self, resource: Option<Resource>, verb: Verb) -> Option<Fault> {
        self.waiting.retain(|(_, times, _)| *times != Times::Next(0));
        let (_, times, fault) = self.waiting.iter_mut().find(|(on, _, _)| on.holds(resource, verb))?;
        if let Times::Next(left) = times {
            *left -= 1;
        }
        Some(fault.clone())
    }
}
