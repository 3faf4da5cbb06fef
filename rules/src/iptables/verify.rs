//! The verifier: what every iptables ruleset of ours fulfils before it is printed or loaded.
//!
//! 1. Names of chains begin with [`PREFIX`], have at most [`MAX_CHAIN`] bytes, and hold letters, digits and `/:-_.` only.
//! 2. Comments fit the kernel and hold nothing that ends a quotation.
//! 3. Every chain that a rule leads to exists in its table; built-in chains hold jumps only.
//! 4. Jumps form no loop and are at most [`MAX_JUMPS`] deep, the limit of the variant nft.
//! 5. Addresses are of the table's family, networks not of prefix 0; a port and a DNAT need a protocol. The name of an interface
//!    does not end in `+`, which would be another match.
//! 6. DNAT can be reached only from nat's PREROUTING and OUTPUT, masquerading only from its POSTROUTING; rejections are
//!    in filter only, and nat drops nothing.
//! 7. A probability is not 0. A list of clients has a name that the kernel takes for a file's, a timeout that is not 0,
//!    and is used in one family only.
//! 8. Rules whose order does not matter ask for different addresses or ports.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use thiserror::Error;

use super::chain::{Ruleset, Table, TableName, built_in};
use super::names::{MAX_CHAIN, MAX_LIST, PREFIX};
use super::rule::{Interface, Match, Recent, Rule, Target};
use crate::name::Name;
use crate::net::Family;
use crate::ruleset::{Hook, MAX_COMMENT};
use crate::verify::MAX_JUMPS;

/// A ruleset that the compiler should never have made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{family}, table {table}, chain {chain}: {fault}")]
pub struct Violation {
    /// Which family.
    pub family: Family,
    /// Which table.
    pub table: TableName,
    /// The chain, perhaps a built-in one.
    pub chain: Name,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// Invariant 1.
    #[error("the name is too long, or not one of ours")]
    Name,
    /// Invariant 2.
    #[error("a comment is too long or holds a quotation mark, a backslash or a control character")]
    Comment,
    /// Invariant 3.
    #[error("there is no chain {0}")]
    NoChain(Name),
    /// Invariant 3.
    #[error("a built-in chain holds jumps to chains of ours only")]
    BuiltIn,
    /// Invariant 4.
    #[error("jumps loop or are more than {MAX_JUMPS} deep")]
    Depth,
    /// Invariant 5.
    #[error("a rule asks for what iptables cannot ask of a packet of this family: {0}")]
    Packet(String),
    /// Invariant 6.
    #[error("{0} is not possible here")]
    Misplaced(&'static str),
    /// Invariant 7.
    #[error("a draw that is never won")]
    Odds,
    /// Invariant 7.
    #[error("the list of clients {0} has an impossible name or timeout, or is used in both families")]
    List(Name),
    /// Invariant 8.
    #[error("rules whose order does not matter do not exclude each other: {0}")]
    Unordered(String),
}

/// Checks all invariants; returns every violation, in the order of the ruleset.
#[must_use]
pub fn verify(ruleset: &Ruleset) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut lists = HashMap::new();
    for (&family, tables) in &ruleset.families {
        for (&name, table) in tables {
            let mut report = |chain: &Name, fault| {
                violations.push(Violation { family, table: name, chain: chain.clone(), fault });
            };
            check_jumps(table, &mut report);
            for (chain, rules) in table.chains.iter().map(|(chain, body)| (chain, &body.rules)) {
                if !is_name(chain) {
                    report(chain, Fault::Name);
                }
                for rule in rules {
                    let mut report = |fault| report(chain, fault);
                    check_packet(family, rule, &mut report);
                    check_place(name, rule, &mut report);
                    check_matches(family, rule, &mut lists, &mut report);
                    let target = rule.target.chain().filter(|target| !table.chains.contains_key(*target));
                    target.into_iter().for_each(|target| report(Fault::NoChain(target.clone())));
                }
            }
            check_unordered(table, &mut report);
            check_ways(name, table, &mut report);
        }
    }
    violations
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/:-_.".contains(c);
    name.len() <= MAX_CHAIN
        && name.strip_prefix(PREFIX).is_some_and(|rest| !rest.is_empty())
        && name.chars().all(allowed)
}

fn check_jumps(table: &Table, report: &mut impl FnMut(&Name, Fault)) {
    for (hook, rules) in &table.jumps {
        let chain = Name::from(built_in(*hook));
        for rule in rules {
            match &rule.target {
                Target::Jump(target) if table.chains.contains_key(target) => {}
                Target::Jump(target) => report(&chain, Fault::NoChain(target.clone())),
                _ => report(&chain, Fault::BuiltIn),
            }
        }
    }
}

