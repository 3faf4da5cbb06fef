//! What a packet's way says about it, in the terms of Services.
//!
//! Only the names of sets and chains and the conditions of rules are looked at, so that the same can be told of rules
//! that were read back from the kernel.

use std::net::SocketAddr;

use super::condition::{self, FromInterface};
use super::lookup;
use crate::layout::{chain, is_external_chain, picks_local, service_of_chain, set};
use crate::name::Name;
use crate::net::{Cidr, Family};
use crate::ruleset::{CmpOp, FibAddress, Reject, Rule, Table, Value, Verdict};
use crate::simulate::{Fate, Packet, Step, TracedOutcome};

/// What happened to a packet on one of its ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Story {
    /// The service port whose frontend the packet was for.
    pub(super) service: Option<Name>,
    /// How that frontend was found.
    pub(super) frontend: Option<Frontend>,
    /// Whether the frontend is one for connections from outside.
    pub(super) external: bool,
    /// Whether only backends of this node could be chosen.
    pub(super) local_only: bool,
    /// Who the packet is from, where `externalTrafficPolicy: Local` makes an exception for that.
    pub(super) exempt: Option<Exempt>,
    /// The pod that it was sent to.
    pub(super) pod: Option<Name>,
    /// Whether session affinity chose the backend.
    pub(super) remembered: bool,
    /// Why its source was masqueraded.
    pub(super) masquerade: Option<Masquerade>,
    /// Where it was sent to when it ended.
    pub(super) destination: SocketAddr,
    /// How it ended.
    pub(super) ending: Ending,
}

impl Story {
    /// The story of a packet that nothing happened to.
    pub(super) fn of(packet: &Packet) -> Self {
        Self {
            service: None,
            frontend: None,
            external: false,
            local_only: false,
            exempt: None,
            pod: None,
            remembered: false,
            masquerade: None,
            destination: packet.destination,
            ending: Ending::Delivered,
        }
    }
}

/// How a frontend was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frontend {
    /// By its address.
    Address,
    /// By its address, which has `loadBalancerSourceRanges`.
    Restricted,
    /// By a node port.
    NodePort,
}

/// Whom `externalTrafficPolicy: Local` does not bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exempt {
    /// Pods of this cluster.
    Pod,
    /// This node itself.
    ThisNode,
}

/// Why a packet was masqueraded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Masquerade {
    /// Its source lies in none of the networks of this cluster's pods.
    OutsidePodNetworks(Vec<Cidr>),
    /// It came in from another interface than this cluster's pods'.
    OtherInterface(FromInterface),
    /// All connections to ClusterIPs are.
    All,
    /// `externalTrafficPolicy: Cluster`.
    ExternalPolicyCluster,
    /// `externalTrafficPolicy: Local`, and this node itself is the client.
    ThisNode,
    /// The client is its own backend.
    Hairpin,
    /// A rule of a chain that the compiler does not make asked for it.
    Other(Name),
}

/// How a packet's way ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// It passed all hooks.
    Delivered,
    /// Its source may not connect to the frontend.
    SourceForbidden,
    /// The frontend has no backend at all.
    NoEndpoints(Option<Reject>),
    /// The frontend's traffic policy is Local, and there is no backend on this node.
    NoLocalEndpoints,
    /// It is for a ClusterIP, but not for one of its Services' ports.
    NoSuchPort(Option<Reject>),
    /// It is for an address in this ServiceCIDR that no Service has.
    Unallocated(Cidr),
    /// Another rule ended it: the chain and the rule's index.
    Elsewhere(Name, usize),
}

impl Ending {
    /// The ending of a packet with this fate; `refused` says why it was dropped, or rejected in some way.
    pub(super) fn of(fate: &Fate, refused: impl FnOnce(Option<Reject>) -> Self) -> Self {
        match fate {
            Fate::Delivered(_) => Self::Delivered,
            Fate::Dropped { .. } => refused(None),
            Fate::Rejected { how, .. } => refused(Some(*how)),
        }
    }
}

