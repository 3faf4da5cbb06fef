//! The ruleset in the language of `nft`: what operators read, and what `nft -f` loads.
//!
//! [`script`] prints a whole ruleset and [`transaction()`] the way from one to the next. Both are atomic when loaded and
//! deterministic to the byte. What nft 1.0.6 and later make of a printed rule are exactly the rule's own expressions;
//! only the numbers of registers are nft's choice.
//!
//! The kernel's expressions are smaller than nft's statements. The printer runs through a rule as the kernel does,
//! keeps in mind what each register holds, and says it when a register is used. What nft has no words for is
//! printed as a comment that says so.

mod field;
mod script;
mod set;
mod statement;
mod text;
mod transaction;
mod typeof_guard;
mod value;

use std::fmt;

use crate::net::Family;
use crate::ruleset::{BaseHook, DataType, Element, Rule, Ruleset, SetDefinition, Value};
use crate::transaction::Transaction;

/// A script for `nft -f` that puts the ruleset in the place of whatever our tables hold.
///
/// `head` is printed first as comments, a line or more for each entry. The table of a family that the ruleset does not
/// have is deleted.
///
/// nft 1.0.6 itself aborts when it reads the rule that updates an IPv6 affinity map; 1.1.3 loads it.
pub fn script<'a>(ruleset: &'a Ruleset, head: &'a [String]) -> impl fmt::Display + 'a {
    script::Script { ruleset, head }
}

/// A script for `nft -f` that does what the transaction does. Rule handles in it are those of one generation of the
/// kernel's ruleset.
pub fn transaction<'a>(transaction: &'a Transaction<'a>) -> impl fmt::Display + 'a {
    transaction::Script { transaction }
}

/// A rule in one line of nft, without its comment; for expressions that nft cannot say, an nft comment that shows them.
#[must_use]
pub fn format_rule(rule: &Rule, family: Family) -> String {
    let mut line = String::new();
    if statement::write_rule(&mut line, rule, family).is_err() {
        line = format!("# cannot be said in nft: {:?}", rule.exprs);
    }
    line
}

/// A rule in one line of nft with its comment, as a script has it.
#[must_use]
pub fn format_rule_with_comment(rule: &Rule, family: Family) -> String {
    let mut line = format_rule(rule, family);
    // Writing to a string does not fail.
    let _ = text::write_comment(&mut line, rule.comment.as_deref());
    line
}

/// What declares a set: `type ipv4_addr . inet_proto . inet_service : verdict;`.
#[must_use]
pub fn format_definition(definition: &SetDefinition, family: Family) -> String {
    let declared = written(|out| set::write_definition(out, definition, family, (" ", ";")));
    declared.trim_start().to_owned()
}

/// A key or data of those types: `10.96.0.10 . tcp . 80`. A value of another shape is shown in hexadecimal, `0x0a60`.
#[must_use]
pub fn format_value(types: &[DataType], value: &Value) -> String {
    written(|out| value::write_value(out, types, value.as_bytes()))
}

/// An element of a set with all that belongs to it: `10.96.0.10 . tcp . 80 comment "default/web" : goto pick-4`.
#[must_use]
pub fn format_element(definition: &SetDefinition, key: &Value, element: &Element) -> String {
    written(|out| set::write_element(out, definition, key, element))
}

/// What makes a chain a base chain: `type nat hook prerouting priority dstnat; policy accept;`.
#[must_use]
pub fn format_hook(hook: BaseHook) -> String {
    written(|out| script::write_hook(out, hook))
}

/// What `write` writes.
fn written(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut out);
    out
}
