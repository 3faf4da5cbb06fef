//! Rulesets that no kernel would take give an error that says why.

use super::build::*;
use super::example::{affinity, node};
use crate::ruleset::{
    ChainType::{self, Filter, Nat},
    DataType, Element, Expr, Header, Hook, LookupData, SetDefinition, Table, Value,
};
use crate::simulate::{SimulateError, simulate};

const INCOMING: (ChainType, Hook, i32) = (Filter, Hook::Prerouting, 0);

/// The message for the second rule of a chain, in a table with some sets and chains.
fn message(place: (ChainType, Hook, i32), exprs: Vec<Expr>) -> String {
    let mut table = Table::default();
    set(&mut table, "ports", SetDefinition::set(&[DataType::InetService]), []);
    let short = [(Value::new().port(80), Element::value(Value::from_bytes(&[1])))];
    let map = SetDefinition::map(&[DataType::InetService], &[DataType::Ipv4Addr]);
    set(&mut table, "short", map.clone(), short);
    set(&mut table, "empty", map, [(Value::new().port(80), Element::key_only())]);
    set(&mut table, "affinity", affinity(), []);
    let ranges = SetDefinition { interval: true, ..SetDefinition::set(&[DataType::InetService; 2]) };
    set(&mut table, "ranges", ranges, [(Value::new().port(80), Element::key_only())]);
    chain(&mut table, "round", [vec![jump("about")]]);
    chain(&mut table, "about", [vec![goto("round")]]);
    for level in 2..=16 {
        chain(&mut table, &format!("level-{level}"), [vec![goto(&format!("level-{}", level + 1))]]);
    }
    base(&mut table, "base", place, [vec![], exprs]);
    fail(table)
}

fn fail(table: Table) -> String {
    let packet = from_network("10.0.0.1:1000", "10.96.0.10:80");
    simulate(&ruleset(table), &node(), &packet).unwrap_err().to_string()
}

#[test]
fn a_malformed_rule_is_named_with_what_is_wrong() {
    let bytes = |header, offset, len| Expr::Payload { header, offset, len, dest: reg(0) };
    let cases: [(Vec<Expr>, &str); 22] = [
        (vec![dport(0), in_set("none")], "there is no set none"),
        (vec![jump("none")], "there is no chain none"),
        (vec![goto("base")], "base is a base chain and cannot be jumped to"),
        (vec![saddr(0), eq(1, number(0))], "4 bytes from register word 1 are read"),
        (vec![saddr(0), eq(0, Value::from_bytes(&[0; 5]))], "5 bytes from register word 0 are read"),
        (vec![saddr(0), eq(0, Value::new())], "0 bytes from register word 0 do not lie"),
        (vec![immediate(15, Value::from_bytes(&[0; 5]))], "5 bytes from register word 15 do not lie"),
        (vec![numgen(0, 0)], "numgen draws below 0"),
        (vec![dport(0), vmap("ports")], "set ports is used as a verdict map, which it is not"),
        (vec![dport(0), lookup("ports", LookupData::Load(reg(0)))], "set ports is used as a map"),
        (vec![dport(0), vmap("short")], "set short is used as a verdict map"),
        (vec![dport(0), lookup("short", LookupData::Load(reg(0)))], "an element's data has 1 bytes where 4"),
        (vec![dport(0), lookup("empty", LookupData::Load(reg(0)))], "set empty is used as a map with data"),
        (
            vec![
                dport(0),
                Expr::Lookup {
                    set: name("short"),
                    source: reg(0),
                    data: LookupData::Load(reg(0)),
                    invert: true,
                },
            ],
            "set short is used as a set without data",
        ),
        (vec![dport(0), dport(1), in_set("ranges")], "a range's end has 4 bytes where 8 belong"),
        (
            vec![
                saddr(0),
                Expr::Bitwise { source: reg(0), dest: reg(0), mask: number(0), xor: Value::new() },
            ],
            "a bitwise operation's xor has 0 bytes where 4",
        ),
        (
            vec![dport(0), Expr::Update { set: name("ports"), key: reg(0), data: reg(0), timeout: 1 }],
            "set ports is used as a dynamic map",
        ),
        (vec![bytes(Header::Network, 0, 1)], "bytes 0 to 1 of the network header are not known"),
        (vec![bytes(Header::Network, 12, 9)], "bytes 12 to 21 of the network header are not known"),
        (vec![bytes(Header::Transport, 4, 4)], "bytes 4 to 8 of the transport header are not known"),
        (dnat_to("10.0.0.1:1"), "dnat is not possible in a filter chain of hook prerouting"),
        (vec![Expr::Masquerade], "masquerade is not possible in a filter chain of hook prerouting"),
    ];
    for (exprs, expected) in cases {
        let message = message(INCOMING, exprs);
        assert!(message.starts_with(&format!("chain base, rule 2: {expected}")), "{message}");
    }
}

