//! The graph in the language of Graphviz (<https://graphviz.org/doc/info/lang.html>).

use std::fmt::{self, Write};

use super::words::{CHARACTER, wrap};
use super::{Node, NodeKind, Picture};

/// The widest line of a node, in characters.
const MAX_LINE: i32 = 40;
/// The widest line above the graph.
const MAX_HEADING: i32 = 120;

pub(super) struct Dot<'a>(pub(super) &'a Picture);

impl fmt::Display for Dot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Picture { title, text, hooks, nodes, edges } = self.0;
        f.write_str("digraph trace {\n  rankdir=LR\n  labelloc=t\n  labeljust=l\n")?;
        f.write_str("  graph [fontname=\"monospace\"]\n")?;
        f.write_str("  node [shape=box, style=filled, fillcolor=white, fontname=\"monospace\"]\n")?;
        f.write_str("  edge [fontname=\"monospace\"]\n")?;
        let heading = [title].into_iter().chain(text).map(String::as_str);
        writeln!(f, "  label={}", Lines(heading.collect(), MAX_HEADING, "\\l"))?;
        let with_numbers = || nodes.iter().enumerate();
        for (number, hook) in hooks.iter().enumerate() {
            writeln!(f, "  subgraph cluster_{number} {{\n    label=\"hook {}\"", hook.keyword())?;
            for (index, node) in with_numbers().filter(|(_, node)| node.hook == Some(number)) {
                write_node(f, "    ", index, node)?;
            }
            f.write_str("  }\n")?;
        }
        for (index, node) in with_numbers().filter(|(_, node)| node.hook.is_none()) {
            write_node(f, "  ", index, node)?;
        }
        for edge in edges {
            write!(f, "  n{} -> n{}", edge.from, edge.to)?;
            match &edge.share {
                Some(share) => writeln!(f, " [label={}]", Lines(vec![share.as_str()], MAX_LINE, ""))?,
                None => f.write_char('\n')?,
            }
        }
        f.write_str("}\n")
    }
}

fn write_node(f: &mut fmt::Formatter<'_>, indent: &str, index: usize, node: &Node) -> fmt::Result {
    let lines = [&node.title].into_iter().chain(&node.lines).map(String::as_str).collect();
    write!(f, "{indent}n{index} [label={}{}", Lines(lines, MAX_LINE, "\\n"), look(node.kind))?;
    if let Some(rule) = &node.rule {
        write!(f, ", tooltip={}", Lines(vec![rule.as_str()], i32::MAX / CHARACTER, ""))?;
    }
    f.write_str("]\n")
}

/// What tells nodes apart at a glance. The default is that of chains.
fn look(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Packet => ", fillcolor=\"#dce6fb\"",
        NodeKind::Chain => "",
        NodeKind::Lookup | NodeKind::Update => ", shape=cylinder, fillcolor=\"#fdf1c7\"",
        NodeKind::Mark | NodeKind::Masquerade => ", fillcolor=\"#eee0fb\"",
        NodeKind::Backend => ", fillcolor=\"#d9f2df\"",
        NodeKind::Backends => ", peripheries=2, fillcolor=\"#d9f2df\"",
        NodeKind::Route => ", shape=diamond",
        NodeKind::Delivered => ", style=\"rounded,filled\", fillcolor=\"#d9f2df\"",
        NodeKind::Lost => ", style=\"rounded,filled\", fillcolor=\"#fbdcdc\"",
    }
}

/// A quoted string of wrapped lines, each followed by what ends a line there.
struct Lines<'a>(Vec<&'a str>, i32, &'static str);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(texts, max, end) = self;
        f.write_char('"')?;
        let lines: Vec<String> = texts.iter().flat_map(|text| wrap(text, max * CHARACTER)).collect();
        for (index, line) in lines.iter().enumerate() {
            for c in line.chars() {
                match c {
                    '"' => f.write_str("\\\"")?,
                    '\\' => f.write_str("\\\\")?,
                    // Graphviz takes what stands between this and a semicolon for an entity of HTML.
                    '&' => f.write_str("&amp;")?,
                    c => f.write_char(c)?,
                }
            }
            // Lines are centred by what is between them, and set to the left by what ends them.
            if *end == "\\l" || index + 1 < lines.len() {
                f.write_str(end)?;
            }
        }
        f.write_char('"')
    }
}
