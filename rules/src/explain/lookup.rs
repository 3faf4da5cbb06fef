//! Questions to a table beside the packet's way: whose is a frontend, what else is at an address, which pod is that.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use crate::layout::{service_of_element, set};
use crate::name::Name;
use crate::net::Protocol;
use crate::ruleset::{Element, ElementData, Elements, Expr, Rule, Table, Value};

/// A port of a frontend's address and the service port that has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PortAt {
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    pub(super) service: Name,
}

/// The service port that has an address frontend, by its key in the sets of frontends.
pub(super) fn service_at_address(table: &Table, key: &Value) -> Option<Name> {
    service_in(table, [set::FRONTENDS, set::NO_ENDPOINTS], key)
}

/// Whether not every source may connect to an address frontend.
pub(super) fn is_restricted(table: &Table, key: &Value) -> bool {
    elements(table, set::SOURCE_RESTRICTED).is_some_and(|elements| elements.contains_key(key))
}

/// The service port that has a node port.
pub(super) fn service_at_node_port(table: &Table, protocol: Protocol, port: u16) -> Option<Name> {
    let key = Value::new().protocol(protocol).port(port);
    service_in(table, [set::NODE_PORT_FRONTENDS, set::NODE_PORT_NO_ENDPOINTS], &key)
}

/// All ports that Services have at an address.
pub(super) fn ports_at(table: &Table, address: IpAddr) -> BTreeSet<PortAt> {
    let prefix = Value::new().addr(address);
    let starts = |key: &Value| key.as_bytes().starts_with(prefix.as_bytes());
    let frontends = elements(table, set::FRONTENDS).into_iter();
    let keys = frontends.flat_map(|elements| elements.range(&prefix..)).map(|(key, _)| key);
    let port_at = |key: &Value| {
        // The protocol and the port, each padded to four bytes.
        let [protocol, _, _, _, high, low, ..] = *key.as_bytes().get(prefix.len()..)? else { return None };
        Some(PortAt {
            port: u16::from_be_bytes([high, low]),
            protocol: Protocol::from_number(protocol)?,
            service: service_at_address(table, key)?,
        })
    };
    keys.take_while(|key| starts(key)).filter_map(port_at).collect()
}

/// The pod that listens at an address and port, where a comment on a rule or an element names it.
pub(crate) fn pod_at(table: &Table, backend: SocketAddr) -> Option<Name> {
    let address = Value::new().addr(backend.ip());
    let port = Value::from_bytes(&backend.port().to_be_bytes());
    let data = address.clone().port(backend.port());
    let leads_there = |rule: &&Rule| {
        let loads = |wanted: &Value| {
            rule.exprs.iter().any(|expr| matches!(expr, Expr::Immediate { value, .. } if value == wanted))
        };
        rule.comment.is_some() && loads(&address) && loads(&port)
    };
    let maps_there = |element: &&Element| {
        element.comment.is_some() && matches!(&element.data, ElementData::Value(value) if *value == data)
    };
    let rule = table.chains.values().flat_map(|chain| &chain.rules).find(leads_there);
    if let Some(rule) = rule {
        return rule.comment.clone();
    }
    table.sets.values().flat_map(|set| set.elements.values()).find(maps_there)?.comment.clone()
}

/// `namespace/name` of a service port `namespace/name/port`.
pub(super) fn service_of_port(port: &str) -> &str {
    match port.match_indices('/').nth(1) {
        Some((end, _)) => port.get(..end).unwrap_or(port),
        None => port,
    }
}

fn service_in(table: &Table, sets: [&str; 2], key: &Value) -> Option<Name> {
    sets.into_iter()
        .filter_map(|set| elements(table, set)?.get(key))
        .find_map(service_of_element)
        .map(Name::from)
}

fn elements<'a>(table: &'a Table, set: &str) -> Option<&'a Elements> {
    table.sets.get(set).map(|set| &set.elements)
}
