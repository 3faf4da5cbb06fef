//! One sentence: what became of a packet, and why.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::Surroundings;
use super::lookup::{self, PortAt};
use super::story::{Ending, Exempt, Frontend, Masquerade, Story};
use crate::config::DetectLocal;
use crate::net::{Cidr, Family};
use crate::ruleset::{Reject, Table};
use crate::simulate::{Fate, Packet, TracedOutcome};

/// The sentence about all outcomes of a packet, without a full stop.
pub(super) fn reason(
    surroundings: &Surroundings<'_>,
    table: Option<&Table>,
    packet: &Packet,
    told: &[(Story, TracedOutcome)],
) -> String {
    let Some(table) = table else {
        let family = Family::of(packet.destination.ip());
        return format!("there are no rules for {family}, so the packet passes unchanged");
    };
    let reasons = Reasons { surroundings, table, packet };
    let served: Vec<_> = told.iter().filter(|(_, traced)| is_served(traced)).collect();
    let mut sentences = Vec::new();
    for (story, traced) in told {
        let sentence = if is_served(traced) { reasons.served(&served) } else { reasons.unserved(story) };
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
    sentences.join("; or ")
}

/// Whether a backend got the packet.
fn is_served(traced: &TracedOutcome) -> bool {
    matches!(&traced.outcome.fate, Fate::Delivered(delivery) if delivery.dnat)
}

struct Reasons<'a> {
    surroundings: &'a Surroundings<'a>,
    table: &'a Table,
    packet: &'a Packet,
}

