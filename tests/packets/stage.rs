//! The stage of most scenarios: two nodes with pods, a laptop outside, and svcnat on both nodes.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use svcnat_lab::{Family, Host, Lab, Node, Outcome, Probe, Protocol, Result, Unreachable};

use crate::manifests::{self, Addresses, Backend};

/// Where pods listen.
pub const TARGET_PORT: u16 = 8080;

/// The layouts of the mode nftables.
pub const LAYOUTS: [&str; 2] = ["chains", "maps"];

/// The ways of making rules that scenarios must hold for: both layouts, and iptables in both variants.
pub const WAYS: [&str; 4] = ["chains", "maps", "iptables-nft", "iptables-legacy"];

/// How long a refusal may take: less than a client takes to send its packet a second time.
const AT_ONCE: Duration = Duration::from_millis(900);

/// How often a Service is asked until all its backends have answered. One of two is missed once in 2^63 cases.
const PATIENCE: usize = 64;

/// Two nodes, each with a pod that serves and one that only asks, and a laptop.
///
/// `web-a` and `client-a` are on `node-a`, `web-b` and `client-b` on `node-b`.
pub struct Stage {
    pub laptop: Host,
    pub node_a: Node,
    pub node_b: Node,
    pub web_a: Host,
    pub web_b: Host,
    pub client_a: Host,
    pub client_b: Host,
    pub lab: Lab,
}

/// The address that a backend must see.
#[derive(Clone, Copy)]
pub enum Sees<'a> {
    /// The client's own.
    Client,
    /// This node's: the one towards the backend.
    Node(&'a Node),
}

/// What a client must meet.
#[derive(Clone, Copy)]
pub enum Expected<'a> {
    /// Each of these backends answers now and then, and nobody else; with the addresses that they see.
    Answers(&'a [(&'a str, Sees<'a>)]),
    /// A reset for TCP, else an ICMP error, at once.
    Refused,
    /// Nothing at all.
    Silence,
}

impl Stage {
    pub fn new() -> Result<Self> {
        let lab = Lab::new()?;
        let laptop = lab.laptop()?;
        let (node_a, node_b) = (lab.node("node-a")?, lab.node("node-b")?);
        for node in [&node_a, &node_b] {
            lead_outside(node)?;
        }
        lead_to_services(&laptop, &node_a)?;
        let (web_a, client_a) = (node_a.pod("web-a")?, node_a.pod("client-a")?);
        let (web_b, client_b) = (node_b.pod("web-b")?, node_b.pod("client-b")?);
        for pod in [&web_a, &web_b] {
            serve(pod)?;
        }
        Ok(Self { laptop, node_a, node_b, web_a, web_b, client_a, client_b, lab })
    }

    /// The backends `web-a` and `web-b`.
    pub fn webs(&self) -> [Backend<'_>; 2] {
        [backend(&self.web_a, "node-a"), backend(&self.web_b, "node-b")]
    }

    /// Applies objects on both nodes, as an operator does.
    pub fn apply(&self, layout: &str, objects: &[Value]) -> Result<()> {
        let nodes = [(&self.node_a, "node-a"), (&self.node_b, "node-b")];
        nodes.into_iter().try_for_each(|(node, name)| apply(node, name, layout, objects))
    }

    /// Does this with each way of making rules in turn, changing from one to the other in place.
    pub fn with_layouts(&self, objects: &[Value], mut check: impl FnMut(&str)) -> Result<()> {
        for layout in WAYS {
            self.apply(layout, objects)?;
            check(layout);
        }
        Ok(())
    }

    /// The node that a pod is on.
    fn node_of(&self, pod: &str) -> &Node {
        if pod.ends_with("-b") { &self.node_b } else { &self.node_a }
    }

    /// Checks what a host meets at an address, by every protocol of both families at the same time.
    pub fn check(&self, layout: &str, from: &Host, to: (Addresses, u16), expected: Expected<'_>) {
        self.check_in(&Family::ALL, layout, from, to, expected);
    }

    /// The same in some families.
    pub fn check_in(
        &self,
        families: &[Family],
        layout: &str,
        from: &Host,
        (to, port): (Addresses, u16),
        expected: Expected<'_>,
    ) {
        thread::scope(|scope| {
            for (family, protocol) in every_kind().filter(|(family, _)| families.contains(family)) {
                let target = SocketAddr::new(to.of(family), port);
                scope.spawn(move || {
                    let problem = match expected {
                        Expected::Answers(answers) => self.answers(from, protocol, target, answers),
                        Expected::Refused => refusal(from, protocol, target),
                        Expected::Silence => silence(from, protocol, target),
                    };
                    assert_eq!(problem, Ok(()), "{layout}: {} to {target} by {protocol}", from.name());
                });
            }
        });
    }

