//! Addresses as people write them, and those of this machine.

use std::net::{IpAddr, SocketAddr};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

/// The first of the ports that clients take for themselves (RFC 6335).
const CLIENT_PORT: u16 = 49152;

/// Reads a client: an address, perhaps with a port; without one it is 49152.
///
/// # Errors
///
/// What it has to be, where it is something else.
pub fn source(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, CLIENT_PORT));
    }
    with_port(text).ok_or_else(|| {
        "not an address such as 10.244.1.7 or fd00::7, nor one with a port such as 10.244.1.7:40000 or [fd00::7]:40000"
            .to_owned()
    })
}

/// Reads what a client connects to: an address with a port.
///
/// # Errors
///
/// What it has to be, where it is something else.
pub fn destination(text: &str) -> Result<SocketAddr, String> {
    match with_port(text) {
        Some(destination) => Ok(destination),
        None if text.parse::<IpAddr>().is_ok() => Err("the port is missing".to_owned()),
        None => {
            Err("not an address with a port from 1 to 65535, such as 10.96.0.10:443 or [fd00::a]:443"
                .to_owned())
        }
    }
}

fn with_port(text: &str) -> Option<SocketAddr> {
    text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0)
}

/// The addresses of this machine's interfaces, in this network namespace; those of loopback count by themselves.
pub(super) fn of_this_machine() -> nix::Result<Vec<IpAddr>> {
    let addresses = getifaddrs()?.filter_map(|interface| ip(&interface.address?));
    Ok(addresses.filter(|address| !address.is_loopback()).collect())
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_may_have_a_port() {
        let check = |text: &str, expected: Option<&str>| {
            let expected = expected.map(|text| text.parse::<SocketAddr>().unwrap());
            assert_eq!(source(text).ok(), expected, "{text}");
        };
        check("10.244.1.7", Some("10.244.1.7:49152"));
        check("10.244.1.7:5353", Some("10.244.1.7:5353"));
        check("fd00::7", Some("[fd00::7]:49152"));
        check("[fd00::7]", Some("[fd00::7]:49152"));
        check("[fd00::7]:5353", Some("[fd00::7]:5353"));
        for bad in [
            "",
            "web",
            "10.244.1",
            "10.244.1.7:",
            "10.244.1.7:0",
            "10.244.1.7:65536",
            "[10.244.1.7",
            "[fd00::7]:x",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn destinations_must_have_a_port() {
        let check = |text: &str, expected: Result<&str, &str>| match (destination(text), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected.parse().unwrap(), "{text}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{text}: {found}"),
            (found, expected) => panic!("{text}: {found:?} instead of {expected:?}"),
        };
        check("10.96.0.10:443", Ok("10.96.0.10:443"));
        check("[fd00::1]:80", Ok("[fd00::1]:80"));
        check("10.96.0.10", Err("the port is missing"));
        check("fd00::1", Err("the port is missing"));
        check("fd00::1:80:", Err("such as"));
        for bad in ["", "web:80", "10.96.0.10:0", "10.96.0.10:65536", "10.96.0.10:http", "10.96.0.0/12:80"] {
            check(bad, Err("a port from 1 to 65535"));
        }
    }
}
