//! What rules alone tell of Services: names, frontends, and the backends that they lead to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::{BackendCount, BackendSummary, PortSummary, ServiceSummary, Use};
use crate::explain::pod_at;
use crate::flows::{Frontend, Frontends, read_key};
use crate::layout::{FrontendKey, service_of_element, set};
use crate::name::{Name, ObjectName};
use crate::net::{Family, Protocol};
use crate::resolve::Why;
use crate::route::FrontendAddress;
use crate::ruleset::{Ruleset, Table, Value};

/// The Services that a ruleset serves, whatever it was made from.
#[derive(Debug)]
pub struct Listed<'a> {
    ruleset: &'a Ruleset,
    services: BTreeMap<ObjectName, Vec<Found>>,
}

/// A frontend with what the rules say of it.
#[derive(Debug)]
struct Found {
    key: FrontendKey,
    kind: Kind,
    /// The name of the service port.
    port: Name,
    affinity_seconds: Option<u32>,
    /// Where it leads; to no backend where it is refused.
    leads: Frontend,
}

/// What kind of frontend it is, as far as rules tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    ClusterIp,
    /// An external IP, or a load-balancer address that everyone may connect to.
    External,
    /// A load-balancer address that not everyone may connect to.
    Restricted,
    NodePort,
}

/// The maps whose elements are frontends.
const MAPS: [&str; 4] =
    [set::FRONTENDS, set::NO_ENDPOINTS, set::NODE_PORT_FRONTENDS, set::NODE_PORT_NO_ENDPOINTS];

impl<'a> Listed<'a> {
    /// Looks through the maps of frontends.
    #[must_use]
    pub fn of(ruleset: &'a Ruleset) -> Self {
        let frontends = Frontends::of(ruleset, &Protocol::ALL, &BTreeSet::new());
        let mut services: BTreeMap<ObjectName, Vec<Found>> = BTreeMap::new();
        for (family, table) in &ruleset.tables {
            for map in MAPS {
                for (value, element) in table.sets.get(map).into_iter().flat_map(|set| &set.elements) {
                    let key = read_key(*family, map, value);
                    let named = service_of_element(element).and_then(service_port);
                    let (Some(key), Some((service, port))) = (key, named) else { continue };
                    let kind = kind(table, &key, value);
                    let affinity_seconds = affinity_seconds(table, kind, value);
                    let leads = frontends.get(&key).cloned().unwrap_or_default();
                    let found = Found { key, kind, port, affinity_seconds, leads };
                    services.entry(service).or_default().push(found);
                }
            }
        }
        Self { ruleset, services }
    }

    /// Every Service, in the order of their names.
    pub fn services(&self) -> impl Iterator<Item = ServiceSummary> {
        self.services.iter().map(|(name, found)| summary(name, found))
    }

    /// The backends of a Service; `None` where no rule serves it.
    #[must_use]
    pub fn backends(&self, service: &ObjectName) -> Option<Vec<BackendSummary>> {
        let found = self.services.get(service)?;
        let mut by_backend: BTreeMap<(&Name, Protocol, SocketAddr), Vec<&Found>> = BTreeMap::new();
        for frontend in found {
            for other in found.iter().filter(|other| other.serves_as(frontend)) {
                for backend in frontend.leads.backends() {
                    let key = (&frontend.port, frontend.key.protocol, backend);
                    by_backend.entry(key).or_default().push(other);
                }
            }
        }
        let described = by_backend.into_iter().map(|((port, protocol, address), frontends)| {
            let table = self.ruleset.tables.get(&Family::of(address.ip()));
            let of = |internal: bool| {
                let mut of =
                    frontends.iter().filter(move |found| (found.kind == Kind::ClusterIp) == internal);
                of.next().map(|first| (*first, of))
            };
            let any = |internal: bool, leads: &dyn Fn(&Frontend) -> bool| {
                let (first, mut rest) = of(internal)?;
                let used = leads(&first.leads) || rest.any(|found| leads(&found.leads));
                Some(Use::from(if used { Why::InRules } else { Why::NotInRules }))
            };
            BackendSummary {
                port: port.clone(),
                protocol,
                address,
                pod: table.and_then(|table| pod_at(table, address)),
                node: None,
                zone: None,
                conditions: None,
                internal: any(true, &|leads| leads.has(address)),
                external: any(false, &|leads| leads.has_for_everyone(address)),
                local: any(false, &|leads| leads.has(address)),
            }
        });
        Some(described.collect())
    }
}

