//! The nft printer against the program `nft`: what it makes of a printed script must be the ruleset itself.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod build;
mod cases;
mod example;
mod kernel;

use build::{Build, Load, accept, dport, protocol, rule};
use example::{CASES, addr, address_type, base_chains, ruleset};
use kernel::{expected, in_namespace, sent};
use svcnat_rules::name::Name;
use svcnat_rules::net::{Family, Protocol};
use svcnat_rules::nft;
use svcnat_rules::ruleset::{
    CmpOp, DataType, Element, Expr, LookupData, MetaKey, Register, Reject, Rule, Ruleset, SetDefinition,
    Value, Verdict,
};
use svcnat_rules::transaction::{Change, Operation, Place, Transaction};

/// The name of the chain that printed scripts add and delete again.
const GUARD: &str = "typeof-guard";

/// The example without the rules that nft 1.0.6 aborts on: updates with an IPv6 key.
fn loadable() -> Ruleset {
    let is_update = |expr: &Expr| matches!(expr, Expr::Update { .. });
    ruleset(|b, rule| b.0 == Family::Ipv4 || !rule.exprs.iter().any(is_update))
}

fn all_rules(ruleset: &Ruleset) -> impl Iterator<Item = (Family, &str, &Rule)> {
    ruleset.tables.iter().flat_map(|(family, table)| {
        table
            .chains
            .iter()
            .flat_map(|(name, chain)| chain.rules.iter().map(|rule| (*family, name.as_str(), rule)))
    })
}

fn assert_sent(output: &str, rules: &[(Family, &str, &Rule)]) {
    let mut sent = sent(output);
    sent.retain(|(_, chain), _| chain != GUARD);
    let expected = expected(rules.iter().copied());
    for (chain, rules) in &expected {
        let got = sent.get(chain).unwrap_or_else(|| panic!("no rules for {chain:?} in {output}"));
        for (rule, got) in rules.iter().zip(got) {
            assert_eq!(rule, got, "{chain:?}");
        }
    }
    assert_eq!(expected, sent);
}

#[test]
fn every_rule_has_its_line() {
    for family in Family::ALL {
        for (line, rule) in cases::cases(Build(family)) {
            assert_eq!(nft::format_rule(&rule, family), line);
        }
    }
}

#[test]
fn nft_makes_the_same_expressions_of_the_script() {
    let ruleset = loadable();
    let script = nft::script(&ruleset, &[]).to_string();
    let output = in_namespace("nft --debug=netlink -f $0", &[&script]);
    assert_sent(&output, &all_rules(&ruleset).collect::<Vec<_>>());
}

#[test]
fn the_script_can_be_loaded_over_itself_and_its_listing_over_both() {
    let script = nft::script(&loadable(), &["node \"worker-1\"\nflush ruleset".to_owned()]).to_string();
    assert!(script.starts_with("# node \"worker-1\"\n# flush ruleset\ntable ip svcnat\n"), "{script}");
    let shell = "nft -f $0; nft -f $0; nft list ruleset > $1; cat $1; echo ====; nft flush ruleset; nft -f $1; nft list ruleset";
    let output = in_namespace(shell, &[&script, ""]);
    let (listed, again) = output.split_once("====\n").unwrap();
    // nft 1.0.6 ties the first rule to TCP whatever it loads; only the script can guard against it.
    let untied = |line: &str| match line.trim().starts_with("dnat") {
        true => line.replace(". tcp dport . numgen", ". th dport . numgen"),
        false => line.to_owned(),
    };
    assert_eq!(listed.lines().collect::<Vec<_>>(), again.lines().map(untied).collect::<Vec<_>>());
    assert!(!listed.contains(GUARD), "{listed}");
}

