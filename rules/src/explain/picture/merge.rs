//! All ways of a packet as one graph.

use std::collections::{BTreeMap, BTreeSet};

use super::grouping::group;
use super::station::{Key, Station, Visit, stations};
use super::words::printable;
use super::{Edge, Node, NodeKind, Picture};
use crate::explain::Explanation;
use crate::explain::text::{heading, share_text};
use crate::simulate::Probability;

/// Nodes in the order of their places, and how likely a packet goes from one to another.
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) edges: BTreeMap<(usize, usize), Probability>,
}

impl Graph {
    /// Where packets go from a node.
    pub(super) fn ways_out(&self, from: usize) -> impl Iterator<Item = (usize, &Probability)> {
        self.edges.range((from, 0)..=(from, usize::MAX)).map(|((_, to), share)| (*to, share))
    }

    fn node(&self, index: usize) -> Option<&Node> {
        self.nodes.get(index)
    }

    /// The backends that a node draws from.
    pub(super) fn drawn_from(&self, from: usize) -> Vec<usize> {
        let is_backend = |index: &usize| self.node(*index).is_some_and(|node| node.kind == NodeKind::Backend);
        self.ways_out(from).map(|(to, _)| to).filter(is_backend).collect()
    }
}

pub(super) fn picture(explanation: &Explanation) -> Picture {
    let ways: Vec<(Vec<Station>, &Probability)> = explanation
        .outcomes
        .iter()
        .map(|outcome| (stations(explanation, outcome), &outcome.probability))
        .collect();
    let mut met: BTreeMap<&Key, Met> = BTreeMap::new();
    let mut visits = BTreeSet::new();
    for station in ways.iter().flat_map(|(stations, _)| stations) {
        met.entry(&station.key).or_insert_with(|| Met::of(station)).add(station);
        visits.extend(station.key.hook);
    }
    let visits: Vec<Visit> = visits.into_iter().collect();
    let index: BTreeMap<&Key, usize> = met.keys().copied().zip(0..).collect();
    let mut edges: BTreeMap<(usize, usize), Probability> = BTreeMap::new();
    for (stations, probability) in &ways {
        let indexes: Vec<usize> =
            stations.iter().filter_map(|station| index.get(&station.key)).copied().collect();
        for (from, to) in indexes.iter().zip(indexes.iter().skip(1)) {
            edges.entry((*from, *to)).or_insert_with(Probability::impossible).add(probability);
        }
    }
    let nodes = met.into_iter().map(|(key, met)| met.node(key, &visits)).collect();
    let mut graph = Graph { nodes, edges };
    say_draws(&mut graph);
    let graph = group(graph);
    let reason = printable(&format!("{}.", explanation.reason));
    let notes = explanation.notes.iter().map(|note| printable(&format!("note: {note}.")));
    Picture {
        title: printable(&heading(&explanation.packet)),
        text: [reason].into_iter().chain(notes).collect(),
        hooks: visits.iter().map(|visit| visit.hook).collect(),
        edges: edges_of(&graph),
        nodes: graph.nodes,
    }
}

/// What the stations of one place have in common.
struct Met {
    elements: BTreeSet<String>,
    rule: Option<String>,
    is_quiet: bool,
}

impl Met {
    fn of(station: &Station) -> Self {
        Self { elements: BTreeSet::new(), rule: station.rule.clone(), is_quiet: station.is_quiet }
    }

    fn add(&mut self, station: &Station) {
        self.elements.extend(station.element.clone());
        self.is_quiet &= station.is_quiet;
        if self.rule != station.rule {
            self.rule = None;
        }
    }

    fn node(self, key: &Key, visits: &[Visit]) -> Node {
        let mut lines = key.lines.clone();
        match self.elements.len() {
            0 => {}
            1 => lines.extend(self.elements),
            // Which one is looked up is drawn, and the draw is told of.
            _ if key.kind == NodeKind::Lookup => {}
            many => lines.push(format!("one of {many} elements, as drawn")),
        }
        if self.is_quiet {
            lines.push("no rule matches".to_owned());
        }
        Node {
            kind: key.kind,
            hook: key.hook.and_then(|hook| visits.iter().position(|visit| *visit == hook)),
            title: printable(&key.title),
            lines: lines.iter().map(|line| printable(line)).collect(),
            rule: self.rule.map(|rule| printable(&rule)),
        }
    }
}

/// Says of each node that draws a backend among how many.
fn say_draws(graph: &mut Graph) {
    let draws: Vec<usize> = (0..graph.nodes.len()).map(|from| graph.drawn_from(from).len()).collect();
    for (node, backends) in graph.nodes.iter_mut().zip(draws) {
        if backends > 1 {
            node.lines.push(format!("draws one of {backends} backends"));
        }
    }
}

fn edges_of(graph: &Graph) -> Vec<Edge> {
    let edge = |((from, to), share): (&(usize, usize), &Probability)| {
        let parts = graph.ways_out(*from).nth(1).is_some();
        Edge { from: *from, to: *to, share: parts.then(|| share_text(share)) }
    };
    graph.edges.iter().map(edge).collect()
}
