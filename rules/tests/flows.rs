//! What a change makes stale, from clusters before and after it.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use svcnat_oracle::build::{EndpointBuilder, ServiceBuilder};
use svcnat_oracle::build::{elsewhere, here, outside, pod, read, service, slice, world};
use svcnat_oracle::generate::{arb_packets, arb_world};
use svcnat_oracle::{Packet, Verdict, World, verdict};
use svcnat_rules::compile::compile;
use svcnat_rules::config::{DetectLocal, NodePortAddresses};
use svcnat_rules::flows::{
    Client, Endpoints, Flow, Frontends, Judge, Looked, Remembered, is_misled, is_stale, node_port_addresses,
};
use svcnat_rules::installed::Installed;
use svcnat_rules::iptables;
use svcnat_rules::layout::Slots;
use svcnat_rules::net::{Family, Protocol};
use svcnat_rules::ruleset::{Ruleset, Value};

fn ruleset(world: &World) -> Ruleset {
    compile(&world.cluster, &world.config, &Slots::default()).ruleset
}

fn node_ports(world: &World) -> BTreeSet<IpAddr> {
    node_port_addresses(&world.config, world.cluster.node.as_ref(), &world.environment.local_addresses)
}

fn frontends(world: &World) -> Frontends {
    Frontends::of(&ruleset(world), &Protocol::ALL, &node_ports(world))
}

/// The same table, taken from iptables rules.
fn frontends_of_iptables(world: &World) -> Frontends {
    let compiled = iptables::compile(&world.cluster, &world.config);
    let installed = iptables::Installed::from(&compiled.ruleset);
    Frontends::of(&iptables::as_nftables(&installed), &Protocol::ALL, &node_ports(world))
}

const CLUSTER_IP: &str = "10.96.0.10:53";
const EXTERNAL_IP: &str = "203.0.113.7:53";
const NODE_PORT: &str = "192.168.1.2:30053";

/// A Service by every kind of frontend.
fn everywhere(protocol: Protocol) -> ServiceBuilder {
    let builder = service("shop/dns").cluster_ip("10.96.0.10").external_ip("203.0.113.7");
    builder.port("", protocol, 53).node_port(30053)
}

fn with(protocol: Protocol, endpoints: &[EndpointBuilder]) -> World {
    with_service(everywhere(protocol), protocol, endpoints)
}

fn with_service(service: ServiceBuilder, protocol: Protocol, endpoints: &[EndpointBuilder]) -> World {
    let slice = slice("shop/dns", Family::Ipv4).port("", protocol, 5353).endpoints(endpoints.to_vec());
    world().service(service).slice(slice)
}

/// A flow of a client to a destination that is answered from a backend, or from the destination itself.
fn flow(protocol: Protocol, client: &str, destination: &str, backend: Option<&str>) -> Flow {
    let destination: SocketAddr = read(destination);
    Flow {
        protocol,
        client: read(client),
        destination,
        backend: backend.map_or(destination, read),
        translated: backend.is_some(),
    }
}

struct Case {
    before: World,
    after: World,
    dead_connections: bool,
}

impl Case {
    fn new(before: World, after: World) -> Self {
        Self { before, after, dead_connections: false }
    }

    fn looked(&self) -> Looked {
        Looked::between(&frontends(&self.before), &frontends(&self.after), self.dead_connections)
    }

