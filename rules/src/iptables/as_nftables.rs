//! iptables rules said in the words of nftables, as far as [`crate::flows`] follows them: from frontends to backends.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::chain::TableName;
use super::installed::{Installed, InstalledRule};
use super::names::chain;
use super::rule::{AddressType, Interface, Match, Recent, Rule, Target};
use crate::layout::Statements;
use crate::layout::set;
use crate::name::Name;
use crate::net::Family;
use crate::ruleset::{self, CmpOp, Element, FibAddress, Ruleset, Set, SetDefinition, Table, Value, Verdict};

type Chains = BTreeMap<Name, Vec<InstalledRule>>;

/// The frontends of what is installed with the chains that serve them, as a ruleset that is followed, not loaded: marks,
/// refusals and the checks of sources are not in it, and a condition that no client's address decides is a draw.
#[must_use]
pub fn as_nftables(installed: &Installed) -> Ruleset {
    let mut ruleset = Ruleset::default();
    for (family, tables) in &installed.families {
        if let Some(nat) = tables.get(&TableName::Nat) {
            ruleset.tables.insert(*family, table(*family, &nat.chains));
        }
    }
    ruleset
}

fn table(family: Family, chains: &Chains) -> Table {
    let mut table = Table::default();
    for (set, frontends) in
        [(set::FRONTENDS, addresses(chains)), (set::NODE_PORT_FRONTENDS, node_ports(chains))]
    {
        let mut frontends_set = Set::new(SetDefinition::verdict_map(&[]));
        frontends_set.elements = frontends.into_iter().collect();
        table.sets.insert(Name::from(set), frontends_set);
    }
    let mut listed = Set::new(SetDefinition::set(&[]));
    let to_node_ports = known(chains, chain::SERVICES).filter(|rule| rule.matches.is_empty());
    let to_node_ports = to_node_ports.filter(|rule| leads_to(rule, chain::NODE_PORTS));
    let address = |rule: &Rule| rule.destination.map(|network| Value::new().addr(network.network()));
    listed.elements = to_node_ports.filter_map(address).map(|key| (key, Element::key_only())).collect();
    table.sets.insert(Name::from(set::NODE_PORT_IPS), listed);
    for name in chains.keys() {
        let rules = known(chains, name).filter_map(|rule| convert(family, rule)).collect();
        table.chains.insert(name.clone(), ruleset::Chain { hook: None, rules });
    }
    table
}

/// The rules of a chain that are understood.
fn known<'a>(chains: &'a Chains, name: &str) -> impl Iterator<Item = &'a Rule> {
    chains.get(name).into_iter().flatten().filter_map(|rule| match rule {
        InstalledRule::Known(rule) => Some(rule),
        InstalledRule::Other(_) => None,
    })
}

fn leads_to(rule: &Rule, chain: &str) -> bool {
    rule.target.chain().is_some_and(|target| *target == *chain)
}

/// Address frontends: from the chain of all addresses through the chain of one to what serves a port.
fn addresses(chains: &Chains) -> Vec<(Value, Element)> {
    let addresses = known(chains, chain::SERVICES).filter(|rule| !leads_to(rule, chain::NODE_PORTS));
    let addresses = addresses.filter_map(|rule| Some((rule.destination?, rule.target.chain()?)));
    let ports = addresses.flat_map(|(network, chain)| {
        known(chains, chain).filter_map(move |rule| frontend(Some(network.network()), rule))
    });
    ports.collect()
}

fn node_ports(chains: &Chains) -> Vec<(Value, Element)> {
    known(chains, chain::NODE_PORTS).filter_map(|rule| frontend(None, rule)).collect()
}

/// A rule for one port as an element of a map of frontends.
fn frontend(address: Option<IpAddr>, rule: &Rule) -> Option<(Value, Element)> {
    let verdict = match &rule.target {
        Target::Goto(chain) => Verdict::Goto(chain.clone()),
        Target::Return => Verdict::Return,
        _ => return None,
    };
    let key = address.map_or_else(Value::new, |address| Value::new().addr(address));
    Some((key.protocol(rule.protocol?).port(rule.port?), Element::verdict(verdict)))
}

/// A rule on the way to a backend; `None` where it leads nowhere.
fn convert(family: Family, rule: &Rule) -> Option<ruleset::Rule> {
    let mut statements = Statements::new(family);
    if let Some(network) = rule.source {
        statements = statements.source(CmpOp::Eq, network);
    }
    statements = match &rule.interface {
        Some(Interface::Named(name)) => statements.interface(CmpOp::Eq, name),
        Some(Interface::Prefix(prefix)) => statements.interface_prefix(CmpOp::Eq, prefix),
        None => statements,
    };
    if let Some(protocol) = rule.protocol {
        statements = statements.protocol(protocol);
    }
    for condition in &rule.matches {
        statements = match condition {
            Match::Local(AddressType::Source) => statements.local(FibAddress::Source),
            Match::Recent { action: Recent::Set, .. } => statements,
            Match::Random(_) | Match::Recent { action: Recent::Update { .. }, .. } => statements.one_in(2),
            Match::Local(AddressType::Destination) | Match::State(_) | Match::Mark(_) => return None,
        };
    }
    Some(match &rule.target {
        Target::Jump(chain) => statements.jump(chain),
        Target::Goto(chain) => statements.goto(chain),
        Target::Return => statements.verdict(Verdict::Return),
        Target::Dnat(backend) => statements.dnat(*backend),
        Target::Drop | Target::Reject(_) | Target::Masquerade | Target::Mark { .. } => return None,
    })
}
