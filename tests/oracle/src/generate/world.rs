//! Random worlds.

use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use svcnat_rules::cluster::{Cluster, EndpointSlice, Node, Service};
use svcnat_rules::config::{Config, DetectLocal, NodePortAddresses};
use svcnat_rules::name::{Name, ObjectName};
use svcnat_rules::net::{Cidr, Family};

use super::endpoint::slice;
use super::pool::{self, SERVICES};
use super::service::service;
use crate::build::{BRIDGE, THIS_NODE, object, read};
use crate::packet::{Environment, World};

/// A cluster, the options of a node in it, and the node's network.
pub fn arb_world() -> impl Strategy<Value = World> {
    (cluster(), config(), environment()).prop_map(|(cluster, config, environment)| World {
        cluster,
        config,
        environment,
    })
}

fn cluster() -> impl Strategy<Value = Cluster> {
    (services(), slices(), node(), service_cidrs())
        .prop_map(|(services, slices, node, service_cidrs)| Cluster { services, slices, node, service_cidrs })
}

fn services() -> impl Strategy<Value = BTreeMap<ObjectName, Service>> {
    subsequence(SERVICES.to_vec(), 2..=SERVICES.len())
        .prop_flat_map(|names| names.into_iter().map(|name| service(object(name))).collect::<Vec<_>>())
        .prop_map(|services| services.into_iter().map(|service| (service.name.clone(), service)).collect())
}

/// Named so that the slices of one Service are not neighbours, in an order that is not that of their making.
fn slices() -> impl Strategy<Value = BTreeMap<ObjectName, EndpointSlice>> {
    vec((any::<u8>(), slice()), 4..=16).prop_map(|slices| {
        let named = slices.into_iter().enumerate().map(|(index, (suffix, slice))| {
            let name = format!("{suffix:02x}-{index}");
            (ObjectName::new(slice.service.namespace(), &name), slice)
        });
        named.collect()
    })
}

/// Mostly a dual-stack node in a zone; also without zone, without one of the families, with two addresses, or none.
fn node() -> impl Strategy<Value = Option<Node>> {
    let addresses = prop_oneof![
        4 => Just(vec![pool::lan(Family::Ipv4, 2), pool::lan(Family::Ipv6, 2)]),
        1 => Just(vec![pool::lan(Family::Ipv4, 2)]),
        1 => Just(vec![pool::lan(Family::Ipv6, 2)]),
        1 => Just(vec![pool::lan(Family::Ipv6, 2), pool::lan(Family::Ipv4, 3), pool::lan(Family::Ipv4, 2)]),
    ];
    let zone = prop_oneof![4 => pool::zone().prop_map(Some), 1 => Just(None)];
    let pod_cidrs = networks(&["10.244.0.0/24", "fd00:10:244::/64"], 0);
    let node = (addresses, zone, pod_cidrs).prop_map(|(addresses, zone, pod_cidrs)| Node {
        name: Name::from(THIS_NODE),
        addresses,
        zone,
        pod_cidrs,
    });
    prop_oneof![8 => node.prop_map(Some), 1 => Just(None)]
}

/// Sorted, each once: subsequences of a sorted list are.
fn service_cidrs() -> impl Strategy<Value = Vec<Cidr>> {
    networks(&["10.96.0.0/16", "10.96.0.0/28", "fd00:10:96::/112"], 0).prop_map(|mut networks| {
        networks.sort();
        networks
    })
}

fn config() -> impl Strategy<Value = Config> {
    // Fields that only say how the rules are written keep their defaults: they must not change any verdict. Nor does counting,
    // which has elements of its own for all that comes and goes.
    let bits = select(&[14_u8, 0, 31][..]);
    (detect_local(), pool::rarely(), node_port_addresses(), bits, any::<bool>()).prop_map(
        |(detect_local, masquerade_all, node_port_addresses, masquerade_bit, counters)| Config {
            node_name: Name::from(THIS_NODE),
            detect_local,
            masquerade_all,
            masquerade_bit,
            counters,
            node_port_addresses,
            ..Config::default()
        },
    )
}

fn detect_local() -> impl Strategy<Value = DetectLocal> {
    prop_oneof![
        1 => Just(DetectLocal::Off),
        // One family only, networks that overlap, and one that also holds the ClusterIPs.
        4 => networks(&["10.244.0.0/16", "fd00:10:244::/48", "10.244.0.0/24", "10.0.0.0/8"], 1)
            .prop_map(DetectLocal::ClusterCidr),
        2 => Just(DetectLocal::NodeCidr),
        2 => select(&[BRIDGE, "br-other"][..]).prop_map(|name| DetectLocal::BridgeInterface(Name::from(name))),
        2 => select(&["veth", "cni"][..]).prop_map(|prefix| DetectLocal::InterfaceNamePrefix(Name::from(prefix))),
    ]
}

fn node_port_addresses() -> impl Strategy<Value = NodePortAddresses> {
    prop_oneof![
        2 => Just(NodePortAddresses::Primary),
        2 => networks(&["192.168.1.0/24", "192.168.1.3/32", "127.0.0.0/8", "0.0.0.0/0", "2001:db8:1::/64", "::/0"], 1)
            .prop_map(NodePortAddresses::Cidrs),
        1 => Just(NodePortAddresses::All),
    ]
}

/// At least this many of these networks.
fn networks(of: &[&str], at_least: usize) -> impl Strategy<Value = Vec<Cidr>> + use<> {
    let all: Vec<Cidr> = of.iter().map(|text| read(text)).collect();
    let count = all.len();
    subsequence(all, at_least..=count)
}

/// The Node object's addresses, one that it does not know, the pods' gateway, and now and then an external address.
fn environment() -> impl Strategy<Value = Environment> {
    (pool::rarely(), prop::bool::ANY).prop_map(|(external_is_local, bridged)| {
        let mut local_addresses = own_addresses();
        if external_is_local {
            local_addresses.extend(Family::ALL.map(|family| pool::external(family, 1)));
        }
        Environment {
            local_addresses: local_addresses.into_iter().collect(),
            pod_bridge: bridged.then(|| Name::from(BRIDGE)),
        }
    })
}

fn own_addresses() -> Vec<IpAddr> {
    let mut addresses = vec![read("127.0.0.1"), read("::1")];
    for family in Family::ALL {
        addresses.extend([pool::lan(family, 2), pool::lan(family, 3), pool::pod_here(family, 1)]);
    }
    addresses
}