impl Found {
    /// Whether both are of the same service port and family.
    fn serves_as(&self, other: &Self) -> bool {
        (self.key.family, self.key.protocol, &self.port)
            == (other.key.family, other.key.protocol, &other.port)
    }
}

/// Parts `namespace/name/port`, what comments name frontends by; the port is empty where it has no name.
#[must_use]
pub fn service_port(text: &str) -> Option<(ObjectName, Name)> {
    let (namespace, rest) = text.split_once('/')?;
    let (name, port) = rest.split_once('/').unwrap_or((rest, ""));
    Some((ObjectName::new(namespace, name), Name::from(port)))
}

fn kind(table: &Table, key: &FrontendKey, value: &Value) -> Kind {
    let holds =
        |set: &str, key: &Value| table.sets.get(set).is_some_and(|set| set.elements.contains_key(key));
    match key.at {
        FrontendAddress::NodePort(_) => Kind::NodePort,
        FrontendAddress::Address(address, _) if holds(set::CLUSTER_IPS, &Value::new().addr(address)) => {
            Kind::ClusterIp
        }
        FrontendAddress::Address(..) if holds(set::SOURCE_RESTRICTED, value) => Kind::Restricted,
        FrontendAddress::Address(..) => Kind::External,
    }
}

fn affinity_seconds(table: &Table, kind: Kind, value: &Value) -> Option<u32> {
    let is_sticky = if kind == Kind::NodePort { set::is_sticky_node_ports } else { set::is_sticky };
    let mut sticky =
        table.sets.iter().filter(|(name, set)| is_sticky(name) && set.elements.contains_key(value));
    sticky.next().and_then(|(name, _)| set::sticky_seconds(name))
}

fn summary(name: &ObjectName, found: &[Found]) -> ServiceSummary {
    let addresses = |kind: Kind| -> Vec<IpAddr> {
        let of_kind = found.iter().filter(|found| found.kind == kind);
        let addresses: BTreeSet<IpAddr> = of_kind
            .filter_map(|found| match found.key.at {
                FrontendAddress::Address(address, _) => Some(address),
                FrontendAddress::NodePort(_) => None,
            })
            .collect();
        addresses.into_iter().collect()
    };
    let backends: BTreeSet<IpAddr> =
        found.iter().flat_map(|found| found.leads.backends()).map(|backend| backend.ip()).collect();
    ServiceSummary {
        namespace: name.namespace().to_owned(),
        name: name.name().to_owned(),
        kind: None,
        created: None,
        labels: None,
        cluster_ips: addresses(Kind::ClusterIp),
        external_ips: addresses(Kind::External),
        load_balancer_ips: addresses(Kind::Restricted),
        ports: ports(found),
        backends: BackendCount { ready: backends.len(), local: None, total: None },
        internal_traffic_policy: None,
        external_traffic_policy: None,
        affinity_seconds: found.iter().find_map(|found| found.affinity_seconds),
        load_balancer_source_ranges: None,
        health_check_node_port: None,
        conflicts: None,
    }
}

fn ports(found: &[Found]) -> Vec<PortSummary> {
    let mut ports: BTreeMap<(&Name, Protocol), PortSummary> = BTreeMap::new();
    for found in found {
        let (name, protocol) = (&found.port, found.key.protocol);
        let port = ports.entry((name, protocol)).or_insert_with(|| PortSummary {
            name: name.clone(),
            protocol,
            port: None,
            node_port: None,
        });
        match found.key.at {
            FrontendAddress::Address(_, number) => port.port = Some(number),
            FrontendAddress::NodePort(number) => port.node_port = Some(number),
        }
    }
    let mut ports: Vec<PortSummary> = ports.into_values().collect();
    ports.sort_by_key(|port| port.port);
    ports
}
