//! Finding in the kernel's own rules and maps which backend is in which slot.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::names::{pool_of_chain, set};
use super::slots::Slots;
use crate::installed::Installed;
use crate::route::Pool;
use crate::ruleset::{ElementData, Elements, Expr, Rule, Value};

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

/// The backends of each frontend by slot.
fn by_frontend(elements: &Elements) -> impl Iterator<Item = (&[u8], Vec<SocketAddr>)> {
    let mut by_frontend: HashMap<&[u8], Vec<(u32, SocketAddr)>> = HashMap::new();
    for (key, element) in elements {
        let (Some((frontend, slot)), ElementData::Value(value)) =
            (key.as_bytes().split_last_chunk(), &element.data)
        else {
            continue;
        };
        if let Some(backend) = socket_address(value) {
            by_frontend.entry(frontend).or_default().push((u32::from_ne_bytes(*slot), backend));
        }
    }
    by_frontend.into_iter().map(|(frontend, mut backends)| {
        backends.sort_unstable();
        (frontend, backends.into_iter().map(|(_, backend)| backend).collect())
    })
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
