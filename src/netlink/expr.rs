//! Expressions: each way of saying one to libnftnl beside the way of reading it back.
//!
//! What nft 1.0.6 sends for the same instruction is the reference; what the kernel adds when it dumps a rule (a
//! second register of a range, flags, zeros) is accepted, anything else makes the expression unknown.

use std::ffi::CString;

use nftnl::nftnl_sys as sys;
use svcnat_rules::name::Name;
use svcnat_rules::net::Family;
use svcnat_rules::ruleset::{
    CmpOp, CtKey, Expr, FibAddress, Header, LookupData, MetaKey, Register, Reject, Value, Verdict,
};

use super::constants::{data, expr as number};
use super::error::EncodeError;
use super::expression::{Expression, ExpressionRef, Kind};
use super::message::family_number;

/// Says an expression to libnftnl.
///
/// # Errors
///
/// Where a name or a value is not one that the kernel can take.
pub fn encode(family: Family, expr: &Expr) -> Result<Expression, EncodeError> {
    Ok(match expr {
        Expr::Payload { header, offset, len, dest } => Expression::new(Kind::Payload)
            .number(sys::NFTNL_EXPR_PAYLOAD_BASE, header_number(*header))
            .number(sys::NFTNL_EXPR_PAYLOAD_OFFSET, u32::from(*offset))
            .number(sys::NFTNL_EXPR_PAYLOAD_LEN, u32::from(*len))
            .number(sys::NFTNL_EXPR_PAYLOAD_DREG, dest.kernel_number()),
        Expr::Meta { key, dest } => Expression::new(Kind::Meta)
            .number(sys::NFTNL_EXPR_META_KEY, meta_number(*key))
            .number(sys::NFTNL_EXPR_META_DREG, dest.kernel_number()),
        Expr::SetMark { source } => Expression::new(Kind::Meta)
            .number(sys::NFTNL_EXPR_META_KEY, number::META_MARK)
            .number(sys::NFTNL_EXPR_META_SREG, source.kernel_number()),
        Expr::Ct { key, dest } => encode_ct(family, *key, *dest),
        Expr::FibType { address, dest } => Expression::new(Kind::Fib)
            .number(sys::NFTNL_EXPR_FIB_FLAGS, fib_flag(*address))
            .number(sys::NFTNL_EXPR_FIB_RESULT, number::FIB_RESULT_ADDRTYPE)
            .number(sys::NFTNL_EXPR_FIB_DREG, dest.kernel_number()),
        Expr::Numgen { modulus, dest } => Expression::new(Kind::Numgen)
            .number(sys::NFTNL_EXPR_NG_DREG, dest.kernel_number())
            .number(sys::NFTNL_EXPR_NG_MODULUS, *modulus)
            .number(sys::NFTNL_EXPR_NG_TYPE, number::NG_RANDOM)
            .number(sys::NFTNL_EXPR_NG_OFFSET, 0),
        Expr::Cmp { op, source, value } => Expression::new(Kind::Cmp)
            .number(sys::NFTNL_EXPR_CMP_SREG, source.kernel_number())
            .number(sys::NFTNL_EXPR_CMP_OP, cmp_number(*op))
            .bytes(sys::NFTNL_EXPR_CMP_DATA, checked(value)?),
        Expr::Bitwise { source, dest, mask, xor } => {
            if mask.len() != xor.len() {
                return Err(EncodeError::Value(mask.len()));
            }
            let len = u32::try_from(mask.len()).map_err(|_| EncodeError::Value(mask.len()))?;
            Expression::new(Kind::Bitwise)
                .number(sys::NFTNL_EXPR_BITWISE_SREG, source.kernel_number())
                .number(sys::NFTNL_EXPR_BITWISE_DREG, dest.kernel_number())
                .number(sys::NFTNL_EXPR_BITWISE_OP, number::BITWISE_MASK_XOR)
                .number(sys::NFTNL_EXPR_BITWISE_LEN, len)
                .bytes(sys::NFTNL_EXPR_BITWISE_MASK, checked(mask)?)
                .bytes(sys::NFTNL_EXPR_BITWISE_XOR, checked(xor)?)
        }
        Expr::HostToNetwork { source, dest, len } => Expression::new(Kind::Byteorder)
            .number(sys::NFTNL_EXPR_BYTEORDER_SREG, source.kernel_number())
            .number(sys::NFTNL_EXPR_BYTEORDER_DREG, dest.kernel_number())
            .number(sys::NFTNL_EXPR_BYTEORDER_OP, number::BYTEORDER_HTON)
            .number(sys::NFTNL_EXPR_BYTEORDER_LEN, u32::from(*len))
            .number(sys::NFTNL_EXPR_BYTEORDER_SIZE, BYTEORDER_SIZE),
        Expr::Lookup { set, source, data, invert } => encode_lookup(set, *source, *data, *invert)?,
        Expr::Immediate { dest, value } => Expression::new(Kind::Immediate)
            .number(sys::NFTNL_EXPR_IMM_DREG, dest.kernel_number())
            .bytes(sys::NFTNL_EXPR_IMM_DATA, checked(value)?),
        Expr::Verdict(verdict) => encode_verdict(verdict)?,
        Expr::Dnat { address, port, port_specified } => encode_dnat(family, *address, *port, *port_specified),
        Expr::Masquerade => {
            Expression::new(Kind::Masquerade).number(sys::NFTNL_EXPR_MASQ_FLAGS, number::NAT_FULLY_RANDOM)
        }
        Expr::Reject(reject) => {
            let (kind, code) = match reject {
                Reject::PortUnreachable => (number::REJECT_ICMP, unreachable_code(family)),
                Reject::TcpReset => (number::REJECT_TCP_RESET, 0),
            };
            Expression::new(Kind::Reject)
                .number(sys::NFTNL_EXPR_REJECT_TYPE, kind)
                .byte(sys::NFTNL_EXPR_REJECT_CODE, code)
        }
        Expr::Update { set, key, data, timeout } => Expression::new(Kind::Dynset)
            .number(sys::NFTNL_EXPR_DYNSET_SREG_KEY, key.kernel_number())
            .number(sys::NFTNL_EXPR_DYNSET_SREG_DATA, data.kernel_number())
            .number(sys::NFTNL_EXPR_DYNSET_OP, number::DYNSET_UPDATE)
            .long(sys::NFTNL_EXPR_DYNSET_TIMEOUT, *timeout)
            .name(&EncodeError::check_name(set)?),
    })
}

