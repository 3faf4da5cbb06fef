//! What the tests by table share: the one check, and a Service with every kind of frontend.
#![allow(dead_code, reason = "each test binary uses some of it")]

use svcnat_oracle::build::{
    EndpointBuilder, ServiceBuilder, elsewhere, here, outside, service, tcp_slice, world,
};
use svcnat_oracle::{Packet, Verdict, World, verdict};

/// Asks the oracle about each packet; says which one it sees otherwise.
pub fn check(world: &World, packets: &[(Packet, Verdict)]) {
    for (packet, expected) in packets {
        assert_eq!(&verdict(world, packet), expected, "{packet:?}");
    }
}

/// The backend of [`served`] on this node.
pub const HERE: &str = "10.244.0.2:8080";
/// The backend of [`served`] elsewhere.
pub const FAR: &str = "10.244.1.2:8080";

/// The Service with one backend here and one elsewhere, in each family.
pub fn served(service: ServiceBuilder) -> World {
    let name = service.0.name.as_str().to_owned();
    with_endpoints(service, [here("10.244.0.2"), elsewhere("10.244.1.2")])
        .slice(tcp_slice(&name, [here("fd00:10:244::2"), elsewhere("fd00:10:244:1::2")]))
}

/// The Service with these endpoints.
pub fn with_endpoints(
    service: ServiceBuilder,
    endpoints: impl IntoIterator<Item = EndpointBuilder>,
) -> World {
    let name = service.0.name.as_str().to_owned();
    world().service(service).slice(tcp_slice(&name, endpoints))
}

/// A Service with every kind of IPv4 frontend, TCP port 80.
pub fn web() -> ServiceBuilder {
    let addressed = service("default/web").cluster_ip("10.96.0.1").external_ip("203.0.113.1");
    addressed.load_balancer_ip("203.0.113.2").tcp(80).node_port(30008)
}

/// Packets from the same outside client to the three external frontends of [`web`].
pub fn to_external_frontends(client: &str, expected: &Verdict) -> Vec<(Packet, Verdict)> {
    let frontends = ["203.0.113.1:80", "203.0.113.2:80", "192.168.1.2:30008"];
    frontends.map(|to| (outside(client).tcp(to), expected.clone())).to_vec()
}
