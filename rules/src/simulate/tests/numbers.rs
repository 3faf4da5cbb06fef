//! Probabilities and draws.

use super::build::*;
use super::example::{draw_rules, frontend_key, node, numbered, pick};
use crate::ruleset::{
    ChainType, DataType, Element, Expr, Hook, LookupData, Ruleset, SetDefinition, Table, Value,
};
use crate::simulate::{Fate, Probability};

const NAT: (ChainType, Hook, i32) = (ChainType::Nat, Hook::Prerouting, -100);
const FILTER: (ChainType, Hook, i32) = (ChainType::Filter, Hook::Prerouting, 0);

fn pods(count: u32) -> Vec<String> {
    (1..=count).map(|pod| format!("10.244.{}.{}:8080", pod / 256, pod % 256)).collect()
}

/// A ruleset whose only chain sees incoming packets.
fn only(place: (ChainType, Hook, i32), rules: Vec<Vec<Expr>>) -> Ruleset {
    let mut table = Table::default();
    base(&mut table, "chain", place, rules);
    ruleset(table)
}

/// With which probability a packet is dropped by these rules.
fn drops(rules: Vec<Vec<Expr>>) -> String {
    let outcomes = outcomes(&only(FILTER, rules), &node(), &from_network("10.0.0.1:1", "10.96.0.10:80"));
    let dropped = outcomes.iter().filter(|(outcome, _)| matches!(outcome.fate, Fate::Dropped { .. }));
    dropped.map(|(_, probability)| probability).sum::<Probability>().to_string()
}

#[test]
fn probabilities_are_reduced_and_printed_as_fractions() {
    let print = |part, whole| Probability::of(part, whole).map(|probability| probability.to_string());
    assert_eq!(print(2, 6).as_deref(), Some("1/3"));
    assert_eq!(print(5, 5).as_deref(), Some("1"));
    assert_eq!(print(0, 5).as_deref(), Some("0"));
    assert_eq!(print(6, 5), None);
    assert_eq!(print(0, 0), None);
    assert!((Probability::of(1, 4).unwrap().to_f64() - 0.25).abs() < f64::EPSILON);
}

#[test]
fn a_thousand_backends_in_a_chain_are_equally_likely() {
    let ruleset = only(NAT, draw_rules(&pods(1000)));
    let outcomes = outcomes(&ruleset, &node(), &from_network("10.0.0.1:1", "10.96.0.10:80"));
    assert_eq!(outcomes.len(), 1000);
    let expected = Probability::of(1, 1000).unwrap();
    assert!(outcomes.values().all(|probability| *probability == expected));
}

#[test]
fn redraws_among_1024_slots_keep_the_bias_within_its_bound() {
    let backends = pods(513);
    let backends: Vec<&str> = backends.iter().map(String::as_str).collect();
    let mut table = Table::default();
    let key = [DataType::Ipv4Addr, DataType::InetProto, DataType::InetService, DataType::Slot];
    let map = SetDefinition::map(&key, &[DataType::Ipv4Addr, DataType::InetService]);
    set(&mut table, "backends", map, numbered(&frontend("10.96.0.10:80"), &backends));
    base(&mut table, "chain", NAT, pick(1024, &frontend_key(), "backends"));
    let outcomes = outcomes(&ruleset(table), &node(), &from_network("10.0.0.1:1", "10.96.0.10:80"));
    assert_eq!(outcomes.len(), 513);
    // With n of M slots full, q = (M - n) / M: all but q^8 of the draws are fair, the rest go to the lower half.
    let missed = (511.0_f64 / 1024.0).powi(8);
    let fair = (1.0 - missed) / 513.0;
    let (least, most) =
        (outcomes.values().min().unwrap().to_f64(), outcomes.values().max().unwrap().to_f64());
    assert!((least - fair).abs() < 1e-15, "{least} {fair}");
    assert!((most - (fair + missed / 512.0)).abs() < 1e-15, "{most}");
}

#[test]
fn a_draw_that_many_numbers_miss_is_not_enumerated() {
    // Each draw has 2^32 - 1 numbers that lead to the same.
    let modulus = u32::MAX;
    let rules = vec![vec![numgen(modulus, 0), eq(0, number(7)), DROP]; 2];
    assert_eq!(drops(rules), "8589934589/18446744065119617025");
}

