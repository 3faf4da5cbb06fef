//! The lines of a patch, in the words of nft.

use std::fmt;

use crate::installed::{InstalledHook, InstalledRule};
use crate::name::Name;
use crate::net::Family;
use crate::nft;
use crate::ruleset::{Element, Rule, SetDefinition, TABLE, Value};

/// A line: on which side it is, and what it says.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// On which side it is.
    pub mark: Mark,
    pub(super) family: Family,
    pub(super) text: Text<'a>,
}

/// On which side a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// On both, there to say where the next lines belong.
    Same,
    /// The kernel has it and should not.
    Gone,
    /// The kernel should have it and does not.
    New,
}

impl Mark {
    /// How the line begins.
    #[must_use]
    pub fn sign(self) -> char {
        match self {
            Self::Same => ' ',
            Self::Gone => '-',
            Self::New => '+',
        }
    }
}

/// What a line says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Text<'a> {
    Table,
    /// A chain or a set that is on both sides.
    Place(Place<'a>),
    /// A chain with what makes it a base chain; `None` where that cannot be said.
    Chain(&'a Name, Option<InstalledHook>),
    /// A set with its declaration; `None` where that cannot be said.
    Set(&'a Name, Option<&'a SetDefinition>),
    Rule(&'a Rule),
    /// A rule with an expression that ours never have.
    ForeignRule(&'a InstalledRule),
    Element(&'a SetDefinition, &'a Value, &'a Element),
}

/// What rules or elements are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    Chain(&'a Name),
    Set(&'a Name, Option<&'a SetDefinition>),
}

impl fmt::Display for Line<'_> {
    /// Sign and text, without an end of line. Names in our tables may be others' work, so nothing in them is printed
    /// that could steer a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inside = matches!(self.text, Text::Rule(_) | Text::ForeignRule(_) | Text::Element(..));
        let indent = if inside { "   " } else { " " };
        write!(f, "{}{indent}{}", self.mark.sign(), printable(&self.content()))
    }
}

impl Line<'_> {
    fn content(&self) -> String {
        let family = self.family.keyword();
        match self.text {
            Text::Table => format!("table {family} {TABLE}"),
            Text::Place(Place::Chain(name)) => format!("{family} chain {name}"),
            Text::Place(Place::Set(name, definition)) => {
                format!("{family} {} {name}", set_keyword(definition))
            }
            Text::Chain(name, Some(InstalledHook::Regular)) => format!("{family} chain {name}"),
            Text::Chain(name, Some(InstalledHook::Base(hook))) => {
                format!("{family} chain {name} {{ {} }}", nft::format_hook(hook))
            }
            Text::Chain(name, None) => format!("{family} chain {name} # of a kind that svcnat never makes"),
            Text::Set(name, Some(definition)) => {
                let keyword = set_keyword(Some(definition));
                format!("{family} {keyword} {name} {{ {} }}", nft::format_definition(definition, self.family))
            }
            Text::Set(name, None) => format!("{family} set {name} # of a kind that svcnat never makes"),
            Text::Rule(rule) => nft::format_rule_with_comment(rule, self.family),
            Text::ForeignRule(rule) => match rule.handle {
                Some(handle) => format!("# handle {handle}, a rule that svcnat never makes"),
                None => "# a rule that svcnat never makes".to_owned(),
            },
            Text::Element(definition, key, element) => nft::format_element(definition, key, element),
        }
    }
}

fn set_keyword(definition: Option<&SetDefinition>) -> &'static str {
    if definition.is_some_and(SetDefinition::is_map) { "map" } else { "set" }
}

/// The text without control characters.
pub(crate) fn printable(text: &str) -> String {
    text.replace(char::is_control, "?")
}
