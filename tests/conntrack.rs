//! What becomes of connections that were there before a change: real flows, real rules, `conntrack -L` as the witness.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod conntrack_support;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use conntrack_support::{Dns, NODE_PORT, Network, OTHER_SERVICE, TARGET, apply, external_ip};
use svcnat_lab::{Connection, Family, Host, Node, Outcome, Probe, Protocol, Result, Unreachable};

/// Options of the mode nftables.
const NFTABLES: &[&str] = &[];

/// Options of the mode iptables, with node ports where the other mode has them.
const IPTABLES: &[&str] = &["--proxy-mode", "iptables", "--nodeport-addresses", "primary"];

#[track_caller]
fn check_all(clients: &mut [(&'static str, Connection)], what: &str, expected: impl Fn(&Outcome) -> bool) {
    for (who, client) in clients {
        let outcome = client.ask();
        assert!(expected(&outcome), "{who}, {what}: {outcome:?}");
    }
}

fn answered_by(name: &str) -> impl Fn(&Outcome) -> bool + '_ {
    move |outcome| outcome.answered_by() == Some(name)
}

#[test]
fn a_client_that_keeps_its_socket_reaches_the_new_backend_with_its_next_packet() -> Result<()> {
    for (protocol, mode) in [
        (Protocol::Udp, NFTABLES),
        (Protocol::Sctp, NFTABLES),
        (Protocol::Udp, IPTABLES),
        (Protocol::Sctp, IPTABLES),
    ] {
        let network = Network::new()?;
        Dns::new(protocol, &[&network.old]).apply(&network.node, mode)?;
        let mut clients: Vec<_> =
            Family::ALL.into_iter().flat_map(|family| network.clients(protocol, family)).collect();
        check_all(&mut clients, "before", answered_by("old"));
        for family in Family::ALL {
            assert_eq!(network.tracked(protocol, family, network.old.ip(family))?, 5, "{protocol} {family}");
        }
        // A second backend changes nothing for them.
        let both = Dns::new(protocol, &[&network.old, &network.new]);
        assert!(!both.apply(&network.node, mode)?.contains("flows"));
        check_all(&mut clients, "with a second backend", answered_by("old"));

        let only_new = Dns::new(protocol, &[&network.new]);
        let summary = only_new.apply(&network.node, mode)?;
        assert!(summary.ends_with(", flows -10"), "{summary}");
        for family in Family::ALL {
            assert_eq!(network.tracked(protocol, family, network.old.ip(family))?, 0);
        }
        check_all(&mut clients, "after", answered_by("new"));
        assert_eq!(only_new.apply(&network.node, mode)?, "unchanged");
        check_all(&mut clients, "after a second apply", answered_by("new"));
    }
    Ok(())
}

#[test]
fn a_client_of_a_service_without_backends_hears_that_its_port_is_unreachable() -> Result<()> {
    for mode in [NFTABLES, IPTABLES] {
        let network = Network::new()?;
        Dns::new(Protocol::Udp, &[&network.old]).apply(&network.node, mode)?;
        let mut clients: Vec<_> =
            Family::ALL.into_iter().flat_map(|family| network.clients(Protocol::Udp, family)).collect();
        check_all(&mut clients, "before", answered_by("old"));
        let summary = Dns::new(Protocol::Udp, &[]).apply(&network.node, mode)?;
        assert!(summary.ends_with(", flows -10"), "{summary}");
        for (who, client) in &mut clients {
            let mut outcome = client.ask();
            // Where a packet is refused before it leaves its own machine, the kernel says so first, and EPERM.
            if outcome == Outcome::Failed("Operation not permitted (os error 1)".into()) {
                assert_eq!(*who, "node to ClusterIP");
                outcome = client.ask();
            }
            assert_eq!(outcome, Outcome::Unreachable(Unreachable::Port), "{who}");
        }
        Dns::new(Protocol::Udp, &[&network.new]).apply(&network.node, mode)?;
        check_all(&mut clients, "with a backend again", answered_by("new"));
    }
    Ok(())
}

#[test]
fn flows_end_with_their_service() -> Result<()> {
    let network = Network::new()?;
    Dns::new(Protocol::Udp, &[&network.old]).apply(&network.node, &[])?;
    let mut clients = network.clients(Protocol::Udp, Family::Ipv4);
    check_all(&mut clients, "before", answered_by("old"));
    let summary = apply(&network.node, OTHER_SERVICE, &[])?;
    assert!(summary.ends_with(", flows -5"), "{summary}");
    assert_eq!(network.tracked(Protocol::Udp, Family::Ipv4, network.old.ip(Family::Ipv4))?, 0);
    Ok(())
}

#[test]
fn a_flow_that_bypassed_a_new_frontend_reaches_its_backend() -> Result<()> {
    for protocol in [Protocol::Udp, Protocol::Sctp] {
        let network = Network::new()?;
        for first in [None, Some(Dns::new(protocol, &[]))] {
            // Something must have the node track connections at all.
            apply(&network.node, OTHER_SERVICE, &[])?;
            for family in Family::ALL {
                let mut client = network.laptop.open(&Probe::new(protocol, external_ip(family))).unwrap();
                let outcome = client.ask();
                assert_eq!(
                    outcome.answered_by(),
                    Some(network.upstream.name()),
                    "{protocol} {family}: {outcome:?}"
                );
                if let Some(without_backends) = &first {
                    without_backends.apply(&network.node, &[])?;
                }
                let summary = Dns::new(protocol, &[&network.new]).apply(&network.node, &[])?;
                assert!(summary.contains("flows -"), "{summary}");
                let outcome = client.ask();
                assert_eq!(outcome.answered_by(), Some("new"), "{protocol} {family}: {outcome:?}");
                apply(&network.node, OTHER_SERVICE, &[])?;
            }
        }
    }
    Ok(())
}

#[test]
fn tcp_connections_to_a_gone_endpoint_are_reset_where_that_is_asked_for() -> Result<()> {
    let network = Network::new()?;
    let before = Dns::new(Protocol::Tcp, &[&network.old]);
    let after = Dns::new(Protocol::Tcp, &[&network.new]);
    let terminating = Dns { terminating: vec![&network.old], ..after.clone() };
    for (then, expected) in [(&after, true), (&Dns::new(Protocol::Tcp, &[]), true)] {
        before.apply(&network.node, &["--reset-dead-connections"])?;
        let mut clients: Vec<_> =
            Family::ALL.into_iter().flat_map(|family| network.clients(Protocol::Tcp, family)).collect();
        check_all(&mut clients, "before", answered_by("old"));
        then.apply(&network.node, &[])?;
        check_all(&mut clients, "without the option", answered_by("old"));
        let summary = terminating.apply(&network.node, &["--reset-dead-connections"])?;
        assert!(!summary.contains("flows"), "{summary}");
        check_all(&mut clients, "while the endpoint terminates", answered_by("old"));
        let summary = then.apply(&network.node, &["--reset-dead-connections"])?;
        assert!(summary.ends_with("flows -10"), "{summary}");
        check_all(&mut clients, "with the option", |outcome| (*outcome == Outcome::Reset) == expected);
        // What the clients' last packets left behind goes to nobody that is gone.
        assert_eq!(then.apply(&network.node, &["--reset-dead-connections"])?, "unchanged");
    }
    Ok(())
}

#[test]
fn flows_that_other_programs_translate_are_left_alone() -> Result<()> {
    let network = Network::new()?;
    let old = network.old.at(Family::Ipv4, TARGET);
    network.node.nft(&format!(
        "table ip theirs {{ chain c {{ type nat hook prerouting priority -90; ip daddr 192.168.1.2 udp dport 9999 dnat \
         to {old}; }}; }}"
    ))?;
    Dns::new(Protocol::Udp, &[&network.old]).apply(&network.node, &[])?;
    let theirs = SocketAddr::from(([192, 168, 1, 2], 9999));
    let mut all = vec![
        ("laptop to them", network.laptop.open(&Probe::udp(theirs)).unwrap()),
        ("pod to pod", network.client.open(&Probe::udp(old)).unwrap()),
    ];
    check_all(&mut all, "before", answered_by("old"));
    for dns in [Dns::new(Protocol::Udp, &[&network.new]), Dns::new(Protocol::Udp, &[])] {
        let summary = dns.apply(&network.node, &["--reset-dead-connections"])?;
        assert!(!summary.contains("flows"), "{summary}");
        assert_eq!(network.tracked(Protocol::Udp, Family::Ipv4, network.old.ip(Family::Ipv4))?, 2);
    }
    apply(&network.node, OTHER_SERVICE, &[])?;
    assert_eq!(network.tracked(Protocol::Udp, Family::Ipv4, network.old.ip(Family::Ipv4))?, 2);
    check_all(&mut all, "after", answered_by("old"));
    Ok(())
}

#[test]
fn flows_in_a_zone_are_found_there() -> Result<()> {
    for direction in ["", "original "] {
        let network = Network::new()?;
        network.node.nft(&format!(
            "table ip zones {{ chain c {{ type filter hook prerouting priority -300; ip saddr 192.168.1.10 ct \
             {direction}zone set 7; ip saddr 10.244.0.0/16 udp sport {TARGET} ct {direction}zone set 7; }}; }}"
        ))?;
        Dns::new(Protocol::Udp, &[&network.old]).apply(&network.node, &[])?;
        let node_port = SocketAddr::new(network.node.ip(Family::Ipv4), NODE_PORT);
        let _ = network.laptop.probe(&Probe::udp(node_port).from_port(4242).expecting_silence());
        let tracked = |backend: &Host| network.tracked(Protocol::Udp, Family::Ipv4, backend.ip(Family::Ipv4));
        assert!(tracked(&network.old)? > 0, "{:?}", network.node.conntrack(Family::Ipv4)?);
        let summary = Dns::new(Protocol::Udp, &[&network.new]).apply(&network.node, &[])?;
        assert!(summary.contains("flows -"), "{summary}");
        let left = network.node.conntrack(Family::Ipv4)?;
        let left: Vec<_> = left.iter().filter(|line| line.contains(&format!("dport={NODE_PORT}"))).collect();
        assert!(left.is_empty(), "{direction}: {left:?}");
    }
    Ok(())
}

/// The elements of an affinity map that lead to a backend.
fn remembered(node: &Node, family: Family, backend: IpAddr) -> Result<Vec<String>> {
    let list = ["list", "map", family.keyword(), "svcnat", "affinity"];
    let listing = node.succeed(Command::new("nft").args(list), "")?;
    let elements = listing.split("elements = {").nth(1).unwrap_or_default();
    let elements = elements.split([',', '}']).map(|element| element.trim().to_owned());
    Ok(elements.filter(|element| element.contains(&format!(": {backend} . "))).collect())
}

/// Deletes the element of a client of the node port.
fn forget(node: &Node, client: IpAddr, protocol: Protocol) -> Result<String> {
    let family = Family::of(client);
    let element = format!("{{ {client} . {} . {} . {NODE_PORT} }}", node.ip(family), protocol.keyword());
    let mut command = Command::new("nft");
    node.succeed(command.args(["delete", "element", family.keyword(), "svcnat", "affinity", &element]), "")
}

#[test]
fn clients_are_forgotten_with_their_backend_and_others_keep_their_timeout() -> Result<()> {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let network = Network::new()?;
        let both = Dns { affinity: true, ..Dns::new(protocol, &[&network.old, &network.new]) };
        let only_new = Dns { backends: vec![&network.new], ..both.clone() };
        only_new.apply(&network.node, &[])?;
        let ask = |host: &Host, family| {
            let outcome =
                host.probe(&Probe::new(protocol, SocketAddr::new(network.node.ip(family), NODE_PORT)));
            outcome.answered_by().unwrap_or_else(|| panic!("{outcome:?}")).to_owned()
        };
        for family in Family::ALL {
            assert_eq!(ask(&network.laptop, family), "new");
        }
        both.apply(&network.node, &[])?;
        for family in Family::ALL {
            // Until the draw is the one that is wanted.
            while ask(&network.client, family) != "old" {
                forget(&network.node, network.client.ip(family), protocol)?;
            }
            assert_eq!(ask(&network.laptop, family), "new");
        }
        thread::sleep(Duration::from_millis(1100));
        let summary = only_new.apply(&network.node, &[])?;
        assert!(summary.contains("affinity -2"), "{summary}");
        for family in Family::ALL {
            assert_eq!(remembered(&network.node, family, network.old.ip(family))?, [""; 0]);
            let stays = remembered(&network.node, family, network.new.ip(family))?;
            let [stays] = stays.as_slice() else { panic!("{stays:?}") };
            assert!(stays.contains("timeout 1m expires 5"), "its time must have gone on: {stays}");
            assert_eq!(ask(&network.client, family), "new");
        }
        assert_eq!(only_new.apply(&network.node, &[])?, "unchanged");
    }
    Ok(())
}

