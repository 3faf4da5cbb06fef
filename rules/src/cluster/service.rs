//! Service (core/v1).

use std::net::IpAddr;
use std::num::NonZeroU16;

use super::Labels;
use crate::name::{Name, ObjectName};
use crate::net::{Cidr, Protocol};

/// A Service that wants rules: neither headless nor ExternalName nor another proxy's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct Service {
    /// Namespace and name.
    pub name: ObjectName,
    /// `metadata.creationTimestamp` in seconds since 1970; `None` (a manifest that was never applied) counts as the
    /// youngest.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub created: Option<i64>,
    /// `spec.type`, for people; what is programmed follows from the other fields.
    pub kind: ServiceType,
    /// `spec.clusterIPs`, at most one for each family.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub cluster_ips: Vec<IpAddr>,
    /// `spec.externalIPs`, each once.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub external_ips: Vec<IpAddr>,
    /// `status.loadBalancer.ingress[].ip` whose `ipMode` is `VIP` or absent, each once.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub load_balancer_ips: Vec<IpAddr>,
    /// `spec.loadBalancerSourceRanges`, sorted, each once; empty means that everyone may connect.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub source_ranges: Vec<Cidr>,
    /// `spec.ports`, in the order of the object. Port names are distinct.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub ports: Vec<ServicePort>,
    /// `spec.externalTrafficPolicy`.
    pub external_policy: TrafficPolicy,
    /// `spec.internalTrafficPolicy`.
    pub internal_policy: TrafficPolicy,
    /// `spec.sessionAffinity: ClientIP` with `clientIP.timeoutSeconds` (1 to 86,400).
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub affinity_seconds: Option<u32>,
    /// `spec.healthCheckNodePort`.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub health_check_node_port: Option<NonZeroU16>,
    /// `metadata.labels`, for people.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Labels::is_empty"))]
    pub labels: Labels,
}

/// `spec.type` of a Service that wants rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ServiceType {
    /// Reachable at its ClusterIP.
    #[cfg_attr(feature = "serde", serde(rename = "ClusterIP"))]
    ClusterIp,
    /// Also at a port of every node.
    NodePort,
    /// Also at the addresses of a load balancer.
    LoadBalancer,
}

/// One entry of `spec.ports`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct ServicePort {
    /// `name`; empty for the only port of a Service.
    pub name: Name,
    /// `protocol`.
    pub protocol: Protocol,
    /// `port`.
    pub port: NonZeroU16,
    /// `nodePort`.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub node_port: Option<NonZeroU16>,
}

/// `externalTrafficPolicy` or `internalTrafficPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum TrafficPolicy {
    /// All backends of the cluster.
    Cluster,
    /// Only backends on this node.
    Local,
}
