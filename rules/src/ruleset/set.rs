//! Sets, maps and verdict maps with their elements.

use super::{DataType, Elements, Value, Verdict};
use crate::name::Name;

/// A named set or map of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// What it is, apart from what it holds.
    pub definition: SetDefinition,
    /// What it holds, by key. Always empty for a dynamic set: its elements are the packet path's.
    pub elements: Elements,
}

impl Set {
    /// An empty set.
    #[must_use]
    pub fn new(definition: SetDefinition) -> Self {
        Self { definition, elements: Elements::new() }
    }
}

/// The declaration of a set: two sets with equal declarations can be turned into one another by elements alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetDefinition {
    /// The fields of a key.
    pub key: Vec<DataType>,
    /// What a key maps to.
    pub data: SetData,
    /// `flags interval`: an element may be a range in its last field.
    pub interval: bool,
    /// `flags dynamic,timeout`: the packet path adds elements, which end by themselves.
    pub dynamic: bool,
    /// `size`: how many elements it may hold.
    pub size: Option<u32>,
    /// `counter`: each element counts the packets that find it. The counts are the kernel's and no part of the ruleset.
    pub counter: bool,
}

impl SetDefinition {
    /// A plain set.
    #[must_use]
    pub fn set(key: &[DataType]) -> Self {
        Self {
            key: key.to_vec(),
            data: SetData::None,
            interval: false,
            dynamic: false,
            size: None,
            counter: false,
        }
    }

    /// A set that counts how often each element is found.
    #[must_use]
    pub fn counting_set(key: &[DataType]) -> Self {
        Self { counter: true, ..Self::set(key) }
    }

    /// A verdict map.
    #[must_use]
    pub fn verdict_map(key: &[DataType]) -> Self {
        Self { data: SetData::Verdict, ..Self::set(key) }
    }

    /// A map to values.
    #[must_use]
    pub fn map(key: &[DataType], data: &[DataType]) -> Self {
        Self { data: SetData::Value(data.to_vec()), ..Self::set(key) }
    }

    /// Whether nft calls it a map.
    #[must_use]
    pub fn is_map(&self) -> bool {
        self.data != SetData::None
    }
}

/// What the keys of a set map to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetData {
    /// Nothing: it is a set.
    None,
    /// Verdicts: it is a verdict map.
    Verdict,
    /// Values of these fields.
    Value(Vec<DataType>),
}

/// What a set holds for one key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// The last key of the range, in an interval set.
    pub end: Option<Box<Value>>,
    /// What the key maps to.
    pub data: ElementData,
    /// A comment for people, at most [`MAX_COMMENT`](super::MAX_COMMENT) bytes.
    pub comment: Option<Name>,
}

/// What a key maps to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ElementData {
    /// Nothing, in a set.
    #[default]
    None,
    /// A verdict, in a verdict map.
    Verdict(Verdict),
    /// A value, in a map.
    Value(Value),
}

impl Element {
    /// An element of a plain set.
    #[must_use]
    pub fn key_only() -> Self {
        Self::default()
    }

    /// An element of a verdict map.
    #[must_use]
    pub fn verdict(verdict: Verdict) -> Self {
        Self { data: ElementData::Verdict(verdict), ..Self::default() }
    }

    /// An element of a map.
    #[must_use]
    pub fn value(value: Value) -> Self {
        Self { data: ElementData::Value(value), ..Self::default() }
    }

    /// The same with a comment.
    #[must_use]
    pub fn with_comment(mut self, comment: Name) -> Self {
        self.comment = Some(comment);
        self
    }
}
