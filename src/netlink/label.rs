//! Which object a message is about, read from the message itself, so that a batch keeps nothing for errors that it
//! does not need otherwise.

use std::fmt;

use svcnat_rules::net::Family;
use svcnat_rules::nft::format_value;
use svcnat_rules::ruleset::{DataType, TABLE};

use super::attr::{self, attrs};
use super::constants::{chain, data, elem, msg, rule, set, table};
use super::element::element_at;
use super::kube_proxy::KUBE_PROXY_TABLE;
use super::message::{self, Message};
use super::userdata::read_comment;

/// What a message of a batch is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// The whole of it.
    Transaction,
    /// A table.
    Table {
        /// Its family.
        family: Family,
    },
    /// A table of kube-proxy's.
    KubeProxyTable {
        /// Its family.
        family: Family,
    },
    /// A chain.
    Chain {
        /// Its table's family.
        family: Family,
        /// Its name.
        name: String,
        /// The type of a base chain.
        kind: Option<String>,
    },
    /// A set or map.
    Set {
        /// Its table's family.
        family: Family,
        /// Its name.
        name: String,
    },
    /// A rule, or all rules of a chain.
    Rule {
        /// Its table's family.
        family: Family,
        /// Its chain.
        chain: String,
        /// Its comment.
        comment: Option<String>,
        /// Its handle, where it exists already.
        handle: Option<u64>,
        /// The expressions that may be at fault: one where the kernel said which, otherwise all.
        suspects: Vec<Suspect>,
    },
    /// Elements of a set.
    Elements {
        /// Its table's family.
        family: Family,
        /// The set.
        set: String,
        /// The element at fault as nft prints its key, where the kernel said which.
        key: Option<String>,
        /// The chain that its verdict leads to.
        chain: Option<String>,
    },
}

/// An expression of a rule that the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// The kernel's name of the expression.
    pub expression: String,
    /// The chain or set that it refers to.
    pub target: Option<String>,
}

impl Object {
    /// The family of its table.
    #[must_use]
    pub fn family(&self) -> Option<Family> {
        match self {
            Self::Transaction => None,
            Self::Table { family }
            | Self::KubeProxyTable { family }
            | Self::Chain { family, .. }
            | Self::Set { family, .. }
            | Self::Rule { family, .. }
            | Self::Elements { family, .. } => Some(*family),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transaction => return f.write_str("the transaction"),
            Self::Table { .. } => {}
            Self::KubeProxyTable { family } => {
                return write!(f, "table {} {KUBE_PROXY_TABLE}", family.keyword());
            }
            Self::Chain { name, .. } => write!(f, "chain {name} in ")?,
            Self::Set { name, .. } => write!(f, "set {name} in ")?,
            Self::Rule { chain, comment, handle, .. } => {
                f.write_str("rule ")?;
                if let Some(comment) = comment {
                    write!(f, "{comment:?} ")?;
                }
                if let Some(handle) = handle {
                    write!(f, "with handle {handle} ")?;
                }
                write!(f, "of chain {chain} in ")?;
            }
            Self::Elements { set, key: Some(key), .. } => write!(f, "element {{ {key} }} of set {set} in ")?,
            Self::Elements { set, key: None, .. } => write!(f, "elements of set {set} in ")?,
        }
        match self.family() {
            Some(family) => write!(f, "table {} {TABLE}", family.keyword()),
            None => Ok(()),
        }
    }
}

/// Says what a message is about. `offset` is where in it the attribute at fault begins, `key` what the keys of its
/// elements consist of.
#[must_use]
pub fn describe(message: &Message<'_>, offset: Option<u32>, key: &[DataType]) -> Object {
    let (Some(kind), Some(family)) = (message.nft_kind(), message.family()) else {
        return Object::Transaction;
    };
    let body = message.body();
    let name = |kind| attr::find_str(body, kind).unwrap_or("?").to_owned();
    let offset = offset.and_then(|offset| usize::try_from(offset).ok());
    match kind {
        msg::DELTABLE if name(table::NAME) == KUBE_PROXY_TABLE => Object::KubeProxyTable { family },
        msg::NEWTABLE | msg::DELTABLE => Object::Table { family },
        msg::NEWCHAIN | msg::DELCHAIN => Object::Chain {
            family,
            name: name(chain::NAME),
            kind: attr::find_str(body, chain::TYPE).map(str::to_owned),
        },
        msg::NEWSET | msg::DELSET => Object::Set { family, name: name(set::NAME) },
        msg::NEWRULE | msg::DELRULE => Object::Rule {
            family,
            chain: name(rule::CHAIN),
            comment: attr::find(body, rule::USERDATA).and_then(read_comment).map(str::to_owned),
            handle: attr::find_u64(body, rule::HANDLE),
            suspects: suspects(body, offset.and_then(|offset| offset.checked_sub(message::BODY))),
        },
        msg::NEWSETELEM | msg::DELSETELEM => {
            let element = offset.and_then(|offset| element_at(message, offset));
            Object::Elements {
                family,
                set: name(elem::LIST_SET),
                chain: element.as_ref().and_then(|(_, chain)| chain.map(str::to_owned)),
                key: element.map(|(value, _)| format_value(key, &value)),
            }
        }
        _ => Object::Transaction,
    }
}

fn suspects(body: &[u8], offset: Option<usize>) -> Vec<Suspect> {
    let Some(list) = attrs(body).find(|attribute| attribute.kind == rule::EXPRESSIONS) else {
        return Vec::new();
    };
    let content = list.offset + attr::HEADER;
    let at_fault = |expression: &attr::Attr<'_>| {
        let start = content + expression.offset;
        let end = start + attr::HEADER + expression.data.len();
        // An offset elsewhere, at the chain's name for one, is no expression's fault.
        offset.is_none_or(|offset| (start..end).contains(&offset))
    };
    attrs(list.data).filter(at_fault).filter_map(|expression| suspect(expression.data)).collect()
}

fn suspect(expression: &[u8]) -> Option<Suspect> {
    let name = attr::find_str(expression, rule::EXPR_NAME)?;
    let content = attr::find(expression, rule::EXPR_DATA).unwrap_or_default();
    let target = match name {
        "lookup" | "dynset" => attr::find_str(content, SET_NAME),
        "immediate" => attr::find(content, IMMEDIATE_DATA)
            .and_then(|bytes| attr::find(bytes, data::VERDICT))
            .and_then(|verdict| attr::find_str(verdict, data::VERDICT_CHAIN)),
        _ => None,
    };
    Some(Suspect { expression: name.to_owned(), target: target.map(str::to_owned) })
}

/// `NFTA_LOOKUP_SET` and `NFTA_DYNSET_SET_NAME`.
const SET_NAME: u16 = 1;
/// `NFTA_IMMEDIATE_DATA`.
const IMMEDIATE_DATA: u16 = 2;