#[test]
fn draws_are_compared_like_any_number() {
    let from_draw = |tests: Vec<Expr>| vec![[vec![numgen(10, 0)], tests, vec![DROP]].concat()];
    assert_eq!(drops(from_draw(vec![])), "1");
    assert_eq!(drops(from_draw(vec![eq(0, number(9))])), "1/10");
    assert_eq!(drops(from_draw(vec![eq(0, number(10))])), "0");
    assert_eq!(drops(from_draw(vec![neq(0, number(3))])), "9/10");
    assert_eq!(drops(from_draw(vec![neq(0, number(3)), neq(0, number(4)), neq(0, number(3))])), "4/5");
    assert_eq!(drops(from_draw(vec![neq(0, number(3)), eq(0, number(3))])), "0");
    // The lowest bit, by arithmetic.
    assert_eq!(drops(from_draw(vec![bitwise(1, 0), eq(0, number(0))])), "1/2");
    // The first two bytes alone.
    let low = &7_u32.to_ne_bytes()[..2];
    let expected = if cfg!(target_endian = "little") { "1/10" } else { "0" };
    assert_eq!(drops(from_draw(vec![eq(0, Value::from_bytes(low))])), expected);
    // A register that is written again is no draw any more.
    assert_eq!(drops(from_draw(vec![immediate(0, number(3)), eq(0, number(3))])), "1");
    assert_eq!(drops(vec![vec![numgen(1, 0), eq(0, number(0)), DROP]]), "1");
}

#[test]
fn draws_are_looked_up_like_any_number() {
    let keys = [(0, 0), (0, 1), (1, 2), (2, 2), (7, 0), (9, 9)];
    let drops = |interval: bool, invert: bool, moduli: (u32, u32)| {
        let mut table = Table::default();
        let definition = SetDefinition { interval, ..SetDefinition::set(&[DataType::Slot; 2]) };
        let elements = keys.map(|(a, b)| (Value::new().slot(a).slot(b), Element::key_only()));
        set(&mut table, "numbers", definition, elements);
        let look_up = Expr::Lookup { set: name("numbers"), source: reg(2), data: LookupData::None, invert };
        base(&mut table, "chain", FILTER, [vec![numgen(moduli.1, 3), numgen(moduli.0, 2), look_up, DROP]]);
        let outcomes = outcomes(&ruleset(table), &node(), &from_network("10.0.0.1:1", "10.96.0.10:80"));
        let dropped = outcomes.iter().find(|(outcome, _)| matches!(outcome.fate, Fate::Dropped { .. }));
        dropped.map_or("0".to_owned(), |(_, probability)| probability.to_string())
    };
    for interval in [false, true] {
        assert_eq!(drops(interval, false, (8, 3)), "5/24");
        assert_eq!(drops(interval, true, (8, 3)), "19/24");
        assert_eq!(drops(interval, false, (1, 1)), "1");
        assert_eq!(drops(interval, false, (10, 10)), "3/50");
        assert_eq!(drops(interval, true, (2, 2)), "1/2");
    }
}

#[test]
fn equal_continuations_of_many_draws_are_one() {
    // 2^200 sequences of draws, each of which marks the packet with the same mark or leaves it.
    let mut table = Table::default();
    chain(&mut table, "mark", [set_mark(1)]);
    base(&mut table, "chain", FILTER, vec![[one_in(2), vec![jump("mark")]].concat(); 200]);
    base(&mut table, "later", (ChainType::Filter, Hook::Input, 0), [[mark_is(0), vec![DROP]].concat()]);
    let packet = from_network("10.0.0.1:1", "192.168.1.2:80");
    let expected = [
        format!("{} host 192.168.1.2:80", Fraction { miss: false }),
        format!("{} drop input", Fraction { miss: true }),
    ];
    assert_eq!(lines(&ruleset(table), &node(), &packet), expected);
}

/// 1/2^200, or what is left of 1.
struct Fraction {
    miss: bool,
}

impl std::fmt::Display for Fraction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = num_bigint::BigUint::from(1_u8) << 200_u8;
        let part = if self.miss { num_bigint::BigUint::from(1_u8) } else { &whole - 1_u8 };
        write!(f, "{part}/{whole}")
    }
}
