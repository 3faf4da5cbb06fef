//! Entries of the connection tracking table as the kernel lists them.

use std::net::{IpAddr, SocketAddr};

use svcnat_rules::flows::Flow;
use svcnat_rules::net::{Family, Protocol};

use super::Query;
use super::constants::{IPS_DST_NAT, MSG_NEW, SUBSYSTEM, cta, ip, proto, tuple};
use crate::netlink::attr;
use crate::netlink::message::Message;

/// An entry of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// What decides whether it is stale.
    pub flow: Flow,
    /// The content of its original tuple, as the kernel wrote it.
    pub original: &'a [u8],
    /// Its zone in both directions, where it has one.
    pub zone: Option<&'a [u8]>,
    /// Its id: no other entry has it as long as this one lives.
    pub id: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Reads an entry; `None` for one of a protocol that no Service has.
    #[must_use]
    pub fn read(message: &Message<'a>) -> Option<Self> {
        if message.kind != SUBSYSTEM << 8 | MSG_NEW {
            return None;
        }
        let (family, body) = (message.family()?, message.body());
        let original = attr::find(body, cta::TUPLE_ORIG)?;
        let (protocol, client, destination) = read_tuple(family, original)?;
        let (_, backend, _) = read_tuple(family, attr::find(body, cta::TUPLE_REPLY)?)?;
        let status = attr::find_u32(body, cta::STATUS)?;
        let flow = Flow {
            protocol,
            client: client.ip(),
            destination,
            backend,
            translated: status & IPS_DST_NAT != 0,
        };
        Some(Self { flow, original, zone: attr::find(body, cta::ZONE), id: attr::find(body, cta::ID)? })
    }

    /// The family of its addresses.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.flow.destination.ip())
    }

    /// Whether it is what was asked for, which a kernel that cannot filter does not look at.
    #[must_use]
    pub fn answers(&self, query: Query) -> bool {
        self.family() == query.family
            && self.flow.protocol == query.protocol
            && (self.flow.translated || !query.translated)
    }
}

