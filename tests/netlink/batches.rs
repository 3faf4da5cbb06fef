//! Batches of any size travel whole, guarded by the generation; changes change what they say and nothing else.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use svcnat::netlink::{Error, Netlink, Options, encode};
use svcnat_rules::installed::Installed;
use svcnat_rules::name::Name;
use svcnat_rules::net::Family;
use svcnat_rules::ruleset::{
    Chain, DataType, Element, Expr, Rule, Ruleset, Set, SetDefinition, Table, Value, Verdict,
};
use svcnat_rules::transaction::{Change, Operation, Place, Transaction};

use crate::namespace::{apply, build, in_fresh_namespace, read, send, without_handles};

fn address(number: u32) -> Value {
    Value::new().addr(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number)))
}

fn verdict(verdict: Verdict, comment: &str) -> Rule {
    Rule { exprs: vec![Expr::Verdict(verdict)], comment: Some(comment.into()) }
}

#[test]
fn a_large_batch_is_one_transaction() {
    let definition = SetDefinition::map(&[DataType::Ipv4Addr], &[DataType::Ipv4Addr, DataType::InetService]);
    let elements = (0..20_000).map(|number| {
        let data = Value::from_bytes(address(number).as_bytes()).port(8080);
        (address(number), Element::value(data).with_comment(format!("pod-{number}").into()))
    });
    let set = Set { elements: elements.collect(), ..Set::new(definition) };
    let rules = (0..5_000).map(|number| verdict(Verdict::Return, &format!("rule {number}"))).collect();
    let table = Table {
        sets: [("pods".into(), set)].into(),
        chains: [("long".into(), Chain { hook: None, rules })].into(),
    };
    let wanted = Installed::from(&Ruleset { tables: [(Family::Ipv4, table)].into() });
    let transaction = build(&wanted);
    let batch = encode(&transaction, &Options::default()).unwrap();
    assert!(batch.as_bytes().len() > 1 << 20, "the batch would fit one page: {}", batch.as_bytes().len());
    in_fresh_namespace(|| {
        let mut netlink = Netlink::open().unwrap();
        let before = netlink.generation().unwrap();
        netlink.apply(&batch).unwrap();
        assert_eq!(netlink.generation().unwrap(), before + 1);
        assert_eq!(without_handles(netlink.read().unwrap()), wanted);
    });
}

/// The kernel's hash table is still growing when the first dump runs, and deals elements out twice and not at all.
#[test]
fn a_large_map_is_read_whole_at_once_after_its_load() {
    let definition = SetDefinition::map(&[DataType::Ipv4Addr], &[DataType::Ipv4Addr]);
    let elements = (0..100_000).map(|number| (address(number), Element::value(address(number + 1))));
    let set = Set { elements: elements.collect(), ..Set::new(definition) };
    let table = Table { sets: [("pods".into(), set)].into(), chains: BTreeMap::new() };
    let wanted = Installed::from(&Ruleset { tables: [(Family::Ipv4, table)].into() });
    let found = in_fresh_namespace(|| {
        send(&build(&wanted), &Options::default()).unwrap();
        read()
    });
    assert!(without_handles(found) == wanted, "elements are missing or others");
}

#[test]
fn both_families_are_one_transaction() {
    let table = || Table { sets: BTreeMap::new(), chains: [("c".into(), Chain::default())].into() };
    let wanted = Installed::from(&Ruleset { tables: Family::ALL.map(|family| (family, table())).into() });
    in_fresh_namespace(|| {
        let mut netlink = Netlink::open().unwrap();
        let before = netlink.generation().unwrap();
        netlink.apply(&encode(&build(&wanted), &Options::default()).unwrap()).unwrap();
        assert_eq!(netlink.generation().unwrap(), before + 1);
        assert_eq!(without_handles(netlink.read().unwrap()), wanted);
    });
}

#[test]
fn an_empty_transaction_sends_nothing() {
    in_fresh_namespace(|| {
        let mut netlink = Netlink::open().unwrap();
        let before = netlink.generation().unwrap();
        netlink.apply(&encode(&Transaction::default(), &Options::default()).unwrap()).unwrap();
        assert_eq!(netlink.generation().unwrap(), before);
        assert!(netlink.read().unwrap().tables.is_empty());
    });
}