#[test]
fn nft_lists_what_the_script_declares() {
    let ruleset = loadable();
    let script = nft::script(&ruleset, &[]).to_string();
    let listing = in_namespace("nft -f $0; nft list ruleset", &[&script]);
    let tables = listing.split("\n}\n").map(|table| table.split_whitespace().collect::<Vec<_>>().join(" "));
    for ((family, table), listed) in ruleset.tables.iter().zip(tables) {
        let has = |part: &str| assert!(listed.contains(part), "{part} is not in {listed}");
        has(&format!("table {} svcnat {{ comment \"svcnat: Kubernetes Service proxy\"", family.keyword()));
        for (name, set) in &table.sets {
            has(&format!("{name} {{ type"));
            for (key, element) in &set.elements {
                let element = nft::format_element(&set.definition, key, element);
                let counted =
                    [" comment", " :"].map(|behind| element.find(behind)).into_iter().flatten().min();
                match set.definition.counter {
                    true => {
                        let (key, rest) = element.split_at(counted.unwrap_or(element.len()));
                        has(&format!("{key} counter packets 0 bytes 0{rest}"));
                    }
                    false => has(&element),
                }
            }
        }
        for (name, hook) in base_chains() {
            has(&format!("chain {name} {{ {}", nft::format_hook(hook)));
        }
        for rule in table.chains.values().flat_map(|chain| &chain.rules) {
            assert_eq!(listed.matches("default/web '3' é *\\ #{;}?*").count(), 1);
            assert!(!nft::format_rule(rule, *family).starts_with('#'));
        }
        has("size 262144 flags dynamic,timeout");
        has("flags interval");
        has("inet_service counter elements");
    }
}

/// Every change that there is, on tables as [`loadable`] makes them.
#[test]
fn nft_does_what_the_transaction_says() {
    let before = loadable();
    let base = nft::script(&before, &[]).to_string();
    let handles = in_namespace("nft -f $0; nft -a list ruleset", &[&base]);
    for family in Family::ALL {
        check_transaction(Build(family), &base, &handles);
    }
}

