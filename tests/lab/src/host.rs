//! A host: a namespace with a name, addresses and servers.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command, Output};
use std::sync::{Mutex, PoisonError};

use svcnat_rules::net::{Family, Protocol};

use crate::address::Addresses;
use crate::server::{Server, Speech};
use crate::{Connection, Error, Namespace, Outcome, Probe, Result, command, ip};

/// A host of the lab: the laptop, a node, a pod. Dropping it stops its servers and ends its namespace.
#[derive(Debug)]
pub struct Host {
    name: String,
    addresses: Addresses,
    // Before the namespace, so that servers end first.
    servers: Mutex<Vec<Server>>,
    namespace: Namespace,
    // The network of a host is there as long as the host, whichever of its makers is dropped first.
    _attached_to: Namespace,
}

impl Host {
    pub(crate) fn new(name: &str, addresses: Addresses, attach_to: &Namespace) -> Result<Self> {
        let namespace = Namespace::new()?;
        ip::prepare(name, &namespace)?;
        Ok(Self {
            name: name.to_owned(),
            addresses,
            servers: Mutex::default(),
            namespace,
            _attached_to: attach_to.clone(),
        })
    }

    /// The name that the host's servers answer with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host's address in a family.
    #[must_use]
    pub fn ip(&self, family: Family) -> IpAddr {
        self.addresses.of(family)
    }

    /// The host's address in a family, with a port.
    #[must_use]
    pub fn at(&self, family: Family, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip(family), port)
    }

    pub(crate) fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The namespace, for those who enter it by themselves.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Runs `work` on a thread inside the host's namespace; see [`Namespace::run`].
    ///
    /// # Panics
    ///
    /// If `work` panics.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.namespace.run(work)
    }

    /// Starts a program on the host.
    ///
    /// # Errors
    ///
    /// As [`Command::spawn`].
    pub fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        command::spawn(&self.namespace, command)
    }

    /// Runs a program on the host and collects its status and what it printed.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be started.
    pub fn output(&self, command: &mut Command) -> Result<Output> {
        command::output(&self.name, &self.namespace, command, "")
    }

    /// Runs a program on the host with this standard input, and gives its standard output.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be started, [`Error::Command`] if it ends with a failure.
    pub fn succeed(&self, command: &mut Command, input: &str) -> Result<String> {
        command::succeed(&self.name, &self.namespace, command, input)
    }

    /// Loads an nft script, as `nft -f` does.
    ///
    /// # Errors
    ///
    /// As [`Host::succeed`].
    pub fn nft(&self, script: &str) -> Result<()> {
        self.succeed(Command::new("nft").args(["-f", "-"]), script).map(drop)
    }

    /// The rules on the host, as `nft list ruleset` prints them.
    ///
    /// # Errors
    ///
    /// As [`Host::succeed`].
    pub fn ruleset(&self) -> Result<String> {
        self.succeed(Command::new("nft").args(["list", "ruleset"]), "")
    }

    /// The connections that the host tracks in a family, one per element, as `conntrack -L` prints them.
    ///
    /// # Errors
    ///
    /// As [`Host::succeed`].
    pub fn conntrack(&self, family: Family) -> Result<Vec<String>> {
        let family = match family {
            Family::Ipv4 => "ipv4",
            Family::Ipv6 => "ipv6",
        };
        let listing = self.succeed(Command::new("conntrack").args(["-L", "-f", family]), "")?;
        Ok(listing.lines().map(str::to_owned).collect())
    }

    /// Runs lines of `ip -batch`, such as `addr add 203.0.113.7/32 dev lo`.
    ///
    /// # Errors
    ///
    /// As [`Host::succeed`].
    pub fn ip_batch(&self, lines: &str) -> Result<()> {
        ip::batch(&self.name, &self.namespace, lines)
    }

    /// Sets a sysctl of the host, named as in `/proc/sys` without that prefix: `net/ipv4/ip_forward`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it does not exist or does not take the value.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        ip::sysctl(&self.name, &self.namespace, name, value)
    }

    /// Starts a server on all addresses of the host. It answers each line (TCP), datagram (UDP) or INIT (SCTP) with
    /// the host's name and the client's address, until [`Host::stop_serving`] or the end of the host. SCTP works
    /// over raw sockets, so that it needs nothing of the kernel but its conntrack.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the port is taken.
    pub fn serve(&self, protocol: Protocol, port: u16) -> Result<()> {
        self.start(Speech::Lines(protocol), port)
    }

    /// Starts an HTTP/1.1 server on all addresses of the host: status 200, the body being the host's name and the
    /// client's address.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the port is taken.
    pub fn serve_http(&self, port: u16) -> Result<()> {
        self.start(Speech::Http, port)
    }

    fn start(&self, speech: Speech, port: u16) -> Result<()> {
        let server = self
            .run(|| Server::start(&self.name, speech, port))
            .map_err(Error::io(format!("serve port {port} on {}", self.name)))?;
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).push(server);
        Ok(())
    }

    /// Ends all servers of the host, and their connections.
    pub fn stop_serving(&self) {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Asks once, from this host.
    #[must_use]
    pub fn probe(&self, probe: &Probe) -> Outcome {
        self.run(|| ask(probe))
    }

    /// Asks `count` times, each time by a new connection.
    #[must_use]
    pub fn probe_repeatedly(&self, probe: &Probe, count: usize) -> Vec<Outcome> {
        self.run(|| (0..count).map(|_| ask(probe)).collect())
    }

    /// Asks `count` times and counts the answers by the names of those who gave them.
    ///
    /// # Errors
    ///
    /// The first outcome that is not an answer.
    pub fn spread(&self, probe: &Probe, count: usize) -> Result<BTreeMap<String, usize>, Outcome> {
        let mut spread = BTreeMap::new();
        for outcome in self.probe_repeatedly(probe, count) {
            match outcome {
                Outcome::Answered(answer) => *spread.entry(answer.by).or_default() += 1,
                other => return Err(other),
            }
        }
        Ok(spread)
    }

    /// Connects and keeps the connection, to ask by it later and again.
    ///
    /// # Errors
    ///
    /// How the attempt to connect ended.
    pub fn open(&self, probe: &Probe) -> Result<Connection, Outcome> {
        self.run(|| probe.open())
    }
}

fn ask(probe: &Probe) -> Outcome {
    match probe.open() {
        Ok(mut connection) => connection.ask(),
        Err(outcome) => outcome,
    }
}
