//! Fields: what a register can hold of a packet, its connection or the machine, and comparisons with it.

use std::fmt::Write;

use super::statement::Unsayable;
use super::value::{host_order, port, write_address, write_protocol};
use crate::net::Family;
use crate::ruleset::{CmpOp, CtKey, Expr, FibAddress, Header, MetaKey, Register};

/// Something that an expression loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// An address of the packet, or its first `len` bytes.
    Address { side: Side, len: u8 },
    /// A port of the packet.
    Port(Side),
    /// The transport protocol.
    L4Proto,
    /// The mark.
    Mark,
    /// The incoming interface.
    IifName,
    /// The connection's state.
    CtState,
    /// The connection's status bits.
    CtStatus,
    /// An address of the connection's first packet.
    CtAddress(Side),
    /// The destination port of the connection's first packet.
    CtPort,
    /// The type of an address.
    Fib(FibAddress),
    /// A drawn number.
    Numgen { modulus: u32 },
}

/// Which end of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Destination,
}

impl Side {
    fn address_keyword(self) -> &'static str {
        match self {
            Self::Source => "saddr",
            Self::Destination => "daddr",
        }
    }

    fn port_keyword(self) -> &'static str {
        match self {
            Self::Source => "sport",
            Self::Destination => "dport",
        }
    }
}

/// The bits of `ct state` (`enum ip_conntrack_info` as bits, `NF_CT_STATE_BIT`).
const STATES: &[(u32, &str)] =
    &[(1, "invalid"), (2, "established"), (4, "related"), (8, "new"), (64, "untracked")];

/// The bits of `ct status` that nft has names for (`enum ip_conntrack_status`).
const STATUSES: &[(u32, &str)] = &[
    (0x001, "expected"),
    (0x002, "seen-reply"),
    (0x004, "assured"),
    (0x008, "confirmed"),
    (0x010, "snat"),
    (0x020, "dnat"),
    (0x200, "dying"),
];

/// The address types of `fib` (`RTN_*` in `include/uapi/linux/rtnetlink.h`) that nft has names for.
const ADDRESS_TYPES: &[(u32, &str)] = &[
    (0, "unspec"),
    (1, "unicast"),
    (2, "local"),
    (3, "broadcast"),
    (4, "anycast"),
    (5, "multicast"),
    (6, "blackhole"),
    (7, "unreachable"),
    (8, "prohibit"),
];

impl Field {
    /// What the expression loads and where to; `None` for expressions that load no field.
    pub(super) fn loaded_by(expr: &Expr, family: Family) -> Option<(Register, Self)> {
        Some(match expr {
            Expr::Payload { header, offset, len, dest } => (*dest, payload(*header, *offset, *len, family)?),
            Expr::Meta { key: MetaKey::L4Proto, dest } => (*dest, Self::L4Proto),
            Expr::Meta { key: MetaKey::Mark, dest } => (*dest, Self::Mark),
            Expr::Meta { key: MetaKey::IifName, dest } => (*dest, Self::IifName),
            Expr::Ct { key, dest } => {
                let field = match key {
                    CtKey::State => Self::CtState,
                    CtKey::Status => Self::CtStatus,
                    CtKey::OriginalSource => Self::CtAddress(Side::Source),
                    CtKey::OriginalDestination => Self::CtAddress(Side::Destination),
                    CtKey::OriginalDestinationPort => Self::CtPort,
                };
                (*dest, field)
            }
            Expr::FibType { address, dest } => (*dest, Self::Fib(*address)),
            Expr::Numgen { modulus, dest } => (*dest, Self::Numgen { modulus: *modulus }),
            _ => return None,
        })
    }

    /// How many bytes of registers it fills.
    pub(super) fn len(self, family: Family) -> usize {
        match self {
            Self::Address { len, .. } => len.into(),
            Self::CtAddress(_) => family.address_len().into(),
            Self::L4Proto => 1,
            Self::Port(_) | Self::CtPort => 2,
            Self::IifName => 16,
            Self::Mark | Self::CtState | Self::CtStatus | Self::Fib(_) | Self::Numgen { .. } => 4,
        }
    }