fn check_transaction(b: Build, base: &str, handles: &str) {
    let family = b.0;
    let handle = |line: &str| {
        let table = handles.split_once(&format!("table {} svcnat", family.keyword())).unwrap().1;
        let line = table.lines().find(|listed| listed.trim().starts_with(line)).unwrap();
        line.split_once("# handle ").unwrap().1.parse::<u64>().unwrap()
    };
    let names = [
        "new",
        "new-base",
        "new-map",
        "new-slots",
        "new-set",
        "reject-with-icmp",
        CASES,
        "hairpin",
        "frontends",
    ];
    let [new, new_base, new_map, new_slots, new_set, reject, cases, hairpin, frontends] =
        names.map(Name::from);
    let [nat_input, allowed] = ["nat-input", "source-allowed"].map(Name::from);
    let address = address_type(b);
    let frontend = [address, DataType::InetProto, DataType::InetService];
    let map = SetDefinition { size: Some(7), ..SetDefinition::verdict_map(&frontend) };
    let slots = SetDefinition::map(
        &[address, DataType::InetProto, DataType::InetService, DataType::Slot],
        &[address, DataType::InetService],
    );
    let set = SetDefinition { interval: true, ..SetDefinition::set(&[address]) };
    let host = b.pick("10.96.0.10", "fd00:60::10");
    let key = addr(host).protocol(Protocol::Tcp).port(80);
    let goto = Element::verdict(Verdict::Goto(new.clone())).with_comment(Name::from("default/\"web\""));
    let slot = (key.clone().slot(3), Element::value(addr(host).port(8080)));
    let (mut tcp, mut udp) =
        (rule([protocol(Protocol::Tcp), dport(CmpOp::Eq, 1), accept()]), rule([accept()]));
    tcp.comment = Some(Name::from("first"));
    udp.exprs.splice(0..0, protocol(Protocol::Udp));
    let draw = rule([b.dnat_map(&[Load::Daddr, Load::L4Proto, Load::Dport, Load::Numgen(4)], "new-slots")]);
    let old_draw = rule([b.dnat_map(&[Load::L4Proto, Load::Dport, Load::Numgen(4)], "node-port-backends")]);
    let before = &ruleset(|_, _| true).tables[&family].sets;
    let definition = |name: &Name| before[name.as_str()].definition.clone();
    let (hairpin_type, frontends_type, allowed_type) =
        (definition(&hairpin), definition(&frontends), definition(&allowed));
    let elements = |name: &Name| before[name.as_str()].elements.iter().collect::<Vec<_>>();
    let (_, hook) = base_chains()[0];
    let at_jump = handle("fib saddr type local accept");
    let (at_replaced, at_deleted) = (handle("iifname \"cbr0\""), handle("iifname \"veth*\""));
    let add = |chain, rule, place| Change::AddRule { chain, rule, place };
    let changes = vec![
        Change::AddTable,
        Change::AddChain { name: &new, hook: None },
        Change::AddChain { name: &new_base, hook: Some(hook) },
        Change::AddSet { name: &new_map, definition: &map },
        Change::AddSet { name: &new_slots, definition: &slots },
        Change::AddSet { name: &new_set, definition: &set },
        Change::AddElements { set: &new_map, definition: &map, elements: vec![(&key, &goto)] },
        Change::AddElements { set: &new_slots, definition: &slots, elements: vec![(&slot.0, &slot.1)] },
        Change::AddElements { set: &new_set, definition: &set, elements: vec![] },
        Change::AddElements { set: &hairpin, definition: &hairpin_type, elements: vec![] },
        Change::DeleteElements {
            set: &frontends,
            definition: &frontends_type,
            elements: elements(&frontends),
        },
        Change::DeleteElements { set: &hairpin, definition: &hairpin_type, elements: elements(&hairpin) },
        Change::DeleteElements { set: &allowed, definition: &allowed_type, elements: elements(&allowed) },
        Change::FlushChain { name: &reject },
        add(&reject, &draw, Place::End),
        add(&reject, &draw, Place::End),
        add(&new, &old_draw, Place::End),
        add(&new, &tcp, Place::End),
        add(&cases, &udp, Place::Before(at_jump)),
        Change::ReplaceRule { chain: &cases, handle: at_replaced, rule: &tcp },
        Change::DeleteRule { chain: &cases, handle: at_deleted },
        Change::FlushChain { name: &nat_input },
        Change::DeleteChain { name: &nat_input },
    ];
    let transaction =
        Transaction { operations: changes.into_iter().map(|change| Operation { family, change }).collect() };
    let script = nft::transaction(&transaction).to_string();
    let shell = "nft -f $0; nft --debug=netlink -f $1; echo ====; nft list table $(cat $2) svcnat";
    let output = in_namespace(shell, &[base, &script, family.keyword()]);
    let (debug, listing) = output.split_once("====\n").unwrap();
    let draw_rules = [&draw, &draw].map(|rule| (family, "reject-with-icmp", rule));
    let new_rules = [&old_draw, &tcp].map(|rule| (family, "new", rule));
    let cases_rules = [&udp, &tcp].map(|rule| (family, CASES, rule));
    // nft first reads, and shows as well, what the chains hold.
    let sent = sent(debug);
    for (chain, rules) in expected([draw_rules, new_rules, cases_rules].concat()) {
        assert!(sent[&chain].ends_with(&rules), "{chain:?}: {rules:?} is not the end of {:?}", sent[&chain]);
    }

    let has = |part: &str| assert!(listing.contains(part), "{part} is not in {listing}\nafter {script}");
    has("meta l4proto udp accept\n\t\tfib saddr type local accept\n");
    has("tcp dport 1 accept comment \"first\"\n\t\tiifname != \"cbr0\" accept");
    has(&format!("elements = {{ {host} . tcp . 80 comment \"default/'web'\" : goto new }}"));
    has(&format!("elements = {{ {host} . tcp . 80 . 3 : {host} . 8080 }}"));
    has("chain new-base {\n\t\ttype filter hook prerouting priority dstnat - 10; policy accept;");
    for gone in ["iifname \"veth*\"", "nat-input", GUARD, "elements = { }"] {
        assert!(!listing.contains(gone), "{gone} is still in {listing}");
    }
    for emptied in ["map frontends", "set hairpin", "set source-allowed"] {
        let set = listing.split_once(emptied).unwrap().1.split_once('}').unwrap().0;
        assert!(!set.contains("elements"), "{emptied} {set}");
    }
}

