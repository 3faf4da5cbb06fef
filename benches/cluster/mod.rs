//! The cluster that everything is measured with: so many Services of one port with so many backends each, whose pods are
//! spread over a hundred nodes. It is the same every time.

#![allow(dead_code, reason = "each benchmark needs another part of it")]

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;

use svcnat_rules::cluster::{
    Cluster, Conditions, Endpoint, EndpointPort, EndpointSlice, Node, Service, ServicePort, ServiceType,
    TrafficPolicy,
};
use svcnat_rules::config::{Config, DetectLocal, Layout};
use svcnat_rules::name::{Name, ObjectName};
use svcnat_rules::net::{Cidr, Family, Protocol};

/// How many nodes the pods are on. The rules are for the first one.
const NODES: usize = 100;
/// How many namespaces the Services are in.
const NAMESPACES: usize = 50;
/// The port of every Service.
pub const SERVICE_PORT: u16 = 80;
/// The port of every pod.
pub const POD_PORT: u16 = 8080;
/// The networks of all ClusterIPs and of all pods.
pub const SERVICE_CIDR: &str = "10.96.0.0/12";
/// See [`SERVICE_CIDR`].
pub const POD_CIDR: &str = "10.128.0.0/9";
/// A pod of this node that is behind no Service.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 128, 255, 250);

/// How large a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// The number of Services.
    pub services: usize,
    /// The number of backends of each.
    pub backends: usize,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} x {}", thousands(self.services), self.backends)
    }
}

/// A number with commas, as people read it.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Makes objects of a cluster. Nodes' names are shared, as they are when objects come from an API server.
pub struct Maker {
    size: Size,
    protocol: Protocol,
    nodes: Vec<Name>,
    zones: Vec<Name>,
    unnamed: Name,
}

impl Maker {
    /// For a cluster of this size, whose Services are reached by this protocol.
    pub fn new(size: Size, protocol: Protocol) -> Self {
        let nodes = (0..NODES).map(|node| Name::from(format!("node-{node}"))).collect();
        let zones = ["zone-a", "zone-b", "zone-c"].map(Name::from).to_vec();
        Self { size, protocol, nodes, zones, unnamed: Name::from("") }
    }

    /// The whole cluster.
    pub fn cluster(&self) -> Cluster {
        let numbers = 0..self.size.services;
        Cluster {
            services: numbers
                .clone()
                .map(|number| (service_name(number, ""), self.service(number)))
                .collect(),
            slices: numbers.map(|number| (slice_name(number), self.slice(number))).collect(),
            node: Some(Node {
                name: self.nodes[0].clone(),
                addresses: vec![IpAddr::from([192, 168, 1, 2])],
                zone: Some(self.zones[0].clone()),
                pod_cidrs: cidr("10.128.0.0/16"),
            }),
            service_cidrs: cidr(SERVICE_CIDR),
        }
    }

    /// A Service by its number, which may lie beyond those of the cluster.
    pub fn service(&self, number: usize) -> Service {
        let port = ServicePort {
            name: self.unnamed.clone(),
            protocol: self.protocol,
            port: port(SERVICE_PORT),
            node_port: None,
        };
        Service {
            name: service_name(number, ""),
            created: i64::try_from(number).ok().map(|number| 1_700_000_000 + number),
            kind: ServiceType::ClusterIp,
            cluster_ips: vec![cluster_ip(number).into()],
            external_ips: Vec::new(),
            load_balancer_ips: Vec::new(),
            source_ranges: Vec::new(),
            ports: vec![port],
            external_policy: TrafficPolicy::Cluster,
            internal_policy: TrafficPolicy::Cluster,
            affinity_seconds: None,
            health_check_node_port: None,
            labels: [("app", service_name(number, "").name())].into_iter().collect(),
        }
    }

    /// The backends of a Service.
    pub fn slice(&self, number: usize) -> EndpointSlice {
        let first = number * self.size.backends;
        EndpointSlice {
            service: service_name(number, ""),
            family: Family::Ipv4,
            ports: vec![EndpointPort {
                name: self.unnamed.clone(),
                protocol: self.protocol,
                port: port(POD_PORT),
            }],
            endpoints: (first..first + self.size.backends).map(|pod| self.endpoint(number, pod)).collect(),
        }
    }

    /// A pod that is in no slice yet; each `number` is another one.
    pub fn fresh(&self, service: usize, number: usize) -> Endpoint {
        // Behind the pods of the Services that may be added.
        self.endpoint(service, (2 * self.size.services + 1000) * self.size.backends + number)
    }

    fn endpoint(&self, service: usize, pod: usize) -> Endpoint {
        let node = pod % NODES;
        Endpoint {
            address: pod_address(node, pod / NODES).into(),
            conditions: Conditions::default(),
            node: Some(self.nodes[node].clone()),
            zone: Some(self.zones[node % self.zones.len()].clone()),
            pod: Some(service_name(service, &format!("-5d8f7c9b6-{pod:07}"))),
            zone_hints: Box::default(),
            node_hints: Box::default(),
        }
    }
}

/// The options that everything is measured with.
pub fn config(layout: Layout) -> Config {
    Config {
        node_name: Name::from("node-0"),
        detect_local: DetectLocal::ClusterCidr(cidr(POD_CIDR)),
        layout,
        ..Config::default()
    }
}

/// The ClusterIP of a Service.
pub fn cluster_ip(number: usize) -> Ipv4Addr {
    offset(Ipv4Addr::new(10, 96, 0, 10), number)
}

/// The name of a Service's only slice.
pub fn slice_name(number: usize) -> ObjectName {
    service_name(number, "-k8sm2")
}

/// The name of a Service, or of something of its.
pub fn service_name(number: usize, behind: &str) -> ObjectName {
    ObjectName::new(&format!("namespace-{}", number % NAMESPACES), &format!("service-{number}{behind}"))
}

fn pod_address(node: usize, index: usize) -> Ipv4Addr {
    offset(Ipv4Addr::new(10, 128, 0, 2), (node << 16) + index)
}

fn offset(base: Ipv4Addr, by: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(base) + u32::try_from(by).unwrap_or(0))
}

fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap_or(NonZeroU16::MIN)
}

fn cidr(text: &str) -> Vec<Cidr> {
    text.parse().into_iter().collect()
}
