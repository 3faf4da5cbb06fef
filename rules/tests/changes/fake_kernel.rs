//! A kernel for tests: strict about order and references, atomic by copy and swap.

use std::collections::{BTreeMap, BTreeSet};

use svcnat_rules::installed::{
    Installed, InstalledChain, InstalledHook, InstalledRule, InstalledSet, InstalledTable,
};
use svcnat_rules::name::Name;
use svcnat_rules::net::Family;
use svcnat_rules::ruleset::{Chain, ElementData, Elements, Expr, Rule, Ruleset, Set, Table};
use svcnat_rules::transaction::{Change, Operation, Place, Transaction};

/// What the kernel holds, and the next rule handle that it gives.
///
/// Like the real one it knows what its rules and sets refer to, also those that a reader cannot make sense of.
#[derive(Debug, Clone, Default)]
pub struct FakeKernel {
    state: Installed,
    next_handle: u64,
    /// Handles of rules that a reader does not understand.
    opaque_rules: BTreeSet<u64>,
    /// Sets whose declaration a reader does not understand.
    opaque_sets: BTreeSet<(Family, Name)>,
    /// Whether a chain goes only when no element leads to it before the transaction, as before Linux 6.2.
    holds_on_to_chains: bool,
}

impl FakeKernel {
    /// A kernel that holds something already; rules get handles.
    pub fn holding(state: Installed) -> Self {
        let mut kernel = Self { state, next_handle: 1, ..Self::default() };
        let mut next = 1;
        let chains = kernel.state.tables.values_mut().flat_map(|table| table.chains.values_mut());
        for rule in chains.flat_map(|chain| &mut chain.rules) {
            rule.handle = Some(next);
            next += 1;
        }
        kernel.next_handle = next;
        kernel
    }

    /// A kernel from before Linux 6.2, which holds nothing.
    pub fn holding_on_to_chains() -> Self {
        Self { holds_on_to_chains: true, ..Self::default() }
    }

    /// Makes a rule one that a reader does not understand.
    pub fn hide_rule(&mut self, handle: u64) {
        self.opaque_rules.insert(handle);
    }

    /// Makes a set, if it is there, one that a reader does not understand.
    pub fn hide_set(&mut self, family: Family, name: Name) {
        if self.state.tables.get(&family).is_some_and(|table| table.sets.contains_key(&name)) {
            self.opaque_sets.insert((family, name));
        }
    }

    /// What a reader sees.
    pub fn read(&self) -> Installed {
        let mut seen = self.state.clone();
        for (family, table) in &mut seen.tables {
            for (name, set) in &mut table.sets {
                if self.opaque_sets.contains(&(*family, name.clone())) {
                    *set = InstalledSet { definition: None, elements: Elements::new() };
                }
            }
            for rule in table.chains.values_mut().flat_map(|chain| &mut chain.rules) {
                if rule.handle.is_some_and(|handle| self.opaque_rules.contains(&handle)) {
                    rule.rule = None;
                }
            }
        }
        seen
    }

    /// All of it or nothing.
    pub fn apply(&mut self, transaction: &Transaction<'_>) -> Result<(), String> {
        let mut next = self.clone();
        for operation in &transaction.operations {
            if let Change::DeleteChain { name } = operation.change
                && self.holds_on_to_chains
                && let Some(table) = self.state.tables.get(&operation.family)
                && elements_lead_to(table, name)
            {
                return Err(format!("elements led to chain {name} until now"));
            }
            next.step(operation).map_err(|reason| format!("{reason}: {:?}", operation.change))?;
        }
        *self = next;
        Ok(())
    }

    /// The content as a ruleset; `None` where something in it is foreign.
    pub fn ruleset(&self) -> Option<Ruleset> {
        let mut ruleset = Ruleset::default();
        for (family, table) in &self.read().tables {
            let mut own = Table::default();
            for (name, set) in &table.sets {
                let set = Set { definition: set.definition.clone()?, elements: set.elements.clone() };
                own.sets.insert(name.clone(), set);
            }
            for (name, chain) in &table.chains {
                let hook = match chain.hook? {
                    InstalledHook::Regular => None,
                    InstalledHook::Base(hook) => Some(hook),
                };
                let rules: Option<Vec<Rule>> = chain.rules.iter().map(|rule| rule.rule.clone()).collect();
                own.chains.insert(name.clone(), Chain { hook, rules: rules? });
            }
            ruleset.tables.insert(*family, own);
        }
        Some(ruleset)
    }

    fn step(&mut self, operation: &Operation<'_>) -> Result<(), String> {
        let handle = self.next_handle;
        self.next_handle += 1;
        match &operation.change {
            Change::AddTable => {
                self.state.tables.entry(operation.family).or_default();
                return Ok(());
            }
            Change::DeleteTable => {
                self.opaque_sets.retain(|(family, _)| *family != operation.family);
                return self.state.tables.remove(&operation.family).map(drop).ok_or("no table".to_owned());
            }
            Change::DeleteSet { name } => drop(self.opaque_sets.remove(&(operation.family, (*name).clone()))),
            _ => {}
        }
        let table = self.state.tables.get_mut(&operation.family).ok_or("no table")?;
        table_step(table, &operation.change, handle)
    }
}