    /// Whether it can be part of a key: all but the beginning of an address.
    pub(super) fn is_whole(self, family: Family) -> bool {
        !matches!(self, Self::Address { len, .. } if len != family.address_len())
    }

    /// Writes nft's name of it.
    pub(super) fn write_name(self, out: &mut String, family: Family) -> Result<(), Unsayable> {
        match self {
            Self::Address { side, .. } => write!(out, "{} {}", family.keyword(), side.address_keyword())?,
            Self::Port(side) => write!(out, "th {}", side.port_keyword())?,
            Self::L4Proto => out.push_str("meta l4proto"),
            Self::Mark => out.push_str("meta mark"),
            Self::IifName => out.push_str("iifname"),
            Self::CtState => out.push_str("ct state"),
            Self::CtStatus => out.push_str("ct status"),
            Self::CtAddress(side) => {
                write!(out, "ct original {} {}", family.keyword(), side.address_keyword())?;
            }
            Self::CtPort => out.push_str("ct original proto-dst"),
            Self::Fib(FibAddress::Source) => out.push_str("fib saddr type"),
            Self::Fib(FibAddress::Destination) => out.push_str("fib daddr type"),
            Self::Numgen { modulus } => write!(out, "numgen random mod {modulus}")?,
        }
        Ok(())
    }

    /// Writes the comparison of the field with a value, the field's name being written already.
    pub(super) fn write_comparison(
        self,
        out: &mut String,
        op: CmpOp,
        value: &[u8],
        family: Family,
    ) -> Result<(), Unsayable> {
        out.push(' ');
        match (self, op) {
            // Without an operator, nft takes a bit as "at least this one of them".
            (Self::CtState | Self::CtStatus, CmpOp::Eq) => out.push_str("== "),
            (_, CmpOp::Neq) => out.push_str("!= "),
            (_, CmpOp::Eq) => {}
        }
        match self {
            Self::Address { len, .. } if value.len() != usize::from(len) => return Err(Unsayable),
            Self::Address { .. } | Self::CtAddress(_) => write_prefix(out, value, family)?,
            Self::Port(_) | Self::CtPort if value.len() != 2 => return Err(Unsayable),
            Self::Port(_) | Self::CtPort => write!(out, "{}", port(value).ok_or(Unsayable)?)?,
            Self::L4Proto => match value {
                [number] => write_protocol(out, *number)?,
                _ => return Err(Unsayable),
            },
            Self::Mark => write!(out, "{:#010x}", number(value)?)?,
            Self::IifName => write_interface(out, value)?,
            Self::CtState | Self::CtStatus => {
                let bits = number(value)?;
                if !bits.is_power_of_two() {
                    return Err(Unsayable);
                }
                self.write_bits(out, bits)?;
            }
            Self::Fib(_) => {
                let number = number(value)?;
                match ADDRESS_TYPES.iter().find(|(known, _)| *known == number) {
                    Some((_, name)) => out.push_str(name),
                    None => write!(out, "{number}")?,
                }
            }
            Self::Numgen { .. } => write!(out, "{}", number(value)?)?,
        }
        Ok(())
    }

    /// Writes the comparison of some of the field's bits with a value, the field's name being written already.
    pub(super) fn write_masked_comparison(
        self,
        out: &mut String,
        mask: &[u8],
        op: CmpOp,
        value: &[u8],
        family: Family,
    ) -> Result<(), Unsayable> {
        let operator = match op {
            CmpOp::Eq => "==",
            CmpOp::Neq => "!=",
        };
        match self {
            Self::Address { .. } | Self::CtAddress(_) => {
                let len = usize::from(family.address_len());
                if !self.is_whole(family) || mask.len() != len || value.len() != len {
                    return Err(Unsayable);
                }
                match prefix_of_mask(mask, value) {
                    Some(prefix) => {
                        out.push_str(if op == CmpOp::Neq { " != " } else { " " });
                        write_address(out, family, value)?;
                        write!(out, "/{prefix}")?;
                    }
                    None => {
                        out.push_str(" & ");
                        write_address(out, family, mask)?;
                        write!(out, " {operator} ")?;
                        write_address(out, family, value)?;
                    }
                }
            }
            Self::Mark => write!(out, " & {:#010x} {operator} {:#010x}", number(mask)?, number(value)?)?,
            Self::CtState | Self::CtStatus if number(value)? == 0 => {
                out.push_str(if op == CmpOp::Eq { " ! " } else { " " });
                self.write_bits(out, number(mask)?)?;
            }
            _ => return Err(Unsayable),
        }
        Ok(())
    }

