//! `node-a` with pods that serve, a pod that asks, and a laptop.

use std::net::SocketAddr;

use svcnat_lab::{Family, Host, Lab, Node, Protocol, Result};

/// How many Services have a ready backend all along.
pub const STEADY: u8 = 8;

/// How many pods serve them.
const PODS: usize = 5;

pub struct Scene {
    pub pods: Vec<Host>,
    pub client: Host,
    pub laptop: Host,
    pub node: Node,
    _lab: Lab,
}

impl Scene {
    pub fn new() -> Result<Self> {
        let lab = Lab::new()?;
        let laptop = lab.laptop()?;
        let node = lab.node("node-a")?;
        let client = node.pod("client")?;
        let pods = (0..PODS).map(|number| node.pod(&format!("web-{number}"))).collect::<Result<Vec<_>>>()?;
        for pod in &pods {
            pod.serve(Protocol::Tcp, 8080)?;
        }
        // Or the connections of the last two minutes would fill the machine's table.
        node.sysctl("net/netfilter/nf_conntrack_tcp_timeout_time_wait", "5")?;
        Ok(Self { pods, client, laptop, node, _lab: lab })
    }

    /// The addresses of the pods that serve.
    pub fn addresses(&self) -> Vec<String> {
        self.pods.iter().map(|pod| pod.ip(Family::Ipv4).to_string()).collect()
    }

    /// Where pods find a Service that is steady.
    pub fn inside(steady: u8) -> SocketAddr {
        ([10, 96, 1, 1 + steady], 80).into()
    }

    /// Where others find it.
    pub fn outside(&self, steady: u8) -> SocketAddr {
        self.node.at(Family::Ipv4, node_port(steady))
    }
}

pub fn node_port(steady: u8) -> u16 {
    30_000 + u16::from(steady)
}
