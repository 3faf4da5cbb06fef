//! Chains of the modes iptables and ipvs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Error, Note, names};
use crate::program;

/// The tables that kube-proxy writes to.
const TABLES: [&str; 3] = ["filter", "mangle", "nat"];

/// How the programs of each family are called.
const FAMILIES: [&str; 2] = ["iptables", "ip6tables"];
/// iptables on the kernel's ip_tables.
pub(super) const LEGACY: &str = "-legacy";
/// The two kinds of iptables, which fill different parts of the kernel; the first one is on nf_tables.
pub(super) const KINDS: [&str; 2] = ["-nft", LEGACY];

/// What is left in the tables of one family and kind of iptables.
#[derive(Debug)]
pub(super) struct Leftover {
    /// The program, such as `ip6tables-legacy`.
    variant: String,
    /// What removes it, for the program with `-restore` at its end.
    script: String,
    tables: Vec<Counts>,
}

#[derive(Debug, PartialEq, Eq)]
struct Counts {
    table: String,
    chains: usize,
    jumps: usize,
}

impl Leftover {
    pub fn remove(&self) -> Result<(), Error> {
        // Others may hold the lock of the legacy tables for a moment.
        let arguments = ["--noflush", "--wait=10"];
        program::run(&format!("{}-restore", self.variant), &arguments, &self.script)?;
        Ok(())
    }
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Counts { table, chains, jumps } in &self.tables {
            let variant = &self.variant;
            writeln!(f, "{variant}: table {table}: {chains} chains, {jumps} rules that lead to them")?;
        }
        Ok(())
    }
}

/// Looks at both families and these kinds of iptables, as far as they are installed.
pub(super) fn find(
    kinds: &[&str],
    leftovers: &mut Vec<Leftover>,
    notes: &mut Vec<Note>,
) -> Result<(), Error> {
    let mut installed = false;
    for family in FAMILIES {
        let mut listings = Vec::new();
        for kind in kinds {
            let variant = format!("{family}{kind}");
            let listing = program::run(&format!("{variant}-save"), &[], "")?;
            listings.extend(listing.map(|listing| (variant, listing)));
        }
        // An iptables from before there were two kinds, or the only one that a distribution has.
        if listings.is_empty() {
            let listing = program::run(&format!("{family}-save"), &[], "")?;
            listings.extend(listing.map(|listing| (family.to_owned(), listing)));
        }
        installed |= !listings.is_empty();
        for (variant, listing) in listings {
            leftovers.extend(leftover(&variant, &listing, notes));
        }
    }
    notes.extend((!installed).then_some(Note::NoIptables));
    Ok(())
}

fn leftover(variant: &str, listing: &str, notes: &mut Vec<Note>) -> Option<Leftover> {
    // iptables-nft says so in a comment, which is the only trace of such a table.
    let unlisted = listing
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|said| said.contains(" is incompatible"));
    notes.extend(unlisted.map(|said| Note::Unlisted { variant: variant.to_owned(), said: said.to_owned() }));
    let mut script = String::new();
    let mut counts = Vec::new();
    for table in tables(listing) {
        let in_use = table.in_use();
        notes.extend(in_use.iter().map(|(chain, by)| Note::ChainInUse {
            variant: variant.to_owned(),
            table: table.name.to_owned(),
            chain: (*chain).to_owned(),
            by: (*by).to_owned(),
        }));
        let chains: Vec<&str> = table.kube_proxys().filter(|chain| !in_use.contains_key(chain)).collect();
        let jumps: Vec<&Rule<'_>> = table.jumps().collect();
        if !chains.is_empty() || !jumps.is_empty() {
            script.push_str(&removal(table.name, &chains, &jumps));
            counts.push(Counts { table: table.name.to_owned(), chains: chains.len(), jumps: jumps.len() });
        }
    }
    (!counts.is_empty()).then(|| Leftover { variant: variant.to_owned(), script, tables: counts })
}