impl Reasons<'_> {
    /// What the packet is, where it was not given to a backend.
    fn unserved(&self, story: &Story) -> String {
        let sentence = self.refused(story);
        let (sent_to, service) = (story.destination, named(story));
        if sent_to == self.packet.destination {
            return sentence;
        }
        format!("{service} sends the packet on, for example to {sent_to}, but {sentence}")
    }

    fn refused(&self, story: &Story) -> String {
        let (at, service) = (story.destination, named(story));
        match &story.ending {
            Ending::Delivered => self.untouched(story),
            Ending::SourceForbidden => format!(
                "{} is not in loadBalancerSourceRanges of {}, so the packet is dropped",
                self.packet.source.ip(),
                lookup::service_of_port(service)
            ),
            Ending::NoEndpoints(how) => format!("{service} has no ready endpoints, so {}", self.told(*how)),
            Ending::NoLocalEndpoints => {
                let policy = policy(story);
                format!(
                    "{service} has {policy}: Local and no endpoint on this node, so the packet is dropped"
                )
            }
            Ending::NoSuchPort(how) => {
                format!("{}, so {}", self.wrong_port(at, "the ClusterIP"), self.told(*how))
            }
            Ending::Unallocated(network) => {
                let address = at.ip();
                format!(
                    "no Service has {address}, which is inside the ServiceCIDR {network}, so the packet is dropped"
                )
            }
            Ending::Elsewhere(chain, index) => {
                format!("rule {} of chain {chain} refuses the packet", index + 1)
            }
        }
    }

    /// Why no rule did anything about the packet.
    fn untouched(&self, story: &Story) -> String {
        let Packet { destination, protocol, .. } = self.packet;
        let (address, port) = (destination.ip(), destination.port());
        let because = if story.frontend.is_some() {
            format!("the rules of {} choose no backend for this client", named(story))
        } else if !lookup::ports_at(self.table, address).is_empty() {
            self.wrong_port(*destination, "an address")
        } else if let Some(service) = lookup::service_at_node_port(self.table, *protocol, port) {
            let is_local = self.surroundings.environment.is_local(address);
            let but = if is_local { "on which node ports are served" } else { "of this node" };
            format!("{port}/{protocol} is a node port of {service}, but {address} is no address {but}")
        } else {
            format!("no Service has {destination} for {protocol}")
        };
        format!("{because}, so the packet passes unchanged")
    }

    fn wrong_port(&self, at: SocketAddr, kind: &str) -> String {
        let (address, port, protocol) = (at.ip(), at.port(), self.packet.protocol);
        let ports = lookup::ports_at(self.table, address);
        let services: BTreeSet<&str> = ports.iter().map(|at| lookup::service_of_port(&at.service)).collect();
        if services.is_empty() {
            return format!("{address} is a ClusterIP, but no Service has port {port}/{protocol} there");
        }
        let services = services.into_iter().collect::<Vec<_>>().join(" and ");
        let ports = list(&ports);
        format!(
            "{address} is {kind} of {services}, but no Service has port {port}/{protocol} there, only {ports}"
        )
    }

    /// What the sender of a refused packet notices.
    fn told(&self, how: Option<Reject>) -> &'static str {
        match (how, Family::of(self.packet.source.ip())) {
            (Some(Reject::TcpReset), _) => "the client gets a TCP reset",
            (Some(Reject::PortUnreachable), Family::Ipv4) => "the client gets an ICMP port unreachable",
            (Some(Reject::PortUnreachable), Family::Ipv6) => "the client gets an ICMPv6 port unreachable",
            (None, _) => "the packet is dropped",
        }
    }

    /// About all ways that lead to a backend; they are of one frontend.
    fn served(&self, served: &[&(Story, TracedOutcome)]) -> String {
        let Some((story, traced)) = served.first() else { return String::new() };
        let backends: BTreeSet<SocketAddr> = served.iter().map(|(story, _)| story.destination).collect();
        let kind = match (story.frontend, story.external) {
            (Some(Frontend::NodePort), _) => "a node port",
            (Some(Frontend::Restricted), _) => "a load-balancer address",
            (_, true) => "an external address",
            (_, false) => "the ClusterIP",
        };
        let mut sentence = format!("{} is {kind} of {}", self.packet.destination, named(story));
        let count = match backends.len() {
            1 => "1 backend".to_owned(),
            many => format!("{many} backends"),
        };
        if story.remembered {
            sentence += ", whose session affinity keeps this client with its backend";
        } else if story.local_only {
            sentence += &format!(", which has {count} on this node ({}: Local)", policy(story));
        } else {
            sentence += &format!(", which has {count}");
        }
        sentence += match story.exempt {
            Some(Exempt::Pod) => "; externalTrafficPolicy: Local does not bind pods of this cluster",
            Some(Exempt::ThisNode) => "; externalTrafficPolicy: Local does not bind this node itself",
            None => "",
        };
        sentence += &self.source(served);
        if let (false, Some(effect)) = (story.remembered, traced.outcome.effects.first()) {
            let seconds = effect.timeout / 1000;
            sentence +=
                &format!("; session affinity keeps the client with its backend for {seconds} s from now");
        }
        sentence
    }

    /// What becomes of the source address.
    fn source(&self, served: &[&(Story, TracedOutcome)]) -> String {
        let masqueraded = || served.iter().filter_map(|(story, _)| story.masquerade.as_ref());
        let general = masqueraded().find(|why| **why != Masquerade::Hairpin);
        if let Some(why) = general {
            return format!("; masqueraded, because {}", self.because(why));
        }
        match masqueraded().count() {
            0 => "; the source address is kept".to_owned(),
            some if some == served.len() => {
                format!("; masqueraded, because {}", self.because(&Masquerade::Hairpin))
            }
            _ => "; masqueraded only where the client is its own backend (hairpin)".to_owned(),
        }
    }

    fn because(&self, why: &Masquerade) -> String {
        match why {
            Masquerade::OutsidePodNetworks(networks) => {
                let known_by = match self.surroundings.detect_local {
                    Some(DetectLocal::ClusterCidr(_)) => "--cluster-cidr ",
                    Some(DetectLocal::NodeCidr) => "the Node's podCIDRs ",
                    _ => "",
                };
                let networks = networks.iter().map(Cidr::to_string).collect::<Vec<_>>().join(",");
                format!("the source is not a pod of this cluster ({known_by}{networks})")
            }
            Masquerade::OtherInterface(interface) => {
                let option =
                    if interface.prefix { "--pod-interface-name-prefix" } else { "--pod-bridge-interface" };
                format!("the source is not a pod of this cluster ({option} {})", interface.name)
            }
            Masquerade::All => "all connections to ClusterIPs are (--masquerade-all)".to_owned(),
            Masquerade::ExternalPolicyCluster => "externalTrafficPolicy is Cluster".to_owned(),
            Masquerade::ThisNode => "this node itself is the client".to_owned(),
            Masquerade::Hairpin => "the client is its own backend (hairpin)".to_owned(),
            Masquerade::Other(chain) => format!("chain {chain} asks for it"),
        }
    }
}

/// The field that says which backends may serve this frontend.
fn policy(story: &Story) -> &'static str {
    let external = story.external || story.frontend == Some(Frontend::NodePort);
    if external { "externalTrafficPolicy" } else { "internalTrafficPolicy" }
}

/// The service port, as far as the rules name it.
fn named(story: &Story) -> &str {
    story.service.as_deref().unwrap_or("a Service")
}

fn list(ports: &BTreeSet<PortAt>) -> String {
    const MAX: usize = 8;
    let mut words: Vec<String> =
        ports.iter().take(MAX).map(|at| format!("{}/{}", at.port, at.protocol)).collect();
    if ports.len() > MAX {
        words.push(format!("{} more", ports.len() - MAX));
    }
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}
