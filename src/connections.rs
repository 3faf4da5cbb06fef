//! New connections as the kernel has counted them (`--counters`): what the agent answers, what metrics show, and what can be
//! read without an agent.
//!
//! The frontends' counters name their Services, so the kernel alone tells all of them. Which backends a frontend has is for the
//! caller to say: an agent knows it, and [`describe::counted`](svcnat_rules::describe::counted) finds it in rules.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use svcnat_rules::describe::{Counted, service_port};
use svcnat_rules::flows::read_key;
use svcnat_rules::layout::{FrontendKey, set};
use svcnat_rules::name::{Name, ObjectName};
use svcnat_rules::net::{Family, Protocol};
use svcnat_rules::route::FrontendAddress;
use svcnat_rules::ruleset::Value;

use crate::agent_api::{BackendConnections, FrontendConnections};
use crate::netlink::{Error, Netlink, Transport};

/// The sets that count the connections of frontends.
const FRONTENDS: [&str; 2] = [set::FRONTEND_CONNECTIONS, set::NODE_PORT_FRONTEND_CONNECTIONS];

/// All frontends, or those of a namespace's Services, without their backends; `None` where the rules do not count.
///
/// # Errors
///
/// Those of reading the kernel: see [`Error`].
pub fn frontends<T: Transport>(
    kernel: &mut Netlink<T>,
    namespace: Option<&str>,
) -> Result<Option<Vec<FrontendConnections>>, Error> {
    let mut found = None;
    for family in Family::ALL {
        for name in FRONTENDS {
            let Some(counts) = kernel.counts(family, &Name::from(name))? else { continue };
            let of_ours = counts.into_iter().filter_map(|(key, count)| {
                let (service, port) = service_port(count.comment.as_deref()?)?;
                let is_asked_for = namespace.is_none_or(|namespace| service.namespace() == namespace);
                let frontend = read_key(family, name, &key).filter(|_| is_asked_for)?;
                Some(shown(&service, &frontend, port, count.packets))
            });
            found.get_or_insert_with(Vec::new).extend(of_ours);
        }
    }
    if let Some(found) = &mut found {
        put_in_order(found);
    }
    Ok(found)
}

/// The frontends of some Services with their backends. Those that the kernel does not count, as when they are gone meanwhile,
/// are left out.
///
/// # Errors
///
/// Those of reading the kernel: see [`Error`].
pub fn with_backends<T: Transport>(
    kernel: &mut Netlink<T>,
    services: &[(ObjectName, Vec<Counted>)],
) -> Result<Vec<FrontendConnections>, Error> {
    let mut wanted: HashMap<(Family, &'static str), Vec<Value>> = HashMap::new();
    for Counted { frontend, backends, .. } in services.iter().flat_map(|(_, counted)| counted) {
        let (own, pairs) = frontend.counting_sets();
        wanted.entry((frontend.family, own)).or_default().push(frontend.value());
        let backends = backends.iter().map(|backend| frontend.value_with(*backend));
        wanted.entry((frontend.family, pairs)).or_default().extend(backends);
    }
    let mut counts: HashMap<(Family, &'static str), HashMap<Value, u64>> = HashMap::new();
    for ((family, set), keys) in wanted {
        counts.insert((family, set), kernel.counts_at(family, &Name::from(set), &keys)?);
    }
    let count = |family, set, key: Value| counts.get(&(family, set))?.get(&key).copied();
    let all = services.iter().flat_map(|(service, counted)| counted.iter().map(move |of| (service, of)));
    let described = all.filter_map(|(service, Counted { frontend, port, backends })| {
        let (own, pairs) = frontend.counting_sets();
        let connections = count(frontend.family, own, frontend.value())?;
        let backend = |backend: &SocketAddr| {
            let connections = count(frontend.family, pairs, frontend.value_with(*backend))?;
            Some(BackendConnections { address: backend.ip(), port: backend.port(), connections })
        };
        let backends = backends.iter().filter_map(backend).collect();
        Some(FrontendConnections { backends, ..shown(service, frontend, port.clone(), connections) })
    });
    let mut described: Vec<FrontendConnections> = described.collect();
    put_in_order(&mut described);
    Ok(described)
}

fn shown(
    service: &ObjectName,
    frontend: &FrontendKey,
    port_name: Name,
    connections: u64,
) -> FrontendConnections {
    let (address, port) = match frontend.at {
        FrontendAddress::Address(address, port) => (Some(address), port),
        FrontendAddress::NodePort(port) => (None, port),
    };
    FrontendConnections {
        namespace: service.namespace().to_owned(),
        service: service.name().to_owned(),
        port_name,
        protocol: frontend.protocol,
        address,
        port: port.get(),
        connections,
        backends: Vec::new(),
    }
}

/// By Service, port and frontend, addresses before node ports. A node port is there once for both families.
fn put_in_order(frontends: &mut Vec<FrontendConnections>) {
    type Key<'a> = (&'a str, &'a str, &'a Name, Protocol, bool, Option<IpAddr>, u16);
    fn key(of: &FrontendConnections) -> Key<'_> {
        (&of.namespace, &of.service, &of.port_name, of.protocol, of.address.is_none(), of.address, of.port)
    }
    frontends.sort_by(|a, b| key(a).cmp(&key(b)));
    frontends.dedup_by(|second, first| {
        let same = key(first) == key(second);
        if same {
            first.connections = first.connections.saturating_add(second.connections);
            first.backends.append(&mut second.backends);
        }
        same
    });
    frontends.iter_mut().for_each(|frontend| frontend.backends.sort_unstable());
}
