//! Rules by hand, with registers as nft takes them: a key from the first word on, an update's data behind the key.

use std::net::IpAddr;

use svcnat_rules::name::Name;
use svcnat_rules::net::{Family, Protocol};
use svcnat_rules::ruleset::{
    CmpOp, CtKey, Expr, FIB_TYPE_LOCAL, FibAddress, Header, LookupData, MetaKey, Register, Rule, Value,
    Verdict,
};

/// What a rule can load, with the number of bytes by `Load::len`.
#[derive(Clone, Copy)]
pub enum Load {
    Saddr,
    Daddr,
    L4Proto,
    /// The protocol as part of a key that is a range.
    L4ProtoSwapped,
    Dport,
    CtSaddr,
    CtDaddr,
    CtDport,
    Numgen(u32),
}

pub use Load::*;

/// Builds the rules of one family.
#[derive(Clone, Copy)]
pub struct Build(pub Family);

impl Build {
    pub fn addr_len(self) -> u8 {
        self.0.address_len()
    }

    /// The address of this family.
    pub fn pick<'a>(self, ipv4: &'a str, ipv6: &'a str) -> &'a str {
        match self.0 {
            Family::Ipv4 => ipv4,
            Family::Ipv6 => ipv6,
        }
    }

    /// Loads the beginning of an address.
    pub fn load_address(self, side: FibAddress, len: u8, dest: Register) -> Expr {
        let offset = match (side, self.0) {
            (FibAddress::Source, Family::Ipv4) => 12,
            (FibAddress::Destination, Family::Ipv4) => 16,
            (FibAddress::Source, Family::Ipv6) => 8,
            (FibAddress::Destination, Family::Ipv6) => 24,
        };
        Expr::Payload { header: Header::Network, offset, len, dest }
    }

    fn load(self, load: Load, dest: Register) -> (Vec<Expr>, usize) {
        let ct = |key| Expr::Ct { key, dest };
        let address = usize::from(self.addr_len());
        let (expr, len) = match load {
            Saddr => (self.load_address(FibAddress::Source, self.addr_len(), dest), address),
            Daddr => (self.load_address(FibAddress::Destination, self.addr_len(), dest), address),
            L4Proto | L4ProtoSwapped => (Expr::Meta { key: MetaKey::L4Proto, dest }, 1),
            Dport => (load_port(2, dest), 2),
            CtSaddr => (ct(CtKey::OriginalSource), address),
            CtDaddr => (ct(CtKey::OriginalDestination), address),
            CtDport => (ct(CtKey::OriginalDestinationPort), 2),
            Numgen(modulus) => (Expr::Numgen { modulus, dest }, 4),
        };
        let mut exprs = vec![expr];
        if matches!(load, L4ProtoSwapped) {
            exprs.push(Expr::HostToNetwork { source: dest, dest, len: 2 });
        }
        (exprs, len)
    }

    /// Loads a key, and gives the register behind it.
    pub fn key(self, loads: &[Load], from: Register) -> (Vec<Expr>, Register) {
        let mut at = from;
        let mut exprs = Vec::new();
        for load in loads {
            let (loads, len) = self.load(*load, at);
            exprs.extend(loads);
            at = at.after(len);
        }
        (exprs, at)
    }

    fn find(self, loads: &[Load], set: &str, data: LookupData, invert: bool) -> Vec<Expr> {
        let (mut exprs, _) = self.key(loads, Register::FIRST);
        exprs.push(Expr::Lookup { set: Name::from(set), source: Register::FIRST, data, invert });
        exprs
    }

    pub fn in_set(self, loads: &[Load], set: &str) -> Vec<Expr> {
        self.find(loads, set, LookupData::None, false)
    }

    pub fn not_in_set(self, loads: &[Load], set: &str) -> Vec<Expr> {
        self.find(loads, set, LookupData::None, true)
    }

    pub fn vmap(self, loads: &[Load], map: &str) -> Vec<Expr> {
        self.find(loads, map, LookupData::Verdict, false)
    }

    /// `dnat ip to ... map @map`, with a port.
    pub fn dnat_map(self, loads: &[Load], map: &str) -> Vec<Expr> {
        let mut exprs = self.find(loads, map, LookupData::Load(Register::FIRST), false);
        let port = Register::FIRST.after(self.addr_len().into());
        exprs.push(Expr::Dnat { address: Register::FIRST, port: Some(port), port_specified: false });
        exprs
    }

    pub fn dnat_to(self, address: &str, port: Option<u16>) -> Vec<Expr> {
        let address = Value::new().addr(address.parse::<IpAddr>().unwrap());
        let mut exprs = vec![Expr::Immediate { dest: Register::FIRST, value: address }];
        // nft gives each constant registers of sixteen bytes.
        if let Some(port) = port {
            let value = Value::from_bytes(&port.to_be_bytes());
            exprs.push(Expr::Immediate { dest: Register::SECOND, value });
        }
        let register = port.map(|_| Register::SECOND);
        exprs.push(Expr::Dnat { address: Register::FIRST, port: register, port_specified: port.is_some() });
        exprs
    }

