//! A frontend's identity, in the cluster and in the kernel's sets.

use crate::net::{Family, Protocol};
use crate::route::{FrontendAddress, Route};
use crate::ruleset::Value;

/// A frontend's identity in the whole cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrontendKey {
    /// The family; a node port exists in each.
    pub family: Family,
    /// The address or node port.
    pub at: FrontendAddress,
    /// The protocol.
    pub protocol: Protocol,
}

impl FrontendKey {
    /// The key of the frontend in the sets that hold frontends.
    #[must_use]
    pub fn value(&self) -> Value {
        let protocol = self.protocol;
        match self.at {
            FrontendAddress::Address(address, port) => {
                Value::new().addr(address).protocol(protocol).port(port.get())
            }
            FrontendAddress::NodePort(port) => Value::new().protocol(protocol).port(port.get()),
        }
    }
}

/// The key of a route's frontend in the sets that hold frontends.
pub(super) fn key(route: &Route<'_>, at: FrontendAddress) -> Value {
    FrontendKey { family: route.family, at, protocol: route.port.protocol }.value()
}
