//! A change as people read it: chain by chain, what goes and what comes.

use std::collections::BTreeMap;

use super::chain::TableName;
use super::diff::{Change, Edit, TableChange, Written, differing};
use super::installed::InstalledRule;
use super::rule::Rule;
use crate::net::Family;
use crate::patch::{Mark, printable};

/// What changes in one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The chain, such as `IPv4 nat SVCNAT-SERVICES`.
    pub chain: String,
    /// Its rules that go and come, as `iptables-save` prints them, without the chain.
    pub lines: Vec<(Mark, String)>,
}

impl Change<'_> {
    /// The chains that change, in the order of families, tables and names.
    #[must_use]
    pub fn sections(&self) -> Vec<Section> {
        let mut sections = Vec::new();
        for (family, tables) in &self.families {
            for (table, change) in tables {
                sections.extend(of_table(*family, *table, change));
            }
        }
        sections
    }
}

fn of_table(family: Family, table: TableName, change: &TableChange<'_>) -> impl Iterator<Item = Section> {
    let mut chains: BTreeMap<&str, Vec<(Mark, String)>> = BTreeMap::new();
    // Rules in our chains may be others' work, so nothing in them is printed that could steer a terminal.
    let text = |rule: &dyn ToString| printable(rule.to_string().trim_start());
    let gone = |rule: &InstalledRule| (Mark::Gone, text(rule));
    let new = |rule: &Rule| (Mark::New, text(rule));
    for Written { name, chain, before } in &change.written {
        let (mut added, mut removed) = differing(&chain.rules, before);
        // Only the order is wrong.
        if added.is_empty() && removed.is_empty() {
            (added, removed) = (chain.rules.iter().collect(), before.iter().collect());
        }
        let lines = chains.entry(name).or_default();
        lines.extend(removed.into_iter().map(gone));
        lines.extend(added.into_iter().map(new));
    }
    for edit in &change.edits {
        match edit {
            Edit::Delete { chain, rule } => chains.entry(chain).or_default().push(gone(rule)),
            Edit::Insert { chain, rule, .. } => chains.entry(chain).or_default().push(new(rule)),
        }
    }
    for (name, rules) in &change.removed {
        chains.entry(name).or_default().extend(rules.iter().map(gone));
    }
    chains
        .into_iter()
        .map(move |(chain, lines)| Section { chain: format!("{family} {table} {chain}"), lines })
}
