//! What clients in a lab see of rules that answer, refuse, drop and translate.

use std::process::Command;

use svcnat_lab::{Error, Family, Host, Lab, Outcome, Probe, Protocol, Result, Unreachable};

const PORT: u16 = 8080;

/// A laptop and a node that serves by every protocol.
fn laptop_and_node() -> Result<(Lab, Host, svcnat_lab::Node)> {
    let lab = Lab::new()?;
    let (laptop, node) = (lab.laptop()?, lab.node("node-a")?);
    Protocol::ALL.into_iter().try_for_each(|protocol| node.serve(protocol, PORT))?;
    Ok((lab, laptop, node))
}

fn every_kind() -> impl Iterator<Item = (Family, Protocol)> {
    Family::ALL.into_iter().flat_map(|family| Protocol::ALL.map(|protocol| (family, protocol)))
}

#[test]
fn refusals_are_told_apart() -> Result<()> {
    use Unreachable::{Host, Network, Port, Prohibited};
    let (_lab, laptop, node) = laptop_and_node()?;
    let check = |verdict: &str,
                 families: &[Family],
                 protocols: &[Protocol],
                 expected: Outcome|
     -> Result<()> {
        node.nft("flush ruleset")?;
        node.nft(&format!(
            "table inet t {{ chain c {{ type filter hook input priority 0; meta l4proto {{ tcp, udp, sctp }} {verdict}; }}; }}"
        ))?;
        for (family, protocol) in every_kind() {
            if families.contains(&family) && protocols.contains(&protocol) {
                let probe = Probe::new(protocol, node.at(family, PORT)).expecting_silence();
                assert_eq!(laptop.probe(&probe), expected, "{verdict}, {protocol} over {family}");
            }
        }
        Ok(())
    };
    let (both, all) = (&Family::ALL[..], &Protocol::ALL[..]);
    check("drop", both, all, Outcome::Timeout)?;
    check("reject with icmpx type port-unreachable", both, all, Outcome::Unreachable(Port))?;
    check("reject with icmpx type admin-prohibited", &[Family::Ipv4], all, Outcome::Unreachable(Host))?;
    check("reject with icmpx type admin-prohibited", &[Family::Ipv6], all, Outcome::Unreachable(Prohibited))?;
    check("reject with icmpx type no-route", both, all, Outcome::Unreachable(Network))?;
    check("meta l4proto tcp reject with tcp reset", both, &[Protocol::Tcp], Outcome::Reset)?;
    Ok(())
}

/// The kernel tells a sender of datagrams at once, by an error of its own, that the host's rules threw a packet away.
#[test]
fn the_rules_of_one_s_own_host_refuse_as_those_of_others_do() -> Result<()> {
    let (_lab, laptop, node) = laptop_and_node()?;
    for (verdict, expected) in [
        ("drop", Outcome::Timeout),
        ("reject with icmpx type port-unreachable", Outcome::Unreachable(Unreachable::Port)),
    ] {
        laptop.nft(&format!(
            "flush ruleset; table inet t {{ chain c {{ type filter hook output priority 0; th dport {PORT} {verdict}; }}; }}"
        ))?;
        for (family, protocol) in every_kind() {
            let probe = Probe::new(protocol, node.at(family, PORT)).expecting_silence();
            assert_eq!(laptop.probe(&probe), expected, "{verdict}, {protocol} over {family}");
        }
    }
    Ok(())
}

#[test]
fn a_port_that_nobody_serves_is_refused() -> Result<()> {
    let lab = Lab::new()?;
    let (laptop, node) = (lab.laptop()?, lab.node("node-a")?);
    for family in Family::ALL {
        let target = node.at(family, PORT);
        assert_eq!(laptop.probe(&Probe::tcp(target)), Outcome::Reset);
        assert_eq!(laptop.probe(&Probe::udp(target)), Outcome::Unreachable(Unreachable::Port));
        assert!(laptop.probe(&Probe::udp(target)).is_refused());
    }
    Ok(())
}

