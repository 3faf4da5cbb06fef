//! The rows about telling pods from others: detect-local and masqueradeAll.

mod common;

use common::check;
use svcnat_oracle::build::{
    elsewhere, here, kept, masqueraded, outside, pod_at, process, read, service, tcp_slice, world,
};
use svcnat_oracle::{Packet, World};
use svcnat_rules::config::DetectLocal;
use svcnat_rules::name::Name;

const V4: [&str; 2] = ["10.244.0.2:8080", "10.244.1.2:8080"];
const V6: [&str; 2] = ["[fd00:10:244::2]:8080", "[fd00:10:244:1::2]:8080"];

fn dual_stack(detect_local: DetectLocal) -> World {
    let web = service("default/web").cluster_ip("10.96.0.1").cluster_ip("fd00:10:96::1").external_local();
    world()
        .config(|config| config.detect_local = detect_local)
        .service(web.external_ip("203.0.113.1").external_ip("2001:db8:203::1").tcp(80))
        .slice(tcp_slice("default/web", [here("10.244.0.2"), elsewhere("10.244.1.2")]))
        .slice(tcp_slice("default/web", [here("fd00:10:244::2"), elsewhere("fd00:10:244:1::2")]))
}

fn cluster_cidr(cidrs: &[&str]) -> DetectLocal {
    DetectLocal::ClusterCidr(cidrs.iter().map(|cidr| read(cidr)).collect())
}

/// What a mode makes of a sender.
#[derive(Debug, Clone, Copy)]
enum Seen {
    Pod,
    Other,
    /// There is no way to tell.
    Unknown,
}

/// Senders: a pod here on the bridge, one on its own veth, one elsewhere, a client, and the node; then the same in IPv6.
fn senders(to: [&str; 2]) -> [Packet; 10] {
    let [v4, v6] = to;
    [
        pod_at("10.244.0.9", "cni0").tcp(v4),
        pod_at("10.244.0.9", "veth9").tcp(v4),
        outside("10.244.1.9").tcp(v4),
        outside("198.51.100.7").tcp(v4),
        process("192.168.1.2").tcp(v4),
        pod_at("fd00:10:244::9", "cni0").tcp(v6),
        pod_at("fd00:10:244::9", "veth9").tcp(v6),
        outside("fd00:10:244:1::9").tcp(v6),
        outside("2001:db8:198::7").tcp(v6),
        process("2001:db8:1::2").tcp(v6),
    ]
}

fn modes() -> Vec<(World, [Seen; 10])> {
    use Seen::{Other as O, Pod as P, Unknown as U};
    let no_v6_network =
        |world: World| world.node(|node| node.iter_mut().for_each(|node| node.pod_cidrs.truncate(1)));
    vec![
        (dual_stack(DetectLocal::Off), [U; 10]),
        (dual_stack(cluster_cidr(&["10.244.0.0/16", "fd00:10:244::/48"])), [P, P, P, O, O, P, P, P, O, O]),
        (dual_stack(cluster_cidr(&["10.244.0.0/16"])), [P, P, P, O, O, U, U, U, U, U]),
        (dual_stack(cluster_cidr(&["10.244.7.0/24", "10.244.0.0/24"])), [P, P, O, O, O, U, U, U, U, U]),
        (dual_stack(DetectLocal::NodeCidr), [P, P, O, O, O, P, P, O, O, O]),
        (no_v6_network(dual_stack(DetectLocal::NodeCidr)), [P, P, O, O, O, U, U, U, U, U]),
        (dual_stack(DetectLocal::NodeCidr).node(|node| *node = None), [U; 10]),
        (dual_stack(DetectLocal::BridgeInterface(Name::from("cni0"))), [P, O, O, O, O, P, O, O, O, O]),
        (dual_stack(DetectLocal::BridgeInterface(Name::from("cni"))), [O; 10]),
        (dual_stack(DetectLocal::InterfaceNamePrefix(Name::from("veth"))), [O, P, O, O, O, O, P, O, O, O]),
        (dual_stack(DetectLocal::InterfaceNamePrefix(Name::from("cni"))), [P, O, O, O, O, P, O, O, O, O]),
    ]
}

fn backends(packet: &Packet) -> [&'static str; 2] {
    if packet.source.is_ipv4() { V4 } else { V6 }
}

#[test]
fn cluster_ip_traffic_is_masqueraded_where_it_is_not_from_a_pod() {
    for (world, seen) in modes() {
        let expected =
            senders(["10.96.0.1:80", "[fd00:10:96::1]:80"]).into_iter().zip(seen).map(|(packet, seen)| {
                let verdict = match seen {
                    Seen::Other => masqueraded(&backends(&packet)),
                    Seen::Pod | Seen::Unknown => kept(&backends(&packet)),
                };
                (packet, verdict)
            });
        check(&world, &expected.collect::<Vec<_>>());
    }
}

#[test]
fn masquerade_all_masquerades_all_cluster_ip_traffic_and_no_other() {
    for (world, seen) in modes() {
        let world = world.config(|config| config.masquerade_all = true);
        for packet in senders(["10.96.0.1:80", "[fd00:10:96::1]:80"]) {
            let all = masqueraded(&backends(&packet));
            check(&world, &[(packet, all)]);
        }
        check(&world, &external_local(seen));
    }
}

#[test]
fn only_pods_and_the_node_take_the_short_circuit_of_external_policy_local() {
    for (world, seen) in modes() {
        check(&world, &external_local(seen));
    }
}

fn external_local(seen: [Seen; 10]) -> Vec<(Packet, svcnat_oracle::Verdict)> {
    let senders = senders(["203.0.113.1:80", "[2001:db8:203::1]:80"]).into_iter().zip(seen);
    let expected = senders.map(|(packet, seen)| {
        let all = backends(&packet);
        let verdict = match seen {
            Seen::Pod => kept(&all),
            _ if packet.origin == svcnat_oracle::Origin::LocalProcess => masqueraded(&all),
            Seen::Other | Seen::Unknown => kept(&all[..1]),
        };
        (packet, verdict)
    });
    expected.collect()
}
