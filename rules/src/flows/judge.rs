//! The decision about one flow and about one remembered client.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::value::{read_backend, read_port, take_address};
use super::{Client, Endpoints, Frontends};
use crate::net::{Family, Protocol};
use crate::ruleset::Value;

/// A tracked connection, as much of it as decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// The protocol.
    pub protocol: Protocol,
    /// Who sent the first packet.
    pub client: IpAddr,
    /// Where it was sent to.
    pub destination: SocketAddr,
    /// Where the answers come from.
    pub backend: SocketAddr,
    /// Whether its destination was translated (`IPS_DST_NAT`).
    pub translated: bool,
}

/// An element of the affinity map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    /// The protocol.
    pub protocol: Protocol,
    /// Who is remembered.
    pub client: IpAddr,
    /// Where it connected to.
    pub destination: SocketAddr,
    /// Which backend it got.
    pub backend: SocketAddr,
}

impl Remembered {
    /// Reads an element's key, `client . address . protocol . port`, and data, `address . port`. `None` where they are
    /// something else.
    #[must_use]
    pub fn read(family: Family, key: &Value, data: &Value) -> Option<Self> {
        let (client, rest) = take_address(family, key.as_bytes())?;
        let (address, rest) = take_address(family, rest)?;
        let (protocol, port) = read_port(rest)?;
        let backend = read_backend(family, data.as_bytes())?;
        Some(Self { protocol, client, destination: SocketAddr::new(address, port.get()), backend })
    }
}

/// What decides whether a flow or a remembered client is stale; see the [module](super) for the rules.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// The frontends that were; empty where nothing is known of them.
    pub before: &'a Frontends,
    /// The frontends that are.
    pub after: &'a Frontends,
    /// This machine's addresses.
    pub local_addresses: &'a BTreeSet<IpAddr>,
    /// The endpoints of all Services where TCP connections to others are to be ended; `None` where no TCP connection
    /// is to be touched.
    pub endpoints: Option<&'a Endpoints>,
}

/// Whether a flow must go, after changes that were made one after the other; the judge of the first one is first.
///
/// The latest change that has its destination decides: a backend that went and came back is no reason.
#[must_use]
pub fn is_stale(judges: &[Judge<'_>], flow: &Flow) -> bool {
    judges.iter().rev().find_map(|judge| judge.of_flow(flow)).unwrap_or(false)
}

/// Whether a remembered client must be forgotten; see [`is_stale`].
#[must_use]
pub fn is_misled(judges: &[Judge<'_>], remembered: &Remembered) -> bool {
    judges.iter().rev().find_map(|judge| judge.of_remembered(remembered)).unwrap_or(false)
}

impl Judge<'_> {
    /// Whether a flow must go; `None` where this change does not tell.
    fn of_flow(&self, flow: &Flow) -> Option<bool> {
        let &Flow { protocol, client, destination, backend, translated } = flow;
        let Some((key, frontend)) = self.after.find(protocol, destination) else {
            return (translated && self.was_ours(flow)).then_some(true);
        };
        let client = self.client(client);
        if frontend.gives(client, protocol, backend) {
            return Some(false);
        }
        Some(match protocol {
            Protocol::Tcp => {
                translated && self.endpoints.is_some_and(|endpoints| !endpoints.serve(&key, backend))
            }
            Protocol::Udp | Protocol::Sctp => translated || frontend.serves(client, protocol),
        })
    }

    /// Whether a flow's destination, now no frontend, was one that sent it to its backend. A TCP connection goes on while
    /// the backend serves anybody.
    fn was_ours(&self, flow: &Flow) -> bool {
        let before = self.before.find(flow.protocol, flow.destination);
        before.is_some_and(|(_, frontend)| frontend.has(flow.backend))
            && (flow.protocol != Protocol::Tcp
                || self.endpoints.is_some_and(|endpoints| !endpoints.exist(flow.protocol, flow.backend)))
    }

    /// Whether a remembered client must be forgotten; `None` where this change does not tell.
    fn of_remembered(&self, remembered: &Remembered) -> Option<bool> {
        let &Remembered { protocol, client, destination, backend } = remembered;
        match self.after.find(protocol, destination) {
            Some((_, frontend)) => Some(!frontend.gives(self.client(client), protocol, backend)),
            None => self.before.find(protocol, destination).map(|_| true),
        }
    }

    fn client(&self, address: IpAddr) -> Client {
        // Every loopback address is local (RFC 1122), whichever ones the interface has.
        Client { address, is_local: address.is_loopback() || self.local_addresses.contains(&address) }
    }
}
