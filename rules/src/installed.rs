//! What the kernel holds in our tables, as far as it can be told in the ruleset's terms.
//!
//! Others may have put things there that the compiler never makes. They are kept just precisely enough to be removed.

use std::collections::BTreeMap;

use crate::name::Name;
use crate::net::Family;
use crate::ruleset::{BaseHook, Elements, Rule, Ruleset, SetDefinition};

/// The content of our tables in the kernel at one generation of its ruleset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Installed {
    /// The generation id (`NFT_MSG_GETGEN`): any change of any table makes a new one.
    pub generation: u32,
    /// The tables that exist.
    pub tables: BTreeMap<Family, InstalledTable>,
}

/// One of our tables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstalledTable {
    /// Whether it must be made anew, whatever is in it: somebody has put it to sleep (`flags dormant`), or it cannot be
    /// owned where it should be ([`Installed::demand_owners`]).
    pub unfit: bool,
    /// Who may change it.
    pub owner: Owner,
    /// Its sets and maps by name.
    pub sets: BTreeMap<Name, InstalledSet>,
    /// Its chains by name.
    pub chains: BTreeMap<Name, InstalledChain>,
}

/// Who may change a table (table flags `owner` and `persist`, Linux 6.9 and later).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Owner {
    /// Everybody may; the table has no such flags, and cannot be given them later.
    #[default]
    Nobody,
    /// Everybody may, until somebody takes it over: its owner has ended and left it.
    Left,
    /// The netlink socket with this port number, and nobody else.
    Socket(u32),
}

impl Installed {
    /// Declares the tables unfit that nobody owns: flags can be given to a table only when it is made.
    pub fn demand_owners(&mut self) {
        for table in self.tables.values_mut() {
            table.unfit |= table.owner == Owner::Nobody;
        }
    }
}

/// A set or map in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledSet {
    /// Its declaration; `None` where it has fields, flags or data that no set of ours has.
    pub definition: Option<SetDefinition>,
    /// Its elements; empty for a dynamic set and for one without a definition.
    pub elements: Elements,
}

/// A chain in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledChain {
    /// Its kind; `None` where it is a base chain of a kind that ours never are.
    pub hook: Option<InstalledHook>,
    /// Its rules in order.
    pub rules: Vec<InstalledRule>,
}

/// The kind of a chain in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstalledHook {
    /// Only jumped to.
    Regular,
    /// Entered by the kernel.
    Base(BaseHook),
}

/// A rule in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledRule {
    /// Its handle; `None` where the state is not read from the kernel but remembered from what was sent.
    pub handle: Option<u64>,
    /// What it says; `None` where it has an expression that ours never have.
    pub rule: Option<Rule>,
}

impl From<Option<BaseHook>> for InstalledHook {
    fn from(hook: Option<BaseHook>) -> Self {
        hook.map_or(Self::Regular, Self::Base)
    }
}

impl From<&Ruleset> for Installed {
    /// The state of a kernel that holds exactly this ruleset; rule handles are unknown.
    fn from(ruleset: &Ruleset) -> Self {
        let tables = ruleset.tables.iter().map(|(family, table)| {
            let sets = table.sets.iter().map(|(name, set)| {
                let definition = Some(set.definition.clone());
                (name.clone(), InstalledSet { definition, elements: set.elements.clone() })
            });
            let chains = table.chains.iter().map(|(name, chain)| {
                let rules =
                    chain.rules.iter().map(|rule| InstalledRule { handle: None, rule: Some(rule.clone()) });
                (name.clone(), InstalledChain { hook: Some(chain.hook.into()), rules: rules.collect() })
            });
            (
                *family,
                InstalledTable {
                    sets: sets.collect(),
                    chains: chains.collect(),
                    ..InstalledTable::default()
                },
            )
        });
        Self { generation: 0, tables: tables.collect() }
    }
}
