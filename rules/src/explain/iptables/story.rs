//! What a packet's way through iptables rules says about it.

use super::Tables;
use crate::explain::condition::FromInterface;
use crate::explain::lookup;
use crate::explain::story::{Ending, Exempt, Frontend, Masquerade, Story};
use crate::iptables::names::{chain, prefix};
use crate::iptables::{AddressType, Interface, Match, Recent, Rule, TableName, Target};
use crate::name::Name;
use crate::net::Cidr;
use crate::ruleset::{self, Reject, Value, Verdict};
use crate::simulate::{Fate, Packet, Step, TracedOutcome};

/// Tells the story of an outcome.
pub(super) fn story(
    tables: &Tables,
    frontends: Option<&ruleset::Table>,
    packet: &Packet,
    traced: &TracedOutcome,
) -> Story {
    let (at, story) = (At::default(), Story::of(packet));
    let mut teller = Teller { tables, frontends, packet, at, marked: None, refused: None, story };
    traced.path.iter().for_each(|step| teller.step(step));
    teller.end(&traced.outcome.fate)
}

/// The rule that the packet is at.
#[derive(Default)]
struct At<'a> {
    chain: &'a str,
    index: usize,
    /// The rule, where it is in a chain of ours.
    rule: Option<&'a Rule>,
    comment: Option<&'a Name>,
}

/// What led to a rejection or a drop.
enum Refusal {
    /// The frontend has no backend that may serve it.
    NoEndpoints,
    /// No Service has the port.
    NoSuchPort,
}

struct Teller<'a> {
    tables: &'a Tables,
    frontends: Option<&'a ruleset::Table>,
    packet: &'a Packet,
    at: At<'a>,
    marked: Option<Masquerade>,
    refused: Option<Refusal>,
    story: Story,
}

impl<'a> Teller<'a> {
    fn step(&mut self, step: &'a Step) {
        match step {
            Step::Rule { chain, index, comment } => {
                let found = self.tables.values().find_map(|table| table.chains.get(chain));
                let rule = found.and_then(|chain| chain.rules.get(*index));
                self.at = At { chain, index: *index, rule, comment: comment.as_ref() };
            }
            Step::Verdict(verdict) => self.verdict(verdict),
            Step::Mark(_) if self.at.chain == chain::TO_CLUSTER_IP => {
                self.marked = Some(self.why_to_cluster_ip());
            }
            Step::Dnat(to) => {
                self.story.destination = *to;
                self.story.pod = self.at.comment.or_else(|| self.pod_at(&Target::Dnat(*to))).cloned();
                let by_list = |condition: &Match| {
                    matches!(condition, Match::Recent { action: Recent::Update { .. }, .. })
                };
                self.story.remembered = self.at.rule.is_some_and(|rule| rule.matches.iter().any(by_list));
            }
            Step::Masquerade => {
                let marked = self.marked.take();
                let hairpin = (self.at.chain == chain::HAIRPIN).then_some(Masquerade::Hairpin);
                let other = || Masquerade::Other(Name::from(self.at.chain));
                self.story.masquerade = Some(hairpin.or(marked).unwrap_or_else(other));
            }
            Step::BaseChain { .. }
            | Step::Element { .. }
            | Step::Mark(_)
            | Step::Update { .. }
            | Step::Reject(_)
            | Step::ChainEnd { .. }
            | Step::Route(_) => {}
        }
    }

    fn verdict(&mut self, verdict: &'a Verdict) {
        let to = verdict.chain().map_or("", Name::as_str);
        match self.at.chain {
            chain::SOURCES => {
                self.story.frontend = Some(Frontend::Restricted);
                let Packet { destination, protocol, .. } = self.packet;
                let key = Value::new().addr(destination.ip()).protocol(*protocol).port(destination.port());
                let service = |table| lookup::service_at_address(table, &key);
                self.story.service = self.frontends.and_then(service);
            }
            chain::NODE_PORTS => self.frontend(Frontend::NodePort, to),
            chain::NO_ENDPOINTS | chain::NO_ENDPOINTS_NODE_PORTS if self.at.comment.is_some() => {
                self.refused = Some(Refusal::NoEndpoints);
                self.story.service = self.at.comment.cloned();
                if self.at.chain == chain::NO_ENDPOINTS_NODE_PORTS {
                    self.story.frontend = Some(Frontend::NodePort);
                }
            }
            chain::CLUSTER_IPS if to == chain::REJECT => self.refused = Some(Refusal::NoSuchPort),
            // The other rules of such a chain ask for no port.
            from if from.starts_with(prefix::ADDRESS)
                && self.at.rule.is_some_and(|rule| rule.port.is_some()) =>
            {
                let restricted = self.story.frontend == Some(Frontend::Restricted);
                self.frontend(if restricted { Frontend::Restricted } else { Frontend::Address }, to);
            }
            from if from.starts_with(prefix::EXTERNAL) => self.external_rule(to),
            _ => {}
        }
        self.story.local_only |= to.starts_with(prefix::LOCAL_POOL);
    }

