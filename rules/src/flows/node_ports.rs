//! On which addresses node ports are served.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::cluster::Node;
use crate::config::{Config, NodePortAddresses};
use crate::net::Family;

/// The addresses on which node ports are served, as the program's rules have it: the Node's primary ones, or those of
/// this machine's addresses that the option asks for, never loopback.
#[must_use]
pub fn node_port_addresses(
    config: &Config,
    node: Option<&Node>,
    local_addresses: &BTreeSet<IpAddr>,
) -> BTreeSet<IpAddr> {
    let local = local_addresses.iter().copied().filter(|address| !address.is_loopback());
    match (&config.node_port_addresses, node) {
        (NodePortAddresses::Primary, Some(node)) => {
            Family::ALL.into_iter().filter_map(|family| node.primary_address(family)).collect()
        }
        (NodePortAddresses::Primary, None) | (NodePortAddresses::All, _) => local.collect(),
        (NodePortAddresses::Cidrs(networks), _) => {
            local.filter(|address| networks.iter().any(|network| network.contains(*address))).collect()
        }
    }
}
