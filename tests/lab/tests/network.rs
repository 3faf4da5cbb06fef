//! Who reaches whom in a lab, and what is left of it afterwards.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use svcnat_lab::{Family, Host, Lab, Outcome, PodNetwork, Probe, Protocol, Result, Unreachable};

const PORT: u16 = 8080;

/// Checks that `client` gets an answer by every protocol, that the server sees the client's own address.
fn check_reaches(client: &Host, server: &Host) {
    check_reaches_as(client, server, |family| client.ip(family));
}

fn check_reaches_as(client: &Host, server: &Host, saw: impl Fn(Family) -> IpAddr) {
    for (family, protocol) in every_kind() {
        let outcome = client.probe(&Probe::new(protocol, server.at(family, PORT)));
        assert_eq!(
            outcome.answer().map(|answer| (answer.by.as_str(), answer.saw.ip())),
            Some((server.name(), saw(family))),
            "{} to {} by {protocol} over {family}: {outcome:?}",
            client.name(),
            server.name()
        );
    }
}

fn every_kind() -> impl Iterator<Item = (Family, Protocol)> {
    Family::ALL.into_iter().flat_map(|family| Protocol::ALL.map(|protocol| (family, protocol)))
}

fn serve_everything(host: &Host) -> Result<()> {
    Protocol::ALL.into_iter().try_for_each(|protocol| host.serve(protocol, PORT))
}

#[test]
fn hosts_nodes_and_pods_reach_each_other_as_in_a_cluster() -> Result<()> {
    for pods in [PodNetwork::Routed, PodNetwork::Bridged] {
        let lab = Lab::new()?;
        let (laptop, other) = (lab.laptop()?, lab.host("other")?);
        let (node_a, node_b) = (lab.node_with("node-a", pods)?, lab.node_with("node-b", pods)?);
        let (pod_a, pod_a2, pod_b) = (node_a.pod("pod-a")?, node_a.pod("pod-a2")?, node_b.pod("pod-b")?);
        let hosts = [&laptop, &other, &node_a, &node_b, &pod_a, &pod_a2, &pod_b];
        for host in hosts {
            serve_everything(host)?;
        }
        for host in hosts {
            check_reaches(host, host);
        }
        for (client, server) in [
            (&laptop, &*node_a),
            (&other, &*node_b),
            (&laptop, &other),
            (&node_a, &node_b),
            (&node_a, &pod_b),
            (&pod_a, &node_a),
            (&pod_a, &pod_a2),
            (&pod_a, &pod_b),
            (&pod_b, &pod_a2),
        ] {
            check_reaches(client, server);
        }
        check_reaches_as(&node_a, &pod_a, |family| node_a.gateway(family));
    }
    Ok(())
}

#[test]
fn addresses_are_those_of_the_plan() -> Result<()> {
    let lab = Lab::new()?;
    let check = |host: &Host, ipv4: &str, ipv6: &str| {
        assert_eq!(host.ip(Family::Ipv4).to_string(), ipv4, "{}", host.name());
        assert_eq!(host.ip(Family::Ipv6).to_string(), ipv6, "{}", host.name());
    };
    check(&lab.laptop()?, "192.168.1.10", "2001:db8:1::10");
    check(&lab.host("client")?, "192.168.1.100", "2001:db8:1::100");
    let (node_a, node_b) = (lab.node("node-a")?, lab.node("node-b")?);
    check(&node_a, "192.168.1.2", "2001:db8:1::2");
    check(&node_b, "192.168.1.3", "2001:db8:1::3");
    check(&node_b.pod("first")?, "10.244.1.2", "fd00:10:244:1::2");
    check(&node_b.pod("second")?, "10.244.1.3", "fd00:10:244:1::3");
    assert_eq!(node_b.pod_cidr(Family::Ipv4), "10.244.1.0/24");
    assert_eq!(node_b.pod_cidr(Family::Ipv6), "fd00:10:244:1::/64");
    Ok(())
}

