//! Short words for writing worlds, packets and verdicts by hand, in tests and scenarios.
//!
//! They take text and panic where it cannot be read: it is a literal in a test.
#![allow(clippy::panic, reason = "a literal that cannot be read is a mistake in the test that holds it")]

mod endpoint;
mod packet;
mod service;

use std::fmt::Display;
use std::num::NonZeroU16;
use std::str::FromStr;

pub use endpoint::{EndpointBuilder, SliceBuilder, elsewhere, endpoint, here, slice, tcp_slice};
pub use packet::{RESET, Sender, UNREACHABLE, hairpin, kept, masqueraded, outside, pod, pod_at, process};
pub use service::{ServiceBuilder, service};
use svcnat_rules::cluster::{Cluster, Node};
use svcnat_rules::config::{Config, DetectLocal};
use svcnat_rules::name::{Name, ObjectName};

use crate::packet::{Environment, World};

/// The node that worlds are seen from.
pub const THIS_NODE: &str = "node-a";
/// Another node.
pub const OTHER_NODE: &str = "node-b";
/// The zone of [`THIS_NODE`].
pub const THIS_ZONE: &str = "zone-a";
/// Another zone.
pub const OTHER_ZONE: &str = "zone-b";
/// The bridge of this node's pods, where they have one.
pub const BRIDGE: &str = "cni0";

/// Reads an address, a CIDR, or an address with its port.
///
/// # Panics
///
/// Where the text is none.
#[must_use]
pub fn read<T: FromStr<Err: Display>>(text: &str) -> T {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A port's number.
///
/// # Panics
///
/// On 0.
#[must_use]
pub fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap_or_else(|| panic!("0 is not a port"))
}

/// Reads `namespace/name`.
///
/// # Panics
///
/// Without a slash.
#[must_use]
pub fn object(text: &str) -> ObjectName {
    let (namespace, name) = text.split_once('/').unwrap_or_else(|| panic!("{text}: no namespace"));
    ObjectName::new(namespace, name)
}

/// A dual-stack node in a zone with an empty cluster, ClusterCIDR detection and a pod bridge.
#[must_use]
pub fn world() -> World {
    let addresses = vec![read("192.168.1.2"), read("2001:db8:1::2")];
    let local =
        ["127.0.0.1", "::1", "192.168.1.2", "192.168.1.3", "2001:db8:1::2", "10.244.0.1", "fd00:10:244::1"];
    World {
        cluster: Cluster {
            node: Some(Node {
                name: Name::from(THIS_NODE),
                addresses,
                zone: Some(Name::from(THIS_ZONE)),
                pod_cidrs: vec![read("10.244.0.0/24"), read("fd00:10:244::/64")],
            }),
            ..Cluster::default()
        },
        config: Config {
            node_name: Name::from(THIS_NODE),
            detect_local: DetectLocal::ClusterCidr(vec![read("10.244.0.0/16"), read("fd00:10:244::/48")]),
            ..Config::default()
        },
        environment: Environment {
            local_addresses: local.into_iter().map(read).collect(),
            pod_bridge: Some(Name::from(BRIDGE)),
        },
    }
}

impl World {
    /// Adds a Service.
    #[must_use]
    pub fn service(mut self, service: ServiceBuilder) -> Self {
        self.cluster.services.insert(service.0.name.clone(), service.0);
        self
    }

    /// Adds an EndpointSlice, named after its Service and the number of slices so far.
    #[must_use]
    pub fn slice(mut self, slice: SliceBuilder) -> Self {
        let service = &slice.0.service;
        let name = format!("{}-{:04}", service.name(), self.cluster.slices.len());
        self.cluster.slices.insert(ObjectName::new(service.namespace(), &name), slice.0);
        self
    }

    /// Adds a network of ClusterIPs.
    #[must_use]
    pub fn service_cidr(mut self, cidr: &str) -> Self {
        self.cluster.service_cidrs.push(read(cidr));
        self.cluster.service_cidrs.sort();
        self
    }

    /// Changes the options.
    #[must_use]
    pub fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Changes the Node.
    #[must_use]
    pub fn node(mut self, change: impl FnOnce(&mut Option<Node>)) -> Self {
        change(&mut self.cluster.node);
        self
    }

    /// Gives the node's interfaces one more address.
    #[must_use]
    pub fn local_address(mut self, address: &str) -> Self {
        self.environment.local_addresses.insert(read(address));
        self
    }
}
