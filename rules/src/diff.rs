//! The difference between what should be and what the kernel holds, as the smallest transaction that closes it.
//!
//! Order matters to the kernel: a thing must exist before it is referred to, and nothing may refer to it when it is
//! deleted. So new sets and chains come first, then what is in the way goes, then rules and elements come, and at last
//! the sets and chains go that are not wanted any more.

use std::collections::BTreeSet;

use crate::installed::{Installed, InstalledChain, InstalledHook, InstalledRule, InstalledTable};
use crate::name::Name;
use crate::net::Family;
use crate::ruleset::{Chain, Element, ElementData, Rule, Ruleset, Table, Value};
use crate::transaction::{Change, Operation, Place, Transaction};

/// The transaction that turns what is installed into what is desired; empty where they are equal.
#[must_use]
pub fn diff<'a>(desired: &'a Ruleset, installed: &'a Installed) -> Transaction<'a> {
    let mut transaction = Transaction::default();
    for family in Family::ALL {
        let mut changes = Changes { family, operations: &mut transaction.operations };
        match (desired.tables.get(&family), installed.tables.get(&family)) {
            (None, None) => {}
            (None, Some(_)) => changes.push(Change::DeleteTable),
            (Some(table), None) => changes.make(table),
            // The kernel takes no chains in the transaction that wakes a table; one that slept has nothing to lose.
            (Some(table), Some(old)) if old.unfit => {
                changes.push(Change::DeleteTable);
                changes.make(table);
            }
            (Some(table), Some(old)) => TableDiff::new(table, old).changes(&mut changes),
        }
    }
    transaction
}

/// The operations on one table, in order.
struct Changes<'o, 'a> {
    family: Family,
    operations: &'o mut Vec<Operation<'a>>,
}

impl<'a> Changes<'_, 'a> {
    fn push(&mut self, change: Change<'a>) {
        self.operations.push(Operation { family: self.family, change });
    }

    /// Everything of a table that does not exist.
    fn make(&mut self, table: &'a Table) {
        self.push(Change::AddTable);
        for (name, set) in &table.sets {
            self.push(Change::AddSet { name, definition: &set.definition });
        }
        for (name, chain) in table.chains_in_order() {
            self.push(Change::AddChain { name, hook: chain.hook });
        }
        for (name, chain) in table.chains_in_order() {
            self.append(name, &chain.rules);
        }
        for (name, set) in &table.sets {
            if !set.elements.is_empty() {
                let elements = set.elements.iter().collect();
                self.push(Change::AddElements { set: name, definition: &set.definition, elements });
            }
        }
    }

    fn append(&mut self, chain: &'a Name, rules: &'a [Rule]) {
        for rule in rules {
            self.push(Change::AddRule { chain, rule, place: Place::End });
        }
    }
}

/// What differs in a table that exists.
struct TableDiff<'a> {
    desired: &'a Table,
    installed: &'a InstalledTable,
    /// Sets and chains that exist under the right name with the wrong declaration.
    redefined_sets: BTreeSet<&'a Name>,
    redefined_chains: BTreeSet<&'a Name>,
}

impl<'a> TableDiff<'a> {
    fn new(desired: &'a Table, installed: &'a InstalledTable) -> Self {
        let redefined_sets: BTreeSet<&Name> = installed
            .sets
            .iter()
            .filter(|(name, old)| {
                desired.sets.get(*name).is_some_and(|set| old.definition.as_ref() != Some(&set.definition))
            })
            .map(|(name, _)| name)
            .collect();
        let redefined_chains: BTreeSet<&Name> = installed
            .chains
            .iter()
            .filter(|(name, old)| {
                desired
                    .chains
                    .get(*name)
                    .is_some_and(|chain| old.hook != Some(InstalledHook::from(chain.hook)))
            })
            .map(|(name, _)| name)
            .collect();
        Self { desired, installed, redefined_sets, redefined_chains }
    }

    fn changes(&self, out: &mut Changes<'_, 'a>) {
        self.add_new(out);
        self.clear_the_way(out);
        if self.redefines() {
            self.delete_unwanted_sets(out);
            self.redefine(out);
        }
        self.edit_rules(out);
        self.add_elements(out);
        if !self.redefines() {
            self.delete_unwanted_sets(out);
        }
        for name in self.installed.chains.keys().filter(|name| !self.desired.chains.contains_key(*name)) {
            out.push(Change::DeleteChain { name });
        }
    }

    /// Whether something is there under the right name with the wrong declaration. That happens when another program
    /// wrote to our table or an option changed; then all rules are written anew, so that none is in the way.
    fn redefines(&self) -> bool {
        !self.redefined_sets.is_empty() || !self.redefined_chains.is_empty()
    }

    /// Whether all rules of a chain go before others come.
    fn is_rewritten(&self, chain: &InstalledChain) -> bool {
        self.redefines() || chain.rules.iter().any(|rule| rule.rule.is_none())
    }

    fn add_new(&self, out: &mut Changes<'_, 'a>) {
        for (name, set) in &self.desired.sets {
            if !self.installed.sets.contains_key(name) {
                out.push(Change::AddSet { name, definition: &set.definition });
            }
        }
        for (name, chain) in self.desired.chains_in_order() {
            if !self.installed.chains.contains_key(name) {
                out.push(Change::AddChain { name, hook: chain.hook });
            }
        }
    }