/// The kernel's own limit would let six ICMP errors pass and then one in a second.
#[test]
fn every_refusal_arrives_however_many_there_are() -> Result<()> {
    let lab = Lab::new()?;
    let (laptop, node) = (lab.laptop()?, lab.node("node-a")?);
    for family in Family::ALL {
        let probe = Probe::udp(node.at(family, PORT));
        let outcomes = laptop.probe_repeatedly(&probe, 200);
        let missing = outcomes.iter().position(|outcome| *outcome != Outcome::Unreachable(Unreachable::Port));
        assert_eq!(missing, None, "{family}");
    }
    Ok(())
}

/// A Service by hand: two backends, clients from outside masqueraded.
const SERVICE: &str = "
table inet t {
    chain pick { type nat hook prerouting priority dstnat;
        meta l4proto { tcp, udp, sctp } th dport 30008 ip daddr 192.168.1.2 dnat ip to numgen random mod 2 map { 0 : 10.244.0.2 . 8080, 1 : 10.244.1.2 . 8080 };
        meta l4proto { tcp, udp, sctp } th dport 30008 ip6 daddr 2001:db8:1::2 dnat ip6 to numgen random mod 2 map { 0 : fd00:10:244::2 . 8080, 1 : fd00:10:244:1::2 . 8080 };
    }
    chain leave { type nat hook postrouting priority srcnat; ct status dnat masquerade; }
}";

#[test]
fn a_service_made_by_hand_spreads_over_the_pods_of_two_nodes() -> Result<()> {
    let lab = Lab::new()?;
    let laptop = lab.laptop()?;
    let (node_a, node_b) = (lab.node("node-a")?, lab.node("node-b")?);
    let (web_a, web_b) = (node_a.pod("web-a")?, node_b.pod("web-b")?);
    for pod in [&web_a, &web_b] {
        Protocol::ALL.into_iter().try_for_each(|protocol| pod.serve(protocol, PORT))?;
    }
    node_a.nft(SERVICE)?;
    for (family, protocol) in every_kind() {
        let probe = Probe::new(protocol, node_a.at(family, 30008));
        for outcome in laptop.probe_repeatedly(&probe, 40) {
            let answer = outcome.answer().unwrap_or_else(|| panic!("{protocol} over {family}: {outcome:?}"));
            // A masquerade takes the node's address on the way to the pod.
            let seen = if answer.by == "web-a" { node_a.gateway(family) } else { node_a.ip(family) };
            assert_eq!(answer.saw.ip(), seen, "{protocol} over {family}, {}", answer.by);
        }
        let spread = laptop.spread(&probe, 40).expect("answers only");
        // One of 2^39 runs fails by chance.
        assert_eq!(spread.keys().collect::<Vec<_>>(), ["web-a", "web-b"], "{protocol} over {family}");
        assert_eq!(spread.values().sum::<usize>(), 40);
        let tracked = node_a.conntrack(family)?;
        assert!(tracked.iter().any(|line| line.contains("dport=30008")), "{tracked:?}");
    }
    Ok(())
}

#[test]
fn http_servers_answer_any_http_client() -> Result<()> {
    let lab = Lab::new()?;
    let (laptop, node) = (lab.laptop()?, lab.node("node-a")?);
    node.serve_http(80)?;
    for family in Family::ALL {
        let answer = laptop.probe(&Probe::http(node.at(family, 80)));
        assert_eq!(answer.answered_by(), Some("node-a"), "{answer:?}");
        // Over one connection, as clients that keep it alive do.
        let mut connection = laptop.open(&Probe::http(node.at(family, 80))).expect("a connection");
        let (first, second) = (connection.ask(), connection.ask());
        assert!(first.answer().is_some(), "{first:?}");
        assert_eq!(first, second);
    }
    Ok(())
}

