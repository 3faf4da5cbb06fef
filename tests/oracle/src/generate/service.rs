//! Random Services, as the conversion from the API would let them through.

use std::net::IpAddr;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use svcnat_rules::cluster::{Labels, Service, ServicePort, ServiceType, TrafficPolicy};
use svcnat_rules::name::{Name, ObjectName};
use svcnat_rules::net::{Cidr, Family, Protocol};

use super::pool::{self, NODE_PORTS, PORTS};
use crate::build::{port, read};

/// Ranges that overlap, let everyone in, hold the node, the pods, or an external address, in both families.
const RANGES: [&str; 13] = [
    "0.0.0.0/0",
    "10.244.0.0/16",
    "192.168.1.0/24",
    "198.51.100.0/24",
    "198.51.100.0/25",
    "198.51.100.7/32",
    "203.0.113.1/32",
    "::/0",
    "2001:db8:1::2/128",
    "2001:db8:198::/64",
    "2001:db8:198::/127",
    "2001:db8:203::/64",
    "fd00:10:244::/64",
];

/// A Service of this name.
pub fn service(name: ObjectName) -> impl Strategy<Value = Service> {
    let addresses = (cluster_ips(), external_ips(), load_balancer_ips(), source_ranges());
    let policies = (policy(), policy(), option::of(select(&[1, 60, 10_800, 86_400][..])), labels());
    // Equal times are frequent, and so is none.
    let created = select(&[None, Some(100), Some(100), Some(200)][..]);
    (addresses, ports(), policies, created).prop_map(move |(addresses, ports, policies, created)| {
        let (cluster_ips, external_ips, load_balancer_ips, source_ranges) = addresses;
        let (external_policy, internal_policy, affinity_seconds, labels) = policies;
        let kind = if !load_balancer_ips.is_empty() {
            ServiceType::LoadBalancer
        } else if ports.iter().any(|port| port.node_port.is_some()) {
            ServiceType::NodePort
        } else {
            ServiceType::ClusterIp
        };
        Service {
            name: name.clone(),
            created,
            kind,
            cluster_ips,
            external_ips,
            load_balancer_ips,
            source_ranges,
            ports,
            external_policy,
            internal_policy,
            affinity_seconds,
            health_check_node_port: None,
            labels,
        }
    })
}

/// At most one for each family, at least one.
fn cluster_ips() -> impl Strategy<Value = Vec<IpAddr>> {
    let of = |family| (1..=5_u16).prop_map(move |last| pool::cluster_ip(family, last));
    prop_oneof![
        1 => of(Family::Ipv4).prop_map(|v4| vec![v4]),
        1 => of(Family::Ipv6).prop_map(|v6| vec![v6]),
        2 => (of(Family::Ipv4), of(Family::Ipv6)).prop_map(|(v4, v6)| vec![v4, v6]),
        1 => (of(Family::Ipv4), of(Family::Ipv6)).prop_map(|(v4, v6)| vec![v6, v4]),
    ]
}

/// Mostly external addresses; also the node's own and what is, or could be, a ClusterIP.
fn external_address() -> impl Strategy<Value = IpAddr> {
    pool::family().prop_flat_map(|family| {
        prop_oneof![
            6 => (1..=3_u16).prop_map(move |last| pool::external(family, last)),
            1 => (2..=3_u16).prop_map(move |last| pool::lan(family, last)),
            1 => (1..=5_u16).prop_map(move |last| pool::cluster_ip(family, last)),
        ]
    })
}

fn external_ips() -> impl Strategy<Value = Vec<IpAddr>> {
    distinct(vec(external_address(), 0..=2))
}

fn load_balancer_ips() -> impl Strategy<Value = Vec<IpAddr>> {
    distinct(vec(external_address(), 0..=3))
}

/// Each once, in the order of the first occurrence.
fn distinct(addresses: impl Strategy<Value = Vec<IpAddr>>) -> impl Strategy<Value = Vec<IpAddr>> {
    addresses.prop_map(|addresses| {
        let mut seen = Vec::new();
        for address in addresses {
            if !seen.contains(&address) {
                seen.push(address);
            }
        }
        seen
    })
}

/// Sorted, each once; the order of `Cidr` is not the order of `RANGES`.
fn source_ranges() -> impl Strategy<Value = Vec<Cidr>> {
    let ranges: Vec<Cidr> = RANGES.into_iter().map(read).collect();
    let some = subsequence(ranges, 1..=4).prop_map(|mut ranges| {
        ranges.sort();
        ranges
    });
    prop_oneof![1 => Just(Vec::new()), 1 => some]
}

/// One to three ports with distinct names. Now and then two have the same protocol and number, as a manifest
/// that no API server has seen may.
fn ports() -> impl Strategy<Value = Vec<ServicePort>> {
    let chosen = subsequence(PORTS.to_vec(), 1..=3).prop_shuffle();
    let unusual = vec((pool::rarely(), select(&Protocol::ALL[..]), option::of(select(&NODE_PORTS[..]))), 3);
    (chosen, unusual).prop_map(|(chosen, unusual)| {
        let made =
            chosen.into_iter().zip(unusual).map(|((name, usual, number), (unusual, other, node_port))| {
                ServicePort {
                    name: Name::from(name),
                    protocol: if unusual { other } else { usual },
                    port: port(number),
                    node_port: node_port.map(port),
                }
            });
        made.collect()
    })
}

/// Some labels; often two Services have the same ones.
fn labels() -> impl Strategy<Value = Labels> {
    let all = vec![("app", "web"), ("tier", ""), ("example.com/env", "test")];
    subsequence(all, 0..=3).prop_map(|labels| labels.into_iter().collect())
}

fn policy() -> impl Strategy<Value = TrafficPolicy> {
    prop_oneof![Just(TrafficPolicy::Cluster), Just(TrafficPolicy::Local)]
}
