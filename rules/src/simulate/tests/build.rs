//! Short words for writing rulesets and packets by hand.

use std::net::{IpAddr, SocketAddr};

use crate::name::Name;
use crate::net::{Cidr, Family, Protocol};
use crate::ruleset::{
    BaseHook, CT_STATE_NEW, CT_STATUS_DNAT, Chain, ChainType, CmpOp, CtKey, Element, Expr, Header, Hook,
    LookupData, MetaKey, Register, Rule, Ruleset, Set, SetDefinition, Table, Value, Verdict,
};
use crate::simulate::{
    Delivery, Effect, Environment, Fate, Origin, Outcome, Outcomes, Packet, Probability, Receiver, simulate,
};

pub fn name(text: &str) -> Name {
    Name::from(text)
}

pub fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub fn reg(word: u8) -> Register {
    Register::new(word).unwrap()
}

/// An IPv4 frontend as the key of a set.
pub fn frontend(text: &str) -> Value {
    let frontend = socket(text);
    Value::new().addr(frontend.ip()).protocol(Protocol::Tcp).port(frontend.port())
}

pub fn backend(text: &str) -> Value {
    let backend = socket(text);
    Value::new().addr(backend.ip()).port(backend.port())
}

pub fn number(number: u32) -> Value {
    Value::from_bytes(&number.to_ne_bytes())
}

// Instructions.

pub fn saddr(word: u8) -> Expr {
    Expr::Payload { header: Header::Network, offset: 12, len: 4, dest: reg(word) }
}

pub fn daddr(word: u8) -> Expr {
    Expr::Payload { header: Header::Network, offset: 16, len: 4, dest: reg(word) }
}

pub fn dport(word: u8) -> Expr {
    Expr::Payload { header: Header::Transport, offset: 2, len: 2, dest: reg(word) }
}

pub fn meta(key: MetaKey, word: u8) -> Expr {
    Expr::Meta { key, dest: reg(word) }
}

pub fn ct(key: CtKey, word: u8) -> Expr {
    Expr::Ct { key, dest: reg(word) }
}

pub fn numgen(modulus: u32, word: u8) -> Expr {
    Expr::Numgen { modulus, dest: reg(word) }
}

pub fn immediate(word: u8, value: Value) -> Expr {
    Expr::Immediate { dest: reg(word), value }
}

pub fn eq(word: u8, value: Value) -> Expr {
    Expr::Cmp { op: CmpOp::Eq, source: reg(word), value }
}

pub fn neq(word: u8, value: Value) -> Expr {
    Expr::Cmp { op: CmpOp::Neq, source: reg(word), value }
}

pub fn bitwise(mask: u32, xor: u32) -> Expr {
    Expr::Bitwise { source: reg(0), dest: reg(0), mask: number(mask), xor: number(xor) }
}

pub fn lookup(set: &str, data: LookupData) -> Expr {
    Expr::Lookup { set: name(set), source: reg(0), data, invert: false }
}

pub fn in_set(set: &str) -> Expr {
    lookup(set, LookupData::None)
}

pub fn vmap(set: &str) -> Expr {
    lookup(set, LookupData::Verdict)
}

pub fn jump(chain: &str) -> Expr {
    Expr::Verdict(Verdict::Jump(name(chain)))
}

pub fn goto(chain: &str) -> Expr {
    Expr::Verdict(Verdict::Goto(name(chain)))
}

pub const ACCEPT: Expr = Expr::Verdict(Verdict::Accept);
pub const DROP: Expr = Expr::Verdict(Verdict::Drop);
pub const RETURN: Expr = Expr::Verdict(Verdict::Return);

pub fn is_tcp() -> Vec<Expr> {
    vec![meta(MetaKey::L4Proto, 0), eq(0, Value::from_bytes(&[6]))]
}

pub fn ct_new() -> Vec<Expr> {
    vec![ct(CtKey::State, 0), bitwise(CT_STATE_NEW, 0), neq(0, number(0))]
}

pub fn ct_dnat() -> Vec<Expr> {
    vec![ct(CtKey::Status, 0), bitwise(CT_STATUS_DNAT, 0), neq(0, number(0))]
}

/// `dnat to` a constant.
pub fn dnat_to(to: &str) -> Vec<Expr> {
    let to = socket(to);
    vec![
        immediate(0, Value::new().addr(to.ip())),
        immediate(4, Value::from_bytes(&to.port().to_be_bytes())),
        Expr::Dnat { address: reg(0), port: Some(reg(4)), port_specified: true },
    ]
}

