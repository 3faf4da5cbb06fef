//! Node (core/v1).

use std::net::IpAddr;

use crate::name::Name;
use crate::net::{Cidr, Family};

/// The node that the rules are for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "camelCase", deny_unknown_fields)
)]
pub struct Node {
    /// `metadata.name`.
    pub name: Name,
    /// `status.addresses` of type InternalIP, in the order of the object; the first of each family is primary.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub addresses: Vec<IpAddr>,
    /// Label `topology.kubernetes.io/zone`.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub zone: Option<Name>,
    /// `spec.podCIDRs`.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub pod_cidrs: Vec<Cidr>,
}

impl Node {
    /// The first address of a family.
    #[must_use]
    pub fn primary_address(&self, family: Family) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|address| Family::of(*address) == family)
    }
}
