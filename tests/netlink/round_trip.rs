//! Encode, load, decode is the identity, and lists as nft's own loading does.

use svcnat::netlink::Options;
use svcnat_rules::installed::Installed;
use svcnat_rules::name::Name;
use svcnat_rules::net::Family;
use svcnat_rules::ruleset::{
    BaseHook, Chain, ChainType, CmpOp, CtKey, DataType, Element, Expr, FibAddress, Header, Hook, LookupData,
    MetaKey, Register, Reject, Rule, Ruleset, Set, SetDefinition, Table, Value, Verdict,
};

use crate::namespace::{
    build, build_in_order, in_fresh_namespace, nft_list, nft_load, read, send, without_handles,
};

/// What nft has loaded must be understood whole, and be the same when it is loaded over netlink.
#[track_caller]
fn check(script: &str, family: Family) {
    let (by_nft, listed_by_nft) = in_fresh_namespace(|| {
        nft_load(script);
        (without_handles(read()), nft_list(family.keyword()))
    });
    for (name, set) in &by_nft.tables[&family].sets {
        assert!(set.definition.is_some(), "set {name} is not understood");
    }
    for (name, chain) in &by_nft.tables[&family].chains {
        assert!(chain.hook.is_some(), "chain {name} is not understood");
        for (index, rule) in chain.rules.iter().enumerate() {
            assert!(rule.rule.is_some(), "rule {index} of chain {name} is not understood");
        }
    }
    let (by_netlink, listed_by_netlink) = in_fresh_namespace(|| {
        send(&build_in_order(&by_nft, &listed_by_nft), &Options::default()).unwrap();
        (without_handles(read()), nft_list(family.keyword()))
    });
    assert_eq!(by_netlink, by_nft);
    assert!(listed_by_netlink == listed_by_nft, "by nft:\n{listed_by_nft}\nby netlink:\n{listed_by_netlink}");
}

#[test]
fn the_chains_layout_is_the_same_by_nft_and_by_netlink() {
    check(include_str!("../data/chains.nft"), Family::Ipv4);
}

#[test]
fn the_maps_layout_is_the_same_by_nft_and_by_netlink() {
    check(include_str!("../data/maps.nft"), Family::Ipv4);
}

#[test]
fn ipv6_is_the_same_by_nft_and_by_netlink() {
    check(include_str!("../data/ipv6.nft"), Family::Ipv6);
}

/// Nothing of the compiler's own may be lost, whether nft has a script for it or not.
#[test]
fn every_expression_is_read_as_it_was_written() {
    for family in Family::ALL {
        let ruleset = Ruleset { tables: [(family, everything(family))].into() };
        let wanted = Installed::from(&ruleset);
        let found = in_fresh_namespace(|| {
            send(&build(&wanted), &Options::default()).unwrap();
            nft_list(family.keyword());
            without_handles(read())
        });
        assert_eq!(found, wanted);
    }
}

