//! Random rulesets.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::build::*;
use super::example::{affinity, node, node_that_remembers};
use crate::ruleset::{
    CT_STATE_NEW, ChainType, CtKey, DataType, Element, Expr, FibAddress, Header, Hook, LookupData, MetaKey,
    Reject, Ruleset, SetDefinition, Table, Value, Verdict,
};
use crate::simulate::{Connection, Environment, Outcome, Packet, Probability, simulate};

/// Regular chains; each jumps only to those behind it, so that there is no loop.
const CHAINS: [&str; 3] = ["a", "b", "c"];

const BASES: [(&str, ChainType, Hook, i32); 8] = [
    ("filter-prerouting", ChainType::Filter, Hook::Prerouting, -110),
    ("nat-prerouting", ChainType::Nat, Hook::Prerouting, -100),
    ("late-prerouting", ChainType::Filter, Hook::Prerouting, 0),
    ("nat-output", ChainType::Nat, Hook::Output, -100),
    ("filter-input", ChainType::Filter, Hook::Input, 0),
    ("filter-forward", ChainType::Filter, Hook::Forward, 0),
    ("nat-postrouting", ChainType::Nat, Hook::Postrouting, 100),
    ("filter-output", ChainType::Filter, Hook::Output, 0),
];

/// Something that a rule may ask or do before its verdict.
fn condition() -> impl Strategy<Value = Vec<Expr>> {
    prop_oneof![
        4 => draw(),
        1 => Just(ct_new()),
        1 => Just(ct_dnat()),
        1 => Just(is_tcp()),
        2 => (0..4_u32).prop_map(mark_is),
        2 => (0..4_u32).prop_map(set_mark),
        1 => Just(vec![meta(MetaKey::Mark, 0), bitwise(!1, 2), Expr::SetMark { source: reg(0) }]),
        1 => Just(vec![daddr(0), eq(0, Value::new().addr(addr("10.96.0.10")))]),
        1 => Just(vec![Expr::FibType { address: FibAddress::Source, dest: reg(0) }, eq(0, number(2))]),
    ]
}

/// A draw and something that depends on it.
fn draw() -> impl Strategy<Value = Vec<Expr>> {
    let look_up = |(modulus, invert): (u32, bool)| {
        let lookup = Expr::Lookup { set: name("numbers"), source: reg(0), data: LookupData::None, invert };
        vec![numgen(modulus, 0), lookup]
    };
    prop_oneof![
        (1..4_u32, 0..4_u32).prop_map(|(modulus, value)| vec![numgen(modulus, 0), eq(0, number(value))]),
        (1..4_u32, 0..4_u32).prop_map(|(modulus, value)| vec![numgen(modulus, 0), neq(0, number(value))]),
        (1..4_u32).prop_map(|modulus| vec![numgen(modulus, 0), bitwise(1, 0), eq(0, number(1))]),
        (1..4_u32).prop_map(|modulus| vec![numgen(modulus, 0), Expr::SetMark { source: reg(0) }]),
        (1..4_u32, any::<bool>()).prop_map(look_up),
    ]
}

/// How a rule may end: in a chain of that kind and hook, with these chains to jump to.
fn ending(
    kind: Option<(ChainType, Hook)>,
    targets: &'static [&'static str],
) -> impl Strategy<Value = Vec<Expr>> {
    let mut endings = vec![vec![], vec![], vec![ACCEPT], vec![DROP], vec![RETURN]];
    endings.extend(targets.iter().flat_map(|target| [vec![jump(target)], vec![goto(target)]]));
    match kind {
        Some((ChainType::Nat, Hook::Prerouting | Hook::Output)) => {
            endings.push(dnat_to("10.244.0.2:8080"));
            endings.push(dnat_to("192.168.1.2:8080"));
            let slot = [vec![numgen(4, 0)], vec![lookup("slots", LookupData::Load(reg(0)))]].concat();
            let dnat = Expr::Dnat { address: reg(0), port: Some(reg(1)), port_specified: false };
            endings.push([slot, vec![dnat]].concat());
        }
        Some((ChainType::Nat, _)) => endings.push(vec![Expr::Masquerade]),
        Some((ChainType::Filter, _)) => endings.push(vec![Expr::Reject(Reject::TcpReset)]),
        None => endings.push(vec![numgen(4, 0), vmap("verdicts")]),
    }
    select(endings)
}

/// Up to two conditions and an ending.
fn rules(
    kind: Option<(ChainType, Hook)>,
    targets: &'static [&'static str],
    conditions: impl Strategy<Value = Vec<Expr>>,
) -> impl Strategy<Value = Vec<Vec<Expr>>> {
    let rule = (vec(conditions, 0..3), ending(kind, targets));
    vec(rule.prop_map(|(conditions, ending)| [conditions.concat(), ending].concat()), 0..4)
}

