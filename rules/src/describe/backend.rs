//! The backends of one Service, and what this node uses them for.

use std::net::SocketAddr;

use crate::cluster::{Conditions, EndpointSlice, Service, TrafficPolicy};
use crate::name::Name;
use crate::net::{Family, Protocol};
use crate::resolve::{Choice, View, Why, choices, has_frontends};

/// A backend of a service port, chosen or not.
///
/// Which endpoints may be chosen depends on the client and on what it connects to, hence the three uses.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct BackendSummary {
    /// The name of the service port that it serves; empty for the only port of a Service.
    pub port: Name,
    /// The protocol of the service port.
    pub protocol: Protocol,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its Pod, `NAMESPACE/NAME`, where it is one.
    pub pod: Option<Name>,
    /// Its node, where it is on one.
    pub node: Option<Name>,
    /// Its zone, where it has one.
    pub zone: Option<Name>,
    /// Its conditions.
    pub conditions: Option<Conditions>,
    /// For connections to the ClusterIP (`internalTrafficPolicy`); `None` where there is none.
    pub internal: Option<Use>,
    /// For connections from outside to external addresses and node ports (`externalTrafficPolicy`); `None` where there are
    /// none.
    pub external: Option<Use>,
    /// For connections there of this node itself and of pods of the cluster, which `externalTrafficPolicy: Local` does not
    /// bind; `None` where there are no such frontends.
    pub local: Option<Use>,
}

/// Whether a backend is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct Use {
    /// Whether it is.
    pub used: bool,
    /// Why, or why not.
    pub reason: Why,
}

impl From<Why> for Use {
    fn from(reason: Why) -> Self {
        Self { used: reason.is_used(), reason }
    }
}

/// Describes the backends of a Service, by port in the order of the object, then by address. `slices` are its own.
#[must_use]
pub fn backends(view: View<'_>, service: &Service, slices: &[&EndpointSlice]) -> Vec<BackendSummary> {
    let mut found = Vec::new();
    for port in &service.ports {
        for family in Family::ALL.into_iter().filter(|family| has_frontends(service, port, *family)) {
            let is_of_family = |address: &std::net::IpAddr| Family::of(*address) == family;
            let internal = service.cluster_ips.iter().any(is_of_family);
            let external = port.node_port.is_some()
                || service.external_ips.iter().chain(&service.load_balancer_ips).any(is_of_family);
            for choice in choices(view, port, family, slices) {
                let endpoint = choice.endpoint;
                found.push(BackendSummary {
                    port: port.name.clone(),
                    protocol: port.protocol,
                    address: choice.address,
                    pod: endpoint.pod.as_ref().map(crate::name::ObjectName::text),
                    node: endpoint.node.clone(),
                    zone: endpoint.zone.clone(),
                    conditions: Some(endpoint.conditions),
                    internal: internal.then(|| under(service.internal_policy, choice)),
                    external: external.then(|| under(service.external_policy, choice)),
                    local: external.then(|| under(TrafficPolicy::Cluster, choice)),
                });
            }
        }
    }
    found
}

fn under(policy: TrafficPolicy, choice: Choice<'_>) -> Use {
    Use::from(match policy {
        TrafficPolicy::Cluster => choice.cluster,
        TrafficPolicy::Local => choice.local,
    })
}
