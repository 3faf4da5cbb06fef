//! Every invariant is broken once and the breach reported; that what the compiler makes breaks none is tested with the oracle.

use std::collections::BTreeMap;

use svcnat_oracle::build::{self, here, tcp_slice};
use svcnat_rules::iptables::{
    Chain, Fault, Interface, Match, Odds, Recent, Rule, Ruleset, Table, TableName, Target, compile, verify,
};
use svcnat_rules::name::Name;
use svcnat_rules::net::{Cidr, Family, Protocol};
use svcnat_rules::ruleset::{Hook, Reject};

/// A ruleset that uses all that there is.
fn sound() -> Ruleset {
    let service = build::service("shop/web").cluster_ip("10.96.0.1").load_balancer_ip("203.0.113.1").tcp(80);
    let service = service.node_port(30_080).source_range("198.51.100.0/24").external_local().affinity(60);
    let world = build::world()
        .service(service)
        .slice(tcp_slice("shop/web", [here("10.244.0.2"), here("10.244.0.3")]));
    compile(&world.cluster, &world.config).ruleset
}

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn chains(tables: &mut BTreeMap<TableName, Table>, table: TableName) -> &mut BTreeMap<Name, Chain> {
    &mut tables.get_mut(&table).unwrap().chains
}

/// Adds a rule to a chain of nat, which is made where it is not there.
fn add(tables: &mut BTreeMap<TableName, Table>, chain: &str, rule: Rule) {
    chains(tables, TableName::Nat).entry(Name::from(chain)).or_default().rules.push(rule);
}

#[track_caller]
fn check(breach: impl FnOnce(&mut BTreeMap<TableName, Table>), expected: &Fault) {
    let mut ruleset = sound();
    breach(ruleset.families.get_mut(&Family::Ipv4).unwrap());
    let found: Vec<Fault> = verify(&ruleset).into_iter().map(|violation| violation.fault).collect();
    assert!(found.contains(expected), "{found:?} instead of {expected:?}");
}

const SERVICES: &str = "SVCNAT-SERVICES";
const POSTROUTING: &str = "SVCNAT-POSTROUTING";

#[test]
fn what_the_compiler_makes_is_sound() {
    assert_eq!(verify(&sound()), []);
}

#[test]
fn names_and_comments_fit_the_kernel() {
    let long = format!("SVCNAT-{}", "x".repeat(22));
    for name in ["KUBE-SERVICES", "SVCNAT-", "SVCNAT-a b", long.as_str()] {
        check(|tables| add(tables, name, Rule::new(Target::Return)), &Fault::Name);
    }
    let long = "x".repeat(128);
    for comment in ["\"", "\\", "a\nb", long.as_str()] {
        let rule = Rule::new(Target::Return).comment(Some(Name::from(comment)));
        check(|tables| add(tables, SERVICES, rule), &Fault::Comment);
    }
}

#[test]
fn chains_exist_and_do_not_loop() {
    let missing = Name::from("SVCNAT-X");
    check(|tables| add(tables, SERVICES, Rule::goto("SVCNAT-X")), &Fault::NoChain(missing.clone()));
    let in_built_in = |target: Target| {
        move |tables: &mut BTreeMap<TableName, Table>| {
            let nat = tables.get_mut(&TableName::Nat).unwrap();
            nat.jumps.get_mut(&Hook::Output).unwrap().push(Rule::new(target));
        }
    };
    check(in_built_in(Target::Jump(missing.clone())), &Fault::NoChain(missing));
    check(in_built_in(Target::Goto(Name::from(SERVICES))), &Fault::BuiltIn);
    check(in_built_in(Target::Return), &Fault::BuiltIn);
    check(|tables| add(tables, "SVCNAT-SVC-shop/web", Rule::jump(SERVICES)), &Fault::Depth);
    check(
        |tables| {
            for number in 0..16 {
                add(tables, &format!("SVCNAT-{number}"), Rule::jump(format!("SVCNAT-{}", number + 1)));
            }
            add(tables, "SVCNAT-16", Rule::new(Target::Return));
        },
        &Fault::Depth,
    );
}

