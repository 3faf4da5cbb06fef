//! Tables and chains.

use std::collections::BTreeMap;
use std::fmt;

use super::rule::Rule;
use crate::name::Name;
use crate::net::Family;
use crate::ruleset::{ChainType, Hook};

/// All that should be ours, by family: `iptables` and `ip6tables` each have tables of their own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruleset {
    /// The tables of each family that needs any; all three where it does.
    pub families: BTreeMap<Family, BTreeMap<TableName, Table>>,
}

/// A table of iptables, in the order in which they are committed: what refuses connections comes and goes before what
/// serves them, so that a client meets a refusal rather than somebody else in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableName {
    /// Where sources are checked: at the hooks prerouting and output it comes before nat, and a packet still names its
    /// frontend.
    Mangle,
    /// Where connections are refused.
    Filter,
    /// Where addresses are translated: sees the first packet of each connection.
    Nat,
}

impl TableName {
    /// Every table that we use.
    pub const ALL: [Self; 3] = [Self::Mangle, Self::Filter, Self::Nat];

    /// The word behind `*` and `-t`.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Mangle => "mangle",
            Self::Filter => "filter",
            Self::Nat => "nat",
        }
    }

    /// Where its built-in chain stands among all at a hook (`NF_IP_PRI_MANGLE` and so on of
    /// `include/uapi/linux/netfilter_ipv4.h`).
    #[must_use]
    pub fn priority(self, hook: Hook) -> i32 {
        match (self, hook) {
            (Self::Mangle, _) => -150,
            (Self::Filter, _) => 0,
            (Self::Nat, Hook::Prerouting | Hook::Output | Hook::Forward) => -100,
            (Self::Nat, Hook::Input | Hook::Postrouting) => 100,
        }
    }

    /// What its built-in chains see.
    #[must_use]
    pub fn kind(self) -> ChainType {
        match self {
            Self::Mangle | Self::Filter => ChainType::Filter,
            Self::Nat => ChainType::Nat,
        }
    }

    /// The table of that name, if we use it.
    #[must_use]
    pub fn from_keyword(keyword: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.keyword() == keyword)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.keyword())
    }
}

/// What is ours in a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// Our rules in front of a built-in chain: jumps to chains of ours.
    pub jumps: BTreeMap<Hook, Vec<Rule>>,
    /// Chains of ours.
    pub chains: BTreeMap<Name, Chain>,
}

impl Table {
    /// How many rules of ours it has.
    #[must_use]
    pub fn rules(&self) -> usize {
        let jumps = self.jumps.values().map(Vec::len);
        jumps.chain(self.chains.values().map(|chain| chain.rules.len())).sum()
    }
}

/// A chain of ours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// Its rules.
    pub rules: Vec<Rule>,
    /// How many rules at its beginning exclude each other, so that their order does not matter: one that comes or goes
    /// needs no other one written again.
    pub unordered: usize,
}

/// The name of the built-in chain at a hook.
#[must_use]
pub fn built_in(hook: Hook) -> &'static str {
    match hook {
        Hook::Prerouting => "PREROUTING",
        Hook::Input => "INPUT",
        Hook::Forward => "FORWARD",
        Hook::Output => "OUTPUT",
        Hook::Postrouting => "POSTROUTING",
    }
}
