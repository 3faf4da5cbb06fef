//! Statements: the combinations of expressions that rules are made of, as nft itself combines them.
//!
//! The order of expressions and the choice of registers follow nft 1.0.6 (`nft --debug=netlink`), so that a listing of
//! what netlink loaded reads the same as one of what nft loaded from the printed script.

use std::net::{IpAddr, SocketAddr};

use crate::name::Name;
use crate::net::{Cidr, Family, Protocol};
use crate::ruleset::{
    CT_STATE_NEW, CT_STATUS_DNAT, CmpOp, CtKey, Expr, FIB_TYPE_LOCAL, FibAddress, Header, LookupData,
    MetaKey, Register, Reject, Rule, Value, Verdict,
};

/// Something about a packet that keys are made of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Field {
    Source,
    Destination,
    L4Proto,
    DestinationPort,
    OriginalSource,
    OriginalDestination,
    OriginalDestinationPort,
    /// A number below this one, drawn at random.
    Slot(u32),
}

/// The name of an interface is compared with its closing zeros, `IFNAMSIZ` bytes in all.
const INTERFACE_NAME_LEN: usize = 16;

/// A rule in the making.
#[derive(Debug, Clone)]
pub(crate) struct Statements {
    family: Family,
    rule: Rule,
}

impl Statements {
    /// A rule of a table of that family.
    pub(crate) fn new(family: Family) -> Self {
        Self { family, rule: Rule::default() }
    }

    /// The finished rule.
    pub(crate) fn done(self) -> Rule {
        self.rule
    }

    /// The finished rule, ended by a verdict.
    pub(crate) fn verdict(self, verdict: Verdict) -> Rule {
        self.with([Expr::Verdict(verdict)]).done()
    }

    /// `jump chain`.
    pub(crate) fn jump(self, chain: &str) -> Rule {
        self.verdict(Verdict::Jump(Name::from(chain)))
    }

    /// `goto chain`.
    pub(crate) fn goto(self, chain: &Name) -> Rule {
        self.verdict(Verdict::Goto(chain.clone()))
    }

    /// A comment on the rule.
    pub(crate) fn comment(mut self, comment: Option<Name>) -> Self {
        self.rule.comment = comment;
        self
    }

    /// `meta l4proto tcp`.
    pub(crate) fn protocol(self, protocol: Protocol) -> Self {
        let value = Value::from_bytes(&[protocol.number()]);
        self.load(Field::L4Proto, Register::FIRST).cmp(CmpOp::Eq, value)
    }

    /// `tcp dport != 0`, as the head of a rule on one protocol.
    pub(crate) fn port_not_zero(self, protocol: Protocol) -> Self {
        self.protocol(protocol)
            .load(Field::DestinationPort, Register::FIRST)
            .cmp(CmpOp::Neq, Value::from_bytes(&[0, 0]))
    }

    /// `ip saddr 10.244.0.0/16`, or `!=`.
    pub(crate) fn source(self, op: CmpOp, network: Cidr) -> Self {
        self.network(Field::Source, op, network)
    }

    /// `ip daddr 10.96.0.0/12`.
    pub(crate) fn destination(self, op: CmpOp, network: Cidr) -> Self {
        self.network(Field::Destination, op, network)
    }

    /// `iifname "cbr0"`, or `!=`.
    pub(crate) fn interface(self, op: CmpOp, name: &str) -> Self {
        let mut bytes = name.as_bytes().to_vec();
        bytes.resize(INTERFACE_NAME_LEN, 0);
        self.interface_bytes(op, &bytes)
    }

    /// `iifname "veth*"`, or `!=`.
    pub(crate) fn interface_prefix(self, op: CmpOp, prefix: &str) -> Self {
        self.interface_bytes(op, prefix.as_bytes())
    }

    /// `fib saddr type local`.
    pub(crate) fn local(self, address: FibAddress) -> Self {
        self.with([Expr::FibType { address, dest: Register::FIRST }]).cmp(CmpOp::Eq, host_u32(FIB_TYPE_LOCAL))
    }

    /// `ct state new`.
    pub(crate) fn new_connection(self) -> Self {
        self.with([Expr::Ct { key: CtKey::State, dest: Register::FIRST }]).has_bit(CT_STATE_NEW)
    }

    /// `ct status dnat`.
    pub(crate) fn translated(self) -> Self {
        self.with([Expr::Ct { key: CtKey::Status, dest: Register::FIRST }]).has_bit(CT_STATUS_DNAT)
    }

