//! `svcnat trace`: what becomes of a packet, and why.

mod addresses;
mod iptables;
pub mod json;

use std::net::{IpAddr, SocketAddr};

use clap::{Arg, Args, ValueEnum};
use svcnat_rules::cluster::Cluster;
use svcnat_rules::compile::Conflict;
use svcnat_rules::config::Config;
use svcnat_rules::explain::{
    Explanation, Rules, Surroundings, UNKNOWN_INTERFACE, Understood, asks_for_interface, explain, notes_on,
    understand,
};
use svcnat_rules::layout::Slots;
use svcnat_rules::name::Name;
use svcnat_rules::net::{Family, Protocol};
use svcnat_rules::simulate::{Environment, Origin, Packet};

use super::options::interface_name;
use super::{Failure, ManifestOptions, RuleOptions, output};
use crate::compiler;
use crate::netlink::Netlink;
use crate::settings::Mode;

const EXAMPLES: &str = "\
Examples:
  svcnat trace tcp 10.244.1.7 10.96.0.10:443
      A pod's connection to a ClusterIP, by the rules that are in the kernel now.
  svcnat trace -f manifests/ --cluster-cidr 10.244.0.0/16 tcp 198.51.100.9 192.168.1.2:30080
      A connection from outside to a node port, by the rules that the manifests compile to.
  svcnat trace udp '[fd00:10:244::7]:5353' '[fd00:10:96::a]:53' -o json

The first lines say it all:
  tcp 10.244.1.7:49152 -> 10.96.0.10:443, from the network

  10.96.0.10:443 is the ClusterIP of shop/api/https, which has 3 backends; the source address is kept.

Then come the backends with their probabilities, and the way through hooks, chains and rules; -o svg draws all ways.";

/// Say what becomes of a packet: which backends may get it, how likely, and why
///
/// The packet is the first one of a connection. No packet is sent: the rules are simulated, exactly as the kernel would
/// execute them; those in the kernel now or, with -f, those that the manifests compile to. With --proxy-mode iptables, it is the
/// rules of iptables.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(mut_arg("filenames", |arg| arg.required(false)))]
#[command(mut_group("ManifestOptions", |group| group.requires("filenames")))]
#[command(mut_args(with_manifests))]
pub(super) struct Trace {
    /// The transport protocol
    #[arg(value_enum)]
    protocol: TransportProtocol,
    /// The client: ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT; without a port, 49152
    #[arg(value_parser = addresses::source)]
    source: SocketAddr,
    /// What the client connects to: ADDRESS:PORT or [ADDRESS]:PORT
    #[arg(value_name = "DESTINATION:PORT", value_parser = addresses::destination)]
    destination: SocketAddr,
    /// The interface that the packet comes in on
    ///
    /// Matters only where pods are told by their interface.
    #[arg(long, value_name = "NAME", value_parser = interface_name)]
    interface: Option<String>,
    /// The packet is sent by this host itself; assumed where SOURCE is one of its addresses and no --interface is given
    #[arg(long, conflicts_with = "interface")]
    from_host: bool,
    /// An address of this host; may be repeated
    ///
    /// [default: with -f, the Node's addresses; else those of this machine's interfaces]
    #[arg(long, value_name = "ADDRESS")]
    local_address: Vec<IpAddr>,
    /// The form of the answer
    ///
    /// A graph or picture has every way that the packet may take, with the probabilities where ways part. Of more than 12
    /// backends, those beyond the twelfth that are equally likely are one box: "38 more backends, each with 1/50".
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
    #[command(flatten)]
    manifests: ManifestOptions,
    #[command(flatten)]
    rules: RuleOptions,
}

