//! The names of our chains and lists: readable where they fit, else with a hash of what they stand for.

use std::net::{IpAddr, SocketAddr};

use data_encoding::BASE32_NOPAD;
use sha2::{Digest as _, Sha256};

use crate::name::Name;
use crate::route::{Pool, ServicePortName};

/// How the names of all our chains begin, and of nobody else's.
pub const PREFIX: &str = "SVCNAT-";

/// The longest name of a chain in bytes (`XT_EXTENSION_MAXNAMELEN` is 29 with the closing NUL).
pub const MAX_CHAIN: usize = 28;

/// The longest name of a list of `-m recent` in bytes (`XT_RECENT_NAME_LEN` is 200 with the closing NUL).
pub(super) const MAX_LIST: usize = 199;

/// Chains that name no Service.
pub(crate) mod chain {
    pub const SERVICES: &str = "SVCNAT-SERVICES";
    pub const NODE_PORTS: &str = "SVCNAT-NODE-PORTS";
    pub const TO_CLUSTER_IP: &str = "SVCNAT-TO-CLUSTER-IP";
    pub const MASQUERADE_LATER: &str = "SVCNAT-MASQUERADE-LATER";
    pub const POSTROUTING: &str = "SVCNAT-POSTROUTING";
    pub const MASQUERADE: &str = "SVCNAT-MASQUERADE";
    pub const HAIRPIN: &str = "SVCNAT-HAIRPIN";
    pub const SOURCES: &str = "SVCNAT-SOURCES";
    pub const NO_ENDPOINTS: &str = "SVCNAT-NO-ENDPOINTS";
    pub const NO_ENDPOINTS_NODE_PORTS: &str = "SVCNAT-NO-ENDPOINTS-NODE";
    pub const CLUSTER_IPS: &str = "SVCNAT-CLUSTER-IPS";
    pub const REJECT: &str = "SVCNAT-REJECT";
}

/// How the names begin of chains that stand for something.
pub(crate) mod prefix {
    pub const POOL: &str = "SVCNAT-SVC-";
    pub const LOCAL_POOL: &str = "SVCNAT-SVL-";
    pub const EXTERNAL: &str = "SVCNAT-EXT-";
    pub const SOURCES: &str = "SVCNAT-FW-";
    pub const ADDRESS: &str = "SVCNAT-IP-";
}

/// The chain that picks one of a pool's backends.
pub(super) fn pool_chain(port: &ServicePortName, pool: Pool) -> Name {
    fit(if pool == Pool::Cluster { prefix::POOL } else { prefix::LOCAL_POOL }, &port.to_string(), MAX_CHAIN)
}

/// The chain for connections from outside.
pub(super) fn external_chain(port: &ServicePortName) -> Name {
    fit(prefix::EXTERNAL, &port.to_string(), MAX_CHAIN)
}

/// The chain of those who may connect to the load-balancer addresses.
pub(super) fn sources_chain(port: &ServicePortName) -> Name {
    fit(prefix::SOURCES, &port.to_string(), MAX_CHAIN)
}

/// The chain of an address.
pub(super) fn address_chain(address: IpAddr) -> Name {
    fit(prefix::ADDRESS, &address.to_string(), MAX_CHAIN)
}

/// The list of the clients of a backend. It is a file name below `/proc/net/xt_recent`; no part of it holds a `_`.
pub(super) fn clients_list(port: &ServicePortName, backend: SocketAddr) -> Name {
    fit("svcnat_", &format!("{port}/{backend}").replace('/', "_"), MAX_LIST)
}

/// How many characters of the hash are in a name: 60 bits.
const HASH: usize = 12;

/// The prefix and the text; where that is too long, the text's beginning and a hash of all of it. Names in Kubernetes have
/// lower-case letters and the hash upper-case ones, so the two kinds are never the same.
fn fit(prefix: &str, text: &str, max: usize) -> Name {
    if prefix.len() + text.len() <= max {
        return Name::from(format!("{prefix}{text}"));
    }
    let mut hash = BASE32_NOPAD.encode(&Sha256::digest(text.as_bytes()));
    hash.truncate(HASH);
    let room = max.saturating_sub(prefix.len() + 1 + HASH);
    let end =
        text.char_indices().map(|(start, c)| start + c.len_utf8()).take_while(|end| *end <= room).last();
    let head = end.and_then(|end| text.get(..end)).unwrap_or_default();
    Name::from(format!("{prefix}{head}.{hash}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::ObjectName;
    use crate::net::Protocol;

    fn port(service: &str, port: &str) -> ServicePortName {
        let (namespace, name) = service.split_once('/').unwrap();
        ServicePortName {
            service: ObjectName::new(namespace, name),
            port: Name::from(port),
            protocol: Protocol::Tcp,
        }
    }

    #[test]
    fn names_are_readable_where_they_fit() {
        let check = |name: Name, expected: &str| {
            assert_eq!(name, expected);
            assert!(name.len() <= MAX_CHAIN, "{name}");
        };
        check(pool_chain(&port("default/web", "http"), Pool::Cluster), "SVCNAT-SVC-default/web/http");
        check(pool_chain(&port("shop/api", ""), Pool::Local), "SVCNAT-SVL-shop/api");
        check(address_chain("255.255.255.255".parse().unwrap()), "SVCNAT-IP-255.255.255.255");
        check(address_chain("fd00:10:96::a".parse().unwrap()), "SVCNAT-IP-fd00:10:96::a");
        // These must never change: they tell the chains of the program that ran before from those of strangers.
        check(external_chain(&port("default/kubernetes", "https")), "SVCNAT-EXT-defa.3DJSGHYPV7WJ");
        check(address_chain("2001:db8:1111:2222::3333".parse().unwrap()), "SVCNAT-IP-2001:.JC5UWNHALWJ7");
    }

    #[test]
    fn a_list_is_named_after_service_port_and_backend() {
        let backend = "[fd00::1]:8080".parse().unwrap();
        let list = clients_list(&port("default/web", "http"), backend);
        assert_eq!(list, "svcnat_default_web_http_[fd00::1]:8080");
        let longest = "x".repeat(63);
        let list = clients_list(&port(&format!("{longest}/{longest}"), &longest), backend);
        assert_eq!(list.len(), MAX_LIST);
    }
}
