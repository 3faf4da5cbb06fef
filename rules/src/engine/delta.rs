//! What an update changes: elements and chains that come and go, as two small rulesets before and after.

use std::collections::BTreeMap;

use crate::diff::diff;
use crate::hash::HashMap;
use crate::installed::{Installed, InstalledChain, InstalledRule, InstalledSet, InstalledTable};
use crate::layout::ElementAt;
use crate::name::{Name, ObjectName};
use crate::net::Family;
use crate::ruleset::{Chain, Elements, Ruleset, Set, Table};
use crate::transaction::Transaction;

/// The part of the ruleset that an update touches, before and after it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    /// The Services that the update touched, sorted; also those whose rules stay as they are.
    pub services: Vec<ObjectName>,
    /// Whether rules of Services may be others than before; not where only their labels are.
    pub rules: bool,
    /// Whether rules that name no Service may be others than before: the Node, the options or the networks of ClusterIPs are
    /// different, or what Services need of them.
    pub program: bool,
    /// What the kernel holds of it.
    pub before: Installed,
    /// What it should hold.
    pub after: Ruleset,
}

impl Delta {
    /// The transaction that makes the one of the other; empty where the update changes no rule.
    #[must_use]
    pub fn transaction(&self) -> Transaction<'_> {
        diff(&self.after, &self.before)
    }
}

/// What comes and goes while fragments are swapped, in the order in which it happens.
#[derive(Debug, Default)]
pub(super) struct Log {
    elements: Vec<(ElementAt, Direction)>,
    chains: HashMap<(Family, Name), (Option<Chain>, Option<Chain>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Comes,
    Goes,
}

impl Log {
    pub(super) fn element_comes(&mut self, element: ElementAt) {
        self.elements.push((element, Direction::Comes));
    }

    pub(super) fn element_goes(&mut self, element: ElementAt) {
        self.elements.push((element, Direction::Goes));
    }

    pub(super) fn chain_comes(&mut self, family: Family, name: Name, chain: Chain) {
        self.chains.entry((family, name)).or_insert((None, None)).1 = Some(chain);
    }

    pub(super) fn chain_goes(&mut self, family: Family, name: Name, chain: Chain) {
        self.chains.entry((family, name)).or_insert((Some(chain), None)).1 = None;
    }

    /// The two rulesets, given the program before and, where it may be another one, after. What comes and goes again, or
    /// goes and comes back as it was, is in neither.
    ///
    /// Where a set is declared anew, all rules must be, since any may refer to it; then chains are in both even if they
    /// stay as they are.
    pub(super) fn finish(self, before: &Programs, other: Option<&Programs>) -> Delta {
        let mut delta = Delta::default();
        let everything = other.is_some_and(|other| before.redeclare(other));
        let after = other.unwrap_or(before);
        for family in Family::ALL {
            match (before.get(family), after.get(family)) {
                (None, None) => {}
                (Some(_), None) => drop(delta.before.tables.insert(family, InstalledTable::default())),
                (None, Some(table)) => drop(delta.after.tables.insert(family, table.clone())),
                (Some(_), Some(_)) if other.is_none() => {
                    delta.before.tables.insert(family, InstalledTable::default());
                    delta.after.tables.insert(family, Table::default());
                }
                (Some(old), Some(new)) => {
                    let (old, new) = differing_parts(old, new, everything);
                    delta.before.tables.insert(family, old);
                    delta.after.tables.insert(family, new);
                }
            }
        }
        for ((family, name), (old, new)) in self.chains {
            if everything || old != new {
                delta.put_chain(family, &name, old, new);
            }
        }
        delta.put_elements(self.elements, before, after);
        delta.pair_sets(before, after);
        delta
    }
}

/// The program of each family that has a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Programs {
    pub(super) tables: BTreeMap<Family, Table>,
}

impl Programs {
    fn get(&self, family: Family) -> Option<&Table> {
        self.tables.get(&family)
    }

    /// Whether a set that both have is declared differently.
    fn redeclare(&self, after: &Self) -> bool {
        self.tables.iter().any(|(family, table)| {
            let new = after.get(*family).map(|table| &table.sets);
            let other = |(name, set): (&Name, &Set)| {
                new.and_then(|sets| sets.get(name)).is_some_and(|new| new.definition != set.definition)
            };
            table.sets.iter().any(other)
        })
    }
}

