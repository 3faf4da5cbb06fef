//! The rules of a small cluster in both layouts, as nft compiles them.
//!
//! One node (192.168.1.2), pods in 10.244.0.0/16, services in 10.96.0.0/12:
//! - default/web, ClusterIP 10.96.0.10:80, nodePort 30008, three backends, one of them (10.244.0.2) on this node;
//! - shop/api, 203.0.113.7:443, ClusterIP 10.96.0.20, nodePort 30443, externalTrafficPolicy Local, session affinity,
//!   source range 198.51.100.0/24, two backends, one (10.244.0.4) on this node;
//! - test/idle, ClusterIP 10.96.0.30:80, no endpoints.

use super::build::*;
use crate::net::{Family, Protocol};
use crate::ruleset::{
    ChainType, CtKey, DataType, Element, Expr, FIB_TYPE_LOCAL, FibAddress, Header, Hook, LookupData, MetaKey,
    Reject, Ruleset, Set, SetData, SetDefinition, Table, Value, Verdict,
};
use crate::simulate::Environment;

const MASQUERADE: u32 = 0x4000;
const FRONTEND: [DataType; 3] = [DataType::Ipv4Addr, DataType::InetProto, DataType::InetService];
const BACKEND: [DataType; 2] = [DataType::Ipv4Addr, DataType::InetService];

pub const WEB: [&str; 3] = ["10.244.0.2:8080", "10.244.1.2:8080", "10.244.2.2:8080"];
pub const API: [&str; 2] = ["10.244.0.4:8443", "10.244.1.4:8443"];

/// The node that the rules are for.
pub fn node() -> Environment {
    Environment::with_local(&[addr("127.0.0.1"), addr("192.168.1.2")])
}

/// The node once a client of a frontend is known to have used a backend.
pub fn node_that_remembers(client: &str, at: &str, to: &str) -> Environment {
    let mut environment = node();
    environment.insert(Family::Ipv4, name("affinity"), affinity_key(client, at), backend(to));
    environment
}

pub fn affinity_key(client: &str, frontend: &str) -> Value {
    let frontend = socket(frontend);
    Value::new().addr(addr(client)).addr(frontend.ip()).protocol(Protocol::Tcp).port(frontend.port())
}

pub fn chains() -> Ruleset {
    let mut table = common();
    let web = "service-default/web/http";
    let api = "service-shop/api/https";
    frontends(
        &mut table,
        [("10.96.0.10:80", web), ("10.96.0.20:443", api), ("203.0.113.7:443", "external-shop/api/https")],
        [(30008, "external-default/web/http"), (30443, "external-shop/api/https")],
    );
    chain(&mut table, web, draw_rules(&WEB));
    chain(&mut table, "external-default/web/http", [vec![jump("masquerade-later")], vec![goto(web)]]);
    let sticky = |backends: &[&str]| [vec![remembered()], draw_rules(backends)].concat();
    chain(&mut table, api, sticky(&API));
    chain(&mut table, "local-shop/api/https", sticky(&API[..1]));
    chain(&mut table, "external-shop/api/https", local_policy(api, [vec![goto("local-shop/api/https")]]));
    ruleset(table)
}

