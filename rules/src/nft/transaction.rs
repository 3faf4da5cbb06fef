//! A transaction as a script: one command for each operation.

use std::fmt::{self, Write};

use super::script::write_hook;
use super::set::{keyword, write_definition, write_element};
use super::statement::write_rule;
use super::text::write_comment;
use super::typeof_guard::{CHAIN, TypeofGuard};
use super::value::write_key;
use crate::name::Name;
use crate::net::Family;
use crate::ruleset::{BaseHook, Element, Rule, SetDefinition, TABLE, TABLE_COMMENT, Value};
use crate::transaction::{Change, Place, Transaction};

/// Prints a transaction.
pub(super) struct Script<'a> {
    pub(super) transaction: &'a Transaction<'a>,
}

impl fmt::Display for Script<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut ipv4, mut ipv6) = (TypeofGuard::default(), TypeofGuard::default());
        let mut line = String::new();
        for operation in &self.transaction.operations {
            let guard = match operation.family {
                Family::Ipv4 => &mut ipv4,
                Family::Ipv6 => &mut ipv6,
            };
            Commands { out: f, line: &mut line, family: operation.family, guard }.write(&operation.change)?;
        }
        Ok(())
    }
}

struct Commands<'a, 'o, 'f> {
    out: &'o mut fmt::Formatter<'f>,
    /// Where rules are put together.
    line: &'o mut String,
    family: Family,
    guard: &'o mut TypeofGuard<'a>,
}

impl<'a> Commands<'a, '_, '_> {
    fn write(&mut self, change: &Change<'a>) -> fmt::Result {
        match change {
            Change::AddTable => {
                self.begin("add table")?;
                writeln!(self.out, " {{ comment \"{TABLE_COMMENT}\"; }}")
            }
            Change::DeleteTable => {
                self.begin("delete table")?;
                self.out.write_char('\n')
            }
            Change::AddChain { name, hook } => self.add_chain(name, *hook),
            Change::DeleteChain { name } => self.name("delete chain", name),
            Change::FlushChain { name } => self.name("flush chain", name),
            Change::AddRule { chain, rule, place: Place::End } => self.rule("add", chain, None, rule),
            Change::AddRule { chain, rule, place: Place::Before(next) } => {
                self.rule("insert", chain, Some(*next), rule)
            }
            Change::ReplaceRule { chain, handle, rule } => self.rule("replace", chain, Some(*handle), rule),
            Change::DeleteRule { chain, handle } => {
                self.begin("delete rule")?;
                writeln!(self.out, " {chain} handle {handle}")
            }
            Change::AddSet { name, definition } => self.add_set(name, definition),
            Change::DeleteSet { name } => self.name("delete set", name),
            Change::AddElements { set, definition, elements } => {
                self.elements("add element", set, elements, |out, key, element| {
                    write_element(out, definition, key, element)
                })
            }
            Change::DeleteElements { set, definition, elements } => {
                self.elements("delete element", set, elements, |out, key, element| {
                    write_key(out, &definition.key, key, element.end.as_deref())
                })
            }
        }
    }

    /// Writes the command and the table.
    fn begin(&mut self, command: &str) -> fmt::Result {
        write!(self.out, "{command} {} {TABLE}", self.family.keyword())
    }

    /// Writes a command that takes nothing but a name.
    fn name(&mut self, command: &str, name: &str) -> fmt::Result {
        self.begin(command)?;
        writeln!(self.out, " {name}")
    }

    fn add_chain(&mut self, name: &Name, hook: Option<BaseHook>) -> fmt::Result {
        let Some(hook) = hook else { return self.name("add chain", name) };
        self.begin("add chain")?;
        write!(self.out, " {name} {{ ")?;
        write_hook(self.out, hook)?;
        self.out.write_str(" }\n")
    }

    fn rule(&mut self, verb: &str, chain: &str, handle: Option<u64>, rule: &'a Rule) -> fmt::Result {
        if self.guard.is_first_lookup(rule) {
            self.out.write_str("# nft 1.0.6 ties the first rule that uses a typeof map to TCP.\n")?;
            self.name("add chain", CHAIN)?;
            self.rule_command("add", CHAIN, None, rule)?;
            self.name("delete chain", CHAIN)?;
        }
        self.rule_command(verb, chain, handle, rule)
    }

    fn rule_command(&mut self, verb: &str, chain: &str, handle: Option<u64>, rule: &Rule) -> fmt::Result {
        self.line.clear();
        let sayable = write_rule(self.line, rule, self.family).is_ok();
        if !sayable {
            self.out.write_str("# cannot be said in nft: ")?;
        }
        write!(self.out, "{verb} rule {} {TABLE} {chain}", self.family.keyword())?;
        if let Some(handle) = handle {
            write!(self.out, " handle {handle}")?;
        }
        if !sayable {
            return writeln!(self.out, " {:?}", rule.exprs);
        }
        write!(self.out, " {}", self.line)?;
        write_comment(self.out, rule.comment.as_deref())?;
        self.out.write_char('\n')
    }

    fn add_set(&mut self, name: &Name, definition: &SetDefinition) -> fmt::Result {
        write!(self.out, "add {} {} {TABLE} {name} {{", keyword(definition), self.family.keyword())?;
        write_definition(self.out, definition, self.family, (" ", ";"))?;
        self.out.write_str(" }\n")
    }

    fn elements(
        &mut self,
        command: &str,
        set: &Name,
        elements: &[(&Value, &Element)],
        write: impl Fn(&mut fmt::Formatter<'_>, &Value, &Element) -> fmt::Result,
    ) -> fmt::Result {
        if elements.is_empty() {
            return Ok(());
        }
        self.begin(command)?;
        writeln!(self.out, " {set} {{")?;
        for (key, element) in elements {
            self.out.write_char('\t')?;
            write(self.out, key, element)?;
            self.out.write_str(",\n")?;
        }
        self.out.write_str("}\n")
    }
}
