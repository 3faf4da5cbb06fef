//! Random packets, aimed at what a world has.

use std::net::{IpAddr, SocketAddr};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use svcnat_rules::name::Name;
use svcnat_rules::net::{Family, Protocol};

use super::pool::{self, NODE_PORTS, PODS, PORTS, TARGET_PORTS};
use crate::frontend::target_of;
use crate::packet::{Origin, Packet, UPLINK, World};

type Destination = (IpAddr, Protocol, u16);

/// A packet: to a frontend mostly, else near one; from every kind of sender; with or without an affinity entry.
pub fn arb_packet(world: &World) -> impl Strategy<Value = Packet> + use<> {
    let destination = prop_oneof![
        6 => one_of(frontends(world)),
        2 => one_of(near_frontends(world)),
        1 => one_of(elsewhere()),
    ];
    let world = world.clone();
    (destination, any::<Index>(), any::<Index>(), prop::bool::ANY).prop_map(
        move |((destination, protocol, port), sender, entry, remembered)| {
            let family = Family::of(destination);
            let (source, origin) = sender.get(&senders(&world, family)).clone();
            let mut packet = Packet { source, origin, destination, protocol, port, affinity: None };
            packet.affinity = remembered.then(|| *entry.get(&remembered_backends(&world, &packet)));
            packet
        },
    )
}

/// Several packets for one world.
pub fn arb_packets(world: &World, count: usize) -> impl Strategy<Value = Vec<Packet>> + use<> {
    vec(arb_packet(world), count)
}

fn one_of(mut destinations: Vec<Destination>) -> impl Strategy<Value = Destination> {
    // A cluster may have no frontend that can be reached.
    if destinations.is_empty() {
        destinations = elsewhere();
    }
    select(destinations)
}

/// Every address of every Service with the Service's ports, the node's addresses with its node ports.
fn frontends(world: &World) -> Vec<Destination> {
    let mut all = Vec::new();
    for service in world.cluster.services.values() {
        for port in &service.ports {
            for address in
                service.cluster_ips.iter().chain(&service.external_ips).chain(&service.load_balancer_ips)
            {
                all.push((*address, port.protocol, port.port.get()));
            }
            if let Some(number) = port.node_port {
                let own = Family::ALL.map(|family| [pool::lan(family, 2), pool::lan(family, 3)]).concat();
                all.extend(own.into_iter().map(|address| (address, port.protocol, number.get())));
            }
        }
    }
    all
}

/// The addresses of frontends and ClusterIPs that nobody has, with ports that may be another's or nobody's.
fn near_frontends(world: &World) -> Vec<Destination> {
    let mut addresses: Vec<IpAddr> = world.environment.local_addresses.iter().copied().collect();
    for service in world.cluster.services.values() {
        addresses.extend(
            service.cluster_ips.iter().chain(&service.external_ips).chain(&service.load_balancer_ips),
        );
    }
    addresses.extend(Family::ALL.map(|family| pool::cluster_ip(family, 77)));
    with_every_port(&addresses)
}

/// Pods, hosts and nothing in particular.
fn elsewhere() -> Vec<Destination> {
    let hosts = Family::ALL.map(|family| {
        let pods = PODS.map(|last| [pool::pod_here(family, last), pool::pod_elsewhere(family, last)]);
        let hosts = [pool::lan(family, 10), pool::client(family, 7), pool::external(family, 9)];
        [&pods.concat()[..], &hosts].concat()
    });
    with_every_port(&hosts.concat())
}

fn with_every_port(addresses: &[IpAddr]) -> Vec<Destination> {
    let numbers =
        PORTS.iter().map(|(_, _, number)| *number).chain(NODE_PORTS).chain(TARGET_PORTS).chain([81]);
    let ports: Vec<_> = numbers.flat_map(|number| Protocol::ALL.map(|protocol| (protocol, number))).collect();
    let each =
        |address: &IpAddr| ports.iter().map(|(protocol, number)| (*address, *protocol, *number)).collect();
    addresses.iter().flat_map(|address| -> Vec<Destination> { each(address) }).collect()
}

/// Everyone who may send in this family: pods here (backends among them) and elsewhere, hosts inside and outside of source
/// ranges, the node with each of its addresses, and load balancers, which are the node itself where it holds their address.
fn senders(world: &World, family: Family) -> Vec<(IpAddr, Origin)> {
    let mut senders = Vec::new();
    for last in PODS {
        let pod = pool::pod_here(family, last);
        senders.push((pod, Origin::LocalPod(world.environment.pod_interface(pod))));
    }
    let own = world
        .environment
        .local_addresses
        .iter()
        .filter(|own| Family::of(**own) == family && !own.is_loopback());
    senders.extend(own.map(|own| (*own, Origin::LocalProcess)));
    let far = [
        pool::pod_elsewhere(family, 2),
        pool::pod_elsewhere(family, 3),
        pool::lan(family, 10),
        pool::lan(family, 20),
        pool::client(family, 1),
        pool::client(family, 7),
        pool::client(family, 200),
        pool::external(family, 1),
        pool::external(family, 2),
    ];
    let far = far.into_iter().filter(|address| !world.environment.is_local(*address));
    senders.extend(far.map(|address| (address, Origin::Outside(Name::from(UPLINK)))));
    senders
}

/// Backends that an affinity entry may name: endpoints of the Service that the packet is for, on all their ports and whether
/// they serve or not; one that is gone.
fn remembered_backends(world: &World, packet: &Packet) -> Vec<SocketAddr> {
    let family = packet.family();
    let mut backends = vec![SocketAddr::new(pool::pod_elsewhere(family, 99), TARGET_PORTS[0])];
    let target = target_of(world, packet);
    let slices = world.cluster.slices.values().filter(|slice| slice.family == family);
    let own = slices.filter(|slice| target.is_none_or(|target| target.service.name == slice.service));
    for slice in own {
        for port in &slice.ports {
            backends.extend(slice.endpoints.iter().map(|at| SocketAddr::new(at.address, port.port.get())));
        }
    }
    backends
}
