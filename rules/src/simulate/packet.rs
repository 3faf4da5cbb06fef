//! The packet that goes into the simulator.

use std::net::SocketAddr;

use super::SimulateError;
use crate::name::Name;
use crate::net::{Family, Protocol};

/// A packet in the original direction of its connection, as it is before any of our rules has seen it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The transport protocol.
    pub protocol: Protocol,
    /// Source address and port. For IPv6, flow label and scope are ignored.
    pub source: SocketAddr,
    /// Destination address and port, of the source's family.
    pub destination: SocketAddr,
    /// Where it comes from.
    pub origin: Origin,
    /// The packet mark (`meta mark`).
    pub mark: u32,
    /// What connection tracking knows.
    pub connection: Connection,
}

/// Where a packet comes from, which decides on the hooks that it passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It arrives on an interface: from outside, or from a pod, which lives behind an interface of its own.
    Network {
        /// The interface's name (`meta iifname`), at most 15 bytes of which count.
        interface: Name,
    },
    /// A process of this host sends it, in the host's network namespace.
    Host,
}

/// What connection tracking knows about the packet's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Connection {
    /// This is the first packet.
    #[default]
    New,
    /// Packets went both ways. The nat chains are not consulted any more; what they said for the first packet is
    /// done to this one too.
    Established {
        /// The destination that the first packet was given.
        dnat: Option<SocketAddr>,
        /// Whether the first packet was given a source address of this host.
        masqueraded: bool,
    },
}

impl Packet {
    /// The first packet of a connection, without a mark.
    #[must_use]
    pub fn new(protocol: Protocol, source: SocketAddr, destination: SocketAddr, origin: Origin) -> Self {
        Self { protocol, source, destination, origin, mark: 0, connection: Connection::New }
    }

    /// The family of its addresses.
    pub(crate) fn family(&self) -> Result<Family, SimulateError> {
        let family = Family::of(self.source.ip());
        if family == Family::of(self.destination.ip()) {
            Ok(family)
        } else {
            Err(SimulateError::MixedFamilies { from: self.source, to: self.destination })
        }
    }
}