    /// Compares the first `bytes` bytes of an address.
    pub fn prefix(self, side: FibAddress, op: CmpOp, address: &str, bytes: u8) -> Vec<Expr> {
        let value = octets(address);
        let value = Value::from_bytes(&value[..bytes.into()]);
        vec![self.load_address(side, bytes, Register::FIRST), cmp(op, value)]
    }

    /// Compares an address under a mask.
    pub fn masked(self, side: FibAddress, op: CmpOp, mask: &str, address: &str) -> Vec<Expr> {
        let load = self.load_address(side, self.addr_len(), Register::FIRST);
        vec![load, mask_by(&octets(mask)), cmp(op, Value::from_bytes(&octets(address)))]
    }

    pub fn update(self, key: &[Load], data: &[Load], map: &str, timeout: u64) -> Vec<Expr> {
        let (mut exprs, end) = self.key(key, Register::FIRST);
        // nft begins data at the next sixteen bytes, where IPv6 leaves no room.
        let data_at =
            Register::new(end.word().next_multiple_of(4)).filter(|_| self.0 == Family::Ipv4).unwrap_or(end);
        exprs.extend(self.key(data, data_at).0);
        exprs.push(Expr::Update { set: Name::from(map), key: Register::FIRST, data: data_at, timeout });
        exprs
    }
}

pub fn octets(address: &str) -> Vec<u8> {
    Value::new().addr(address.parse().unwrap()).as_bytes().to_vec()
}

pub fn load_port(offset: u8, dest: Register) -> Expr {
    Expr::Payload { header: Header::Transport, offset, len: 2, dest }
}

pub fn cmp(op: CmpOp, value: Value) -> Expr {
    Expr::Cmp { op, source: Register::FIRST, value }
}

pub fn eq(bytes: &[u8]) -> Expr {
    cmp(CmpOp::Eq, Value::from_bytes(bytes))
}

pub fn neq(bytes: &[u8]) -> Expr {
    cmp(CmpOp::Neq, Value::from_bytes(bytes))
}

pub fn mask_by(mask: &[u8]) -> Expr {
    bitwise(mask, &vec![0; mask.len()])
}

pub fn bitwise(mask: &[u8], xor: &[u8]) -> Expr {
    Expr::Bitwise {
        source: Register::FIRST,
        dest: Register::FIRST,
        mask: Value::from_bytes(mask),
        xor: Value::from_bytes(xor),
    }
}

pub fn number(number: u32) -> [u8; 4] {
    number.to_ne_bytes()
}

pub fn ct(key: CtKey) -> Expr {
    Expr::Ct { key, dest: Register::FIRST }
}

pub fn meta(key: MetaKey) -> Expr {
    Expr::Meta { key, dest: Register::FIRST }
}

/// `ct state new` and the like: one of the bits is set.
pub fn any_bit(key: CtKey, bits: u32) -> Vec<Expr> {
    vec![ct(key), mask_by(&number(bits)), neq(&number(0))]
}

pub fn protocol(protocol: Protocol) -> Vec<Expr> {
    vec![meta(MetaKey::L4Proto), eq(&[protocol.number()])]
}

pub fn dport(op: CmpOp, port: u16) -> Vec<Expr> {
    vec![load_port(2, Register::FIRST), cmp(op, Value::from_bytes(&port.to_be_bytes()))]
}

pub fn numgen(modulus: u32) -> Vec<Expr> {
    vec![Expr::Numgen { modulus, dest: Register::FIRST }, eq(&number(0))]
}

pub fn fib_local(address: FibAddress) -> Vec<Expr> {
    vec![Expr::FibType { address, dest: Register::FIRST }, eq(&number(FIB_TYPE_LOCAL))]
}

pub fn mark(mask: u32, xor: u32) -> Vec<Expr> {
    let set = Expr::SetMark { source: Register::FIRST };
    vec![meta(MetaKey::Mark), bitwise(&number(mask), &number(xor)), set]
}

pub fn interface(op: CmpOp, name: &str, len: usize) -> Vec<Expr> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(len, 0);
    vec![meta(MetaKey::IifName), cmp(op, Value::from_bytes(&bytes))]
}

pub fn jump(chain: &str) -> Vec<Expr> {
    vec![Expr::Verdict(Verdict::Jump(Name::from(chain)))]
}

pub fn goto(chain: &str) -> Vec<Expr> {
    vec![Expr::Verdict(Verdict::Goto(Name::from(chain)))]
}

pub fn accept() -> Vec<Expr> {
    vec![Expr::Verdict(Verdict::Accept)]
}

pub fn drop() -> Vec<Expr> {
    vec![Expr::Verdict(Verdict::Drop)]
}

pub fn rule<const N: usize>(parts: [Vec<Expr>; N]) -> Rule {
    Rule { exprs: parts.into_iter().flatten().collect(), comment: None }
}