fn everything(family: Family) -> Table {
    let address = match family {
        Family::Ipv4 => DataType::Ipv4Addr,
        Family::Ipv6 => DataType::Ipv6Addr,
    };
    let bytes = |byte: u8| Value::from_bytes(&vec![byte; address.byte_len()]);
    let mut table = Table::default();
    let client = [address, address, DataType::InetProto, DataType::InetService];
    let backend = [address, DataType::InetService];
    let affinity = SetDefinition { dynamic: true, size: Some(1000), ..SetDefinition::map(&client, &backend) };
    let ranges =
        SetDefinition { interval: true, ..SetDefinition::set(&[address, DataType::InetService, address]) };
    let key = |last: u8| {
        Value::from_bytes(bytes(9).as_bytes())
            .port(443)
            .field(Value::from_bytes(bytes(last).as_bytes()).as_bytes())
    };
    let mut add = |name: &str, definition, elements: Vec<(Value, Element)>| {
        let set = Set { elements: elements.into_iter().collect(), ..Set::new(definition) };
        table.sets.insert(name.into(), set);
    };
    let comment = || Name::from("a comment, \"quoted\", of ours ä");
    add("affinity", affinity, vec![]);
    add(
        "ranges",
        ranges,
        vec![
            (key(1), Element { end: Some(Box::new(key(5))), ..Element::key_only() }.with_comment(comment())),
            (key(7), Element { end: Some(Box::new(key(7))), ..Element::key_only() }),
            (key(8), Element::key_only()),
        ],
    );
    add("addresses", SetDefinition::set(&[address]), vec![(bytes(1), Element::key_only())]);
    let counted =
        vec![(bytes(1), Element::key_only().with_comment(comment())), (bytes(2), Element::key_only())];
    add("counted", SetDefinition::counting_set(&[address]), counted);
    add(
        "ports",
        SetDefinition::map(&[DataType::InetService], &[DataType::InetProto]),
        vec![(Value::new().port(80), Element::value(Value::new().field(&[6])).with_comment(comment()))],
    );
    add(
        "verdicts",
        SetDefinition::verdict_map(&[address]),
        [Verdict::Accept, Verdict::Drop, Verdict::Return, jump(), Verdict::Goto("target".into())]
            .into_iter()
            .zip(1..)
            .map(|(verdict, byte)| (bytes(byte), Element::verdict(verdict)))
            .collect(),
    );
    let slots = SetDefinition::map(&[address, DataType::Slot], &backend);
    let slot = Value::from_bytes(bytes(1).as_bytes()).slot(70_000);
    add("slots", slots, vec![(slot, Element::value(Value::from_bytes(bytes(2).as_bytes()).port(8080)))]);

    let hook = |kind, hook, priority| Chain { hook: Some(BaseHook { kind, hook, priority }), rules: vec![] };
    table.chains.insert("target".into(), Chain::default());
    for (hook_point, priority) in Hook::ALL.into_iter().zip([-300, -1, 0, 1, i32::MAX - 1000]) {
        table.chains.insert(hook_point.keyword().into(), hook(ChainType::Filter, hook_point, priority));
    }
    table.chains.insert("nat".into(), hook(ChainType::Nat, Hook::Prerouting, -100));
    table.chains.insert("nat-out".into(), hook(ChainType::Nat, Hook::Postrouting, 100));
    for (chain, exprs) in rules(&bytes) {
        let comment = exprs.len().is_multiple_of(2).then(comment);
        table.chains.get_mut(chain).unwrap().rules.push(Rule { exprs, comment });
    }
    table
}

fn jump() -> Verdict {
    Verdict::Jump("target".into())
}

