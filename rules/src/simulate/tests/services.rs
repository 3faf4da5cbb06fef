//! What becomes of packets in the example, in both layouts.

use super::build::*;
use super::example::{affinity_key, chains, maps, node, node_that_remembers};
use crate::simulate::{Connection, Environment, Packet};

/// Simulates in both layouts, which must agree but for the bias of the slots, and compares with the expected lines.
fn check(environment: &Environment, packet: &Packet, expected: &[&str]) {
    for ruleset in [chains(), maps()] {
        assert_eq!(lines(&ruleset, environment, packet), expected, "{packet:?}");
    }
}

/// The same for an outcome that is certain.
fn check_one(packet: &Packet, expected: &str) {
    check(&node(), packet, &[&format!("1 {expected}")]);
}

/// What is appended to an outcome that leaves an element in the affinity map.
fn remembers(sign: char, client: &str, at: &str, to: &str) -> String {
    format!(" {sign}affinity[{:?}]={:?}/10800000", affinity_key(client, at), backend(to))
}

#[test]
fn the_backends_of_a_chain_are_equally_likely() {
    let third = |masqueraded: &str| {
        ["10.244.0.2", "10.244.1.2", "10.244.2.2"]
            .map(|pod| format!("1/3 network {pod}:8080 dnat{masqueraded}"))
    };
    for (packet, expected) in [
        (from_network("10.244.0.9:40000", "10.96.0.10:80"), third("")),
        (from_network("192.168.1.10:40000", "10.96.0.10:80"), third(" masquerade")),
        (from_network("192.168.1.10:40000", "192.168.1.2:30008"), third(" masquerade")),
        (from_host("192.168.1.2:40000", "10.96.0.10:80"), third(" masquerade")),
        (from_host("192.168.1.2:40000", "192.168.1.2:30008"), third(" masquerade")),
    ] {
        assert_eq!(lines(&chains(), &node(), &packet), expected, "{packet:?}");
    }
}

#[test]
fn the_backends_of_a_map_are_equally_likely_up_to_the_last_draw() {
    // Eight draws among four slots, one of them empty, then one among the two lower ones:
    // (1 - 1/4^8) / 3 for each, and 1/4^8 shared by the first two.
    let expected = ["43691/131072", "43691/131072", "21845/65536"];
    let pods = ["10.244.0.2", "10.244.1.2", "10.244.2.2"];
    for (packet, masqueraded) in [
        (from_network("10.244.0.9:40000", "10.96.0.10:80"), ""),
        (from_network("192.168.1.10:40000", "192.168.1.2:30008"), " masquerade"),
    ] {
        let expected: Vec<String> = std::iter::zip(expected, pods)
            .map(|(probability, pod)| format!("{probability} network {pod}:8080 dnat{masqueraded}"))
            .collect();
        assert_eq!(lines(&maps(), &node(), &packet), expected, "{packet:?}");
    }
}

#[test]
fn a_pod_that_reaches_itself_is_masqueraded() {
    let packet = from_network("10.244.0.2:40000", "10.96.0.10:80");
    let expected = [
        "1/3 network 10.244.0.2:8080 dnat masquerade",
        "1/3 network 10.244.1.2:8080 dnat",
        "1/3 network 10.244.2.2:8080 dnat",
    ];
    assert_eq!(lines(&chains(), &node(), &packet), expected);
}

#[test]
fn only_sources_in_the_ranges_reach_a_load_balancer() {
    let at = "203.0.113.7:443";
    let local = |client: &str| {
        format!("network 10.244.0.4:8443 dnat{}", remembers('+', client, at, "10.244.0.4:8443"))
    };
    check_one(&from_network("198.51.100.0:40000", at), &local("198.51.100.0"));
    check_one(&from_network("198.51.100.255:40000", at), &local("198.51.100.255"));
    check_one(&from_network("198.51.99.255:40000", at), "drop prerouting");
    check_one(&from_network("198.51.101.0:40000", at), "drop prerouting");
    check_one(&from_network("10.244.0.9:40000", at), "drop prerouting");
}