    fn frontend(&mut self, frontend: Frontend, to: &str) {
        self.story.frontend = Some(frontend);
        self.story.service = self.at.comment.cloned();
        self.story.external = to.starts_with(prefix::EXTERNAL);
    }

    /// A rule of the chain for connections from outside.
    fn external_rule(&mut self, to: &str) {
        let Some(rule) = self.at.rule else { return };
        let this_node = rule.matches.contains(&Match::Local(AddressType::Source));
        let pods = rule.source.is_some() || rule.interface.is_some();
        if to == chain::MASQUERADE_LATER {
            self.marked = Some(match (this_node, pods) {
                (true, _) => Masquerade::ThisNode,
                (false, false) => Masquerade::ExternalPolicyCluster,
                (false, true) => Masquerade::Other(Name::from(self.at.chain)),
            });
        } else {
            self.story.exempt = match (pods, this_node) {
                (true, _) => Some(Exempt::Pod),
                (false, true) => Some(Exempt::ThisNode),
                (false, false) => None,
            };
        }
    }

    /// Why what no rule before took for a pod's is masqueraded on its way to a ClusterIP.
    fn why_to_cluster_ip(&self) -> Masquerade {
        let nat = self.tables.get(&TableName::Nat);
        let rules = nat.and_then(|nat| nat.chains.get(chain::TO_CLUSTER_IP)).map(|chain| &chain.rules);
        let pods: Vec<&Rule> = rules.into_iter().flatten().take(self.at.index).collect();
        let interface = pods.iter().find_map(|rule| rule.interface.as_ref()).map(|interface| {
            let (name, prefix) = match interface {
                Interface::Named(name) => (name, false),
                Interface::Prefix(name) => (name, true),
            };
            Masquerade::OtherInterface(FromInterface { name: name.to_string(), prefix })
        });
        let networks: Vec<Cidr> = pods.iter().filter_map(|rule| rule.source).collect();
        interface.unwrap_or(match networks.as_slice() {
            [] => Masquerade::All,
            _ => Masquerade::OutsidePodNetworks(networks),
        })
    }

    /// The pod that a rule of this chain names which sends packets there too.
    fn pod_at(&self, target: &Target) -> Option<&'a Name> {
        let chain = self.tables.get(&TableName::Nat)?.chains.get(self.at.chain)?;
        chain.rules.iter().filter(|rule| rule.target == *target).find_map(|rule| rule.comment.as_ref())
    }

    fn end(mut self, fate: &Fate) -> Story {
        self.story.ending = Ending::of(fate, |how| self.ending(how));
        self.story
    }

    fn ending(&self, how: Option<Reject>) -> Ending {
        let network = self.at.rule.and_then(|rule| rule.destination);
        match (self.at.chain, &self.refused, network) {
            (chain::REJECT, Some(Refusal::NoSuchPort), _) => Ending::NoSuchPort(how),
            (chain::REJECT, Some(Refusal::NoEndpoints), _) => Ending::NoEndpoints(how),
            (chain::NO_ENDPOINTS | chain::NO_ENDPOINTS_NODE_PORTS, Some(Refusal::NoEndpoints), _) => {
                Ending::NoLocalEndpoints
            }
            (chain::CLUSTER_IPS, _, Some(network)) => Ending::Unallocated(network),
            (from, ..) if from.starts_with(prefix::SOURCES) => Ending::SourceForbidden,
            (from, ..) => Ending::Elsewhere(Name::from(from), self.at.index),
        }
    }
}
