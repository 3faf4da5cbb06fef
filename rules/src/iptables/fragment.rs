//! What one Service contributes to the rules.

use std::net::IpAddr;

use super::chain::TableName;
use super::names::{address_chain, chain};
use super::rule::Rule;
use crate::layout::FrontendKey;
use crate::name::Name;
use crate::net::Family;
use crate::route::ServicePortName;

/// The contribution of one Service in both families; it depends on that Service alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fragment {
    /// Chains of its own.
    pub chains: Vec<OwnChain>,
    /// Frontends that it wants.
    pub claims: Vec<Claim>,
    /// Rules that others may want as well, for the same purpose and in the same words.
    pub shared: Vec<Entry>,
    /// The families in which it has anything at all.
    pub families: Vec<Family>,
}

/// A chain that no other Service's fragment has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnChain {
    /// The family.
    pub family: Family,
    /// The table.
    pub table: TableName,
    /// Its name.
    pub name: Name,
    /// Whom it was made for.
    pub port: ServicePortName,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// A frontend that a service port wants, with the rules that lead to it. They are there together or, where an older
/// Service has the frontend, not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The frontend.
    pub frontend: FrontendKey,
    /// Who wants it.
    pub port: ServicePortName,
    /// Its rules.
    pub entries: Vec<Entry>,
}

/// A rule in a chain that Services share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The family.
    pub family: Family,
    /// The chain.
    pub chain: SharedChain,
    /// The rule. It excludes all others of the chain.
    pub rule: Rule,
}

/// A chain that Services share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SharedChain {
    /// Frontends that not every source may connect to.
    Sources,
    /// Address frontends that nothing serves.
    NoEndpoints,
    /// Node ports that nothing serves.
    NoEndpointsNodePorts,
    /// All ClusterIPs.
    ClusterIps,
    /// The ports of an address.
    Address(IpAddr),
    /// Node ports.
    NodePorts,
    /// Pods that a Service may send back to themselves.
    Hairpin,
}

impl SharedChain {
    /// The table that it is in.
    #[must_use]
    pub fn table(self) -> TableName {
        match self {
            Self::Sources => TableName::Mangle,
            Self::NoEndpoints | Self::NoEndpointsNodePorts | Self::ClusterIps => TableName::Filter,
            Self::Address(_) | Self::NodePorts | Self::Hairpin => TableName::Nat,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> Name {
        Name::from(match self {
            Self::Sources => chain::SOURCES,
            Self::NoEndpoints => chain::NO_ENDPOINTS,
            Self::NoEndpointsNodePorts => chain::NO_ENDPOINTS_NODE_PORTS,
            Self::ClusterIps => chain::CLUSTER_IPS,
            Self::Address(address) => return address_chain(address),
            Self::NodePorts => chain::NODE_PORTS,
            Self::Hairpin => chain::HAIRPIN,
        })
    }
}
