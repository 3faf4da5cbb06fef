//! Values: keys and data of elements, addresses, numbers.

use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::net::{Family, Protocol};
use crate::ruleset::{DataType, Value, concat_len};

/// Writes the fields of a key or of data, ` . ` between them; anything of another shape in hexadecimal.
pub(super) fn write_value(out: &mut impl Write, types: &[DataType], bytes: &[u8]) -> fmt::Result {
    if let [single] = types
        && bytes.len() == single.byte_len()
    {
        return write_field(out, *single, bytes);
    }
    if !is_well_formed(types, bytes) {
        return write_hex(out, bytes);
    }
    for (i, (field, bytes)) in fields(types, bytes).enumerate() {
        if i > 0 {
            out.write_str(" . ")?;
        }
        write_field(out, field, bytes)?;
    }
    Ok(())
}

/// Writes a key; with an end, as a range in its last field: a prefix where it is one, else `first-last`.
pub(super) fn write_key(
    out: &mut impl Write,
    types: &[DataType],
    key: &Value,
    end: Option<&Value>,
) -> fmt::Result {
    let (first, Some(last)) = (key.as_bytes(), end.filter(|end| *end != key).map(Value::as_bytes)) else {
        return write_value(out, types, key.as_bytes());
    };
    let Some((ranged, head)) = types.split_last() else {
        return write_hex(out, first);
    };
    let head_len = concat_len(head);
    let is_range = is_well_formed(types, first)
        && is_well_formed(types, last)
        && first.get(..head_len) == last.get(..head_len);
    if !is_range {
        write_hex(out, first)?;
        out.write_char('-')?;
        return write_hex(out, last);
    }
    if !head.is_empty() {
        write_value(out, head, first.get(..head_len).unwrap_or_default())?;
        out.write_str(" . ")?;
    }
    let field = |bytes| fields(types, bytes).last().map_or(&[][..], |(_, bytes)| bytes);
    write_range(out, *ranged, field(first), field(last))
}

fn write_range(out: &mut impl Write, field: DataType, first: &[u8], last: &[u8]) -> fmt::Result {
    write_field(out, field, first)?;
    if let Some(prefix) = prefix_of(field, first, last) {
        return write!(out, "/{prefix}");
    }
    out.write_char('-')?;
    write_field(out, field, last)
}

/// The length of the prefix that all addresses of a range share and no other has.
fn prefix_of(field: DataType, first: &[u8], last: &[u8]) -> Option<u32> {
    if !matches!(field, DataType::Ipv4Addr | DataType::Ipv6Addr) {
        return None;
    }
    let number = |bytes: &[u8]| bytes.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    let (first, last) = (number(first), number(last));
    let host = first ^ last;
    let is_prefix = host & host.wrapping_add(1) == 0 && first & host == 0;
    let bits = u32::try_from(field.byte_len() * 8).ok()?;
    is_prefix.then(|| bits - host.count_ones())
}

/// Whether the bytes have the length of these fields and nothing in their padding.
fn is_well_formed(types: &[DataType], bytes: &[u8]) -> bool {
    let mut rest = bytes;
    for field in types {
        let Some((padded, behind)) = rest.split_at_checked(field.padded_len()) else { return false };
        if padded.iter().skip(field.byte_len()).any(|byte| *byte != 0) {
            return false;
        }
        rest = behind;
    }
    rest.is_empty() && !types.is_empty()
}

/// The fields of well-formed bytes without their padding.
fn fields<'a>(types: &'a [DataType], bytes: &'a [u8]) -> impl Iterator<Item = (DataType, &'a [u8])> {
    types.iter().scan(bytes, |rest, field| {
        let value = rest.get(..field.byte_len())?;
        *rest = rest.get(field.padded_len()..).unwrap_or_default();
        Some((*field, value))
    })
}

fn write_field(out: &mut impl Write, field: DataType, bytes: &[u8]) -> fmt::Result {
    match field {
        DataType::Ipv4Addr => write_address(out, Family::Ipv4, bytes),
        DataType::Ipv6Addr => write_address(out, Family::Ipv6, bytes),
        DataType::InetProto => match bytes {
            [number] => write_protocol(out, *number),
            _ => write_hex(out, bytes),
        },
        DataType::InetService => match port(bytes) {
            Some(port) => write!(out, "{port}"),
            None => write_hex(out, bytes),
        },
        DataType::Slot => match host_order(bytes) {
            Some(slot) => write!(out, "{slot}"),
            None => write_hex(out, bytes),
        },
    }
}

/// Writes a protocol that a Service can have by name, any other by number.
pub(super) fn write_protocol(out: &mut impl Write, number: u8) -> fmt::Result {
    match Protocol::from_number(number) {
        Some(protocol) => out.write_str(protocol.keyword()),
        None => write!(out, "{number}"),
    }
}

