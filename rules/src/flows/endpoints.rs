//! Which endpoints there are, whether they are chosen or not.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::cluster::{Cluster, EndpointSlice, Service, ServicePort};
use crate::compile::slices_by_service;
use crate::config::Config;
use crate::layout::FrontendKey;
use crate::net::{Family, Protocol};
use crate::resolve::{View, resolve};
use crate::route::by_age;

/// The endpoints behind each frontend, those that terminate or are not ready included. Rules know only those that may
/// be chosen; a connection lives as long as its endpoint does.
#[derive(Debug, Clone, Default)]
pub struct Endpoints {
    by_frontend: HashMap<FrontendKey, Arc<HashSet<SocketAddr>>>,
    all: HashSet<(Protocol, SocketAddr)>,
}

impl Endpoints {
    /// The endpoints of a cluster's Services. Of Services that want the same frontend the one counts that has it.
    #[must_use]
    pub fn of(cluster: &Cluster, config: &Config) -> Self {
        let view = View { config, node: cluster.node.as_ref() };
        let slices = slices_by_service(cluster);
        let mut endpoints = Self::default();
        let mut services: Vec<&Service> = cluster.services.values().collect();
        services.sort_unstable_by(|a, b| by_age(a, b));
        for service in services {
            let own = slices.get(&service.name).map_or(&[][..], Vec::as_slice);
            for route in resolve(view, service, own) {
                let is_this = |port: &&ServicePort| {
                    port.name == route.port.port && port.protocol == route.port.protocol
                };
                let Some(port) = service.ports.iter().find(is_this) else { continue };
                let addresses: Arc<HashSet<_>> = Arc::new(addresses(port, route.family, own).collect());
                endpoints.all.extend(addresses.iter().map(|address| (port.protocol, *address)));
                for frontend in &route.frontends {
                    let key = FrontendKey { family: route.family, at: frontend.at, protocol: port.protocol };
                    endpoints.by_frontend.entry(key).or_insert_with(|| Arc::clone(&addresses));
                }
            }
        }
        endpoints
    }

    /// Whether that is an endpoint of the Service that has this frontend.
    #[must_use]
    pub fn serve(&self, frontend: &FrontendKey, endpoint: SocketAddr) -> bool {
        self.by_frontend.get(frontend).is_some_and(|endpoints| endpoints.contains(&endpoint))
    }

    /// Whether that is an endpoint of any Service.
    #[must_use]
    pub fn exist(&self, protocol: Protocol, endpoint: SocketAddr) -> bool {
        self.all.contains(&(protocol, endpoint))
    }
}

/// Where a service port's endpoints of a family listen.
fn addresses<'a>(
    port: &'a ServicePort,
    family: Family,
    slices: &'a [&EndpointSlice],
) -> impl Iterator<Item = SocketAddr> + 'a {
    slices.iter().filter(move |slice| slice.family == family).flat_map(move |slice| {
        let ports = slice.ports.iter().filter(|p| p.name == port.name && p.protocol == port.protocol);
        ports.flat_map(|p| {
            slice.endpoints.iter().map(move |endpoint| SocketAddr::new(endpoint.address, p.port.get()))
        })
    })
}
