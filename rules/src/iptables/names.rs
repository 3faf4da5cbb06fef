//! The names of our chains and lists: readable where they fit, else with a hash of what they stand for.

use std::cell::OnceCell;
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

/// The names of a service port's chains, each made once and all with the same hash.
pub(super) struct PortChains {
    text: Name,
    hash: OnceCell<String>,
    pool: OnceCell<Name>,
    local_pool: OnceCell<Name>,
    external: OnceCell<Name>,
}

impl PortChains {
    pub fn of(port: &ServicePortName) -> Self {
        let (hash, pool, local_pool, external) = Default::default();
        Self { text: port.text(), hash, pool, local_pool, external }
    }

    /// The chain that picks one of a pool's backends.
    pub fn pool(&self, pool: Pool) -> Name {
        let (name, prefix) = match pool {
            Pool::Cluster => (&self.pool, prefix::POOL),
            Pool::Local => (&self.local_pool, prefix::LOCAL_POOL),
        };
        name.get_or_init(|| self.fit(prefix)).clone()
    }

    /// The chain for connections from outside.
    pub fn external(&self) -> Name {
        self.external.get_or_init(|| self.fit(prefix::EXTERNAL)).clone()
    }

    /// The chain of those who may connect to the load-balancer addresses.
    pub fn sources(&self) -> Name {
        self.fit(prefix::SOURCES)
    }

    fn fit(&self, prefix: &str) -> Name {
        fit_with(prefix, &self.text, MAX_CHAIN, || self.hash.get_or_init(|| hash(&self.text)))
    }
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
    fit_with(prefix, text, max, || hash(text))
}

/// The same with a hash that may be known already.
fn fit_with<H: AsRef<str>>(prefix: &str, text: &str, max: usize, hash: impl FnOnce() -> H) -> Name {
    if prefix.len() + text.len() <= max {
        return Name::from([prefix, text].concat());
    }
    let room = max.saturating_sub(prefix.len() + 1 + HASH);
    let end =
        text.char_indices().map(|(start, c)| start + c.len_utf8()).take_while(|end| *end <= room).last();
    let head = end.and_then(|end| text.get(..end)).unwrap_or_default();
    Name::from([prefix, head, ".", hash().as_ref()].concat())
}

fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    // Five bits make a character.
    let mut hash = BASE32_NOPAD.encode(digest.get(..(HASH * 5).div_ceil(8)).unwrap_or_default());
    hash.truncate(HASH);
    hash
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
        let of = |service, name| PortChains::of(&port(service, name));
        check(of("default/web", "http").pool(Pool::Cluster), "SVCNAT-SVC-default/web/http");
        check(of("shop/api", "").pool(Pool::Local), "SVCNAT-SVL-shop/api");
        check(address_chain("255.255.255.255".parse().unwrap()), "SVCNAT-IP-255.255.255.255");
        check(address_chain("fd00:10:96::a".parse().unwrap()), "SVCNAT-IP-fd00:10:96::a");
        // These must never change: they tell the chains of the program that ran before from those of strangers.
        check(of("default/kubernetes", "https").external(), "SVCNAT-EXT-defa.3DJSGHYPV7WJ");
        check(of("default/kubernetes", "https").sources(), "SVCNAT-FW-defau.3DJSGHYPV7WJ");
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
