//! The address plan of a lab.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use svcnat_rules::net::Family;

/// The addresses of one host, one per family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) ipv4: Ipv4Addr,
    pub(crate) ipv6: Ipv6Addr,
}

impl Addresses {
    /// `192.168.1.N` and `2001:db8:1::N`, where N is written with the same digits in both.
    pub(crate) fn on_the_lan(number: u8) -> Self {
        Self {
            ipv4: Ipv4Addr::new(192, 168, 1, number),
            ipv6: Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, same_digits(number)),
        }
    }

    /// `10.244.NODE.N` and `fd00:10:244:NODE::N`.
    pub(crate) fn of_pod(node: u8, number: u8) -> Self {
        Self {
            ipv4: Ipv4Addr::new(10, 244, node, number),
            ipv6: Ipv6Addr::new(0xfd00, 0x10, 0x244, same_digits(node), 0, 0, 0, same_digits(number)),
        }
    }

    /// The pod CIDRs of a node: their first addresses, to be written with /24 and /64.
    pub(crate) fn of_pods(node: u8) -> Self {
        Self::of_pod(node, 0)
    }

    /// The address of one family.
    pub(crate) fn of(self, family: Family) -> IpAddr {
        match family {
            Family::Ipv4 => self.ipv4.into(),
            Family::Ipv6 => self.ipv6.into(),
        }
    }
}

/// The hexadecimal group that reads like a decimal number: 10 gives 0x10.
fn same_digits(number: u8) -> u16 {
    let number = u16::from(number);
    (number / 100) << 8 | (number / 10 % 10) << 4 | (number % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_read_alike() {
        let check = |addresses: Addresses, ipv4: &str, ipv6: &str| {
            assert_eq!(addresses.ipv4.to_string(), ipv4);
            assert_eq!(addresses.ipv6.to_string(), ipv6);
        };
        check(Addresses::on_the_lan(2), "192.168.1.2", "2001:db8:1::2");
        check(Addresses::on_the_lan(10), "192.168.1.10", "2001:db8:1::10");
        check(Addresses::on_the_lan(199), "192.168.1.199", "2001:db8:1::199");
        check(Addresses::of_pod(0, 2), "10.244.0.2", "fd00:10:244::2");
        check(Addresses::of_pod(3, 254), "10.244.3.254", "fd00:10:244:3::254");
        check(Addresses::of_pods(1), "10.244.1.0", "fd00:10:244:1::");
    }
}
