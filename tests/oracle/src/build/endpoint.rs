//! EndpointSlices by hand.

use svcnat_rules::cluster::{Conditions, Endpoint, EndpointPort, EndpointSlice};
use svcnat_rules::name::Name;
use svcnat_rules::net::{Family, Protocol};

use super::{OTHER_NODE, OTHER_ZONE, THIS_NODE, THIS_ZONE, object, port, read};

/// An EndpointSlice under construction.
#[derive(Debug, Clone)]
pub struct SliceBuilder(pub EndpointSlice);

/// A slice of this Service.
#[must_use]
pub fn slice(service: &str, family: Family) -> SliceBuilder {
    SliceBuilder(EndpointSlice { service: object(service), family, ports: Vec::new(), endpoints: Vec::new() })
}

/// A slice with one unnamed TCP port 8080, of the family of its endpoints.
#[must_use]
pub fn tcp_slice(service: &str, endpoints: impl IntoIterator<Item = EndpointBuilder>) -> SliceBuilder {
    let endpoints: Vec<_> = endpoints.into_iter().collect();
    let family = endpoints.first().map_or(Family::Ipv4, |first| Family::of(first.0.address));
    slice(service, family).port("", Protocol::Tcp, 8080).endpoints(endpoints)
}

impl SliceBuilder {
    /// Adds a port.
    #[must_use]
    pub fn port(mut self, name: &str, protocol: Protocol, number: u16) -> Self {
        self.0.ports.push(EndpointPort { name: Name::from(name), protocol, port: port(number) });
        self
    }

    /// Adds endpoints.
    #[must_use]
    pub fn endpoints(mut self, endpoints: impl IntoIterator<Item = EndpointBuilder>) -> Self {
        self.0.endpoints.extend(endpoints.into_iter().map(|endpoint| endpoint.0));
        self
    }
}

/// An endpoint under construction.
#[derive(Debug, Clone)]
pub struct EndpointBuilder(pub Endpoint);

/// A ready endpoint on this node.
#[must_use]
pub fn here(address: &str) -> EndpointBuilder {
    endpoint(address, Some(THIS_NODE), Some(THIS_ZONE))
}

/// A ready endpoint on another node, in another zone.
#[must_use]
pub fn elsewhere(address: &str) -> EndpointBuilder {
    endpoint(address, Some(OTHER_NODE), Some(OTHER_ZONE))
}

/// A ready endpoint.
#[must_use]
pub fn endpoint(address: &str, node: Option<&str>, zone: Option<&str>) -> EndpointBuilder {
    EndpointBuilder(Endpoint {
        address: read(address),
        conditions: Conditions::default(),
        node: node.map(Name::from),
        zone: zone.map(Name::from),
        pod: None,
        zone_hints: Box::default(),
        node_hints: Box::default(),
    })
}

impl EndpointBuilder {
    fn conditions(mut self, ready: bool, serving: bool, terminating: bool) -> Self {
        self.0.conditions = Conditions { ready, serving, terminating };
        self
    }

    /// Neither ready nor serving nor terminating.
    #[must_use]
    pub fn not_ready(self) -> Self {
        self.conditions(false, false, false)
    }

    /// Serving, but neither ready nor terminating.
    #[must_use]
    pub fn only_serving(self) -> Self {
        self.conditions(false, true, false)
    }

    /// Terminating, and still serving.
    #[must_use]
    pub fn terminating(self) -> Self {
        self.conditions(false, true, true)
    }

    /// Terminating, and no longer serving.
    #[must_use]
    pub fn finished(self) -> Self {
        self.conditions(false, false, true)
    }

    /// Ready although it terminates, as with `publishNotReadyAddresses`.
    #[must_use]
    pub fn ready_and_terminating(self) -> Self {
        self.conditions(true, true, true)
    }

    /// Sets `hints.forZones`.
    #[must_use]
    pub fn for_zones(mut self, zones: &[&str]) -> Self {
        self.0.zone_hints = zones.iter().copied().map(Name::from).collect();
        self
    }

    /// Sets `hints.forNodes`.
    #[must_use]
    pub fn for_nodes(mut self, nodes: &[&str]) -> Self {
        self.0.node_hints = nodes.iter().copied().map(Name::from).collect();
        self
    }
}
