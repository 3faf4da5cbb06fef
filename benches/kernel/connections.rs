//! What a new connection costs in the packet path.
//!
//! A client sends one UDP datagram to each Service from each of some sockets, so that each datagram is the first of a
//! connection: conntrack makes an entry, the NAT chains are asked, the datagram goes through every hook of the node,
//! output and postrouting on its way out, prerouting and input on its way back in over the loopback interface, where all
//! pods' addresses lead. It is done in a namespace for each set of rules, a round in each in turn, so that what else the
//! machine does meets all alike. What remains when there is no rule is the price of the sockets, of routing and conntrack.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use svcnat::netlink::{self, Netlink, encode};
use svcnat_lab::Namespace;
use svcnat_rules::compile::compile;
use svcnat_rules::diff::diff;
use svcnat_rules::installed::Installed;
use svcnat_rules::layout::Slots;
use svcnat_rules::net::Protocol;

use crate::cluster::{
    CLIENT, Maker, POD_CIDR, POD_PORT, SERVICE_CIDR, SERVICE_PORT, Size, cluster_ip, config,
};
use crate::sample::{Samples, timed};
use crate::{LAYOUTS, Result, kernel, peer, reach};

/// How many connections are made in one round.
const CONNECTIONS: usize = 20_000;
/// How many rounds there are.
const ROUNDS: usize = 11;

/// Tracking and NAT without any rule: what every set of rules pays.
const NO_RULES: &str = "table ip none {
    chain prerouting { type nat hook prerouting priority dstnat; }
    chain output { type nat hook output priority -100; }
    chain postrouting { type nat hook postrouting priority srcnat; }
}";

/// What was measured for one size.
#[derive(Debug)]
pub struct Connections {
    /// The size.
    pub size: Size,
    /// Each set of rules with the time of one connection in each round: none, svcnat's layouts, the peer's shape.
    pub rules: Vec<(String, Samples)>,
}

/// Measures one size.
pub fn measure(size: Size, patience: Duration) -> Result<Connections> {
    let cluster = Maker::new(size, Protocol::Udp).cluster();
    let mut scenes =
        vec![Scene::new("no rules".to_owned(), || Ok(kernel::nft(NO_RULES, patience)?.is_some()))?];
    for (name, layout) in LAYOUTS.into_iter().filter(|(_, layout)| reach::layout(*layout, size)) {
        let config = config(layout);
        scenes.push(Scene::new(format!("`{name}`"), || {
            let compiled = compile(&cluster, &config, &Slots::default());
            let nothing = Installed::default();
            let batch = encode(&diff(&compiled.ruleset, &nothing), &netlink::Options::default())?;
            Netlink::open()?.apply(&batch)?;
            Ok(true)
        })?);
    }
    let load = || Ok(reach::peer(size) && peer::load_in_pieces(&cluster, patience)?);
    scenes.push(Scene::new("peer's shape".to_owned(), load)?);
    let mut rules: Vec<_> = scenes.iter().map(|scene| (scene.name.clone(), Samples::default())).collect();
    for round in 0..=ROUNDS {
        for (scene, (_, samples)) in scenes.iter().zip(&mut rules).filter(|(scene, _)| scene.loaded) {
            let time = scene.round(size)?;
            // The first round fills caches and allocates the conntrack entries.
            if round > 0 {
                samples.push(time);
            }
        }
    }
    Ok(Connections { size, rules })
}

/// A namespace with a set of rules.
struct Scene {
    name: String,
    namespace: Namespace,
    loaded: bool,
    /// Takes the datagrams and never reads them, so that most are thrown away behind all rules.
    _servers: Vec<UdpSocket>,
}

impl Scene {
    fn new(name: String, load: impl FnOnce() -> Result<bool> + Send) -> Result<Self> {
        let namespace = Namespace::new()?;
        let (loaded, servers) = namespace.run(|| -> Result<_> {
            kernel::run("ip", &["link", "set", "lo", "up"])?;
            kernel::run("ip", &["address", "add", &CLIENT.to_string(), "dev", "lo"])?;
            for network in [POD_CIDR, SERVICE_CIDR] {
                kernel::run("ip", &["route", "add", "local", network, "dev", "lo"])?;
            }
            let bind = |port| UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port));
            Ok((load()?, vec![bind(SERVICE_PORT)?, bind(POD_PORT)?]))
        })?;
        Ok(Self { name, namespace, loaded, _servers: servers })
    }

    /// The time of one connection.
    fn round(&self, size: Size) -> Result<Duration> {
        self.namespace.run(|| {
            let services: Vec<SocketAddrV4> = shuffled(size.services)
                .map(|number| SocketAddrV4::new(cluster_ip(number), SERVICE_PORT))
                .collect();
            let clients = (0..CONNECTIONS.div_ceil(services.len()))
                .map(|_| UdpSocket::bind(SocketAddrV4::new(CLIENT, 0)))
                .collect::<std::io::Result<Vec<_>>>()?;
            let (result, time) = timed(|| {
                for client in &clients {
                    for service in &services {
                        client.send_to(&[0], service)?;
                    }
                }
                Ok::<_, crate::Error>(())
            });
            result?;
            kernel::run("conntrack", &["--flush"])?;
            let made = u32::try_from(clients.len() * services.len())?;
            Ok(time / made)
        })
    }
}

/// All numbers below a bound in a scattered order.
fn shuffled(bound: usize) -> impl Iterator<Item = usize> {
    // A prime that divides no number of Services.
    (0..bound).map(move |number| number * 7_919 % bound)
}