pub fn maps() -> Ruleset {
    let mut table = common();
    frontends(
        &mut table,
        [
            ("10.96.0.10:80", "pick-4"),
            ("10.96.0.20:443", "sticky-pick-2"),
            ("203.0.113.7:443", "external-local-1-2"),
        ],
        [(30008, "node-port-external-4"), (30443, "node-port-external-local-1-2")],
    );
    let services: [(&str, &[&str]); 3] =
        [("10.96.0.10:80", &WEB), ("10.96.0.20:443", &API), ("203.0.113.7:443", &API)];
    let slots = |services: &[(&str, &[&str])]| -> Vec<(Value, Element)> {
        let slots = services.iter().flat_map(|(at, backends)| numbered(&frontend(at), backends));
        slots.collect()
    };
    let node_port_slots = |services: &[(u16, &[&str])]| -> Vec<(Value, Element)> {
        let slots = services.iter().flat_map(|(port, backends)| numbered(&node_port(*port), backends));
        slots.collect()
    };
    let frontend_slot = SetDefinition::map(&[&FRONTEND[..], &[DataType::Slot]].concat(), &BACKEND);
    let port_slot = SetDefinition::map(&[&FRONTEND[1..], &[DataType::Slot]].concat(), &BACKEND);
    set(&mut table, "backends", frontend_slot.clone(), slots(&services));
    set(&mut table, "local-backends", frontend_slot, slots(&[("203.0.113.7:443", &API[..1])]));
    set(
        &mut table,
        "node-port-backends",
        port_slot.clone(),
        node_port_slots(&[(30008, &WEB), (30443, &API)]),
    );
    set(&mut table, "node-port-local-backends", port_slot, node_port_slots(&[(30443, &API[..1])]));
    for size in [1, 2, 4] {
        chain(&mut table, &format!("pick-{size}"), pick(size, &frontend_key(), "backends"));
        let rules = pick(size, &node_port_key(), "node-port-backends");
        chain(&mut table, &format!("node-port-pick-{size}"), rules);
    }
    chain(&mut table, "pick-local-1", pick(1, &frontend_key(), "local-backends"));
    chain(&mut table, "node-port-pick-local-1", pick(1, &node_port_key(), "node-port-local-backends"));
    chain(&mut table, "sticky-pick-2", [remembered(), vec![goto("pick-2")]]);
    let external = [vec![jump("masquerade-later")], vec![goto("node-port-pick-4")]];
    chain(&mut table, "node-port-external-4", external);
    let local = local_policy("sticky-pick-2", [remembered(), vec![goto("pick-local-1")]]);
    chain(&mut table, "external-local-1-2", local);
    let local = local_policy("node-port-pick-2", [remembered(), vec![goto("node-port-pick-local-1")]]);
    chain(&mut table, "node-port-external-local-1-2", local);
    ruleset(table)
}

/// The rules of a `pick` chain of the layout `maps`.
pub fn pick(size: u32, key: &[Expr], map: &str) -> Vec<Vec<Expr>> {
    let word = u8::try_from(key.len()).unwrap();
    let draw = |modulus| {
        let lookup = [numgen(modulus, word), lookup(map, LookupData::Load(reg(0)))];
        [key, &lookup, &[dnat_loaded()]].concat()
    };
    if size <= 2 { vec![draw(size)] } else { [vec![draw(size); 8], vec![draw(size / 2)]].concat() }
}

/// A frontend's slots: its key, a slot's number, a backend.
pub fn numbered(key: &Value, backends: &[&str]) -> Vec<(Value, Element)> {
    let slots = (0_u32..).zip(backends);
    slots.map(|(slot, to)| (key.clone().slot(slot), Element::value(backend(to)))).collect()
}

/// Loads destination address, protocol and destination port.
pub fn frontend_key() -> Vec<Expr> {
    vec![daddr(0), meta(MetaKey::L4Proto, 1), dport(2)]
}

fn node_port_key() -> Vec<Expr> {
    vec![meta(MetaKey::L4Proto, 0), dport(1)]
}

fn node_port(port: u16) -> Value {
    Value::new().protocol(Protocol::Tcp).port(port)
}

fn dnat_loaded() -> Expr {
    Expr::Dnat { address: reg(0), port: Some(reg(1)), port_specified: false }
}

/// `dnat ip to ip saddr . ip daddr . meta l4proto . th dport map @affinity`
fn remembered() -> Vec<Expr> {
    let key = [saddr(0), daddr(1), meta(MetaKey::L4Proto, 2), dport(3)];
    [key.to_vec(), vec![lookup("affinity", LookupData::Load(reg(0))), dnat_loaded()]].concat()
}

/// The rules of a service's chain of the layout `chains`.
pub fn draw_rules<S: AsRef<str>>(backends: &[S]) -> Vec<Vec<Expr>> {
    let left = (1..=u32::try_from(backends.len()).unwrap()).rev();
    let rules = left.zip(backends).map(|(left, to)| {
        let draw = if left > 1 { one_in(left) } else { Vec::new() };
        [is_tcp(), draw, dnat_to(to.as_ref())].concat()
    });
    rules.collect()
}

