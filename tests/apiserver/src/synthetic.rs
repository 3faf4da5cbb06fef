//! A cluster of any size, the same every time: so many Services of one port with so many backends each, whose pods are
//! spread over a hundred nodes. It has the names and addresses of the one that `benches/cluster` measures with.

use std::net::Ipv4Addr;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{ApiServer, Result};

/// How many nodes the pods are on.
const NODES: usize = 100;
/// How many namespaces the Services are in.
const NAMESPACES: usize = 50;
const ZONES: [&str; 3] = ["zone-a", "zone-b", "zone-c"];

/// A cluster by its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cluster {
    /// The number of Services.
    pub services: usize,
    /// The number of backends of each.
    pub backends: usize,
}

impl Cluster {
    /// All objects: the nodes, the ServiceCIDR, the Services, their slices.
    pub fn objects(self) -> impl Iterator<Item = Value> {
        (0..NODES)
            .map(node)
            .chain([service_cidr()])
            .chain((0..self.services).map(move |number| self.service(number)))
            .chain((0..self.services).map(move |number| self.slice(number)))
    }

    /// A Service by its number, which may lie beyond those of the cluster.
    #[must_use]
    pub fn service(self, number: usize) -> Value {
        let created = i64::try_from(number).ok().and_then(|number| {
            let second = jiff::Timestamp::from_second(1_700_000_000 + number);
            second.ok().map(crate::object::time)
        });
        json!({
            "kind": "Service",
            "metadata": {
                "name": service_name(number),
                "namespace": namespace(number),
                "creationTimestamp": created,
                "labels": { "app": service_name(number) },
            },
            "spec": {
                "type": "ClusterIP",
                "clusterIP": cluster_ip(number).to_string(),
                "ports": [{ "port": 80, "targetPort": 8080 }],
                "selector": { "app": service_name(number) },
            },
        })
    }

    /// The backends of a Service.
    #[must_use]
    pub fn slice(self, number: usize) -> Value {
        let first = number * self.backends;
        self.slice_of(number, first..first + self.backends)
    }

    /// The backends of a Service after its `round`-th change (from 0): one pod has been replaced by another, which is
    /// in no other slice. Each round replaces the next pod, and forgets the replacement before.
    #[must_use]
    pub fn changed_slice(self, number: usize, round: usize) -> Value {
        let first = number * self.backends;
        let replaced = first + round % self.backends.max(1);
        let fresh = (2 * self.services + 1000) * self.backends + number + round * self.services;
        self.slice_of(
            number,
            (first..first + self.backends).map(|pod| if pod == replaced { fresh } else { pod }),
        )
    }

    /// Replaces a backend in one slice after the other, at a steady rate. `changes` are counted from the first one to the
    /// cluster; there are none without Services or at a rate that is not above 0.
    ///
    /// # Errors
    ///
    /// As for [`ApiServer::apply`].
    pub fn change(self, server: &ApiServer, per_second: f64, changes: Range<usize>) -> Result<()> {
        let period = Duration::try_from_secs_f64(per_second.recip()).ok().filter(|_| self.services > 0);
        let Some(period) = period.filter(|period| !period.is_zero()) else { return Ok(()) };
        let mut next = Instant::now();
        for number in changes {
            next += period;
            thread::sleep(next.saturating_duration_since(Instant::now()));
            server.apply(self.changed_slice(number % self.services, number / self.services))?;
        }
        Ok(())
    }

    fn slice_of(self, number: usize, pods: impl Iterator<Item = usize>) -> Value {
        let endpoints: Vec<Value> = pods.map(|pod| endpoint(number, pod)).collect();
        json!({
            "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{}-k8sm2", service_name(number)),
                "namespace": namespace(number),
                "labels": {
                    "app": service_name(number),
                    "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                    "kubernetes.io/service-name": service_name(number),
                },
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{ "name": "", "protocol": "TCP", "port": 8080 }],
        })
    }
}

/// A node by its number. They are called `node-0` to `node-99`.
#[must_use]
pub fn node(number: usize) -> Value {
    json!({
        "kind": "Node",
        "metadata": {
            "name": node_name(number),
            "labels": { "kubernetes.io/hostname": node_name(number), "topology.kubernetes.io/zone": zone(number) },
        },
        "spec": {
            "podCIDR": format!("10.{}.0.0/16", 128 + number % NODES),
            "podCIDRs": [format!("10.{}.0.0/16", 128 + number % NODES)],
        },
        "status": {
            "addresses": [
                { "type": "InternalIP", "address": offset(Ipv4Addr::new(192, 168, 1, 2), number).to_string() },
                { "type": "Hostname", "address": node_name(number) },
            ],
        },
    })
}

/// The network of all ClusterIPs.
#[must_use]
pub fn service_cidr() -> Value {
    json!({
        "kind": "ServiceCIDR",
        "metadata": { "name": "kubernetes" },
        "spec": { "cidrs": ["10.96.0.0/12"] },
    })
}

/// The ClusterIP of a Service.
#[must_use]
pub fn cluster_ip(number: usize) -> Ipv4Addr {
    offset(Ipv4Addr::new(10, 96, 0, 10), number)
}

/// The name of a Service.
#[must_use]
pub fn service_name(number: usize) -> String {
    format!("service-{number}")
}

/// The namespace of a Service.
#[must_use]
pub fn namespace(number: usize) -> String {
    format!("namespace-{}", number % NAMESPACES)
}

fn endpoint(service: usize, pod: usize) -> Value {
    let node = pod % NODES;
    json!({
        "addresses": [offset(Ipv4Addr::new(10, 128, 0, 2), (node << 16) + pod / NODES).to_string()],
        "conditions": { "ready": true, "serving": true, "terminating": false },
        "nodeName": node_name(node),
        "zone": zone(node),
        "targetRef": {
            "kind": "Pod",
            "name": format!("{}-5d8f7c9b6-{pod:07}", service_name(service)),
            "namespace": namespace(service),
        },
    })
}

fn node_name(number: usize) -> String {
    format!("node-{number}")
}

fn zone(number: usize) -> Option<&'static str> {
    ZONES.get(number % ZONES.len()).copied()
}

fn offset(base: Ipv4Addr, by: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(base).wrapping_add(u32::try_from(by).unwrap_or(0)))
}
