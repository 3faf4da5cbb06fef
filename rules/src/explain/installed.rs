//! From what the kernel holds to rules that can be followed.

use std::collections::BTreeMap;

use crate::installed::{Installed, InstalledHook, InstalledTable};
use crate::name::Name;
use crate::net::Family;
use crate::ruleset::{Chain, CmpOp, ElementData, Expr, Register, Rule, Ruleset, Set, TABLE, Table, Value};

/// The kernel's state, as far as it can be followed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Understood {
    /// The rules; what could not be understood is left out.
    pub ruleset: Ruleset,
    /// What the dynamic maps hold, as far as it was read.
    pub dynamic: BTreeMap<(Family, Name), BTreeMap<Value, Value>>,
    /// What was left out, a sentence each.
    pub left_out: Vec<String>,
}

/// Takes what is said in the ruleset's terms.
///
/// Others may have put things into our tables that the compiler never makes. A rule of theirs counts as one that matches
/// nothing; so does a rule that asks a set which is not understood.
#[must_use]
pub fn understand(installed: &Installed) -> Understood {
    let mut understood = Understood::default();
    for (family, from) in &installed.tables {
        let mut table = Table::default();
        understood.sets(*family, from, &mut table);
        understood.chains(*family, from, &mut table);
        understood.ruleset.tables.insert(*family, table);
    }
    understood
}

impl Understood {
    fn sets(&mut self, family: Family, from: &InstalledTable, table: &mut Table) {
        for (name, set) in &from.sets {
            let Some(definition) = &set.definition else {
                self.leave_out(family, &format!("set {name}"));
                continue;
            };
            let mut taken = Set::new(definition.clone());
            if definition.dynamic {
                let entries = set.elements.iter().filter_map(|(key, element)| match &element.data {
                    ElementData::Value(data) => Some((key.clone(), data.clone())),
                    ElementData::None | ElementData::Verdict(_) => None,
                });
                self.dynamic.insert((family, name.clone()), entries.collect());
            } else {
                taken.elements.clone_from(&set.elements);
            }
            table.sets.insert(name.clone(), taken);
        }
    }

    fn chains(&mut self, family: Family, from: &InstalledTable, table: &mut Table) {
        for (name, chain) in &from.chains {
            let hook = match chain.hook {
                Some(InstalledHook::Base(hook)) => Some(hook),
                Some(InstalledHook::Regular) => None,
                None => {
                    self.leave_out(family, &format!("chain {name}"));
                    continue;
                }
            };
            let mut rules = Vec::with_capacity(chain.rules.len());
            for (index, rule) in chain.rules.iter().enumerate() {
                match rule.rule.as_ref().filter(|rule| can_be_asked(rule, table)) {
                    Some(rule) => rules.push(rule.clone()),
                    None => {
                        self.leave_out(family, &format!("rule {} of chain {name}", index + 1));
                        // Its place stays taken, so that the rules behind it keep their numbers.
                        rules.push(never());
                    }
                }
            }
            table.chains.insert(name.clone(), Chain { hook, rules });
        }
    }

    fn leave_out(&mut self, family: Family, what: &str) {
        self.left_out
            .push(format!("{what} in table {} {TABLE} is not ours and was passed over", family.keyword()));
    }
}

/// A rule that matches nothing.
fn never() -> Rule {
    let (register, nothing) = (Register::FIRST, Value::from_bytes(&[0]));
    let load = Expr::Immediate { dest: register, value: nothing.clone() };
    Rule { exprs: vec![load, Expr::Cmp { op: CmpOp::Neq, source: register, value: nothing }], comment: None }
}

