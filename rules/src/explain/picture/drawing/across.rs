//! From left to right: layers, the blocks in them, the columns in these.

use std::collections::BTreeMap;

use super::vertical::Lane;
use super::{FRAME_PADDING, MARGIN, Placed, Run};
use crate::explain::picture::parts::{Link, Parts};
use crate::explain::picture::words::{CHARACTER, width};

/// How much an edge needs to bend.
const BEND: i32 = 56;
/// Before the label of an edge.
pub(super) const LABEL_GAP: i32 = 6;
/// Behind it: the arrow's head.
const ARROW: i32 = 16;
/// The narrowest column; the name of a hook needs that.
const MIN_COLUMN: i32 = 18 * CHARACTER;

/// Where something begins and ends.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    /// From where on edges to it are level; their labels are behind that.
    pub(super) approach: i32,
    pub(super) from: i32,
    pub(super) to: i32,
}

/// Where columns, blocks and layers are.
pub(super) struct Across {
    /// How wide all of them are.
    pub(super) width: i32,
    /// By block and number.
    columns: BTreeMap<(usize, usize), Span>,
    blocks: BTreeMap<usize, Span>,
    layers: BTreeMap<usize, Span>,
}

/// How much of an edge must be level before it ends, for its label.
fn room(link: &Link) -> i32 {
    link.share.as_deref().map_or(0, |share| LABEL_GAP + width(share)) + ARROW
}

impl Across {
    pub(super) fn of(parts: &Parts, boxes: &[Placed]) -> Self {
        let mut across =
            Self { width: 0, columns: BTreeMap::new(), blocks: BTreeMap::new(), layers: BTreeMap::new() };
        let mut x = MARGIN;
        for layer in 0..parts.layers() {
            let blocks = (0..parts.blocks.len()).filter(|block| parts.layer_of.at(*block) == layer);
            let blocks: Vec<usize> = blocks.collect();
            let room = blocks.iter().map(|block| room_before(parts, *block, 0)).max().unwrap_or(0);
            if layer > 0 {
                x += BEND + room;
            }
            let ends = blocks.iter().map(|block| across.place(parts, boxes, *block, (x, room)));
            let to = ends.max().unwrap_or(x);
            across.layers.insert(layer, Span { approach: x - room, from: x, to });
            x = to;
        }
        across.width = x - MARGIN;
        across
    }

    /// Places a block, before whose first column is so much room, and says where it ends.
    fn place(&mut self, parts: &Parts, boxes: &[Placed], block: usize, (from, room): (i32, i32)) -> i32 {
        let is_hook = parts.blocks.get(block).is_some_and(Option::is_some);
        let padding = if is_hook { FRAME_PADDING } else { 0 };
        let (mut x, mut room) = (from + padding, room);
        for column in 0..parts.columns(block) {
            if column > 0 {
                room = room_before(parts, block, column);
                x += BEND + room;
            }
            let to = x + width_of(parts, boxes, block, column).max(MIN_COLUMN);
            self.columns.insert((block, column), Span { approach: x - room, from: x, to });
            x = to;
        }
        self.blocks.insert(block, Span { approach: from - room, from, to: x + padding });
        x + padding
    }

    pub(super) fn column(&self, block: usize, column: usize) -> Span {
        self.columns.get(&(block, column)).copied().unwrap_or_default()
    }

    pub(super) fn block(&self, block: usize) -> Span {
        self.blocks.get(&block).copied().unwrap_or_default()
    }

    /// The level pieces of an edge that leaves its box at the height `y`, but for the one that ends it.
    pub(super) fn runs(
        &self,
        parts: &Parts,
        number: usize,
        y: i32,
        height: impl Fn(Lane) -> i32,
    ) -> Vec<Run> {
        let Some(link) = parts.links.get(number) else { return Vec::new() };
        let (block, to_block) = (parts.block_of.at(link.from), parts.block_of.at(link.to));
        let (column, to_column) = (parts.column_of.at(link.from), parts.column_of.at(link.to));
        let run = |span: Span, lane: Lane| Run { from: span.approach, to: span.to, y: height(lane) };
        let in_column = |block: usize, column: usize| {
            run(self.column(block, column), Lane::Column { link: number, block, column })
        };
        let start = self.column(block, column).to;
        let mut runs = vec![Run { from: start, to: start, y }];
        if block == to_block {
            runs.extend((column + 1..to_column).map(|column| in_column(block, column)));
            return runs;
        }
        runs.extend((column + 1..parts.columns(block)).map(|column| in_column(block, column)));
        let (layer, to_layer) = (parts.layer_of.at(block), parts.layer_of.at(to_block));
        let span = |layer: usize| self.layers.get(&layer).copied().unwrap_or_default();
        if let Some(last) = runs.last_mut() {
            last.to = span(layer).to;
        }
        let between = layer + 1..to_layer;
        runs.extend(between.map(|layer| run(span(layer), Lane::Layer { link: number, layer })));
        runs.extend((0..to_column).map(|column| in_column(to_block, column)));
        runs
    }
}

/// The most that an edge needs which ends in a column.
fn room_before(parts: &Parts, block: usize, column: usize) -> i32 {
    let segments = parts.segments_of(block).filter(|segment| parts.column_of.at(*segment) == column);
    let links = segments.flat_map(|segment| parts.links_to(segment));
    links.filter_map(|link| parts.links.get(link)).map(room).max().unwrap_or(0)
}

fn width_of(parts: &Parts, boxes: &[Placed], block: usize, column: usize) -> i32 {
    let segments = parts.segments_of(block).filter(|segment| parts.column_of.at(*segment) == column);
    let nodes = segments.filter_map(|segment| parts.segments.get(segment)).flatten();
    nodes.filter_map(|node| boxes.get(*node)).map(|placed| placed.rect.width).max().unwrap_or(0)
}
