//! The verifier: every invariant is broken once and the breach reported; what the compiler makes breaks none.

#![allow(clippy::unwrap_used, reason = "clippy does not see that helpers are tests")]

use proptest::prelude::*;
use svcnat_oracle::build::{self, here, tcp_slice};
use svcnat_oracle::generate::arb_world;
use svcnat_rules::compile::compile;
use svcnat_rules::config::{Config, Layout};
use svcnat_rules::layout::{Slots, set};
use svcnat_rules::name::Name;
use svcnat_rules::net::Family;
use svcnat_rules::ruleset::{
    BaseHook, Chain, ChainType, CmpOp, CtKey, DataType, Element, Elements, Expr, Header, Hook, LookupData,
    MetaKey, Register, Reject, Rule, Ruleset, Set, SetDefinition, Table, Value, Verdict,
};
use svcnat_rules::verify::{Fault, verify};

/// The layouts of what the compiler makes.
const LAYOUTS: [Layout; 2] = [Layout::Chains, Layout::Maps];

/// A ruleset that uses all that there is.
fn sound() -> Ruleset {
    let service = build::service("shop/web").cluster_ip("10.96.0.1").load_balancer_ip("203.0.113.1").tcp(80);
    let service = service.node_port(30_080).source_range("198.51.100.0/24").external_local().affinity(60);
    let world = build::world().service(service).slice(tcp_slice("shop/web", [here("10.244.0.2")]));
    compile(&world.cluster, &world.config, &Slots::default()).ruleset
}

fn name(text: &str) -> Name {
    Name::from(text)
}

fn chain<'t>(table: &'t mut Table, of: &str) -> &'t mut Vec<Rule> {
    &mut table.chains.get_mut(of).unwrap().rules
}

/// Adds a rule at the end of a chain.
fn rule(table: &mut Table, of: &str, exprs: &[Expr]) {
    chain(table, of).push(Rule { exprs: exprs.to_vec(), comment: None });
}

/// Adds a regular chain with these rules.
fn regular(table: &mut Table, of: &str, rules: &[&[Expr]]) {
    let rules = rules.iter().map(|exprs| Rule { exprs: exprs.to_vec(), comment: None }).collect();
    table.chains.insert(name(of), Chain { hook: None, rules });
}

fn elements<'t>(table: &'t mut Table, of: &str) -> &'t mut svcnat_rules::ruleset::Elements {
    &mut table.sets.get_mut(of).unwrap().elements
}

fn jump(to: &str) -> Expr {
    Expr::Verdict(Verdict::Jump(name(to)))
}

fn mark() -> Expr {
    Expr::Meta { key: MetaKey::Mark, dest: Register::FIRST }
}

fn frontend() -> [Expr; 3] {
    [
        Expr::Payload { header: Header::Network, offset: 16, len: 4, dest: Register::FIRST },
        Expr::Meta { key: MetaKey::L4Proto, dest: Register::new(1).unwrap() },
        Expr::Payload { header: Header::Transport, offset: 2, len: 2, dest: Register::new(2).unwrap() },
    ]
}

fn look_up(set: &str, data: LookupData, invert: bool) -> Expr {
    Expr::Lookup { set: name(set), source: Register::FIRST, data, invert }
}

/// A look at a verdict map with the key from that word on.
fn look_up_at(word: u8, set: &str) -> Expr {
    let source = Register::new(word).unwrap();
    Expr::Lookup { set: name(set), source, data: LookupData::Verdict, invert: false }
}

fn dnat() -> [Expr; 3] {
    let value = |bytes: &[u8]| Value::from_bytes(bytes);
    [
        Expr::Immediate { dest: Register::FIRST, value: value(&[10, 0, 0, 1]) },
        Expr::Immediate { dest: Register::SECOND, value: value(&[0, 80]) },
        Expr::Dnat { address: Register::FIRST, port: Some(Register::SECOND), port_specified: true },
    ]
}