fn from_pods(op_eq: bool) -> Vec<Expr> {
    let pods = Value::from_bytes(&[10, 244]);
    let load = Expr::Payload { header: Header::Network, offset: 12, len: 2, dest: reg(0) };
    vec![load, if op_eq { eq(0, pods) } else { neq(0, pods) }]
}

fn from_this_node() -> Vec<Expr> {
    vec![Expr::FibType { address: FibAddress::Source, dest: reg(0) }, eq(0, number(FIB_TYPE_LOCAL))]
}

fn local_policy(all: &str, local: impl IntoIterator<Item = Vec<Expr>>) -> Vec<Vec<Expr>> {
    let mut rules = vec![
        [from_pods(true), vec![goto(all)]].concat(),
        [from_this_node(), vec![jump("masquerade-later")]].concat(),
        [from_this_node(), vec![goto(all)]].concat(),
    ];
    rules.extend(local);
    rules
}

fn frontends<const N: usize, const M: usize>(
    table: &mut Table,
    frontends: [(&str, &str); N],
    node_ports: [(u16, &str); M],
) {
    let to =
        |chain: &str| Element::verdict(Verdict::Goto(name(chain))).with_comment(name(&format!("to {chain}")));
    let elements = frontends.map(|(at, chain)| (frontend(at), to(chain)));
    set(table, "frontends", SetDefinition::verdict_map(&FRONTEND), elements);
    let elements = node_ports.map(|(port, chain)| (node_port(port), to(chain)));
    set(table, "node-port-frontends", SetDefinition::verdict_map(&FRONTEND[1..]), elements);
}

/// What both layouts have.
fn common() -> Table {
    let mut table = Table::default();
    common_sets(&mut table);
    common_chains(&mut table);
    hooks(&mut table);
    table
}

fn common_sets(table: &mut Table) {
    let only = |keys: &[Value]| -> Vec<(Value, Element)> {
        keys.iter().map(|key| (key.clone(), Element::key_only())).collect()
    };
    let plain = |fields: &[DataType]| SetDefinition::set(fields);
    let address = |text: &str| Value::new().addr(addr(text));
    table.sets.insert(name("affinity"), Set::new(affinity()));
    let sticky = ["10.96.0.20:443", "203.0.113.7:443", "192.168.1.2:30443"].map(frontend);
    set(table, "sticky-10800", plain(&FRONTEND), only(&sticky));
    let cluster_ips = ["10.96.0.10", "10.96.0.20", "10.96.0.30"].map(address);
    set(table, "cluster-ips", plain(&FRONTEND[..1]), only(&cluster_ips));
    set(table, "node-port-ips", plain(&FRONTEND[..1]), only(&[address("192.168.1.2")]));
    let reject = Element::verdict(Verdict::Goto(name("reject-with-icmp")));
    set(table, "no-endpoints", SetDefinition::verdict_map(&FRONTEND), [(frontend("10.96.0.30:80"), reject)]);
    set(table, "source-restricted", plain(&FRONTEND), only(&[frontend("203.0.113.7:443")]));
    let fields = [&FRONTEND[..], &[DataType::Ipv4Addr]].concat();
    let intervals = SetDefinition { interval: true, ..plain(&fields) };
    set(table, "source-allowed", intervals, [range(&frontend("203.0.113.7:443"), "198.51.100.0/24")]);
    let hairpin = ["10.244.0.2", "10.244.0.4"].map(|pod| Value::new().addr(addr(pod)).addr(addr(pod)));
    set(table, "hairpin", plain(&[DataType::Ipv4Addr; 2]), only(&hairpin));
}

pub fn affinity() -> SetDefinition {
    SetDefinition {
        key: [&[DataType::Ipv4Addr], &FRONTEND[..]].concat(),
        data: SetData::Value(BACKEND.to_vec()),
        interval: false,
        dynamic: true,
        size: Some(262_144),
        counter: false,
    }
}