#[test]
fn rules_match_what_packets_can_have() {
    let backend = "10.244.0.2:80".parse().unwrap();
    let ipv6 = "[fd00::2]:80".parse().unwrap();
    let tcp = |rule: Rule| Rule { protocol: Some(Protocol::Tcp), ..rule };
    for rule in [
        Rule::new(Target::Return).from(cidr("fd00::/16")),
        Rule { destination: Some(cidr("0.0.0.0/0")), ..Rule::new(Target::Return) },
        Rule { port: Some(80), ..Rule::new(Target::Return) },
        Rule { interface: Some(Interface::Named(Name::from("br+"))), ..Rule::new(Target::Return) },
        Rule::new(Target::Dnat(backend)),
        tcp(Rule::new(Target::Dnat(ipv6))),
    ] {
        let fault = Fault::Packet(rule.to_string());
        check(|tables| add(tables, SERVICES, rule), &fault);
    }
}

#[test]
fn targets_are_where_the_kernel_allows_them() {
    let tcp = |rule: Rule| Rule { protocol: Some(Protocol::Tcp), ..rule };
    let dnat = || tcp(Rule::new(Target::Dnat("10.244.0.2:80".parse().unwrap())));
    check(|tables| add(tables, POSTROUTING, dnat()), &Fault::Misplaced("DNAT"));
    check(|tables| add(tables, SERVICES, Rule::new(Target::Masquerade)), &Fault::Misplaced("masquerading"));
    check(|tables| add(tables, SERVICES, Rule::new(Target::Drop)), &Fault::Misplaced("a drop"));
    let reject = Rule::new(Target::Reject(Reject::TcpReset));
    check(|tables| add(tables, SERVICES, reject), &Fault::Misplaced("a rejection"));
    for (rule, fault) in [(dnat(), "DNAT"), (Rule::new(Target::Masquerade), "masquerading")] {
        let breach = |tables: &mut BTreeMap<TableName, Table>| {
            let filter = chains(tables, TableName::Filter);
            filter.get_mut(&Name::from("SVCNAT-REJECT")).unwrap().rules.push(rule);
        };
        check(breach, &Fault::Misplaced(fault));
    }
}

#[test]
fn draws_can_be_won_and_lists_are_files_of_one_family() {
    let never = Match::Random(Odds::from_decimal("0").unwrap());
    check(|tables| add(tables, SERVICES, Rule::new(Target::Return).when(never)), &Fault::Odds);
    let set = |list: &str| Match::Recent { list: Name::from(list), action: Recent::Set };
    let long = "x".repeat(200);
    for list in ["", "a/b", "a b", long.as_str()] {
        let rule = Rule::new(Target::Return).when(set(list));
        check(|tables| add(tables, SERVICES, rule), &Fault::List(Name::from(list)));
    }
    let action = Recent::Update { seconds: 0 };
    let rule = Rule::new(Target::Return).when(Match::Recent { list: Name::from("x"), action });
    check(|tables| add(tables, SERVICES, rule), &Fault::List(Name::from("x")));
    let mut ruleset = sound();
    for family in Family::ALL {
        let tables = ruleset.families.entry(family).or_default();
        tables.entry(TableName::Nat).or_default();
        add(tables, "SVCNAT-X", Rule::new(Target::Return).when(set("x")));
    }
    let found: Vec<Fault> = verify(&ruleset).into_iter().map(|violation| violation.fault).collect();
    assert_eq!(found, [Fault::List(Name::from("x"))]);
}

#[test]
fn rules_in_any_order_exclude_each_other() {
    for rule in [Rule::goto("SVCNAT-NODE-PORTS").to(cidr("10.96.0.1/32")), Rule::new(Target::Return)] {
        let fault = Fault::Unordered(rule.to_string());
        let breach = |tables: &mut BTreeMap<TableName, Table>| {
            let services = chains(tables, TableName::Nat).get_mut(&Name::from(SERVICES)).unwrap();
            services.rules.insert(services.unordered, rule);
            services.unordered += 1;
        };
        check(breach, &fault);
    }
}
