//! What is true in the cluster, in compact types of our own.
//!
//! Sources (manifests, the Kubernetes API) convert their objects to these types and validate them on the way; nothing
//! behind this module knows Kubernetes' own types. The fields are those of the API, without what neither rules
//! need nor people who look at them.

mod changes;
mod endpoints;
mod labels;
mod node;
mod service;

use std::collections::BTreeMap;

pub use changes::changes;
pub use endpoints::{Conditions, Endpoint, EndpointPort, EndpointSlice};
pub use labels::Labels;
pub use node::Node;
pub use service::{Service, ServicePort, ServiceType, TrafficPolicy};

use crate::name::ObjectName;
use crate::net::Cidr;

/// The whole state that a compile starts from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct Cluster {
    /// Services that want rules, by `namespace/name`.
    pub services: BTreeMap<ObjectName, Service>,
    /// EndpointSlices of Services, by the slice's `namespace/name`.
    pub slices: BTreeMap<ObjectName, EndpointSlice>,
    /// The node that the rules are for; `None` where no Node object is known.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub node: Option<Node>,
    /// The networks that ClusterIPs are taken from, sorted, each once.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub service_cidrs: Vec<Cidr>,
}
