//! What manifests alone do not bring about: clients that session affinity knows, rules of others, and both layouts' names.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use super::{Explanation, Rules, Surroundings, explain};
use crate::cluster::{
    Cluster, Conditions, Endpoint, EndpointPort, EndpointSlice, Labels, Service, ServicePort, ServiceType,
    TrafficPolicy,
};
use crate::compile::compile;
use crate::config::Config;
use crate::layout::{Slots, picks_local, service_of_chain, set};
use crate::name::{Name, ObjectName};
use crate::net::{Family, Protocol};
use crate::ruleset::{Expr, Rule, Ruleset, Value, Verdict};
use crate::simulate::{Environment, Origin, Packet};

/// `default/web` at 10.96.0.10:80 with two backends and session affinity.
fn web() -> Ruleset {
    let name = ObjectName::new("default", "web");
    let number = |number| NonZeroU16::new(number).unwrap();
    let port = |port| EndpointPort { name: Name::from(""), protocol: Protocol::Tcp, port: number(port) };
    let service = Service {
        name: name.clone(),
        created: None,
        kind: ServiceType::ClusterIp,
        cluster_ips: vec![IpAddr::from([10, 96, 0, 10])],
        external_ips: Vec::new(),
        load_balancer_ips: Vec::new(),
        source_ranges: Vec::new(),
        ports: vec![ServicePort {
            name: Name::from(""),
            protocol: Protocol::Tcp,
            port: number(80),
            node_port: None,
        }],
        external_policy: TrafficPolicy::Cluster,
        internal_policy: TrafficPolicy::Cluster,
        affinity_seconds: Some(60),
        health_check_node_port: None,
        labels: Labels::default(),
    };
    let endpoint = |last: u8| Endpoint {
        address: IpAddr::from([10, 244, 0, last]),
        conditions: Conditions::default(),
        node: None,
        zone: None,
        pod: Some(ObjectName::new("default", &format!("web-{last}"))),
        zone_hints: [].into(),
        node_hints: [].into(),
    };
    let endpoints = vec![endpoint(1), endpoint(2)];
    let slice =
        EndpointSlice { service: name.clone(), family: Family::Ipv4, ports: vec![port(8080)], endpoints };
    let cluster = Cluster {
        services: [(name.clone(), service)].into(),
        slices: [(name, slice)].into(),
        ..Cluster::default()
    };
    compile(&cluster, &Config::default(), &Slots::default()).ruleset
}

fn ask(ruleset: &Ruleset, environment: &Environment) -> Explanation {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let origin = Origin::Network { interface: Name::from("eth0") };
    let packet = Packet::new(Protocol::Tcp, address("10.244.0.9:1"), address("10.96.0.10:80"), origin);
    explain(&Surroundings { rules: Rules::Nftables(ruleset), environment, detect_local: None }, &packet)
        .unwrap()
}

#[test]
fn a_client_that_session_affinity_knows_stays_with_its_pod() {
    let mut environment = Environment::default();
    let client = Value::new().addr(IpAddr::from([10, 244, 0, 9])).addr(IpAddr::from([10, 96, 0, 10]));
    let key = client.protocol(Protocol::Tcp).port(80);
    let backend = Value::new().addr(IpAddr::from([10, 244, 0, 2])).port(8080);
    environment.insert(Family::Ipv4, Name::from(set::AFFINITY), key, backend);
    let explanation = ask(&web(), &environment);
    assert_eq!(
        explanation.reason,
        "10.96.0.10:80 is the ClusterIP of default/web, whose session affinity keeps this client with its backend; the \
         source address is kept"
    );
    let [outcome] = &explanation.outcomes[..] else { panic!("{explanation}") };
    assert_eq!(outcome.probability.to_string(), "1");
    assert_eq!(outcome.pod.as_deref(), Some("default/web-2"));
    let text = explanation.to_string();
    let element = "@affinity has 10.244.0.9 . 10.96.0.10 . tcp . 80 : 10.244.0.2 . 8080\n";
    assert!(text.contains(element), "{text}");
}

#[test]
fn a_rule_of_others_that_ends_a_packet_is_named() {
    let check = |chain: &str, expected: &str| {
        let mut ruleset = web();
        let table = ruleset.tables.get_mut(&Family::Ipv4).unwrap();
        let drop = Rule { exprs: vec![Expr::Verdict(Verdict::Drop)], comment: None };
        table.chains.get_mut(chain).unwrap().rules.insert(0, drop);
        assert_eq!(ask(&ruleset, &Environment::default()).reason, expected);
    };
    check("nat-prerouting", "rule 1 of chain nat-prerouting refuses the packet");
    check(
        "filter-forward",
        "default/web sends the packet on, for example to 10.244.0.1:8080, but rule 1 of chain filter-forward refuses \
         the packet",
    );
}

#[test]
fn chains_that_services_share_name_none() {
    let check = |chain: &str, service: Option<&str>, local: bool| {
        assert_eq!((service_of_chain(chain), picks_local(chain)), (service, local), "{chain}");
    };
    check("service-shop/api/https", Some("shop/api/https"), false);
    check("local-shop/api", Some("shop/api"), true);
    check("external-shop/api", Some("shop/api"), false);
    check("external-local-2-pick-4", None, false);
    check("node-port-sticky-pick-local-2", None, true);
    check("services", None, false);
}

#[test]
fn comments_cannot_command_a_terminal() {
    let mut ruleset = web();
    let table = ruleset.tables.get_mut(&Family::Ipv4).unwrap();
    for rule in &mut table.chains.get_mut("service-default/web").unwrap().rules {
        rule.comment = Some(Name::from("\u{1b}[2J"));
    }
    let text = ask(&ruleset, &Environment::default()).to_string();
    assert!(!text.contains('\u{1b}'), "{text:?}");
}
