//! Printing for `iptables-restore --noflush` and `ip6tables-restore --noflush`.

use std::collections::BTreeMap;
use std::fmt;

use super::chain::{Chain, Ruleset, Table, TableName, built_in};
use super::diff::{Change, Edit, TableChange};
use crate::net::Family;

/// The line in front of what one family's program is given.
#[must_use]
pub fn heading(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "# IPv4: iptables-restore --noflush\n",
        Family::Ipv6 => "# IPv6: ip6tables-restore --noflush\n",
    }
}

/// Prints a ruleset with notes in front, for both families. It is made for a host that has nothing of ours yet: what
/// there may be is not known here.
#[must_use]
pub fn script<'a>(ruleset: &'a Ruleset, notes: &'a [String]) -> impl fmt::Display + 'a {
    Script { ruleset, notes }
}

struct Script<'a> {
    ruleset: &'a Ruleset,
    notes: &'a [String],
}

impl fmt::Display for Script<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in self.notes {
            writeln!(f, "# {note}")?;
        }
        for family in Family::ALL {
            f.write_str(heading(family))?;
            for (name, table) in self.ruleset.families.get(&family).into_iter().flatten() {
                fmt_table(*name, table, f)?;
            }
        }
        Ok(())
    }
}

fn fmt_table(name: TableName, table: &Table, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "*{name}")?;
    let chains = table.chains.iter();
    chains.clone().try_for_each(|(name, _)| declare(name, f))?;
    chains.clone().try_for_each(|(name, chain)| fill(name, chain, f))?;
    for (hook, rules) in &table.jumps {
        for (position, rule) in rules.iter().enumerate() {
            insert(built_in(*hook), position, rule, f)?;
        }
    }
    f.write_str("COMMIT\n")
}

impl fmt::Display for Change<'_> {
    /// Both families, each under its heading.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (family, tables) in &self.families {
            f.write_str(heading(*family))?;
            f.write_str(&Self::input(tables))?;
        }
        Ok(())
    }
}

impl Change<'_> {
    /// What the program of one family is given.
    #[must_use]
    pub fn input(tables: &BTreeMap<TableName, TableChange<'_>>) -> String {
        tables.iter().map(|(name, change)| format!("*{name}\n{change}COMMIT\n")).collect()
    }
}

impl fmt::Display for TableChange<'_> {
    /// What stands between the table's name and COMMIT: nothing is referred to before it exists, and nothing goes while
    /// something refers to it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.iter().try_for_each(|written| declare(written.name, f))?;
        // A declaration empties a chain that exists.
        self.removed.iter().try_for_each(|(name, _)| declare(name, f))?;
        self.written.iter().try_for_each(|written| fill(written.name, written.chain, f))?;
        for edit in &self.edits {
            match edit {
                Edit::Delete { chain, rule } => writeln!(f, "-D {chain}{rule}")?,
                Edit::Insert { chain, position, rule } => insert(chain, *position, rule, f)?,
            }
        }
        self.removed.iter().try_for_each(|(name, _)| writeln!(f, "-X {name}"))
    }
}

fn declare(chain: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, ":{chain} - [0:0]")
}

fn fill(name: &str, chain: &Chain, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    chain.rules.iter().try_for_each(|rule| writeln!(f, "-A {name}{rule}"))
}

fn insert(chain: &str, position: usize, rule: &super::rule::Rule, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // Counted from 1.
    writeln!(f, "-I {chain} {}{rule}", position + 1)
}