/// Reads protocol, source and destination.
fn read_tuple(family: Family, bytes: &[u8]) -> Option<(Protocol, SocketAddr, SocketAddr)> {
    let (addresses, ports) = (attr::find(bytes, tuple::IP)?, attr::find(bytes, tuple::PROTO)?);
    let &[number] = attr::find(ports, proto::NUM)? else { return None };
    let port = |kind| Some(u16::from_be_bytes(attr::find(ports, kind)?.try_into().ok()?));
    let address = |v4, v6| -> Option<IpAddr> {
        Some(match family {
            Family::Ipv4 => <[u8; 4]>::try_from(attr::find(addresses, v4)?).ok()?.into(),
            Family::Ipv6 => <[u8; 16]>::try_from(attr::find(addresses, v6)?).ok()?.into(),
        })
    };
    Some((
        Protocol::from_number(number)?,
        SocketAddr::new(address(ip::V4_SRC, ip::V6_SRC)?, port(proto::SRC_PORT)?),
        SocketAddr::new(address(ip::V4_DST, ip::V6_DST)?, port(proto::DST_PORT)?),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conntrack::request;
    use crate::netlink::attr::{nest, put, put_u32};
    use crate::netlink::message::{self, Messages};

    const DELETE: u16 = SUBSYSTEM << 8 | super::super::constants::MSG_DELETE;

    fn put_tuple(out: &mut Vec<u8>, kind: u16, protocol: u8, source: SocketAddr, destination: SocketAddr) {
        nest(out, kind, |out| {
            nest(out, tuple::IP, |out| match (source.ip(), destination.ip()) {
                (IpAddr::V4(source), IpAddr::V4(destination)) => {
                    put(out, ip::V4_SRC, &source.octets());
                    put(out, ip::V4_DST, &destination.octets());
                }
                (IpAddr::V6(source), IpAddr::V6(destination)) => {
                    put(out, ip::V6_SRC, &source.octets());
                    put(out, ip::V6_DST, &destination.octets());
                }
                _ => panic!("two families"),
            });
            nest(out, tuple::PROTO, |out| {
                put(out, proto::NUM, &[protocol]);
                put(out, proto::SRC_PORT, &source.port().to_be_bytes());
                put(out, proto::DST_PORT, &destination.port().to_be_bytes());
            });
        });
    }

    fn listed(protocol: u8, [client, destination, backend]: [&str; 3], status: u32) -> Vec<u8> {
        let [client, destination, backend]: [SocketAddr; 3] =
            [client, destination, backend].map(|text| text.parse().unwrap());
        let mut bytes = Vec::new();
        let family = message::family_number(Family::of(client.ip()));
        message::put(&mut bytes, SUBSYSTEM << 8 | MSG_NEW, 0, 1, family, 0, |out| {
            put_tuple(out, cta::TUPLE_ORIG, protocol, client, destination);
            put_tuple(out, cta::TUPLE_REPLY, protocol, backend, client);
            put_u32(out, cta::ID, 0x1234_5678);
            put_u32(out, cta::STATUS, status);
            put(out, cta::ZONE, &[0, 7]);
        });
        bytes
    }

    #[track_caller]
    fn check(protocol: u8, addresses: [&str; 3], status: u32, expected: Option<(Protocol, bool)>) {
        let bytes = listed(protocol, addresses, status);
        let message = Message::first(&bytes).unwrap();
        let entry = Entry::read(&message);
        let [client, destination, backend]: [SocketAddr; 3] = addresses.map(|text| text.parse().unwrap());
        let expected = expected.map(|(protocol, translated)| Flow {
            protocol,
            client: client.ip(),
            destination,
            backend,
            translated,
        });
        assert_eq!(entry.map(|entry| entry.flow), expected);
    }

    #[test]
    fn entries_say_who_talks_to_whom() {
        let ipv4 = ["10.0.0.9:40000", "10.96.0.10:53", "10.244.0.2:5353"];
        check(17, ipv4, IPS_DST_NAT | 0x18e, Some((Protocol::Udp, true)));
        check(132, ipv4, 0x188, Some((Protocol::Sctp, false)));
        check(6, ["[fd00::9]:40000", "[fd00::a]:53", "[fd00::2]:5353"], 0x20, Some((Protocol::Tcp, true)));
        check(47, ipv4, 0, None);
    }

    #[test]
    fn only_what_was_asked_for_answers() {
        let bytes = listed(17, ["10.0.0.9:1", "10.0.0.8:2", "10.0.0.8:2"], 0);
        let entry = Entry::read(&Message::first(&bytes).unwrap()).unwrap();
        let query = |family, protocol, translated| entry.answers(Query { family, protocol, translated });
        assert!(query(Family::Ipv4, Protocol::Udp, false));
        assert!(!query(Family::Ipv4, Protocol::Udp, true));
        assert!(!query(Family::Ipv6, Protocol::Udp, false));
        assert!(!query(Family::Ipv4, Protocol::Sctp, false));
    }

    #[test]
    fn a_deletion_names_tuple_zone_and_id() {
        let bytes = listed(17, ["10.0.0.9:1", "10.0.0.8:2", "10.0.0.7:3"], IPS_DST_NAT);
        let entry = Entry::read(&Message::first(&bytes).unwrap()).unwrap();
        let mut out = Vec::new();
        request::delete(&mut out, 5, &entry);
        let message = Message::first(&out).unwrap();
        assert_eq!((message.kind, message.family()), (DELETE, Some(Family::Ipv4)));
        assert_eq!(attr::find(message.body(), cta::TUPLE_ORIG), Some(entry.original));
        assert_eq!(attr::find(message.body(), cta::ZONE), Some(&[0, 7][..]));
        assert_eq!(attr::find_u32(message.body(), cta::ID), Some(0x1234_5678));
    }

    #[test]
    fn cut_and_random_entries_are_read_without_a_panic() {
        let whole = listed(17, ["10.0.0.9:1", "10.0.0.8:2", "10.0.0.7:3"], IPS_DST_NAT);
        let mut state = 0x1234_5678_9abc_def0_u64;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()
        };
        let (mut read, mut refused) = (0, 0);
        for round in 0..50_000 {
            let mut bytes = whole.clone();
            for _ in 0..round % 4 {
                let [place, value, ..] = next();
                let at = 16 + usize::from(place) % (bytes.len() - 16);
                bytes[at] = value;
            }
            for message in Messages(&bytes) {
                if Entry::read(&message).is_some() { read += 1 } else { refused += 1 }
            }
        }
        assert!(read > 1000 && refused > 1000, "{read} {refused}");
        for end in 0..whole.len() {
            assert!(Message::first(&whole[..end]).is_none());
        }
    }
}
