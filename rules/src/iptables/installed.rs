//! What is ours on the host, as far as it can be understood.

use std::collections::BTreeMap;
use std::fmt;

use super::chain::{Ruleset, TableName};
use super::names::PREFIX;
use super::rule::Rule;
use crate::name::Name;
use crate::net::Family;
use crate::ruleset::Hook;

/// What of ours is in the tables of both families.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Installed {
    /// The tables that exist.
    pub families: BTreeMap<Family, BTreeMap<TableName, InstalledTable>>,
}

/// What of ours is in a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstalledTable {
    /// Rules of built-in chains that lead to chains of ours.
    pub jumps: BTreeMap<Hook, Vec<Jump>>,
    /// The chains whose names begin with [`PREFIX`].
    pub chains: BTreeMap<Name, Vec<InstalledRule>>,
}

/// A rule of a built-in chain that leads to a chain of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jump {
    /// How many rules are in front of it.
    pub position: usize,
    /// The rule.
    pub rule: InstalledRule,
}

/// A rule that is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstalledRule {
    /// One that we might have made.
    Known(Rule),
    /// Another one, as `iptables-save` prints it: what stands behind `-A CHAIN`, with a space in front.
    Other(String),
}

impl InstalledRule {
    /// Whether it is this one.
    #[must_use]
    pub fn is(&self, rule: &Rule) -> bool {
        matches!(self, Self::Known(known) if known == rule)
    }
}

impl fmt::Display for InstalledRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(rule) => rule.fmt(f),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl Installed {
    /// Whether nothing of ours is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let mut tables = self.families.values().flat_map(BTreeMap::values);
        tables.all(|table| table.chains.is_empty() && table.jumps.is_empty())
    }
}

impl From<Ruleset> for Installed {
    /// What is there once the ruleset is applied.
    fn from(ruleset: Ruleset) -> Self {
        let known = |rules: Vec<Rule>| rules.into_iter().map(InstalledRule::Known).collect::<Vec<_>>();
        let mut installed = Self::default();
        for (family, tables) in ruleset.families {
            let there = installed.families.entry(family).or_default();
            for (name, table) in tables {
                let chains = table.chains.into_iter().map(|(name, chain)| (name, known(chain.rules)));
                let jumps = table.jumps.into_iter().map(|(hook, rules)| {
                    let jump = |(position, rule)| Jump { position, rule };
                    (hook, known(rules).into_iter().enumerate().map(jump).collect())
                });
                there.insert(name, InstalledTable { jumps: jumps.collect(), chains: chains.collect() });
            }
        }
        installed
    }
}

impl From<&Ruleset> for Installed {
    fn from(ruleset: &Ruleset) -> Self {
        Self::from(ruleset.clone())
    }
}

/// Whether a chain is ours.
pub(super) fn is_ours(chain: &str) -> bool {
    chain.starts_with(PREFIX)
}