/// The size of the numbers that nft swaps; where a field has one byte it says two all the same.
const BYTEORDER_SIZE: u32 = 2;

fn encode_ct(family: Family, key: CtKey, dest: Register) -> Expression {
    let (key, original) = match (key, family) {
        (CtKey::State, _) => (number::CT_STATE, false),
        (CtKey::Status, _) => (number::CT_STATUS, false),
        (CtKey::OriginalSource, Family::Ipv4) => (number::CT_SRC_IP, true),
        (CtKey::OriginalSource, Family::Ipv6) => (number::CT_SRC_IP6, true),
        (CtKey::OriginalDestination, Family::Ipv4) => (number::CT_DST_IP, true),
        (CtKey::OriginalDestination, Family::Ipv6) => (number::CT_DST_IP6, true),
        (CtKey::OriginalDestinationPort, _) => (number::CT_PROTO_DST, true),
    };
    let expression = Expression::new(Kind::Ct)
        .number(sys::NFTNL_EXPR_CT_KEY, key)
        .number(sys::NFTNL_EXPR_CT_DREG, dest.kernel_number());
    if original { expression.byte(sys::NFTNL_EXPR_CT_DIR, number::CT_DIR_ORIGINAL) } else { expression }
}

fn encode_lookup(
    set: &Name,
    source: Register,
    data: LookupData,
    invert: bool,
) -> Result<Expression, EncodeError> {
    let expression = Expression::new(Kind::Lookup)
        .number(sys::NFTNL_EXPR_LOOKUP_SREG, source.kernel_number())
        .name(&EncodeError::check_name(set)?);
    let expression = match data {
        LookupData::None => expression,
        LookupData::Verdict => expression.number(sys::NFTNL_EXPR_LOOKUP_DREG, number::REG_VERDICT),
        LookupData::Load(dest) => expression.number(sys::NFTNL_EXPR_LOOKUP_DREG, dest.kernel_number()),
    };
    Ok(if invert {
        expression.number(sys::NFTNL_EXPR_LOOKUP_FLAGS, number::LOOKUP_INVERT)
    } else {
        expression
    })
}

