//! Small rulesets that each show one habit of the kernel.

use std::net::IpAddr;

use super::build::*;
use super::example::{affinity, affinity_key, node, node_that_remembers};
use crate::net::{Family, Protocol};
use crate::ruleset::{
    ChainType::{Filter, Nat},
    CmpOp, CtKey, DataType, Element, Expr, FibAddress, Header, Hook, LookupData, MetaKey, Register, Reject,
    Ruleset, SetDefinition, Table, Value, Verdict,
};
use crate::simulate::{Connection, Environment, Packet};

const CLIENT: &str = "10.0.0.1:1000";
const HERE: &str = "192.168.1.2:80";
const THERE: &str = "10.96.0.10:80";

/// A packet must have one certain outcome.
fn check(table: Table, packet: &Packet, expected: &str) {
    check_in(&node(), table, packet, expected);
}

fn check_in(environment: &Environment, table: Table, packet: &Packet, expected: &str) {
    assert_eq!(lines(&ruleset(table), environment, packet), [format!("1 {expected}")], "{packet:?}");
}

/// A table with one filter chain at prerouting.
fn filter(rules: impl IntoIterator<Item = Vec<Expr>>) -> Table {
    let mut table = Table::default();
    base(&mut table, "filter", (Filter, Hook::Prerouting, 0), rules);
    table
}

/// Instructions before a `drop` must match a packet, or not.
fn check_match(packet: &Packet, exprs: Vec<Expr>, matches: bool) {
    let table = filter([[exprs, vec![DROP]].concat()]);
    let ruleset = Ruleset { tables: [(Family::of(packet.source.ip()), table)].into() };
    let outcome = lines(&ruleset, &node(), packet).join("; ");
    assert_eq!(outcome == "1 drop prerouting", matches, "{outcome} {packet:?} {:?}", ruleset.tables);
}

#[test]
fn without_a_table_every_packet_passes() {
    let outcome = lines(&Ruleset::default(), &node(), &from_network(CLIENT, HERE));
    assert_eq!(outcome, ["1 host 192.168.1.2:80"]);
}

#[test]
fn chains_return_to_where_they_were_jumped_to_from() {
    // Each case: the rules of the base chain, of `a` and of `b`, and whether the packet is dropped.
    type Rules = Vec<Vec<Expr>>;
    let cases: [(Rules, Rules, Rules, bool); 10] = [
        (vec![vec![jump("a")], vec![DROP]], vec![], vec![], true),
        (vec![vec![goto("a")], vec![DROP]], vec![], vec![], false),
        (vec![vec![jump("a")], vec![DROP]], vec![vec![RETURN], vec![ACCEPT]], vec![], true),
        (vec![vec![RETURN], vec![DROP]], vec![], vec![], false),
        // A goto in a jumped-to chain: back to the jump, not to the goto.
        (vec![vec![jump("a")], vec![DROP]], vec![vec![goto("b")], vec![ACCEPT]], vec![], true),
        (vec![vec![jump("a")], vec![DROP]], vec![vec![goto("b")], vec![ACCEPT]], vec![vec![RETURN]], true),
        (vec![vec![jump("a")], vec![ACCEPT]], vec![vec![jump("b")], vec![DROP]], vec![vec![RETURN]], true),
        (vec![vec![jump("a")], vec![DROP]], vec![vec![jump("b")]], vec![vec![ACCEPT]], false),
        (vec![vec![goto("a")], vec![DROP]], vec![vec![jump("b")], vec![ACCEPT]], vec![vec![DROP]], true),
        (vec![vec![goto("a")], vec![DROP]], vec![vec![jump("b")]], vec![], false),
    ];
    for (rules, a, b, dropped) in cases {
        let mut table = filter(rules);
        chain(&mut table, "a", a);
        chain(&mut table, "b", b);
        let expected = if dropped { "drop prerouting" } else { "host 192.168.1.2:80" };
        check(table, &from_network(CLIENT, HERE), expected);
    }
}

#[test]
fn accept_ends_the_base_chain_only_and_drop_everything() {
    let mut table = filter([vec![ACCEPT]]);
    base(&mut table, "later", (Filter, Hook::Prerouting, 1), [vec![DROP]]);
    check(table, &from_network(CLIENT, HERE), "drop prerouting");
    let mut table = filter([vec![DROP]]);
    base(&mut table, "later", (Filter, Hook::Prerouting, 1), [vec![Expr::Reject(Reject::TcpReset)]]);
    check(table, &from_network(CLIENT, HERE), "drop prerouting");
}