#[test]
fn statements_are_bound_to_hooks() {
    let masquerade = || vec![Expr::Masquerade];
    let reject = || vec![Expr::Reject(crate::ruleset::Reject::TcpReset)];
    for (place, exprs, expected) in [
        ((Nat, Hook::Postrouting, 0), dnat_to("10.0.0.1:1"), "dnat is not possible in a nat chain"),
        ((Nat, Hook::Prerouting, 0), masquerade(), "masquerade is not possible in a nat chain"),
        ((Filter, Hook::Postrouting, 0), masquerade(), "masquerade is not possible in a filter chain"),
        ((Filter, Hook::Postrouting, 0), reject(), "reject is not possible in a filter chain"),
    ] {
        let message = message(place, exprs);
        assert!(message.starts_with(&format!("chain base, rule 2: {expected}")), "{message}");
    }
    let message = message((Nat, Hook::Forward, 0), vec![]);
    assert_eq!(message, "chain base is of type nat, which hook forward does not have");
}

#[test]
fn loops_and_too_deep_jumps_end() {
    let message_of = |to: Expr| message(INCOMING, vec![to]);
    assert!(message_of(jump("round")).contains("is more than 16 chains long, or goes in a circle"));
    // base, level-2 and so on to level-16 are sixteen chains; then one more.
    let message = message_of(jump("level-2"));
    assert_eq!(message, "chain level-16, rule 1: there is no chain level-17");
    let mut table = Table::default();
    for level in 2..=17 {
        let rules = if level == 17 { vec![] } else { vec![vec![jump(&format!("level-{}", level + 1))]] };
        chain(&mut table, &format!("level-{level}"), rules);
    }
    base(&mut table, "base", INCOMING, [vec![jump("level-2")]]);
    let message = fail(table.clone());
    assert!(
        message.starts_with("chain level-16, rule 1: the way to chain level-17 is more than"),
        "{message}"
    );
    // Sixteen are fine.
    chain(&mut table, "level-16", []);
    base(&mut table, "base", INCOMING, [vec![jump("level-2")], vec![jump("gone")]]);
    assert_eq!(fail(table), "chain base, rule 2: there is no chain gone");
}

#[test]
fn a_simulation_without_end_is_given_up() {
    // Sixteen levels of ten jumps each are 10^15 rules, each of them long.
    let mut table = Table::default();
    let long = |to: u32| [vec![immediate(0, number(0)); 500], vec![jump(&format!("level-{to}"))]].concat();
    for level in 2..=16 {
        let rules = vec![long(level + 1); if level == 16 { 0 } else { 10 }];
        chain(&mut table, &format!("level-{level}"), rules);
    }
    base(&mut table, "base", INCOMING, vec![long(2); 10]);
    assert!(fail(table).contains("too many possible ways"));
    // A number that is computed with makes every number a case.
    let message = message(INCOMING, vec![numgen(u32::MAX, 0), bitwise(1, 0), DROP]);
    assert!(message.contains("too many possible ways"), "{message}");
}

#[test]
fn the_source_port_is_unknown_after_masquerading() {
    let mut table = Table::default();
    base(&mut table, "nat", (Nat, Hook::Postrouting, 100), [vec![Expr::Masquerade]]);
    let sport = Expr::Payload { header: Header::Transport, offset: 0, len: 2, dest: reg(0) };
    base(&mut table, "after", (Filter, Hook::Postrouting, 101), [vec![dport(0), sport]]);
    assert_eq!(fail(table), "chain after, rule 1: bytes 0 to 2 of the transport header are not known");
}

#[test]
fn a_packet_has_one_family() {
    let mut packet = from_network("10.0.0.1:1", "10.0.0.2:1");
    packet.destination = socket("[fd00::1]:1");
    let error = simulate(&ruleset(Table::default()), &node(), &packet).unwrap_err();
    assert_eq!(error, SimulateError::MixedFamilies { from: packet.source, to: packet.destination });
}
