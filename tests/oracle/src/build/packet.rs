//! Packets and verdicts by hand.

use std::net::{IpAddr, SocketAddr};

use svcnat_rules::name::Name;
use svcnat_rules::net::Protocol;

use super::{BRIDGE, read};
use crate::packet::{Origin, Packet, Rejection, Source, UPLINK, Verdict};

/// Who sends a packet: an address and where it is.
#[derive(Debug, Clone)]
pub struct Sender {
    source: IpAddr,
    origin: Origin,
}

/// A host or pod elsewhere.
#[must_use]
pub fn outside(source: &str) -> Sender {
    Sender { source: read(source), origin: Origin::Outside(Name::from(UPLINK)) }
}

/// A pod of this node, behind the bridge.
#[must_use]
pub fn pod(source: &str) -> Sender {
    pod_at(source, BRIDGE)
}

/// A pod of this node, behind this interface.
#[must_use]
pub fn pod_at(source: &str, interface: &str) -> Sender {
    Sender { source: read(source), origin: Origin::LocalPod(Name::from(interface)) }
}

/// A process of the node itself.
#[must_use]
pub fn process(source: &str) -> Sender {
    Sender { source: read(source), origin: Origin::LocalProcess }
}

impl Sender {
    /// A packet to this `address:port`.
    #[must_use]
    pub fn to(self, protocol: Protocol, destination: &str) -> Packet {
        let destination: SocketAddr = read(destination);
        Packet {
            source: self.source,
            origin: self.origin,
            destination: destination.ip(),
            protocol,
            port: destination.port(),
            affinity: None,
        }
    }

    /// A TCP packet to this `address:port`.
    #[must_use]
    pub fn tcp(self, destination: &str) -> Packet {
        self.to(Protocol::Tcp, destination)
    }
}

impl Packet {
    /// The same with an entry in the affinity map.
    #[must_use]
    pub fn remembered(mut self, backend: &str) -> Self {
        self.affinity = Some(read(backend));
        self
    }
}

/// One of these backends, which all see the client's address.
#[must_use]
pub fn kept(backends: &[&str]) -> Verdict {
    Verdict::Backends(backends.iter().map(|at| (read(at), Source::Kept)).collect())
}

/// One of these backends, which all see an address of the node.
#[must_use]
pub fn masqueraded(backends: &[&str]) -> Verdict {
    Verdict::Backends(backends.iter().map(|at| (read(at), Source::Masqueraded)).collect())
}

/// One of these backends, of which only the first sees an address of the node: it is the client.
#[must_use]
pub fn hairpin(own: &str, others: &[&str]) -> Verdict {
    let others = others.iter().map(|at| (read(at), Source::Kept));
    Verdict::Backends(others.chain([(read(own), Source::Masqueraded)]).collect())
}

/// Reject with a TCP reset.
pub const RESET: Verdict = Verdict::Reject(Rejection::TcpReset);
/// Reject with ICMP "port unreachable".
pub const UNREACHABLE: Verdict = Verdict::Reject(Rejection::PortUnreachable);
