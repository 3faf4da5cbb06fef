//! The names of sets and chains. They are what operators see in `nft list`, so they say what a thing does and for whom.

use crate::name::Name;
use crate::route::{Pool, ServicePortName};
use crate::ruleset::{Element, ElementData, MAX_COMMENT, MAX_NAME};

/// Names of sets and maps.
pub mod set {
    /// Address frontend -> chain.
    pub const FRONTENDS: &str = "frontends";
    /// Node port -> chain.
    pub const NODE_PORT_FRONTENDS: &str = "node-port-frontends";
    /// Address frontends that nothing serves -> what becomes of their clients.
    pub const NO_ENDPOINTS: &str = "no-endpoints";
    /// Node ports that nothing serves -> what becomes of their clients.
    pub const NODE_PORT_NO_ENDPOINTS: &str = "node-port-no-endpoints";
    /// Address frontend and slot -> backend.
    pub const BACKENDS: &str = "backends";
    /// Address frontend and slot -> backend on this node.
    pub const LOCAL_BACKENDS: &str = "local-backends";
    /// Node port and slot -> backend.
    pub const NODE_PORT_BACKENDS: &str = "node-port-backends";
    /// Node port and slot -> backend on this node.
    pub const NODE_PORT_LOCAL_BACKENDS: &str = "node-port-local-backends";
    /// All ClusterIPs.
    pub const CLUSTER_IPS: &str = "cluster-ips";
    /// The node's addresses on which node ports are served.
    pub const NODE_PORT_IPS: &str = "node-port-ips";
    /// Frontends that not every source may connect to.
    pub const SOURCE_RESTRICTED: &str = "source-restricted";
    /// Who may connect to them.
    pub const SOURCE_ALLOWED: &str = "source-allowed";
    /// Pairs of equal addresses: pods of this node that a Service may send back to themselves.
    pub const HAIRPIN: &str = "hairpin";
    /// Client and frontend -> backend, written by the packet path.
    pub const AFFINITY: &str = "affinity";
    /// Address frontends, each with a counter of new connections.
    pub const FRONTEND_CONNECTIONS: &str = "frontend-connections";
    /// Node ports, each with a counter of new connections.
    pub const NODE_PORT_FRONTEND_CONNECTIONS: &str = "node-port-frontend-connections";
    /// Address frontends with each of their backends and a counter of new connections.
    pub const BACKEND_CONNECTIONS: &str = "backend-connections";
    /// Node ports with each of their backends and a counter of new connections.
    pub const NODE_PORT_BACKEND_CONNECTIONS: &str = "node-port-backend-connections";

    const STICKY: &str = "sticky-";
    const STICKY_NODE_PORTS: &str = "sticky-node-ports-";

    /// Address frontends whose clients stay with their backend for so many seconds.
    #[must_use]
    pub fn sticky(seconds: u32) -> String {
        format!("{STICKY}{seconds}")
    }

    /// Node ports whose clients stay with their backend for so many seconds.
    #[must_use]
    pub fn sticky_node_ports(seconds: u32) -> String {
        format!("{STICKY_NODE_PORTS}{seconds}")
    }

    /// Whether it is a name that [`sticky`] makes.
    pub(crate) fn is_sticky(name: &str) -> bool {
        ends_in_seconds(name, STICKY)
    }

    /// Whether it is a name that [`sticky_node_ports`] makes.
    pub(crate) fn is_sticky_node_ports(name: &str) -> bool {
        ends_in_seconds(name, STICKY_NODE_PORTS)
    }

    /// The seconds in a name that [`sticky`] or [`sticky_node_ports`] makes.
    pub(crate) fn sticky_seconds(name: &str) -> Option<u32> {
        [STICKY_NODE_PORTS, STICKY].into_iter().find_map(|prefix| name.strip_prefix(prefix)?.parse().ok())
    }

    fn ends_in_seconds(name: &str, prefix: &str) -> bool {
        name.strip_prefix(prefix).is_some_and(|seconds| seconds.parse::<u32>().is_ok())
    }
}

/// Names of chains that belong to the program.
pub(crate) mod chain {
    pub const SERVICES: &str = "services";
    pub const MASQUERADE_LATER: &str = "masquerade-later";
    pub const REMEMBER_CLIENT: &str = "remember-client";
    pub const REJECT_CONNECTION: &str = "reject-connection";
    pub const CHECK_ENDPOINTS: &str = "check-endpoints";
    pub const CHECK_SOURCES: &str = "check-sources";
    pub const CHECK_CLUSTER_IPS: &str = "check-cluster-ips";
    pub const COUNT_CONNECTION: &str = "count-connection";
}

const SERVICE: &str = "service-";
const LOCAL: &str = "local-";
const EXTERNAL: &str = "external-";