#[test]
fn clients_choose_their_source() -> Result<()> {
    let (_lab, laptop, node) = laptop_and_node()?;
    laptop.ip_batch("addr add 192.168.1.77/24 dev eth0\naddr add 2001:db8:1::77/64 dev eth0 nodad\n")?;
    for (source, family) in [("192.168.1.77", Family::Ipv4), ("2001:db8:1::77", Family::Ipv6)] {
        let source = std::net::SocketAddr::new(source.parse().expect("an address"), 4242);
        for protocol in Protocol::ALL {
            let probe = Probe::new(protocol, node.at(family, PORT)).from(source);
            // Again and again from the same port, without waiting for the end of TIME_WAIT.
            for outcome in laptop.probe_repeatedly(&probe, 3) {
                assert_eq!(
                    outcome.answer().map(|answer| answer.saw),
                    Some(source),
                    "{protocol}: {outcome:?}"
                );
            }
            let probe = Probe::new(protocol, node.at(family, PORT)).from_port(4343);
            let answer = laptop.probe(&probe);
            assert_eq!(answer.answer().map(|answer| answer.saw.port()), Some(4343), "{protocol}: {answer:?}");
        }
    }
    Ok(())
}

#[test]
fn a_connection_outlives_the_rules_that_made_it() -> Result<()> {
    let lab = Lab::new()?;
    let laptop = lab.laptop()?;
    let node = lab.node("node-a")?;
    let (one, two) = (node.pod("one")?, node.pod("two")?);
    let rules = |backend: &Host| {
        format!(
            "flush ruleset; table ip t {{ chain c {{ type nat hook prerouting priority dstnat; \
             meta l4proto {{ tcp, udp, sctp }} th dport 53 dnat to {}; }}; }}",
            backend.at(Family::Ipv4, PORT)
        )
    };
    for protocol in Protocol::ALL {
        one.serve(protocol, PORT)?;
        two.serve(protocol, PORT)?;
        let probe = Probe::new(protocol, node.at(Family::Ipv4, 53));
        node.nft(&rules(&one))?;
        let mut connection = laptop.open(&probe).expect("a connection");
        assert_eq!(connection.ask().answered_by(), Some("one"), "{protocol}");
        node.nft(&rules(&two))?;
        assert_eq!(connection.ask().answered_by(), Some("one"), "{protocol}");
        assert_eq!(laptop.probe(&probe).answered_by(), Some("two"), "{protocol}");
    }
    Ok(())
}

#[test]
fn a_server_that_stopped_refuses() -> Result<()> {
    let (_lab, laptop, node) = laptop_and_node()?;
    let probe = Probe::tcp(node.at(Family::Ipv4, PORT));
    let mut connection = laptop.open(&probe).expect("a connection");
    assert_eq!(connection.ask().answered_by(), Some("node-a"));
    node.stop_serving();
    assert!(connection.ask().answer().is_none());
    assert_eq!(laptop.probe(&probe), Outcome::Reset);
    node.serve(Protocol::Tcp, PORT)?;
    assert_eq!(laptop.probe(&probe).answered_by(), Some("node-a"));
    Ok(())
}

#[test]
fn programs_run_on_their_host() -> Result<()> {
    let (_lab, laptop, node) = laptop_and_node()?;
    node.nft("table ip only_here { }")?;
    assert!(node.ruleset()?.contains("only_here"));
    assert_eq!(laptop.ruleset()?, "");
    let error = node.nft("table ip { nonsense").expect_err("no script");
    assert!(matches!(&error, Error::Command { host, stderr, .. } if host == "node-a" && !stderr.is_empty()));
    let error = node.output(&mut Command::new("/no/such/program")).expect_err("no program");
    assert_eq!(
        error.to_string(),
        "run \"/no/such/program\" on node-a: No such file or directory (os error 2)"
    );
    // More than a pipe holds, both ways at once.
    let text = "all work and no play\n".repeat(20_000);
    assert_eq!(node.succeed(&mut Command::new("cat"), &text)?, text);
    Ok(())
}