#[test]
fn sets_and_tables_can_be_deleted() {
    let (set, map) = (Name::from("s"), Name::from("m"));
    let definitions =
        [SetDefinition::set(&[DataType::Ipv4Addr]), SetDefinition::verdict_map(&[DataType::InetService])];
    let changes = [
        Change::AddTable,
        Change::AddSet { name: &set, definition: &definitions[0] },
        Change::AddSet { name: &map, definition: &definitions[1] },
    ];
    let deletions = [Change::DeleteSet { name: &set }, Change::DeleteSet { name: &map }];
    let print = |changes: &[Change<'_>]| {
        let operations =
            changes.iter().map(|change| Operation { family: Family::Ipv4, change: change.clone() }).collect();
        nft::transaction(&Transaction { operations }).to_string()
    };
    let shell = "nft -f $0; nft list ruleset; nft -f $1; echo ====; nft list ruleset; nft -f $2; echo ====; nft list ruleset";
    let output = in_namespace(shell, &[&print(&changes), &print(&deletions), &print(&[Change::DeleteTable])]);
    let listings: Vec<&str> = output.split("====\n").collect();
    let [all, without_sets, nothing] = listings[..] else { panic!("{output}") };
    assert!(all.contains("set s {") && all.contains("map m {"), "{all}");
    assert_eq!(without_sets, "table ip svcnat {\n\tcomment \"svcnat: Kubernetes Service proxy\"\n}\n");
    assert_eq!(nothing, "");
}

