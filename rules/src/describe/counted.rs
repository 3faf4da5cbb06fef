//! What the kernel counts new connections of, where it counts them.

use std::net::SocketAddr;

use super::service_port;
use crate::flows::{read_backend, read_key};
use crate::layout::{FrontendKey, set};
use crate::name::{Name, ObjectName};
use crate::ruleset::Ruleset;

/// A frontend of a Service with the backends by which its connections are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The frontend.
    pub frontend: FrontendKey,
    /// The name of the service port.
    pub port: Name,
    /// The backends that it may send connections to.
    pub backends: Vec<SocketAddr>,
}

/// What is counted of a Service, as rules alone tell. Nothing where they do not count.
#[must_use]
pub fn counted(ruleset: &Ruleset, service: &ObjectName) -> Vec<Counted> {
    let mut found = Vec::new();
    for (family, table) in &ruleset.tables {
        for name in [set::FRONTEND_CONNECTIONS, set::NODE_PORT_FRONTEND_CONNECTIONS] {
            for (key, element) in table.sets.get(name).into_iter().flat_map(|set| &set.elements) {
                let named = element.comment.as_deref().and_then(service_port);
                let (Some(frontend), Some((of, port))) = (read_key(*family, name, key), named) else {
                    continue;
                };
                if of != *service {
                    continue;
                }
                let pairs = table.sets.get(frontend.counting_sets().1).map(|set| &set.elements);
                let pairs = pairs.into_iter().flat_map(|elements| elements.range(key..));
                let backends = pairs
                    .map_while(|(pair, _)| pair.as_bytes().strip_prefix(key.as_bytes()))
                    .filter_map(|backend| read_backend(*family, backend))
                    .collect();
                found.push(Counted { frontend, port, backends });
            }
        }
    }
    found
}
