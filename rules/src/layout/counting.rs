//! Counting new connections: elements that are there for nothing else.
//!
//! The kernel counts on an element for as long as it is there. So those that count are in sets of their own, which are the same
//! in all layouts, and come and go with their frontend or their backend alone, whatever becomes of the rules and the slots
//! that serve them. The chain that looks them up is a part of the [program](super::program()).

use std::net::SocketAddr;

use super::fragment::ElementAt;
use super::frontend::FrontendKey;
use super::lowering::Lowering;
use super::names::set;
use super::set_name::SetName;
use crate::route::{Backend, Frontend, FrontendAddress, Pool, Route};
use crate::ruleset::{Element, Value};

impl FrontendKey {
    /// The set that counts the frontend's connections and the one that counts them by backend.
    #[must_use]
    pub fn counting_sets(&self) -> (&'static str, &'static str) {
        match self.at {
            FrontendAddress::Address(..) => (set::FRONTEND_CONNECTIONS, set::BACKEND_CONNECTIONS),
            FrontendAddress::NodePort(_) => {
                (set::NODE_PORT_FRONTEND_CONNECTIONS, set::NODE_PORT_BACKEND_CONNECTIONS)
            }
        }
    }

    /// The key of a backend in the set that counts the frontend's connections by backend.
    #[must_use]
    pub fn value_with(&self, backend: SocketAddr) -> Value {
        with(self.value(), backend)
    }
}

fn with(frontend: Value, backend: SocketAddr) -> Value {
    frontend.addr(backend.ip()).port(backend.port())
}

/// Adds the elements that count a frontend's connections, all and by backend. `key` is the frontend's. One that refuses its
/// clients for want of backends keeps its count.
pub(super) fn count(
    lowering: &Lowering<'_>,
    frontend: &Frontend,
    key: &Value,
    elements: &mut Vec<ElementAt>,
) {
    let (of_frontend, of_backends) = match frontend.at {
        FrontendAddress::Address(..) => (SetName::FrontendConnections, SetName::BackendConnections),
        FrontendAddress::NodePort(_) => {
            (SetName::NodePortFrontendConnections, SetName::NodePortBackendConnections)
        }
    };
    let own = Element::key_only().with_comment(lowering.comment());
    elements.push(lowering.at(of_frontend, key.clone(), own));
    let pairs = backends(lowering.route, frontend).map(|backend| with(key.clone(), backend));
    elements.extend(pairs.map(|pair| lowering.at(of_backends, pair, Element::key_only())));
}

/// The backends that a frontend may send connections to, each once. Pools are sorted.
pub(crate) fn backends<'a, 'b>(
    route: &'a Route<'b>,
    frontend: &Frontend,
) -> impl Iterator<Item = SocketAddr> + use<'a, 'b> {
    let pools = frontend.handling.pools();
    let of = |pool| if pools.contains(&pool) { route.backends(pool) } else { &[][..] };
    let (every, local) = (of(Pool::Cluster), of(Pool::Local));
    let is_new =
        move |backend: &&Backend<'_>| every.binary_search_by_key(&backend.address, |at| at.address).is_err();
    every.iter().chain(local.iter().filter(is_new)).map(|backend| backend.address)
}