/// A table whose base chains jump to the regular ones; draws may be anywhere.
fn table() -> impl Strategy<Value = Table> {
    let bases = BASES.map(|(_, kind, hook, _)| rules(Some((kind, hook)), &CHAINS, condition()));
    let regular = [&CHAINS[1..], &CHAINS[2..], &[]].map(|targets| rules(None, targets, condition()));
    (Vec::from(bases), Vec::from(regular)).prop_map(|(bases, regular)| {
        let mut table = sets();
        std::iter::zip(CHAINS, regular).for_each(|(name, rules)| chain(&mut table, name, rules));
        add_bases(&mut table, bases);
        table
    })
}

fn add_bases(table: &mut Table, bases: Vec<Vec<Vec<Expr>>>) {
    for ((name, kind, hook, priority), rules) in std::iter::zip(BASES, bases) {
        base(table, name, (kind, hook, priority), rules);
    }
}

/// A table without chains.
fn sets() -> Table {
    let mut table = Table::default();
    let slot = |slot: u32| Value::new().slot(slot);
    let numbers = [1, 2].map(|number| (slot(number), Element::key_only()));
    set(&mut table, "numbers", SetDefinition::set(&[DataType::Slot]), numbers);
    let slots =
        [0, 1, 3].map(|number| (slot(number), Element::value(backend(&format!("10.244.{number}.2:8080")))));
    let map = SetDefinition::map(&[DataType::Slot], &[DataType::Ipv4Addr, DataType::InetService]);
    set(&mut table, "slots", map, slots);
    let verdicts = [(0, Verdict::Drop), (1, Verdict::Return), (2, Verdict::Accept)];
    let verdicts = verdicts.map(|(number, verdict)| (slot(number), Element::verdict(verdict)));
    set(&mut table, "verdicts", SetDefinition::verdict_map(&[DataType::Slot]), verdicts);
    set(&mut table, "affinity", affinity(), []);
    table
}

fn packet() -> impl Strategy<Value = Packet> {
    let destination = select(vec!["10.96.0.10:80", "192.168.1.2:80", "10.244.1.1:80"]);
    let established = Connection::Established { dnat: Some(socket("10.244.0.3:80")), masqueraded: true };
    let connection = select(vec![Connection::New, Connection::New, Connection::New, established]);
    (any::<bool>(), destination, connection).prop_map(|(host, destination, connection)| {
        let packet = if host {
            from_host("192.168.1.2:1000", destination)
        } else {
            from_network("10.0.0.1:1000", destination)
        };
        Packet { connection, ..packet }
    })
}

/// Every ruleset in which one of the draws is decided, with its share, until no draw is left.
fn decide_draws(table: &Table, share: Probability, decided: &mut Vec<(Table, Probability)>) {
    let mut places = table.chains.iter().flat_map(|(name, chain)| {
        let rules = chain.rules.iter().enumerate();
        rules.flat_map(move |(r, rule)| (0..rule.exprs.len()).map(move |e| (name.clone(), r, e)))
    });
    let draw = places.find_map(|(name, r, e)| match table.chains[&name].rules[r].exprs[e] {
        Expr::Numgen { modulus, dest } => Some((name, r, e, modulus, dest)),
        _ => None,
    });
    let Some((name, r, e, modulus, dest)) = draw else {
        decided.push((table.clone(), share));
        return;
    };
    for value in 0..modulus {
        let mut table = table.clone();
        table.chains.get_mut(&name).unwrap().rules[r].exprs[e] =
            Expr::Immediate { dest, value: number(value) };
        let whole = u64::from(modulus).try_into().unwrap();
        decide_draws(&table, share.share(1, whole), decided);
    }
}

fn any_register() -> impl Strategy<Value = u8> {
    0..16_u8
}

fn any_value() -> impl Strategy<Value = Value> {
    vec(any::<u8>(), 0..20).prop_map(|bytes| Value::from_bytes(&bytes))
}

