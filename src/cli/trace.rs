//! `svcnat trace`: what becomes of a packet, and why.

use std::net::{IpAddr, SocketAddr};

use clap::{Arg, Args, ValueEnum};
use svcnat_rules::cluster::Cluster;
use svcnat_rules::compile::Conflict;
use svcnat_rules::config::Config;
use svcnat_rules::explain::{Explanation, Rules, notes_on};
use svcnat_rules::layout::Slots;
use svcnat_rules::name::Name;
use svcnat_rules::net::Protocol;
use svcnat_rules::simulate::Environment;

use super::options::interface_name;
use super::{Failure, ManifestOptions, RuleOptions, output};
use crate::compiler;
use crate::settings::Mode;
use crate::trace::{self, Question, Sender, json};

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
    #[arg(value_parser = trace::source)]
    source: SocketAddr,
    /// What the client connects to: ADDRESS:PORT or [ADDRESS]:PORT
    #[arg(value_name = "DESTINATION:PORT", value_parser = trace::destination)]
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

impl Trace {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let question = self.question()?;
        let explanation = match (self.manifests.are_given(), self.rules.load()?) {
            (true, (config, mode)) => self.of_manifests(&question, &config, mode)?,
            (false, (_, mode)) => question.in_force(mode)?,
        };
        match self.output {
            Format::Text => output::print(explanation),
            Format::Json => output::print(json::text(&explanation)),
            Format::Dot => output::print(explanation.picture().dot()),
            Format::Svg => output::print(explanation.picture().svg()),
        }
    }

    fn question(&self) -> Result<Question, trace::Error> {
        let sender = match &self.interface {
            Some(name) => Sender::Interface(Name::from(name.as_str())),
            None if self.from_host => Sender::Host,
            None => Sender::BySource,
        };
        let local = self.local_address.clone();
        Question::new(self.protocol.into(), self.source, self.destination, sender, local)
    }

    /// By the rules that the manifests compile to.
    fn of_manifests(&self, question: &Question, config: &Config, mode: Mode) -> Result<Explanation, Failure> {
        let cluster = self.manifests.read(&config.node_name)?.cluster;
        match mode {
            Mode::Nftables => {
                let compiled = compiler::compile(&cluster, config, &Slots::default())?;
                let rules = Rules::Nftables(&compiled.ruleset);
                of_compiled(question, rules, &cluster, config, &compiled.conflicts)
            }
            Mode::Iptables => {
                let compiled = compiler::compile_iptables(&cluster, config)?;
                let rules = Rules::Iptables(&compiled.ruleset);
                let mut explanation = of_compiled(question, rules, &cluster, config, &compiled.conflicts)?;
                explanation.notes.extend(compiled.collisions.iter().map(ToString::to_string));
                Ok(explanation)
            }
        }
    }
}

fn of_compiled(
    question: &Question,
    rules: Rules<'_>,
    cluster: &Cluster,
    config: &Config,
    conflicts: &[Conflict],
) -> Result<Explanation, Failure> {
    let of_node = || cluster.node.as_ref().map(|node| node.addresses.clone()).unwrap_or_default();
    let environment = Environment::with_local(&question.local_addresses(of_node));
    let mut explanation = question.by(rules, &environment, Some(&config.detect_local))?;
    if environment.local.is_empty() {
        explanation.notes.push(format!(
            "no address of this node is known, since the manifests have no Node {}; give --local-address",
            config.node_name
        ));
    }
    explanation.notes.extend(notes_on(&explanation, cluster, config, conflicts));
    Ok(explanation)
}