    /// `meta mark & bits != 0`.
    pub(crate) fn marked(self, bits: u32) -> Self {
        self.with([Expr::Meta { key: MetaKey::Mark, dest: Register::FIRST }]).has_bit(bits)
    }

    /// `meta mark set meta mark | bits`.
    pub(crate) fn set_mark(self, bits: u32) -> Self {
        self.change_mark(!bits, bits)
    }

    /// `meta mark set meta mark ^ bits`.
    pub(crate) fn flip_mark(self, bits: u32) -> Self {
        self.change_mark(u32::MAX, bits)
    }

    /// `ip daddr . meta l4proto . th dport @set`.
    pub(crate) fn in_set(self, fields: &[Field], set: &str) -> Self {
        self.lookup(fields, set, LookupData::None, false)
    }

    /// `ip daddr . meta l4proto . th dport . ip saddr != @set`, where the set has ranges.
    pub(crate) fn not_in_ranges(mut self, fields: &[Field], set: &str) -> Self {
        let mut dest = Register::FIRST;
        for field in fields {
            self = self.load(*field, dest);
            if self.len(*field) == 1 {
                self = self.with([Expr::HostToNetwork { source: dest, dest, len: 1 }]);
            }
            dest = dest.after(self.len(*field));
        }
        let set = Name::from(set);
        self.with([Expr::Lookup { set, source: Register::FIRST, data: LookupData::None, invert: true }])
    }

    /// `ip daddr . meta l4proto . th dport vmap @map`.
    pub(crate) fn verdict_map(self, fields: &[Field], map: &str) -> Rule {
        self.lookup(fields, map, LookupData::Verdict, false).done()
    }

    /// `dnat ip to ip saddr . ip daddr . meta l4proto . th dport map @map`.
    pub(crate) fn dnat_to_map(self, fields: &[Field], map: &str) -> Rule {
        let address = Register::FIRST;
        let port = address.after(usize::from(self.family.address_len()));
        self.lookup(fields, map, LookupData::Load(address), false)
            .with([Expr::Dnat { address, port: Some(port), port_specified: false }])
            .done()
    }

    /// `numgen random mod n 0`: goes on with the probability 1/n.
    pub(crate) fn one_in(self, n: u32) -> Self {
        self.with([Expr::Numgen { modulus: n, dest: Register::FIRST }]).cmp(CmpOp::Eq, host_u32(0))
    }

    /// `dnat to 10.244.0.2:8080`.
    pub(crate) fn dnat(self, to: SocketAddr) -> Rule {
        let address = match to.ip() {
            IpAddr::V4(address) => Value::from_bytes(&address.octets()),
            IpAddr::V6(address) => Value::from_bytes(&address.octets()),
        };
        let port = Value::from_bytes(&to.port().to_be_bytes());
        self.with([
            Expr::Immediate { dest: Register::FIRST, value: address },
            Expr::Immediate { dest: Register::SECOND, value: port },
            Expr::Dnat { address: Register::FIRST, port: Some(Register::SECOND), port_specified: true },
        ])
        .done()
    }

    /// `masquerade fully-random`.
    pub(crate) fn masquerade(self) -> Rule {
        self.with([Expr::Masquerade]).done()
    }

    /// `reject`, or `reject with tcp reset`.
    pub(crate) fn reject(self, reject: Reject) -> Rule {
        self.with([Expr::Reject(reject)]).done()
    }

    /// `update @map { key timeout t : data }`.
    pub(crate) fn update(mut self, map: &str, key: &[Field], data: &[Field], timeout: u64) -> Rule {
        let key_len = self.fields_len(key);
        let data_at = Register::FIRST.after(key_len);
        self = self.load_fields(key, Register::FIRST).load_fields(data, data_at);
        self.with([Expr::Update { set: Name::from(map), key: Register::FIRST, data: data_at, timeout }])
            .done()
    }

    fn with<const N: usize>(mut self, exprs: [Expr; N]) -> Self {
        self.rule.exprs.extend(exprs);
        self
    }

    fn cmp(self, op: CmpOp, value: Value) -> Self {
        self.with([Expr::Cmp { op, source: Register::FIRST, value }])
    }

