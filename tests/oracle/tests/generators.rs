//! What the generators promise: valid input, and enough of everything that the oracle tells apart.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use svcnat_oracle::frontend::{Role, target_of};
use svcnat_oracle::generate::{arb_packets, arb_world};
use svcnat_oracle::{Origin, Packet, Source, Verdict, World, verdict};
use svcnat_rules::cluster::{Service, TrafficPolicy};
use svcnat_rules::net::Family;

fn arb_traffic() -> impl Strategy<Value = (World, Vec<Packet>)> {
    arb_world().prop_flat_map(|world| {
        let packets = arb_packets(&world, 8);
        (Just(world), packets)
    })
}

fn all_distinct<T: Ord>(items: impl IntoIterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    items.into_iter().all(|item| seen.insert(item))
}

/// What conversion from the API makes sure of.
fn is_valid(service: &Service) -> bool {
    let mut ranges = service.source_ranges.clone();
    ranges.sort();
    ranges == service.source_ranges
        && all_distinct(&ranges)
        && all_distinct(service.ports.iter().map(|port| &port.name))
        && all_distinct(service.cluster_ips.iter().map(|ip| Family::of(*ip)))
        && all_distinct(&service.external_ips)
        && all_distinct(&service.load_balancer_ips)
        && !service.cluster_ips.is_empty()
        && !service.ports.is_empty()
}

proptest! {
    #[test]
    fn worlds_are_what_conversion_lets_through(world in arb_world()) {
        let cluster = &world.cluster;
        prop_assert!(cluster.services.iter().all(|(name, service)| *name == service.name && is_valid(service)));
        prop_assert!(cluster.service_cidrs.is_sorted() && all_distinct(&cluster.service_cidrs));
        for (name, slice) in &cluster.slices {
            prop_assert_eq!(name.namespace(), slice.service.namespace());
            prop_assert!(slice.endpoints.iter().all(|endpoint| Family::of(endpoint.address) == slice.family));
            prop_assert!(all_distinct(slice.ports.iter().map(|port| &port.name)));
        }
        let own = cluster.node.iter().flat_map(|node| &node.addresses);
        prop_assert!(own.into_iter().all(|address| world.environment.local_addresses.contains(address)));
    }

    #[test]
    fn backends_are_no_frontends(world in arb_world()) {
        let listens = |packet: &Packet| target_of(&world, packet).is_some();
        for slice in world.cluster.slices.values() {
            for (endpoint, port) in slice.endpoints.iter().flat_map(|at| slice.ports.iter().map(move |port| (at, port))) {
                let packet = Packet {
                    source: endpoint.address,
                    origin: Origin::LocalProcess,
                    destination: endpoint.address,
                    protocol: port.protocol,
                    port: port.port.get(),
                    affinity: None,
                };
                prop_assert!(!listens(&packet), "{packet:?}");
            }
        }
    }

    #[test]
    fn packets_could_be_sent((world, packets) in arb_traffic()) {
        for packet in packets {
            prop_assert_eq!(Family::of(packet.source), packet.family());
            let own = world.environment.is_local(packet.source);
            prop_assert_eq!(own, packet.origin == Origin::LocalProcess);
            prop_assert!(packet.affinity.is_none_or(|entry| Family::of(entry.ip()) == packet.family()));
        }
    }
}

/// What happened to a packet and why, coarsely.
fn kinds(world: &World, packet: &Packet) -> Vec<String> {
    let verdict = verdict(world, packet);
    let outcome = match &verdict {
        Verdict::Untouched => "untouched".to_owned(),
        Verdict::Drop => "drop".to_owned(),
        Verdict::Reject(how) => format!("{how:?}"),
        Verdict::Backends(backends) => {
            let masqueraded = backends.values().filter(|source| **source == Source::Masqueraded).count();
            let source = match masqueraded {
                0 => "kept",
                all if all == backends.len() => "masqueraded",
                _ => "hairpin",
            };
            format!("{source} to {}", if backends.len() == 1 { "one" } else { "many" })
        }
    };
    let target = target_of(world, packet);
    let role = target.map_or("none", |target| match (target.role, target.service.external_policy) {
        (Role::ClusterIp, _) => "ClusterIP",
        (Role::ExternalAddress, TrafficPolicy::Cluster) => "address, Cluster",
        (Role::ExternalAddress, TrafficPolicy::Local) => "address, Local",
        (Role::NodePort, TrafficPolicy::Cluster) => "node port, Cluster",
        (Role::NodePort, TrafficPolicy::Local) => "node port, Local",
    });
    let mut kinds = vec![format!("{role}: {outcome}"), format!("{}: {outcome}", packet.family())];
    let sender = match packet.origin {
        Origin::LocalProcess => "node",
        Origin::LocalPod(_) => "pod",
        Origin::Outside(_) => "outside",
    };
    kinds.push(format!("{sender}: {outcome}"));
    if let Some(target) = target.filter(|target| target.role != Role::NodePort) {
        let closed = Packet { affinity: None, ..packet.clone() };
        let mut open = world.clone();
        open.cluster
            .services
            .entry(target.service.name.clone())
            .and_modify(|service| service.source_ranges.clear());
        if svcnat_oracle::verdict(&open, &closed) != svcnat_oracle::verdict(world, &closed) {
            kinds.push("a source range decides".to_owned());
        }
        if svcnat_oracle::verdict(world, &closed) != verdict {
            kinds.push("affinity decides".to_owned());
        }
        open = world.clone();
        open.cluster.services.remove(&target.service.name);
        if target_of(&open, packet).is_some() {
            kinds.push("a conflict is decided".to_owned());
        }
    }
    kinds
}

/// Without this, a change of the generators could leave a rule without any test by random input and nobody would see.
#[test]
fn every_kind_of_outcome_comes_up() {
    let mut runner = TestRunner::deterministic();
    let mut counts = BTreeMap::<String, usize>::new();
    for _ in 0..800 {
        let (world, packets) = arb_traffic().new_tree(&mut runner).unwrap().current();
        for kind in packets.iter().flat_map(|packet| kinds(&world, packet)) {
            *counts.entry(kind).or_default() += 1;
        }
    }
    let roles = ["ClusterIP", "address, Cluster", "address, Local", "node port, Cluster", "node port, Local"];
    let answers = ["TcpReset", "PortUnreachable", "masqueraded to one", "masqueraded to many"];
    let mut expected: Vec<_> =
        roles.iter().flat_map(|role| answers.map(|answer| format!("{role}: {answer}"))).collect();
    for role in ["ClusterIP", "address, Local", "node port, Local"] {
        expected.extend(
            ["kept to one", "kept to many", "hairpin to many", "drop"]
                .map(|answer| format!("{role}: {answer}")),
        );
    }
    expected
        .extend(["untouched", "drop", "TcpReset", "PortUnreachable"].map(|answer| format!("none: {answer}")));
    for who in ["node", "pod", "outside", "IPv4", "IPv6"] {
        let outcomes =
            ["untouched", "drop", "TcpReset", "PortUnreachable", "kept to many", "masqueraded to many"];
        expected.extend(outcomes.map(|outcome| format!("{who}: {outcome}")));
    }
    expected.push("pod: hairpin to many".to_owned());
    expected
        .extend(["a source range decides", "affinity decides", "a conflict is decided"].map(str::to_owned));
    for kind in expected {
        let count = counts.get(&kind).copied().unwrap_or_default();
        assert!(count >= 5, "{kind}: {count} times; all: {counts:#?}");
    }
}
