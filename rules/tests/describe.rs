//! What is said of Services and their backends, against the oracle and against the rules.

#![allow(clippy::unwrap_used, reason = "clippy does not see that helpers are tests")]

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use svcnat_oracle::build::{self, elsewhere, here, tcp_slice, world};
use svcnat_oracle::generate::arb_world;
use svcnat_oracle::{Origin, Packet, Verdict, World, verdict};
use svcnat_rules::cluster::{EndpointSlice, Service, ServicePort};
use svcnat_rules::compile::{Conflict, compile};
use svcnat_rules::config::{Config, Layout};
use svcnat_rules::describe::{BackendSummary, Listed, ServiceSummary, Use, backends, service};
use svcnat_rules::layout::Slots;
use svcnat_rules::name::Name;
use svcnat_rules::net::Family;
use svcnat_rules::resolve::{View, Why};
use svcnat_rules::route::FrontendAddress;

fn view(world: &World) -> View<'_> {
    View { config: &world.config, node: world.cluster.node.as_ref() }
}

fn slices<'a>(world: &'a World, service: &Service) -> Vec<&'a EndpointSlice> {
    world.cluster.slices.values().filter(|slice| slice.service == service.name).collect()
}

fn conflicts(world: &World) -> Vec<Conflict> {
    compile(&world.cluster, &world.config, &Slots::default()).conflicts
}

/// The backends of a service port in a family that are used in one of the three ways.
fn used(
    described: &[BackendSummary],
    port: &ServicePort,
    family: Family,
    of: fn(&BackendSummary) -> Option<Use>,
) -> BTreeSet<SocketAddr> {
    let own = described.iter().filter(|backend| {
        (&backend.port, backend.protocol) == (&port.name, port.protocol)
            && Family::of(backend.address.ip()) == family
    });
    own.filter(|backend| of(backend).is_some_and(|of| of.used)).map(|backend| backend.address).collect()
}

/// Where the oracle sends a connection.
fn sent(
    world: &World,
    source: IpAddr,
    origin: Origin,
    port: &ServicePort,
    at: IpAddr,
) -> BTreeSet<SocketAddr> {
    let packet = Packet {
        source,
        origin,
        destination: at,
        protocol: port.protocol,
        port: port.port.get(),
        affinity: None,
    };
    match verdict(world, &packet) {
        Verdict::Backends(backends) => backends.into_keys().collect(),
        _ => BTreeSet::new(),
    }
}

/// A client that is neither a pod nor this node.
fn client(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => "203.0.113.250".parse().unwrap(),
        Family::Ipv6 => "2001:db8:ffff::250".parse().unwrap(),
    }
}

fn check(world: &World) {
    let conflicts = conflicts(world);
    for service in world.cluster.services.values() {
        let described = backends(view(world), service, &slices(world, service));
        for port in &service.ports {
            let has = |at: IpAddr| {
                let at = FrontendAddress::Address(at, port.port);
                !conflicts.iter().any(|conflict| {
                    (&conflict.loser.service, &conflict.loser.port, conflict.frontend.at)
                        == (&service.name, &port.name, at)
                })
            };
            let outside = || Origin::Outside(Name::from("eth0"));
            // Source ranges hold for a load-balancer address, whatever else it is.
            let internal = service.cluster_ips.iter().filter(|at| !service.load_balancer_ips.contains(at));
            for at in internal.copied().filter(|at| has(*at)) {
                let family = Family::of(at);
                let expected = sent(world, client(family), outside(), port, at);
                let found = used(&described, port, family, |backend| backend.internal);
                assert_eq!(found, expected, "{at} {service:?} {world:#?}");
            }
            let external = service.external_ips.iter().copied().filter(|at| {
                let is_otherwise = service.load_balancer_ips.contains(at) || service.cluster_ips.contains(at);
                let family = Family::of(*at);
                let is_served = service.cluster_ips.is_empty()
                    || service.cluster_ips.iter().any(|own| Family::of(*own) == family);
                has(*at) && !is_otherwise && is_served
            });
            for at in external {
                let family = Family::of(at);
                let expected = sent(world, client(family), outside(), port, at);
                let found = used(&described, port, family, |backend| backend.external);
                assert_eq!(found, expected, "{at} {service:?} {world:#?}");
                let mut local = world.environment.local_addresses.iter().copied();
                let Some(own) = local.find(|own| Family::of(*own) == family && !own.is_loopback()) else {
                    continue;
                };
                let expected = sent(world, own, Origin::LocalProcess, port, at);
                let found = used(&described, port, family, |backend| backend.local);
                assert_eq!(found, expected, "from {own} to {at} {service:?} {world:#?}");
            }
        }
    }
}