/// Any instruction, sensible or not.
fn any_expr() -> impl Strategy<Value = Expr> {
    let names = || select(vec!["a", "b", "base", "numbers", "slots", "verdicts", "affinity", "none"]);
    let data = prop_oneof![
        Just(LookupData::None),
        Just(LookupData::Verdict),
        any_register().prop_map(|word| LookupData::Load(reg(word))),
    ];
    let header = select(vec![Header::Network, Header::Transport]);
    let load = (header, any::<u8>(), any::<u8>(), any_register())
        .prop_map(|(header, offset, len, word)| Expr::Payload { header, offset, len, dest: reg(word) });
    let bitwise = (any_register(), any_register(), any_value(), any_value());
    let update = (names(), any_register(), any_register());
    prop_oneof![
        load,
        (0..20_u32, any_register()).prop_map(|(modulus, word)| numgen(modulus, word)),
        (any_register(), any_value()).prop_map(|(word, value)| immediate(word, value)),
        (any_register(), any_value()).prop_map(|(word, value)| neq(word, value)),
        any_register().prop_map(|word| meta(MetaKey::IifName, word)),
        any_register().prop_map(|word| ct(CtKey::OriginalSource, word)),
        any_register().prop_map(|word| Expr::SetMark { source: reg(word) }),
        (any_register(), any_register(), any::<u8>()).prop_map(|(from, to, len)| Expr::HostToNetwork {
            source: reg(from),
            dest: reg(to),
            len
        }),
        bitwise.prop_map(|(from, to, mask, xor)| Expr::Bitwise {
            source: reg(from),
            dest: reg(to),
            mask,
            xor
        }),
        (names(), any_register(), data, any::<bool>()).prop_map(|(set, word, data, invert)| Expr::Lookup {
            set: name(set),
            source: reg(word),
            data,
            invert
        }),
        update.prop_map(|(set, key, data)| {
            Expr::Update { set: name(set), key: reg(key), data: reg(data), timeout: 1 }
        }),
        (any_register(), proptest::option::of(any_register())).prop_map(|(address, port)| Expr::Dnat {
            address: reg(address),
            port: port.map(reg),
            port_specified: false
        }),
        names().prop_map(jump),
        names().prop_map(goto),
    ]
}

/// Instructions of which the first loads every register, so that the others get past that.
fn any_rule() -> impl Strategy<Value = Vec<Expr>> {
    let loads: Vec<Expr> = (0..16).map(|word| immediate(word, number(CT_STATE_NEW))).collect();
    vec(any_expr(), 0..6).prop_map(move |exprs| [loads.clone(), exprs].concat())
}

fn known_client() -> Environment {
    node_that_remembers("10.0.0.1", "10.96.0.10:80", "10.244.0.2:8080")
}

proptest! {
    #[test]
    fn probabilities_add_up_to_one(table in table(), packet in packet()) {
        let outcomes = simulate(&ruleset(table), &node(), &packet).unwrap();
        prop_assert_eq!(outcomes.values().sum::<Probability>(), Probability::certain());
    }

    #[test]
    fn nothing_panics(
        rules in vec(any_rule(), 0..4),
        a in vec(any_rule(), 0..3),
        b in vec(any_rule(), 0..3),
        packet in packet(),
    ) {
        let mut table = sets();
        chain(&mut table, "a", a);
        chain(&mut table, "b", b);
        base(&mut table, "base", (ChainType::Nat, Hook::Prerouting, 0), rules);
        if let Ok(outcomes) = simulate(&ruleset(table), &known_client(), &packet) {
            prop_assert_eq!(outcomes.values().sum::<Probability>(), Probability::certain());
        }
    }
}

/// Few draws, and these in base chains only, each of which the packet passes at most once.
fn table_with_few_draws() -> impl Strategy<Value = Table> {
    let rules = |(_, kind, hook, _)| rules(Some((kind, hook)), &CHAINS[..2], condition());
    let count = |rules: &Vec<Vec<Vec<Expr>>>| {
        let exprs = rules.iter().flatten().flatten();
        exprs.filter(|expr| matches!(expr, Expr::Numgen { .. })).count()
    };
    let bases = Vec::from(BASES.map(rules)).prop_filter("few draws", move |rules| count(rules) <= 5);
    bases.prop_map(|bases| {
        let mut table = sets();
        chain(&mut table, "a", [vec![jump("b")], [mark_is(1), vec![DROP]].concat()]);
        chain(&mut table, "b", [[mark_is(2), vec![ACCEPT]].concat()]);
        add_bases(&mut table, bases);
        table
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_local_rejects: 1 << 20, ..ProptestConfig::default() })]

    #[test]
    fn deciding_all_draws_beforehand_gives_the_same(table in table_with_few_draws(), packet in packet()) {
        let mut decided = Vec::new();
        decide_draws(&table, Probability::certain(), &mut decided);
        let mut expected: BTreeMap<Outcome, Probability> = BTreeMap::new();
        for (table, share) in decided {
            for (outcome, probability) in simulate(&ruleset(table), &node(), &packet).unwrap() {
                prop_assert_eq!(probability, Probability::certain());
                expected.entry(outcome).or_insert_with(Probability::impossible).add(&share);
            }
        }
        let ruleset: Ruleset = ruleset(table);
        prop_assert_eq!(simulate(&ruleset, &node(), &packet).unwrap(), expected);
    }
}
