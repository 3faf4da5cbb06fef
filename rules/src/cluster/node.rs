//! Node (core/v1).

use std::net::IpAddr;

use crate::name::Name;
use crate::net::{Cidr, Family};

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

impl Node {
    /// The first address of a family.
    #[must_use]
    pub fn primary_address(&self, family: Family) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|address| Family::of(*address) == family)
    }
}