fn encode_verdict(verdict: &Verdict) -> Result<Expression, EncodeError> {
    let expression = Expression::new(Kind::Immediate)
        .number(sys::NFTNL_EXPR_IMM_DREG, number::REG_VERDICT)
        .bytes(sys::NFTNL_EXPR_IMM_VERDICT, &verdict_code(verdict).to_ne_bytes());
    Ok(match verdict.chain() {
        Some(chain) => expression.name(&EncodeError::check_name(chain)?),
        None => expression,
    })
}

fn encode_dnat(family: Family, address: Register, port: Option<Register>, specified: bool) -> Expression {
    let mut expression = Expression::new(Kind::Nat)
        .number(sys::NFTNL_EXPR_NAT_TYPE, number::NAT_DNAT)
        .number(sys::NFTNL_EXPR_NAT_FAMILY, u32::from(family_number(family)))
        .number(sys::NFTNL_EXPR_NAT_REG_ADDR_MIN, address.kernel_number());
    if let Some(port) = port {
        expression = expression.number(sys::NFTNL_EXPR_NAT_REG_PROTO_MIN, port.kernel_number());
    }
    if specified {
        expression = expression.number(sys::NFTNL_EXPR_NAT_FLAGS, number::NAT_PROTO_SPECIFIED);
    }
    expression
}

/// The kernel's number of a verdict (`enum nft_verdicts`).
#[must_use]
pub fn verdict_code(verdict: &Verdict) -> i32 {
    match verdict {
        Verdict::Accept => data::ACCEPT,
        Verdict::Drop => data::DROP,
        Verdict::Return => data::RETURN,
        Verdict::Jump(_) => data::JUMP,
        Verdict::Goto(_) => data::GOTO,
    }
}

/// The verdict with a kernel number.
#[must_use]
pub fn verdict_from_code(code: i32, chain: Option<Name>) -> Option<Verdict> {
    match (code, chain) {
        (data::ACCEPT, None) => Some(Verdict::Accept),
        (data::DROP, None) => Some(Verdict::Drop),
        (data::RETURN, None) => Some(Verdict::Return),
        (data::JUMP, Some(chain)) => Some(Verdict::Jump(chain)),
        (data::GOTO, Some(chain)) => Some(Verdict::Goto(chain)),
        _ => None,
    }
}

/// The bytes of a value that an expression can hold.
fn checked(value: &Value) -> Result<&[u8], EncodeError> {
    match value.len() {
        1..=data::MAX_LEN => Ok(value.as_bytes()),
        len => Err(EncodeError::Value(len)),
    }
}

fn header_number(header: Header) -> u32 {
    match header {
        Header::Network => number::PAYLOAD_NETWORK,
        Header::Transport => number::PAYLOAD_TRANSPORT,
    }
}

fn meta_number(key: MetaKey) -> u32 {
    match key {
        MetaKey::L4Proto => number::META_L4PROTO,
        MetaKey::Mark => number::META_MARK,
        MetaKey::IifName => number::META_IIFNAME,
    }
}

fn fib_flag(address: FibAddress) -> u32 {
    match address {
        FibAddress::Source => number::FIB_SADDR,
        FibAddress::Destination => number::FIB_DADDR,
    }
}

fn cmp_number(op: CmpOp) -> u32 {
    match op {
        CmpOp::Eq => number::CMP_EQ,
        CmpOp::Neq => number::CMP_NEQ,
    }
}

fn unreachable_code(family: Family) -> u8 {
    match family {
        Family::Ipv4 => number::ICMP_PORT_UNREACHABLE,
        Family::Ipv6 => number::ICMP6_PORT_UNREACHABLE,
    }
}

