//! What rules can load about a packet and its connection.

use std::net::IpAddr;

use super::flow::{Mapping, Transit};
use super::{Connection, Fault, Packet};
use crate::net::Family;
use crate::ruleset::{CT_STATE_NEW, CT_STATUS_DNAT, CtKey, Header, MetaKey, Value};

/// `ct state established`, the bit `NF_CT_STATE_BIT(IP_CT_ESTABLISHED)`.
const CT_STATE_ESTABLISHED: u32 = 2;

// `enum ip_conntrack_status` of `include/uapi/linux/netfilter/nf_conntrack_common.h`.
const IPS_SEEN_REPLY: u32 = 1 << 1;
const IPS_CONFIRMED: u32 = 1 << 3;
const IPS_SRC_NAT: u32 = 1 << 4;
const IPS_SRC_NAT_DONE: u32 = 1 << 7;
const IPS_DST_NAT_DONE: u32 = 1 << 8;

/// `IFNAMSIZ`, the closing NUL included.
const INTERFACE_NAME_LEN: usize = 16;

/// Bytes of a header. Known are the addresses, the transport protocol and the ports.
pub(super) fn payload(
    packet: &Packet,
    transit: &Transit,
    header: Header,
    offset: u8,
    len: u8,
) -> Result<Value, Fault> {
    let protocol = [packet.protocol.number()];
    let addresses = Value::new().addr(transit.source).addr(transit.destination.ip());
    let source_port = transit.source_port.map(u16::to_be_bytes);
    let destination_port = transit.destination.port().to_be_bytes();
    let ports = source_port.map(|source| [source, destination_port].concat());
    let (protocol_at, addresses_at) = match Family::of(transit.source) {
        Family::Ipv4 => (9, 12),
        Family::Ipv6 => (6, 8),
    };
    let known: [(usize, &[u8]); 2] = match header {
        Header::Network => [(protocol_at, &protocol), (addresses_at, addresses.as_bytes())],
        Header::Transport => [(0, ports.as_deref().unwrap_or_default()), (2, &destination_port)],
    };
    let bytes = known.into_iter().find_map(|(at, bytes)| {
        let start = usize::from(offset).checked_sub(at)?;
        bytes.get(start..start + usize::from(len))
    });
    bytes.map(Value::from_bytes).ok_or(Fault::UnknownBytes { header, offset, len })
}

/// What `meta` loads. Without an incoming interface its name is empty.
pub(super) fn meta(packet: &Packet, transit: &Transit, key: MetaKey) -> Value {
    match key {
        MetaKey::L4Proto => Value::from_bytes(&[packet.protocol.number()]),
        MetaKey::Mark => Value::from_bytes(&transit.mark.to_ne_bytes()),
        MetaKey::IifName => {
            let name = transit.interface.as_deref().unwrap_or_default();
            let mut bytes = [0; INTERFACE_NAME_LEN];
            bytes.iter_mut().zip(name.bytes()).take(INTERFACE_NAME_LEN - 1).for_each(|(to, from)| *to = from);
            Value::from_bytes(&bytes)
        }
    }
}

/// What `ct` loads.
pub(super) fn ct(packet: &Packet, transit: &Transit, key: CtKey) -> Value {
    match key {
        CtKey::State => Value::from_bytes(&state(packet).to_ne_bytes()),
        CtKey::Status => Value::from_bytes(&status(packet, transit).to_ne_bytes()),
        CtKey::OriginalSource => Value::new().addr(packet.source.ip()),
        CtKey::OriginalDestination => Value::new().addr(packet.destination.ip()),
        CtKey::OriginalDestinationPort => Value::from_bytes(&packet.destination.port().to_be_bytes()),
    }
}

fn state(packet: &Packet) -> u32 {
    match packet.connection {
        Connection::New => CT_STATE_NEW,
        Connection::Established { .. } => CT_STATE_ESTABLISHED,
    }
}

fn status(packet: &Packet, transit: &Transit) -> u32 {
    let bits = [
        (packet.connection != Connection::New, IPS_SEEN_REPLY),
        (transit.confirmed, IPS_CONFIRMED),
        (transit.snat == Mapping::Changed, IPS_SRC_NAT),
        (transit.dnat == Mapping::Changed, CT_STATUS_DNAT),
        (transit.snat != Mapping::Undecided, IPS_SRC_NAT_DONE),
        (transit.dnat != Mapping::Undecided, IPS_DST_NAT_DONE),
    ];
    bits.into_iter().filter(|(set, _)| *set).fold(0, |status, (_, bit)| status | bit)
}

/// The address in a register's bytes.
pub(super) fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}