/// What removes chains and rules of a table, all or nothing.
fn removal(table: &str, chains: &[&str], jumps: &[&Rule<'_>]) -> String {
    let mut script = format!("*{table}\n");
    // Declaring a chain empties it, so that afterwards no chain refers to another.
    chains.iter().for_each(|chain| script.push_str(&format!(":{chain} - [0:0]\n")));
    jumps.iter().for_each(|rule| script.push_str(&format!("-D {} {}\n", rule.chain, rule.text)));
    chains.iter().for_each(|chain| script.push_str(&format!("-X {chain}\n")));
    script.push_str("COMMIT\n");
    script
}

/// A table as `iptables-save` prints it.
#[derive(Debug)]
struct Table<'a> {
    name: &'a str,
    /// The kernel's own chains.
    built_in: BTreeSet<&'a str>,
    others: BTreeSet<&'a str>,
    rules: Vec<Rule<'a>>,
}

#[derive(Debug)]
struct Rule<'a> {
    chain: &'a str,
    /// What follows the chain.
    text: &'a str,
    /// The chain that it leads to, or its target.
    target: Option<String>,
}

impl<'a> Table<'a> {
    /// The chains that are kube-proxy's.
    fn kube_proxys(&self) -> impl Iterator<Item = &'a str> {
        self.others.iter().copied().filter(|chain| names::is_chain(chain))
    }

    /// The rules that lead from the kernel's own chains to kube-proxy's.
    fn jumps(&self) -> impl Iterator<Item = &Rule<'a>> {
        let to_kube_proxys =
            |target: &String| self.others.contains(target.as_str()) && names::is_chain(target);
        self.rules.iter().filter(move |rule| {
            self.built_in.contains(rule.chain) && rule.target.as_ref().is_some_and(to_kube_proxys)
        })
    }

    /// kube-proxy's chains that others' chains need, each with one that does.
    fn in_use(&self) -> BTreeMap<&'a str, &'a str> {
        let mut in_use = BTreeMap::new();
        loop {
            let stays = |chain: &str| in_use.contains_key(chain) || !names::is_chain(chain);
            let needed = self.rules.iter().find_map(|rule| {
                let target = self.others.get(rule.target.as_deref()?).filter(|target| !stays(target))?;
                (stays(rule.chain) && !self.built_in.contains(rule.chain)).then_some((*target, rule.chain))
            });
            match needed {
                Some((chain, by)) => in_use.insert(chain, by),
                None => return in_use,
            };
        }
    }
}

/// The tables of a listing that kube-proxy writes to.
fn tables(listing: &str) -> Vec<Table<'_>> {
    let mut tables: Vec<Table<'_>> = Vec::new();
    for line in listing.lines() {
        if let Some(name) = line.strip_prefix('*') {
            tables.push(Table {
                name,
                built_in: BTreeSet::new(),
                others: BTreeSet::new(),
                rules: Vec::new(),
            });
            continue;
        }
        let Some(table) = tables.last_mut() else { continue };
        if let Some((name, policy)) = line.strip_prefix(':').and_then(|line| line.split_once(' ')) {
            // Only the kernel's own chains have a policy.
            let chains = if policy.starts_with('-') { &mut table.others } else { &mut table.built_in };
            chains.insert(name);
        } else if let Some((chain, text)) = line.strip_prefix("-A ").and_then(|line| line.split_once(' ')) {
            table.rules.push(Rule { chain, text, target: target(text) });
        }
    }
    tables.retain(|table| TABLES.contains(&table.name));
    tables
}

/// What follows `-j` or `-g` in a rule.
fn target(rule: &str) -> Option<String> {
    let mut words = words(rule).into_iter();
    words.find(|word| matches!(word.as_str(), "-j" | "-g"))?;
    words.next()
}

