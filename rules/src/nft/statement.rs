//! Rules: from the kernel's expressions back to nft's statements.

use std::fmt::Write;

use smallvec::SmallVec;

use super::field::{Field, number};
use super::value::{address, port};
use crate::name::Name;
use crate::net::{Family, Protocol};
use crate::ruleset::{CmpOp, Expr, Header, LookupData, Register, Reject, Rule, Value};

/// The expressions are none that nft makes of any statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unsayable;

impl From<std::fmt::Error> for Unsayable {
    /// Writing to a string does not fail; this lets `?` say so.
    fn from(_: std::fmt::Error) -> Self {
        Self
    }
}

/// Appends the rule's statements; nothing where nft cannot say them.
pub(super) fn write_rule(out: &mut String, rule: &Rule, family: Family) -> Result<(), Unsayable> {
    let start = out.len();
    let result = Translator { out, start, family, loaded: SmallVec::new(), protocol: None, implied: false }
        .translate(&rule.exprs);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// The fields of a key or of data, in order.
type Key = SmallVec<[Field; 6]>;

/// What registers hold from some word on.
struct Loaded<'a> {
    at: Register,
    content: Content<'a>,
}

enum Content<'a> {
    /// What an expression loaded.
    Field(Field),
    /// Some bits of a field, others flipped.
    Masked { field: Field, mask: &'a Value, xor: &'a Value },
    /// A constant.
    Constant(&'a Value),
    /// What a map has for a key.
    Mapped { map: &'a Name, key: Key },
}

struct Translator<'a, 'o> {
    out: &'o mut String,
    /// Where in `out` the rule begins.
    start: usize,
    family: Family,
    /// What was loaded and not used yet. nft uses each load once.
    loaded: SmallVec<[Loaded<'a>; 8]>,
    /// The transport protocol that the packet is known to have by now.
    protocol: Option<Protocol>,
    /// Whether the comparison with `protocol` is still to be said, by saying `tcp dport` and the like.
    implied: bool,
}

impl<'a> Translator<'a, '_> {
    fn translate(mut self, exprs: &'a [Expr]) -> Result<(), Unsayable> {
        let mut rest = exprs;
        while let Some((expr, behind)) = rest.split_first() {
            self.step(expr, behind)?;
            rest = behind;
        }
        let is_complete = self.loaded.is_empty() && self.out.len() > self.start;
        if is_complete { Ok(()) } else { Err(Unsayable) }
    }

    fn step(&mut self, expr: &'a Expr, behind: &[Expr]) -> Result<(), Unsayable> {
        if let Some((dest, field)) = Field::loaded_by(expr, self.family) {
            return self.load(dest, Content::Field(field));
        }
        match expr {
            Expr::Immediate { dest, value } => self.load(*dest, Content::Constant(value)),
            Expr::Bitwise { source, dest, mask, xor } => match self.take(*source)? {
                Content::Field(field) => self.load(*dest, Content::Masked { field, mask, xor }),
                _ => Err(Unsayable),
            },
            // nft adds it by itself wherever it is due.
            Expr::HostToNetwork { source, dest, .. } => {
                let content = self.take(*source)?;
                if source == dest { self.load(*dest, content) } else { Err(Unsayable) }
            }
            Expr::Cmp { op, source, value } => self.compare(*op, *source, value.as_bytes(), behind),
            Expr::Lookup { set, source, data, invert } => self.lookup(set, *source, *data, *invert),
            Expr::SetMark { source } => self.set_mark(*source),
            Expr::Dnat { address, port, .. } => self.dnat(*address, *port),
            Expr::Update { set, key, data, timeout } => self.update(set, *key, *data, *timeout),
            Expr::Verdict(verdict) => Ok(write!(self.statement()?, "{verdict}")?),
            Expr::Masquerade => Ok(write!(self.statement()?, "masquerade fully-random")?),
            Expr::Reject(reject) => self.reject(*reject),
            // A field that nft has a name for was taken care of above.
            Expr::Payload { .. }
            | Expr::Meta { .. }
            | Expr::Ct { .. }
            | Expr::FibType { .. }
            | Expr::Numgen { .. } => Err(Unsayable),
        }
    }

    fn load(&mut self, at: Register, content: Content<'a>) -> Result<(), Unsayable> {
        if self.loaded.iter().any(|loaded| loaded.at == at) {
            return Err(Unsayable);
        }
        self.loaded.push(Loaded { at, content });
        Ok(())
    }

    fn take(&mut self, at: Register) -> Result<Content<'a>, Unsayable> {
        let index = self.loaded.iter().position(|loaded| loaded.at == at).ok_or(Unsayable)?;
        Ok(self.loaded.remove(index).content)
    }

    /// Takes the fields that lie one behind the other from a register on, up to another one.
    fn take_key(&mut self, from: Register, before: Option<Register>) -> Result<Key, Unsayable> {
        let mut key = Key::new();
        let mut at = from;
        while let Ok(content) = self.take(at) {
            let Content::Field(field) = content else { return Err(Unsayable) };
            // nft knows what a port of the first packet is only once it knows the protocol.
            let is_known = field != Field::CtPort || self.protocol.is_some();
            if !field.is_whole(self.family) || !is_known {
                return Err(Unsayable);
            }
            key.push(field);
            at = at.after(field.len(self.family));
            if before == Some(at) || at <= from {
                break;
            }
        }
        if key.is_empty() { Err(Unsayable) } else { Ok(key) }
    }

    /// Begins a statement that uses all that is left of what was loaded.
    fn statement(&mut self) -> Result<&mut String, Unsayable> {
        if !self.loaded.is_empty() {
            return Err(Unsayable);
        }
        if self.out.len() > self.start {
            self.out.push(' ');
        }
        Ok(self.out)
    }

    fn write_key(&mut self, key: &[Field]) -> Result<(), Unsayable> {
        for (i, field) in key.iter().enumerate() {
            if i > 0 {
                self.out.push_str(" . ");
            }
            field.write_name(self.out, self.family)?;
        }
        Ok(())
    }

    fn compare(
        &mut self,
        op: CmpOp,
        source: Register,
        value: &[u8],
        behind: &[Expr],
    ) -> Result<(), Unsayable> {
        let content = self.take(source)?;
        let family = self.family;
        match content {
            Content::Field(Field::L4Proto) => self.compare_protocol(op, value, behind),
            Content::Field(Field::CtPort) if self.protocol.is_none() => Err(Unsayable),
            Content::Field(field) => {
                let protocol = self.protocol.filter(|_| std::mem::take(&mut self.implied));
                let out = self.statement()?;
                let name = out.len();
                field.write_name(out, family)?;
                if let Some(protocol) = protocol {
                    out.replace_range(name..name + "th".len(), protocol.keyword());
                }
                field.write_comparison(out, op, value, family)
            }
            Content::Masked { field, mask, xor } if is_zero(xor) => {
                let out = self.statement()?;
                field.write_name(out, family)?;
                field.write_masked_comparison(out, mask.as_bytes(), op, value, family)
            }
            Content::Masked { .. } | Content::Constant(_) | Content::Mapped { .. } => Err(Unsayable),
        }
    }

    /// `meta l4proto tcp`, which goes without saying before `tcp dport`: nft adds it to that.
    fn compare_protocol(&mut self, op: CmpOp, value: &[u8], behind: &[Expr]) -> Result<(), Unsayable> {
        if op == CmpOp::Eq
            && let [number] = value
        {
            self.protocol = Protocol::from_number(*number);
            let port_follows =
                matches!(behind, [Expr::Payload { header: Header::Transport, .. }, Expr::Cmp { .. }, ..]);
            if port_follows && self.protocol.is_some() {
                self.implied = true;
                return if self.loaded.is_empty() { Ok(()) } else { Err(Unsayable) };
            }
        }
        let family = self.family;
        let out = self.statement()?;
        Field::L4Proto.write_name(out, family)?;
        Field::L4Proto.write_comparison(out, op, value, family)
    }

    fn lookup(
        &mut self,
        set: &'a Name,
        source: Register,
        data: LookupData,
        invert: bool,
    ) -> Result<(), Unsayable> {
        let key = self.take_key(source, None)?;
        if let LookupData::Load(dest) = data {
            return if invert { Err(Unsayable) } else { self.load(dest, Content::Mapped { map: set, key }) };
        }
        self.statement()?;
        self.write_key(&key)?;
        let operator = match (data, invert) {
            (LookupData::None, false) => "",
            (LookupData::None, true) => "!= ",
            (_, false) => "vmap ",
            (_, true) => return Err(Unsayable),
        };
        Ok(write!(self.out, " {operator}@{set}")?)
    }

    fn set_mark(&mut self, source: Register) -> Result<(), Unsayable> {
        let content = self.take(source)?;
        let out = self.statement()?;
        out.push_str("meta mark set ");
        match content {
            Content::Constant(value) => write!(out, "{:#010x}", number(value.as_bytes())?)?,
            Content::Masked { field: Field::Mark, mask, xor } => {
                let (mask, xor) = (number(mask.as_bytes())?, number(xor.as_bytes())?);
                out.push_str("meta mark");
                match (mask, xor) {
                    (_, 0) => write!(out, " & {mask:#010x}")?,
                    (u32::MAX, _) => write!(out, " ^ {xor:#010x}")?,
                    _ if mask == !xor => write!(out, " | {xor:#010x}")?,
                    _ => write!(out, " & {mask:#010x} ^ {xor:#010x}")?,
                }
            }
            _ => return Err(Unsayable),
        }
        Ok(())
    }

    fn dnat(&mut self, to: Register, port_at: Option<Register>) -> Result<(), Unsayable> {
        let family = self.family;
        match self.take(to)? {
            Content::Mapped { map, key } => {
                let is_behind = |port| port == to.after(family.address_len().into());
                if !port_at.is_none_or(is_behind) {
                    return Err(Unsayable);
                }
                write!(self.statement()?, "dnat {} to ", family.keyword())?;
                self.write_key(&key)?;
                Ok(write!(self.out, " map @{map}")?)
            }
            Content::Constant(value) if value.len() == usize::from(family.address_len()) => {
                let to = address(family, value.as_bytes()).ok_or(Unsayable)?;
                let Some(port_at) = port_at else {
                    return Ok(write!(self.statement()?, "dnat to {to}")?);
                };
                let Content::Constant(value) = self.take(port_at)? else { return Err(Unsayable) };
                let port = port(value.as_bytes()).ok_or(Unsayable)?;
                // nft asks for a match of the protocol before a port.
                self.protocol.ok_or(Unsayable)?;
                let to = std::net::SocketAddr::new(to, port);
                Ok(write!(self.statement()?, "dnat to {to}")?)
            }
            _ => Err(Unsayable),
        }
    }

    fn reject(&mut self, reject: Reject) -> Result<(), Unsayable> {
        let text = match reject {
            Reject::PortUnreachable => "reject",
            // Without a match of the protocol, nft would add one.
            Reject::TcpReset if self.protocol == Some(Protocol::Tcp) => "reject with tcp reset",
            Reject::TcpReset => return Err(Unsayable),
        };
        self.statement()?.push_str(text);
        Ok(())
    }

    fn update(&mut self, map: &Name, key: Register, data: Register, timeout: u64) -> Result<(), Unsayable> {
        let key = self.take_key(key, Some(data))?;
        let data = self.take_key(data, None)?;
        write!(self.statement()?, "update @{map} {{ ")?;
        self.write_key(&key)?;
        if timeout > 0 {
            self.out.push_str(" timeout ");
            write_duration(self.out, timeout)?;
        }
        self.out.push_str(" : ");
        self.write_key(&data)?;
        self.out.push_str(" }");
        Ok(())
    }
}

fn is_zero(value: &Value) -> bool {
    value.as_bytes().iter().all(|byte| *byte == 0)
}

/// Writes milliseconds as nft does: `1d2h3m4s5ms`, without what is zero.
fn write_duration(out: &mut String, milliseconds: u64) -> std::fmt::Result {
    const UNITS: [(u64, &str); 5] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let mut rest = milliseconds;
    for (unit, name) in UNITS {
        if rest >= unit {
            write!(out, "{}{name}", rest / unit)?;
            rest %= unit;
        }
    }
    Ok(())
}
