//! EndpointSlice (discovery.k8s.io/v1); Endpoints (core/v1) and Pods are converted to it.

use std::net::IpAddr;
use std::num::NonZeroU16;

use crate::name::{Name, ObjectName};
use crate::net::{Family, Protocol};

/// Some of the endpoints of one Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSlice {
    /// The Service: the slice's namespace and its label `kubernetes.io/service-name`.
    pub service: ObjectName,
    /// `addressType`; every endpoint's address is of this family.
    pub family: Family,
    /// `ports` that have a number.
    pub ports: Vec<EndpointPort>,
    /// `endpoints`.
    pub endpoints: Vec<Endpoint>,
}

/// One entry of `ports`: where the pods listen for the service port of that name and protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
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
pub struct Endpoint {
    /// `addresses[0]`.
    pub address: IpAddr,
    /// `conditions`.
    pub conditions: Conditions,
    /// `nodeName`.
    pub node: Option<Name>,
    /// `zone`.
    pub zone: Option<Name>,
    /// `targetRef` where it is a Pod: `namespace/name`.
    pub pod: Option<ObjectName>,
    /// `hints.forZones[].name`.
    pub zone_hints: Box<[Name]>,
    /// `hints.forNodes[].name`.
    pub node_hints: Box<[Name]>,
}

/// `conditions` of an endpoint, the API's defaults applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conditions {
    /// `ready`; absent means true.
    pub ready: bool,
    /// `serving`; absent means true.
    pub serving: bool,
    /// `terminating`; absent means false.
    pub terminating: bool,
}

impl Default for Conditions {
    fn default() -> Self {
        Self { ready: true, serving: true, terminating: false }
    }
}
