//! Reading the fields of keys and data.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use crate::net::{Family, Protocol};

/// Splits an address off the front.
pub(super) fn take_address(family: Family, bytes: &[u8]) -> Option<(IpAddr, &[u8])> {
    let (address, rest) = bytes.split_at_checked(usize::from(family.address_len()))?;
    let address = match family {
        Family::Ipv4 => IpAddr::from(<[u8; 4]>::try_from(address).ok()?),
        Family::Ipv6 => IpAddr::from(<[u8; 16]>::try_from(address).ok()?),
    };
    Some((address, rest))
}

/// Reads `protocol . port`, the end of a key.
pub(super) fn read_port(bytes: &[u8]) -> Option<(Protocol, NonZeroU16)> {
    let &[protocol, _, _, _, high, low, _, _] = bytes else { return None };
    Some((Protocol::from_number(protocol)?, NonZeroU16::new(u16::from_be_bytes([high, low]))?))
}

/// Reads `address . port`, the data of a map of backends.
#[must_use]
pub fn read_backend(family: Family, bytes: &[u8]) -> Option<SocketAddr> {
    let (address, rest) = take_address(family, bytes)?;
    let &[high, low, ..] = rest else { return None };
    Some(SocketAddr::new(address, u16::from_be_bytes([high, low])))
}
