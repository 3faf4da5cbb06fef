//! EndpointSlice (discovery.k8s.io/v1); Endpoints (core/v1) and Pods are converted to it.

use std::net::IpAddr;
use std::num::NonZeroU16;

use crate::name::{Name, ObjectName};
use crate::net::{Family, Protocol};

/// Some of the endpoints of one Service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct EndpointSlice {
    /// The Service: the slice's namespace and its label `kubernetes.io/service-name`.
    pub service: ObjectName,
    /// `addressType`; every endpoint's address is of this family.
    pub family: Family,
    /// `ports` that have a number.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub ports: Vec<EndpointPort>,
    /// `endpoints`.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub endpoints: Vec<Endpoint>,
}

/// One entry of `ports`: where the pods listen for the service port of that name and protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct EndpointPort {
    /// `name`, equal to the service port's; empty for an unnamed one.
    pub name: Name,
    /// `protocol`.
    pub protocol: Protocol,
    /// `port`.
    pub port: NonZeroU16,
}

/// One entry of `endpoints`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct Endpoint {
    /// `addresses[0]`.
    pub address: IpAddr,
    /// `conditions`.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Conditions::are_usual"))]
    pub conditions: Conditions,
    /// `nodeName`.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub node: Option<Name>,
    /// `zone`.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub zone: Option<Name>,
    /// `targetRef` where it is a Pod: `namespace/name`.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub pod: Option<ObjectName>,
    /// `hints.forZones[].name`.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "<[Name]>::is_empty"))]
    pub zone_hints: Box<[Name]>,
    /// `hints.forNodes[].name`.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "<[Name]>::is_empty"))]
    pub node_hints: Box<[Name]>,
}

/// `conditions` of an endpoint, the API's defaults applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct Conditions {
    /// `ready`; absent means true.
    pub ready: bool,
    /// `serving`; absent means true.
    pub serving: bool,
    /// `terminating`; absent means false.
    pub terminating: bool,
}

#[cfg(feature = "serde")]
impl Conditions {
    fn are_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Conditions {
    fn default() -> Self {
        Self { ready: true, serving: true, terminating: false }
    }
}
