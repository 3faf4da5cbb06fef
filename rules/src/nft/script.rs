//! A whole ruleset as a script.

use std::fmt::{self, Write};

use super::set::{keyword, write_definition, write_element};
use super::statement::write_rule;
use super::text::{write_comment, write_remark};
use super::typeof_guard::{CHAIN, TypeofGuard};
use crate::name::Name;
use crate::net::Family;
use crate::ruleset::{BaseHook, Chain, Hook, Rule, Ruleset, Set, TABLE, TABLE_COMMENT, Table};

/// Prints a ruleset.
pub(super) struct Script<'a> {
    pub(super) ruleset: &'a Ruleset,
    pub(super) head: &'a [String],
}

impl fmt::Display for Script<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for text in self.head {
            write_remark(f, text)?;
        }
        for family in Family::ALL {
            write_reset(f, family)?;
            if let Some(table) = self.ruleset.tables.get(&family) {
                write_table(f, family, table)?;
            }
        }
        Ok(())
    }
}

/// Makes away with the table that may be there. Only one that is there can be deleted, so it is made first.
fn write_reset(out: &mut impl Write, family: Family) -> fmt::Result {
    let keyword = family.keyword();
    writeln!(out, "table {keyword} {TABLE}\ndelete table {keyword} {TABLE}")
}

fn write_table(out: &mut impl Write, family: Family, table: &Table) -> fmt::Result {
    let keyword = family.keyword();
    writeln!(out, "table {keyword} {TABLE} {{")?;
    writeln!(out, "\tcomment \"{TABLE_COMMENT}\"")?;
    write_section(out, "data", &table.sets, |out, name, set| write_set(out, name, set, family))?;
    let is_base = |chain: &Chain| chain.hook.is_some();
    let mut line = String::new();
    let mut write = |out: &mut _, name: &_, chain: &_| write_chain(out, &mut line, name, chain, family);
    let regular = table.chains.iter().filter(|(_, chain)| !is_base(chain));
    let guard = guard(table);
    if !guard.rules.is_empty() {
        out.write_str("\n\t# Deleted below: nft 1.0.6 ties the first rule that uses a typeof map to TCP.\n")?;
        write(out, &Name::from(CHAIN), &guard)?;
    }
    write_section(out, "program", regular, &mut write)?;
    let base = table.chains.iter().filter(|(_, chain)| is_base(chain));
    write_section(out, "hooks", base, &mut write)?;
    out.write_str("}\n")?;
    if !guard.rules.is_empty() {
        writeln!(out, "delete chain {keyword} {TABLE} {CHAIN}")?;
    }
    Ok(())
}

/// Writes a heading and what belongs under it, blank lines between.
fn write_section<'a, W: Write, T: 'a>(
    out: &mut W,
    heading: &str,
    parts: impl IntoIterator<Item = (&'a Name, &'a T)>,
    mut write: impl FnMut(&mut W, &Name, &T) -> fmt::Result,
) -> fmt::Result {
    for (i, (name, part)) in parts.into_iter().enumerate() {
        if i == 0 {
            write!(out, "\n\t# ---- {heading} ----\n")?;
        }
        out.write_char('\n')?;
        write(out, name, part)?;
    }
    Ok(())
}

/// The chain that guards the maps of the table, see [`typeof_guard`](super::typeof_guard).
fn guard(table: &Table) -> Chain {
    let mut guard = TypeofGuard::default();
    let rules = table.chains.values().flat_map(|chain| &chain.rules);
    let firsts = rules.filter(|rule| guard.is_first_lookup(rule));
    Chain { hook: None, rules: firsts.map(|rule| Rule { comment: None, ..rule.clone() }).collect() }
}

fn write_set(out: &mut impl Write, name: &Name, set: &Set, family: Family) -> fmt::Result {
    let definition = &set.definition;
    writeln!(out, "\t{} {name} {{", keyword(definition))?;
    write_definition(out, definition, family, ("\t\t", "\n"))?;
    if !set.elements.is_empty() {
        out.write_str("\t\telements = {\n")?;
        for (key, element) in &set.elements {
            out.write_str("\t\t\t")?;
            write_element(out, definition, key, element)?;
            out.write_str(",\n")?;
        }
        out.write_str("\t\t}\n")?;
    }
    out.write_str("\t}\n")
}

fn write_chain(
    out: &mut impl Write,
    line: &mut String,
    name: &Name,
    chain: &Chain,
    family: Family,
) -> fmt::Result {
    writeln!(out, "\tchain {name} {{")?;
    if let Some(hook) = chain.hook {
        out.write_str("\t\t")?;
        write_hook(out, hook)?;
        out.write_char('\n')?;
    }
    for rule in &chain.rules {
        line.clear();
        match write_rule(line, rule, family) {
            Ok(()) => {
                write!(out, "\t\t{line}")?;
                write_comment(out, rule.comment.as_deref())?;
                out.write_char('\n')?;
            }
            Err(_) => writeln!(out, "\t\t# cannot be said in nft: {:?}", rule.exprs)?,
        }
    }
    out.write_str("\t}\n")
}

/// Writes type, hook, priority and policy of a base chain.
pub(super) fn write_hook(out: &mut impl Write, hook: BaseHook) -> fmt::Result {
    write!(out, "type {} hook {} priority ", hook.kind.keyword(), hook.hook.keyword())?;
    write_priority(out, hook.hook, hook.priority)?;
    out.write_str("; policy accept;")
}

/// Writes a priority as nft lists it: by the name of the standard one that is at most ten away, else as a number.
fn write_priority(out: &mut impl Write, hook: Hook, priority: i32) -> fmt::Result {
    /// `std_prios` in `src/rule.c` of nftables; two names are for one hook only.
    const NAMES: [(&str, i32, Option<Hook>); 6] = [
        ("raw", -300, None),
        ("mangle", -150, None),
        ("dstnat", -100, Some(Hook::Prerouting)),
        ("filter", 0, None),
        ("security", 50, None),
        ("srcnat", 100, Some(Hook::Postrouting)),
    ];
    let standard = NAMES.iter().find(|(_, value, only)| {
        only.is_none_or(|only| only == hook) && priority.saturating_sub(*value).unsigned_abs() <= 10
    });
    match standard {
        None => write!(out, "{priority}"),
        Some((name, value, _)) => match priority - value {
            0 => out.write_str(name),
            above @ 1.. => write!(out, "{name} + {above}"),
            below => write!(out, "{name} - {}", below.unsigned_abs()),
        },
    }
}
