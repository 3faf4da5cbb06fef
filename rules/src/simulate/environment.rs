//! What the outcome depends on besides the ruleset and the packet.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::name::Name;
use crate::net::Family;
use crate::ruleset::{FIB_TYPE_LOCAL, Value};

/// `RTN_UNICAST` of `include/uapi/linux/rtnetlink.h`.
const FIB_TYPE_UNICAST: u32 = 1;
/// `RTN_BROADCAST`.
const FIB_TYPE_BROADCAST: u32 = 3;
/// `RTN_MULTICAST`.
const FIB_TYPE_MULTICAST: u32 = 5;

/// The state of the host around the ruleset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Environment {
    /// The addresses of this host; loopback addresses need not be named. Of each family, the first that is not
    /// loopback is the one that masquerading takes for the source. Every other address is reached through the network.
    pub local: Vec<IpAddr>,
    /// What the dynamic maps hold, by family and name: keys and their data.
    pub dynamic: BTreeMap<(Family, Name), BTreeMap<Value, Value>>,
}

impl Environment {
    /// A host with these addresses and empty dynamic maps.
    #[must_use]
    pub fn with_local(addresses: &[IpAddr]) -> Self {
        Self { local: addresses.to_vec(), dynamic: BTreeMap::new() }
    }

    /// Puts an element into a dynamic map.
    pub fn insert(&mut self, family: Family, map: Name, key: Value, data: Value) {
        self.dynamic.entry((family, map)).or_default().insert(key, data);
    }

    /// Whether packets to this address are for this host.
    #[must_use]
    pub fn is_local(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.local.contains(&address)
    }

    /// What `fib ... type` says about an address: the answer of the routing table `local` and of the reserved ranges
    /// (`inet_addr_type`). The broadcast addresses of attached networks are not known here.
    pub(super) fn fib_type(&self, address: IpAddr) -> u32 {
        match address {
            _ if self.is_local(address) => FIB_TYPE_LOCAL,
            IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[0] == 0 => FIB_TYPE_BROADCAST,
            _ if address.is_multicast() => FIB_TYPE_MULTICAST,
            _ => FIB_TYPE_UNICAST,
        }
    }

    /// The source that masquerading gives; `None` where the host has no address of that family.
    pub(super) fn masquerade_source(&self, family: Family) -> Option<IpAddr> {
        self.local.iter().copied().find(|address| Family::of(*address) == family && !address.is_loopback())
    }
}