#[test]
fn packets_pass_the_hooks_of_their_path() {
    let here = "192.168.1.2:80";
    let cases = [
        (from_network(CLIENT, here), "prerouting input"),
        (from_network(CLIENT, THERE), "prerouting forward postrouting"),
        (from_host(HERE, THERE), "output postrouting"),
        (from_host(HERE, here), "output postrouting prerouting input"),
        (from_host("127.0.0.1:1", "127.0.0.1:80"), "output postrouting prerouting input"),
    ];
    for (packet, path) in cases {
        for hook in Hook::ALL {
            let mut table = Table::default();
            base(&mut table, "chain", (Filter, hook, 0), [vec![DROP]]);
            let on_path = path.split(' ').any(|passed| passed == hook.keyword());
            let to = if path.ends_with("input") { "host" } else { "network" };
            let delivered = format!("{to} {}", packet.destination);
            let dropped = format!("drop {}", hook.keyword());
            check(table, &packet, if on_path { &dropped } else { &delivered });
        }
    }
}

#[test]
fn the_way_after_dnat_depends_on_where_the_new_destination_is() {
    for (to, dropped_at, expected) in [
        ("192.168.1.2:8080", Hook::Forward, "host 192.168.1.2:8080 dnat"),
        ("192.168.1.2:8080", Hook::Input, "drop input"),
        ("10.244.0.2:8080", Hook::Input, "network 10.244.0.2:8080 dnat"),
        ("10.244.0.2:8080", Hook::Forward, "drop forward"),
    ] {
        let mut table = Table::default();
        base(&mut table, "nat", (Nat, Hook::Prerouting, -100), [dnat_to(to)]);
        base(&mut table, "filter", (Filter, dropped_at, 0), [vec![DROP]]);
        check(table, &from_network(CLIENT, THERE), expected);
    }
}

#[test]
fn the_first_mapping_ends_the_nat_chains_of_its_hook() {
    let mut table = Table::default();
    base(&mut table, "a-second", (Nat, Hook::Prerouting, -90), [dnat_to("10.244.0.2:8080")]);
    base(&mut table, "b-first", (Nat, Hook::Prerouting, -95), [dnat_to("10.244.0.1:8080"), vec![DROP]]);
    check(table, &from_network(CLIENT, THERE), "network 10.244.0.1:8080 dnat");
    // An accept is no mapping: the next chain is asked.
    let mut table = Table::default();
    base(&mut table, "a-second", (Nat, Hook::Prerouting, -90), [dnat_to("10.244.0.2:8080")]);
    base(&mut table, "b-first", (Nat, Hook::Prerouting, -95), [vec![ACCEPT]]);
    check(table, &from_network(CLIENT, THERE), "network 10.244.0.2:8080 dnat");
}

#[test]
fn nat_chains_have_their_turn_at_the_priority_of_nat() {
    let is_backend = [vec![daddr(0), eq(0, Value::new().addr(addr("10.244.0.2")))], vec![DROP]].concat();
    for (nat_priority, filter_priority, seen) in
        [(-100, -101, false), (-100, -99, true), (-300, -101, false), (50, -99, true)]
    {
        let mut table = Table::default();
        base(&mut table, "nat", (Nat, Hook::Prerouting, nat_priority), [dnat_to("10.244.0.2:8080")]);
        base(&mut table, "filter", (Filter, Hook::Prerouting, filter_priority), [is_backend.clone()]);
        let expected = if seen { "drop prerouting" } else { "network 10.244.0.2:8080 dnat" };
        check(table, &from_network(CLIENT, THERE), expected);
    }
}

#[test]
fn dnat_without_a_port_keeps_it_and_to_the_same_place_is_none() {
    let to = |address: &str| {
        let address = immediate(0, Value::new().addr(addr(address)));
        vec![address, Expr::Dnat { address: reg(0), port: None, port_specified: false }]
    };
    for (address, expected) in
        [("10.244.0.2", "network 10.244.0.2:80 dnat"), ("10.96.0.10", "network 10.96.0.10:80")]
    {
        let mut table = Table::default();
        base(&mut table, "nat", (Nat, Hook::Prerouting, -100), [to(address)]);
        let log = [ct_dnat(), vec![Expr::Verdict(Verdict::Jump(name("nothing")))]].concat();
        base(&mut table, "filter", (Filter, Hook::Forward, 0), [log]);
        chain(&mut table, "nothing", []);
        check(table, &from_network(CLIENT, THERE), expected);
    }
}