/// Options that shape rules say nothing about those in the kernel; which packet filter holds them is asked of both.
fn with_manifests(argument: Arg) -> Arg {
    if RuleOptions::shapes_rules(argument.get_id()) { argument.requires("filenames") } else { argument }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TransportProtocol {
    Tcp,
    Udp,
    Sctp,
}

impl From<TransportProtocol> for Protocol {
    fn from(protocol: TransportProtocol) -> Self {
        match protocol {
            TransportProtocol::Tcp => Self::Tcp,
            TransportProtocol::Udp => Self::Udp,
            TransportProtocol::Sctp => Self::Sctp,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// The ways as a graph for Graphviz, whose program dot draws it
    Dot,
    /// The ways as a picture, in SVG
    Svg,
}

/// How often a dynamic map is read where packets changed it meanwhile.
const ATTEMPTS: usize = 3;

impl Trace {
    pub(super) fn run(&self) -> Result<(), Failure> {
        if self.source.is_ipv4() != self.destination.is_ipv4() {
            let (from, to) = (self.source.ip(), self.destination.ip());
            return Err(Failure::Usage(format!(
                "SOURCE {from} and DESTINATION {to} are of different IP families"
            )));
        }
        let explanation = match (self.manifests.are_given(), self.rules.load()?) {
            (true, (config, mode)) => self.of_manifests(&config, mode),
            (false, (_, Mode::Nftables)) => self.of_nftables(),
            (false, (_, Mode::Iptables)) => self.of_iptables(),
        }?;
        match self.output {
            Format::Text => output::print(explanation),
            Format::Json => output::print(json::text(&explanation)),
            Format::Dot => output::print(explanation.picture().dot()),
            Format::Svg => output::print(explanation.picture().svg()),
        }
    }

    /// By the rules that the manifests compile to.
    fn of_manifests(&self, config: &Config, mode: Mode) -> Result<Explanation, Failure> {
        let cluster = self.manifests.read(&config.node_name)?.cluster;
        match mode {
            Mode::Nftables => {
                let compiled = compiler::compile(&cluster, config, &Slots::default())?;
                let rules = Rules::Nftables(&compiled.ruleset);
                self.of_compiled(rules, &cluster, config, &compiled.conflicts)
            }
            Mode::Iptables => {
                let compiled = compiler::compile_iptables(&cluster, config)?;
                let rules = Rules::Iptables(&compiled.ruleset);
                let mut explanation = self.of_compiled(rules, &cluster, config, &compiled.conflicts)?;
                explanation.notes.extend(compiled.collisions.iter().map(ToString::to_string));
                Ok(explanation)
            }
        }
    }

    fn of_compiled(
        &self,
        rules: Rules<'_>,
        cluster: &Cluster,
        config: &Config,
        conflicts: &[Conflict],
    ) -> Result<Explanation, Failure> {
        let of_node = || cluster.node.as_ref().map(|node| node.addresses.clone()).unwrap_or_default();
        let environment = Environment::with_local(&self.local_addresses(of_node));
        let mut explanation = self.explain(rules, &environment, Some(config))?;
        if environment.local.is_empty() {
            explanation.notes.push(format!(
                "no address of this node is known, since the manifests have no Node {}; give --local-address",
                config.node_name
            ));
        }
        explanation.notes.extend(notes_on(&explanation, cluster, config, conflicts));
        Ok(explanation)
    }

    /// By the rules in nftables.
    fn of_nftables(&self) -> Result<Explanation, Failure> {
        let mut kernel = Netlink::open()?;
        let mut understood = understand(&kernel.read()?);
        let incomplete = self.read_dynamic(&mut kernel, &mut understood)?;
        let environment = Environment { local: self.addresses_here()?, dynamic: understood.dynamic };
        let mut explanation = self.explain(Rules::Nftables(&understood.ruleset), &environment, None)?;
        explanation.notes.extend(understood.left_out);
        explanation.notes.extend(incomplete);
        Ok(explanation)
    }

    /// The addresses of this host, where its own rules are asked.
    fn addresses_here(&self) -> Result<Vec<IpAddr>, Failure> {
        match self.local_address.as_slice() {
            [] => addresses::of_this_machine().map_err(|error| {
                Failure::Usage(format!(
                    "cannot list this machine's addresses ({error}); give --local-address"
                ))
            }),
            given => Ok(given.to_vec()),
        }
    }

    /// Reads what packets have put into the dynamic maps of the packet's family, and says of which maps that may not be
    /// all.
    fn read_dynamic(
        &self,
        kernel: &mut Netlink,
        understood: &mut Understood,
    ) -> Result<Vec<String>, Failure> {
        let mut incomplete = Vec::new();
        let maps = understood.dynamic.iter_mut().filter(|((family, _), _)| *family == self.family());
        for ((family, map), entries) in maps {
            let mut is_complete = false;
            for _ in 0..ATTEMPTS {
                entries.clear();
                is_complete = kernel.dynamic_elements(*family, map, |key, data| {
                    entries.insert(key, data);
                })?;
                if is_complete {
                    break;
                }
            }
            if !is_complete {
                incomplete.push(format!(
                    "the map {map} changed while it was read, so clients that it knows may be missing here"
                ));
            }
        }
        Ok(incomplete)
    }

    fn explain(
        &self,
        rules: Rules<'_>,
        environment: &Environment,
        config: Option<&Config>,
    ) -> Result<Explanation, Failure> {
        let origin = self.origin(environment);
        let unknown = matches!(&origin, Origin::Network { interface } if *interface == UNKNOWN_INTERFACE);
        let packet = Packet::new(self.protocol.into(), self.source, self.destination, origin);
        let detect_local = config.map(|config| &config.detect_local);
        let mut explanation = explain(&Surroundings { rules, environment, detect_local }, &packet)?;
        if unknown && asks_for_interface(rules, self.family()) {
            explanation.notes.push(
                "the rules tell pods by the interface that they are behind; --interface says which one this is".to_owned(),
            );
        }
        Ok(explanation)
    }

    fn origin(&self, environment: &Environment) -> Origin {
        match &self.interface {
            Some(name) => Origin::Network { interface: Name::from(name.as_str()) },
            None if self.from_host || environment.is_local(self.source.ip()) => Origin::Host,
            None => Origin::Network { interface: Name::from(UNKNOWN_INTERFACE) },
        }
    }

    fn local_addresses(&self, default: impl FnOnce() -> Vec<IpAddr>) -> Vec<IpAddr> {
        if self.local_address.is_empty() { default() } else { self.local_address.clone() }
    }

    fn family(&self) -> Family {
        Family::of(self.destination.ip())
    }
}
