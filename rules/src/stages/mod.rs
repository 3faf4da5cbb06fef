//! Stages: one transaction as the fewest in which no packet meets half of it.
//!
//! The kernel chooses between old and new rules when a packet enters a base chain (`nft_do_chain`), but looks elements up
//! as they are at that moment (`nft_genmask_cur`). So a packet that is under way while a transaction commits passes the
//! old rules with the new elements. Most transactions do not mind. Two things would lead such a packet astray, and each
//! is mended by a stage of its own:
//!
//! - A frontend is pointed to a chain that the same transaction makes: in the old rules that chain is empty. *Prepare* makes
//!   the chain before, while nothing leads to it.
//! - A frontend is pointed to another chain, and what the old one looks up goes: *clean up* deletes it afterwards, when
//!   nothing leads to the old chain any more.
//!
//! Between them, the *switch* is one transaction. Whatever happens between two stages, what is in force is whole; only
//! something that serves nobody may be left over, which the next comparison with the kernel finds.
//!
//! Before Linux 6.2 the kernel does not let go of a chain until the elements that lead to it are gone for good, so there
//! chains always go in a stage behind.

mod importance;
mod parts;

use std::borrow::Cow;

pub use importance::Importance;
pub use parts::parts;

use crate::hash::{HashMap, HashSet};
use crate::name::Name;
use crate::net::Family;
use crate::ruleset::{DataType, Element, ElementData, SetData, SetDefinition, Value};
use crate::transaction::{Change, Operation, Transaction};

/// What the kernel can do at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainsGo {
    /// A chain goes in the transaction that deletes the last element which leads to it: Linux 6.2 and later.
    WithElements,
    /// A chain goes in a later transaction.
    AfterElements,
}

/// The transactions to apply one after the other, none of them empty. They come to the same as the one.
#[must_use]
pub fn stages<'t, 'a>(
    transaction: &'t Transaction<'a>,
    chains_go: ChainsGo,
) -> Vec<Cow<'t, Transaction<'a>>> {
    if transaction.is_empty() {
        return Vec::new();
    }
    if !touches_verdicts(transaction) {
        return vec![Cow::Borrowed(transaction)];
    }
    let plans: HashMap<Family, Plan<'_>> = Family::ALL
        .into_iter()
        .map(|family| (family, Plan::of(Tally::of(transaction, family), chains_go)))
        .collect();
    if plans.values().all(Plan::is_one_stage) {
        return vec![Cow::Borrowed(transaction)];
    }
    let stages = split(transaction, &plans).into_iter().filter(|operations| !operations.is_empty());
    stages.map(|operations| Cow::Owned(Transaction { operations })).collect()
}

/// Whether a frontend is pointed elsewhere, or nowhere; all others can be applied as they are.
fn touches_verdicts(transaction: &Transaction<'_>) -> bool {
    transaction.operations.iter().any(|operation| {
        matches!(
            operation.change,
            Change::DeleteElements { definition: SetDefinition { data: SetData::Verdict, .. }, .. }
        )
    })
}

/// The operations to prepare, to switch and to clean up.
fn split<'a>(transaction: &Transaction<'a>, plans: &HashMap<Family, Plan<'a>>) -> [Vec<Operation<'a>>; 3] {
    let (mut prepare, mut switch, mut clean_up) = Default::default();
    for operation in transaction.operations.iter().cloned() {
        match plans.get(&operation.family) {
            Some(plan) => plan.place(operation, &mut prepare, &mut switch, &mut clean_up),
            None => switch.push(operation),
        }
    }
    [prepare, switch, clean_up]
}