#[test]
fn among_fifty_thousand_flows_the_stale_ones_are_found() -> Result<()> {
    const OTHERS: u32 = 50_000;
    let network = Network::new()?;
    Dns::new(Protocol::Udp, &[&network.old]).apply(&network.node, &[])?;
    network.node.run(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for number in 0..OTHERS {
            let [_, a, b, c] = number.to_be_bytes();
            socket.send_to(b"x", SocketAddr::from(([127, 1 + a, b, c], 9))).ok();
        }
    });
    let mut clients = network.clients(Protocol::Udp, Family::Ipv4);
    check_all(&mut clients, "before", answered_by("old"));
    let count = network.node.succeed(Command::new("conntrack").arg("-C"), "")?;
    assert!(count.trim().parse::<u32>().unwrap() >= OTHERS, "{count}");
    let timed = |dns: Dns<'_>| -> Result<(String, Duration)> {
        let start = Instant::now();
        Ok((dns.apply(&network.node, &[])?, start.elapsed()))
    };
    let (summary, filtered) = timed(Dns::new(Protocol::Udp, &[]))?;
    assert!(summary.ends_with(", flows -5"), "{summary}");
    let (summary, unfiltered) = timed(Dns::new(Protocol::Udp, &[&network.new]))?;
    assert!(!summary.contains("flows"), "{summary}");
    let (_, nothing) = timed(Dns::new(Protocol::Udp, &[&network.new]))?;
    println!(
        "apply: {nothing:?} without a look, {filtered:?} filtered by the kernel, {unfiltered:?} filtered here"
    );
    Ok(())
}
