//! Whose the frontends are, as [`lookup`](crate::explain::lookup) asks for it: by the comments of the rules that lead to them.

use super::Tables;
use crate::iptables::names::chain;
use crate::iptables::{Rule, TableName};
use crate::layout::set;
use crate::name::Name;
use crate::ruleset::{Element, Set, SetDefinition, Table, Value};

/// The sets of frontends that nftables would have.
pub(super) fn table(tables: &Tables) -> Table {
    let keyed = |rule: &Rule| Some((rule.protocol?, rule.port?));
    let node_port =
        |rule: &Rule| keyed(rule).map(|(protocol, port)| Value::new().protocol(protocol).port(port));
    let mut table = Table::default();
    let addresses = rules(tables, TableName::Nat, chain::SERVICES);
    let addresses = addresses.filter_map(|rule| Some((rule.destination?.network(), rule.target.chain()?)));
    let at_addresses = addresses.flat_map(|(address, chain)| {
        rules(tables, TableName::Nat, chain).filter_map(move |rule| {
            let (protocol, port) = keyed(rule)?;
            element(Value::new().addr(address).protocol(protocol).port(port), rule)
        })
    });
    let mut add = |name: &str, elements: Vec<(Value, Element)>| {
        let mut set = Set::new(SetDefinition::set(&[]));
        set.elements = elements.into_iter().collect();
        table.sets.insert(Name::from(name), set);
    };
    add(set::FRONTENDS, at_addresses.collect());
    for (name, in_table, chain) in [
        (set::NODE_PORT_FRONTENDS, TableName::Nat, chain::NODE_PORTS),
        (set::NODE_PORT_NO_ENDPOINTS, TableName::Filter, chain::NO_ENDPOINTS_NODE_PORTS),
    ] {
        let rules = rules(tables, in_table, chain);
        add(name, rules.filter_map(|rule| element(node_port(rule)?, rule)).collect());
    }
    table
}

fn element(key: Value, rule: &Rule) -> Option<(Value, Element)> {
    let comment = Some(rule.comment.clone()?);
    Some((key, Element { comment, ..Element::key_only() }))
}

fn rules<'a>(tables: &'a Tables, table: TableName, chain: &str) -> impl Iterator<Item = &'a Rule> + use<'a> {
    tables.get(&table).and_then(|table| table.chains.get(chain)).into_iter().flat_map(|chain| &chain.rules)
}