/// What a transaction does to one table.
#[derive(Default)]
struct Tally<'a> {
    /// Whether the table comes or goes, or something in it is declared anew under its old name.
    remade: bool,
    /// Whether it goes.
    drops_table: bool,
    new_sets: HashSet<&'a Name>,
    gone_sets: HashSet<&'a Name>,
    new_chains: HashSet<&'a Name>,
    gone_chains: HashSet<&'a Name>,
    /// Elements of verdict maps.
    new_verdicts: HashMap<(&'a Name, &'a Value), &'a Element>,
    gone_verdicts: HashSet<(&'a Name, &'a Value)>,
    /// Elements of maps from frontend and slot to backend.
    new_slots: HashSet<(&'a Name, &'a Value)>,
    gone_slots: HashSet<(&'a Name, &'a Value)>,
}

impl<'a> Tally<'a> {
    fn of(transaction: &Transaction<'a>, family: Family) -> Self {
        let mut tally = Self::default();
        for operation in transaction.operations.iter().filter(|operation| operation.family == family) {
            tally.count(&operation.change);
        }
        tally.remade |= tally.new_sets.iter().any(|name| tally.gone_sets.contains(name));
        tally.remade |= tally.new_chains.iter().any(|name| tally.gone_chains.contains(name));
        tally
    }

    fn count(&mut self, change: &Change<'a>) {
        match change {
            Change::AddTable => self.remade = true,
            Change::DeleteTable => (self.remade, self.drops_table) = (true, true),
            Change::AddSet { name, .. } => drop(self.new_sets.insert(name)),
            Change::DeleteSet { name } => drop(self.gone_sets.insert(name)),
            Change::AddChain { name, .. } => drop(self.new_chains.insert(name)),
            Change::DeleteChain { name } => drop(self.gone_chains.insert(name)),
            Change::AddElements { set, definition, elements } if definition.data == SetData::Verdict => {
                self.new_verdicts.extend(elements.iter().map(|(key, element)| ((*set, *key), *element)));
            }
            Change::DeleteElements { set, definition, elements } if definition.data == SetData::Verdict => {
                self.gone_verdicts.extend(elements.iter().map(|(key, _)| (*set, *key)));
            }
            Change::AddElements { set, definition, elements } if has_slots(definition) => {
                self.new_slots.extend(elements.iter().map(|(key, _)| (*set, *key)));
            }
            Change::DeleteElements { set, definition, elements } if has_slots(definition) => {
                self.gone_slots.extend(elements.iter().map(|(key, _)| (*set, *key)));
            }
            _ => {}
        }
    }

    /// The frontends that are pointed elsewhere, each with the chain that serves it from then on.
    fn redirected(&self) -> impl Iterator<Item = (&'a Value, &'a Name)> + '_ {
        let both = self.new_verdicts.iter().filter(|(at, _)| self.gone_verdicts.contains(*at));
        both.filter_map(|((_, key), element)| Some((*key, chain_of(element)?)))
    }

    /// The backends of redirected frontends that a packet in the old chain may draw and find no other for: where the last draw is
    /// made, there must not be a hole until nobody draws.
    fn missed(&self) -> HashSet<(&'a Name, &'a Value)> {
        let redirected: HashSet<&[u8]> = self.redirected().map(|(key, _)| key.as_bytes()).collect();
        let mut bounds: HashMap<(&Name, &[u8]), (u32, u32)> = HashMap::default();
        let gone = || self.gone_slots.iter().filter(|at| !self.new_slots.contains(*at));
        let slots =
            || gone().filter_map(|(set, key)| slot(key).map(|(frontend, slot)| ((*set, frontend), slot)));
        for (pool, slot) in slots().filter(|((_, frontend), _)| redirected.contains(frontend)) {
            let (first, last) = bounds.entry(pool).or_insert((slot, slot));
            (*first, *last) = ((*first).min(slot), (*last).max(slot));
        }
        bounds.retain(|_, (first, last)| *first < drawn_last(*last));
        let missed = |(set, key): &&(&'a Name, &'a Value)| {
            slot(key).is_some_and(|(frontend, _)| bounds.contains_key(&(*set, frontend)))
        };
        gone().filter(missed).copied().collect()
    }
}

