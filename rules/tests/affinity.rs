//! Session affinity: how long a client is remembered.

#![allow(clippy::unwrap_used, reason = "clippy does not see that helpers are tests")]

use svcnat_oracle::World;
use svcnat_oracle::build::{self, elsewhere, read, tcp_slice};
use svcnat_rules::compile::compile;
use svcnat_rules::layout::Slots;
use svcnat_rules::name::Name;
use svcnat_rules::net::Protocol;
use svcnat_rules::simulate::{Environment, Origin, Packet, simulate};

/// The timeout that the client's element has in the end, in milliseconds; `None` where nobody is remembered.
fn remembered(world: &World, destination: &str) -> Option<u64> {
    let compiled = compile(&world.cluster, &world.config, &Slots::default());
    let mut environment = Environment::default();
    environment.local.extend(&world.environment.local_addresses);
    let origin = Origin::Network { interface: Name::from("eth0") };
    let packet = Packet::new(Protocol::Tcp, read("198.51.100.1:40000"), read(destination), origin);
    let outcomes = simulate(&compiled.ruleset, &environment, &packet).unwrap();
    let (outcome, _) = outcomes.into_iter().next().unwrap();
    outcome.effects.last().map(|effect| effect.timeout)
}

#[test]
fn the_frontend_decides_how_long_a_client_is_remembered() {
    let service = |name, address, port: u16| build::service(name).cluster_ip(address).tcp(port);
    let world = build::world()
        .service(service("shop/minute", "10.96.0.1", 30_080).affinity(60))
        .service(service("shop/hours", "10.96.0.2", 80).node_port(30_080).affinity(10_800))
        .service(service("shop/never", "10.96.0.3", 80))
        .slice(tcp_slice("shop/minute", [elsewhere("10.244.1.1")]))
        .slice(tcp_slice("shop/hours", [elsewhere("10.244.1.2")]))
        .slice(tcp_slice("shop/never", [elsewhere("10.244.1.3")]));
    let check =
        |destination, expected| assert_eq!(remembered(&world, destination), expected, "{destination}");
    check("10.96.0.2:80", Some(10_800_000));
    check("192.168.1.2:30080", Some(10_800_000));
    check("10.96.0.3:80", None);
    // The port is the number of the other one's node port.
    check("10.96.0.1:30080", Some(60_000));
}
