//! What becomes of a packet, and why, by the rules in force on this machine or by rules just made. No packet is sent.
//!
//! The rules in force are read anew for each question, from the kernel or from the programs of iptables: on a socket of its own,
//! beside whoever changes them. Whoever asks waits meanwhile; with 100,000 Services that is about half a second.

mod addresses;
mod iptables;
pub mod json;
mod nftables;

use std::net::{IpAddr, SocketAddr};

use svcnat_rules::config::DetectLocal;
use svcnat_rules::explain::{
    Explanation, Rules, Surroundings, UNKNOWN_INTERFACE, asks_for_interface, explain,
};
use svcnat_rules::name::Name;
use svcnat_rules::net::{Family, Protocol};
use svcnat_rules::simulate::{Environment, Origin, Packet, SimulateError};

pub use addresses::{destination, source};

use crate::settings::Mode;
use crate::{iptables as programs, netlink};

/// A packet that is asked about: the first one of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    protocol: Protocol,
    source: SocketAddr,
    destination: SocketAddr,
    sender: Sender,
    /// The addresses of this host; those that it has, where none is given.
    local: Vec<IpAddr>,
}

/// Who sends a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sender {
    /// This host where the source is one of its addresses, else somebody in the network, behind an unknown interface.
    BySource,
    /// This host itself.
    Host,
    /// Somebody behind this interface.
    Interface(Name),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such packet exists.
    #[error("SOURCE {from} and DESTINATION {to} are of different IP families")]
    Families {
        /// The source.
        from: IpAddr,
        /// The destination.
        to: IpAddr,
    },
    /// The addresses of this host are not known.
    #[error("cannot list this machine's addresses ({0}); `svcnat trace --local-address` takes them")]
    Addresses(nix::Error),
    /// The kernel cannot be asked for its rules.
    #[error(transparent)]
    Kernel(#[from] netlink::Error),
    /// The programs of iptables cannot be asked for theirs.
    #[error(transparent)]
    Iptables(#[from] programs::Error),
    /// The rules, read from the kernel or made, cannot be followed.
    #[error("cannot tell what becomes of the packet: {0}")]
    Simulate(#[from] SimulateError),
}

impl Question {
    /// What becomes of the first packet of a connection? `local` are the addresses of this host; where it is empty, those that
    /// this machine has or, of a cluster, those of its Node.
    ///
    /// # Errors
    ///
    /// [`Error::Families`]
    pub fn new(
        protocol: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
        sender: Sender,
        local: Vec<IpAddr>,
    ) -> Result<Self, Error> {
        if source.is_ipv4() != destination.is_ipv4() {
            return Err(Error::Families { from: source.ip(), to: destination.ip() });
        }
        Ok(Self { protocol, source, destination, sender, local })
    }

    /// By the rules that are in force, in the network namespace of the calling thread, which waits for the kernel.
    ///
    /// # Errors
    ///
    /// Where the rules cannot be read or followed.
    pub fn in_force(&self, mode: Mode) -> Result<Explanation, Error> {
        match mode {
            Mode::Nftables => self.by_nftables(),
            Mode::Iptables => self.by_iptables(),
        }
    }

    /// By rules that were made with options, on a host in such surroundings.
    ///
    /// # Errors
    ///
    /// [`Error::Simulate`]
    pub fn by(
        &self,
        rules: Rules<'_>,
        environment: &Environment,
        detect_local: Option<&DetectLocal>,
    ) -> Result<Explanation, Error> {
        let origin = self.origin(environment);
        let unknown = matches!(&origin, Origin::Network { interface } if *interface == UNKNOWN_INTERFACE);
        let packet = Packet::new(self.protocol, self.source, self.destination, origin);
        let mut explanation = explain(&Surroundings { rules, environment, detect_local }, &packet)?;
        if unknown && asks_for_interface(rules, self.family()) {
            explanation.notes.push(
                "the rules tell pods by the interface that they are behind; --interface says which one this is".to_owned(),
            );
        }
        Ok(explanation)
    }

    /// The given addresses of this host, or else those of its Node.
    #[must_use]
    pub fn local_addresses(&self, of_node: impl FnOnce() -> Vec<IpAddr>) -> Vec<IpAddr> {
        if self.local.is_empty() { of_node() } else { self.local.clone() }
    }

    /// The addresses of this host, where its own rules are asked.
    fn addresses_here(&self) -> Result<Vec<IpAddr>, Error> {
        match self.local.as_slice() {
            [] => addresses::of_this_machine().map_err(Error::Addresses),
            given => Ok(given.to_vec()),
        }
    }

    fn origin(&self, environment: &Environment) -> Origin {
        match &self.sender {
            Sender::Interface(name) => Origin::Network { interface: name.clone() },
            Sender::Host => Origin::Host,
            Sender::BySource if environment.is_local(self.source.ip()) => Origin::Host,
            Sender::BySource => Origin::Network { interface: Name::from(UNKNOWN_INTERFACE) },
        }
    }

    fn family(&self) -> Family {
        Family::of(self.destination.ip())
    }
}
