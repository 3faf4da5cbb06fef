//! What others might put into our tables.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use svcnat_rules::installed::{Installed, InstalledChain, InstalledHook, InstalledRule, InstalledSet};
use svcnat_rules::name::Name;
use svcnat_rules::net::Family;
use svcnat_rules::ruleset::{
    BaseHook, ChainType, DataType, Element, ElementData, Elements, Expr, Hook, Rule, SetData, SetDefinition,
    Value, Verdict,
};

use crate::fake_kernel::FakeKernel;

/// The chain that others' rules and elements lead to.
const CHAIN: &str = "foreign";
/// The verdict map of others, which may lead to our chains.
const MAP: &str = "foreign-map";

/// One thing that is not ours, or not as we left it. Indices choose among what is there.
#[derive(Debug, Clone)]
pub struct Junk {
    family: Family,
    kind: Kind,
    at: Index,
    within: Index,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A rule in one of our chains that leads to a foreign chain.
    Rule,
    /// The same, and a reader does not understand it.
    OpaqueRule,
    /// One of our rules is gone.
    NoRule,
    /// Two of our rules of a chain have changed places.
    SwappedRules,
    /// One of our sets has another declaration.
    RedefinedSet,
    /// One of our sets is something that a reader does not understand.
    OpaqueSet,
    /// One of our sets is gone, and so are the rules that refer to it.
    NoSet,
    /// One of our sets has other elements.
    Elements,
    /// Our chain is hooked elsewhere, or not at all.
    Hook,
    /// Our chain is of a kind that we do not know.
    OpaqueHook,
    /// A verdict map of others leads to one of our chains, and a rule of ours looks it up.
    MapToOurs,
    /// The same, and a reader does not understand the map.
    OpaqueMapToOurs,
    /// A base chain of others jumps to one of ours.
    BaseChain,
}

const KINDS: [Kind; 13] = [
    Kind::Rule,
    Kind::OpaqueRule,
    Kind::NoRule,
    Kind::SwappedRules,
    Kind::RedefinedSet,
    Kind::OpaqueSet,
    Kind::NoSet,
    Kind::Elements,
    Kind::Hook,
    Kind::OpaqueHook,
    Kind::MapToOurs,
    Kind::OpaqueMapToOurs,
    Kind::BaseChain,
];

/// Any of them.
pub fn arb_junk() -> impl Strategy<Value = Junk> {
    (select(&Family::ALL[..]), select(&KINDS[..]), any::<Index>(), any::<Index>())
        .prop_map(|(family, kind, at, within)| Junk { family, kind, at, within })
}

impl Junk {
    /// A kernel that holds the state with all of this in it.
    pub fn put_into(junk: &[Self], mut state: Installed) -> FakeKernel {
        let mut hidden = Hidden::default();
        for one in junk {
            one.put(&mut state, &mut hidden);
        }
        let opaque = |rule: &Rule| rule.comment.as_ref().is_some_and(|comment| *comment == OPAQUE);
        let mut kernel = FakeKernel::holding(state);
        let chains = kernel.read().tables.into_values().flat_map(|table| table.chains.into_values());
        for rule in chains.flat_map(|chain| chain.rules) {
            if let (Some(handle), Some(true)) = (rule.handle, rule.rule.as_ref().map(opaque)) {
                kernel.hide_rule(handle);
            }
        }
        for (family, name) in hidden.sets {
            kernel.hide_set(family, name);
        }
        kernel
    }

    fn put(&self, state: &mut Installed, hidden: &mut Hidden) {
        let table = state.tables.entry(self.family).or_default();
        let foreign = || InstalledChain { hook: Some(InstalledHook::Regular), rules: Vec::new() };
        table.chains.entry(Name::from(CHAIN)).or_insert_with(foreign);
        let chain_name = self.at.get(&table.chains.keys().cloned().collect::<Vec<_>>()).clone();
        let set_names: Vec<Name> = table.sets.keys().cloned().collect();
        let set_name = (!set_names.is_empty()).then(|| self.at.get(&set_names).clone());
        let Some(chain) = table.chains.get_mut(&chain_name) else { return };
        let place = self.within.index(chain.rules.len() + 1);
        let filled = self.within.index(chain.rules.len().max(1));
        match self.kind {
            Kind::Rule if chain_name != *CHAIN => chain.rules.insert(place, jump(CHAIN, None)),
            Kind::OpaqueRule if chain_name != *CHAIN => chain.rules.insert(place, jump(CHAIN, Some(OPAQUE))),
            Kind::NoRule if !chain.rules.is_empty() => drop(chain.rules.remove(filled)),
            Kind::SwappedRules if !chain.rules.is_empty() => chain.rules.swap(0, filled),
            Kind::Hook => chain.hook = Some(other_hook(chain.hook)),
            Kind::OpaqueHook => chain.hook = None,
            Kind::BaseChain => {
                let hook = BaseHook { kind: ChainType::Filter, hook: Hook::Input, priority: -300 };
                let rules = vec![jump(&chain_name, None), jump(&chain_name, Some(OPAQUE))];
                let base = InstalledChain { hook: Some(InstalledHook::Base(hook)), rules };
                table.chains.insert(Name::from("foreign-base"), base);
            }
            Kind::MapToOurs | Kind::OpaqueMapToOurs => {
                // Half of the time to one that must be made anew.
                if self.within.index(2) == 0 {
                    chain.hook = None;
                }
                let rule = Rule { exprs: vec![look_up(MAP)], comment: None };
                chain.rules.insert(place, InstalledRule { handle: None, rule: Some(rule) });
                let definition = Some(SetDefinition::verdict_map(&[DataType::InetService]));
                let jump = Element::verdict(Verdict::Jump(chain_name));
                let elements = Elements::from_iter([(Value::new().port(80), jump)]);
                table.sets.insert(Name::from(MAP), InstalledSet { definition, elements });
                if matches!(self.kind, Kind::OpaqueMapToOurs) {
                    hidden.sets.push((self.family, Name::from(MAP)));
                }
            }
            Kind::RedefinedSet | Kind::OpaqueSet | Kind::NoSet | Kind::Elements => {
                let Some(name) = set_name else { return };
                self.spoil_set(table, &name, hidden);
            }
            Kind::Rule | Kind::OpaqueRule | Kind::NoRule | Kind::SwappedRules => {}
        }
    }

