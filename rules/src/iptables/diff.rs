//! The difference between what should be there and what is.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::chain::{Chain, Ruleset, Table, TableName, built_in};
use super::installed::{Installed, InstalledRule, InstalledTable};
use super::rule::Rule;
use crate::name::Name;
use crate::net::Family;

/// What must be done to come from what is installed to a ruleset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change<'a> {
    /// The tables that change, by family: each family is one call of `iptables-restore`, each table one commit.
    pub families: BTreeMap<Family, BTreeMap<TableName, TableChange<'a>>>,
}

/// What must be done in one table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableChange<'a> {
    /// Chains that are made, or emptied and filled anew.
    pub written: Vec<Written<'a>>,
    /// Single rules that come and go.
    pub edits: Vec<Edit<'a>>,
    /// Chains that go, with the rules that they have.
    pub removed: Vec<(&'a Name, &'a [InstalledRule])>,
    /// How much that is.
    summary: Summary,
}

/// A chain that is written as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written<'a> {
    /// Its name.
    pub name: &'a Name,
    /// What it becomes.
    pub chain: &'a Chain,
    /// The rules that it has; none where it is new.
    pub before: &'a [InstalledRule],
}

/// A rule that comes or goes by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit<'a> {
    /// `-D`: the first rule in the chain that is like this.
    Delete {
        /// The chain.
        chain: &'a str,
        /// The rule.
        rule: &'a InstalledRule,
    },
    /// `-I`.
    Insert {
        /// The chain.
        chain: &'a str,
        /// How many rules are in front of it then.
        position: usize,
        /// The rule.
        rule: &'a Rule,
    },
}

/// How much a change changes, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Chains that come.
    pub chains_added: usize,
    /// Chains that go.
    pub chains_removed: usize,
    /// Rules that come.
    pub rules_added: usize,
    /// Rules that go.
    pub rules_removed: usize,
}

impl Change<'_> {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.families.is_empty()
    }

    /// How much it changes.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for change in self.families.values().flat_map(BTreeMap::values) {
            summary.add(change.summary);
        }
        summary
    }
}

impl TableChange<'_> {
    /// How many rules are written, be they new or there already.
    #[must_use]
    pub fn rules_written(&self) -> usize {
        let inserted = self.edits.iter().filter(|edit| matches!(edit, Edit::Insert { .. }));
        self.written.iter().map(|written| written.chain.rules.len()).sum::<usize>() + inserted.count()
    }
}

impl Summary {
    /// Adds what else changes.
    pub fn add(&mut self, other: Self) {
        self.chains_added += other.chains_added;
        self.chains_removed += other.chains_removed;
        self.rules_added += other.rules_added;
        self.rules_removed += other.rules_removed;
    }
}

impl fmt::Display for Summary {
    /// One line: `unchanged`, or such as `chains +1, rules +2 -1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("unchanged");
        }
        let kinds = [
            ("chains", self.chains_added, self.chains_removed),
            ("rules", self.rules_added, self.rules_removed),
        ];
        let mut separator = "";
        for (kind, added, removed) in kinds.into_iter().filter(|(_, added, removed)| added + removed > 0) {
            write!(f, "{separator}{kind}")?;
            for (sign, number) in [('+', added), ('-', removed)].into_iter().filter(|(_, number)| *number > 0)
            {
                write!(f, " {sign}{number}")?;
            }
            separator = ", ";
        }
        Ok(())
    }
}

/// Compares. Chains that are as they should be are not in the change, nor tables without such ones.
#[must_use]
pub fn diff<'a>(wanted: &'a Ruleset, installed: &'a Installed) -> Change<'a> {
    let mut change = Change::default();
    for family in Family::ALL {
        for table in TableName::ALL {
            let wanted = wanted.families.get(&family).and_then(|tables| tables.get(&table));
            let there = installed.families.get(&family).and_then(|tables| tables.get(&table));
            let of_table = TableChange::between(wanted, there);
            if of_table != TableChange::default() {
                change.families.entry(family).or_default().insert(table, of_table);
            }
        }
    }
    change
}

