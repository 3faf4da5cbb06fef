//! Finding in the kernel's own rules and maps which backend is in which slot.

use std::net::{IpAddr, SocketAddr};

use super::names::{pool_of_chain, set};
use super::slots::Slots;
use crate::installed::Installed;
use crate::route::Pool;
use crate::ruleset::{Element, ElementData, Elements, Expr, Rule, Value};

/// The maps of the layout `maps` that hold backends.
/// With each the map of the frontends.
const BACKEND_MAPS: [(&str, &str, Pool); 4] = [
    (set::BACKENDS, set::FRONTENDS, Pool::Cluster),
    (set::LOCAL_BACKENDS, set::FRONTENDS, Pool::Local),
    (set::NODE_PORT_BACKENDS, set::NODE_PORT_FRONTENDS, Pool::Cluster),
    (set::NODE_PORT_LOCAL_BACKENDS, set::NODE_PORT_FRONTENDS, Pool::Local),
];

/// The slots of every pool that the kernel holds, in either layout.
#[must_use]
pub fn slots_in(installed: &Installed) -> Slots {
    let mut slots = Slots::default();
    for (family, table) in &installed.tables {
        for (name, chain) in table.chains.iter().filter(|(name, _)| pool_of_chain(name).is_some()) {
            let rules = chain.rules.iter().rev().filter_map(|rule| rule.rule.as_ref());
            slots.insert_chain(*family, name.clone(), rules.filter_map(backend_of).collect());
        }
        for (map, frontends, pool) in BACKEND_MAPS {
            let (Some(map), Some(frontends)) = (table.sets.get(map), table.sets.get(frontends)) else {
                continue;
            };
            for (frontend, backends) in by_frontend(&map.elements) {
                let frontend = Value::from_bytes(frontend);
                let owner = frontends.elements.get(&frontend).and_then(|element| element.comment.clone());
                if let Some(owner) = owner {
                    slots.insert_frontend(*family, pool, frontend, owner, backends);
                }
            }
        }
    }
    slots
}

/// The backends of each frontend by slot. Elements are sorted, so those of a frontend follow each other.
fn by_frontend(elements: &Elements) -> Vec<(&[u8], Vec<SocketAddr>)> {
    let mut found = Vec::new();
    let mut of_one: Vec<(u32, SocketAddr)> = Vec::new();
    let mut elements = elements.iter().filter_map(backend_in_slot).peekable();
    while let Some((frontend, slot, backend)) = elements.next() {
        of_one.push((slot, backend));
        if elements.peek().is_none_or(|(next, ..)| *next != frontend) {
            // Keys have the slot in the host's byte order, so theirs is not the order of slots.
            of_one.sort_unstable();
            found.push((frontend, of_one.drain(..).map(|(_, backend)| backend).collect()));
        }
    }
    found
}

/// What an element of a map of backends says: a frontend's key, a slot and the backend there.
fn backend_in_slot<'a>((key, element): (&'a Value, &Element)) -> Option<(&'a [u8], u32, SocketAddr)> {
    let (frontend, slot) = key.as_bytes().split_last_chunk()?;
    let ElementData::Value(value) = &element.data else { return None };
    Some((frontend, u32::from_ne_bytes(*slot), socket_address(value)?))
}

/// The backend that a rule of a pool's chain picks; none for the rule that asks the affinity map.
fn backend_of(rule: &Rule) -> Option<SocketAddr> {
    let [.., Expr::Immediate { value: address, .. }, Expr::Immediate { value: port, .. }, Expr::Dnat { .. }] =
        rule.exprs.as_slice()
    else {
        return None;
    };
    let port: [u8; 2] = port.as_bytes().try_into().ok()?;
    Some(SocketAddr::new(ip_address(address.as_bytes())?, u16::from_be_bytes(port)))
}

/// An address and a port as a map's data hold them.
fn socket_address(value: &Value) -> Option<SocketAddr> {
    let (address, [high, low, ..]) = value.as_bytes().split_last_chunk::<4>()?;
    Some(SocketAddr::new(ip_address(address)?, u16::from_be_bytes([*high, *low])))
}

fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
