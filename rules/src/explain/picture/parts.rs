//! What goes below each other and what beside: runs of nodes, and the boxes of the hooks that hold them.

use super::Picture;

/// A value for each of so many things, by their numbers.
#[derive(Clone)]
pub(super) struct Each<T>(Vec<T>);

impl<T: Clone + Default> Each<T> {
    pub(super) fn new(count: usize) -> Self {
        Self(vec![T::default(); count])
    }

    /// The value of a thing; of none, the default.
    pub(super) fn at(&self, number: usize) -> T {
        self.0.get(number).cloned().unwrap_or_default()
    }

    pub(super) fn set(&mut self, number: usize, value: T) {
        if let Some(place) = self.0.get_mut(number) {
            *place = value;
        }
    }
}

/// The coarse shape of a picture. Nodes that follow each other without a fork are a segment, one below the other. Segments of a
/// hook are in columns, those of one behind the other. So are, as layers, the blocks: the hooks, and what is outside of them.
pub(super) struct Parts {
    /// The nodes of each segment.
    pub(super) segments: Vec<Vec<usize>>,
    /// The block of a segment.
    pub(super) block_of: Each<usize>,
    /// The column of a segment in its block.
    pub(super) column_of: Each<usize>,
    /// The hook of each block.
    pub(super) blocks: Vec<Option<usize>>,
    /// The layer of a block.
    pub(super) layer_of: Each<usize>,
    /// The edges that are not within a segment.
    pub(super) links: Vec<Link>,
}

/// An edge from the end of one segment to the beginning of another.
pub(super) struct Link {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) share: Option<String>,
}

impl Parts {
    pub(super) fn of(picture: &Picture) -> Self {
        let (segments, segment_of) = segments(picture);
        let mut links = Vec::new();
        for edge in &picture.edges {
            let (from, to) = (segment_of.at(edge.from), segment_of.at(edge.to));
            if from != to {
                links.push(Link { from, to, share: edge.share.clone() });
            }
        }
        let mut blocks: Vec<Option<usize>> = Vec::new();
        let mut block_of = Each::new(segments.len());
        for (segment, nodes) in segments.iter().enumerate() {
            let hook = nodes.first().and_then(|node| picture.nodes.get(*node)).and_then(|node| node.hook);
            let there = hook.and_then(|_| blocks.iter().position(|block| *block == hook));
            block_of.set(segment, there.unwrap_or(blocks.len()));
            if there.is_none() {
                blocks.push(hook);
            }
        }
        let ends = |link: &Link| (block_of.at(link.from), block_of.at(link.to));
        let outside: Vec<(usize, usize)> = links.iter().map(ends).filter(|(from, to)| from != to).collect();
        let within = links.iter().filter(|link| ends(link).0 == ends(link).1);
        let within: Vec<(usize, usize)> = within.map(|link| (link.from, link.to)).collect();
        let layer_of = ranks(blocks.len(), &outside);
        let column_of = ranks(segments.len(), &within);
        Self { segments, block_of, column_of, blocks, layer_of, links }
    }

    pub(super) fn layers(&self) -> usize {
        (0..self.blocks.len()).map(|block| self.layer_of.at(block) + 1).max().unwrap_or(0)
    }

    /// How many columns a block has.
    pub(super) fn columns(&self, block: usize) -> usize {
        self.segments_of(block).map(|segment| self.column_of.at(segment) + 1).max().unwrap_or(0)
    }

    pub(super) fn segments_of(&self, block: usize) -> impl Iterator<Item = usize> {
        (0..self.segments.len()).filter(move |segment| self.block_of.at(*segment) == block)
    }

    /// The edges that come to a segment.
    pub(super) fn links_to(&self, segment: usize) -> impl Iterator<Item = usize> {
        let links = self.links.iter().enumerate();
        links.filter(move |(_, link)| link.to == segment).map(|(number, _)| number)
    }
}

/// The segments, and the segment of each node.
fn segments(picture: &Picture) -> (Vec<Vec<usize>>, Each<usize>) {
    let edges = || picture.edges.iter();
    let before = |node| only(edges().filter(|edge| edge.to == node).map(|edge| edge.from));
    let behind = |node| only(edges().filter(|edge| edge.from == node).map(|edge| edge.to));
    let hook = |node: usize| picture.nodes.get(node).and_then(|node| node.hook);
    let mut segments: Vec<Vec<usize>> = Vec::new();
    let mut segment_of = Each::new(picture.nodes.len());
    for node in 0..picture.nodes.len() {
        let follows = before(node).filter(|before| {
            behind(*before) == Some(node) && hook(node).is_some() && hook(*before) == hook(node)
        });
        let segment = follows.map(|before| segment_of.at(before));
        let number = segment.unwrap_or(segments.len());
        segment_of.set(node, number);
        match segments.get_mut(number) {
            Some(nodes) => nodes.push(node),
            None => segments.push(vec![node]),
        }
    }
    (segments, segment_of)
}

/// The one that there is, where there is one only.
fn only(mut numbers: impl Iterator<Item = usize>) -> Option<usize> {
    numbers.next().filter(|_| numbers.next().is_none())
}

/// How many things come before each, on the longest way to it.
fn ranks(count: usize, edges: &[(usize, usize)]) -> Each<usize> {
    let mut ranks = Each::new(count);
    // Without a circle, no way is longer than there are things.
    for _ in 0..count {
        let mut is_settled = true;
        for (from, to) in edges {
            if ranks.at(*to) <= ranks.at(*from) {
                ranks.set(*to, ranks.at(*from) + 1);
                is_settled = false;
            }
        }
        if is_settled {
            break;
        }
    }
    ranks
}
