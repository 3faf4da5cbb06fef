//! The rows about frontends: what belongs to which Service, and what to none.

mod common;

use common::{FAR, HERE, check, served, web};
use svcnat_oracle::build::{
    RESET, UNREACHABLE, elsewhere, kept, masqueraded, outside, pod, process, read, service, slice, tcp_slice,
    world,
};
use svcnat_oracle::{Verdict, World};
use svcnat_rules::config::NodePortAddresses;
use svcnat_rules::net::{Family, Protocol};

#[test]
fn each_family_has_its_own_cluster_ip_and_one_without_is_skipped() {
    let dual =
        service("default/web").cluster_ip("10.96.0.1").cluster_ip("fd00:10:96::1").tcp(80).node_port(30008);
    check(
        &served(dual),
        &[
            (pod("10.244.0.9").tcp("10.96.0.1:80"), kept(&[HERE, FAR])),
            (
                pod("fd00:10:244::9").tcp("[fd00:10:96::1]:80"),
                kept(&["[fd00:10:244::2]:8080", "[fd00:10:244:1::2]:8080"]),
            ),
        ],
    );
    let v4_only = web().external_ip("2001:db8:203::1").load_balancer_ip("2001:db8:203::2");
    check(
        &served(v4_only),
        &[
            (outside("198.51.100.7").tcp("203.0.113.1:80"), masqueraded(&[HERE, FAR])),
            (outside("2001:db8:198::7").tcp("[2001:db8:203::1]:80"), Verdict::Untouched),
            (outside("2001:db8:198::7").tcp("[2001:db8:203::2]:80"), Verdict::Untouched),
            (outside("2001:db8:198::7").tcp("[2001:db8:1::2]:30008"), Verdict::Untouched),
        ],
    );
}

#[test]
fn the_same_port_number_serves_several_protocols() {
    let named = Protocol::ALL.iter().zip(["t", "u", "s"]).zip([8001_u16, 8002, 8003]);
    let (mut dns, mut targets) =
        (service("kube-system/dns").cluster_ip("10.96.0.1"), slice("kube-system/dns", Family::Ipv4));
    for ((protocol, name), target) in named {
        dns = dns.port(name, *protocol, 53);
        targets = targets.port(name, *protocol, target);
    }
    check(
        &world().service(dns).slice(targets.endpoints([elsewhere("10.244.1.2")])),
        &[
            (pod("10.244.0.9").to(Protocol::Tcp, "10.96.0.1:53"), kept(&["10.244.1.2:8001"])),
            (pod("10.244.0.9").to(Protocol::Udp, "10.96.0.1:53"), kept(&["10.244.1.2:8002"])),
            (pod("10.244.0.9").to(Protocol::Sctp, "10.96.0.1:53"), kept(&["10.244.1.2:8003"])),
        ],
    );
}

#[test]
fn port_of_a_cluster_ip_that_no_service_has_is_rejected() {
    let world = served(web());
    check(
        &world,
        &[
            (pod("10.244.0.9").tcp("10.96.0.1:81"), RESET),
            (process("192.168.1.2").tcp("10.96.0.1:81"), RESET),
            (outside("198.51.100.7").to(Protocol::Udp, "10.96.0.1:80"), UNREACHABLE),
            (pod("10.244.0.9").to(Protocol::Sctp, "10.96.0.1:80"), UNREACHABLE),
            // The node port is the node's, not the ClusterIP's.
            (pod("10.244.0.9").tcp("10.96.0.1:30008"), RESET),
            // Other addresses of the Service may have services of others on other ports.
            (pod("10.244.0.9").tcp("203.0.113.1:81"), Verdict::Untouched),
            (pod("10.244.0.9").tcp("203.0.113.2:81"), Verdict::Untouched),
            (pod("10.244.0.9").tcp("192.168.1.2:30009"), Verdict::Untouched),
        ],
    );
    check(
        &world.local_address("10.96.0.1"),
        &[
            // Delivered here: this passes input, where nothing is checked. What the node sends passes output.
            (pod("10.244.0.9").tcp("10.96.0.1:81"), Verdict::Untouched),
            (process("192.168.1.2").tcp("10.96.0.1:81"), RESET),
        ],
    );
}