#[test]
fn nat_chains_see_the_first_packet_only_and_not_a_second_time_on_loopback() {
    let nat = |hook| {
        let mut table = Table::default();
        base(&mut table, "nat", (Nat, hook, 0), [vec![DROP]]);
        table
    };
    let established = |mut packet: Packet| {
        packet.connection = Connection::Established { dnat: None, masqueraded: false };
        packet
    };
    let to_itself = from_host("127.0.0.1:1", "127.0.0.1:80");
    for (hook, packet, dropped) in [
        (Hook::Prerouting, from_network(CLIENT, HERE), true),
        (Hook::Input, from_network(CLIENT, HERE), true),
        (Hook::Postrouting, from_network(CLIENT, THERE), true),
        (Hook::Output, to_itself.clone(), true),
        (Hook::Postrouting, to_itself.clone(), true),
        (Hook::Prerouting, to_itself.clone(), false),
        (Hook::Input, to_itself, false),
        (Hook::Prerouting, established(from_network(CLIENT, HERE)), false),
        (Hook::Input, established(from_network(CLIENT, HERE)), false),
        (Hook::Output, established(from_host(HERE, THERE)), false),
    ] {
        let (dropped_at, passed) = (format!("drop {}", hook.keyword()), packet.destination);
        let to = if passed == socket(THERE) { "network" } else { "host" };
        let passed = format!("{to} {passed}");
        check(nat(hook), &packet, if dropped { &dropped_at } else { &passed });
    }
}

#[test]
fn later_hooks_see_what_earlier_ones_changed() {
    let mut table = filter([set_mark(5)]);
    base(&mut table, "later", (Filter, Hook::Input, 0), [[mark_is(5), vec![DROP]].concat()]);
    check(table, &from_network(CLIENT, HERE), "drop input");
    // A mark stays although the rest of its rule does not match.
    let table = filter([
        [set_mark(5), vec![immediate(0, number(1)), eq(0, number(2))]].concat(),
        [mark_is(5), vec![DROP]].concat(),
    ]);
    check(table, &from_network(CLIENT, HERE), "drop prerouting");
    // Masquerading: the source is the node's, even where the packet comes in again.
    let mut table = Table::default();
    base(&mut table, "nat", (Nat, Hook::Postrouting, 100), [vec![Expr::Masquerade]]);
    let from_node = vec![saddr(0), eq(0, Value::new().addr(addr("192.168.1.2"))), DROP];
    base(&mut table, "input", (Filter, Hook::Input, 0), [from_node]);
    check(table, &from_host("127.0.0.1:1", "127.0.0.1:80"), "drop input");
}

#[test]
fn original_addresses_are_those_before_nat() {
    let mut table = Table::default();
    base(&mut table, "nat", (Nat, Hook::Prerouting, -100), [dnat_to("10.244.0.2:8080")]);
    let original = [
        ct_dnat(),
        vec![ct(CtKey::OriginalSource, 0), eq(0, Value::new().addr(addr("10.0.0.1")))],
        vec![ct(CtKey::OriginalDestination, 0), eq(0, Value::new().addr(addr("10.96.0.10")))],
        vec![ct(CtKey::OriginalDestinationPort, 0), eq(0, Value::from_bytes(&[0, 80]))],
        vec![daddr(0), eq(0, Value::new().addr(addr("10.244.0.2"))), dport(0)],
        vec![eq(0, Value::from_bytes(&8080_u16.to_be_bytes())), DROP],
    ];
    base(&mut table, "filter", (Filter, Hook::Forward, 0), [original.concat()]);
    check(table, &from_network(CLIENT, THERE), "drop forward");
}

#[test]
fn a_reset_answers_tcp_only() {
    for (protocol, how, expected) in [
        (Protocol::Tcp, Reject::TcpReset, "reject prerouting TcpReset"),
        (Protocol::Udp, Reject::TcpReset, "drop prerouting"),
        (Protocol::Sctp, Reject::PortUnreachable, "reject prerouting PortUnreachable"),
    ] {
        let packet = Packet { protocol, ..from_network(CLIENT, HERE) };
        check(filter([vec![Expr::Reject(how)]]), &packet, expected);
    }
}