#[test]
fn the_laptop_knows_no_pods() -> Result<()> {
    let lab = Lab::new()?;
    let laptop = lab.laptop()?;
    let pod = lab.node("node-a")?.pod("pod")?;
    serve_everything(&pod)?;
    for (family, protocol) in every_kind() {
        let outcome = laptop.probe(&Probe::new(protocol, pod.at(family, PORT)));
        assert_eq!(outcome, Outcome::Unreachable(Unreachable::Network), "{protocol} over {family}");
    }
    Ok(())
}

#[test]
fn labs_do_not_meet() -> Result<()> {
    let check = |name: &'static str| -> Result<()> {
        let lab = Lab::new()?;
        let (laptop, node) = (lab.laptop()?, lab.node(name)?);
        node.serve(Protocol::Tcp, PORT)?;
        for _ in 0..20 {
            let outcome = laptop.probe(&Probe::tcp(node.at(Family::Ipv4, PORT)));
            assert_eq!(outcome.answered_by(), Some(name));
        }
        Ok(())
    };
    // The same addresses in all of them.
    thread::scope(|scope| {
        let labs = ["one", "two", "three"].map(|name| scope.spawn(move || check(name)));
        labs.into_iter().try_for_each(|lab| lab.join().expect("no panic in a lab"))
    })
}

#[test]
fn a_host_keeps_its_network() -> Result<()> {
    let (laptop, pod, node) = {
        let lab = Lab::new()?;
        let node = lab.node("node-a")?;
        (lab.laptop()?, lab.node("node-b")?.pod("pod")?, node)
    };
    serve_everything(&node)?;
    // Longer than the kernel takes to end a namespace that nobody holds.
    for _ in 0..50 {
        check_reaches(&laptop, &node);
        check_reaches(&pod, &node);
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// The names of a host's interfaces.
fn links(host: &Host) -> Result<BTreeSet<String>> {
    let listing = host.succeed(Command::new("ip").args(["-brief", "link"]), "")?;
    Ok(listing.lines().filter_map(|line| Some(line.split(['@', ' ']).next()?.to_owned())).collect())
}

#[test]
fn a_pod_that_is_dropped_leaves_nothing_on_its_node() -> Result<()> {
    let lab = Lab::new()?;
    let node = lab.node("node-a")?;
    let before = links(&node)?;
    let pod = node.pod("pod")?;
    pod.serve(Protocol::Tcp, PORT)?;
    let address = pod.at(Family::Ipv4, PORT);
    assert_eq!(node.probe(&Probe::tcp(address)).answered_by(), Some("pod"));
    assert!(links(&node)?.contains("veth0"));
    drop(pod);
    // The kernel ends namespaces on a thread of its own.
    let patience = Instant::now() + Duration::from_secs(10);
    while links(&node)? != before {
        assert!(Instant::now() < patience, "left behind: {:?}", links(&node)?);
        thread::sleep(Duration::from_millis(5));
    }
    assert!(node.probe(&Probe::tcp(address).expecting_silence()).answer().is_none());
    Ok(())
}

#[test]
fn the_machine_s_own_network_stays_as_it_is() -> Result<()> {
    let interfaces =
        || fs::read_to_string("/proc/thread-self/net/dev").expect("a list of interfaces").lines().count();
    let before = interfaces();
    let lab = Lab::new()?;
    let pod = lab.node("node-a")?.pod("pod")?;
    assert_eq!(pod.run(interfaces), before.min(3) + 1, "lo and eth0 below two lines of heading");
    assert_eq!(interfaces(), before);
    Ok(())
}

#[test]
fn more_nodes_than_the_plan_has_are_refused() -> Result<()> {
    let lab = Lab::new()?;
    let nodes = (0..Lab::MAX_NODES).map(|n| lab.node(&format!("node-{n}"))).collect::<Result<Vec<_>>>()?;
    let error = lab.node("one-too-many").expect_err("a ninth node");
    assert_eq!(error.to_string(), "the lab has room for 8 nodes");
    let first_pod = nodes.last().expect("eight nodes").pod("pod")?;
    assert_eq!(first_pod.at(Family::Ipv4, PORT), SocketAddr::from(([10, 244, 7, 2], PORT)));
    Ok(())
}
