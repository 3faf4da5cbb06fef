//! How much a change costs: the same operations in a small cluster and in a large one.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;

use svcnat_rules::cluster::{
    Cluster, Conditions, Endpoint, EndpointPort, EndpointSlice, Labels, Service, ServicePort, ServiceType,
    TrafficPolicy,
};
use svcnat_rules::config::{Config, Layout};
use svcnat_rules::engine::{Delta, Engine, Event};
use svcnat_rules::layout::Slots;
use svcnat_rules::name::{Name, ObjectName};
use svcnat_rules::net::{Family, Protocol};
use svcnat_rules::transaction::Summary;

const PORT: NonZeroU16 = NonZeroU16::new(80).unwrap();

fn service(number: u32) -> Service {
    Service {
        name: ObjectName::new("shop", &format!("web-{number}")),
        created: Some(0),
        kind: ServiceType::ClusterIp,
        cluster_ips: vec![IpAddr::from(Ipv4Addr::from(0x0a60_0000 + number))],
        external_ips: Vec::new(),
        load_balancer_ips: Vec::new(),
        source_ranges: Vec::new(),
        ports: vec![ServicePort {
            name: Name::from(""),
            protocol: Protocol::Tcp,
            port: PORT,
            node_port: None,
        }],
        external_policy: TrafficPolicy::Cluster,
        internal_policy: TrafficPolicy::Cluster,
        affinity_seconds: None,
        health_check_node_port: None,
        labels: Labels::default(),
    }
}

/// The slice of a Service with the backends of these numbers, all on other nodes.
fn slice(service: u32, backends: &[u32]) -> Event {
    let endpoint = |number: &u32| Endpoint {
        address: IpAddr::from(Ipv4Addr::from(0x0b00_0000 + service * 64 + number)),
        conditions: Conditions::default(),
        node: Some(Name::from("elsewhere")),
        zone: None,
        pod: None,
        zone_hints: Box::default(),
        node_hints: Box::default(),
    };
    let name = ObjectName::new("shop", &format!("web-{service}"));
    let slice = EndpointSlice {
        service: name.clone(),
        family: Family::Ipv4,
        ports: vec![EndpointPort { name: Name::from(""), protocol: Protocol::Tcp, port: PORT }],
        endpoints: backends.iter().map(endpoint).collect(),
    };
    Event::Slice(name, slice)
}

/// An engine with so many Services of three backends each, 1, 2 and 3.
fn engine(layout: Layout, services: u32) -> Engine {
    engine_with(Config { layout, ..Config::default() }, services)
}

/// The same with these options.
fn engine_with(config: Config, services: u32) -> Engine {
    let mut cluster = Cluster::default();
    for number in 0..services {
        cluster.services.insert(service(number).name, service(number));
        if let Event::Slice(name, slice) = slice(number, &[1, 2, 3]) {
            cluster.slices.insert(name, slice);
        }
    }
    let config = Config { node_name: Name::from("here"), ..config };
    Engine::load(cluster, config, &Slots::default()).0
}

#[track_caller]
fn check(engines: &mut [Engine], what: &str, events: &[Event], expected: &str) {
    let deltas: Vec<Delta> = engines.iter_mut().map(|engine| engine.update(events.to_vec())).collect();
    for delta in &deltas {
        assert_eq!(Summary::of(&delta.transaction()).to_string(), expected, "{what}");
    }
    // What is compared before it is sent does not grow with the cluster either.
    assert_eq!(deltas.first(), deltas.last(), "{what}");
}

