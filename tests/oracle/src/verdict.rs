//! The verdict on a packet.

use std::net::SocketAddr;

use svcnat_rules::cluster::{Service, TrafficPolicy};
use svcnat_rules::config::DetectLocal;
use svcnat_rules::net::Cidr;

use crate::backend::{self, Endpoints};
use crate::frontend::{Role, Target, is_cluster_ip, primary_address, target_of};
use crate::packet::{Origin, Packet, Rejection, Source, Verdict, World};

/// What must happen to the first packet of a connection.
#[must_use]
pub fn verdict(world: &World, packet: &Packet) -> Verdict {
    let Some(target) = target_of(world, packet) else {
        return not_a_frontend(world, packet);
    };
    // "new connections from elsewhere are dropped before DNAT", so also before the reject without backends.
    if !source_may_connect(world, target, packet) {
        return Verdict::Drop;
    }
    let endpoints = backend::merged(&world.cluster, target.service, target.port, packet.family());
    // "no backends at all: reject on every frontend".
    if backend::nobody_serves(&endpoints) {
        return Verdict::Reject(Rejection::of(packet.protocol));
    }
    let path = path(world, target, packet);
    let allowed = backend::chosen(path.policy, &endpoints, &world.cluster, &world.config);
    // "none here but some elsewhere: drop".
    if allowed.is_empty() {
        return Verdict::Drop;
    }
    let masquerade = path.masquerade || cluster_ip_masquerade(world, packet);
    let sent_to = stick(target.service, allowed, packet.affinity);
    let source_seen = |at: &SocketAddr, may_be_here: bool| {
        // "a connection that DNAT sends back to its own source is masqueraded": by the node where that source lives.
        let hairpin = may_be_here && at.ip() == packet.source;
        let masqueraded = (masquerade || hairpin) && leaves(world, packet, at);
        if masqueraded { Source::Masqueraded } else { Source::Kept }
    };
    let with_source = sent_to
        .iter()
        .map(|(at, endpoint)| (*at, source_seen(at, backend::may_be_here(endpoint, &world.config))));
    Verdict::Backends(with_source.collect())
}

/// Whether the packet is sent out on its way to a backend, be it on the loopback interface: only then can its source be
/// changed. A packet from elsewhere to a backend in the node's own network namespace is not.
fn leaves(world: &World, packet: &Packet, backend: &SocketAddr) -> bool {
    packet.origin == Origin::LocalProcess || !world.environment.is_local(backend.ip())
}

/// "port of a live ClusterIP that no Service has: reject (new connections; forward and output)"; "address inside a
/// ServiceCIDR that no Service has: drop".
fn not_a_frontend(world: &World, packet: &Packet) -> Verdict {
    let passes_input =
        packet.origin != Origin::LocalProcess && world.environment.is_local(packet.destination);
    if passes_input {
        Verdict::Untouched
    } else if is_cluster_ip(&world.cluster, packet.destination) {
        Verdict::Reject(Rejection::of(packet.protocol))
    } else if world.cluster.service_cidrs.iter().any(|cidr| cidr.contains(packet.destination)) {
        Verdict::Drop
    } else {
        Verdict::Untouched
    }
}

/// `loadBalancerSourceRanges`: "load-balancer addresses only". "source ranges given: the other family is closed unless it
/// has ranges of its own" needs no words here, as no range of one family contains an address of the other.
fn source_may_connect(world: &World, target: Target<'_>, packet: &Packet) -> bool {
    let service = target.service;
    let to_load_balancer =
        target.role != Role::NodePort && service.load_balancer_ips.contains(&packet.destination);
    if !to_load_balancer || service.source_ranges.is_empty() {
        return true;
    }
    let in_a_range = service.source_ranges.iter().any(|range| range.contains(packet.source));
    in_a_range || load_balancer_loops_back(world, service, packet)
}

/// "if a range holds the node's own address, the load-balancer addresses themselves are allowed as sources too".
fn load_balancer_loops_back(world: &World, service: &Service, packet: &Packet) -> bool {
    let node = primary_address(&world.cluster, packet.family());
    let node_in_range =
        node.is_some_and(|node| service.source_ranges.iter().any(|range| range.contains(node)));
    node_in_range && service.load_balancer_ips.contains(&packet.source)
}

/// Which policy holds for a packet, and whether its way through an external frontend masquerades it.
struct Path {
    policy: TrafficPolicy,
    masquerade: bool,
}

fn path(world: &World, target: Target<'_>, packet: &Packet) -> Path {
    match (target.role, target.service.external_policy) {
        // `internalTrafficPolicy`.
        (Role::ClusterIp, _) => Path { policy: target.service.internal_policy, masquerade: false },
        // "`externalTrafficPolicy: Cluster`: all backends, masqueraded".
        (_, TrafficPolicy::Cluster) => Path { policy: TrafficPolicy::Cluster, masquerade: true },
        (_, TrafficPolicy::Local) => external_local_path(world, packet),
    }
}

/// "`externalTrafficPolicy: Local`: backends on this node, source address kept; traffic from local pods and from the node
/// itself may use all backends (from the node: masqueraded)". A source that is both counts as a pod.
fn external_local_path(world: &World, packet: &Packet) -> Path {
    let from_local_pod = from_local_pod(world, packet) == Some(true);
    let from_node = world.environment.is_local(packet.source);
    if from_local_pod {
        Path { policy: TrafficPolicy::Cluster, masquerade: false }
    } else if from_node {
        Path { policy: TrafficPolicy::Cluster, masquerade: true }
    } else {
        Path { policy: TrafficPolicy::Local, masquerade: false }
    }
}

/// "ClusterIP traffic: masquerade if masqueradeAll; else if the source is not local to the cluster's pods (detectLocal)".
fn cluster_ip_masquerade(world: &World, packet: &Packet) -> bool {
    let wanted = world.config.masquerade_all || from_local_pod(world, packet) == Some(false);
    wanted && is_cluster_ip(&world.cluster, packet.destination)
}

/// "Local detection: ClusterCIDR, NodeCIDR, BridgeInterface, InterfaceNamePrefix." `None` where there is no way to tell in
/// this family.
fn from_local_pod(world: &World, packet: &Packet) -> Option<bool> {
    let inside = |cidrs: &[Cidr]| {
        let mut of_family = cidrs.iter().filter(|cidr| cidr.family() == packet.family()).peekable();
        of_family.peek()?;
        Some(of_family.any(|cidr| cidr.contains(packet.source)))
    };
    match &world.config.detect_local {
        DetectLocal::Off => None,
        DetectLocal::ClusterCidr(cidrs) => inside(cidrs),
        DetectLocal::NodeCidr => inside(&world.cluster.node.as_ref()?.pod_cidrs),
        DetectLocal::BridgeInterface(bridge) => Some(packet.interface() == Some(bridge)),
        DetectLocal::InterfaceNamePrefix(prefix) => {
            Some(packet.interface().is_some_and(|interface| interface.starts_with(prefix.as_str())))
        }
    }
}

/// "a client's new connections go to the same backend", where that one is still allowed on the client's path.
fn stick<'a>(service: &Service, allowed: Endpoints<'a>, entry: Option<SocketAddr>) -> Endpoints<'a> {
    let remembered = entry.filter(|_| service.affinity_seconds.is_some());
    let Some((at, endpoint)) = remembered.and_then(|at| allowed.get_key_value(&at)) else {
        return allowed;
    };
    Endpoints::from([(*at, *endpoint)])
}
