//! A ruleset that holds every kind of rule, set and chain, in both families.

use svcnat_rules::name::Name;
use svcnat_rules::net::{Cidr, Family, Protocol};
use svcnat_rules::ruleset::{
    BaseHook, Chain, ChainType, DataType, Element, Expr, Hook, Reject, Rule, Ruleset, Set, SetDefinition,
    Table, Value, Verdict,
};

use crate::build::*;
use crate::cases::cases;

/// The chain with all rules of [`cases`].
pub const CASES: &str = "cases/all.of_them-1";

/// The ruleset, without the rules that `is_known` does not hold for.
pub fn ruleset(is_known: impl Fn(&Build, &Rule) -> bool) -> Ruleset {
    let tables = Family::ALL.map(|family| (family, table(Build(family), &is_known)));
    Ruleset { tables: tables.into() }
}

fn table(b: Build, is_known: impl Fn(&Build, &Rule) -> bool) -> Table {
    let mut rules: Vec<Rule> =
        cases(b).into_iter().map(|(_, rule)| rule).filter(|rule| is_known(&b, rule)).collect();
    for (i, rule) in rules.iter_mut().enumerate() {
        // One in three with a comment, the odd characters among them.
        let comment = || Name::from(format!("default/web \"{i}\" é *\\ #{{;}}\n*"));
        rule.comment = (i % 3 == 0).then(comment);
    }
    let service = vec![rule([accept()])];
    let reject = vec![rule([vec![Expr::Reject(Reject::PortUnreachable)]])];
    let regular = [(CASES, rules), ("service", service), ("reject-with-icmp", reject)]
        .map(|(name, rules)| (Name::from(name), Chain { hook: None, rules }));
    let base = base_chains().into_iter().map(|(name, hook)| {
        let rules = vec![rule([jump("service")])];
        (Name::from(name), Chain { hook: Some(hook), rules })
    });
    Table { sets: sets(b), chains: regular.into_iter().chain(base).collect() }
}

pub fn base_chains() -> [(&'static str, BaseHook); 6] {
    let hook = |kind, hook, priority| BaseHook { kind, hook, priority };
    [
        ("filter-prerouting", hook(ChainType::Filter, Hook::Prerouting, -110)),
        ("filter-forward", hook(ChainType::Filter, Hook::Forward, 0)),
        ("nat-prerouting", hook(ChainType::Nat, Hook::Prerouting, -100)),
        ("nat-output", hook(ChainType::Nat, Hook::Output, -100)),
        ("nat-input", hook(ChainType::Nat, Hook::Input, 100)),
        ("nat-postrouting", hook(ChainType::Nat, Hook::Postrouting, 105)),
    ]
}

/// The sets that [`cases`] name, with elements of every kind.
fn sets(b: Build) -> std::collections::BTreeMap<Name, Set> {
    use DataType::{InetProto, InetService, Slot};
    let address = address_type(b);
    let frontend = [address, InetProto, InetService];
    let backend = [address, InetService];
    let verdict = || Element::verdict(Verdict::Goto(Name::from("service")));
    let to = |text| Element::value(addr(text).port(8080));
    let (first, second) = (b.pick("10.96.0.10", "fd00:60::10"), b.pick("10.96.0.20", "fd00:60::20"));
    let pod = b.pick("10.244.0.2", "fd00:244::2");
    let tcp = |text: &str| addr(text).protocol(Protocol::Tcp).port(80);
    let node_port = || Value::new().protocol(Protocol::Udp).port(30008);
    let range = |head: Value, first: &str, last: &str| {
        let end = Some(Box::new(head.clone().addr(last.parse().unwrap())));
        (head.addr(first.parse().unwrap()), Element { end, ..Element::key_only() })
    };
    let cidr = |head: Value, text: &str| {
        let cidr: Cidr = text.parse().unwrap();
        range(head, &cidr.network().to_string(), &cidr.last().to_string())
    };
    let affinity = SetDefinition {
        dynamic: true,
        size: Some(262_144),
        ..SetDefinition::map(&[address, address, InetProto, InetService], &backend)
    };
    let allowed =
        SetDefinition { interval: true, ..SetDefinition::set(&[address, InetProto, InetService, address]) };
    let networks = SetDefinition { interval: true, ..SetDefinition::set(&[address]) };
    let slots = SetDefinition::map(&[address, InetProto, InetService, Slot], &backend);
    let node_port_slots = SetDefinition::map(&[InetProto, InetService, Slot], &backend);
    let comment = || Name::from("shop/api \"x\"\u{7}");
    let commented = vec![(tcp(first), verdict().with_comment(comment())), (tcp(second), verdict())];
    let sources = vec![
        cidr(tcp(first), b.pick("198.51.100.0/24", "2001:db8::/32")),
        cidr(tcp(second), b.pick("0.0.0.0/0", "::/0")),
        range(tcp(pod), b.pick("10.0.0.1", "fd00::1"), b.pick("10.0.0.6", "fd00::6")),
    ];
    let networks_elements = vec![
        cidr(Value::new(), b.pick("10.0.0.0/12", "fd00::/12")),
        range(Value::new(), b.pick("11.0.0.1", "fe00::1"), b.pick("11.0.0.1", "fe00::1")),
        range(Value::new(), b.pick("12.0.0.1", "fe01::1"), b.pick("12.0.0.9", "fe01::9")),
    ];
    let keys = |keys: Vec<Value>| keys.into_iter().map(|key| (key, Element::key_only())).collect();
    let slot = |slot| (tcp(first).slot(slot), to(pod).with_comment(comment()));
    let node_port_slot = vec![(node_port().slot(300), to(pod))];
    [
        ("affinity", affinity, vec![]),
        ("backends", slots, vec![slot(0), slot(1), slot(256)]),
        ("cluster-ips", SetDefinition::set(&[address]), keys(vec![addr(first), addr(second)])),
        (
            "counted",
            SetDefinition::counting_set(&frontend),
            vec![
                (tcp(first), Element::key_only().with_comment(comment())),
                (tcp(second), Element::key_only()),
            ],
        ),
        ("frontends", SetDefinition::verdict_map(&frontend), commented),
        (
            "hairpin",
            SetDefinition::set(&[address, address]),
            keys(vec![addr(pod).addr(pod.parse().unwrap())]),
        ),
        ("networks", networks, networks_elements),
        (
            "node-port-frontends",
            SetDefinition::verdict_map(&[InetProto, InetService]),
            vec![(node_port(), verdict())],
        ),
        ("node-port-backends", node_port_slots, node_port_slot),
        ("node-port-ips", SetDefinition::set(&[address]), vec![]),
        ("source-allowed", allowed, sources),
        ("source-restricted", SetDefinition::set(&frontend), keys(vec![tcp(first)])),
        ("sticky-10800", SetDefinition::set(&frontend), keys(vec![tcp(second)])),
    ]
    .map(|(name, definition, elements): (_, _, Vec<_>)| {
        (Name::from(name), Set { definition, elements: elements.into_iter().collect() })
    })
    .into()
}

pub fn address_type(b: Build) -> DataType {
    match b.0 {
        Family::Ipv4 => DataType::Ipv4Addr,
        Family::Ipv6 => DataType::Ipv6Addr,
    }
}

pub fn addr(text: &str) -> Value {
    Value::new().addr(text.parse().unwrap())
}