    fn spoil_set(
        &self,
        table: &mut svcnat_rules::installed::InstalledTable,
        name: &Name,
        hidden: &mut Hidden,
    ) {
        let Some(set) = table.sets.get_mut(name) else { return };
        match self.kind {
            Kind::RedefinedSet => {
                let key = [DataType::InetService, DataType::InetService];
                let verdict = set.definition.as_ref().is_some_and(|old| old.data == SetData::Verdict);
                set.definition =
                    Some(if verdict { SetDefinition::set(&key) } else { SetDefinition::verdict_map(&key) });
                let element = if verdict { Element::key_only() } else { to_foreign() };
                set.elements = Elements::from_iter([(Value::new().port(1).port(2), element)]);
            }
            // Its elements stay in the kernel, where a reader cannot see what they lead to.
            Kind::OpaqueSet => hidden.sets.push((self.family, name.clone())),
            Kind::NoSet => {
                table.sets.remove(name);
                let refers = |rule: &InstalledRule| {
                    rule.rule.iter().flat_map(|rule| &rule.exprs).any(|expr| {
                        matches!(expr, Expr::Lookup { set, .. } | Expr::Update { set, .. } if set == name)
                    })
                };
                for chain in table.chains.values_mut() {
                    chain.rules.retain(|rule| !refers(rule));
                }
            }
            _ => {
                let Some(definition) = set.definition.as_ref().filter(|definition| !definition.dynamic)
                else {
                    return;
                };
                let key = Value::from_bytes(&vec![9; svcnat_rules::ruleset::concat_len(&definition.key)]);
                let element = |key: &Value| Element {
                    end: definition.interval.then(|| Box::new(key.clone())),
                    ..match &definition.data {
                        SetData::None => Element::key_only().with_comment(Name::from("foreign")),
                        SetData::Verdict => to_foreign(),
                        SetData::Value(fields) => {
                            let len = svcnat_rules::ruleset::concat_len(fields);
                            Element::value(Value::from_bytes(&vec![7; len]))
                        }
                    }
                };
                let keys: Vec<Value> = set.elements.keys().cloned().collect();
                // One that is there becomes another one, and one comes that never was.
                if !keys.is_empty() {
                    let spoilt = self.within.get(&keys);
                    set.elements.insert(spoilt.clone(), element(spoilt));
                }
                set.elements.insert(key.clone(), element(&key));
            }
        }
    }
}

/// The comment that tells which rules to hide.
const OPAQUE: &str = "opaque";

#[derive(Default)]
struct Hidden {
    sets: Vec<(Family, Name)>,
}

fn to_foreign() -> Element {
    Element { data: ElementData::Verdict(Verdict::Jump(Name::from(CHAIN))), ..Element::default() }
}

fn jump(to: &str, comment: Option<&str>) -> InstalledRule {
    let exprs = vec![Expr::Verdict(Verdict::Jump(Name::from(to)))];
    InstalledRule { handle: None, rule: Some(Rule { exprs, comment: comment.map(Name::from) }) }
}

fn look_up(map: &str) -> Expr {
    use svcnat_rules::ruleset::{LookupData, Register};
    Expr::Lookup { set: Name::from(map), source: Register::FIRST, data: LookupData::Verdict, invert: false }
}

fn other_hook(hook: Option<InstalledHook>) -> InstalledHook {
    match hook {
        Some(InstalledHook::Base(base)) => {
            InstalledHook::Base(BaseHook { priority: base.priority + 1, ..base })
        }
        _ => InstalledHook::Base(BaseHook { kind: ChainType::Filter, hook: Hook::Forward, priority: 5 }),
    }
}