/// Every expression in every form.
fn rules(address: &dyn Fn(u8) -> Value) -> Vec<(&'static str, Vec<Expr>)> {
    let first = Register::FIRST;
    let second = Register::SECOND;
    let cmp = |op, source, bytes: &[u8]| Expr::Cmp { op, source, value: Value::from_bytes(bytes) };
    let load = |header, offset, len, dest| Expr::Payload { header, offset, len, dest };
    let tcp = || vec![Expr::Meta { key: MetaKey::L4Proto, dest: first }, cmp(CmpOp::Eq, first, &[6])];
    let with_tcp = |more: Vec<Expr>| tcp().into_iter().chain(more).collect::<Vec<_>>();
    let len = u8::try_from(address(0).len()).unwrap();
    let destination = if len == 4 { 16 } else { 24 };
    let after = |bytes| first.after(bytes);
    let lookup = |set: &str, data, invert| Expr::Lookup { set: set.into(), source: first, data, invert };
    let constant = |dest, bytes: &[u8]| Expr::Immediate { dest, value: Value::from_bytes(bytes) };
    let dnat = |port, port_specified| Expr::Dnat { address: first, port, port_specified };
    let verdicts = [Verdict::Accept, Verdict::Drop, Verdict::Return, jump(), Verdict::Goto("target".into())];
    let mut rules: Vec<(&str, Vec<Expr>)> =
        verdicts.into_iter().map(|verdict| ("input", vec![Expr::Verdict(verdict)])).collect();
    rules.extend([
        (
            "prerouting",
            vec![
                Expr::Meta { key: MetaKey::Mark, dest: first },
                Expr::Bitwise {
                    source: first,
                    dest: first,
                    mask: Value::from_bytes(&[1, 2, 3, 4]),
                    xor: Value::from_bytes(&[0, 0x40, 0, 0]),
                },
                Expr::SetMark { source: first },
            ],
        ),
        (
            "prerouting",
            vec![
                Expr::Meta { key: MetaKey::IifName, dest: first },
                cmp(CmpOp::Neq, first, b"eth0\0\0\0\0\0\0\0\0\0\0\0\0"),
                Expr::FibType { address: FibAddress::Source, dest: first },
                cmp(CmpOp::Eq, first, &2_u32.to_ne_bytes()),
                Expr::FibType { address: FibAddress::Destination, dest: second },
                Expr::Ct { key: CtKey::State, dest: first },
                Expr::Ct { key: CtKey::Status, dest: first },
                Expr::Ct { key: CtKey::OriginalSource, dest: first },
                Expr::Ct { key: CtKey::OriginalDestination, dest: after(16) },
                Expr::Ct { key: CtKey::OriginalDestinationPort, dest: after(32) },
                Expr::Numgen { modulus: 3, dest: after(36) },
                cmp(CmpOp::Eq, after(36), &0_u32.to_ne_bytes()),
            ],
        ),
        (
            "forward",
            vec![
                load(Header::Network, destination, len, first),
                lookup("addresses", LookupData::None, true),
                lookup("verdicts", LookupData::Verdict, false),
            ],
        ),
        (
            "forward",
            vec![
                Expr::Meta { key: MetaKey::L4Proto, dest: first },
                Expr::HostToNetwork { source: first, dest: first, len: 1 },
            ],
        ),
        ("output", with_tcp(vec![Expr::Reject(Reject::TcpReset)])),
        ("output", vec![Expr::Reject(Reject::PortUnreachable)]),
        ("nat", vec![constant(first, address(1).as_bytes()), dnat(None, false)]),
        (
            "nat",
            with_tcp(vec![
                constant(first, address(1).as_bytes()),
                constant(second, &[0, 80]),
                dnat(Some(second), true),
            ]),
        ),
        (
            "nat",
            with_tcp(vec![
                load(Header::Network, destination, len, first),
                Expr::Numgen { modulus: 8, dest: after(usize::from(len)) },
                lookup("slots", LookupData::Load(first), false),
                dnat(Some(after(usize::from(len))), false),
            ]),
        ),
        (
            "nat",
            with_tcp(vec![
                constant(second, &[0, 80]),
                load(Header::Transport, 2, 2, second),
                constant(first, address(1).as_bytes()),
                dnat(Some(second), false),
            ]),
        ),
        ("nat-out", vec![Expr::Masquerade]),
        (
            "postrouting",
            with_tcp(vec![
                Expr::Ct { key: CtKey::OriginalSource, dest: first },
                Expr::Ct { key: CtKey::OriginalDestination, dest: after(usize::from(len)) },
                Expr::Meta { key: MetaKey::L4Proto, dest: after(2 * usize::from(len)) },
                Expr::Ct { key: CtKey::OriginalDestinationPort, dest: after(2 * usize::from(len) + 4) },
                load(Header::Network, destination, len, after(2 * usize::from(len) + 8)),
                load(Header::Transport, 2, 2, after(3 * usize::from(len) + 8)),
                Expr::Update {
                    set: "affinity".into(),
                    key: first,
                    data: after(2 * usize::from(len) + 8),
                    timeout: 10_800_000,
                },
            ]),
        ),
        ("target", vec![]),
    ]);
    rules
}
