//! What goes into the oracle and what comes out: a packet in its surroundings, and its verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use svcnat_rules::cluster::Cluster;
use svcnat_rules::config::Config;
use svcnat_rules::name::Name;
use svcnat_rules::net::{Family, Protocol};

/// The interface by which packets from outside of the node come in.
pub const UPLINK: &str = "eth0";

/// Everything that a packet's fate depends on besides the packet itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// What the rules are compiled from.
    pub cluster: Cluster,
    /// What the operator decided.
    pub config: Config,
    /// What the kernel of the node knows and the compiler does not.
    pub environment: Environment,
}

/// The node's network, as far as the kernel looks at it while rules run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The addresses of the node's interfaces, loopback included; the Node object's addresses are among them.
    pub local_addresses: BTreeSet<IpAddr>,
    /// The bridge by which packets of all pods of this node come in; `None` where each pod has a veth of its own.
    pub pod_bridge: Option<Name>,
}

impl Environment {
    /// Whether the kernel delivers packets to this address on the node itself (`fib daddr type local`).
    #[must_use]
    pub fn is_local(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.local_addresses.contains(&address)
    }

    /// The interface by which packets of the pod with this address come in: the bridge, or `veth` and the last part
    /// of the address, short enough for a name of an interface (IFNAMSIZ, 15 bytes).
    #[must_use]
    pub fn pod_interface(&self, pod: IpAddr) -> Name {
        if let Some(bridge) = &self.pod_bridge {
            return bridge.clone();
        }
        let last = match pod {
            IpAddr::V4(v4) => u16::from(v4.octets()[3]),
            IpAddr::V6(v6) => v6.segments()[7],
        };
        Name::from(format!("veth{last:x}"))
    }
}

/// The first packet of a connection (`ct state new`). Source and destination are of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Source address.
    pub source: IpAddr,
    /// Where the packet comes from.
    pub origin: Origin,
    /// Destination address, as the client sent it.
    pub destination: IpAddr,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Destination port, as the client sent it.
    pub port: u16,
    /// The backend that session affinity remembers for this source, destination, protocol and port, if any. The entry has
    /// not timed out; whether its backend is still there is for the oracle to say.
    pub affinity: Option<SocketAddr>,
}

impl Packet {
    /// The family of the packet.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.destination)
    }

    /// The interface by which the packet comes in; the node's own packets have none.
    #[must_use]
    pub fn interface(&self) -> Option<&Name> {
        match &self.origin {
            Origin::LocalProcess => None,
            Origin::LocalPod(interface) | Origin::Outside(interface) => Some(interface),
        }
    }
}

/// Where a packet comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A process in the node's own network namespace sends it: it passes the hook output.
    LocalProcess,
    /// A pod of this node sends it; it comes in by this interface: it passes the hook prerouting.
    LocalPod(Name),
    /// It comes from another host or from a pod elsewhere, by this interface: it passes the hook prerouting.
    Outside(Name),
}

/// What must happen to a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No Service is concerned: the packet goes on as it is.
    Untouched,
    /// It goes to one of these backends, each equally likely, with this source. Never empty.
    Backends(BTreeMap<SocketAddr, Source>),
    /// It vanishes.
    Drop,
    /// It vanishes, and the sender hears of it.
    Reject(Rejection),
}

/// Which source address a backend sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The client's.
    Kept,
    /// One of the node's.
    Masqueraded,
}

/// How the sender hears that its packet was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rejection {
    /// A TCP segment with RST.
    TcpReset,
    /// ICMP or ICMPv6 "port unreachable".
    PortUnreachable,
}

impl Rejection {
    /// "TCP gets a reset, so clients see `connection refused`"; the others get ICMP.
    #[must_use]
    pub fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::TcpReset,
            Protocol::Udp | Protocol::Sctp => Self::PortUnreachable,
        }
    }
}