/// `numgen random mod M == 0`.
pub fn one_in(modulus: u32) -> Vec<Expr> {
    vec![numgen(modulus, 0), eq(0, number(0))]
}

pub fn set_mark(mark: u32) -> Vec<Expr> {
    vec![immediate(0, number(mark)), Expr::SetMark { source: reg(0) }]
}

pub fn mark_is(mark: u32) -> Vec<Expr> {
    vec![meta(MetaKey::Mark, 0), eq(0, number(mark))]
}

// Tables.

pub fn chain(table: &mut Table, chain: &str, rules: impl IntoIterator<Item = Vec<Expr>>) {
    add_chain(table, chain, None, rules);
}

pub fn base(
    table: &mut Table,
    chain: &str,
    (kind, hook, priority): (ChainType, Hook, i32),
    rules: impl IntoIterator<Item = Vec<Expr>>,
) {
    add_chain(table, chain, Some(BaseHook { kind, hook, priority }), rules);
}

fn add_chain(
    table: &mut Table,
    chain: &str,
    hook: Option<BaseHook>,
    rules: impl IntoIterator<Item = Vec<Expr>>,
) {
    let rules = rules.into_iter().map(|exprs| Rule { exprs, comment: None }).collect();
    table.chains.insert(name(chain), Chain { hook, rules });
}

pub fn set(
    table: &mut Table,
    set: &str,
    definition: SetDefinition,
    elements: impl IntoIterator<Item = (Value, Element)>,
) {
    table.sets.insert(name(set), Set { definition, elements: elements.into_iter().collect() });
}

pub fn ruleset(table: Table) -> Ruleset {
    Ruleset { tables: [(Family::Ipv4, table)].into() }
}

/// An interval's element: the key before its last field, and the network that the last field lies in.
pub fn range(prefix: &Value, network: &str) -> (Value, Element) {
    let network: Cidr = network.parse().unwrap();
    let end = Some(Box::new(prefix.clone().addr(network.last())));
    (prefix.clone().addr(network.network()), Element { end, ..Element::default() })
}

// Packets and what becomes of them.

/// The first packet of a TCP connection that comes in through `eth0`.
pub fn from_network(source: &str, destination: &str) -> Packet {
    let origin = Origin::Network { interface: name("eth0") };
    Packet::new(Protocol::Tcp, socket(source), socket(destination), origin)
}

/// The first packet of a TCP connection of a local process.
pub fn from_host(source: &str, destination: &str) -> Packet {
    Packet::new(Protocol::Tcp, socket(source), socket(destination), Origin::Host)
}

/// An outcome in a line: `network 10.0.0.1:80 dnat masquerade`, `drop forward`, `reject input TcpReset`, then
/// the effects, `+` for a new element and `*` for a refreshed one.
pub fn describe(outcome: &Outcome) -> String {
    let fate = match &outcome.fate {
        Fate::Delivered(Delivery { to, destination, dnat, masqueraded }) => {
            let to = if *to == Receiver::Host { "host" } else { "network" };
            let dnat = if *dnat { " dnat" } else { "" };
            let masqueraded = if *masqueraded { " masquerade" } else { "" };
            format!("{to} {destination}{dnat}{masqueraded}")
        }
        Fate::Dropped { hook } => format!("drop {}", hook.keyword()),
        Fate::Rejected { hook, how } => format!("reject {} {how:?}", hook.keyword()),
    };
    let effect = |Effect { set, key, data, timeout, refreshed }: &Effect| {
        format!(" {}{set}[{key:?}]={data:?}/{timeout}", if *refreshed { '*' } else { '+' })
    };
    fate + &outcome.effects.iter().map(effect).collect::<String>()
}

/// Simulates, and checks what must always hold.
pub fn outcomes(ruleset: &Ruleset, environment: &Environment, packet: &Packet) -> Outcomes {
    let outcomes = simulate(ruleset, environment, packet).unwrap();
    assert_eq!(outcomes.values().sum::<Probability>(), Probability::certain());
    assert!(!outcomes.values().any(|probability| *probability == Probability::impossible()));
    outcomes
}

/// The outcomes as lines, `1/3 network 10.0.0.1:80 dnat`.
pub fn lines(ruleset: &Ruleset, environment: &Environment, packet: &Packet) -> Vec<String> {
    let outcomes = outcomes(ruleset, environment, packet);
    outcomes.iter().map(|(outcome, probability)| format!("{probability} {}", describe(outcome))).collect()
}