/// Writes an address, or its first bytes with zeros behind them.
pub(super) fn write_address(out: &mut impl Write, family: Family, bytes: &[u8]) -> fmt::Result {
    match address(family, bytes) {
        Some(address) => write!(out, "{address}"),
        None => write_hex(out, bytes),
    }
}

/// The address that begins with these bytes and ends in zeros; `None` where they are too many.
pub(super) fn address(family: Family, bytes: &[u8]) -> Option<IpAddr> {
    fn padded<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
        let mut address = [0; N];
        address.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(address)
    }
    Some(match family {
        Family::Ipv4 => Ipv4Addr::from(padded::<4>(bytes)?).into(),
        Family::Ipv6 => Ipv6Addr::from(padded::<16>(bytes)?).into(),
    })
}

/// A port in network byte order, of two bytes or padded to four.
pub(super) fn port(bytes: &[u8]) -> Option<u16> {
    match bytes {
        [high, low] | [high, low, 0, 0] => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
}

/// A number of four bytes in the host's byte order.
pub(super) fn host_order(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

fn write_hex(out: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    out.write_str("0x")?;
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::super::format_value;
    use super::*;
    use crate::net::Cidr;
    use DataType::{InetProto, InetService, Ipv4Addr, Ipv6Addr, Slot};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn values_are_written_as_nft_writes_them() {
        let check = |types: &[DataType], value: Value, expected: &str| {
            assert_eq!(format_value(types, &value), expected);
        };
        let frontend = Value::new().addr(ip("10.96.0.10")).protocol(Protocol::Tcp).port(80);
        check(&[Ipv4Addr, InetProto, InetService], frontend.clone(), "10.96.0.10 . tcp . 80");
        check(&[Ipv4Addr, InetProto, InetService, Slot], frontend.slot(258), "10.96.0.10 . tcp . 80 . 258");
        let backend = Value::new().addr(ip("fd00:0:0:0::1")).port(65535);
        check(&[Ipv6Addr, InetService], backend, "fd00::1 . 65535");
        check(&[InetProto], Value::new().protocol(Protocol::Sctp), "sctp");
        check(&[InetProto], Value::from_bytes(&[47]), "47");
        check(&[InetService], Value::from_bytes(&[0x1f, 0x90]), "8080");
    }

    #[test]
    fn malformed_values_are_shown_in_hexadecimal() {
        let check = |types: &[DataType], bytes: &[u8], expected: &str| {
            assert_eq!(format_value(types, &Value::from_bytes(bytes)), expected);
        };
        check(&[Ipv4Addr], &[10, 96, 0], "0x0a6000");
        check(&[Ipv4Addr, InetService], &[10, 96, 0, 1, 0, 80], "0x0a6000010050");
        check(&[InetService], &[0, 80, 1, 0], "0x00500100");
        check(&[Ipv4Addr], &[10, 96, 0, 1, 0], "0x0a60000100");
        check(&[Ipv6Addr], &[], "0x");
        check(&[], &[1], "0x01");
    }

    #[test]
    fn ranges_are_prefixes_where_they_can_be() {
        let check = |first: &str, last: &str, expected: &str| {
            let key = |address| Value::new().port(80).addr(ip(address));
            let field = if ip(first).is_ipv4() { Ipv4Addr } else { Ipv6Addr };
            let mut out = String::new();
            write_key(&mut out, &[InetService, field], &key(first), Some(&key(last))).unwrap();
            assert_eq!(out, format!("80 . {expected}"));
        };
        for cidr in ["10.0.0.0/8", "10.244.0.0/15", "0.0.0.0/0", "fd00::/64", "::/0", "fd00::2/127"] {
            let network: Cidr = cidr.parse().unwrap();
            check(&network.network().to_string(), &network.last().to_string(), cidr);
        }
        check("10.0.0.1", "10.0.0.1", "10.0.0.1");
        check("10.0.0.1", "10.0.0.2", "10.0.0.1-10.0.0.2");
        check("10.0.0.2", "10.0.0.1", "10.0.0.2-10.0.0.1");
        check("10.0.0.0", "10.0.0.2", "10.0.0.0-10.0.0.2");
    }

    #[test]
    fn malformed_ranges_are_shown_in_hexadecimal() {
        let check = |first: &[u8], last: &[u8], expected: &str| {
            let (first, last) = (Value::from_bytes(first), Value::from_bytes(last));
            let mut out = String::new();
            write_key(&mut out, &[InetService, Ipv4Addr], &first, Some(&last)).unwrap();
            assert_eq!(out, expected);
        };
        check(
            &[0, 80, 0, 0, 10, 0, 0, 0],
            &[0, 81, 0, 0, 10, 0, 0, 0],
            "0x005000000a000000-0x005100000a000000",
        );
        check(&[0, 80], &[], "0x0050-0x");
    }
}