    fn clear_the_way(&self, out: &mut Changes<'_, 'a>) {
        for (name, old) in &self.installed.chains {
            let unwanted = !self.desired.chains.contains_key(name);
            if (unwanted || self.is_rewritten(old)) && !old.rules.is_empty() {
                out.push(Change::FlushChain { name });
            }
        }
        for (name, old) in &self.installed.sets {
            let Some(definition) = &old.definition else { continue };
            let Some(set) = self.desired.sets.get(name).filter(|_| !self.redefined_sets.contains(name))
            else {
                continue;
            };
            let gone = |(key, old, new): (&'a Value, Option<&'a Element>, Option<&'a Element>)| {
                old.filter(|old| new != Some(*old) || self.leads_to_redefined(old)).map(|old| (key, old))
            };
            let elements: Vec<_> = old.elements.beside(&set.elements).filter_map(gone).collect();
            if !elements.is_empty() {
                out.push(Change::DeleteElements { set: name, definition, elements });
            }
        }
    }

    fn leads_to_redefined(&self, element: &Element) -> bool {
        match &element.data {
            ElementData::Verdict(verdict) => {
                verdict.chain().is_some_and(|chain| self.redefined_chains.contains(chain))
            }
            ElementData::None | ElementData::Value(_) => false,
        }
    }

    fn redefine(&self, out: &mut Changes<'_, 'a>) {
        // A verdict map among the redefined sets may refer to a redefined chain, so sets go first and chains come first.
        for &name in &self.redefined_sets {
            out.push(Change::DeleteSet { name });
        }
        for &name in &self.redefined_chains {
            out.push(Change::DeleteChain { name });
            if let Some(chain) = self.desired.chains.get(name) {
                out.push(Change::AddChain { name, hook: chain.hook });
            }
        }
        for &name in &self.redefined_sets {
            if let Some(set) = self.desired.sets.get(name) {
                out.push(Change::AddSet { name, definition: &set.definition });
            }
        }
    }

    fn edit_rules(&self, out: &mut Changes<'_, 'a>) {
        for (name, chain) in &self.desired.chains {
            match self.installed.chains.get(name).filter(|old| !self.is_rewritten(old)) {
                None => out.append(name, &chain.rules),
                Some(old) => edit_chain(out, name, chain, old),
            }
        }
    }

    fn add_elements(&self, out: &mut Changes<'_, 'a>) {
        for (name, set) in &self.desired.sets {
            let old = self.installed.sets.get(name).filter(|_| !self.redefined_sets.contains(name));
            let coming = |(key, new, old): (&'a Value, Option<&'a Element>, Option<&'a Element>)| {
                new.filter(|new| old != Some(*new) || self.leads_to_redefined(new)).map(|new| (key, new))
            };
            let elements: Vec<_> = match old {
                None => set.elements.iter().collect(),
                Some(old) => set.elements.beside(&old.elements).filter_map(coming).collect(),
            };
            if !elements.is_empty() {
                out.push(Change::AddElements { set: name, definition: &set.definition, elements });
            }
        }
    }

    fn delete_unwanted_sets(&self, out: &mut Changes<'_, 'a>) {
        for name in self.installed.sets.keys().filter(|name| !self.desired.sets.contains_key(*name)) {
            out.push(Change::DeleteSet { name });
        }
    }
}

/// Edits a chain's rules: what is equal at the head stays, and behind it rules correspond to each other from the end on.
/// A pool's rules are told apart by their slot, which counts from the end, so a backend that moves to another slot costs
/// its rule there and no rule between. Where the old rules' handles are not known, the chain is written anew.
fn edit_chain<'a>(out: &mut Changes<'_, 'a>, name: &'a Name, chain: &'a Chain, old: &'a InstalledChain) {
    let same = |(new, old): &(&Rule, &InstalledRule)| old.rule.as_ref() == Some(*new);
    let head = chain.rules.iter().zip(&old.rules).take_while(same).count();
    let (new, old) = (&chain.rules[head..], &old.rules[head..]);
    let both = new.len().min(old.len());
    let (coming, new) = new.split_at(new.len() - both);
    let (going, old) = old.split_at(old.len() - both);
    let differing: Vec<_> = new.iter().zip(old).filter(|pair| !same(pair)).collect();
    let handles: Option<Vec<u64>> =
        going.iter().chain(differing.iter().map(|(_, old)| *old)).map(|rule| rule.handle).collect();
    let behind = old.first().filter(|_| !coming.is_empty()).map(|rule| rule.handle);
    let (Some(handles), None | Some(Some(_))) = (handles, behind) else {
        out.push(Change::FlushChain { name });
        return out.append(name, &chain.rules);
    };
    let (going, replaced) = handles.split_at(going.len());
    for handle in going {
        out.push(Change::DeleteRule { chain: name, handle: *handle });
    }
    // Before others are replaced, so that the one behind them is still there.
    let place = behind.flatten().map_or(Place::End, Place::Before);
    for rule in coming {
        out.push(Change::AddRule { chain: name, rule, place });
    }
    for ((rule, _), handle) in differing.into_iter().zip(replaced) {
        out.push(Change::ReplaceRule { chain: name, handle: *handle, rule });
    }
}
