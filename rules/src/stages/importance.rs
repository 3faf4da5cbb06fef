//! Which frontends matter most, for transactions that cannot travel in one piece.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::cluster::{Cluster, Service, ServicePort};
use crate::net::Family;
use crate::route::by_age;
use crate::ruleset::Value;

/// The Service through which everything in the cluster finds the API server.
const API_SERVER: &str = "default/kubernetes";

/// The port of DNS (RFC 1035).
const DNS: u16 = 53;

/// The rank of each frontend: the API server's, then those of DNS, then the others, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Importance {
    /// By the frontend's key in the sets that hold frontends.
    ranks: HashMap<(Family, Value), usize>,
}

impl Importance {
    /// The ranks of a cluster's frontends.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        let mut services: Vec<&Service> = cluster.services.values().collect();
        services.sort_unstable_by(|a, b| kind(a).cmp(&kind(b)).then_with(|| by_age(a, b)));
        let mut ranks = HashMap::new();
        for (rank, service) in services.into_iter().enumerate() {
            for port in &service.ports {
                for at in frontends(service, port) {
                    ranks.entry(at).or_insert(rank);
                }
            }
        }
        Self { ranks }
    }

    /// The rank of a frontend, 0 for the first; the last of all where it is none of the cluster's.
    pub(super) fn rank(&self, family: Family, frontend: &Value) -> usize {
        self.ranks.get(&(family, frontend.clone())).copied().unwrap_or(usize::MAX)
    }
}

/// What everything else depends on comes first.
fn kind(service: &Service) -> u8 {
    if service.name.as_str() == API_SERVER {
        0
    } else if service.ports.iter().any(|port| port.port.get() == DNS) {
        1
    } else {
        2
    }
}

fn frontends<'a>(service: &'a Service, port: &'a ServicePort) -> impl Iterator<Item = (Family, Value)> + 'a {
    let addresses = service.cluster_ips.iter().chain(&service.external_ips).chain(&service.load_balancer_ips);
    let at = |address: &IpAddr| {
        let key = Value::new().addr(*address).protocol(port.protocol).port(port.port.get());
        (Family::of(*address), key)
    };
    let node_ports = port.node_port.into_iter().flat_map(|number| {
        let key = Value::new().protocol(port.protocol).port(number.get());
        Family::ALL.map(|family| (family, key.clone()))
    });
    addresses.map(at).chain(node_ports)
}