    fn judged<T>(&self, judge: impl FnOnce(&Judge<'_>) -> T) -> T {
        // Of what was, the kernel tells; of what is, the compiler.
        let before = Installed::from(&ruleset(&self.before));
        let before = Frontends::installed(&before, &Protocol::ALL, &node_ports(&self.after));
        let after = frontends(&self.after);
        let endpoints = self.dead_connections.then(|| Endpoints::of(&self.after.cluster, &self.after.config));
        judge(&Judge {
            before: &before,
            after: &after,
            local_addresses: &self.after.environment.local_addresses,
            endpoints: endpoints.as_ref(),
        })
    }

    #[track_caller]
    fn check(&self, flow: Flow, expected: bool) {
        assert_eq!(self.judged(|judge| is_stale(&[*judge], &flow)), expected, "{flow:?}");
    }
}

const A: &str = "10.244.0.2:5353";
const B: &str = "10.244.0.3:5353";
const LAPTOP: &str = "192.168.1.10";

#[test]
fn flows_to_a_backend_that_left_are_stale_at_every_frontend() {
    for protocol in [Protocol::Udp, Protocol::Sctp] {
        for left in [&[here("10.244.0.3")][..], &[]] {
            let before = with(protocol, &[here("10.244.0.2"), here("10.244.0.3")]);
            let case = Case::new(before, with(protocol, left));
            for destination in [CLUSTER_IP, EXTERNAL_IP, NODE_PORT] {
                case.check(flow(protocol, LAPTOP, destination, Some(A)), true);
                case.check(flow(protocol, LAPTOP, destination, Some(B)), left.is_empty());
                // Where nothing serves, an untranslated flow has nowhere to go.
                case.check(flow(protocol, LAPTOP, destination, None), !left.is_empty());
            }
        }
    }
}

#[test]
fn flows_elsewhere_are_nobodys_business() {
    let before = with(Protocol::Udp, &[here("10.244.0.2")]);
    let case = Case::new(before, with(Protocol::Udp, &[here("10.244.0.3")]));
    for destination in ["198.51.100.1:53", "10.96.0.10:54", "192.168.1.3:30053", "127.0.0.1:30053"] {
        case.check(flow(Protocol::Udp, LAPTOP, destination, Some(A)), false);
        case.check(flow(Protocol::Udp, LAPTOP, destination, None), false);
    }
    case.check(flow(Protocol::Tcp, LAPTOP, CLUSTER_IP, Some(A)), false);
    case.check(flow(Protocol::Sctp, LAPTOP, CLUSTER_IP, Some(A)), false);
}

#[test]
fn flows_of_a_frontend_that_is_gone_are_stale_if_it_made_them() {
    let before = with(Protocol::Udp, &[here("10.244.0.2")]);
    for after in [
        world(),
        with_service(
            service("shop/dns").cluster_ip("10.96.0.11").port("", Protocol::Udp, 53),
            Protocol::Udp,
            &[here("10.244.0.2")],
        ),
    ] {
        let case = Case::new(before.clone(), after);
        for destination in [CLUSTER_IP, EXTERNAL_IP, NODE_PORT] {
            case.check(flow(Protocol::Udp, LAPTOP, destination, Some(A)), true);
            case.check(flow(Protocol::Udp, LAPTOP, destination, Some(B)), false);
            case.check(flow(Protocol::Udp, LAPTOP, destination, None), false);
        }
    }
}

#[test]
fn flows_of_a_node_address_that_is_none_any_more_are_stale() {
    let before = with(Protocol::Udp, &[here("10.244.0.2")]);
    let after = before.clone().node(|node| node.as_mut().unwrap().addresses[0] = read("192.168.1.3"));
    let case = Case::new(before, after);
    case.check(flow(Protocol::Udp, LAPTOP, NODE_PORT, Some(A)), true);
    case.check(flow(Protocol::Udp, LAPTOP, "192.168.1.3:30053", Some(A)), false);
    case.check(flow(Protocol::Udp, LAPTOP, "192.168.1.3:30053", None), true);
    assert_eq!(case.looked().flows.get(&(Family::Ipv4, Protocol::Udp)), Some(&true));
}

#[test]
fn a_backend_at_the_frontend_itself_is_not_taken_for_a_bypass() {
    let own = || {
        with_service(
            service("shop/dns").cluster_ip("10.96.0.10").external_ip("10.244.0.2").port(
                "",
                Protocol::Udp,
                5353,
            ),
            Protocol::Udp,
            &[here("10.244.0.2")],
        )
    };
    Case::new(own(), own()).check(flow(Protocol::Udp, LAPTOP, A, None), false);
}

#[test]
fn external_policy_local_lets_clients_keep_what_they_may_have() {
    let endpoints = [here("10.244.0.2"), elsewhere("10.244.1.2")];
    let local = || with_service(everywhere(Protocol::Udp).external_local(), Protocol::Udp, &endpoints);
    let case = Case::new(with(Protocol::Udp, &endpoints), local());
    let remote = Some("10.244.1.2:5353");
    for destination in [EXTERNAL_IP, NODE_PORT] {
        case.check(flow(Protocol::Udp, LAPTOP, destination, Some(A)), false);
        case.check(flow(Protocol::Udp, LAPTOP, destination, remote), true);
        // A pod and the node itself may go everywhere.
        case.check(flow(Protocol::Udp, "10.244.0.9", destination, remote), false);
        case.check(flow(Protocol::Udp, "192.168.1.2", destination, remote), false);
        case.check(flow(Protocol::Udp, "127.0.0.1", destination, remote), false);
    }
    case.check(flow(Protocol::Udp, LAPTOP, CLUSTER_IP, remote), false);
    // Where the interface tells pods from others, a flow may be a pod's.
    let by_bridge =
        local().config(|config| config.detect_local = DetectLocal::BridgeInterface("cni0".into()));
    Case::new(local(), by_bridge).check(flow(Protocol::Udp, LAPTOP, EXTERNAL_IP, remote), false);
}

#[test]
fn tcp_connections_end_only_when_asked_for_and_with_their_endpoint() {
    let before = with(Protocol::Tcp, &[here("10.244.0.2"), here("10.244.0.3")]);
    let both = [here("10.244.0.2").finished(), here("10.244.0.3")];
    let gone = [here("10.244.0.3")];
    for (after, dead_connections, stale) in [
        (with(Protocol::Tcp, &gone), false, false),
        (with(Protocol::Tcp, &gone), true, true),
        (with(Protocol::Tcp, &both), true, false),
        (with(Protocol::Tcp, &[here("10.244.0.2").not_ready()]), true, false),
        (with(Protocol::Tcp, &[]), true, true),
        (world(), true, true),
        (world(), false, false),
    ] {
        let case = Case { before: before.clone(), after, dead_connections };
        for destination in [CLUSTER_IP, EXTERNAL_IP, NODE_PORT] {
            case.check(flow(Protocol::Tcp, LAPTOP, destination, Some(A)), stale);
            case.check(flow(Protocol::Tcp, LAPTOP, destination, None), false);
        }
        let all = case.looked().flows;
        assert_eq!(all.get(&(Family::Ipv4, Protocol::Tcp)), dead_connections.then_some(&false));
    }
}

#[test]
fn a_tcp_connection_outlives_its_service_while_its_endpoint_serves_another() {
    let other = service("shop/other").cluster_ip("10.96.0.11").port("", Protocol::Tcp, 53);
    let slice = slice("shop/other", Family::Ipv4).port("", Protocol::Tcp, 5353);
    let after = world().service(other).slice(slice.endpoints([here("10.244.0.2")]));
    let before = with(Protocol::Tcp, &[here("10.244.0.2"), here("10.244.0.3")]);
    let case = Case { before, after, dead_connections: true };
    case.check(flow(Protocol::Tcp, LAPTOP, CLUSTER_IP, Some(A)), false);
    case.check(flow(Protocol::Tcp, LAPTOP, CLUSTER_IP, Some(B)), true);
}

#[test]
fn remembered_clients_are_forgotten_with_their_backend() {
    let sticky = |endpoints: &[EndpointBuilder]| {
        with_service(everywhere(Protocol::Tcp).external_local().affinity(60), Protocol::Tcp, endpoints)
    };
    let before = sticky(&[here("10.244.0.2"), here("10.244.0.3"), elsewhere("10.244.1.2")]);
    let after = sticky(&[here("10.244.0.3"), elsewhere("10.244.1.2")]);
    let case = Case::new(before.clone(), after);
    assert_eq!(case.looked().affinity, BTreeSet::from([Family::Ipv4]));
    let check = |case: &Case, client: &str, destination: &str, backend: &str, expected: bool| {
        let (destination, backend): (SocketAddr, SocketAddr) = (read(destination), read(backend));
        let key = Value::new().addr(read(client)).addr(destination.ip());
        let key = key.protocol(Protocol::Tcp).port(destination.port());
        let data = Value::new().addr(backend.ip()).port(backend.port());
        let remembered = Remembered::read(Family::Ipv4, &key, &data).unwrap();
        assert_eq!(case.judged(|judge| is_misled(&[*judge], &remembered)), expected, "{remembered:?}");
    };
    for destination in [CLUSTER_IP, EXTERNAL_IP, NODE_PORT] {
        check(&case, LAPTOP, destination, A, true);
        check(&case, LAPTOP, destination, B, false);
        check(&case, LAPTOP, destination, "10.244.1.2:5353", destination != CLUSTER_IP);
        check(&case, "10.244.0.9", destination, "10.244.1.2:5353", false);
    }
    // Another Service's, of which the tables of a change say nothing.
    check(&case, LAPTOP, "10.96.0.99:53", A, false);
    let case = Case::new(before, world());
    assert_eq!(case.looked().affinity, BTreeSet::from([Family::Ipv4]));
    check(&case, LAPTOP, CLUSTER_IP, B, true);
    // An earlier Service was at the same frontend, or the same one before it stopped to remember.
    let not_sticky = with_service(everywhere(Protocol::Tcp), Protocol::Tcp, &[here("10.244.0.3")]);
    for earlier in [world(), not_sticky] {
        let case = Case::new(earlier, sticky(&[here("10.244.0.3")]));
        assert_eq!(case.looked().affinity, BTreeSet::from([Family::Ipv4]));
        check(&case, LAPTOP, CLUSTER_IP, A, true);
        check(&case, LAPTOP, CLUSTER_IP, B, false);
    }
}

#[test]
fn at_a_start_all_is_looked_at_that_may_be_stale_though_nothing_changed() {
    let check = |protocol, affinity: u32, flows: Option<bool>, remembered: bool| {
        let mut service = everywhere(protocol);
        if affinity > 0 {
            service = service.affinity(affinity);
        }
        let world = with_service(service, protocol, &[here("10.244.0.3")]);
        let case = Case::new(world.clone(), world.clone());
        assert!(case.looked().is_empty());
        let looked = Looked::everywhere(&frontends(&world));
        assert_eq!(looked.flows, flows.map(|all| ((Family::Ipv4, protocol), all)).into_iter().collect());
        assert_eq!(looked.affinity.contains(&Family::Ipv4), remembered);
        case.check(flow(protocol, LAPTOP, CLUSTER_IP, Some(A)), protocol != Protocol::Tcp);
    };
    check(Protocol::Udp, 0, Some(false), false);
    check(Protocol::Udp, 60, Some(false), true);
    check(Protocol::Tcp, 60, None, true);
    check(Protocol::Tcp, 0, None, false);
}

#[test]
fn after_several_changes_the_latest_that_has_the_destination_decides() {
    let (a, b) = (here("10.244.0.2"), here("10.244.0.3"));
    let of = |endpoints: &[EndpointBuilder]| {
        with_service(everywhere(Protocol::Udp).affinity(60), Protocol::Udp, endpoints)
    };
    let (both, only_b) = (of(&[a, b.clone()]), of(&[b]));
    let change = |before: &World, after: &World| Case::new(before.clone(), after.clone());
    let check = |changes: [Case; 2], stale_a: bool, stale_b: bool| {
        let [first, second] = changes;
        for (backend, expected) in [(A, stale_a), (B, stale_b)] {
            let flow = flow(Protocol::Udp, LAPTOP, CLUSTER_IP, Some(backend));
            let Flow { protocol, client, destination, backend, .. } = flow;
            let remembered = Remembered { protocol, client, destination, backend };
            first.judged(|first| {
                second.judged(|second| {
                    let judges = [*first, *second];
                    assert_eq!(is_stale(&judges, &flow), expected, "{flow:?}");
                    assert_eq!(is_misled(&judges, &remembered), expected, "{remembered:?}");
                });
            });
        }
    };
    // One went and came back.
    check([change(&both, &only_b), change(&only_b, &both)], false, false);
    // One went, then all.
    check([change(&both, &only_b), change(&only_b, &world())], true, true);
    // The Service went and came back with one of two.
    check([change(&both, &world()), change(&world(), &only_b)], true, false);
    // The second change is another Service's.
    check([change(&both, &only_b), change(&world(), &world())], true, false);
}

#[test]
fn what_is_no_element_of_the_affinity_map_is_not_read() {
    let key = Value::new().addr(read("10.0.0.1")).addr(read("10.0.0.2"));
    let data = Value::new().addr(read("10.0.0.3")).port(80);
    let whole = key.clone().protocol(Protocol::Tcp).port(80);
    assert!(Remembered::read(Family::Ipv4, &whole, &data).is_some());
    assert!(Remembered::read(Family::Ipv6, &whole, &data).is_none());
    assert!(Remembered::read(Family::Ipv4, &key, &data).is_none());
    assert!(Remembered::read(Family::Ipv4, &whole, &Value::new().addr(read("10.0.0.3"))).is_none());
    assert!(Remembered::read(Family::Ipv4, &key.protocol(Protocol::Tcp).port(0), &data).is_none());
}

#[test]
fn looking_is_left_out_where_nothing_can_have_become_stale() {
    let (one, two) = ([here("10.244.0.2")], [here("10.244.0.2"), here("10.244.0.3")]);
    let udp = (Family::Ipv4, Protocol::Udp);
    let check = |before: World, after: World, expected: Option<bool>| {
        let looked = Case::new(before, after).looked();
        assert_eq!(looked.flows, expected.map(|all| (udp, all)).into_iter().collect());
        assert_eq!(looked.affinity, BTreeSet::new());
    };
    let with = |endpoints: &[EndpointBuilder]| with(Protocol::Udp, endpoints);
    check(with(&two), with(&two), None);
    check(with(&one), with(&two), None);
    check(with(&two), with(&one), Some(false));
    check(with(&one), with(&[]), Some(false));
    check(with(&[]), with(&one), Some(true));
    check(world(), with(&one), Some(true));
    check(world(), with(&[]), None);
    check(with(&[]), world(), None);
    check(with(&one), world(), Some(false));
    let tcp = |endpoints: &[EndpointBuilder]| self::with(Protocol::Tcp, endpoints);
    check(tcp(&two), tcp(&one), None);
    check(world(), tcp(&one), None);
}

#[test]
fn node_ports_are_served_where_the_rules_serve_them() {
    let check = |option: NodePortAddresses, with_node: bool, expected: &[&str]| {
        let world = world().config(|config| config.node_port_addresses = option);
        let node = world.cluster.node.as_ref().filter(|_| with_node);
        let actual = node_port_addresses(&world.config, node, &world.environment.local_addresses);
        assert_eq!(actual, expected.iter().map(|address| read(address)).collect());
    };
    let local = ["192.168.1.2", "192.168.1.3", "2001:db8:1::2", "10.244.0.1", "fd00:10:244::1"];
    check(NodePortAddresses::Primary, true, &["192.168.1.2", "2001:db8:1::2"]);
    check(NodePortAddresses::Primary, false, &local);
    check(NodePortAddresses::All, true, &local);
    let networks = vec![read("192.168.1.0/24"), read("127.0.0.0/8"), read("::/0")];
    let in_networks = ["192.168.1.2", "192.168.1.3", "2001:db8:1::2", "fd00:10:244::1"];
    check(NodePortAddresses::Cidrs(networks), true, &in_networks);
}

/// What the tables of frontends say of a packet, against the oracle.
fn check_against_the_oracle(world: &World, packet: &Packet) {
    check_table(world, packet, &frontends(world));
    check_table(world, packet, &frontends_of_iptables(world));
}

fn check_table(world: &World, packet: &Packet, frontends: &Frontends) {
    let client = Client { address: packet.source, is_local: world.environment.is_local(packet.source) };
    let found = frontends.find(packet.protocol, SocketAddr::new(packet.destination, packet.port));
    let serves = found.is_some_and(|(_, frontend)| frontend.serves(client, packet.protocol));
    let by_interface = matches!(
        world.config.detect_local,
        DetectLocal::BridgeInterface(_) | DetectLocal::InterfaceNamePrefix(_)
    );
    let fresh = Packet { affinity: None, ..packet.clone() };
    match verdict(world, &fresh) {
        Verdict::Backends(allowed) => {
            let given = |backend: &SocketAddr| {
                found.is_some_and(|(_, frontend)| frontend.gives(client, packet.protocol, *backend))
            };
            let allowed: HashSet<SocketAddr> = allowed.into_keys().collect();
            assert!(allowed.iter().all(given), "{packet:?}\n{allowed:?}\n{found:?}\n{world:#?}");
            let slices = world.cluster.slices.values();
            let endpoints = slices.flat_map(|slice| {
                let ports = slice.ports.iter().map(|port| port.port.get());
                ports.flat_map(|port| slice.endpoints.iter().map(move |e| SocketAddr::new(e.address, port)))
            });
            for other in endpoints.filter(|endpoint| !allowed.contains(endpoint)) {
                assert!(by_interface || !given(&other), "{other} {packet:?}\n{found:?}\n{world:#?}");
            }
        }
        Verdict::Reject(_) | Verdict::Untouched => assert!(!serves, "{packet:?}\n{found:?}\n{world:#?}"),
        // Source ranges drop packets before anybody looks at frontends.
        Verdict::Drop => {}
    }
}

#[test]
fn senders_by_hand_agree_with_the_oracle() {
    let endpoints = [here("10.244.0.2"), elsewhere("10.244.1.2")];
    let world = with_service(everywhere(Protocol::Udp).external_local(), Protocol::Udp, &endpoints);
    for destination in [CLUSTER_IP, EXTERNAL_IP, NODE_PORT] {
        check_against_the_oracle(&world, &outside(LAPTOP).to(Protocol::Udp, destination));
        check_against_the_oracle(&world, &pod("10.244.0.9").to(Protocol::Udp, destination));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frontends_give_clients_the_backends_that_services_mean(
        (world, packets) in arb_world().prop_flat_map(|world| {
            let packets = arb_packets(&world, 16);
            (Just(world), packets)
        })
    ) {
        for packet in &packets {
            check_against_the_oracle(&world, packet);
        }
    }

    #[test]
    fn random_elements_are_read_without_a_panic(
        key in proptest::collection::vec(any::<u8>(), 0..64),
        data in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        for family in Family::ALL {
            let _ = Remembered::read(family, &Value::from_bytes(&key), &Value::from_bytes(&data));
        }
    }
}
