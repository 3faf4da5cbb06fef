//! Manifests for the stage, as JSON, which is YAML too.

use std::net::IpAddr;

use serde_json::{Value, json};
use svcnat_lab::{Family, Protocol};

use crate::stage::TARGET_PORT;

/// An address of each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses([IpAddr; 2]);

impl Addresses {
    /// Reads both.
    pub fn new(ipv4: &str, ipv6: &str) -> Self {
        Self([ipv4, ipv6].map(|text| text.parse().expect("an address")))
    }

    /// The one of a family.
    pub fn of(self, family: Family) -> IpAddr {
        self.0.into_iter().find(|address| Family::of(*address) == family).expect("one of each family")
    }

    /// Both, as the API has them in `clusterIPs` and `externalIPs`.
    pub fn json(self) -> Value {
        json!(self.0)
    }
}

/// The ClusterIPs with this number: 10.96.0.N and `fd00:10:96::N`.
pub fn cluster_ip(number: u8) -> Addresses {
    Addresses::new(&format!("10.96.0.{number}"), &format!("fd00:10:96::{number}"))
}

/// The addresses outside of the cluster with this number: 203.0.113.N and `2001:db8:203::N`.
pub fn external(number: u8) -> Addresses {
    Addresses::new(&format!("203.0.113.{number}"), &format!("2001:db8:203::{number}"))
}

/// The port that Services of the stage listen on.
pub const PORT: u16 = 80;

/// A dual-stack Service `default/NAME` with port 80 of every protocol, and with fields of its `spec` besides or instead.
pub fn service(name: &str, number: u8, spec: &Value) -> Value {
    let mut service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "type": "ClusterIP",
            "clusterIPs": cluster_ip(number).json(),
            "ipFamilies": ["IPv4", "IPv6"],
            "ports": ports(None),
        },
    });
    merge(&mut service["spec"], spec);
    service
}

/// A Service's ports: 80 of every protocol, perhaps with a node port.
pub fn ports(node_port: Option<u16>) -> Value {
    let of = |protocol: Protocol| {
        let mut port = json!({"name": protocol.keyword(), "protocol": upper(protocol), "port": PORT});
        port["targetPort"] = json!(TARGET_PORT);
        if let Some(number) = node_port {
            port["nodePort"] = json!(number);
        }
        port
    };
    Protocol::ALL.into_iter().map(of).collect()
}

/// The fields of a Service's `spec` that make it one with a node port.
pub fn node_port(number: u16) -> Value {
    json!({"type": "NodePort", "ports": ports(Some(number))})
}

/// The same Service, made at this time: an hour of 2024-01-01.
pub fn created_at(mut service: Value, hour: u8) -> Value {
    service["metadata"]["creationTimestamp"] = json!(format!("2024-01-01T{hour:02}:00:00Z"));
    service
}

/// The same Service with these load-balancer addresses.
pub fn load_balanced(mut service: Value, addresses: Addresses) -> Value {
    let ingress: Value = addresses.0.into_iter().map(|address| json!({"ip": address})).collect();
    service["spec"]["type"] = json!("LoadBalancer");
    service["status"] = json!({"loadBalancer": {"ingress": ingress}});
    service
}

/// A backend: its name, its addresses and its node.
#[derive(Debug, Clone, Copy)]
pub struct Backend<'a> {
    pub pod: &'a str,
    pub addresses: Addresses,
    pub node: &'a str,
}

/// The EndpointSlices of a Service, one of each family.
pub fn slices(service: &str, backends: &[Backend<'_>]) -> Vec<Value> {
    let slice = |family: Family| {
        let endpoint = |backend: &Backend<'_>| {
            json!({
                "addresses": [backend.addresses.of(family)],
                "nodeName": backend.node,
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "targetRef": {"kind": "Pod", "namespace": "default", "name": backend.pod},
            })
        };
        let port = |protocol: Protocol| json!({"name": protocol.keyword(), "protocol": upper(protocol), "port": TARGET_PORT});
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{service}-{}", family.keyword()),
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": family.to_string(),
            "endpoints": backends.iter().map(endpoint).collect::<Value>(),
            "ports": Protocol::ALL.into_iter().map(port).collect::<Value>(),
        })
    };
    Family::ALL.into_iter().map(slice).collect()
}

/// The Node object of a node.
pub fn node(name: &str, addresses: Addresses, pod_cidrs: &[String]) -> Value {
    let address = |address: IpAddr| json!({"type": "InternalIP", "address": address});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"podCIDR": pod_cidrs[0], "podCIDRs": pod_cidrs},
        "status": {"addresses": addresses.0.into_iter().map(address).collect::<Value>()},
    })
}

/// All of them as one document.
pub fn list(objects: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()
}

/// Puts the fields of one object over those of another.
fn merge(into: &mut Value, from: &Value) {
    for (key, value) in from.as_object().expect("an object") {
        into[key] = value.clone();
    }
}

fn upper(protocol: Protocol) -> String {
    protocol.keyword().to_uppercase()
}