/// Tells the story of an outcome.
pub(super) fn story(table: &Table, family: Family, packet: &Packet, traced: &TracedOutcome) -> Story {
    let mut teller = Teller::new(table, family, packet);
    for step in &traced.path {
        teller.step(step);
    }
    teller.end(&traced.outcome.fate)
}

/// The rule that the packet is at.
#[derive(Default)]
struct At<'a> {
    chain: Option<&'a Name>,
    index: usize,
    rule: Option<&'a Rule>,
    /// The sets that had an element for the packet.
    hits: Vec<&'a str>,
    /// The comment of the rule or, if that has none, of the last element.
    comment: Option<&'a Name>,
}

struct Teller<'a> {
    table: &'a Table,
    family: Family,
    at: At<'a>,
    marked: Option<Masquerade>,
    /// The set that refused the packet, and the service port that it names.
    refused: Option<Option<&'a Name>>,
    /// Whether it was the check of ClusterIPs that led to the rejection.
    unknown_port: bool,
    story: Story,
}

impl<'a> Teller<'a> {
    fn new(table: &'a Table, family: Family, packet: &Packet) -> Self {
        let story = Story::of(packet);
        Self { table, family, at: At::default(), marked: None, refused: None, unknown_port: false, story }
    }

    fn step(&mut self, step: &'a Step) {
        match step {
            Step::Rule { chain, index, comment } => {
                let rule = self.table.chains.get(chain).and_then(|chain| chain.rules.get(*index));
                self.at = At {
                    chain: Some(chain),
                    index: *index,
                    rule,
                    hits: Vec::new(),
                    comment: comment.as_ref(),
                };
            }
            Step::Element { set, key, comment } => self.element(set, key, comment.as_ref()),
            Step::Verdict(verdict) => self.verdict(verdict),
            Step::Dnat(to) => {
                self.story.destination = *to;
                let named = self.at.comment.cloned();
                self.story.pod = named.or_else(|| lookup::pod_at(self.table, *to));
            }
            Step::Masquerade => {
                let marked = self.marked.take();
                let hairpin = self.at.hits.contains(&set::HAIRPIN);
                let other = || self.at.chain.cloned().map(Masquerade::Other);
                self.story.masquerade =
                    if hairpin { Some(Masquerade::Hairpin) } else { marked.or_else(other) };
            }
            Step::BaseChain { .. }
            | Step::Mark(_)
            | Step::Update { .. }
            | Step::Reject(_)
            | Step::ChainEnd { .. }
            | Step::Route(_) => {}
        }
    }

    fn element(&mut self, set: &'a str, key: &Value, comment: Option<&'a Name>) {
        self.at.hits.push(set);
        match set {
            set::FRONTENDS => {
                let restricted = lookup::is_restricted(self.table, key);
                self.story.frontend = Some(if restricted { Frontend::Restricted } else { Frontend::Address });
                self.story.service = lookup::service_at_address(self.table, key);
            }
            set::SOURCE_RESTRICTED => {
                self.story.frontend = Some(Frontend::Restricted);
                self.story.service = lookup::service_at_address(self.table, key);
            }
            set::NODE_PORT_FRONTENDS => {
                self.story.frontend = Some(Frontend::NodePort);
                self.story.service = comment.cloned();
            }
            set::NO_ENDPOINTS | set::NODE_PORT_NO_ENDPOINTS => self.refused = Some(comment),
            set::AFFINITY => self.story.remembered = true,
            _ => self.at.comment = self.at.comment.or(comment),
        }
    }

