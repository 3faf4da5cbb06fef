//! What nft keeps beside kernel objects for its listings: comments, and how a set was declared.
//!
//! Userdata is a chain of (type, length, data) with one byte each for type and length; numbers are in the host's
//! byte order. The bytes are those of nft 1.0.6, which newer versions read as well; the other way round it crashes.

use svcnat_rules::net::Family;
use svcnat_rules::ruleset::{DataType, SetData, SetDefinition};

use super::attr;
use super::constants::udata;

/// Appends an item. Longer data than an item can have is cut off; what the encoder lets through is shorter.
fn put(out: &mut Vec<u8>, kind: u8, data: &[u8]) {
    let data = data.get(..usize::from(u8::MAX)).unwrap_or(data);
    out.push(kind);
    out.push(u8::try_from(data.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(data);
}

fn put_u32(out: &mut Vec<u8>, kind: u8, number: u32) {
    put(out, kind, &number.to_ne_bytes());
}

fn nest(out: &mut Vec<u8>, kind: u8, content: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    content(&mut inner);
    put(out, kind, &inner);
}

/// A comment as userdata of a table, a rule or an element.
#[must_use]
pub fn comment(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 3);
    append_comment(&mut out, text);
    out
}

/// The same, appended.
pub fn append_comment(out: &mut Vec<u8>, text: &str) {
    out.push(udata::COMMENT);
    out.push(u8::try_from(text.len() + 1).unwrap_or(u8::MAX));
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

/// Reads a comment from the userdata of a rule or an element.
#[must_use]
pub fn read_comment(mut userdata: &[u8]) -> Option<&str> {
    while let [kind, len, rest @ ..] = userdata {
        let (data, rest) = rest.split_at_checked(usize::from(*len))?;
        if *kind == udata::COMMENT {
            return attr::text(data);
        }
        userdata = rest;
    }
    None
}

/// Whether nft must be told a set's declaration with `typeof`: a slot has no name as a type.
fn declared_by_typeof(definition: &SetDefinition) -> bool {
    let data = match &definition.data {
        SetData::Value(data) => data.as_slice(),
        SetData::None | SetData::Verdict => &[],
    };
    definition.key.iter().chain(data).any(|field| *field == DataType::Slot)
}

/// The userdata of a set: the byte order of key and data, and what they were declared with.
#[must_use]
pub fn set(family: Family, definition: &SetDefinition) -> Vec<u8> {
    let by_typeof = declared_by_typeof(definition);
    let declaration = |out: &mut Vec<u8>, fields: &[DataType]| {
        if by_typeof { type_of(out, family, fields) } else { concatenation_of_nothing(out) }
    };
    let mut out = Vec::new();
    put_u32(&mut out, udata::SET_KEY_BYTE_ORDER, byte_order(&definition.key, by_typeof));
    match &definition.data {
        SetData::None => {}
        SetData::Verdict => put_u32(&mut out, udata::SET_DATA_BYTE_ORDER, udata::NO_BYTE_ORDER),
        SetData::Value(data) => put_u32(&mut out, udata::SET_DATA_BYTE_ORDER, byte_order(data, by_typeof)),
    }
    if by_typeof || definition.key.len() > 1 {
        nest(&mut out, udata::SET_KEY_TYPEOF, |out| declaration(out, &definition.key));
    }
    if let SetData::Value(data) = &definition.data
        && (by_typeof || data.len() > 1)
    {
        nest(&mut out, udata::SET_DATA_TYPEOF, |out| declaration(out, data));
    }
    if definition.is_map() {
        put_u32(&mut out, udata::SET_DATA_INTERVAL, 0);
    }
    out
}

/// What nft notes of a concatenation that was declared with `type`: that it is one, and nothing of its fields.
fn concatenation_of_nothing(out: &mut Vec<u8>) {
    put_u32(out, udata::TYPEOF_EXPR, udata::EXPR_CONCAT);
    put(out, udata::TYPEOF_DATA, &[]);
}

fn byte_order(fields: &[DataType], by_typeof: bool) -> u32 {
    match fields {
        [DataType::Ipv4Addr | DataType::Ipv6Addr | DataType::InetService] => udata::BIG_ENDIAN,
        [DataType::Slot] => udata::HOST_ENDIAN,
        // As a type, one byte has no order; `meta l4proto` has that of all meta keys.
        [DataType::InetProto] if by_typeof => udata::HOST_ENDIAN,
        _ => udata::NO_BYTE_ORDER,
    }
}

/// The expressions of a `typeof` declaration.
fn type_of(out: &mut Vec<u8>, family: Family, fields: &[DataType]) {
    let addresses = fields.iter().filter(|field| is_address(**field)).count();
    let mut earlier_addresses = 0;
    let mut expressions = fields.iter().map(|field| {
        // A lone address is where a packet goes to; of two, the first is where it comes from.
        let source = addresses > 1 && earlier_addresses == 0;
        earlier_addresses += usize::from(is_address(*field));
        let mut out = Vec::new();
        expression(&mut out, family, *field, source);
        out
    });
    if fields.len() == 1 {
        out.extend(expressions.next().unwrap_or_default());
        return;
    }
    put_u32(out, udata::TYPEOF_EXPR, udata::EXPR_CONCAT);
    nest(out, udata::TYPEOF_DATA, |out| {
        for (index, expression) in (0_u8..).zip(expressions) {
            put(out, index, &expression);
        }
    });
}

fn is_address(field: DataType) -> bool {
    matches!(field, DataType::Ipv4Addr | DataType::Ipv6Addr)
}

fn expression(out: &mut Vec<u8>, family: Family, field: DataType, source: bool) {
    let (kind, data) = match field {
        DataType::Ipv4Addr | DataType::Ipv6Addr => (udata::EXPR_PAYLOAD, payload(address(family, source))),
        DataType::InetService => (udata::EXPR_PAYLOAD, payload(udata::TCP_DPORT)),
        DataType::InetProto => {
            let mut data = Vec::new();
            put_u32(&mut data, udata::META_KEY, super::constants::expr::META_L4PROTO);
            (udata::EXPR_META, data)
        }
        DataType::Slot => {
            let mut data = Vec::new();
            put_u32(&mut data, udata::NUMGEN_TYPE, super::constants::expr::NG_RANDOM);
            put_u32(&mut data, udata::NUMGEN_MODULUS, SLOT_MODULUS);
            put_u32(&mut data, udata::NUMGEN_OFFSET, 0);
            (udata::EXPR_NUMGEN, data)
        }
    };
    put_u32(out, udata::TYPEOF_EXPR, kind);
    put(out, udata::TYPEOF_DATA, &data);
}

/// The modulus in `typeof ... numgen random mod 65536`; it only tells nft how wide the field is.
const SLOT_MODULUS: u32 = 65536;

fn address(family: Family, source: bool) -> (u32, u32) {
    match (family, source) {
        (Family::Ipv4, true) => udata::IP_SADDR,
        (Family::Ipv4, false) => udata::IP_DADDR,
        (Family::Ipv6, true) => udata::IP6_SADDR,
        (Family::Ipv6, false) => udata::IP6_DADDR,
    }
}

fn payload((protocol, field): (u32, u32)) -> Vec<u8> {
    let mut out = Vec::new();
    put_u32(&mut out, udata::PAYLOAD_PROTOCOL, protocol);
    put_u32(&mut out, udata::PAYLOAD_FIELD, field);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use DataType::{InetProto, InetService, Ipv4Addr, Ipv6Addr, Slot};

    /// The bytes on the right are what nft 1.0.6 on x86-64 sends for such a declaration.
    #[test]
    #[cfg(target_endian = "little")]
    fn declarations_are_noted_as_nft_does() {
        #[track_caller]
        fn check(family: Family, definition: &SetDefinition, expected: &str) {
            let hex: String = set(family, definition).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, expected);
        }
        let key = [Ipv4Addr, InetProto, InetService];
        check(Family::Ipv4, &SetDefinition::set(&[Ipv4Addr]), "000402000000");
        check(Family::Ipv4, &SetDefinition::set(&[InetService]), "000402000000");
        check(Family::Ipv4, &SetDefinition::set(&[InetProto]), "000400000000");
        check(Family::Ipv4, &SetDefinition::set(&key), "000400000000030800040d0000000100");
        check(Family::Ipv4, &SetDefinition::verdict_map(&[Ipv4Addr]), "000402000000010400000000060400000000");
        check(
            Family::Ipv4,
            &SetDefinition::verdict_map(&key),
            "000400000000010400000000030800040d0000000100060400000000",
        );
        // map backends, IPv4 and IPv6
        check(
            Family::Ipv4,
            &SetDefinition::map(&[Ipv4Addr, InetProto, InetService, Slot], &[Ipv4Addr, InetService]),
            "000400000000010400000000036000040d00000001580014000407000000010c00040c00000001040c000000010e000409\
             00000001060004100000000214000407000000010c000408000000010402000000031a0004170000000112000401000000\
             010400000100020400000000043400040d000000012c0014000407000000010c00040c00000001040c0000000114000407\
             000000010c000408000000010402000000060400000000",
        );
        check(
            Family::Ipv6,
            &SetDefinition::map(&[Ipv6Addr, InetProto, InetService, Slot], &[Ipv6Addr, InetService]),
            "000400000000010400000000036000040d00000001580014000407000000010c00040d000000010409000000010e000409\
             00000001060004100000000214000407000000010c000408000000010402000000031a0004170000000112000401000000\
             010400000100020400000000043400040d000000012c0014000407000000010c00040d0000000104090000000114000407\
             000000010c000408000000010402000000060400000000",
        );
        // map affinity, declared with `type`
        check(
            Family::Ipv6,
            &SetDefinition::map(&[Ipv6Addr, Ipv6Addr, InetProto, InetService], &[Ipv6Addr, InetService]),
            "000400000000010400000000030800040d0000000100040800040d0000000100060400000000",
        );
        // type ipv4_addr : ipv4_addr . inet_service
        check(
            Family::Ipv4,
            &SetDefinition::map(&[Ipv4Addr], &[Ipv4Addr, InetService]),
            "000402000000010400000000040800040d0000000100060400000000",
        );
        // typeof numgen random mod 65536 : meta l4proto
        check(
            Family::Ipv4,
            &SetDefinition::map(&[Slot], &[InetProto]),
            "000401000000010401000000031a0004170000000112000401000000010400000100020400000000040e00040900000001\
             06000410000000060400000000",
        );
    }

    #[test]
    fn a_comment_is_found_behind_other_items() {
        #[track_caller]
        fn check(userdata: &[u8], expected: Option<&str>) {
            assert_eq!(read_comment(userdata), expected, "{userdata:?}");
        }
        check(&comment("default/web"), Some("default/web"));
        check(&[], None);
        check(&[1, 1, 0, 0, 2, b'x', 0], Some("x"));
        check(&[0, 9, b'x', 0], None);
        check(&[0], None);
        check(&[0, 2, 0xff, 0], None);
    }
}
