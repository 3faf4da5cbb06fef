//! The typed ruleset: what the compiler makes, and what printer, encoder, decoder, differ, simulator and verifier read.
//!
//! Rules are the kernel's own expressions and values its own bytes, so nothing is said twice and nothing is lost
//! between this and what the kernel holds.

mod chain;
mod datatype;
mod elements;
mod expr;
mod set;
mod value;

use std::collections::BTreeMap;

pub use chain::{BaseHook, Chain, ChainType, Hook, Rule, Verdict};
pub use datatype::{DataType, concat_id, concat_len};
pub use elements::Elements;
pub use expr::{
    CT_STATE_NEW, CT_STATUS_DNAT, CmpOp, CtKey, Expr, FIB_TYPE_LOCAL, FibAddress, Header, LookupData,
    MetaKey, Register, Reject,
};
pub use set::{Element, ElementData, Set, SetData, SetDefinition};
pub use value::Value;

use crate::name::Name;
use crate::net::Family;

/// The name of our tables, `table ip svcnat` and `table ip6 svcnat`. No other table is ever touched.
pub const TABLE: &str = "svcnat";

/// The comment on our tables.
pub const TABLE_COMMENT: &str = "svcnat: Kubernetes Service proxy";

/// The longest comment in bytes (`NFTNL_UDATA_COMMENT_MAXLEN` is 128 with the closing NUL).
pub const MAX_COMMENT: usize = 127;

/// The longest name of a chain, a set or a table in bytes (`NFT_NAME_MAXLEN` is 256 with the closing NUL).
pub const MAX_NAME: usize = 255;

/// All that should be, or is, in our tables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruleset {
    /// The table of each family that has one.
    pub tables: BTreeMap<Family, Table>,
}

/// One of our tables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// Sets, maps and verdict maps by name.
    pub sets: BTreeMap<Name, Set>,
    /// Chains by name.
    pub chains: BTreeMap<Name, Chain>,
}

impl Table {
    /// The regular chains, then the base chains, each kind by name: the order in which they are made, printed and, as the
    /// kernel keeps it, listed.
    pub fn chains_in_order(&self) -> impl Iterator<Item = (&Name, &Chain)> {
        let of_kind = |base: bool| self.chains.iter().filter(move |(_, chain)| chain.hook.is_some() == base);
        of_kind(false).chain(of_kind(true))
    }
}
