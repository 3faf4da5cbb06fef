//! The few values that everything is made from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use proptest::sample::select;
use svcnat_rules::name::Name;
use svcnat_rules::net::{Family, Protocol};

use crate::build::{OTHER_NODE, OTHER_ZONE, THIS_NODE, THIS_ZONE};

/// Names of Services. As texts `shop-eu/api` precedes `shop/api`; as pairs it is the other way round.
pub const SERVICES: [&str; 4] = ["default/web", "shop/api", "shop-eu/api", "shop/db"];

/// Ports of a Service: name, usual protocol, number. The same number serves several protocols.
pub const PORTS: [(&str, Protocol, u16); 4] = [
    ("", Protocol::Tcp, 80),
    ("https", Protocol::Tcp, 443),
    ("dns", Protocol::Udp, 80),
    ("sig", Protocol::Sctp, 80),
];

/// Node ports.
pub const NODE_PORTS: [u16; 3] = [30008, 30080, 30443];

/// Where pods listen. None of these is a port or a node port of a Service.
pub const TARGET_PORTS: [u16; 2] = [8080, 8443];

/// The last parts of the addresses of pods.
pub const PODS: [u16; 4] = [2, 3, 4, 5];

/// An address of this node's pods.
pub fn pod_here(family: Family, last: u16) -> IpAddr {
    address(family, [10, 244, 0], [0xfd00, 0x10, 0x244, 0], last)
}

/// An address of pods elsewhere.
pub fn pod_elsewhere(family: Family, last: u16) -> IpAddr {
    address(family, [10, 244, 1], [0xfd00, 0x10, 0x244, 1], last)
}

/// An address of the network that the nodes share; the last part 2 is this node's.
pub fn lan(family: Family, last: u16) -> IpAddr {
    address(family, [192, 168, 1], [0x2001, 0xdb8, 1, 0], last)
}

/// A ClusterIP.
pub fn cluster_ip(family: Family, last: u16) -> IpAddr {
    address(family, [10, 96, 0], [0xfd00, 0x10, 0x96, 0], last)
}

/// An address that routers outside lead to the nodes.
pub fn external(family: Family, last: u16) -> IpAddr {
    address(family, [203, 0, 113], [0x2001, 0xdb8, 0x203, 0], last)
}

/// A client's address.
pub fn client(family: Family, last: u16) -> IpAddr {
    address(family, [198, 51, 100], [0x2001, 0xdb8, 0x198, 0], last)
}

fn address(family: Family, v4: [u8; 3], v6: [u16; 4], last: u16) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::new(v4[0], v4[1], v4[2], last.to_be_bytes()[1]).into(),
        Family::Ipv6 => Ipv6Addr::new(v6[0], v6[1], v6[2], v6[3], 0, 0, 0, last).into(),
    }
}

/// One of the families.
pub fn family() -> impl Strategy<Value = Family> {
    select(&Family::ALL[..])
}

/// One of the nodes, by name.
pub fn node() -> impl Strategy<Value = Name> {
    select(&[THIS_NODE, OTHER_NODE][..]).prop_map(Name::from)
}

/// One of the zones.
pub fn zone() -> impl Strategy<Value = Name> {
    select(&[THIS_ZONE, OTHER_ZONE][..]).prop_map(Name::from)
}

/// True once in a while.
pub fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.1)
}
