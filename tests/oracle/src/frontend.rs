//! Which service port a destination belongs to.

use std::net::IpAddr;

use svcnat_rules::cluster::{Cluster, Service, ServicePort};
use svcnat_rules::config::NodePortAddresses;
use svcnat_rules::net::Family;

use crate::packet::{Packet, World};

/// The service port that a packet is for, and in which way it was addressed.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The Service.
    pub service: &'a Service,
    /// Its port.
    pub port: &'a ServicePort,
    /// How the packet was addressed to it.
    pub role: Role,
}

/// What a destination is to the Service that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Its ClusterIP: internal traffic.
    ClusterIp,
    /// One of its externalIPs or load-balancer addresses, and not its ClusterIP: external traffic.
    ExternalAddress,
    /// A node port: external traffic.
    NodePort,
}

/// The service port that a packet is for. An address frontend has precedence over a node port.
#[must_use]
pub fn target_of<'a>(world: &'a World, packet: &Packet) -> Option<Target<'a>> {
    address_frontend(&world.cluster, packet).or_else(|| node_port_frontend(world, packet))
}

/// "one winner: the older Service (creationTimestamp, then namespace/name)"; without a timestamp it is the youngest.
fn oldest_first(cluster: &Cluster) -> Vec<&Service> {
    let mut services: Vec<_> = cluster.services.values().collect();
    services.sort_by_key(|service| (service.created.is_none(), service.created, &service.name));
    services
}

/// "the address of each family; a family without one is skipped", with all its frontends.
fn has_family(service: &Service, family: Family) -> bool {
    service.cluster_ips.iter().any(|ip| Family::of(*ip) == family)
}

/// ClusterIPs, externalIPs and load-balancer addresses, with the port of the Service.
fn address_frontend<'a>(cluster: &'a Cluster, packet: &Packet) -> Option<Target<'a>> {
    let destination = &packet.destination;
    oldest_first(cluster).into_iter().filter(|service| has_family(service, packet.family())).find_map(
        |service| {
            let role = if service.cluster_ips.contains(destination) {
                Role::ClusterIp
            } else if service.external_ips.contains(destination)
                || service.load_balancer_ips.contains(destination)
            {
                Role::ExternalAddress
            } else {
                return None;
            };
            let port = service
                .ports
                .iter()
                .find(|port| port.protocol == packet.protocol && port.port.get() == packet.port)?;
            Some(Target { service, port, role })
        },
    )
}

/// `ports[].nodePort`, on the addresses that serve node ports.
fn node_port_frontend<'a>(world: &'a World, packet: &Packet) -> Option<Target<'a>> {
    if !serves_node_ports(world, packet.destination) {
        return None;
    }
    oldest_first(&world.cluster).into_iter().filter(|service| has_family(service, packet.family())).find_map(
        |service| {
            let wanted = |port: &&ServicePort| {
                port.protocol == packet.protocol
                    && port.node_port.is_some_and(|number| number.get() == packet.port)
            };
            service.ports.iter().find(wanted).map(|port| Target { service, port, role: Role::NodePort })
        },
    )
}

/// "on the node's primary addresses (`primary`), or on those inside given CIDRs, or on all local addresses but loopback".
fn serves_node_ports(world: &World, address: IpAddr) -> bool {
    let local_but_loopback = world.environment.is_local(address) && !address.is_loopback();
    match (&world.config.node_port_addresses, &world.cluster.node) {
        (NodePortAddresses::Primary, Some(_)) => {
            primary_address(&world.cluster, Family::of(address)) == Some(address)
        }
        (NodePortAddresses::Primary, None) | (NodePortAddresses::All, _) => local_but_loopback,
        (NodePortAddresses::Cidrs(cidrs), _) => {
            local_but_loopback && cidrs.iter().any(|cidr| cidr.contains(address))
        }
    }
}

/// "Addresses (InternalIP, one per family)": the first of each family in the Node object.
#[must_use]
pub fn primary_address(cluster: &Cluster, family: Family) -> Option<IpAddr> {
    let addresses = cluster.node.as_ref()?.addresses.iter();
    addresses.copied().find(|address| Family::of(*address) == family)
}

/// Whether the address is a live ClusterIP, on whatever port.
#[must_use]
pub fn is_cluster_ip(cluster: &Cluster, address: IpAddr) -> bool {
    cluster
        .services
        .values()
        .any(|service| !service.ports.is_empty() && service.cluster_ips.contains(&address))
}
