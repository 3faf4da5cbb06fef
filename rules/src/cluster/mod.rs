//! What is true in the cluster, in compact types of our own.
//!
//! Sources (manifests, the Kubernetes API) convert their objects to these types and validate them on the way; nothing
//! behind this module knows Kubernetes' own types. The fields are those of the API, without what rules do not need.

mod changes;
mod endpoints;
mod node;
mod service;

use std::collections::BTreeMap;

pub use changes::changes;
pub use endpoints::{Conditions, Endpoint, EndpointPort, EndpointSlice};
pub use node::Node;
pub use service::{Service, ServicePort, ServiceType, TrafficPolicy};

use crate::name::ObjectName;
use crate::net::Cidr;

/// The whole state that a compile starts from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Services that want rules, by `namespace/name`.
    pub services: BTreeMap<ObjectName, Service>,
    /// EndpointSlices of Services, by the slice's `namespace/name`.
    pub slices: BTreeMap<ObjectName, EndpointSlice>,
    /// The node that the rules are for; `None` where no Node object is known.
    pub node: Option<Node>,
    /// The networks that ClusterIPs are taken from, sorted, each once.
    pub service_cidrs: Vec<Cidr>,
}
