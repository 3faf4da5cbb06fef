//! Node (core/v1).

use std::net::IpAddr;

use crate::name::Name;
use crate::net::Cidr;

/// The node that the rules are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// `metadata.name`.
    pub name: Name,
    /// `status.addresses` of type InternalIP, in the order of the object; the first of each family is primary.
    pub addresses: Vec<IpAddr>,
    /// Label `topology.kubernetes.io/zone`.
    pub zone: Option<Name>,
    /// `spec.podCIDRs`.
    pub pod_cidrs: Vec<Cidr>,
}
