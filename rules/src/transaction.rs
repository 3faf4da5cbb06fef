//! A transaction: the ordered operations that turn one ruleset into another, all of them in force or none.
//!
//! Operations borrow from the rulesets that they were computed from, so that a load of a million elements copies none.

use crate::name::Name;
use crate::net::Family;
use crate::ruleset::{BaseHook, Element, Rule, SetDefinition, Value};

/// Operations in the order in which the kernel must meet them. Empty where there is nothing to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transaction<'a> {
    /// The operations.
    pub operations: Vec<Operation<'a>>,
}

/// One operation on one of our tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation<'a> {
    /// Which table.
    pub family: Family,
    /// What is done.
    pub change: Change<'a>,
}

/// What an operation does. Each corresponds to one netlink message, but for elements, which may need several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<'a> {
    /// Makes the table; no harm where it exists.
    AddTable,
    /// Deletes the table with all that is in it.
    DeleteTable,
    /// Makes a chain that does not exist yet.
    AddChain {
        /// Its name.
        name: &'a Name,
        /// Its hook, for a base chain.
        hook: Option<BaseHook>,
    },
    /// Deletes a chain that is empty by then and that nothing refers to.
    DeleteChain {
        /// Its name.
        name: &'a Name,
    },
    /// Deletes all rules of a chain.
    FlushChain {
        /// The chain.
        name: &'a Name,
    },
    /// Adds a rule.
    AddRule {
        /// The chain.
        chain: &'a Name,
        /// The rule.
        rule: &'a Rule,
        /// Where in the chain.
        place: Place,
    },
    /// Puts a rule in the place of another.
    ReplaceRule {
        /// The chain.
        chain: &'a Name,
        /// The handle of the rule that goes.
        handle: u64,
        /// The rule that comes.
        rule: &'a Rule,
    },
    /// Deletes a rule.
    DeleteRule {
        /// The chain.
        chain: &'a Name,
        /// The rule's handle.
        handle: u64,
    },
    /// Makes a set that does not exist yet.
    AddSet {
        /// Its name.
        name: &'a Name,
        /// Its declaration.
        definition: &'a SetDefinition,
    },
    /// Deletes a set with its elements.
    DeleteSet {
        /// Its name.
        name: &'a Name,
    },
    /// Adds elements that are not there yet.
    AddElements {
        /// The set.
        set: &'a Name,
        /// Its declaration.
        definition: &'a SetDefinition,
        /// The elements with their keys.
        elements: Vec<(&'a Value, &'a Element)>,
    },
    /// Deletes elements that are there.
    DeleteElements {
        /// The set.
        set: &'a Name,
        /// Its declaration.
        definition: &'a SetDefinition,
        /// The elements with their keys; data and comments do not matter.
        elements: Vec<(&'a Value, &'a Element)>,
    },
}

/// Where in its chain a rule is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Behind all others.
    End,
    /// Just before the rule with this handle.
    Before(u64),
}

impl Transaction<'_> {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }
}

/// How much a transaction changes, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    tables: Count,
    sets: Count,
    chains: Count,
    rules: Count,
    elements: Count,
}

/// How many things of a kind come and go. What is replaced counts on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Count {
    added: usize,
    deleted: usize,
    flushed: usize,
}

impl Summary {
    /// Counts the operations of a transaction.
    #[must_use]
    pub fn of(transaction: &Transaction<'_>) -> Self {
        let mut summary = Self::default();
        for operation in &transaction.operations {
            summary.count(&operation.change);
        }
        summary
    }

    fn count(&mut self, change: &Change<'_>) {
        match change {
            Change::AddTable => self.tables.added += 1,
            Change::DeleteTable => self.tables.deleted += 1,
            Change::AddChain { .. } => self.chains.added += 1,
            Change::DeleteChain { .. } => self.chains.deleted += 1,
            Change::FlushChain { .. } => self.chains.flushed += 1,
            Change::AddRule { .. } => self.rules.added += 1,
            Change::ReplaceRule { .. } => {
                self.rules.added += 1;
                self.rules.deleted += 1;
            }
            Change::DeleteRule { .. } => self.rules.deleted += 1,
            Change::AddSet { .. } => self.sets.added += 1,
            Change::DeleteSet { .. } => self.sets.deleted += 1,
            Change::AddElements { elements, .. } => self.elements.added += elements.len(),
            Change::DeleteElements { elements, .. } => self.elements.deleted += elements.len(),
        }
    }
}

impl std::fmt::Display for Summary {
    /// One line: `unchanged`, or such as `rules +2 -1, elements +1`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds = [
            ("tables", self.tables),
            ("chains", self.chains),
            ("sets", self.sets),
            ("rules", self.rules),
            ("elements", self.elements),
        ];
        let mut separator = "";
        for (kind, count) in kinds.into_iter().filter(|(_, count)| *count != Count::default()) {
            write!(f, "{separator}{kind}")?;
            for (sign, number) in [(" +", count.added), (" -", count.deleted), (" flushed ", count.flushed)] {
                if number > 0 {
                    write!(f, "{sign}{number}")?;
                }
            }
            separator = ", ";
        }
        if separator.is_empty() { f.write_str("unchanged") } else { Ok(()) }
    }
}
