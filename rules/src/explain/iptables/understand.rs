//! From what `iptables-save` says is there to rules that can be followed.

use crate::iptables::{
    Chain, Installed, InstalledRule, InstalledTable, Jump, Match, Odds, Rule, Ruleset, Table, TableName,
    Target, built_in,
};
use crate::net::Family;

/// What is there, as far as it can be followed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnderstoodIptables {
    /// The rules; a family in which nothing is ours has none.
    pub ruleset: Ruleset,
    /// What was left out, a sentence each.
    pub left_out: Vec<String>,
}

/// Takes what is ours. A rule of others that is in a chain of ours or before our jumps counts as one that matches nothing.
#[must_use]
pub fn understand_iptables(installed: &Installed) -> UnderstoodIptables {
    let mut understood = UnderstoodIptables::default();
    for (family, tables) in &installed.families {
        for (name, there) in tables {
            if !there.chains.is_empty() || !there.jumps.is_empty() {
                let table = understood.table(*family, *name, there);
                understood.ruleset.families.entry(*family).or_default().insert(*name, table);
            }
        }
    }
    understood
}

impl UnderstoodIptables {
    fn table(&mut self, family: Family, name: TableName, there: &InstalledTable) -> Table {
        let mut table = Table::default();
        let place = format!("in table {name} of {family}");
        for (chain, rules) in &there.chains {
            let rules = rules.iter().zip(1..);
            let rules = rules.map(|(rule, number)| self.rule(rule, number, chain, &place)).collect();
            table.chains.insert(chain.clone(), Chain { rules, unordered: 0 });
        }
        for (hook, jumps) in &there.jumps {
            let chain = built_in(*hook);
            let mut rules = Vec::new();
            for Jump { position, rule } in jumps {
                // Rules behind those of others keep their numbers.
                let others = position.saturating_sub(rules.len());
                if others > 0 {
                    self.left_out.push(match others {
                        1 => format!("a rule of others in chain {chain} {place} was passed over"),
                        many => format!("{many} rules of others in chain {chain} {place} were passed over"),
                    });
                }
                rules.extend(std::iter::repeat_n(never(), others));
                rules.push(self.rule(rule, position + 1, chain, &place));
            }
            table.jumps.insert(*hook, rules);
        }
        table
    }

    fn rule(&mut self, rule: &InstalledRule, number: usize, chain: &str, place: &str) -> Rule {
        match rule {
            InstalledRule::Known(rule) => rule.clone(),
            InstalledRule::Other(_) => {
                self.left_out
                    .push(format!("rule {number} of chain {chain} {place} is not ours and was passed over"));
                never()
            }
        }
    }
}

/// A rule that matches nothing.
fn never() -> Rule {
    Rule::new(Target::Return).when(Match::Random(Odds::NEVER))
}