#[test]
fn a_batch_for_another_generation_is_refused() {
    in_fresh_namespace(|| {
        let add =
            || Transaction { operations: vec![Operation { family: Family::Ipv4, change: Change::AddTable }] };
        let at = |generation| Options { generation: Some(generation), ..Options::default() };
        let generation = read().generation;
        send(&add(), &at(generation)).unwrap();
        let moved = send(&add(), &at(generation)).unwrap_err();
        assert!(matches!(moved, Error::GenerationMoved), "{moved:?}");
        send(&add(), &at(read().generation)).unwrap();
    });
}

/// The comments of a chain's rules, in order, with their handles.
fn rules_of(chain: &str) -> Vec<(String, u64)> {
    let installed = read();
    let rules = &installed.tables[&Family::Ipv4].chains[chain].rules;
    rules
        .iter()
        .map(|rule| {
            let comment = rule.rule.as_ref().unwrap().comment.as_ref().unwrap();
            (comment.to_string(), rule.handle.unwrap())
        })
        .collect()
}

#[test]
fn rules_are_added_replaced_and_deleted_where_they_should_be() {
    in_fresh_namespace(|| {
        let chain = &Name::from("c");
        let rules = ["a", "b", "c", "new", "other"].map(|comment| verdict(Verdict::Return, comment));
        let [a, b, c, new, other] = &rules;
        let add = |rule| Change::AddRule { chain, rule, place: Place::End };
        apply(vec![Change::AddTable, Change::AddChain { name: chain, hook: None }, add(a), add(b), add(c)])
            .unwrap();
        let comments = || rules_of(chain).into_iter().map(|(comment, _)| comment).collect::<Vec<_>>();
        assert_eq!(comments(), ["a", "b", "c"]);

        let handle = |index: usize| rules_of(chain)[index].1;
        apply(vec![Change::AddRule { chain, rule: new, place: Place::Before(handle(1)) }]).unwrap();
        assert_eq!(comments(), ["a", "new", "b", "c"]);
        apply(vec![Change::ReplaceRule { chain, handle: handle(2), rule: other }]).unwrap();
        assert_eq!(comments(), ["a", "new", "other", "c"]);
        apply(vec![Change::DeleteRule { chain, handle: handle(0) }]).unwrap();
        assert_eq!(comments(), ["new", "other", "c"]);
        apply(vec![Change::FlushChain { name: chain }]).unwrap();
        assert!(comments().is_empty());
        apply(vec![Change::DeleteChain { name: chain }]).unwrap();
        assert!(read().tables[&Family::Ipv4].chains.is_empty());
        apply(vec![Change::DeleteTable]).unwrap();
        assert!(read().tables.is_empty());
    });
}

#[test]
fn elements_are_added_and_deleted_alone() {
    in_fresh_namespace(|| {
        let set = &Name::from("s");
        let ranges = SetDefinition {
            interval: true,
            ..SetDefinition::set(&[DataType::InetService, DataType::Ipv4Addr])
        };
        let key = |port: u16, last| Value::new().port(port).field(address(last).as_bytes());
        let range = |port, last| Element { end: Some(Box::new(key(port, last))), ..Element::key_only() };
        let keys = [key(80, 0), key(443, 0)];
        let members = [range(80, 255), range(443, 7)];
        let both: Vec<_> = keys.iter().zip(&members).collect();
        apply(vec![
            Change::AddTable,
            Change::AddSet { name: set, definition: &ranges },
            Change::AddElements { set, definition: &ranges, elements: both.clone() },
        ])
        .unwrap();
        let left = || read().tables[&Family::Ipv4].sets[set].elements.keys().cloned().collect::<Vec<_>>();
        assert_eq!(left(), keys);
        let elements = vec![both[0]];
        apply(vec![Change::DeleteElements { set, definition: &ranges, elements }]).unwrap();
        assert_eq!(left(), keys[1..]);
        apply(vec![Change::DeleteSet { name: set }]).unwrap();
        assert!(read().tables[&Family::Ipv4].sets.is_empty());
    });
}

#[test]
fn a_lone_field_is_padded_in_the_ruleset_only() {
    // A lone port has two bytes in the kernel and a padded field in the ruleset.
    let definition = SetDefinition::map(&[DataType::InetService], &[DataType::InetService]);
    let set = Set {
        elements: [(Value::new().port(80), Element::value(Value::new().port(8080)))].into_iter().collect(),
        ..Set::new(definition)
    };
    let table = Table { sets: [("m".into(), set)].into(), chains: BTreeMap::new() };
    let wanted = Installed::from(&Ruleset { tables: [(Family::Ipv4, table)].into() });
    let found = in_fresh_namespace(|| {
        send(&build(&wanted), &Options::default()).unwrap();
        without_handles(read())
    });
    assert_eq!(found, wanted);
}
