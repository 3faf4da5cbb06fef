//! Routes: which backends may serve which frontend, seen from one node.
//!
//! There is one route for each service port and IP family. It says what must happen, not how the kernel is told: all
//! layouts and back ends lower the same routes.

use std::cmp::Ordering;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use crate::cluster::{Service, ServicePort};
use crate::name::{Name, ObjectName};
use crate::net::{Cidr, Family, Protocol};

/// What one service port means in one family. Borrows from the objects that it was resolved from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route<'a> {
    /// The service port.
    pub port: ServicePortName,
    /// The age of the Service, which decides conflicts.
    pub age: Age,
    /// The family of all addresses in it.
    pub family: Family,
    /// The backends that policy Cluster allows, sorted, each once.
    pub cluster: Vec<Backend<'a>>,
    /// The backends that policy Local allows, sorted, each once.
    pub local: Vec<Backend<'a>>,
    /// Where clients connect to; each [`FrontendAddress`] once.
    pub frontends: Vec<Frontend>,
    /// How long a client stays with its backend, in seconds; `None` without session affinity.
    pub affinity_seconds: Option<u32>,
}

impl<'a> Route<'a> {
    /// The backends of a pool.
    #[must_use]
    pub fn backends(&self, pool: Pool) -> &[Backend<'a>] {
        match pool {
            Pool::Cluster => &self.cluster,
            Pool::Local => &self.local,
        }
    }

    /// Whether any frontend sends connections to a pool that has backends.
    #[must_use]
    pub fn uses(&self, pool: Pool) -> bool {
        let leads_there = |frontend: &Frontend| frontend.handling.pools().contains(&pool);
        !self.backends(pool).is_empty() && self.frontends.iter().any(leads_there)
    }

    /// Whether any frontend is handled in one of these ways.
    #[must_use]
    pub fn has(&self, handlings: &[Handling]) -> bool {
        self.frontends.iter().any(|frontend| handlings.contains(&frontend.handling))
    }

    /// How many rules the layout `chains` has for picking a backend.
    #[must_use]
    pub fn backend_rules(&self) -> usize {
        let pools = [Pool::Cluster, Pool::Local].into_iter().filter(|pool| self.uses(*pool));
        pools.map(|pool| self.backends(pool).len()).sum()
    }
}

/// A service port's identity: the Service, the port's name and its protocol.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServicePortName {
    /// The Service.
    pub service: ObjectName,
    /// The port's name, empty for the only port of a Service.
    pub port: Name,
    /// The protocol.
    pub protocol: Protocol,
}

impl ServicePortName {
    /// The identity of a port of a Service.
    #[must_use]
    pub fn new(service: &Service, port: &ServicePort) -> Self {
        Self { service: service.name.clone(), port: port.name.clone(), protocol: port.protocol }
    }

    /// What it is displayed as; no copy where the port has no name.
    #[must_use]
    pub fn text(&self) -> Name {
        if self.port.is_empty() { self.service.text() } else { Name::from(self.to_string()) }
    }
}

impl fmt::Display for ServicePortName {
    /// `namespace/name/port`, or `namespace/name` where the port has no name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.service.fmt(f)?;
        if self.port.is_empty() { Ok(()) } else { write!(f, "/{}", self.port) }
    }
}

/// An endpoint that may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backend<'a> {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it may be on this node: its `nodeName` is this node's or not given.
    pub maybe_here: bool,
    /// Its Pod, `namespace/name`.
    pub pod: Option<&'a ObjectName>,
}

/// Where clients connect to, and what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontend {
    /// Where clients connect to; with the route's protocol and family it is unique in the cluster.
    pub at: FrontendAddress,
    /// Which field of the Service it comes from.
    pub kind: FrontendKind,
    /// What becomes of a new connection.
    pub handling: Handling,
    /// The only sources that may connect, sorted, each once; `None` where everyone may, empty where nobody.
    pub sources: Option<Vec<Cidr>>,
}

/// Which field of the Service a frontend comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrontendKind {
    /// `clusterIPs`.
    ClusterIp,
    /// `externalIPs`.
    ExternalIp,
    /// `status.loadBalancer.ingress`.
    LoadBalancer,
    /// `ports[].nodePort`.
    NodePort,
}

/// An address or a node port that clients connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrontendAddress {
    /// A port of an address: ClusterIP, external IP or load-balancer address.
    Address(IpAddr, NonZeroU16),
    /// A port of this node's node-port addresses.
    NodePort(NonZeroU16),
}

impl fmt::Display for FrontendAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address, port) => SocketAddr::new(*address, port.get()).fmt(f),
            Self::NodePort(port) => write!(f, "node port {port}"),
        }
    }
}

/// What becomes of a new connection to a frontend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Handling {
    /// There is no backend anywhere: the client is told at once.
    Reject,
    /// `internalTrafficPolicy: Local`, none here but some elsewhere.
    Drop,
    /// A ClusterIP: any backend that the policy allows. Masquerading depends on the source alone.
    Internal(Pool),
    /// From outside, `externalTrafficPolicy: Cluster`: any backend, masqueraded.
    External,
    /// From outside, `externalTrafficPolicy: Local`: a local backend, the source kept, and a drop where there is
    /// none; pods of the cluster and this node itself may use any backend.
    ExternalLocal,
}

impl Handling {
    /// The backends that connections may be sent to.
    #[must_use]
    pub fn pools(self) -> &'static [Pool] {
        match self {
            Self::Reject | Self::Drop => &[],
            Self::Internal(Pool::Cluster) | Self::External => &[Pool::Cluster],
            Self::Internal(Pool::Local) => &[Pool::Local],
            Self::ExternalLocal => &[Pool::Cluster, Pool::Local],
        }
    }
}

/// Which backends of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pool {
    /// [`Route::cluster`].
    Cluster,
    /// [`Route::local`].
    Local,
}

/// The age of a Service, the oldest first. One without a creation time is the youngest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Age(i64);

impl Age {
    /// The age of a Service.
    #[must_use]
    pub fn of(service: &Service) -> Self {
        Self(service.created.unwrap_or(i64::MAX))
    }
}

/// Which of two Services wins a frontend that both claim: the older one, then the one whose `namespace/name` comes
/// first.
#[must_use]
pub fn by_age(a: &Service, b: &Service) -> Ordering {
    Age::of(a).cmp(&Age::of(b)).then_with(|| a.name.cmp(&b.name))
}