#[test]
fn what_nft_cannot_say_is_shown_as_a_comment() {
    let b = Build(Family::Ipv4);
    let load = |load| b.key(&[load], Register::FIRST).0;
    let raw = |value: &[u8]| build::eq(value);
    let meta = |key| Expr::Meta { key, dest: Register::FIRST };
    let lookup = |data, invert| Expr::Lookup { set: Name::from("s"), source: Register::FIRST, data, invert };
    let dnat = |port| Expr::Dnat { address: Register::FIRST, port, port_specified: true };
    let constant = |bytes: &[u8]| Expr::Immediate { dest: Register::FIRST, value: Value::from_bytes(bytes) };
    let update =
        || Expr::Update { set: Name::from("m"), key: Register::FIRST, data: Register::FIRST, timeout: 1 };
    let cases = [
        vec![],
        load(Load::Daddr),
        vec![raw(&[1])],
        [load(Load::Daddr), vec![raw(&[10, 0])]].concat(),
        [load(Load::Dport), vec![raw(&[80])]].concat(),
        [load(Load::L4Proto), vec![raw(&[6, 0])]].concat(),
        [load(Load::Daddr), accept(), vec![raw(&[10, 0, 0, 1])]].concat(),
        [load(Load::Daddr), load(Load::Dport), vec![raw(&[0, 80])]].concat(),
        [load(Load::CtDport), vec![raw(&[0, 80])]].concat(),
        [load(Load::CtDport), vec![lookup(LookupData::None, false)]].concat(),
        [load(Load::Daddr), vec![lookup(LookupData::Verdict, true)]].concat(),
        [load(Load::Daddr), vec![lookup(LookupData::Load(Register::FIRST), false)]].concat(),
        [
            load(Load::Daddr),
            vec![lookup(LookupData::Load(Register::FIRST), false), dnat(Some(Register::FIRST))],
        ]
        .concat(),
        vec![
            b.load_address(svcnat_rules::ruleset::FibAddress::Source, 5, Register::FIRST),
            raw(&[1, 2, 3, 4, 5]),
        ],
        vec![b.load_address(svcnat_rules::ruleset::FibAddress::Source, 0, Register::FIRST), raw(&[])],
        vec![build::load_port(4, Register::FIRST), raw(&[0, 80])],
        b.dnat_to("10.0.0.1", Some(80)),
        b.dnat_to("fd00::1", None),
        vec![constant(&[10, 0]), dnat(None)],
        vec![constant(&[7]), Expr::SetMark { source: Register::FIRST }],
        vec![meta(MetaKey::Mark), Expr::SetMark { source: Register::FIRST }],
        vec![meta(MetaKey::IifName), raw(b"")],
        vec![meta(MetaKey::IifName), raw(b"a\"; drop")],
        vec![meta(MetaKey::IifName), raw(b"a*")],
        vec![meta(MetaKey::IifName), raw(&[b'a'; 16])],
        vec![meta(MetaKey::IifName), raw(&[b'a'; 17])],
        vec![meta(MetaKey::IifName), raw(&[0xff])],
        vec![meta(MetaKey::IifName), raw(b"a\0b")],
        build::any_bit(svcnat_rules::ruleset::CtKey::State, 0x1000),
        build::any_bit(svcnat_rules::ruleset::CtKey::State, 0),
        vec![Expr::Reject(Reject::TcpReset)],
        [protocol(Protocol::Udp), vec![Expr::Reject(Reject::TcpReset)]].concat(),
        vec![update()],
        [load(Load::Daddr), vec![update()]].concat(),
    ];
    for exprs in cases {
        let rule = Rule { exprs, comment: Some(Name::from("x")) };
        let line = nft::format_rule(&rule, Family::Ipv4);
        assert_eq!(line, format!("# cannot be said in nft: {:?}", rule.exprs));
        let name = Name::from("c");
        let change = Change::AddRule { chain: &name, rule: &rule, place: Place::End };
        let transaction = Transaction { operations: vec![Operation { family: Family::Ipv4, change }] };
        let script = nft::transaction(&transaction).to_string();
        assert_eq!(script, format!("# cannot be said in nft: add rule ip svcnat c {:?}\n", rule.exprs));
    }
}

/// Rules as a broken or foreign one might be: an expression less, two the other way round, a value cut short.
#[test]
fn damaged_rules_are_printed_too() {
    for family in Family::ALL {
        for (_, rule) in cases::cases(Build(family)) {
            for i in 0..rule.exprs.len() {
                let mut short = rule.clone();
                let is_load = matches!(
                    short.exprs.remove(i),
                    Expr::Payload { .. } | Expr::Meta { .. } | Expr::Ct { .. } | Expr::FibType { .. }
                );
                let line = nft::format_rule(&short, family);
                assert!(!line.is_empty() && !line.contains('\n'), "{line}");
                // A key may lose its last field and still be one, and other fields before a key are one as well.
                let is_key =
                    short.exprs.iter().any(|expr| matches!(expr, Expr::Lookup { .. } | Expr::Update { .. }));
                assert!(!is_load || is_key || line.starts_with('#'), "{line}");
                let mut swapped = rule.clone();
                swapped.exprs.swap(0, i);
                assert!(!nft::format_rule(&swapped, family).is_empty());
                let mut cut = rule.clone();
                if let Expr::Cmp { value, .. }
                | Expr::Bitwise { mask: value, .. }
                | Expr::Immediate { value, .. } = &mut cut.exprs[i]
                {
                    *value = Value::from_bytes(&value.as_bytes()[..value.len() - 1]);
                    assert!(!nft::format_rule(&cut, family).is_empty());
                }
            }
        }
    }
}