#[test]
fn prefixes_are_compared_by_bytes_and_by_masks() {
    let by_bytes = |prefix: &[u8]| {
        let len = u8::try_from(prefix.len()).unwrap();
        let load = Expr::Payload { header: Header::Network, offset: 12, len, dest: reg(0) };
        vec![load, eq(0, Value::from_bytes(prefix))]
    };
    let by_mask = |mask: [u8; 4], network: [u8; 4]| {
        let (mask, xor) = (Value::from_bytes(&mask), Value::from_bytes(&[0; 4]));
        let mask = Expr::Bitwise { source: reg(0), dest: reg(4), mask, xor };
        vec![saddr(0), mask, eq(4, Value::from_bytes(&network))]
    };
    for (source, slash_16, slash_12) in [
        ("10.244.0.0:1", true, false),
        ("10.244.255.255:1", true, false),
        ("10.243.255.255:1", false, false),
        ("10.96.0.0:1", false, true),
        ("10.111.255.255:1", false, true),
        ("10.112.0.0:1", false, false),
    ] {
        let packet = from_network(source, HERE);
        check_match(&packet, by_bytes(&[10, 244]), slash_16);
        check_match(&packet, by_mask([255, 240, 0, 0], [10, 96, 0, 0]), slash_12);
    }
}

#[test]
fn interval_sets_compare_field_by_field() {
    let value = |port: u16, address: &str| Value::new().port(port).addr(addr(address));
    let mut table = Table::default();
    let definition =
        SetDefinition { interval: true, ..SetDefinition::set(&[DataType::InetService, DataType::Ipv4Addr]) };
    let end = Some(Box::new(value(90, "10.0.0.9")));
    let elements = [
        (value(80, "10.0.0.5"), Element { end, ..Element::default() }),
        (value(443, "10.0.0.1"), Element::key_only()),
    ];
    set(&mut table, "set", definition, elements);
    base(
        &mut table,
        "filter",
        (Filter, Hook::Prerouting, 0),
        [vec![dport(0), saddr(1), in_set("set"), DROP]],
    );
    for (port, source, matches) in [
        (80, "10.0.0.5", true),
        (85, "10.0.0.7", true),
        (90, "10.0.0.9", true),
        // Between the ends as a whole, but not in each field.
        (85, "10.0.0.4", false),
        (85, "10.0.0.10", false),
        (79, "10.0.0.7", false),
        (91, "10.0.0.7", false),
        (443, "10.0.0.1", true),
        (443, "10.0.0.2", false),
    ] {
        let packet = from_network(&format!("{source}:1"), &format!("192.168.1.2:{port}"));
        let expected =
            if matches { "drop prerouting".to_owned() } else { format!("host 192.168.1.2:{port}") };
        check(table.clone(), &packet, &expected);
    }
}

#[test]
fn facts_are_in_the_kernel_s_form() {
    let packet = from_network("10.0.0.1:1000", HERE);
    let of_host = from_host(HERE, "127.0.0.1:80");
    let interface = |text: &[u8]| {
        let mut bytes = [0; 16];
        bytes[..text.len()].copy_from_slice(text);
        vec![meta(MetaKey::IifName, 0), eq(0, Value::from_bytes(&bytes))]
    };
    let bytes = |header, offset, expected: &[u8]| {
        let len = u8::try_from(expected.len()).unwrap();
        vec![Expr::Payload { header, offset, len, dest: reg(0) }, eq(0, Value::from_bytes(expected))]
    };
    let prefix = vec![meta(MetaKey::IifName, 0), eq(0, Value::from_bytes(b"eth"))];
    let fib = |address, kind| vec![Expr::FibType { address, dest: reg(0) }, eq(0, number(kind))];
    let cases = [
        (interface(b"eth0"), true),
        (interface(b"eth1"), false),
        (prefix, true),
        (bytes(Header::Network, 9, &[6]), true),
        (bytes(Header::Network, 12, &[10, 0, 0, 1, 192, 168, 1, 2]), true),
        (bytes(Header::Transport, 0, &[3, 232, 0, 80]), true),
        (fib(FibAddress::Source, 1), true),
        (fib(FibAddress::Destination, 2), true),
        (fib(FibAddress::Source, 2), false),
        (vec![meta(MetaKey::L4Proto, 0), eq(0, Value::from_bytes(&[6, 0, 0, 0]))], true),
        ([dport(0), neq(0, Value::from_bytes(&[0, 80]))].to_vec(), false),
    ];
    for (exprs, matches) in cases {
        check_match(&packet, exprs, matches);
    }
    check_match(&of_host, interface(b"lo"), true);
    let multicast = from_network(CLIENT, "224.0.0.1:80");
    check_match(&multicast, fib(FibAddress::Destination, 5), true);
    check_match(&from_network(CLIENT, "255.255.255.255:80"), fib(FibAddress::Destination, 3), true);
    let long = Packet {
        origin: crate::simulate::Origin::Network { interface: name("a-very-long-interface") },
        ..packet
    };
    check_match(&long, interface(b"a-very-long-int"), true);
}