fn common_chains(table: &mut Table) {
    let mark = [meta(MetaKey::Mark, 0), bitwise(!MASQUERADE, MASQUERADE), Expr::SetMark { source: reg(0) }];
    chain(table, "masquerade-later", [mark.to_vec()]);
    let not_from_pods = [vec![daddr(0), in_set("cluster-ips")], from_pods(false)].concat();
    let services = [
        [not_from_pods, vec![jump("masquerade-later")]].concat(),
        [frontend_key(), vec![vmap("frontends")]].concat(),
        [vec![daddr(0), in_set("node-port-ips")], node_port_key(), vec![vmap("node-port-frontends")]]
            .concat(),
    ];
    chain(table, "services", services);
    chain(table, "remember-client", [remember(6), remember(17)]);
    chain(table, "reject-with-icmp", [vec![Expr::Reject(Reject::PortUnreachable)]]);
    chain(table, "check-endpoints", [[frontend_key(), vec![vmap("no-endpoints")]].concat()]);
    let services = Expr::Bitwise {
        source: reg(0),
        dest: reg(0),
        mask: Value::from_bytes(&[255, 240, 0, 0]),
        xor: Value::from_bytes(&[0; 4]),
    };
    let check = [
        vec![daddr(0), in_set("cluster-ips"), Expr::Reject(Reject::PortUnreachable)],
        vec![daddr(0), services, eq(0, Value::from_bytes(&[10, 96, 0, 0])), DROP],
    ];
    chain(table, "check-cluster-ips", check);
}

fn remember(protocol: u8) -> Vec<Expr> {
    vec![
        meta(MetaKey::L4Proto, 0),
        eq(0, Value::from_bytes(&[protocol])),
        dport(0),
        neq(0, Value::from_bytes(&[0, 0])),
        ct(CtKey::OriginalDestination, 0),
        meta(MetaKey::L4Proto, 1),
        ct(CtKey::OriginalDestinationPort, 2),
        in_set("sticky-10800"),
        ct(CtKey::OriginalSource, 0),
        ct(CtKey::OriginalDestination, 1),
        meta(MetaKey::L4Proto, 2),
        ct(CtKey::OriginalDestinationPort, 3),
        daddr(4),
        dport(5),
        Expr::Update { set: name("affinity"), key: reg(0), data: reg(4), timeout: 10_800_000 },
    ]
}

fn hooks(table: &mut Table) {
    use ChainType::{Filter, Nat};
    let new = |then: Expr| [ct_new(), vec![then]].concat();
    let to_host = |word| Expr::HostToNetwork { source: reg(word), dest: reg(word), len: 1 };
    let allowed = [daddr(0), meta(MetaKey::L4Proto, 1), to_host(1), dport(2), saddr(3)];
    let not_allowed =
        Expr::Lookup { set: name("source-allowed"), source: reg(0), data: LookupData::None, invert: true };
    let restricted = [
        ct_new(),
        frontend_key(),
        vec![in_set("source-restricted")],
        allowed.to_vec(),
        vec![not_allowed, DROP],
    ];
    base(table, "filter-prerouting", (Filter, Hook::Prerouting, -110), [restricted.concat()]);
    base(table, "nat-prerouting", (Nat, Hook::Prerouting, -100), [vec![jump("services")]]);
    base(table, "nat-output", (Nat, Hook::Output, -100), [vec![jump("services")]]);
    base(table, "filter-input", (Filter, Hook::Input, 0), [new(jump("check-endpoints"))]);
    let checks = [new(jump("check-endpoints")), new(jump("check-cluster-ips"))];
    base(table, "filter-forward", (Filter, Hook::Forward, 0), checks.clone());
    base(table, "filter-output", (Filter, Hook::Output, 0), checks);
    let translated = |then: Vec<Expr>| [ct_dnat(), then].concat();
    base(table, "nat-input", (Nat, Hook::Input, 100), [translated(vec![jump("remember-client")])]);
    let unmark = [meta(MetaKey::Mark, 0), bitwise(!0, MASQUERADE), Expr::SetMark { source: reg(0) }];
    let marked = [meta(MetaKey::Mark, 0), bitwise(MASQUERADE, 0), neq(0, number(0))];
    let postrouting = [
        translated(vec![jump("remember-client")]),
        [marked.to_vec(), unmark.to_vec(), vec![Expr::Masquerade]].concat(),
        translated(vec![saddr(0), daddr(1), in_set("hairpin"), Expr::Masquerade]),
    ];
    base(table, "nat-postrouting", (Nat, Hook::Postrouting, 100), postrouting);
}
