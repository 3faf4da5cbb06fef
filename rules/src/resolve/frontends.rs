//! Where clients connect to a service port, and what becomes of them there.

use std::net::IpAddr;

use super::View;
use super::backends::Pools;
use crate::cluster::{Service, ServicePort, TrafficPolicy};
use crate::net::{Cidr, Family};
use crate::route::{Frontend, FrontendAddress, FrontendKind, Handling, Pool};

/// Whether a service port has any frontend in a family.
///
/// The families of a Service are those of its ClusterIPs; an address of another family is not served. A Service that
/// has no ClusterIP at all was never given to an API server, and is served in both.
#[must_use]
pub fn exist(service: &Service, port: &ServicePort, family: Family) -> bool {
    let any = |addresses: &[IpAddr]| addresses.iter().any(|address| Family::of(*address) == family);
    if service.cluster_ips.is_empty() {
        return port.node_port.is_some() || any(&service.external_ips) || any(&service.load_balancer_ips);
    }
    any(&service.cluster_ips)
}

/// The frontends of a service port in a family: ClusterIPs, external IPs, load-balancer addresses, the node port.
pub(super) fn of(
    view: View<'_>,
    service: &Service,
    port: &ServicePort,
    family: Family,
    pools: &Pools<'_>,
) -> Vec<Frontend> {
    let mut frontends: Vec<Frontend> = Vec::new();
    let internal = internal(service, pools);
    let external = external(service, pools);
    let in_family = |addresses: &[IpAddr]| -> Vec<IpAddr> {
        addresses.iter().copied().filter(|address| Family::of(*address) == family).collect()
    };
    let at = |address| FrontendAddress::Address(address, port.port);
    // An address that is listed twice is one frontend; the kind that is listed first decides how it is handled.
    for address in in_family(&service.cluster_ips) {
        add(&mut frontends, FrontendKind::ClusterIp, at(address), internal);
    }
    for address in in_family(&service.external_ips) {
        add(&mut frontends, FrontendKind::ExternalIp, at(address), external);
    }
    let sources = sources(view, service, family);
    for address in in_family(&service.load_balancer_ips) {
        add(&mut frontends, FrontendKind::LoadBalancer, at(address), external).sources.clone_from(&sources);
    }
    if let Some(node_port) = port.node_port {
        add(&mut frontends, FrontendKind::NodePort, FrontendAddress::NodePort(node_port), external);
    }
    frontends
}

fn add(
    frontends: &mut Vec<Frontend>,
    kind: FrontendKind,
    at: FrontendAddress,
    handling: Handling,
) -> &mut Frontend {
    let index = frontends.iter().position(|frontend| frontend.at == at).unwrap_or_else(|| {
        frontends.push(Frontend { at, kind, handling, sources: None });
        frontends.len() - 1
    });
    &mut frontends[index]
}

fn internal(service: &Service, pools: &Pools<'_>) -> Handling {
    match service.internal_policy {
        _ if pools.is_empty() => Handling::Reject,
        TrafficPolicy::Cluster => Handling::Internal(Pool::Cluster),
        TrafficPolicy::Local if pools.local.is_empty() => Handling::Drop,
        TrafficPolicy::Local => Handling::Internal(Pool::Local),
    }
}

fn external(service: &Service, pools: &Pools<'_>) -> Handling {
    match service.external_policy {
        _ if pools.is_empty() => Handling::Reject,
        TrafficPolicy::Cluster => Handling::External,
        TrafficPolicy::Local => Handling::ExternalLocal,
    }
}

/// Who may connect to the load-balancer addresses of one family.
///
/// Ranges of the other family alone close this one: whoever restricts sources does not expect a way around. Where a
/// range holds the node's own address, the load-balancer addresses may be sources as well, since a load balancer in
/// this node's network may use them to reach it.
fn sources(view: View<'_>, service: &Service, family: Family) -> Option<Vec<Cidr>> {
    if service.source_ranges.is_empty() {
        return None;
    }
    let mut sources: Vec<Cidr> =
        service.source_ranges.iter().copied().filter(|range| range.family() == family).collect();
    if sources.iter().any(|range| range.prefix() == 0) {
        return None;
    }
    let node_address = view.node.and_then(|node| node.primary_address(family));
    if node_address.is_some_and(|address| sources.iter().any(|range| range.contains(address))) {
        let own = service.load_balancer_ips.iter().filter(|address| Family::of(**address) == family);
        sources.extend(own.filter_map(|address| Cidr::new(*address, family.address_len() * 8)));
        sources.sort_unstable();
        sources.dedup();
    }
    Some(sources)
}