/// What the rules tell of a Service that lost no frontend is what the objects tell.
fn check_listed(world: &World, layout: Layout) {
    let config = Config { layout, ..world.config.clone() };
    let compiled = compile(&world.cluster, &config, &Slots::default());
    let listed = Listed::of(&compiled.ruleset);
    let summaries: Vec<ServiceSummary> = listed.services().collect();
    for summary in &summaries {
        let name = summary.object_name();
        let object = &world.cluster.services[&name];
        // Rules do not tell whose ClusterIP an address is.
        let all_cluster_ips = || world.cluster.services.values().flat_map(|service| &service.cluster_ips);
        let mut external = object.external_ips.iter().chain(&object.load_balancer_ips);
        let lost = compiled.conflicts.iter().any(|conflict| conflict.loser.service == name);
        if lost || external.any(|at| all_cluster_ips().any(|cluster_ip| cluster_ip == at)) {
            continue;
        }
        let expected = service(view(world), object, &slices(world, object), &[]);
        if summary.backends.ready > 0 {
            assert_eq!(summary.affinity_seconds, expected.affinity_seconds, "{name}");
        }
        let sorted = |addresses: &[IpAddr]| addresses.iter().copied().collect::<BTreeSet<_>>();
        // Services without a port have no rules, but only those.
        assert_eq!(sorted(&summary.cluster_ips), sorted(&expected.cluster_ips), "{name}");
        let numbers = |summary: &ServiceSummary| {
            let numbers = summary.ports.iter().map(|port| (port.name.clone(), port.protocol, port.port));
            numbers.collect::<BTreeSet<_>>()
        };
        assert_eq!(numbers(summary), numbers(&expected), "{name}");
        let from_rules = listed.backends(&name).unwrap();
        let from_objects = backends(view(world), object, &slices(world, object));
        for port in &object.ports {
            for family in Family::ALL {
                for of in
                    [|backend: &BackendSummary| backend.internal, |backend: &BackendSummary| backend.external]
                {
                    let found = used(&from_rules, port, family, of);
                    assert_eq!(found, used(&from_objects, port, family, of), "{name} {layout:?} {world:#?}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn backends_are_said_to_be_used_where_the_oracle_sends_clients(world in arb_world()) {
        check(&world);
    }

    #[test]
    fn rules_tell_the_same_as_the_objects_that_they_were_made_of(world in arb_world()) {
        check_listed(&world, Layout::Chains);
        check_listed(&world, Layout::Maps);
    }
}

#[test]
fn each_backend_has_its_reason() {
    #[track_caller]
    fn check(endpoints: Vec<build::EndpointBuilder>, expected: &[[Why; 3]]) {
        let service = build::service("shop/web").cluster_ip("10.96.0.10").external_ip("192.0.2.1").tcp(80);
        let world = world().service(service.external_local()).slice(tcp_slice("shop/web", endpoints));
        let service = &world.cluster.services[&build::object("shop/web")];
        let described = backends(view(&world), service, &slices(&world, service));
        let reasons = described
            .iter()
            .map(|backend| [backend.internal, backend.external, backend.local].map(|of| of.unwrap().reason));
        assert_eq!(reasons.collect::<Vec<_>>(), expected);
    }
    use Why::*;
    check(
        vec![here("10.244.0.1"), elsewhere("10.244.1.2"), here("10.244.0.3").not_ready()],
        &[[Ready, Ready, Ready], [NotReady, NotReady, NotReady], [Ready, OnAnotherNode, Ready]],
    );
    // Of the ones on this node none is ready, elsewhere one is.
    check(
        vec![here("10.244.0.1").terminating(), here("10.244.0.2").finished(), elsewhere("10.244.1.2")],
        &[
            [Terminating, LastResort, Terminating],
            [NotReady, NotReady, NotReady],
            [Ready, OnAnotherNode, Ready],
        ],
    );
    check(
        vec![elsewhere("10.244.1.1").terminating(), elsewhere("10.244.1.2").not_ready()],
        &[[LastResort, OnAnotherNode, LastResort], [NotReady, OnAnotherNode, NotReady]],
    );
    let node = world().config.node_name;
    check(
        vec![here("10.244.0.1").for_nodes(&[&node]), elsewhere("10.244.1.2").for_nodes(&["other"])],
        &[[HintedToNode, Ready, HintedToNode], [HintedToOtherNode, OnAnotherNode, HintedToOtherNode]],
    );
    let zone = world().cluster.node.unwrap().zone.unwrap();
    check(
        vec![elsewhere("10.244.1.1").for_zones(&[&zone]), here("10.244.0.2").for_zones(&["other"])],
        &[[HintedToOtherZone, Ready, HintedToOtherZone], [HintedToZone, OnAnotherNode, HintedToZone]],
    );
}