/// Breaks the sound ruleset and expects to hear of it, and of nothing else.
#[track_caller]
fn check(broken: impl FnOnce(&mut Table), expected: &[(&str, Fault)]) {
    let mut ruleset = sound();
    assert_eq!(verify(&ruleset), []);
    broken(ruleset.tables.get_mut(&Family::Ipv4).unwrap());
    let found: Vec<(String, Fault)> =
        verify(&ruleset).into_iter().map(|violation| (violation.place, violation.fault)).collect();
    let expected: Vec<(String, Fault)> =
        expected.iter().map(|(place, fault)| ((*place).to_owned(), fault.clone())).collect();
    assert_eq!(found, expected);
}

#[test]
fn names_are_what_nft_accepts() {
    for wrong in ["", "1st", "-x", "a b", "a\"b", "a{b", "\u{e4}", "a\n", &"x".repeat(256)] {
        let place = format!("chain {wrong}");
        check(|table| regular(table, wrong, &[]), &[(&place, Fault::Name)]);
        let place = format!("set {wrong}");
        let set = || Set::new(SetDefinition::set(&[DataType::InetService]));
        check(|table| drop(table.sets.insert(name(wrong), set())), &[(&place, Fault::Name)]);
    }
    for right in ["a", "service-a/b.c_d-9", &"x".repeat(255)] {
        check(|table| regular(table, right, &[]), &[]);
    }
}

#[test]
fn comments_fit_and_end_where_they_should() {
    for (comment, fault) in [
        ("x".repeat(127), None),
        ("x".repeat(128), Some(Fault::Comment)),
        ("say \"x\"".to_owned(), Some(Fault::Comment)),
        ("two\nlines".to_owned(), Some(Fault::Comment)),
    ] {
        let on_rule = |table: &mut Table| chain(table, "services")[0].comment = Some(name(&comment));
        let faults: Vec<_> = fault.iter().map(|fault| ("rule 0 of chain services", fault.clone())).collect();
        check(on_rule, &faults);
        let on_element = |table: &mut Table| {
            let element = Element::key_only().with_comment(name(&comment));
            elements(table, set::CLUSTER_IPS).insert(Value::from_bytes(&[1, 2, 3, 4]), element);
        };
        let place = format!("element 01020304 of {}", set::CLUSTER_IPS);
        let faults: Vec<_> = fault.iter().map(|fault| (place.as_str(), fault.clone())).collect();
        check(on_element, &faults);
    }
}

#[test]
fn what_is_referred_to_exists() {
    let no_chain = |of: &str| Fault::NoChain(name(of));
    check(|table| regular(table, "x", &[&[jump("y")]]), &[("rule 0 of chain x", no_chain("y"))]);
    // A base chain is entered by the kernel alone.
    check(
        |table| regular(table, "x", &[&[jump("filter-input")]]),
        &[("rule 0 of chain x", no_chain("filter-input"))],
    );
    for to in ["y", "filter-input"] {
        let key = Value::new().protocol(svcnat_rules::net::Protocol::Tcp).port(1);
        let place = format!("element {key:?} of {}", set::NODE_PORT_FRONTENDS);
        let element = Element::verdict(Verdict::Goto(name(to)));
        let broken = |table: &mut Table| drop(elements(table, set::NODE_PORT_FRONTENDS).insert(key, element));
        check(broken, &[(&place, no_chain(to))]);
    }
    let look_up =
        |table: &mut Table| regular(table, "x", &[&[mark(), look_up("y", LookupData::None, false)]]);
    check(look_up, &[("rule 0 of chain x", Fault::NoSet(name("y")))]);
    let update = Expr::Update { set: name("y"), key: Register::FIRST, data: Register::FIRST, timeout: 1 };
    check(
        |table| regular(table, "x", &[&[mark(), update]]),
        &[("rule 0 of chain x", Fault::NoSet(name("y")))],
    );
}