fn table_step(table: &mut InstalledTable, change: &Change<'_>, new_handle: u64) -> Result<(), String> {
    match change {
        Change::AddTable | Change::DeleteTable => unreachable!("settled before"),
        Change::AddSet { name, definition } => {
            let set = InstalledSet { definition: Some((*definition).clone()), elements: Elements::new() };
            insert_new(&mut table.sets, name, set)
        }
        Change::DeleteSet { name } => {
            if rules(table).any(|rule| sets_of(rule).any(|set| set == *name)) {
                return Err("set in use".to_owned());
            }
            table.sets.remove(*name).map(drop).ok_or("no set".to_owned())
        }
        Change::AddChain { name, hook } => insert_new(
            &mut table.chains,
            name,
            InstalledChain { hook: Some((*hook).into()), rules: Vec::new() },
        ),
        Change::DeleteChain { name } => delete_chain(table, name),
        Change::FlushChain { name } => chain_mut(table, name).map(|chain| chain.rules.clear()),
        Change::AddRule { chain, rule, place } => {
            check_references(table, rule)?;
            let chain = chain_mut(table, chain)?;
            let at = match place {
                Place::End => chain.rules.len(),
                Place::Before(handle) => position(chain, *handle)?,
            };
            chain.rules.insert(at, InstalledRule { handle: Some(new_handle), rule: Some((*rule).clone()) });
            Ok(())
        }
        Change::ReplaceRule { chain, handle, rule } => {
            check_references(table, rule)?;
            let chain = chain_mut(table, chain)?;
            let at = position(chain, *handle)?;
            chain.rules[at] = InstalledRule { handle: Some(new_handle), rule: Some((*rule).clone()) };
            Ok(())
        }
        Change::DeleteRule { chain, handle } => {
            let chain = chain_mut(table, chain)?;
            let at = position(chain, *handle)?;
            chain.rules.remove(at);
            Ok(())
        }
        Change::AddElements { set, elements, .. } => {
            for (_, element) in elements {
                if let ElementData::Verdict(verdict) = &element.data
                    && let Some(chain) = verdict.chain()
                    && !table.chains.contains_key(chain)
                {
                    return Err(format!("no chain {chain}"));
                }
            }
            let set = table.sets.get_mut(*set).ok_or("no set")?;
            elements.iter().try_for_each(|(key, element)| {
                let old = set.elements.insert((*key).clone(), (*element).clone());
                old.map_or(Ok(()), |_| Err(format!("element {key:?} exists")))
            })
        }
        Change::DeleteElements { set, elements, .. } => {
            let set = table.sets.get_mut(*set).ok_or("no set")?;
            elements.iter().try_for_each(|(key, _)| {
                set.elements.remove(key).map(drop).ok_or_else(|| format!("no element {key:?}"))
            })
        }
    }
}

fn insert_new<T>(map: &mut BTreeMap<Name, T>, name: &Name, value: T) -> Result<(), String> {
    match map.insert(name.clone(), value) {
        None => Ok(()),
        Some(_) => Err(format!("{name} exists")),
    }
}

fn chain_mut<'t>(table: &'t mut InstalledTable, name: &Name) -> Result<&'t mut InstalledChain, String> {
    table.chains.get_mut(name).ok_or_else(|| format!("no chain {name}"))
}

fn position(chain: &InstalledChain, handle: u64) -> Result<usize, String> {
    chain.rules.iter().position(|rule| rule.handle == Some(handle)).ok_or_else(|| format!("no rule {handle}"))
}

fn delete_chain(table: &mut InstalledTable, name: &Name) -> Result<(), String> {
    let jumped = rules(table).any(|rule| chains_of(rule).any(|chain| chain == name));
    if jumped || elements_lead_to(table, name) {
        return Err("chain in use".to_owned());
    }
    match table.chains.remove(name) {
        Some(chain) if chain.rules.is_empty() => Ok(()),
        Some(_) => Err("chain has rules".to_owned()),
        None => Err("no chain".to_owned()),
    }
}

fn elements_lead_to(table: &InstalledTable, name: &Name) -> bool {
    table.sets.values().flat_map(|set| set.elements.values()).any(
        |element| matches!(&element.data, ElementData::Verdict(verdict) if verdict.chain() == Some(name)),
    )
}

fn check_references(table: &InstalledTable, rule: &Rule) -> Result<(), String> {
    let no_set = sets_of(rule).find(|set| !table.sets.contains_key(*set));
    let no_chain = chains_of(rule).find(|chain| !table.chains.contains_key(*chain));
    no_set.or(no_chain).map_or(Ok(()), |name| Err(format!("nothing is called {name}")))
}

fn rules(table: &InstalledTable) -> impl Iterator<Item = &Rule> {
    table.chains.values().flat_map(|chain| &chain.rules).filter_map(|rule| rule.rule.as_ref())
}

fn sets_of(rule: &Rule) -> impl Iterator<Item = &Name> {
    rule.exprs.iter().filter_map(|expr| match expr {
        Expr::Lookup { set, .. } | Expr::Update { set, .. } => Some(set),
        _ => None,
    })
}

fn chains_of(rule: &Rule) -> impl Iterator<Item = &Name> {
    rule.exprs.iter().filter_map(|expr| match expr {
        Expr::Verdict(verdict) => verdict.chain(),
        _ => None,
    })
}
