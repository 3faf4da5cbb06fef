//! The way of a packet as a picture: a graph of what it meets, for Graphviz or drawn by ourselves.
//!
//! All ways of an explanation are in one graph. What several of them meet at the same place of the same chain is one node, so
//! ways part where a number is drawn and come together again behind the backends. [`Picture::dot`] says the graph to Graphviz;
//! [`Picture::svg`] is a picture, for which [`Drawing`] gives everything its place.

mod dot;
mod drawing;
mod grouping;
mod merge;
mod parts;
mod station;
mod svg;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;

use super::Explanation;
use crate::ruleset::Hook;

pub use drawing::{Drawing, Frame, Label, Link, Placed, Rect, Run};

/// How many backends that are drawn from are boxes of their own; behind them, those that are alike are one box.
pub const SHOWN_BACKENDS: usize = 12;

/// What a packet meets, on all its ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The packet in a line.
    pub title: String,
    /// What becomes of it and why, a sentence with a full stop; then the notes, each likewise.
    pub text: Vec<String>,
    /// The hooks that it passes, in order.
    pub hooks: Vec<Hook>,
    /// Everything that it may meet. Whatever is met on a way stands behind what is met before.
    pub nodes: Vec<Node>,
    /// Where it goes from there, by their first node and their second one.
    pub edges: Vec<Edge>,
}

/// Something that a packet meets, or an end of its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// At which of [`Picture::hooks`], where it is at one.
    pub hook: Option<usize>,
    /// Its name.
    pub title: String,
    /// What else there is to say about it, in lines.
    pub lines: Vec<String>,
    /// The rule that leads here, in the words of its program.
    pub rule: Option<String>,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeKind {
    /// The packet, before anything has seen it.
    Packet,
    /// A chain.
    Chain,
    /// A set or map that has an element for it.
    Lookup,
    /// A dynamic map or list that it is written into.
    Update,
    /// A mark that it gets.
    Mark,
    /// A backend that it is sent to.
    Backend,
    /// Several backends that are alike.
    Backends,
    /// It gets a source address of this host.
    Masquerade,
    /// The kernel looks up where it goes.
    Route,
    /// It is delivered.
    Delivered,
    /// It is dropped or rejected.
    Lost,
}

/// A packet goes from one node to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The node that it leaves, by its index.
    pub from: usize,
    /// The node that it comes to.
    pub to: usize,
    /// How likely the packet goes this way, of all packets; where the node that it leaves has one way out, nothing.
    pub share: Option<String>,
}

impl Explanation {
    /// The ways of the packet as a graph.
    #[must_use]
    pub fn picture(&self) -> Picture {
        merge::picture(self)
    }
}

impl Picture {
    /// The graph in the language of Graphviz, for `dot`.
    pub fn dot(&self) -> impl fmt::Display + '_ {
        dot::Dot(self)
    }

    /// A picture in SVG that needs nothing from elsewhere: no script, no font, no style sheet.
    pub fn svg(&self) -> impl fmt::Display + '_ {
        svg::Svg { picture: self, drawing: Drawing::of(self) }
    }
}
