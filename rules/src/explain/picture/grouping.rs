//! Many backends that are alike as one node.

use std::collections::BTreeMap;

use super::merge::Graph;
use super::{Node, NodeKind, SHOWN_BACKENDS};
use crate::explain::text::share_text;
use crate::simulate::Probability;

/// Of every node that draws from many backends, keeps the first ones; of the others, those that are equally likely and lead to
/// the same become one.
pub(super) fn group(graph: Graph) -> Graph {
    let mut ways_in: BTreeMap<usize, usize> = BTreeMap::new();
    for (_, to) in graph.edges.keys() {
        *ways_in.entry(*to).or_default() += 1;
    }
    let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
    for from in 0..graph.nodes.len() {
        for group in alike(&graph, &ways_in, from) {
            if let [first, _, ..] = group.members.as_slice() {
                groups.insert(*first, group);
            }
        }
    }
    replace(graph, &groups)
}

struct Group {
    members: Vec<usize>,
    /// How likely each of them is.
    share: String,
}

/// The backends beyond those that are shown, by what they have in common.
fn alike(graph: &Graph, ways_in: &BTreeMap<usize, usize>, from: usize) -> Vec<Group> {
    let mut kinds: BTreeMap<(String, Vec<usize>), Vec<usize>> = BTreeMap::new();
    for to in graph.drawn_from(from).into_iter().skip(SHOWN_BACKENDS) {
        let share = graph.edges.get(&(from, to)).filter(|_| ways_in.get(&to) == Some(&1));
        if let Some(share) = share {
            let behind = graph.ways_out(to).map(|(to, _)| to).collect();
            kinds.entry((share_text(share), behind)).or_default().push(to);
        }
    }
    kinds.into_iter().map(|((share, _), members)| Group { members, share }).collect()
}

/// Puts each group at the place of its first member.
fn replace(graph: Graph, groups: &BTreeMap<usize, Group>) -> Graph {
    let mut stands_for: BTreeMap<usize, usize> = BTreeMap::new();
    for (first, group) in groups {
        stands_for.extend(group.members.iter().map(|member| (*member, *first)));
    }
    let mut new_index: BTreeMap<usize, usize> = BTreeMap::new();
    let mut nodes = Vec::new();
    for (old, node) in graph.nodes.into_iter().enumerate() {
        let first = stands_for.get(&old).copied().unwrap_or(old);
        if first == old {
            new_index.insert(old, nodes.len());
            nodes.push(match groups.get(&old) {
                Some(group) => Node {
                    kind: NodeKind::Backends,
                    title: format!("{} more backends", group.members.len()),
                    lines: vec![format!("each with {}", group.share)],
                    rule: None,
                    ..node
                },
                None => node,
            });
        }
    }
    let renamed = |old: &usize| new_index.get(stands_for.get(old).unwrap_or(old)).copied();
    let mut edges: BTreeMap<(usize, usize), Probability> = BTreeMap::new();
    for ((from, to), share) in &graph.edges {
        if let (Some(from), Some(to)) = (renamed(from), renamed(to)) {
            edges.entry((from, to)).or_insert_with(Probability::impossible).add(share);
        }
    }
    Graph { nodes, edges }
}