/// The words of a rule. Those with blanks are in double quotes, where a backslash makes the next character an ordinary one
/// (`xtables_save_string`). A word in quotes is never an option, so it keeps its first quote.
fn words(rule: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    let mut characters = rule.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' if quoted => word.extend(characters.next()),
            '"' => {
                if !quoted {
                    word.push('"');
                }
                quoted = !quoted;
            }
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            _ => word.push(character),
        }
    }
    words.push(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_of_a_rule_is_found_beside_any_comment() {
        let check =
            |rule: &str, expected: Option<&str>| assert_eq!(target(rule).as_deref(), expected, "{rule}");
        check("-m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES", Some("KUBE-SERVICES"));
        check(r#"-m comment --comment "say \"x -j KUBE-SERVICES" -j ACCEPT"#, Some("ACCEPT"));
        check(r#"-m comment --comment "-j KUBE-SERVICES" -g MINE"#, Some("MINE"));
        check("-m comment --comment \"-j\" --dport 1", None);
        check("-p tcp -m tcp --dport 80", None);
        check("-j", None);
    }

    /// The chains that go, the rules that go, and the notes, for the rules of one table.
    #[track_caller]
    fn check(rules: &str, chains: &[&str], jumps: &[&str], kept: &[&str]) {
        let mut names: BTreeSet<&str> = rules.lines().filter_map(|rule| rule.split(' ').nth(1)).collect();
        names.extend(["KUBE-SERVICES", "KUBE-MARK-MASQ", "KUBE-NODEPORTS", "KUBE-FIREWALL"]);
        names.remove("INPUT");
        let declared: String = names.iter().map(|name| format!(":{name} - [0:0]\n")).collect();
        let mut notes = Vec::new();
        let listing = format!("*filter\n:INPUT ACCEPT [1:2]\n{declared}{rules}COMMIT\n");
        let script =
            leftover("iptables", &listing, &mut notes).map(|leftover| leftover.script).unwrap_or_default();
        let found = |prefix: &str| -> Vec<&str> {
            script.lines().filter_map(|line| line.strip_prefix(prefix)).collect()
        };
        assert_eq!(found("-X "), chains, "{script}");
        assert_eq!(found("-D "), jumps, "{script}");
        let found: Vec<String> = notes.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), kept.len(), "{found:?}");
        assert!(found.iter().zip(kept).all(|(note, kept)| note.contains(kept)), "{found:?}");
    }

    #[test]
    fn what_others_need_stays() {
        let all = ["KUBE-MARK-MASQ", "KUBE-NODEPORTS", "KUBE-SERVICES"];
        check("", &all, &[], &[]);
        check(
            "-A INPUT -j KUBE-SERVICES\n-A INPUT -j KUBE-FIREWALL\n-A KUBE-SERVICES -j KUBE-NODEPORTS\n",
            &all,
            &["INPUT -j KUBE-SERVICES"],
            &[],
        );
        check(
            "-A MINE -p tcp -j KUBE-MARK-MASQ\n",
            &["KUBE-NODEPORTS", "KUBE-SERVICES"],
            &[],
            &["chain KUBE-MARK-MASQ stays, because a rule of chain MINE"],
        );
        // And what those need in turn.
        check(
            "-A INPUT -g KUBE-NODEPORTS\n-A MINE -g KUBE-NODEPORTS\n-A KUBE-NODEPORTS -j KUBE-MARK-MASQ\n",
            &["KUBE-SERVICES"],
            &["INPUT -g KUBE-NODEPORTS"],
            &["chain KUBE-MARK-MASQ stays", "chain KUBE-NODEPORTS stays, because a rule of chain MINE"],
        );
    }

    #[test]
    fn other_tables_are_left_alone() {
        let mut notes = Vec::new();
        let raw = "*raw\n:OUTPUT ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n-A OUTPUT -j KUBE-SERVICES\nCOMMIT\n";
        assert!(leftover("iptables", raw, &mut notes).is_none() && notes.is_empty());
        let said = "# Table `nat' is incompatible, use 'nft' tool.\n";
        assert!(leftover("iptables-nft", said, &mut notes).is_none());
        assert!(matches!(&notes[..], [Note::Unlisted { .. }]), "{notes:?}");
    }
}
