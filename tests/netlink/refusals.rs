//! What the kernel refuses is not applied in part, and the error names the object.

use std::net::{IpAddr, Ipv4Addr};

use svcnat::netlink::{EncodeError, Error, Netlink, Object, Options, encode};
use svcnat_rules::name::Name;
use svcnat_rules::net::{Family, Protocol};
use svcnat_rules::ruleset::{DataType, Element, Expr, Register, Reject, Rule, SetDefinition, Value, Verdict};
use svcnat_rules::transaction::{Change, Operation, Place, Transaction};

use crate::namespace::{apply, in_fresh_namespace, nft_load, read};

/// Applies changes to a table that has a chain, a map and an element; the error must have that text, and nothing
/// may have happened.
#[track_caller]
fn check(changes: Vec<Change<'_>>, expected: &str) {
    let (before, after, error) = in_fresh_namespace(|| {
        nft_load(
            "table ip svcnat {
                map frontends {
                    type ipv4_addr . inet_proto . inet_service : verdict
                    elements = { 10.96.0.10 . tcp . 80 : goto web }
                }
                set small { type ipv4_addr; size 2; elements = { 10.0.0.1 } }
                chain web { }
                chain user { jump web; }
            }",
        );
        let before = read();
        let error = apply(changes).expect_err("the kernel refuses this");
        (before, read(), error)
    });
    assert_eq!(after, before, "something was applied");
    assert_eq!(error.to_string(), expected, "{error:?}");
}

fn rule(exprs: Vec<Expr>, comment: &str) -> Rule {
    Rule { exprs, comment: Some(comment.into()) }
}

fn frontend(last: u8) -> Value {
    Value::new().addr(IpAddr::V4(Ipv4Addr::new(10, 96, 0, last))).protocol(Protocol::Tcp).port(80)
}

#[test]
fn a_rule_that_leads_nowhere_is_named_in_a_large_batch() {
    let good = rule(vec![Expr::Verdict(Verdict::Return)], "good");
    let bad = rule(vec![Expr::Verdict(Verdict::Jump("nowhere".into()))], "bad");
    let chain = &Name::from("web");
    let rules = (0..6_000).map(|index| if index == 3_000 { &bad } else { &good });
    check(
        rules.map(|rule| Change::AddRule { chain, rule, place: Place::End }).collect(),
        "rule \"bad\" of chain web in table ip svcnat: chain nowhere does not exist",
    );
}

#[test]
fn a_rule_in_a_missing_chain_is_named() {
    let good = rule(vec![Expr::Verdict(Verdict::Return)], "good");
    let chain = &Name::from("nowhere");
    check(
        vec![Change::AddRule { chain, rule: &good, place: Place::End }],
        "rule \"good\" of chain nowhere in table ip svcnat: it or its chain does not exist",
    );
}

#[test]
fn a_missing_set_is_named() {
    let lookup = Expr::Lookup {
        set: "nowhere".into(),
        source: Register::FIRST,
        data: svcnat_rules::ruleset::LookupData::None,
        invert: false,
    };
    let load = Expr::Immediate { dest: Register::FIRST, value: Value::from_bytes(&[1, 2, 3, 4]) };
    let rule = rule(vec![load, lookup], "lost");
    let chain = &Name::from("web");
    check(
        vec![Change::AddRule { chain, rule: &rule, place: Place::End }],
        "rule \"lost\" of chain web in table ip svcnat: set nowhere does not exist",
    );
}

#[test]
fn an_element_at_fault_is_named() {
    let set = &Name::from("frontends");
    let definition =
        &SetDefinition::verdict_map(&[DataType::Ipv4Addr, DataType::InetProto, DataType::InetService]);
    let web = Element::verdict(Verdict::Goto("web".into()));
    let lost = Element::verdict(Verdict::Goto("nowhere".into()));
    let keys: Vec<_> = (11..=200).map(frontend).collect();
    let good: Vec<_> = keys.iter().map(|key| (key, &web)).collect();
    let there = frontend(10);

    let mut elements = good.clone();
    elements.insert(100, (&there, &web));
    check(
        vec![Change::AddElements { set, definition, elements }],
        "element { 10.96.0.10 . tcp . 80 } of set frontends in table ip svcnat exists already",
    );
    let mut elements = good.clone();
    elements[150].1 = &lost;
    check(
        vec![Change::AddElements { set, definition, elements }],
        "element { 10.96.0.161 . tcp . 80 } of set frontends in table ip svcnat: it or chain nowhere does not exist",
    );
    check(
        vec![Change::DeleteElements { set, definition, elements: vec![(&there, &web), (&keys[3], &web)] }],
        "element { 10.96.0.14 . tcp . 80 } of set frontends in table ip svcnat: the element, its set, or a chain that \
         it leads to does not exist",
    );
}

#[test]
fn a_full_set_is_named() {
    let set = &Name::from("small");
    let definition = &SetDefinition::set(&[DataType::Ipv4Addr]);
    let keys = [7, 8, 9].map(|last| Value::new().addr(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))));
    let element = Element::key_only();
    check(
        vec![Change::AddElements {
            set,
            definition,
            elements: keys.iter().map(|key| (key, &element)).collect(),
        }],
        "element { 10.0.0.8 } of set small in table ip svcnat: the set is full; raise its size",
    );
}

