//! A Service as a manifest, and a network in which clients reach it by every kind of frontend.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use svcnat_lab::{Connection, Family, Host, Lab, Node, Probe, Protocol, Result};

/// Where pods listen.
pub const TARGET: u16 = 8080;
/// The Service's node port.
pub const NODE_PORT: u16 = 30053;

pub fn cluster_ip(family: Family) -> SocketAddr {
    match family {
        Family::Ipv4 => ([10, 96, 0, 10], 53).into(),
        Family::Ipv6 => "[fd00:10:96::10]:53".parse().unwrap(),
    }
}

pub fn external_ip(family: Family) -> SocketAddr {
    match family {
        Family::Ipv4 => ([203, 0, 113, 7], 53).into(),
        Family::Ipv6 => "[2001:db8:7::7]:53".parse().unwrap(),
    }
}

/// The Service `shop/dns` as a manifest: dual stack, at ClusterIPs, external IPs and a node port.
#[derive(Clone)]
pub struct Dns<'a> {
    pub protocol: Protocol,
    pub backends: Vec<&'a Host>,
    pub terminating: Vec<&'a Host>,
    pub affinity: bool,
}

impl<'a> Dns<'a> {
    pub fn new(protocol: Protocol, backends: &[&'a Host]) -> Self {
        Self { protocol, backends: backends.to_vec(), terminating: Vec::new(), affinity: false }
    }

    fn manifests(&self) -> String {
        let protocol = self.protocol.keyword().to_uppercase();
        let [v4, v6] = Family::ALL.map(|family| cluster_ip(family).ip());
        let external = Family::ALL.map(|family| external_ip(family).ip());
        let affinity = if self.affinity {
            "sessionAffinity: ClientIP\n  sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}"
        } else {
            "sessionAffinity: None"
        };
        let mut text = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{namespace: shop, name: dns}}\nspec:\n  type: NodePort\n  \
             clusterIP: {v4}\n  clusterIPs: [\"{v4}\", \"{v6}\"]\n  ipFamilies: [IPv4, IPv6]\n  \
             ipFamilyPolicy: RequireDualStack\n  externalIPs: [\"{}\", \"{}\"]\n  {affinity}\n  \
             ports: [{{name: dns, protocol: {protocol}, port: 53, nodePort: {NODE_PORT}, targetPort: {TARGET}}}]\n",
            external[0], external[1]
        );
        for family in Family::ALL {
            let endpoint = |pod: &&Host, ready: bool| {
                format!(
                    "  - {{addresses: [\"{}\"], nodeName: node-a, conditions: {{ready: {ready}, serving: {ready}, \
                     terminating: {}}}}}\n",
                    pod.ip(family),
                    !ready
                )
            };
            let ready = self.backends.iter().map(|pod| endpoint(pod, true));
            let terminating = self.terminating.iter().map(|pod| endpoint(pod, false));
            let endpoints: String = ready.chain(terminating).collect();
            let list = if endpoints.is_empty() {
                "endpoints: []\n".into()
            } else {
                format!("endpoints:\n{endpoints}")
            };
            let _ = write!(
                text,
                "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  namespace: shop\n  name: \
                 dns-{name}\n  labels: {{kubernetes.io/service-name: dns}}\naddressType: {family}\nports: [{{name: \
                 dns, protocol: {protocol}, port: {TARGET}}}]\n{list}",
                name = family.keyword()
            );
        }
        text
    }

    /// Applies it on a node, beside a Service that keeps connection tracking on; gives the summary.
    pub fn apply(&self, node: &Node, options: &[&str]) -> Result<String> {
        apply(node, &format!("{}---\n{OTHER_SERVICE}", self.manifests()), options)
    }
}

pub const OTHER_SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: other}
spec: {clusterIP: 10.96.0.99, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: other6}
spec: {clusterIP: \"fd00:10:96::99\", ipFamilies: [IPv6], ports: [{port: 80}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-a}
status:
  addresses: [{type: InternalIP, address: 192.168.1.2}, {type: InternalIP, address: \"2001:db8:1::2\"}]
";

pub fn apply(node: &Node, manifests: &str, options: &[&str]) -> Result<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_svcnat"));
    command.args(["apply", "-f", "-", "--hostname-override", "node-a"]);
    command.args(["--cluster-cidr", "10.244.0.0/16,fd00:10:244::/48"]).args(options);
    let output = node.succeed(&mut command, manifests)?;
    Ok(output.trim().to_owned())
}

/// A node with two pods that serve every protocol, a third one, and a laptop that reaches external IPs by the node.
pub struct Network {
    // Ends last.
    _lab: Lab,
    pub node: Node,
    pub laptop: Host,
    pub upstream: Host,
    pub client: Host,
    pub old: Host,
    pub new: Host,
}

impl Network {
    pub fn new() -> Result<Self> {
        let lab = Lab::new()?;
        let (node, laptop, upstream) = (lab.node("node-a")?, lab.laptop()?, lab.host("upstream")?);
        let (client, old, new) = (node.pod("client")?, node.pod("old")?, node.pod("new")?);
        for pod in [&old, &new] {
            Protocol::ALL.into_iter().try_for_each(|protocol| pod.serve(protocol, TARGET))?;
        }
        for family in Family::ALL {
            let (external, length) = (external_ip(family).ip(), family.address_len() * 8);
            laptop.ip_batch(&format!("route add {external}/{length} via {}\n", node.ip(family)))?;
            // As in any cluster, so that the node itself can begin a packet to a ClusterIP.
            let everything = if family == Family::Ipv4 { "default" } else { "::/0" };
            node.ip_batch(&format!("route add {everything} via {}\n", upstream.ip(family)))?;
            upstream.ip_batch(&format!("addr add {external}/{length} dev lo\n"))?;
        }
        for protocol in [Protocol::Udp, Protocol::Sctp] {
            upstream.serve(protocol, 53)?;
        }
        Ok(Self { _lab: lab, node, laptop, upstream, client, old, new })
    }

    /// One flow from every kind of client to every kind of frontend.
    pub fn clients(&self, protocol: Protocol, family: Family) -> Vec<(&'static str, Connection)> {
        let node_port = SocketAddr::new(self.node.ip(family), NODE_PORT);
        let open = |host: &Host, to| host.open(&Probe::new(protocol, to)).unwrap();
        vec![
            ("pod to ClusterIP", open(&self.client, cluster_ip(family))),
            ("node to ClusterIP", open(&self.node, cluster_ip(family))),
            ("laptop to node port", open(&self.laptop, node_port)),
            ("laptop to external IP", open(&self.laptop, external_ip(family))),
            ("pod to node port", open(&self.client, node_port)),
        ]
    }

    /// The tracked flows of a protocol to these destinations that are answered by `backend`.
    pub fn tracked(&self, protocol: Protocol, family: Family, backend: IpAddr) -> Result<usize> {
        let answered = format!("src={backend} ");
        let lines = self.node.conntrack(family)?;
        let of_protocol = lines.iter().filter(|line| line.starts_with(protocol.keyword()));
        Ok(of_protocol
            .filter(|line| line.match_indices(" dst=").count() == 2 && line.contains(&answered))
            .count())
    }
}