/// Reads the expressions of a rule; `None` where one of them is none of ours.
#[must_use]
pub fn decode_all(family: Family, expressions: &[ExpressionRef<'_>]) -> Option<Vec<Expr>> {
    let mut exprs = Vec::with_capacity(expressions.len());
    for expression in expressions {
        let mut expr = decode(family, expression)?;
        if let Expr::Dnat { port: Some(port), port_specified, .. } = &mut expr {
            // The kernel dumps the flag whether or not it was sent, so the rule must tell: a constant port is one
            // that an immediate has put into the register.
            *port_specified = exprs.iter().rev().find_map(|earlier| loads(earlier, *port)) == Some(true);
        }
        exprs.push(expr);
    }
    Some(exprs)
}

/// Whether an expression loads a constant (`true`) or something else (`false`) into a register, if it writes there.
fn loads(expr: &Expr, register: Register) -> Option<bool> {
    match expr {
        Expr::Immediate { dest, .. } if *dest == register => Some(true),
        // What a map yields may reach over several registers.
        Expr::Lookup { data: LookupData::Load(_), .. } => Some(false),
        Expr::Payload { dest, .. }
        | Expr::Meta { dest, .. }
        | Expr::Ct { dest, .. }
        | Expr::FibType { dest, .. }
        | Expr::Numgen { dest, .. }
        | Expr::Bitwise { dest, .. }
        | Expr::HostToNetwork { dest, .. }
            if *dest == register =>
        {
            Some(false)
        }
        _ => None,
    }
}

fn decode(family: Family, expression: &ExpressionRef<'_>) -> Option<Expr> {
    let register = |attribute| expression.number(attribute).and_then(Register::from_kernel_number);
    let value = |attribute| expression.bytes(attribute).map(Value::from_bytes);
    match expression.kind()? {
        b"payload" => Some(Expr::Payload {
            header: match expression.number(sys::NFTNL_EXPR_PAYLOAD_BASE)? {
                number::PAYLOAD_NETWORK => Header::Network,
                number::PAYLOAD_TRANSPORT => Header::Transport,
                _ => return None,
            },
            offset: expression.number(sys::NFTNL_EXPR_PAYLOAD_OFFSET)?.try_into().ok()?,
            len: expression.number(sys::NFTNL_EXPR_PAYLOAD_LEN)?.try_into().ok()?,
            dest: register(sys::NFTNL_EXPR_PAYLOAD_DREG)?,
        }),
        b"meta" => decode_meta(expression),
        b"ct" => decode_ct(family, expression),
        b"fib" => Some(Expr::FibType {
            address: match (
                expression.number(sys::NFTNL_EXPR_FIB_RESULT)?,
                expression.number(sys::NFTNL_EXPR_FIB_FLAGS)?,
            ) {
                (number::FIB_RESULT_ADDRTYPE, number::FIB_SADDR) => FibAddress::Source,
                (number::FIB_RESULT_ADDRTYPE, number::FIB_DADDR) => FibAddress::Destination,
                _ => return None,
            },
            dest: register(sys::NFTNL_EXPR_FIB_DREG)?,
        }),
        b"numgen" => {
            let random = expression.number(sys::NFTNL_EXPR_NG_TYPE)? == number::NG_RANDOM;
            let offset = expression.number(sys::NFTNL_EXPR_NG_OFFSET).unwrap_or(0);
            let modulus = expression.number(sys::NFTNL_EXPR_NG_MODULUS)?;
            let dest = register(sys::NFTNL_EXPR_NG_DREG)?;
            (random && offset == 0).then_some(Expr::Numgen { modulus, dest })
        }
        b"cmp" => Some(Expr::Cmp {
            op: match expression.number(sys::NFTNL_EXPR_CMP_OP)? {
                number::CMP_EQ => CmpOp::Eq,
                number::CMP_NEQ => CmpOp::Neq,
                _ => return None,
            },
            source: register(sys::NFTNL_EXPR_CMP_SREG)?,
            value: value(sys::NFTNL_EXPR_CMP_DATA)?,
        }),
        b"bitwise" => {
            let op = expression.number(sys::NFTNL_EXPR_BITWISE_OP).unwrap_or(number::BITWISE_MASK_XOR);
            let source = register(sys::NFTNL_EXPR_BITWISE_SREG)?;
            let dest = register(sys::NFTNL_EXPR_BITWISE_DREG)?;
            let mask = value(sys::NFTNL_EXPR_BITWISE_MASK)?;
            let xor = value(sys::NFTNL_EXPR_BITWISE_XOR)?;
            (op == number::BITWISE_MASK_XOR && mask.len() == xor.len()).then_some(Expr::Bitwise {
                source,
                dest,
                mask,
                xor,
            })
        }
        b"byteorder" => {
            let op = expression.number(sys::NFTNL_EXPR_BYTEORDER_OP)?;
            let size = expression.number(sys::NFTNL_EXPR_BYTEORDER_SIZE)?;
            let source = register(sys::NFTNL_EXPR_BYTEORDER_SREG)?;
            let dest = register(sys::NFTNL_EXPR_BYTEORDER_DREG)?;
            let len = expression.number(sys::NFTNL_EXPR_BYTEORDER_LEN)?.try_into().ok()?;
            (op == number::BYTEORDER_HTON && size == BYTEORDER_SIZE).then_some(Expr::HostToNetwork {
                source,
                dest,
                len,
            })
        }
        b"lookup" => decode_lookup(expression),
        b"immediate" => decode_immediate(expression),
        b"nat" => decode_dnat(family, expression),
        b"masq" => {
            let ports = expression.has(sys::NFTNL_EXPR_MASQ_REG_PROTO_MIN);
            let flags = expression.number(sys::NFTNL_EXPR_MASQ_FLAGS)?;
            (!ports && flags == number::NAT_FULLY_RANDOM).then_some(Expr::Masquerade)
        }
        b"reject" => decode_reject(family, expression),
        b"dynset" => decode_update(expression),
        _ => None,
    }
}

fn decode_meta(expression: &ExpressionRef<'_>) -> Option<Expr> {
    let key = expression.number(sys::NFTNL_EXPR_META_KEY)?;
    if let Some(source) = expression.number(sys::NFTNL_EXPR_META_SREG) {
        let source = Register::from_kernel_number(source)?;
        return (key == number::META_MARK).then_some(Expr::SetMark { source });
    }
    let key = match key {
        number::META_L4PROTO => MetaKey::L4Proto,
        number::META_MARK => MetaKey::Mark,
        number::META_IIFNAME => MetaKey::IifName,
        _ => return None,
    };
    let dest = Register::from_kernel_number(expression.number(sys::NFTNL_EXPR_META_DREG)?)?;
    Some(Expr::Meta { key, dest })
}

fn decode_ct(family: Family, expression: &ExpressionRef<'_>) -> Option<Expr> {
    let direction = expression.byte(sys::NFTNL_EXPR_CT_DIR);
    let key = match (expression.number(sys::NFTNL_EXPR_CT_KEY)?, direction, family) {
        (number::CT_STATE, None, _) => CtKey::State,
        (number::CT_STATUS, None, _) => CtKey::Status,
        (number::CT_SRC_IP, Some(number::CT_DIR_ORIGINAL), Family::Ipv4)
        | (number::CT_SRC_IP6, Some(number::CT_DIR_ORIGINAL), Family::Ipv6) => CtKey::OriginalSource,
        (number::CT_DST_IP, Some(number::CT_DIR_ORIGINAL), Family::Ipv4)
        | (number::CT_DST_IP6, Some(number::CT_DIR_ORIGINAL), Family::Ipv6) => CtKey::OriginalDestination,
        (number::CT_PROTO_DST, Some(number::CT_DIR_ORIGINAL), _) => CtKey::OriginalDestinationPort,
        _ => return None,
    };
    let dest = Register::from_kernel_number(expression.number(sys::NFTNL_EXPR_CT_DREG)?)?;
    Some(Expr::Ct { key, dest })
}

fn decode_lookup(expression: &ExpressionRef<'_>) -> Option<Expr> {
    let invert = match expression.number(sys::NFTNL_EXPR_LOOKUP_FLAGS) {
        None | Some(0) => false,
        Some(number::LOOKUP_INVERT) => true,
        Some(_) => return None,
    };
    let data = match expression.number(sys::NFTNL_EXPR_LOOKUP_DREG) {
        None => LookupData::None,
        Some(number::REG_VERDICT) => LookupData::Verdict,
        Some(dest) => LookupData::Load(Register::from_kernel_number(dest)?),
    };
    let source = Register::from_kernel_number(expression.number(sys::NFTNL_EXPR_LOOKUP_SREG)?)?;
    Some(Expr::Lookup { set: expression.text(sys::NFTNL_EXPR_LOOKUP_SET)?.into(), source, data, invert })
}

fn decode_immediate(expression: &ExpressionRef<'_>) -> Option<Expr> {
    let dest = expression.number(sys::NFTNL_EXPR_IMM_DREG)?;
    if dest == number::REG_VERDICT {
        let code = expression.bytes(sys::NFTNL_EXPR_IMM_VERDICT)?.try_into().ok().map(i32::from_ne_bytes)?;
        let chain = expression.text(sys::NFTNL_EXPR_IMM_CHAIN).map(Name::from);
        return verdict_from_code(code, chain).map(Expr::Verdict);
    }
    let value = Value::from_bytes(expression.bytes(sys::NFTNL_EXPR_IMM_DATA)?);
    Some(Expr::Immediate { dest: Register::from_kernel_number(dest)?, value })
}

fn decode_dnat(family: Family, expression: &ExpressionRef<'_>) -> Option<Expr> {
    // The kernel repeats the first register of a range as its last.
    let single = |min, max| {
        let first = expression.number(min);
        (!expression.has(max) || expression.number(max) == first).then_some(first)
    };
    let address = single(sys::NFTNL_EXPR_NAT_REG_ADDR_MIN, sys::NFTNL_EXPR_NAT_REG_ADDR_MAX)??;
    let port = match single(sys::NFTNL_EXPR_NAT_REG_PROTO_MIN, sys::NFTNL_EXPR_NAT_REG_PROTO_MAX)? {
        Some(port) => Some(Register::from_kernel_number(port)?),
        None => None,
    };
    let flags = expression.number(sys::NFTNL_EXPR_NAT_FLAGS).unwrap_or(0);
    let dnat = expression.number(sys::NFTNL_EXPR_NAT_TYPE)? == number::NAT_DNAT
        && expression.number(sys::NFTNL_EXPR_NAT_FAMILY)? == u32::from(family_number(family))
        && flags & !(number::NAT_MAP_IPS | number::NAT_PROTO_SPECIFIED) == 0;
    let port_specified = port.is_some() && flags & number::NAT_PROTO_SPECIFIED != 0;
    dnat.then_some(Expr::Dnat { address: Register::from_kernel_number(address)?, port, port_specified })
}

fn decode_reject(family: Family, expression: &ExpressionRef<'_>) -> Option<Expr> {
    match expression.number(sys::NFTNL_EXPR_REJECT_TYPE)? {
        number::REJECT_ICMP => {
            let code = expression.byte(sys::NFTNL_EXPR_REJECT_CODE)?;
            (code == unreachable_code(family)).then_some(Expr::Reject(Reject::PortUnreachable))
        }
        number::REJECT_TCP_RESET => Some(Expr::Reject(Reject::TcpReset)),
        _ => None,
    }
}

fn decode_update(expression: &ExpressionRef<'_>) -> Option<Expr> {
    let register = |attribute| expression.number(attribute).and_then(Register::from_kernel_number);
    let plain = expression.number(sys::NFTNL_EXPR_DYNSET_OP)? == number::DYNSET_UPDATE
        && expression.number(sys::NFTNL_EXPR_DYNSET_FLAGS).unwrap_or(0) == 0
        && !expression.has(sys::NFTNL_EXPR_DYNSET_EXPR)
        && !expression.has(sys::NFTNL_EXPR_DYNSET_EXPRESSIONS);
    let set = expression.text(sys::NFTNL_EXPR_DYNSET_SET_NAME)?.into();
    let key = register(sys::NFTNL_EXPR_DYNSET_SREG_KEY)?;
    let data = register(sys::NFTNL_EXPR_DYNSET_SREG_DATA)?;
    let timeout = expression.long(sys::NFTNL_EXPR_DYNSET_TIMEOUT)?;
    plain.then_some(Expr::Update { set, key, data, timeout })
}

impl EncodeError {
    /// A name as libnftnl takes it.
    pub(super) fn check_name(name: &Name) -> Result<CString, Self> {
        let fits = (1..=svcnat_rules::ruleset::MAX_NAME).contains(&name.len());
        match CString::new(name.as_bytes()) {
            Ok(text) if fits => Ok(text),
            _ => Err(Self::Name(name.clone())),
        }
    }
}
