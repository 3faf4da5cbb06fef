//! The network that generated worlds speak of: a node with four pods, and everything else behind its uplink.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::Mutex;

use svcnat_lab::{Family, Host, Lab, Node, PodNetwork, Protocol, Result};
use svcnat_oracle::generate::arb_world;
use svcnat_oracle::{Origin, Packet, World};
use svcnat_rules::layout::set;
use svcnat_rules::name::Name;

use super::rules::{Rules, Way, forget_lists};

/// The ports that generated packets are sent to, by clients or by DNAT.
const PORTS: [u16; 8] = [80, 81, 443, 8080, 8443, 30008, 30080, 30443];

/// How many pods the node has: 10.244.0.2 and on.
const PODS: u8 = 4;

/// The node, its pods and the rest of the world. On each of them every port is served.
pub struct Scene {
    pub node: Node,
    pods: Vec<Host>,
    /// Has every address that nobody else has, and sends everything by the node.
    world: Host,
    network: PodNetwork,
    /// The addresses that the node has at the moment besides those that it keeps.
    extra: Mutex<BTreeSet<IpAddr>>,
    _lab: Lab,
}

impl Scene {
    pub fn new(network: PodNetwork) -> Result<Self> {
        let lab = Lab::new()?;
        let node = lab.node_with("node", network)?;
        let pods =
            (0..PODS).map(|number| node.pod(&format!("pod-{number}"))).collect::<Result<Vec<Host>>>()?;
        let world = lab.host("world")?;
        let scene = Self { node, pods, world, network, extra: Mutex::default(), _lab: lab };
        scene.prepare_node()?;
        scene.prepare_pods()?;
        scene.prepare_world()?;
        for host in scene.hosts() {
            for port in PORTS {
                Protocol::ALL.into_iter().try_for_each(|protocol| host.serve(protocol, port))?;
            }
        }
        Ok(scene)
    }

    fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.pods.iter().chain([&self.world, &*self.node])
    }

    fn prepare_node(&self) -> Result<()> {
        let (ipv4, ipv6) = (self.world.ip(Family::Ipv4), self.world.ip(Family::Ipv6));
        // Longer than the slowest packet of a case takes: what it did is looked up afterwards.
        for timeout in ["tcp_timeout_close", "sctp_timeout_cookie_wait", "sctp_timeout_cookie_echoed"] {
            self.node.sysctl(&format!("net/netfilter/nf_conntrack_{timeout}"), "60")?;
        }
        // Tracking is on also while no rule of ours asks for it.
        self.node.nft(
            "table inet track { chain every-packet { type filter hook prerouting priority -300; ct state new; }; }",
        )?;
        self.node.ip_batch(&format!(
            "addr add 192.168.1.3/24 dev eth0\naddr add 2001:db8:1::3/64 dev eth0 nodad\n\
             route add default via {ipv4}\nroute add ::/0 via {ipv6}\n"
        ))
    }

    /// Even pods on one bridge reach each other by the node: rules see only what is routed.
    fn prepare_pods(&self) -> Result<()> {
        if self.network == PodNetwork::Routed {
            return Ok(());
        }
        let [ipv4, ipv6] = Family::ALL.map(|family| self.node.pod_cidr(family));
        let routes = format!("route del {ipv4} dev eth0\nroute del {ipv6} dev eth0\n");
        self.pods.iter().try_for_each(|pod| pod.ip_batch(&routes))
    }

    /// What comes in is for this host, whatever address it has; what goes out goes to the node, even what is for an
    /// address that this host takes for its own.
    fn prepare_world(&self) -> Result<()> {
        let world = &self.world;
        world.sysctl("net/ipv4/conf/all/accept_local", "1")?;
        world.sysctl("net/ipv6/ip_nonlocal_bind", "1")?;
        // Neighbour discovery answers for none but addresses of interfaces: those of the generator's hosts.
        world.ip_batch(
            "addr add 2001:db8:1::a/64 dev eth0 nodad\naddr add 2001:db8:1::14/64 dev eth0 nodad\n",
        )?;
        for (option, everything, family) in [("-4", "0.0.0.0/0", Family::Ipv4), ("-6", "::/0", Family::Ipv6)]
        {
            let node = self.node.ip(family);
            let rules = format!(
                "rule add pref 10 iif lo lookup 100\nrule add pref 20 lookup local\nrule del pref 0\n\
                 route add {everything} via {node} dev eth0 table 100\n\
                 route add local {everything} dev lo table local\n"
            );
            world.succeed(Command::new("ip").args([option, "-batch", "-"]), &rules)?;
        }
        Ok(())
    }

    /// Whether the network of a generated world can be made of this one: pods are attached as here.
    pub fn worlds(&self) -> impl proptest::strategy::Strategy<Value = World> + use<> {
        use proptest::strategy::Strategy as _;
        let bridge = (self.network == PodNetwork::Bridged).then(|| Name::from(svcnat_oracle::build::BRIDGE));
        arb_world().prop_map(move |mut world| {
            world.environment.pod_bridge.clone_from(&bridge);
            world
        })
    }

    /// The packets that can be sent so that they reach the node, and whose answers can be told from each other's.
    pub fn that_can_be_sent(mut packets: Vec<Packet>) -> Vec<Packet> {
        let mut sctp = BTreeSet::new();
        packets.retain(|packet| {
            let reaches_the_node = match packet.origin {
                Origin::LocalProcess => true,
                Origin::LocalPod(_) => {
                    !packet.destination.is_loopback() && packet.destination != packet.source
                }
                Origin::Outside(_) => !packet.destination.is_loopback(),
            };
            // A raw socket gets the ICMP errors for all packets between its two addresses.
            let alone = packet.protocol != Protocol::Sctp || sctp.insert((packet.source, packet.destination));
            reaches_the_node && alone
        });
        for packet in &mut packets {
            // Remembered while it is no backend, a pod gets its own packet with its own source, and takes no such packet.
            let itself = packet.affinity.is_some_and(|backend| backend.ip() == packet.source);
            packet.affinity =
                packet.affinity.filter(|_| !(itself && matches!(packet.origin, Origin::LocalPod(_))));
        }
        packets
    }

    /// The host that sends a packet.
    pub fn sender(&self, packet: &Packet) -> &Host {
        match packet.origin {
            Origin::LocalProcess => &self.node,
            Origin::LocalPod(_) => {
                self.pod(packet.source).expect("the generator's pods are those of the scene")
            }
            Origin::Outside(_) => &self.world,
        }
    }

    fn pod(&self, address: IpAddr) -> Option<&Host> {
        self.pods.iter().find(|pod| pod.ip(Family::of(address)) == address)
    }

    /// The interface by which a packet comes in. Veth pairs are numbered in the order of their making.
    pub fn interface(&self, packet: &Packet) -> Option<Name> {
        let interface = packet.interface()?;
        let pod = self.pods.iter().position(|pod| pod.ip(packet.family()) == packet.source);
        match (&packet.origin, pod) {
            (Origin::LocalPod(_), Some(number)) if self.network == PodNetwork::Routed => {
                Some(Name::from(format!("veth{number}")))
            }
            _ => Some(interface.clone()),
        }
    }

    /// The name of the host that has an address.
    pub fn owner(&self, world: &World, address: IpAddr) -> &str {
        let host = if world.environment.is_local(address) { Some(&*self.node) } else { self.pod(address) };
        host.unwrap_or(&self.world).name()
    }

    /// Gives the node the addresses that it has in a world.
    pub fn set_addresses(&self, world: &World) -> Result<()> {
        let mut extra = self.extra.lock().expect("no panic while it was held");
        let external = |address: &&IpAddr| match address {
            IpAddr::V4(v4) => v4.octets()[..3] == [203, 0, 113],
            IpAddr::V6(v6) => v6.segments()[..3] == [0x2001, 0xdb8, 0x203],
        };
        let wanted: BTreeSet<IpAddr> =
            world.environment.local_addresses.iter().filter(external).copied().collect();
        let mut lines = String::new();
        for (verb, address) in extra
            .difference(&wanted)
            .map(|address| ("del", address))
            .chain(wanted.difference(&extra).map(|address| ("add", address)))
        {
            let length = Family::of(*address).address_len() * 8;
            lines.push_str(&format!("addr {verb} {address}/{length} dev lo\n"));
        }
        *extra = wanted;
        self.node.ip_batch(&lines)
    }

    /// Makes the node's kernel hold what a world compiles to, and gives it.
    pub fn install(&self, world: &World, way: Way) -> Result<Rules, String> {
        self.node.run(|| Rules::install(world, way))
    }

    /// Forgets all clients.
    pub fn forget_clients(&self) -> Result<(), String> {
        for family in Family::ALL {
            let mut flush = Command::new("nft");
            // Where there is no such map, nobody is remembered.
            let arguments = ["flush", "map", family.keyword(), "svcnat", set::AFFINITY];
            self.node.output(flush.args(arguments)).map_err(|error| error.to_string())?;
        }
        self.node.run(forget_lists)
    }

    /// Makes the kernel remember the backend of a packet's sender.
    pub fn remember(&self, rules: &Rules, remembered: &[(&Packet, SocketAddr)]) -> Result<(), String> {
        if let Rules::Iptables(_) = rules {
            let mut remembered = remembered.iter();
            return self.node.run(|| {
                remembered.try_for_each(|(packet, backend)| rules.remember_in_lists(packet, *backend))
            });
        }
        let element = |(packet, backend): &(&Packet, SocketAddr)| {
            let Packet { source, destination, protocol, port, .. } = packet;
            format!(
                "add element {} svcnat {} {{ {source} . {destination} . {protocol} . {port} timeout 1m : {} . {} }}\n",
                packet.family().keyword(),
                set::AFFINITY,
                backend.ip(),
                backend.port()
            )
        };
        let script: String = remembered.iter().map(element).collect();
        self.node.nft(&script).map_err(|error| error.to_string())
    }
}