#[test]
fn address_inside_a_service_cidr_that_no_service_has_is_dropped() {
    check(
        &served(web().external_ip("10.96.0.3")).service_cidr("10.96.0.0/16").service_cidr("fd00:10:96::/112"),
        &[
            (pod("10.244.0.9").tcp("10.96.0.2:80"), Verdict::Drop),
            (process("192.168.1.2").tcp("10.96.0.2:80"), Verdict::Drop),
            (outside("2001:db8:198::7").tcp("[fd00:10:96::2]:80"), Verdict::Drop),
            (pod("10.244.0.9").tcp("10.97.0.2:80"), Verdict::Untouched),
            (pod("10.244.0.9").tcp("10.96.0.1:80"), kept(&[HERE, FAR])),
            (pod("10.244.0.9").tcp("10.96.0.1:81"), RESET),
            // An external address there is a frontend on its ports and nobody's on others.
            (pod("10.244.0.9").tcp("10.96.0.3:80"), masqueraded(&[HERE, FAR])),
            (pod("10.244.0.9").tcp("10.96.0.3:81"), Verdict::Drop),
        ],
    );
}

#[test]
fn node_ports_are_on_the_addresses_that_the_mode_says() {
    let dual = || web().cluster_ip("fd00:10:96::1");
    let cidrs = |list: &[&str]| NodePortAddresses::Cidrs(list.iter().map(|text| read(text)).collect());
    let addresses =
        ["192.168.1.2", "192.168.1.3", "10.244.0.1", "127.0.0.1", "203.0.113.77", "[2001:db8:1::2]", "[::1]"];
    let no_node = |world: World| world.node(|node| *node = None);
    let v4_node = |world: World| world.node(|node| node.as_mut().unwrap().addresses.truncate(1));
    let same = |world: World| world;
    type Row = (NodePortAddresses, fn(World) -> World, [bool; 7]);
    let table: [Row; 8] = [
        (NodePortAddresses::Primary, same, [true, false, false, false, false, true, false]),
        (NodePortAddresses::Primary, v4_node, [true, false, false, false, false, false, false]),
        (NodePortAddresses::Primary, no_node, [true, true, true, false, false, true, false]),
        (NodePortAddresses::All, same, [true, true, true, false, false, true, false]),
        (NodePortAddresses::All, no_node, [true, true, true, false, false, true, false]),
        (cidrs(&["192.168.1.3/32"]), same, [false, true, false, false, false, false, false]),
        (cidrs(&["192.168.1.0/24", "2001:db8:1::/64"]), same, [true, true, false, false, false, true, false]),
        (
            cidrs(&["0.0.0.0/0", "127.0.0.0/8", "::1/128"]),
            no_node,
            [true, true, true, false, false, false, false],
        ),
    ];
    for (mode, change, serves) in table {
        let world = change(served(dual())).config(|config| config.node_port_addresses = mode);
        for (address, serves) in addresses.iter().zip(serves) {
            let client = if address.starts_with('[') { "2001:db8:198::7" } else { "198.51.100.7" };
            let backends = if address.starts_with('[') {
                masqueraded(&["[fd00:10:244::2]:8080", "[fd00:10:244:1::2]:8080"])
            } else {
                masqueraded(&[HERE, FAR])
            };
            let expected = if serves { backends } else { Verdict::Untouched };
            let verdict = svcnat_oracle::verdict(&world, &outside(client).tcp(&format!("{address}:30008")));
            assert_eq!(verdict, expected, "{:?}, {address}", world.config.node_port_addresses);
        }
    }
}

#[test]
fn primary_is_the_first_address_of_the_family() {
    let reordered = |world: World| {
        world.node(|node| {
            node.as_mut().unwrap().addresses =
                ["2001:db8:1::2", "192.168.1.3", "192.168.1.2"].map(read).to_vec();
        })
    };
    check(
        &reordered(served(web())),
        &[
            (outside("198.51.100.7").tcp("192.168.1.3:30008"), masqueraded(&[HERE, FAR])),
            (outside("198.51.100.7").tcp("192.168.1.2:30008"), Verdict::Untouched),
        ],
    );
}