    /// Writes the names of connection states or status bits; there must be at least one, and none without a name.
    fn write_bits(self, out: &mut String, bits: u32) -> Result<(), Unsayable> {
        let names = if self == Self::CtState { STATES } else { STATUSES };
        let mut unnamed = bits;
        for (bit, name) in names.iter().filter(|(bit, _)| bits & bit != 0) {
            if unnamed != bits {
                out.push(',');
            }
            out.push_str(name);
            unnamed &= !bit;
        }
        if bits == 0 || unnamed != 0 { Err(Unsayable) } else { Ok(()) }
    }
}

/// The field at a place in the IP header (RFC 791, RFC 8200) or in the first four bytes behind it, where TCP, UDP and
/// SCTP have their ports.
fn payload(header: Header, offset: u8, len: u8, family: Family) -> Option<Field> {
    match (header, family, offset) {
        (Header::Network, Family::Ipv4, 12) | (Header::Network, Family::Ipv6, 8) => {
            address(Side::Source, len, family)
        }
        (Header::Network, Family::Ipv4, 16) | (Header::Network, Family::Ipv6, 24) => {
            address(Side::Destination, len, family)
        }
        (Header::Transport, _, 0) if len == 2 => Some(Field::Port(Side::Source)),
        (Header::Transport, _, 2) if len == 2 => Some(Field::Port(Side::Destination)),
        _ => None,
    }
}

fn address(side: Side, len: u8, family: Family) -> Option<Field> {
    (1..=family.address_len()).contains(&len).then_some(Field::Address { side, len })
}

/// Writes an address, or as a prefix its first bytes.
fn write_prefix(out: &mut String, bytes: &[u8], family: Family) -> Result<(), Unsayable> {
    let full = usize::from(family.address_len());
    if bytes.is_empty() || bytes.len() > full {
        return Err(Unsayable);
    }
    write_address(out, family, bytes)?;
    if bytes.len() < full {
        write!(out, "/{}", bytes.len() * 8)?;
    }
    Ok(())
}

/// The length of the prefix that nft would express by this mask. It has none for whole bytes, which it compares
/// without a mask, and for values with bits outside the mask, which never match.
fn prefix_of_mask(mask: &[u8], value: &[u8]) -> Option<u32> {
    let bits: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
    let leading = mask.iter().position(|byte| *byte != u8::MAX).unwrap_or(mask.len());
    let partial = mask.get(leading).map_or(0, |byte| byte.leading_ones());
    let is_contiguous = usize::try_from(bits - partial).ok()? == leading * 8;
    let is_network = mask.iter().zip(value).all(|(mask, value)| value & !mask == 0);
    (is_contiguous && is_network && (!bits.is_multiple_of(8) || bits == 0)).then_some(bits)
}

/// Writes an interface's name; a value shorter than the sixteen bytes of a name is the beginning of one.
fn write_interface(out: &mut String, value: &[u8]) -> Result<(), Unsayable> {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    let (name, padding) = value.split_at_checked(end).ok_or(Unsayable)?;
    let is_exact = value.len() == 16;
    // nft pads a name with at least one zero, and a beginning with none.
    let is_padded = padding.iter().all(|byte| *byte == 0) && padding.is_empty() != is_exact;
    let is_plain =
        name.iter().all(|byte| (byte.is_ascii_graphic() || *byte == b' ') && !b"\"*\\".contains(byte));
    if name.is_empty() || value.len() > 16 || !is_padded || !is_plain {
        return Err(Unsayable);
    }
    let name = std::str::from_utf8(name).map_err(|_| Unsayable)?;
    write!(out, "\"{name}{}\"", if is_exact { "" } else { "*" })?;
    Ok(())
}

/// A number of four bytes in the host's byte order.
pub(super) fn number(bytes: &[u8]) -> Result<u32, Unsayable> {
    host_order(bytes).ok_or(Unsayable)
}
