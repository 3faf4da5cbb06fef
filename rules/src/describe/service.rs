//! One Service.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;

use crate::cluster::{EndpointSlice, Labels, Service, ServiceType, TrafficPolicy};
use crate::compile::Conflict;
use crate::name::{Name, ObjectName};
use crate::net::{Cidr, Family, Protocol};
use crate::resolve::{View, choices, has_frontends};

/// What a Service asks for and has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct ServiceSummary {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `spec.type`.
    #[cfg_attr(feature = "serde", serde(rename = "type"))]
    pub kind: Option<ServiceType>,
    /// `metadata.creationTimestamp` in seconds since 1970.
    pub created: Option<i64>,
    /// `metadata.labels`.
    pub labels: Option<Labels>,
    /// `spec.clusterIPs`.
    #[cfg_attr(feature = "serde", serde(rename = "clusterIPs"))]
    pub cluster_ips: Vec<IpAddr>,
    /// `spec.externalIPs`; of rules alone, load-balancer addresses that everyone may connect to as well.
    #[cfg_attr(feature = "serde", serde(rename = "externalIPs"))]
    pub external_ips: Vec<IpAddr>,
    /// Addresses of a load balancer that are served here.
    #[cfg_attr(feature = "serde", serde(rename = "loadBalancerIPs"))]
    pub load_balancer_ips: Vec<IpAddr>,
    /// `spec.ports`.
    pub ports: Vec<PortSummary>,
    /// How many backends it has.
    pub backends: BackendCount,
    /// `spec.internalTrafficPolicy`.
    pub internal_traffic_policy: Option<TrafficPolicy>,
    /// `spec.externalTrafficPolicy`.
    pub external_traffic_policy: Option<TrafficPolicy>,
    /// How long a client stays with its backend, in seconds; `None` without session affinity, and of rules alone where it
    /// has no backend.
    pub affinity_seconds: Option<u32>,
    /// `spec.loadBalancerSourceRanges`.
    pub load_balancer_source_ranges: Option<Vec<Cidr>>,
    /// `spec.healthCheckNodePort`, where there is one.
    pub health_check_node_port: Option<NonZeroU16>,
    /// The frontends that it wants and an older Service has.
    pub conflicts: Option<Vec<ConflictSummary>>,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct PortSummary {
    /// `name`; empty for the only port of a Service.
    pub name: Name,
    /// `protocol`.
    pub protocol: Protocol,
    /// `port`.
    pub port: Option<NonZeroU16>,
    /// `nodePort`, where there is one.
    pub node_port: Option<NonZeroU16>,
}

/// How many backends a Service has, by address: a pod with an address of each family counts twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct BackendCount {
    /// Those that are ready; of rules alone, those that the rules lead to.
    pub ready: usize,
    /// Those of them that are on this node.
    pub local: Option<usize>,
    /// All that there are.
    pub total: Option<usize>,
}

/// A frontend that a Service wants and does not get.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "camelCase"))]
pub struct ConflictSummary {
    /// The frontend: `ADDRESS:PORT`, or `node port NUMBER`.
    pub frontend: String,
    /// Its protocol.
    pub protocol: Protocol,
    /// The name of the port that wants it.
    pub port: Name,
    /// Who has it, `NAMESPACE/NAME/PORT`, without `/PORT` where the port has no name.
    pub winner: String,
}

/// Describes a Service. `slices` are its own, `lost` what it does not get.
#[must_use]
pub fn service(
    view: View<'_>,
    service: &Service,
    slices: &[&EndpointSlice],
    lost: &[Conflict],
) -> ServiceSummary {
    let ports = service.ports.iter().map(|port| PortSummary {
        name: port.name.clone(),
        protocol: port.protocol,
        port: Some(port.port),
        node_port: port.node_port,
    });
    let is_external = service.kind != ServiceType::ClusterIp || !service.external_ips.is_empty();
    ServiceSummary {
        namespace: service.name.namespace().to_owned(),
        name: service.name.name().to_owned(),
        kind: Some(service.kind),
        created: service.created,
        labels: Some(service.labels.clone()),
        cluster_ips: service.cluster_ips.clone(),
        external_ips: service.external_ips.clone(),
        load_balancer_ips: service.load_balancer_ips.clone(),
        ports: ports.collect(),
        backends: count(view, service, slices),
        internal_traffic_policy: Some(service.internal_policy),
        external_traffic_policy: is_external.then_some(service.external_policy),
        affinity_seconds: service.affinity_seconds,
        load_balancer_source_ranges: Some(service.source_ranges.clone()),
        health_check_node_port: service.health_check_node_port,
        conflicts: Some(lost.iter().map(ConflictSummary::from).collect()),
    }
}

/// An address counts once, however many ports it serves, and as ready where it is for one of them.
fn count(view: View<'_>, service: &Service, slices: &[&EndpointSlice]) -> BackendCount {
    let mut found: BTreeMap<IpAddr, (bool, bool)> = BTreeMap::new();
    for port in &service.ports {
        for family in Family::ALL.into_iter().filter(|family| has_frontends(service, port, *family)) {
            for choice in choices(view, port, family, slices) {
                let (ready, local) = found.entry(choice.address.ip()).or_default();
                *ready |= choice.endpoint.conditions.ready;
                *local |= choice.endpoint.node.as_ref() == Some(&view.config.node_name);
            }
        }
    }
    let ready = found.values().filter(|(ready, _)| *ready);
    BackendCount {
        ready: ready.clone().count(),
        local: Some(ready.filter(|(_, local)| *local).count()),
        total: Some(found.len()),
    }
}

impl ServiceSummary {
    /// Namespace and name.
    #[must_use]
    pub fn object_name(&self) -> ObjectName {
        ObjectName::new(&self.namespace, &self.name)
    }
}

impl From<&Conflict> for ConflictSummary {
    fn from(conflict: &Conflict) -> Self {
        Self {
            frontend: conflict.frontend.at.to_string(),
            protocol: conflict.frontend.protocol,
            port: conflict.loser.port.clone(),
            winner: conflict.winner.to_string(),
        }
    }
}