#[test]
fn jumps_end() {
    // Only what a packet can reach counts.
    check(|table| regular(table, "x", &[&[jump("x")]]), &[]);
    let loops = |table: &mut Table| {
        regular(table, "x", &[&[jump("x")]]);
        rule(table, "services", &[jump("x")]);
    };
    check(loops, &[("chain x", Fault::Depth)]);
    let through_map = |table: &mut Table| {
        let element = Element::verdict(Verdict::Goto(name("x")));
        let key = Value::new().protocol(svcnat_rules::net::Protocol::Tcp).port(1);
        elements(table, set::NODE_PORT_FRONTENDS).insert(key, element);
        let exprs = [&frontend()[1..], &[look_up_at(1, set::NODE_PORT_FRONTENDS)]].concat();
        table.chains.get_mut("external-shop/web").unwrap().rules.clear();
        regular(table, "x", &[&exprs]);
    };
    check(through_map, &[("chain external-shop/web", Fault::Depth), ("chain x", Fault::Depth)]);
    // `filter-input` is at depth 0, so these are at depths 1, 2 and so on.
    let tower = |table: &mut Table, height: usize| {
        for level in 0..height {
            let next = format!("x{}", level + 1);
            let exprs = if level + 1 < height { vec![jump(&next)] } else { vec![] };
            regular(table, &format!("x{level}"), &[&exprs]);
        }
        rule(table, "filter-input", &[jump("x0")]);
    };
    // Linux 6.18 refuses the second one with EMLINK.
    check(|table| tower(table, 15), &[]);
    check(|table| tower(table, 16), &[("chain x15", Fault::Depth)]);
}

#[test]
fn elements_are_what_their_set_declares() {
    let range = |from: &[u8], to: Option<&[u8]>| {
        let end = to.map(|to| Box::new(Value::from_bytes(to)));
        (Value::from_bytes(from), Element { end, ..Element::default() })
    };
    let allowed = |source: u8| [203, 0, 113, 1, 6, 0, 0, 0, 0, 80, 0, 0, 10, 0, 0, source];
    let key_only = |bytes: &[u8]| (Value::from_bytes(bytes), Element::key_only());
    let with = |bytes: &[u8], element| (Value::from_bytes(bytes), element);
    let cases = [
        (set::CLUSTER_IPS, key_only(&[1, 2, 3])),
        (set::CLUSTER_IPS, key_only(&[1, 2, 3, 4, 5, 6, 7, 8])),
        (set::CLUSTER_IPS, with(&[1, 2, 3, 4], Element::verdict(Verdict::Drop))),
        (set::CLUSTER_IPS, range(&[1, 2, 3, 4], Some(&[1, 2, 3, 5]))),
        (set::NODE_PORT_FRONTENDS, key_only(&[6, 0, 0, 0, 0, 1, 0, 0])),
        (set::NODE_PORT_FRONTENDS, with(&[6, 0, 0, 0, 0, 1, 0, 0], Element::value(Value::new().port(1)))),
        (set::SOURCE_ALLOWED, range(&allowed(1), None)),
        (set::SOURCE_ALLOWED, range(&allowed(2), Some(&allowed(1)))),
        (set::SOURCE_ALLOWED, range(&allowed(2), Some(&allowed(3)[..12]))),
        // The packet path writes it.
        (set::AFFINITY, with(&[0; 16], Element::value(Value::from_bytes(&[0; 8])))),
    ];
    for (of, (key, element)) in cases {
        let place = format!("element {key:?} of {of}");
        check(|table| drop(elements(table, of).insert(key, element)), &[(&place, Fault::Element)]);
    }
    let (key, element) = range(&allowed(1), Some(&allowed(1)));
    check(|table| drop(elements(table, set::SOURCE_ALLOWED).insert(key, element)), &[]);
}