    fn verdict(&mut self, verdict: &'a Verdict) {
        let (Some(from), Some(to)) = (self.at.chain, verdict.chain()) else { return };
        if *to == chain::MASQUERADE_LATER {
            self.marked = Some(self.why_marked(from));
        }
        if *to == chain::REJECT_CONNECTION {
            self.unknown_port = self.at.hits.contains(&set::CLUSTER_IPS);
        }
        if self.at.hits.iter().any(|hit| [set::FRONTENDS, set::NODE_PORT_FRONTENDS].contains(hit)) {
            self.story.external = is_external_chain(to);
            let named = || service_of_chain(to).map(Name::from);
            self.story.service = self.story.service.take().or_else(named);
        }
        if picks_local(to) {
            self.story.local_only = true;
        }
        if is_external_chain(from) && *to != chain::MASQUERADE_LATER {
            self.story.exempt = self.at.rule.and_then(|rule| {
                let pods = condition::interface(rule).is_some()
                    || condition::networks(rule, self.family)
                        .iter()
                        .any(|compared| compared.address == FibAddress::Source);
                let this_node = condition::from_this_host(rule).then_some(Exempt::ThisNode);
                if pods { Some(Exempt::Pod) } else { this_node }
            });
        }
    }

    /// Why the rule that the packet is at asks for masquerading.
    fn why_marked(&self, chain: &Name) -> Masquerade {
        let Some(rule) = self.at.rule else { return Masquerade::Other(chain.clone()) };
        if is_external_chain(chain) {
            return match rule {
                rule if condition::from_this_host(rule) => Masquerade::ThisNode,
                rule if condition::is_unconditional(rule) => Masquerade::ExternalPolicyCluster,
                _ => Masquerade::Other(chain.clone()),
            };
        }
        if *chain != chain::SERVICES || !self.at.hits.contains(&set::CLUSTER_IPS) {
            return Masquerade::Other(chain.clone());
        }
        if let Some(interface) = condition::interface(rule) {
            return Masquerade::OtherInterface(interface);
        }
        let outside = condition::networks(rule, self.family);
        let outside = outside
            .iter()
            .filter(|compared| compared.address == FibAddress::Source && compared.op == CmpOp::Neq);
        let networks: Vec<Cidr> = outside.map(|compared| compared.network).collect();
        if networks.is_empty() { Masquerade::All } else { Masquerade::OutsidePodNetworks(networks) }
    }

    fn end(mut self, fate: &Fate) -> Story {
        if let Some(Some(service)) = self.refused {
            self.story.service = Some(service.clone());
        }
        self.story.ending = Ending::of(fate, |how| self.ending(how));
        self.story
    }

    fn ending(&self, how: Option<Reject>) -> Ending {
        let Some(chain) = self.at.chain else { return Ending::Delivered };
        let drops = matches!(self.at.hits.last(), Some(&(set::NO_ENDPOINTS | set::NODE_PORT_NO_ENDPOINTS)));
        match chain.as_str() {
            chain::REJECT_CONNECTION if self.unknown_port => Ending::NoSuchPort(how),
            chain::REJECT_CONNECTION if self.refused.is_some() => Ending::NoEndpoints(how),
            chain::CHECK_ENDPOINTS if drops => Ending::NoLocalEndpoints,
            chain::CHECK_SOURCES if self.at.hits.contains(&set::SOURCE_RESTRICTED) => Ending::SourceForbidden,
            chain::CHECK_CLUSTER_IPS => match self.service_cidr() {
                Some(network) => Ending::Unallocated(network),
                None => self.elsewhere(chain),
            },
            _ => self.elsewhere(chain),
        }
    }

    fn service_cidr(&self) -> Option<Cidr> {
        let compared = condition::networks(self.at.rule?, self.family);
        let inside = |address, op| address == FibAddress::Destination && op == CmpOp::Eq;
        compared
            .iter()
            .find(|compared| inside(compared.address, compared.op))
            .map(|compared| compared.network)
    }

    fn elsewhere(&self, chain: &Name) -> Ending {
        Ending::Elsewhere(chain.clone(), self.at.index)
    }
}