fn can_be_asked(rule: &Rule, table: &Table) -> bool {
    rule.exprs.iter().all(|expr| match expr {
        Expr::Lookup { set, .. } | Expr::Update { set, .. } => table.sets.contains_key(set),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::config::{Config, DetectLocal};
    use crate::explain::{Rules, Surroundings, explain};
    use crate::installed::{InstalledChain, InstalledRule, InstalledSet};
    use crate::layout::{ProgramNeeds, chain, program, set};
    use crate::net::Protocol;
    use crate::resolve::View;
    use crate::ruleset::{Element, SetDefinition};
    use crate::simulate::{Environment, Origin, Packet};

    fn installed() -> Installed {
        let networks = vec!["10.244.0.0/16".parse().unwrap()];
        let config = Config { detect_local: DetectLocal::ClusterCidr(networks), ..Config::default() };
        let needs = ProgramNeeds { affinity: [(60, Protocol::Tcp)].into(), ..ProgramNeeds::default() };
        let table = program(View { config: &config, node: None }, Family::Ipv4, &needs);
        Installed::from(&Ruleset { tables: [(Family::Ipv4, table)].into() })
    }

    fn reason(understood: &Understood) -> String {
        let packet = |from: &str, to: &str| {
            let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
            Packet::new(Protocol::Tcp, from, to, Origin::Network { interface: Name::from("eth0") })
        };
        let environment = Environment { local: Vec::new(), dynamic: understood.dynamic.clone() };
        let rules = Rules::Nftables(&understood.ruleset);
        let surroundings = Surroundings { rules, environment: &environment, detect_local: None };
        explain(&surroundings, &packet("10.0.0.1:1", "10.0.0.2:2")).unwrap().reason
    }

    #[test]
    fn what_the_compiler_made_is_understood_as_a_whole() {
        let understood = understand(&installed());
        assert_eq!(Installed::from(&understood.ruleset), installed());
        assert_eq!(understood.left_out, [""; 0]);
    }

    #[test]
    fn what_others_made_is_named_and_passed_over() {
        let check = |change: &dyn Fn(&mut InstalledTable), left_out: &[&str]| {
            let mut installed = installed();
            change(installed.tables.get_mut(&Family::Ipv4).unwrap());
            let understood = understand(&installed);
            assert_eq!(understood.left_out, left_out);
            assert_eq!(
                reason(&understood),
                "no Service has 10.0.0.2:2 for tcp, so the packet passes unchanged"
            );
        };
        let foreign_rule = || InstalledRule { handle: None, rule: None };
        check(
            &|table| table.chains.get_mut("filter-forward").unwrap().rules.insert(0, foreign_rule()),
            &["rule 1 of chain filter-forward in table ip svcnat is not ours and was passed over"],
        );
        check(
            &|table| {
                let chain = InstalledChain { hook: None, rules: vec![foreign_rule()] };
                table.chains.insert(Name::from("ingress"), chain);
            },
            &["chain ingress in table ip svcnat is not ours and was passed over"],
        );
        check(
            &|table| table.sets.get_mut(set::SOURCE_RESTRICTED).unwrap().definition = None,
            &[
                "set source-restricted in table ip svcnat is not ours and was passed over",
                "rule 1 of chain check-sources in table ip svcnat is not ours and was passed over",
            ],
        );
    }

    #[test]
    fn rules_behind_one_that_is_passed_over_keep_their_numbers() {
        let mut installed = installed();
        let table = installed.tables.get_mut(&Family::Ipv4).unwrap();
        let services = table.chains.get_mut(chain::SERVICES).unwrap();
        services.rules.insert(0, InstalledRule { handle: None, rule: None });
        let behind: Vec<Rule> = services.rules.iter().filter_map(|rule| rule.rule.clone()).collect();
        let table = &understand(&installed).ruleset.tables[&Family::Ipv4];
        assert_eq!(table.chains[chain::SERVICES].rules[1..], behind);
    }

    #[test]
    fn elements_of_dynamic_maps_are_kept_apart_from_the_rules() {
        let mut installed = installed();
        let table = installed.tables.get_mut(&Family::Ipv4).unwrap();
        let (key, data) = (Value::new().port(1), Value::new().port(2));
        let affinity: &mut InstalledSet = table.sets.get_mut(set::AFFINITY).unwrap();
        assert!(affinity.definition.as_ref().is_some_and(|definition: &SetDefinition| definition.dynamic));
        affinity.elements.insert(key.clone(), Element::value(data.clone()));
        let understood = understand(&installed);
        let entries = &understood.dynamic[&(Family::Ipv4, Name::from(set::AFFINITY))];
        assert_eq!(entries.iter().collect::<Vec<_>>(), [(&key, &data)]);
        assert!(understood.ruleset.tables[&Family::Ipv4].sets[set::AFFINITY].elements.is_empty());
    }
}