/// The chains that Services share in the layout `maps` pick one of a pool's backends; what comes before in their names
/// says for whom, what comes after among how many.
const PICK: &str = "pick-";
const PICK_LOCAL: &str = "pick-local-";

/// The chain that picks one of a pool's backends.
pub(super) fn pool_chain(port: &ServicePortName, pool: Pool) -> Name {
    name(if pool == Pool::Cluster { SERVICE } else { LOCAL }, port)
}

/// The chain for connections from outside.
pub(super) fn external_chain(port: &ServicePortName) -> Name {
    name(EXTERNAL, port)
}

/// The beginning of the name of a shared chain that picks one of a pool's backends.
pub(super) fn pick_prefix(pool: Pool) -> &'static str {
    if pool == Pool::Cluster { PICK } else { PICK_LOCAL }
}

/// The chain that Services share for connections from outside, in front of the chain that picks; with policy Local it
/// says which local one.
pub(super) fn shared_external_chain(local: Option<&str>, picks: &str) -> Name {
    let local = local.map(|local| format!("{LOCAL}{local}-")).unwrap_or_default();
    Name::from(format!("{EXTERNAL}{local}{picks}"))
}

/// The pool whose backends a chain picks from, where it is such a chain.
#[must_use]
pub fn pool_of_chain(chain: &str) -> Option<Pool> {
    if chain.starts_with(SERVICE) {
        Some(Pool::Cluster)
    } else if chain.starts_with(LOCAL) {
        Some(Pool::Local)
    } else {
        None
    }
}

/// The service port that a chain was made for, where it was made for one.
pub(crate) fn service_of_chain(chain: &str) -> Option<&str> {
    let service = [SERVICE, LOCAL, EXTERNAL].into_iter().find_map(|prefix| chain.strip_prefix(prefix))?;
    // Chains that Services share may begin with the same words, but name no `namespace/name`.
    service.contains('/').then_some(service)
}

/// The service port that an element of a map of frontends serves or refuses: its comment, else what its verdict's chain is
/// named after.
pub(crate) fn service_of_element(element: &Element) -> Option<&str> {
    let of_chain = || match &element.data {
        ElementData::Verdict(verdict) => service_of_chain(verdict.chain()?),
        ElementData::None | ElementData::Value(_) => None,
    };
    element.comment.as_deref().or_else(of_chain)
}

/// Whether a chain is for connections from outside.
pub(crate) fn is_external_chain(chain: &str) -> bool {
    chain.starts_with(EXTERNAL)
}

/// Whether a chain picks among the backends of this node only: one of a service port's own, or one that Services share.
pub(crate) fn picks_local(chain: &str) -> bool {
    if chain.contains('/') { chain.starts_with(LOCAL) } else { chain.contains(PICK_LOCAL) }
}

/// Namespace, Service and port names are RFC 1123 labels of at most 63 characters, so the name always fits; the cut is
/// for callers that did not validate.
fn name(prefix: &str, port: &ServicePortName) -> Name {
    let mut name = format!("{prefix}{port}");
    while name.len() > MAX_NAME {
        name.pop();
    }
    Name::from(name)
}

/// A comment, cut where the kernel would cut it: a Pod's name alone may have 253 characters.
pub(crate) fn comment(text: Name) -> Name {
    const CUT: &str = "...";
    if text.len() <= MAX_COMMENT {
        return text;
    }
    let fits = text.char_indices().map(|(start, c)| start + c.len_utf8());
    let end = fits.take_while(|end| *end <= MAX_COMMENT - CUT.len()).last();
    Name::from(format!("{}{CUT}", end.and_then(|end| text.get(..end)).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_is_called_does_not_make_its_chains_local() {
        let check = |chain: &str, expected| assert_eq!(picks_local(chain), expected, "{chain}");
        check("local-shop/api/http", true);
        check("service-shop/api/http", false);
        check("service-shop/pick-local-4/http", false);
        check("pick-local-4", true);
        check("node-port-sticky-pick-local-4", true);
        check("sticky-pick-4", false);
        check("external-local-4-pick-8", false);
    }

    #[test]
    fn a_comment_that_is_too_long_is_cut_and_shows_it() {
        let check =
            |text: String, expected: &str| assert_eq!(comment(Name::from(text.as_str())), expected, "{text}");
        check("shop/web-0".to_owned(), "shop/web-0");
        check("x".repeat(127), &"x".repeat(127));
        check("x".repeat(128), &format!("{}...", "x".repeat(124)));
        // Never in the middle of a character, whoever the caller is.
        check("\u{e4}".repeat(64), &format!("{}...", "\u{e4}".repeat(62)));
    }
}