#[test]
fn ipv6_is_walked_like_ipv4() {
    let packet = from_network("[fd00::1]:1000", "[fd00::2]:80");
    let (source, destination): (IpAddr, IpAddr) = (addr("fd00::1"), addr("fd00::2"));
    let load = |offset| Expr::Payload { header: Header::Network, offset, len: 16, dest: reg(4) };
    check_match(&packet, vec![load(8), eq(4, Value::new().addr(source))], true);
    check_match(&packet, vec![load(24), eq(4, Value::new().addr(destination))], true);
    check_match(&packet, vec![load(24), eq(4, Value::new().addr(source))], false);
    let next_header = Expr::Payload { header: Header::Network, offset: 6, len: 1, dest: reg(0) };
    check_match(&packet, vec![next_header, eq(0, Value::from_bytes(&[6]))], true);
    let mut table = Table::default();
    let dnat = vec![
        immediate(0, Value::new().addr(addr("fd00::99"))),
        Expr::Dnat { address: Register::FIRST, port: None, port_specified: false },
    ];
    base(&mut table, "nat", (Nat, Hook::Prerouting, -100), [dnat]);
    let ruleset = Ruleset { tables: [(Family::Ipv6, table)].into() };
    assert_eq!(lines(&ruleset, &node(), &packet), ["1 network [fd00::99]:80 dnat"]);
    // The table of one family does not see the packets of the other.
    assert_eq!(lines(&ruleset, &node(), &from_network(CLIENT, HERE)), ["1 host 192.168.1.2:80"]);
}

#[test]
fn bytes_are_swapped_in_pairs() {
    let swap = |len| Expr::HostToNetwork { source: reg(0), dest: reg(0), len };
    let swapped = if cfg!(target_endian = "little") { [2, 1, 3, 0] } else { [1, 2, 3, 0] };
    let start = || immediate(0, Value::from_bytes(&[1, 2, 3]));
    let packet = from_network(CLIENT, HERE);
    check_match(&packet, vec![start(), swap(1), eq(0, Value::from_bytes(&[1, 2, 3, 0]))], true);
    check_match(&packet, vec![start(), swap(2), eq(0, Value::from_bytes(&swapped))], true);
    check_match(&packet, vec![start(), swap(3), eq(0, Value::from_bytes(&swapped))], true);
}

#[test]
fn an_update_does_not_change_an_element_and_stops_at_the_size() {
    let update = [
        vec![saddr(0), daddr(1), meta(MetaKey::L4Proto, 2), dport(3), daddr(4), dport(5)],
        vec![Expr::Update { set: name("affinity"), key: reg(0), data: reg(4), timeout: 9 }, DROP],
    ]
    .concat();
    let table = |size| {
        let mut table = filter([update.clone()]);
        set(&mut table, "affinity", SetDefinition { size: Some(size), ..affinity() }, []);
        table
    };
    let packet = from_network(CLIENT, HERE);
    let key = affinity_key("10.0.0.1", HERE);
    let (here, other) = (backend(HERE), backend("10.244.0.2:8080"));
    let added = format!("drop prerouting +affinity[{key:?}]={here:?}/9");
    check(table(1), &packet, &added);
    check(table(0), &packet, "host 192.168.1.2:80");
    let environment = node_that_remembers("10.0.0.1", HERE, "10.244.0.2:8080");
    let refreshed = format!("drop prerouting *affinity[{key:?}]={other:?}/9");
    check_in(&environment, table(1), &packet, &refreshed);
    let environment = node_that_remembers("10.0.0.9", HERE, "10.244.0.2:8080");
    check_in(&environment, table(1), &packet, "host 192.168.1.2:80");
    check_in(&environment, table(2), &packet, &added);
}

#[test]
fn a_packet_finds_what_it_has_written_itself() {
    let key = || vec![saddr(0), daddr(1), meta(MetaKey::L4Proto, 2), dport(3)];
    let data = vec![
        immediate(4, backend("10.244.0.2:8080")),
        Expr::Update { set: name("affinity"), key: reg(0), data: reg(4), timeout: 9 },
    ];
    let read = vec![lookup("affinity", LookupData::Load(reg(0)))];
    let equal = Expr::Cmp { op: CmpOp::Eq, source: reg(0), value: backend("10.244.0.2:8080") };
    let mut table = filter([[key(), data].concat(), [key(), read, vec![equal, DROP]].concat()]);
    set(&mut table, "affinity", affinity(), []);
    let key = affinity_key("10.0.0.1", HERE);
    let expected = format!("drop prerouting +affinity[{key:?}]={:?}/9", backend("10.244.0.2:8080"));
    check(table, &from_network(CLIENT, HERE), &expected);
}