impl<'a> TableChange<'a> {
    fn between(wanted: Option<&'a Table>, there: Option<&'a InstalledTable>) -> Self {
        let mut change = Self::default();
        let mut there_chains = there.iter().flat_map(|table| &table.chains).peekable();
        // Both are in the order of their names.
        for (name, chain) in wanted.iter().flat_map(|table| &table.chains) {
            while let Some((gone, rules)) = there_chains.next_if(|(there, _)| *there < name) {
                change.remove(gone, rules);
            }
            match there_chains.next_if(|(there, _)| *there == name) {
                Some((_, rules)) => change.chain(name, chain, rules),
                None => {
                    change.summary.chains_added += 1;
                    change.summary.rules_added += chain.rules.len();
                    change.written.push(Written { name, chain, before: &[] });
                }
            }
        }
        there_chains.for_each(|(gone, rules)| change.remove(gone, rules));
        change.jumps(wanted, there);
        change
    }

    /// A chain that should not be there.
    fn remove(&mut self, name: &'a Name, rules: &'a [InstalledRule]) {
        self.summary.chains_removed += 1;
        self.summary.rules_removed += rules.len();
        self.removed.push((name, rules));
    }

    /// A chain that is there.
    fn chain(&mut self, name: &'a Name, wanted: &'a Chain, there: &'a [InstalledRule]) {
        let is_same = |wanted: &[Rule], there: &[InstalledRule]| {
            wanted.len() == there.len() && wanted.iter().zip(there).all(|(rule, there)| there.is(rule))
        };
        if is_same(&wanted.rules, there) {
            return;
        }
        let (unordered, tail) = wanted.rules.split_at(wanted.unordered.min(wanted.rules.len()));
        let (added, removed) = differing(&wanted.rules, there);
        self.summary.rules_added += added.len();
        self.summary.rules_removed += removed.len();
        let end = there.len().checked_sub(tail.len()).and_then(|at| there.get(at..));
        match end {
            Some(end)
                if !unordered.is_empty()
                    && is_same(tail, end)
                    && added.len() + removed.len() <= there.len() =>
            {
                let delete = |rule| Edit::Delete { chain: name, rule };
                let insert = |rule| Edit::Insert { chain: name, position: 0, rule };
                self.edits.extend(removed.into_iter().map(delete));
                self.edits.extend(added.into_iter().map(insert));
            }
            _ => {
                // The same rules in a wrong order are a change as well.
                if added.is_empty() && removed.is_empty() {
                    self.summary.rules_added += wanted.rules.len();
                    self.summary.rules_removed += there.len();
                }
                self.written.push(Written { name, chain: wanted, before: there });
            }
        }
    }

    /// Our rules in built-in chains: all of them in order, in front of those of others.
    fn jumps(&mut self, wanted: Option<&'a Table>, there: Option<&'a InstalledTable>) {
        for hook in crate::ruleset::Hook::ALL {
            let wanted = wanted.and_then(|table| table.jumps.get(&hook)).map_or(&[][..], Vec::as_slice);
            let there = there.and_then(|table| table.jumps.get(&hook)).map_or(&[][..], Vec::as_slice);
            let in_place = |(position, (rule, jump)): (usize, (&Rule, &super::installed::Jump))| {
                jump.position == position && jump.rule.is(rule)
            };
            if wanted.len() == there.len() && wanted.iter().zip(there).enumerate().all(in_place) {
                continue;
            }
            let chain = built_in(hook);
            self.summary.rules_added += wanted.len();
            self.summary.rules_removed += there.len();
            self.edits.extend(there.iter().map(|jump| Edit::Delete { chain, rule: &jump.rule }));
            let insert = |(position, rule)| Edit::Insert { chain, position, rule };
            self.edits.extend(wanted.iter().enumerate().map(insert));
        }
    }
}

/// The rules that only one side has, each as often as it has it more often than the other.
pub(super) fn differing<'a>(
    wanted: &'a [Rule],
    there: &'a [InstalledRule],
) -> (Vec<&'a Rule>, Vec<&'a InstalledRule>) {
    let mut missing: HashMap<&Rule, usize> = HashMap::with_capacity(wanted.len());
    for rule in wanted {
        *missing.entry(rule).or_default() += 1;
    }
    let is_extra = |there: &&InstalledRule| match there {
        InstalledRule::Known(rule) => match missing.get_mut(rule) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        },
        InstalledRule::Other(_) => true,
    };
    let removed = there.iter().filter(is_extra).collect();
    let mut take = |rule: &&Rule| match missing.get_mut(*rule) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    };
    (wanted.iter().filter(&mut take).collect(), removed)
}
