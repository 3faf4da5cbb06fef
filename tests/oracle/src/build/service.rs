//! Services by hand.

use svcnat_rules::cluster::{Labels, Service, ServicePort, ServiceType, TrafficPolicy};
use svcnat_rules::name::Name;
use svcnat_rules::net::{Cidr, Protocol};

use super::{object, port, read};

/// A Service under construction.
#[derive(Debug, Clone)]
pub struct ServiceBuilder(pub Service);

/// A Service `namespace/name` with policies Cluster and nothing else.
#[must_use]
pub fn service(name: &str) -> ServiceBuilder {
    ServiceBuilder(Service {
        name: object(name),
        created: None,
        kind: ServiceType::ClusterIp,
        cluster_ips: Vec::new(),
        external_ips: Vec::new(),
        load_balancer_ips: Vec::new(),
        source_ranges: Vec::new(),
        ports: Vec::new(),
        external_policy: TrafficPolicy::Cluster,
        internal_policy: TrafficPolicy::Cluster,
        affinity_seconds: None,
        health_check_node_port: None,
        labels: Labels::default(),
    })
}

impl ServiceBuilder {
    fn with(mut self, change: impl FnOnce(&mut Service)) -> Self {
        change(&mut self.0);
        self
    }

    /// Sets `creationTimestamp`.
    #[must_use]
    pub fn created(self, seconds: i64) -> Self {
        self.with(|service| service.created = Some(seconds))
    }

    /// Adds a ClusterIP.
    #[must_use]
    pub fn cluster_ip(self, address: &str) -> Self {
        self.with(|service| service.cluster_ips.push(read(address)))
    }

    /// Adds an externalIP.
    #[must_use]
    pub fn external_ip(self, address: &str) -> Self {
        self.with(|service| service.external_ips.push(read(address)))
    }

    /// Adds a load-balancer address.
    #[must_use]
    pub fn load_balancer_ip(self, address: &str) -> Self {
        self.with(|service| {
            service.kind = ServiceType::LoadBalancer;
            service.load_balancer_ips.push(read(address));
        })
    }

    /// Adds load-balancer source ranges.
    #[must_use]
    pub fn source_ranges(self, ranges: impl IntoIterator<Item = Cidr>) -> Self {
        self.with(|service| {
            service.source_ranges.extend(ranges);
            service.source_ranges.sort();
            service.source_ranges.dedup();
        })
    }

    /// Adds one load-balancer source range.
    #[must_use]
    pub fn source_range(self, range: &str) -> Self {
        self.source_ranges([read(range)])
    }

    /// Adds a port.
    #[must_use]
    pub fn port(self, name: &str, protocol: Protocol, number: u16) -> Self {
        let port = ServicePort { name: Name::from(name), protocol, port: port(number), node_port: None };
        self.with(|service| service.ports.push(port))
    }

    /// Adds an unnamed TCP port.
    #[must_use]
    pub fn tcp(self, number: u16) -> Self {
        self.port("", Protocol::Tcp, number)
    }

    /// Gives the port added last a node port.
    #[must_use]
    pub fn node_port(self, number: u16) -> Self {
        self.with(|service| {
            if service.kind == ServiceType::ClusterIp {
                service.kind = ServiceType::NodePort;
            }
            if let Some(last) = service.ports.last_mut() {
                last.node_port = Some(port(number));
            }
        })
    }

    /// Sets `externalTrafficPolicy: Local`.
    #[must_use]
    pub fn external_local(self) -> Self {
        self.with(|service| service.external_policy = TrafficPolicy::Local)
    }

    /// Sets `internalTrafficPolicy: Local`.
    #[must_use]
    pub fn internal_local(self) -> Self {
        self.with(|service| service.internal_policy = TrafficPolicy::Local)
    }

    /// Sets `sessionAffinity: ClientIP` with this timeout.
    #[must_use]
    pub fn affinity(self, seconds: u32) -> Self {
        self.with(|service| service.affinity_seconds = Some(seconds))
    }
}
