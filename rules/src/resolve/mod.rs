//! From cluster state to routes: what each field of a Service, an EndpointSlice and a Node means on this node.
//!
//! A Service resolves by itself: nothing here looks at another Service, so a change of one costs no look at the rest.
//! What several Services may want at once is settled behind this, in [`crate::compile`].

mod backends;
mod choice;
mod frontends;

use crate::cluster::{EndpointSlice, Node, Service};
use crate::config::{Config, DetectLocal};
use crate::net::{Cidr, Family};
use crate::route::{Age, Route, ServicePortName};

pub use choice::{Choice, Why, choices};
pub use frontends::exist as has_frontends;

/// What resolving needs to know about the place that the rules are for.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The operator's options.
    pub config: &'a Config,
    /// The Node, where it is known.
    pub node: Option<&'a Node>,
}

impl View<'_> {
    /// The networks of one family whose addresses are this cluster's pods; empty where pods are not told by their
    /// address.
    #[must_use]
    pub fn pod_networks(&self, family: Family) -> Vec<Cidr> {
        let networks = match &self.config.detect_local {
            DetectLocal::ClusterCidr(networks) => networks.as_slice(),
            DetectLocal::NodeCidr => self.node.map_or(&[][..], |node| &node.pod_cidrs),
            DetectLocal::Off | DetectLocal::BridgeInterface(_) | DetectLocal::InterfaceNamePrefix(_) => &[],
        };
        networks.iter().copied().filter(|network| network.family() == family).collect()
    }
}

/// The routes of one Service: for each of its ports one in each family where it has a frontend.
///
/// `slices` are those of this Service, in any order; the result does not depend on it.
#[must_use]
pub fn resolve<'a>(view: View<'_>, service: &Service, slices: &[&'a EndpointSlice]) -> Vec<Route<'a>> {
    let mut routes = Vec::new();
    for port in &service.ports {
        for family in Family::ALL {
            if !frontends::exist(service, port, family) {
                continue;
            }
            let pools = backends::pools(view, port, family, slices);
            routes.push(Route {
                port: ServicePortName::new(service, port),
                age: Age::of(service),
                family,
                frontends: frontends::of(view, service, port, family, &pools),
                cluster: pools.cluster,
                local: pools.local,
                affinity_seconds: service.affinity_seconds,
            });
        }
    }
    routes
}