#[test]
fn in_maps_a_change_costs_its_own_elements_however_large_the_cluster() {
    let engines = &mut [10, 10_000].map(|services| engine(Layout::Maps, services));
    check(engines, "nothing", &[slice(5, &[1, 2, 3])], "unchanged");
    check(engines, "a backend is replaced", &[slice(5, &[1, 2, 4])], "elements +1 -1");
    check(engines, "a backend comes", &[slice(5, &[1, 2, 3, 4])], "elements +1");
    check(engines, "the last slot's backend goes", &[slice(5, &[1, 2, 4])], "elements -1");
    check(
        engines,
        "another one goes",
        &[slice(5, &[2, 4]), slice(6, &[1, 2, 3])],
        "chains +1, rules +1, elements +2 -3",
    );
    check(engines, "back again", &[slice(5, &[1, 2, 4])], "chains -1 flushed 1, elements +2 -1");
    let new = 20_000;
    let comes = [Event::Service(service(new)), slice(new, &[1, 2, 3])];
    check(engines, "a Service comes", &comes, "elements +5");
    check(engines, "a Service goes", &[Event::ServiceGone(service(new).name)], "elements -5");
    check(engines, "the last backend goes", &[slice(5, &[])], "elements +2 -4");
}

#[test]
fn in_chains_a_change_costs_the_rules_of_its_service_however_large_the_cluster() {
    let engines = &mut [10, 10_000].map(|services| engine(Layout::Chains, services));
    check(engines, "nothing", &[slice(5, &[1, 2, 3])], "unchanged");
    check(engines, "a backend is replaced", &[slice(5, &[1, 2, 4])], "chains flushed 1, rules +3");
    check(engines, "a backend comes", &[slice(5, &[1, 2, 3, 4])], "chains flushed 1, rules +4");
    let new = 20_000;
    let comes = [Event::Service(service(new)), slice(new, &[1, 2, 3])];
    check(engines, "a Service comes", &comes, "chains +1, rules +3, elements +2");
    check(
        engines,
        "a Service goes",
        &[Event::ServiceGone(service(new).name)],
        "chains -1 flushed 1, elements -2",
    );
}

/// Who watches is told of them, the kernel is not.
#[test]
fn labels_change_no_rule() {
    let named = |number| service(number).name;
    for layout in [Layout::Chains, Layout::Maps] {
        let mut engine = engine(layout, 10);
        let labelled = |value| Service { labels: [("app", value)].into_iter().collect(), ..service(5) };
        let alone = engine.update([Event::Service(labelled("web"))]);
        assert_eq!((alone.services.as_slice(), alone.rules), (&[named(5)][..], false));
        assert!(alone.transaction().is_empty());
        let among_others = engine.update([slice(6, &[1, 2, 4]), Event::Service(labelled("db"))]);
        assert_eq!((among_others.services, among_others.rules), (vec![named(5), named(6)], true));
        assert_eq!(engine.service(&named(5)).map(|(known, _)| known), Some(&labelled("db")));
        assert!(engine.update([Event::Service(labelled("db"))]).services.is_empty(), "as they are already");
    }
}

#[test]
fn counting_costs_an_element_for_each_frontend_and_backend_that_comes_or_goes() {
    let config = |layout| Config { layout, counters: true, ..Config::default() };
    let engines = &mut [10, 10_000].map(|services| engine_with(config(Layout::Maps), services));
    check(engines, "nothing", &[slice(5, &[1, 2, 3])], "unchanged");
    check(engines, "a backend is replaced", &[slice(5, &[1, 2, 4])], "elements +2 -2");
    check(engines, "a backend comes", &[slice(5, &[1, 2, 3, 4])], "elements +2");
    check(engines, "one that was not the last goes", &[slice(5, &[2, 3, 4])], "elements +1 -3");
    let new = 20_000;
    let comes = [Event::Service(service(new)), slice(new, &[1, 2, 3])];
    check(engines, "a Service comes", &comes, "elements +9");
    check(engines, "a Service goes", &[Event::ServiceGone(service(new).name)], "elements -9");
    // The frontend's own stays.
    check(engines, "the last backend goes", &[slice(5, &[])], "elements +2 -7");
    let engines = &mut [10, 10_000].map(|services| engine_with(config(Layout::Chains), services));
    check(
        engines,
        "a backend is replaced",
        &[slice(5, &[1, 2, 4])],
        "chains flushed 1, rules +3, elements +1 -1",
    );
}