#[test]
fn rules_read_what_they_wrote() {
    let first = Register::FIRST;
    let last = Register::new(Register::COUNT - 1).unwrap();
    let four = || Value::from_bytes(&[0; 4]);
    let cases: [&[Expr]; 9] = [
        &[Expr::Cmp { op: CmpOp::Eq, source: first, value: four() }],
        &[mark(), Expr::Cmp { op: CmpOp::Eq, source: first, value: Value::from_bytes(&[0; 8]) }],
        &[mark(), Expr::Cmp { op: CmpOp::Eq, source: Register::SECOND, value: four() }],
        &[Expr::SetMark { source: first }],
        &[Expr::Bitwise { source: first, dest: first, mask: four(), xor: four() }],
        &[Expr::HostToNetwork { source: first, dest: first, len: 1 }],
        &[mark(), look_up(set::FRONTENDS, LookupData::Verdict, false)],
        // Beyond the last register.
        &[Expr::Meta { key: MetaKey::IifName, dest: last }],
        &[Expr::Payload { header: Header::Network, offset: 8, len: 16, dest: last }],
    ];
    for exprs in cases {
        check(|table| regular(table, "x", &[exprs]), &[("rule 0 of chain x", Fault::Register)]);
    }
    let nat = Expr::Dnat { address: first, port: None, port_specified: false };
    check(|table| regular(table, "x", &[&[nat]]), &[("rule 0 of chain x", Fault::Register)]);
    check(|table| regular(table, "x", &[&dnat()]), &[]);
    let state = Expr::Ct { key: CtKey::State, dest: last };
    check(|table| regular(table, "x", &[&[state]]), &[]);
}

#[test]
fn sets_are_used_as_what_they_are() {
    let cases = [
        (set::CLUSTER_IPS, LookupData::Verdict, false),
        (set::CLUSTER_IPS, LookupData::Load(Register::FIRST), false),
        (set::FRONTENDS, LookupData::None, false),
        (set::FRONTENDS, LookupData::Verdict, true),
    ];
    for (of, data, invert) in cases {
        let exprs = [&frontend()[..], &[look_up(of, data, invert)]].concat();
        check(|table| regular(table, "x", &[&exprs]), &[("rule 0 of chain x", Fault::SetUse(name(of)))]);
    }
    let update =
        Expr::Update { set: name(set::FRONTENDS), key: Register::FIRST, data: Register::FIRST, timeout: 1 };
    let exprs = [&frontend()[..], &[update]].concat();
    check(
        |table| regular(table, "x", &[&exprs]),
        &[("rule 0 of chain x", Fault::SetUse(name(set::FRONTENDS)))],
    );
    let exprs = [&frontend()[..], &[look_up(set::CLUSTER_IPS, LookupData::None, true)]].concat();
    check(|table| regular(table, "x", &[&exprs]), &[]);
}

#[test]
fn nat_and_rejection_are_where_the_kernel_wants_them() {
    let masquerade = vec![Expr::Masquerade];
    let reject = vec![Expr::Reject(Reject::PortUnreachable)];
    let cases = [
        ("filter-input", dnat().to_vec(), Some(("dnat", "input"))),
        ("nat-postrouting", dnat().to_vec(), Some(("dnat", "postrouting"))),
        ("nat-output", dnat().to_vec(), None),
        ("nat-output", masquerade.clone(), Some(("masquerade", "output"))),
        ("filter-forward", masquerade.clone(), Some(("masquerade", "forward"))),
        ("nat-postrouting", masquerade, None),
        ("nat-postrouting", reject.clone(), Some(("reject", "postrouting"))),
        ("filter-prerouting", reject, None),
    ];
    for (at, exprs, fault) in cases {
        // Also where it is reached by a jump.
        let broken = |table: &mut Table| {
            regular(table, "x", &[&exprs]);
            rule(table, at, &[jump("x")]);
        };
        let expected: Vec<_> =
            fault.iter().map(|(what, hook)| ("chain x", Fault::Hook(what, hook))).collect();
        check(broken, &expected);
    }
    let filter = BaseHook { kind: ChainType::Filter, hook: Hook::Prerouting, priority: 0 };
    let broken = |table: &mut Table| {
        let rules = vec![Rule { exprs: dnat().to_vec(), comment: None }];
        table.chains.insert(name("x"), Chain { hook: Some(filter), rules });
    };
    check(broken, &[("chain x", Fault::Hook("dnat", "prerouting"))]);
}