#[test]
fn policy_local_keeps_to_this_node_but_for_its_own_pods_and_processes() {
    let at = "192.168.1.2:30443";
    let both = |client: &str, masqueraded: &str| {
        ["10.244.0.4:8443", "10.244.1.4:8443"]
            .map(|to| format!("1/2 network {to} dnat{masqueraded}{}", remembers('+', client, at, to)))
    };
    let client = "192.168.1.10";
    let local = format!("network 10.244.0.4:8443 dnat{}", remembers('+', client, at, "10.244.0.4:8443"));
    check_one(&from_network("192.168.1.10:40000", at), &local);
    let expected = both("10.244.0.9", "");
    check(&node(), &from_network("10.244.0.9:40000", at), &expected.each_ref().map(String::as_str));
    let expected = both("192.168.1.2", " masquerade");
    check(&node(), &from_host("192.168.1.2:40000", at), &expected.each_ref().map(String::as_str));
}

#[test]
fn frontends_without_endpoints_are_rejected() {
    check_one(&from_network("10.244.0.9:40000", "10.96.0.30:80"), "reject forward PortUnreachable");
    check_one(&from_network("192.168.1.10:40000", "10.96.0.30:80"), "reject forward PortUnreachable");
    check_one(&from_host("192.168.1.2:40000", "10.96.0.30:80"), "reject output PortUnreachable");
    // Somebody has given the address to the host itself.
    let mut environment = node();
    environment.local.push(addr("10.96.0.30"));
    let packet = from_network("10.244.0.9:40000", "10.96.0.30:80");
    check(&environment, &packet, &["1 reject input PortUnreachable"]);
}

#[test]
fn unknown_ports_of_cluster_ips_are_rejected_and_unknown_cluster_ips_dropped() {
    check_one(&from_network("10.244.0.9:40000", "10.96.0.10:81"), "reject forward PortUnreachable");
    check_one(&from_network("10.244.0.9:40000", "10.96.0.99:80"), "drop forward");
    check_one(&from_network("10.244.0.9:40000", "10.111.255.255:80"), "drop forward");
    check_one(&from_network("10.244.0.9:40000", "10.112.0.0:80"), "network 10.112.0.0:80");
    check_one(&from_host("192.168.1.2:40000", "10.96.0.99:80"), "drop output");
}

#[test]
fn other_traffic_is_left_alone() {
    check_one(&from_network("192.168.1.10:40000", "192.168.1.2:22"), "host 192.168.1.2:22");
    check_one(&from_network("10.244.0.9:40000", "10.244.1.2:8080"), "network 10.244.1.2:8080");
    check_one(&from_network("192.168.1.10:40000", "127.0.0.1:30008"), "host 127.0.0.1:30008");
    check_one(&from_host("127.0.0.1:40000", "127.0.0.1:30008"), "host 127.0.0.1:30008");
    check_one(&from_host("192.168.1.2:40000", "1.1.1.1:53"), "network 1.1.1.1:53");
}

#[test]
fn a_client_that_is_remembered_stays_with_its_backend() {
    let (client, at, to) = ("10.244.0.9", "10.96.0.20:443", "10.244.1.4:8443");
    let environment = node_that_remembers(client, at, to);
    let stays = format!("1 network {to} dnat{}", remembers('*', client, at, to));
    check(&environment, &from_network("10.244.0.9:40000", at), &[&stays]);
}

#[test]
fn another_client_and_another_frontend_draw() {
    let environment = node_that_remembers("10.244.0.9", "10.96.0.20:443", "10.244.1.4:8443");
    for (client, at) in [("10.244.0.8", "10.96.0.20:443"), ("10.244.0.9", "192.168.1.2:30443")] {
        let expected = ["10.244.0.4:8443", "10.244.1.4:8443"]
            .map(|to| format!("1/2 network {to} dnat{}", remembers('+', client, at, to)));
        let packet = from_network(&format!("{client}:40000"), at);
        check(&environment, &packet, &expected.each_ref().map(String::as_str));
    }
}

#[test]
fn established_connections_are_left_to_connection_tracking() {
    // 10.244.7.7 serves nothing any more, but the connection was made when it did.
    let mut packet = from_network("192.168.1.10:40000", "192.168.1.2:30008");
    let dnat = Some(socket("10.244.7.7:8080"));
    packet.connection = Connection::Established { dnat, masqueraded: true };
    check_one(&packet, "network 10.244.7.7:8080 dnat masquerade");
    packet.connection = Connection::Established { dnat: None, masqueraded: false };
    check_one(&packet, "host 192.168.1.2:30008");
    let mut packet = from_network("10.244.0.9:40000", "10.96.0.99:80");
    packet.connection = Connection::Established { dnat: None, masqueraded: false };
    check_one(&packet, "network 10.96.0.99:80");
}