#[test]
fn chains_and_sets_at_fault_are_named() {
    let web = &Name::from("web");
    check(vec![Change::AddChain { name: web, hook: None }], "chain web in table ip svcnat exists already");
    check(
        vec![Change::DeleteChain { name: web }],
        "chain web in table ip svcnat is busy: something still refers to it, or it exists with other properties",
    );
    let definition = &SetDefinition::set(&[DataType::Ipv4Addr]);
    check(
        vec![Change::AddSet { name: &"small".into(), definition }],
        "set small in table ip svcnat exists already",
    );
    check(
        vec![Change::DeleteSet { name: &"nowhere".into() }],
        "set nowhere in table ip svcnat: it or its table does not exist",
    );
}

#[test]
fn a_statement_in_the_wrong_hook_is_named() {
    let masquerade = rule(vec![Expr::Masquerade], "");
    let hook = svcnat_rules::ruleset::BaseHook {
        kind: svcnat_rules::ruleset::ChainType::Filter,
        hook: svcnat_rules::ruleset::Hook::Input,
        priority: 0,
    };
    let name = &Name::from("input");
    check(
        vec![
            Change::AddChain { name, hook: Some(hook) },
            Change::AddRule { chain: name, rule: &masquerade, place: Place::End },
        ],
        "rule \"\" of chain input in table ip svcnat: the kernel does not support the expression masq here; it needs \
         CONFIG_NFT_MASQ, built in or as a module that can be loaded",
    );
}

#[test]
fn a_table_of_another_owner_is_named() {
    in_fresh_namespace(|| {
        // nft in interactive mode keeps its socket, and with it the table.
        let mut owner = std::process::Command::new("nft")
            .arg("-i")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = owner.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, b"add table ip svcnat { flags owner; }\n").unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while read().tables.is_empty() {
            assert!(std::time::Instant::now() < deadline, "nft does not make the table");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let error = apply(vec![Change::DeleteTable]).unwrap_err();
        drop(stdin);
        owner.wait().unwrap();
        assert!(
            matches!(&error, Error::Owned { object } if **object == Object::Table { family: Family::Ipv4 }),
            "{error:?}"
        );
    });
}

#[test]
fn without_privilege_the_error_says_so() {
    const CHILD: &str = "SVCNAT_TEST_UNPRIVILEGED";
    if std::env::var_os(CHILD).is_none() {
        // A capability is the process's, so another process must go without.
        let status = in_fresh_namespace(|| {
            std::process::Command::new("setpriv")
                .args(["--bounding-set=-net_admin", "--inh-caps=-net_admin"])
                .arg(std::env::current_exe().unwrap())
                .args(["--exact", "refusals::without_privilege_the_error_says_so"])
                .env(CHILD, "1")
                .status()
                .expect("setpriv (util-linux) runs")
        });
        assert!(status.success());
        return;
    }
    let mut netlink = Netlink::open().unwrap();
    let error = netlink.read().unwrap_err();
    assert!(matches!(error, Error::Privilege), "{error:?}");
    let add = Operation { family: Family::Ipv4, change: Change::AddTable };
    let batch = encode(&Transaction { operations: vec![add] }, &Options::default()).unwrap();
    let error = netlink.apply(&batch).unwrap_err();
    assert!(matches!(error, Error::Privilege), "{error:?}");
}

#[test]
fn what_no_kernel_can_take_is_refused_before_it_is_sent() {
    #[track_caller]
    fn check(change: Change<'_>, expected: &EncodeError) {
        let operations = vec![Operation { family: Family::Ipv4, change }];
        let error = encode(&Transaction { operations }, &Options::default()).unwrap_err();
        assert_eq!(&error, expected);
    }
    let long = Name::from("n".repeat(256));
    check(Change::AddChain { name: &long, hook: None }, &EncodeError::Name(long.clone()));
    let zero = Name::from("a\0b");
    check(Change::DeleteChain { name: &zero }, &EncodeError::Name(zero.clone()));
    check(Change::DeleteSet { name: &"".into() }, &EncodeError::Name("".into()));
    let chain = &Name::from("c");
    let add = |rule: Rule, expected| {
        check(Change::AddRule { chain, rule: &rule, place: Place::End }, &expected);
    };
    add(Rule { exprs: vec![Expr::Reject(Reject::TcpReset); 129], comment: None }, EncodeError::Rule(129));
    let comment = Name::from("c".repeat(128));
    add(Rule { exprs: vec![], comment: Some(comment.clone()) }, EncodeError::Comment(comment));
    for len in [0, 65] {
        let value = Value::from_bytes(&vec![0; len]);
        let immediate = Expr::Immediate { dest: Register::FIRST, value };
        add(Rule { exprs: vec![immediate], comment: None }, EncodeError::Value(len));
    }
    let definition = &SetDefinition::set(&[DataType::Ipv4Addr]);
    let set = &Name::from("s");
    let add = |key: Value, element: Element, problem| {
        let elements = vec![(&key, &element)];
        let expected = EncodeError::Element { set: set.clone(), problem: Box::new(problem) };
        check(Change::AddElements { set, definition, elements }, &expected);
    };
    add(Value::new().port(1).port(2), Element::key_only(), EncodeError::Value(8));
    add(Value::new().port(1), Element::verdict(Verdict::Drop), EncodeError::Data);
}