    fn answers(
        &self,
        from: &Host,
        protocol: Protocol,
        target: SocketAddr,
        expected: &[(&str, Sees<'_>)],
    ) -> Result<(), String> {
        let family = Family::of(target.ip());
        let mut missing: Vec<&str> = expected.iter().map(|(pod, _)| *pod).collect();
        for _ in 0..PATIENCE {
            let outcome = from.probe(&probe(protocol, target));
            let answer = outcome.answer().ok_or_else(|| outcome.to_string())?;
            let Some((pod, sees)) = expected.iter().find(|(pod, _)| *pod == answer.by) else {
                return Err(outcome.to_string());
            };
            let seen = match sees {
                Sees::Client => from.ip(family),
                Sees::Node(node) => address_towards(node, self.node_of(pod), family),
            };
            if answer.saw.ip() != seen {
                return Err(format!("{outcome}, expected {seen}"));
            }
            missing.retain(|pod| *pod != answer.by);
            if missing.is_empty() {
                return Ok(());
            }
        }
        Err(format!("never an answer by {}", missing.join(" or ")))
    }
}

/// The address that a node has towards the pods of another, or of itself.
fn address_towards(node: &Node, other: &Node, family: Family) -> IpAddr {
    if node.name() == other.name() { node.gateway(family) } else { node.ip(family) }
}

fn refusal(from: &Host, protocol: Protocol, target: SocketAddr) -> Result<(), String> {
    let expected = match protocol {
        Protocol::Tcp => Outcome::Reset,
        Protocol::Udp | Protocol::Sctp => Outcome::Unreachable(Unreachable::Port),
    };
    let outcome = from.probe(&probe(protocol, target).timeout(AT_ONCE));
    if outcome == expected { Ok(()) } else { Err(format!("{outcome} instead of: {expected}")) }
}

fn silence(from: &Host, protocol: Protocol, target: SocketAddr) -> Result<(), String> {
    match from.probe(&probe(protocol, target).expecting_silence()) {
        Outcome::Timeout => Ok(()),
        other => Err(format!("{other} instead of silence")),
    }
}

/// Both families, every protocol.
pub fn every_kind() -> impl Iterator<Item = (Family, Protocol)> {
    Family::ALL.into_iter().flat_map(|family| Protocol::ALL.map(|protocol| (family, protocol)))
}

/// A question from a port that nobody has used: connection tracking would take one from a used port for the same
/// connection.
pub fn probe(protocol: Protocol, target: SocketAddr) -> Probe {
    Probe::new(protocol, target).from_port(next_port())
}

/// Another port each time, of those that Linux gives to clients.
pub fn next_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    32_768 + NEXT.fetch_add(1, Ordering::Relaxed) % 28_000
}

/// Serves every protocol.
pub fn serve(pod: &Host) -> Result<()> {
    Protocol::ALL.into_iter().try_for_each(|protocol| pod.serve(protocol, TARGET_PORT))
}

/// A pod as a backend.
pub fn backend<'a>(pod: &'a Host, node: &'a str) -> Backend<'a> {
    Backend { pod: pod.name(), addresses: addresses(pod), node }
}

/// Both addresses of a host.
pub fn addresses(host: &Host) -> Addresses {
    let [ipv4, ipv6] = Family::ALL.map(|family| host.ip(family).to_string());
    Addresses::new(&ipv4, &ipv6)
}

/// Gives a host a way to the addresses of Services, which a router would lead to this node.
pub fn lead_to_services(host: &Host, node: &Node) -> Result<()> {
    let (ipv4, ipv6) = (node.ip(Family::Ipv4), node.ip(Family::Ipv6));
    host.ip_batch(&format!(
        "route add 10.96.0.0/16 via {ipv4}\nroute add fd00:10:96::/112 via {ipv6}\n\
         route add 203.0.113.0/24 via {ipv4}\nroute add 2001:db8:203::/64 via {ipv6}\n"
    ))
}

/// Gives a node a default route, as nodes have, to a router that is not there.
fn lead_outside(node: &Node) -> Result<()> {
    node.ip_batch("route add default via 192.168.1.1 dev eth0\nroute add ::/0 via 2001:db8:1::1 dev eth0\n")
}

/// Says which variant of iptables the node uses, as kubelet does.
fn hint(node: &Node, variant: &str) -> Result<()> {
    for family in ["iptables", "ip6tables"] {
        for each in ["nft", "legacy"] {
            let delete = if variant.ends_with(each) { "" } else { "-X KUBE-IPTABLES-HINT\n" };
            let script = format!("*mangle\n:KUBE-IPTABLES-HINT - [0:0]\n{delete}COMMIT\n");
            let mut restore = Command::new(format!("{family}-{each}-restore"));
            node.succeed(restore.args(["--noflush", "-w", "5"]), &script)?;
        }
    }
    Ok(())
}

/// Applies objects on one node, and once more, which must change nothing.
pub fn apply(node: &Node, name: &str, layout: &str, objects: &[Value]) -> Result<()> {
    apply_with(node, name, layout, objects, &[])
}

/// The same with more flags.
pub fn apply_with(node: &Node, name: &str, layout: &str, objects: &[Value], flags: &[&str]) -> Result<()> {
    let pod_cidrs = Family::ALL.map(|family| node.pod_cidr(family));
    let mut all = vec![manifests::node(name, addresses(node), &pod_cidrs)];
    all.extend_from_slice(objects);
    let manifests = manifests::list(&all);
    let way = if layout.starts_with("iptables") {
        hint(node, layout)?;
        ["--proxy-mode", "iptables"]
    } else {
        ["--layout", layout]
    };
    let svcnat = || -> Result<String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_svcnat"));
        command.args(["apply", "-f", "-", "--hostname-override", name]);
        command.args(way).args(["--nodeport-addresses", "primary"]).args(flags);
        command.args(["--cluster-cidr", "10.244.0.0/16,fd00:10:244::/48"]);
        command.args(["--service-cluster-ip-range", "10.96.0.0/16,fd00:10:96::/112"]);
        node.succeed(&mut command, &manifests)
    };
    svcnat()?;
    assert_eq!(svcnat()?, "unchanged\n", "the second time on {name}, {layout}");
    Ok(())
}