#[test]
fn the_older_service_has_a_frontend_that_two_want() {
    let at = |name: &str, cluster_ip: &str| {
        service(name).cluster_ip(cluster_ip).external_ip("203.0.113.1").tcp(80).node_port(30008)
    };
    let orders = [
        (at("a/x", "10.96.0.1").created(200), at("b/x", "10.96.0.2").created(100)),
        (at("a/x", "10.96.0.1"), at("b/x", "10.96.0.2").created(100)),
        (at("b/x", "10.96.0.1").created(100), at("a/x", "10.96.0.2").created(100)),
        (at("b/x", "10.96.0.1"), at("a/x", "10.96.0.2")),
        // As texts: '-' comes before '/'.
        (at("b/x", "10.96.0.1"), at("b-a/x", "10.96.0.2")),
    ];
    for (loser, winner) in orders {
        let (loses, wins) = (loser.0.name.as_str().to_owned(), winner.0.name.as_str().to_owned());
        let both = world().service(loser).service(winner);
        check(
            &both
                .slice(tcp_slice(&loses, [elsewhere("10.244.1.2")]))
                .slice(tcp_slice(&wins, [elsewhere("10.244.1.3")])),
            &[
                (outside("198.51.100.7").tcp("203.0.113.1:80"), masqueraded(&["10.244.1.3:8080"])),
                (outside("198.51.100.7").tcp("192.168.1.2:30008"), masqueraded(&["10.244.1.3:8080"])),
                (pod("10.244.0.9").tcp("10.96.0.1:80"), kept(&[FAR])),
                (pod("10.244.0.9").tcp("10.96.0.2:80"), kept(&["10.244.1.3:8080"])),
            ],
        );
    }
}

#[test]
fn families_are_won_and_lost_separately() {
    let v4_only = service("a/old").created(100).cluster_ip("10.96.0.1").tcp(80).node_port(30008);
    let dual = service("b/new")
        .created(200)
        .cluster_ip("10.96.0.2")
        .cluster_ip("fd00:10:96::2")
        .tcp(80)
        .node_port(30008);
    check(
        &served(dual).service(v4_only).slice(tcp_slice("a/old", [elsewhere("10.244.1.3")])),
        &[
            (outside("198.51.100.7").tcp("192.168.1.2:30008"), masqueraded(&["10.244.1.3:8080"])),
            (
                outside("2001:db8:198::7").tcp("[2001:db8:1::2]:30008"),
                masqueraded(&["[fd00:10:244::2]:8080", "[fd00:10:244:1::2]:8080"]),
            ),
        ],
    );
}

#[test]
fn the_first_port_of_a_service_has_what_two_of_its_ports_want() {
    let twice =
        service("a/x").cluster_ip("10.96.0.1").port("b", Protocol::Tcp, 80).port("a", Protocol::Tcp, 80);
    let targets = slice("a/x", Family::Ipv4).port("a", Protocol::Tcp, 8001).port("b", Protocol::Tcp, 8002);
    check(
        &world().service(twice).slice(targets.endpoints([elsewhere("10.244.1.2")])),
        &[(pod("10.244.0.9").tcp("10.96.0.1:80"), kept(&["10.244.1.2:8002"]))],
    );
}

#[test]
fn what_is_not_a_frontend_is_untouched() {
    check(
        &served(web()),
        &[
            (pod("10.244.0.9").tcp(HERE), Verdict::Untouched),
            (outside("198.51.100.7").tcp(FAR), Verdict::Untouched),
            (process("192.168.1.2").tcp("198.51.100.7:80"), Verdict::Untouched),
            (process("192.168.1.2").tcp("127.0.0.1:30008"), Verdict::Untouched),
            (outside("198.51.100.7").to(Protocol::Udp, "203.0.113.1:80"), Verdict::Untouched),
        ],
    );
}