/// What two programs do not share.
fn differing_parts(old: &Table, new: &Table, everything: bool) -> (InstalledTable, Table) {
    let (mut before, mut after) = (InstalledTable::default(), Table::default());
    if old == new {
        return (before, after);
    }
    for (name, set) in old.sets.iter().filter(|(name, set)| new.sets.get(*name) != Some(*set)) {
        before.sets.insert(name.clone(), installed_set(set));
    }
    for (name, set) in new.sets.iter().filter(|(name, set)| old.sets.get(*name) != Some(*set)) {
        after.sets.insert(name.clone(), set.clone());
    }
    for (name, chain) in
        old.chains.iter().filter(|(name, chain)| everything || new.chains.get(*name) != Some(*chain))
    {
        before.chains.insert(name.clone(), installed_chain(chain.clone()));
    }
    for (name, chain) in
        new.chains.iter().filter(|(name, chain)| everything || old.chains.get(*name) != Some(*chain))
    {
        after.chains.insert(name.clone(), chain.clone());
    }
    (before, after)
}

fn installed_set(set: &Set) -> InstalledSet {
    InstalledSet { definition: Some(set.definition.clone()), elements: set.elements.clone() }
}

fn installed_chain(chain: Chain) -> InstalledChain {
    let rules = chain.rules.into_iter().map(|rule| InstalledRule { handle: None, rule: Some(rule) });
    InstalledChain { hook: Some(chain.hook.into()), rules: rules.collect() }
}

impl Delta {
    fn put_chain(&mut self, family: Family, name: &Name, old: Option<Chain>, new: Option<Chain>) {
        if let (Some(table), Some(chain)) = (self.before.tables.get_mut(&family), old) {
            table.chains.insert(name.clone(), installed_chain(chain));
        }
        if let (Some(table), Some(chain)) = (self.after.tables.get_mut(&family), new) {
            table.chains.insert(name.clone(), chain);
        }
    }

    fn put_elements(&mut self, mut log: Vec<(ElementAt, Direction)>, before: &Programs, after: &Programs) {
        // What happens to one element stays in order, since the sort is stable.
        log.sort_by(|(a, _), (b, _)| a.place().cmp(&b.place()));
        let mut log = log.into_iter().peekable();
        while let Some((first, direction)) = log.next() {
            let mut last = None;
            while let Some(next) = log.next_if(|(next, _)| next.place() == first.place()) {
                last = Some(next);
            }
            let (old, new) = match (direction, last) {
                (Direction::Comes, None) => (None, Some(first)),
                (Direction::Comes, Some((_, Direction::Goes))) => (None, None),
                (Direction::Comes, Some((last, Direction::Comes))) => (None, Some(last)),
                (Direction::Goes, None | Some((_, Direction::Goes))) => (Some(first), None),
                (Direction::Goes, Some((last, Direction::Comes))) if last == first => (None, None),
                (Direction::Goes, Some((last, Direction::Comes))) => (Some(first), Some(last)),
            };
            if let Some(old) = old
                && let Some(elements) = self.elements_before(&old, before)
            {
                elements.insert(old.key, old.element);
            }
            if let Some(new) = new
                && let Some(elements) = self.elements_after(&new, after)
            {
                elements.insert(new.key, new.element);
            }
        }
    }

    fn elements_before(&mut self, at: &ElementAt, programs: &Programs) -> Option<&mut Elements> {
        let table = self.before.tables.get_mut(&at.family)?;
        let name = at.set.text();
        if !table.sets.contains_key(&*name) {
            let set = programs.get(at.family)?.sets.get(&*name)?;
            table.sets.insert(Name::from(&*name), installed_set(&Set::new(set.definition.clone())));
        }
        Some(&mut table.sets.get_mut(&*name)?.elements)
    }

    fn elements_after(&mut self, at: &ElementAt, programs: &Programs) -> Option<&mut Elements> {
        let table = self.after.tables.get_mut(&at.family)?;
        let name = at.set.text();
        if !table.sets.contains_key(&*name) {
            let set = programs.get(at.family)?.sets.get(&*name)?;
            table.sets.insert(Name::from(&*name), Set::new(set.definition.clone()));
        }
        Some(&mut table.sets.get_mut(&*name)?.elements)
    }

    /// A set that both programs have must be on both sides, or it would seem to come or to go.
    fn pair_sets(&mut self, before: &Programs, after: &Programs) {
        for (family, after_table) in &mut self.after.tables {
            let Some(before_table) = self.before.tables.get_mut(family) else { continue };
            let (Some(old), Some(new)) = (before.get(*family), after.get(*family)) else { continue };
            let touched: Vec<Name> =
                before_table.sets.keys().chain(after_table.sets.keys()).cloned().collect();
            for name in touched {
                if let Some(set) = old.sets.get(&name) {
                    let empty = || installed_set(&Set::new(set.definition.clone()));
                    before_table.sets.entry(name.clone()).or_insert_with(empty);
                }
                if let Some(set) = new.sets.get(&name) {
                    after_table.sets.entry(name).or_insert_with(|| Set::new(set.definition.clone()));
                }
            }
        }
    }
}