fn check_packet(family: Family, rule: &Rule, report: &mut impl FnMut(Fault)) {
    let networks = [rule.source, rule.destination].into_iter().flatten();
    let mut fits = true;
    for network in networks {
        fits &= network.family() == family && network.prefix() > 0;
    }
    if let Target::Dnat(to) = &rule.target {
        fits &= Family::of(to.ip()) == family && rule.protocol.is_some();
    }
    fits &= rule.port.is_none() || rule.protocol.is_some();
    fits &= !matches!(&rule.interface, Some(Interface::Named(name)) if name.ends_with('+'));
    if !fits {
        report(Fault::Packet(rule.to_string()));
    }
    let comment = rule.comment.as_deref().unwrap_or_default();
    if comment.len() > MAX_COMMENT || comment.chars().any(|c| c.is_control() || "\"\\".contains(c)) {
        report(Fault::Comment);
    }
}

/// What a table allows, wherever in it.
fn check_place(table: TableName, rule: &Rule, report: &mut impl FnMut(Fault)) {
    let misplaced = match &rule.target {
        Target::Reject(_) if table != TableName::Filter => "a rejection",
        Target::Drop if table == TableName::Nat => "a drop",
        Target::Dnat(_) if table != TableName::Nat => "DNAT",
        Target::Masquerade if table != TableName::Nat => "masquerading",
        _ => return,
    };
    report(Fault::Misplaced(misplaced));
}

fn check_matches<'a>(
    family: Family,
    rule: &'a Rule,
    lists: &mut HashMap<&'a Name, Family>,
    report: &mut impl FnMut(Fault),
) {
    for condition in &rule.matches {
        match condition {
            Match::Random(odds) if odds.steps() == 0 => report(Fault::Odds),
            Match::Recent { list, action } => {
                let of_this_family = *lists.entry(list).or_insert(family) == family;
                let is_file = !list.is_empty() && list.chars().all(|c| c.is_ascii_graphic() && c != '/');
                let lasts = *action != Recent::Update { seconds: 0 };
                if !of_this_family || !is_file || list.len() > MAX_LIST || !lasts {
                    report(Fault::List(list.clone()));
                }
            }
            _ => {}
        }
    }
}

fn check_unordered(table: &Table, report: &mut impl FnMut(&Name, Fault)) {
    for (name, chain) in &table.chains {
        let mut seen = BTreeSet::new();
        for rule in chain.rules.iter().take(chain.unordered) {
            let asked = (rule.source, rule.destination, rule.protocol, rule.port);
            if !seen.insert(asked) || asked == (None, None, None, None) {
                report(name, Fault::Unordered(rule.to_string()));
            }
        }
    }
}

/// What can be reached from a chain.
#[derive(Clone, Copy, Default)]
struct Reach {
    /// How many jumps and gotos one after the other.
    depth: usize,
    dnat: bool,
    masquerade: bool,
}

fn check_ways(name: TableName, table: &Table, report: &mut impl FnMut(&Name, Fault)) {
    let mut known = BTreeMap::new();
    for chain in table.chains.keys() {
        if reach(table, chain, &mut known, 0).is_none() {
            report(chain, Fault::Depth);
            return;
        }
    }
    for (hook, rules) in &table.jumps {
        let chain = Name::from(built_in(*hook));
        for reach in rules.iter().filter_map(|rule| known.get(rule.target.chain()?)) {
            if reach.depth + 1 > MAX_JUMPS {
                report(&chain, Fault::Depth);
            }
            let nat = name == TableName::Nat;
            if reach.dnat && !(nat && matches!(hook, Hook::Prerouting | Hook::Output)) {
                report(&chain, Fault::Misplaced("DNAT"));
            }
            if reach.masquerade && !(nat && *hook == Hook::Postrouting) {
                report(&chain, Fault::Misplaced("masquerading"));
            }
        }
    }
}

/// `None` where jumps loop, or are so many that they may as well.
fn reach<'a>(
    table: &'a Table,
    name: &'a Name,
    known: &mut BTreeMap<&'a Name, Reach>,
    depth: usize,
) -> Option<Reach> {
    if let Some(reach) = known.get(name) {
        return Some(*reach);
    }
    if depth > MAX_JUMPS {
        return None;
    }
    let mut all = Reach::default();
    for rule in table.chains.get(name).map_or(&[][..], |chain| &chain.rules) {
        match &rule.target {
            Target::Dnat(_) => all.dnat = true,
            Target::Masquerade => all.masquerade = true,
            Target::Jump(target) | Target::Goto(target) => {
                let reach = reach(table, target, known, depth + 1)?;
                all.depth = all.depth.max(reach.depth + 1);
                all.dnat |= reach.dnat;
                all.masquerade |= reach.masquerade;
            }
            _ => {}
        }
    }
    known.insert(name, all);
    Some(all)
}