    fn has_bit(self, bits: u32) -> Self {
        self.with([Expr::Bitwise {
            source: Register::FIRST,
            dest: Register::FIRST,
            mask: host_u32(bits),
            xor: host_u32(0),
        }])
        .cmp(CmpOp::Neq, host_u32(0))
    }

    fn change_mark(self, keep: u32, flip: u32) -> Self {
        let register = Register::FIRST;
        self.with([
            Expr::Meta { key: MetaKey::Mark, dest: register },
            Expr::Bitwise { source: register, dest: register, mask: host_u32(keep), xor: host_u32(flip) },
            Expr::SetMark { source: register },
        ])
    }

    fn interface_bytes(self, op: CmpOp, bytes: &[u8]) -> Self {
        self.with([Expr::Meta { key: MetaKey::IifName, dest: Register::FIRST }])
            .cmp(op, Value::from_bytes(bytes))
    }

    fn lookup(self, fields: &[Field], set: &str, data: LookupData, invert: bool) -> Self {
        self.load_fields(fields, Register::FIRST).with([Expr::Lookup {
            set: Name::from(set),
            source: Register::FIRST,
            data,
            invert,
        }])
    }

    fn load_fields(mut self, fields: &[Field], first: Register) -> Self {
        let mut dest = first;
        for field in fields {
            self = self.load(*field, dest);
            dest = dest.after(self.len(*field));
        }
        self
    }

    fn fields_len(&self, fields: &[Field]) -> usize {
        fields.iter().map(|field| self.len(*field).next_multiple_of(4)).sum()
    }

    fn len(&self, field: Field) -> usize {
        match field {
            Field::L4Proto => 1,
            Field::DestinationPort | Field::OriginalDestinationPort => 2,
            Field::Slot(_) => 4,
            Field::Source | Field::Destination | Field::OriginalSource | Field::OriginalDestination => {
                usize::from(self.family.address_len())
            }
        }
    }

    fn load(self, field: Field, dest: Register) -> Self {
        let expr = match field {
            Field::Source => self.address(self.source_offset(), self.family.address_len(), dest),
            Field::Destination => self.address(self.destination_offset(), self.family.address_len(), dest),
            Field::L4Proto => Expr::Meta { key: MetaKey::L4Proto, dest },
            Field::DestinationPort => Expr::Payload { header: Header::Transport, offset: 2, len: 2, dest },
            Field::OriginalSource => Expr::Ct { key: CtKey::OriginalSource, dest },
            Field::OriginalDestination => Expr::Ct { key: CtKey::OriginalDestination, dest },
            Field::OriginalDestinationPort => Expr::Ct { key: CtKey::OriginalDestinationPort, dest },
            Field::Slot(slots) => Expr::Numgen { modulus: slots, dest },
        };
        self.with([expr])
    }

    fn address(&self, offset: u8, len: u8, dest: Register) -> Expr {
        Expr::Payload { header: Header::Network, offset, len, dest }
    }

    /// Where the source address is in the IP header (RFC 791, RFC 8200).
    fn source_offset(&self) -> u8 {
        if self.family == Family::Ipv4 { 12 } else { 8 }
    }

    /// Where the destination address is in the IP header.
    fn destination_offset(&self) -> u8 {
        self.source_offset() + self.family.address_len()
    }

    /// A whole number of bytes is compared as it is; other prefixes are masked first. Every address is in the network
    /// of prefix 0, of which there is nothing to compare.
    fn network(self, field: Field, op: CmpOp, network: Cidr) -> Self {
        let offset = match field {
            Field::Source => self.source_offset(),
            _ => self.destination_offset(),
        };
        let value = Value::new().addr(network.network());
        let prefix = network.prefix();
        if prefix == 0 && op == CmpOp::Eq {
            return self;
        }
        if prefix.is_multiple_of(8) && prefix > 0 {
            let len = prefix / 8;
            let load = self.address(offset, len, Register::FIRST);
            return self.with([load]).cmp(op, Value::from_bytes(&value.as_bytes()[..usize::from(len)]));
        }
        let load = self.address(offset, self.family.address_len(), Register::FIRST);
        let (source, dest) = (Register::FIRST, Register::FIRST);
        let xor = Value::from_bytes(&vec![0; value.len()]);
        self.with([load, Expr::Bitwise { source, dest, mask: Value::new().addr(network.mask()), xor }])
            .cmp(op, value)
    }
}

fn host_u32(number: u32) -> Value {
    Value::from_bytes(&number.to_ne_bytes())
}