#[test]
fn nothing_follows_the_end_of_a_rule() {
    let verdict = vec![Expr::Verdict(Verdict::Drop)];
    let vmap = [&frontend()[..], &[look_up(set::FRONTENDS, LookupData::Verdict, false)]].concat();
    for end in [verdict, dnat().to_vec(), vec![Expr::Masquerade], vec![Expr::Reject(Reject::TcpReset)], vmap]
    {
        let exprs = [&end[..], &[mark()]].concat();
        check(|table| regular(table, "x", &[&exprs]), &[("rule 0 of chain x", Fault::AfterEnd)]);
        check(|table| regular(table, "x", &[&end]), &[]);
    }
}

/// Breaks a ruleset that counts and expects to hear of it.
#[track_caller]
fn check_counters(broken: impl Fn(&mut Table), expected: &[(&str, Fault)]) {
    for layout in LAYOUTS {
        let service = build::service("shop/web").cluster_ip("10.96.0.1").tcp(80).node_port(30_080);
        let world = build::world().service(service).slice(tcp_slice("shop/web", [here("10.244.0.2")]));
        let config = Config { layout, counters: true, ..world.config.clone() };
        let mut ruleset = compile(&world.cluster, &config, &Slots::default()).ruleset;
        assert_eq!(verify(&ruleset), []);
        broken(ruleset.tables.get_mut(&Family::Ipv4).unwrap());
        let found = verify(&ruleset).into_iter().map(|violation| (violation.place, violation.fault));
        let expected = expected.iter().map(|(place, fault)| ((*place).to_owned(), fault.clone()));
        assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{layout:?}");
    }
}

#[test]
fn where_connections_are_counted_every_frontend_and_backend_is() {
    let frontend = || Value::from_bytes(&[10, 96, 0, 1, 6, 0, 0, 0, 0, 80, 0, 0]);
    let of_frontend = "element 0a6000010600000000500000 of frontends";
    let stray = || Value::from_bytes(&[10, 96, 0, 9, 6, 0, 0, 0, 0, 80, 0, 0]);
    let counted = || Element::key_only().with_comment(name("shop/web"));
    check_counters(
        |table| drop(elements(table, set::FRONTEND_CONNECTIONS).remove(&frontend())),
        &[(of_frontend, Fault::Uncounted)],
    );
    check_counters(
        |table| {
            let other = Element::key_only().with_comment(name("shop/other"));
            elements(table, set::FRONTEND_CONNECTIONS).insert(frontend(), other);
        },
        &[(of_frontend, Fault::Uncounted)],
    );
    check_counters(
        |table| *elements(table, set::BACKEND_CONNECTIONS) = Elements::new(),
        &[(&format!("backend 10.244.0.2:8080 of {of_frontend}"), Fault::Uncounted)],
    );
    check_counters(
        |table| *elements(table, set::NODE_PORT_FRONTEND_CONNECTIONS) = Elements::new(),
        &[("element 0600000075800000 of node-port-frontends", Fault::Uncounted)],
    );
    check_counters(
        |table| drop(elements(table, set::FRONTEND_CONNECTIONS).insert(stray(), counted())),
        &[("element 0a6000090600000000500000 of frontend-connections", Fault::StrayCounter)],
    );
    let pair = stray().field(&[10, 244, 0, 2]).field(&[31, 144]);
    check_counters(
        |table| drop(elements(table, set::BACKEND_CONNECTIONS).insert(pair.clone(), Element::key_only())),
        &[("element 0a60000906000000005000000af400021f900000 of backend-connections", Fault::StrayCounter)],
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_compiler_makes_is_sound(world in arb_world()) {
        for layout in LAYOUTS {
            let config = Config { layout, ..world.config.clone() };
            let compiled = compile(&world.cluster, &config, &Slots::default());
            prop_assert_eq!(verify(&compiled.ruleset), []);
        }
    }
}
