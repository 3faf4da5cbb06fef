//! How the watches are doing, for health checks and metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A resource that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// `services` (core/v1).
    Services,
    /// `endpointslices` (discovery.k8s.io/v1).
    EndpointSlices,
    /// `endpoints` (core/v1), watched where EndpointSlices are not served.
    Endpoints,
    /// This node's entry of `nodes` (core/v1).
    Node,
    /// `servicecidrs` (networking.k8s.io/v1), watched where they are served.
    ServiceCidrs,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Services, Self::EndpointSlices, Self::Endpoints, Self::Node, Self::ServiceCidrs];

    /// The resource's name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::EndpointSlices => "endpointslices",
            Self::Endpoints => "endpoints",
            Self::Node => "nodes",
            Self::ServiceCidrs => "servicecidrs",
        }
    }
}

/// How the watch of one resource is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceStatus {
    /// Whether a watch is open.
    pub connected: bool,
    /// When something last came, a bookmark included.
    pub last_heard: Option<Instant>,
    /// How often the whole state was read; the first list counts.
    pub lists: u64,
    /// How many requests and watches failed.
    pub errors: u64,
    /// How many versions of objects could not be understood.
    pub malformed: u64,
    /// How many objects are known.
    pub objects: u64,
}

/// The state of all watches. Cloning gives another handle to the same.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    began: Instant,
    resources: [State; Resource::ALL.len()],
}

#[derive(Debug, Default)]
struct State {
    connected: AtomicBool,
    /// Milliseconds since `began`, plus one; 0 is never.
    last_heard: AtomicU64,
    lists: AtomicU64,
    errors: AtomicU64,
    malformed: AtomicU64,
    objects: AtomicU64,
}

impl Default for Handle {
    fn default() -> Self {
        Self(Arc::new(Shared { began: Instant::now(), resources: Default::default() }))
    }
}

impl Handle {
    /// How the watch of a resource is doing.
    #[must_use]
    pub fn status(&self, resource: Resource) -> ResourceStatus {
        let state = self.state(resource);
        let heard = state.last_heard.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_millis);
        ResourceStatus {
            connected: state.connected.load(Ordering::Relaxed),
            last_heard: heard.and_then(|heard| self.0.began.checked_add(heard)),
            lists: state.lists.load(Ordering::Relaxed),
            errors: state.errors.load(Ordering::Relaxed),
            malformed: state.malformed.load(Ordering::Relaxed),
            objects: state.objects.load(Ordering::Relaxed),
        }
    }

    pub(super) fn connected(&self, resource: Resource, connected: bool) {
        self.state(resource).connected.store(connected, Ordering::Relaxed);
    }

    pub(super) fn heard(&self, resource: Resource, at: Instant) {
        let since = at.saturating_duration_since(self.0.began).as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX).saturating_add(1);
        self.state(resource).last_heard.store(since, Ordering::Relaxed);
    }

    pub(super) fn listed(&self, resource: Resource) {
        self.state(resource).lists.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, resource: Resource) {
        self.state(resource).errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn malformed(&self, resource: Resource) {
        self.state(resource).malformed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn objects(&self, resource: Resource, objects: usize) {
        let objects = u64::try_from(objects).unwrap_or(u64::MAX);
        self.state(resource).objects.store(objects, Ordering::Relaxed);
    }

    fn state(&self, resource: Resource) -> &State {
        let [services, slices, endpoints, node, cidrs] = &self.0.resources;
        match resource {
            Resource::Services => services,
            Resource::EndpointSlices => slices,
            Resource::Endpoints => endpoints,
            Resource::Node => node,
            Resource::ServiceCidrs => cidrs,
        }
    }
}