/// The chain that an element leads to.
fn chain_of(element: &Element) -> Option<&Name> {
    match &element.data {
        ElementData::Verdict(verdict) => verdict.chain(),
        ElementData::None | ElementData::Value(_) => None,
    }
}

/// Whether it is a map from frontend and slot to backend.
fn has_slots(definition: &SetDefinition) -> bool {
    definition.key.last() == Some(&DataType::Slot)
}

/// The frontend and the slot of a key of such a map.
fn slot(key: &Value) -> Option<(&[u8], u32)> {
    let (frontend, slot) = key.as_bytes().split_last_chunk()?;
    Some((frontend, u32::from_ne_bytes(*slot)))
}

/// How many of the first slots are drawn for sure where the last backend is in this one: what a packet in the old chain
/// falls back on when it has missed. One or two slots are drawn at once.
fn drawn_last(last: u32) -> u32 {
    match last.checked_add(1).and_then(u32::checked_next_power_of_two).unwrap_or(1 << 31) {
        size @ (1 | 2) => size,
        size => size / 2,
    }
}

/// What becomes of a table's operations.
#[derive(Default)]
struct Plan<'a> {
    /// Chains that are made before the switch, with the sets that are new.
    prepared: Option<HashSet<&'a Name>>,
    /// What goes after the switch.
    left: Option<Leftovers<'a>>,
}

/// What goes after the switch, beside all sets that go.
struct Leftovers<'a> {
    chains: HashSet<&'a Name>,
    elements: HashSet<(&'a Name, &'a Value)>,
}

impl<'a> Plan<'a> {
    /// A table that is remade has nothing in common with the old one that could be kept for a while.
    fn of(tally: Tally<'a>, chains_go: ChainsGo) -> Self {
        if tally.remade {
            return Self::default();
        }
        let prepares = tally.redirected().any(|(_, chain)| tally.new_chains.contains(chain));
        let missed = tally.missed();
        let cleans_up = !missed.is_empty()
            || (!tally.gone_sets.is_empty() && tally.redirected().next().is_some())
            || (!tally.gone_chains.is_empty() && chains_go == ChainsGo::AfterElements);
        let left = cleans_up.then(|| Leftovers { chains: tally.gone_chains, elements: missed });
        Self { prepared: prepares.then_some(tally.new_chains), left }
    }

    fn is_one_stage(&self) -> bool {
        self.prepared.is_none() && self.left.is_none()
    }

    /// Puts an operation into its stage. Within a stage, operations stay in their order.
    fn place(
        &self,
        operation: Operation<'a>,
        prepare: &mut Vec<Operation<'a>>,
        switch: &mut Vec<Operation<'a>>,
        clean_up: &mut Vec<Operation<'a>>,
    ) {
        if self.prepared.as_ref().is_some_and(|chains| is_preparation(&operation.change, chains)) {
            return prepare.push(operation);
        }
        let Some(left) = &self.left else { return switch.push(operation) };
        match operation.change {
            Change::DeleteSet { .. } | Change::DeleteChain { .. } => clean_up.push(operation),
            Change::FlushChain { name } if left.chains.contains(name) => clean_up.push(operation),
            Change::DeleteElements { set, definition, elements } => {
                let later = |(key, _): &(&'a Value, &'a Element)| left.elements.contains(&(set, *key));
                let (later, first): (Vec<_>, Vec<_>) = elements.into_iter().partition(later);
                for (elements, stage) in [(first, switch), (later, clean_up)] {
                    if !elements.is_empty() {
                        let change = Change::DeleteElements { set, definition, elements };
                        stage.push(Operation { change, ..operation });
                    }
                }
            }
            _ => switch.push(operation),
        }
    }
}

/// Whether it makes something that nothing leads to yet.
fn is_preparation(change: &Change<'_>, new_chains: &HashSet<&Name>) -> bool {
    match change {
        Change::AddTable | Change::AddSet { .. } | Change::AddChain { .. } => true,
        Change::AddRule { chain, .. } => new_chains.contains(chain),
        _ => false,
    }
}
