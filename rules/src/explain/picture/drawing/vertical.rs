//! From top to bottom: what stands in a column or layer, each thing as near as it can to what leads to it.

use std::collections::BTreeMap;

use super::{FRAME_PADDING, FRAME_TOP, Placed, STEP};
use crate::explain::picture::parts::{Each, Parts};

/// Between things in a column.
const GAP: i32 = 14;
/// Between things in a layer.
const LAYER_GAP: i32 = 24;
/// How much of a column or layer an edge needs that runs through it.
const LANE: i32 = 16;

/// Where an edge runs through a column, or past the blocks of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// Through a column of a block.
    Column { link: usize, block: usize, column: usize },
    /// Past the blocks of a layer.
    Layer { link: usize, layer: usize },
}

/// Where blocks, segments and lanes are.
pub(super) struct Vertical {
    /// How high all of them are.
    pub(super) height: i32,
    /// The upper ends of segments, in their blocks.
    segments: Each<i32>,
    /// How high segments are.
    heights: Each<i32>,
    /// The heights of lanes, in their blocks or on the whole.
    lanes: BTreeMap<Lane, i32>,
    /// The upper ends of blocks, and how high they are.
    blocks: Each<(i32, i32)>,
    /// How far the inner of each block is below its upper end.
    inner: Each<i32>,
}

/// Something that has its place in a column or layer.
#[derive(Debug, Clone, Copy)]
struct Item {
    what: What,
    height: i32,
    /// Where its middle would best be.
    wish: Option<i32>,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Segment(usize),
    Block(usize),
    Lane(Lane),
}

impl Vertical {
    pub(super) fn of(parts: &Parts, boxes: &[Placed]) -> Self {
        let mut vertical = Self {
            height: 0,
            segments: Each::new(parts.segments.len()),
            heights: Each::new(parts.segments.len()),
            lanes: BTreeMap::new(),
            blocks: Each::new(parts.blocks.len()),
            inner: Each::new(parts.blocks.len()),
        };
        for (segment, nodes) in parts.segments.iter().enumerate() {
            let heights = nodes.iter().filter_map(|node| boxes.get(*node)).map(|placed| placed.rect.height);
            vertical.heights.set(segment, heights.map(|height| height + STEP).sum::<i32>() - STEP);
        }
        for (block, hook) in parts.blocks.iter().enumerate() {
            let (above, below) = if hook.is_some() { (FRAME_TOP, FRAME_PADDING) } else { (0, 0) };
            let height = above + vertical.fill(parts, block) + below;
            vertical.inner.set(block, above);
            vertical.blocks.set(block, (0, height));
        }
        vertical.stack_blocks(parts);
        vertical
    }

    /// Where a segment begins.
    pub(super) fn top_of(&self, parts: &Parts, segment: usize) -> i32 {
        self.inner_top(parts.block_of.at(segment)) + self.segments.at(segment)
    }

    /// Where a block begins, and how high it is.
    pub(super) fn block(&self, block: usize) -> (i32, i32) {
        self.blocks.at(block)
    }

    /// The height of a lane.
    pub(super) fn lane(&self, lane: Lane) -> i32 {
        let height = self.lanes.get(&lane).copied().unwrap_or_default();
        match lane {
            Lane::Column { block, .. } => self.inner_top(block) + height,
            Lane::Layer { .. } => height,
        }
    }

    fn inner_top(&self, block: usize) -> i32 {
        self.blocks.at(block).0 + self.inner.at(block)
    }

    fn middle(&self, segment: usize) -> i32 {
        self.segments.at(segment) + self.heights.at(segment) / 2
    }

    /// Places what is in a block, from 0 on, and says how high that is.
    fn fill(&mut self, parts: &Parts, block: usize) -> i32 {
        let mut placed = Vec::new();
        for column in 0..parts.columns(block) {
            let wish_of = |link: usize| self.height_before(parts, link, block, column);
            let segments = parts.segments_of(block).filter(|segment| parts.column_of.at(*segment) == column);
            let segments = segments.map(|segment| Item {
                what: What::Segment(segment),
                height: self.heights.at(segment),
                wish: mean(parts.links_to(segment).filter_map(wish_of)),
            });
            let lanes = (0..parts.links.len()).filter(|link| runs_through(parts, *link, block, column));
            let lanes = lanes.map(|link| Item {
                what: What::Lane(Lane::Column { link, block, column }),
                height: LANE,
                wish: wish_of(link),
            });
            let items = segments.chain(lanes).collect();
            let stacked = stack(items, GAP);
            self.note(&stacked);
            placed.extend(stacked);
        }
        self.move_up(&mut placed)
    }

    /// Puts blocks, and the edges that run past them, into their layers.
    fn stack_blocks(&mut self, parts: &Parts) {
        let mut placed = Vec::new();
        for layer in 0..parts.layers() {
            let wish_of = |link: usize| self.height_before_layer(parts, link, layer);
            let blocks = (0..parts.blocks.len()).filter(|block| parts.layer_of.at(*block) == layer);
            let blocks = blocks.map(|block| {
                let links = parts.segments_of(block).flat_map(|segment| parts.links_to(segment));
                let height = self.blocks.at(block).1;
                Item { what: What::Block(block), height, wish: mean(links.filter_map(wish_of)) }
            });
            let passes = |link: &usize| {
                let (from, to) = layers_of(parts, *link);
                from < layer && layer < to
            };
            let lanes = (0..parts.links.len()).filter(passes).map(|link| Item {
                what: What::Lane(Lane::Layer { link, layer }),
                height: LANE,
                wish: wish_of(link),
            });
            let items = blocks.chain(lanes).collect();
            let stacked = stack(items, LAYER_GAP);
            self.note(&stacked);
            placed.extend(stacked);
        }
        self.height = self.move_up(&mut placed);
    }

    /// At which height an edge comes to a column, if it comes from one before in this block.
    fn height_before(&self, parts: &Parts, link: usize, block: usize, column: usize) -> Option<i32> {
        let before = column.checked_sub(1)?;
        let lane = self.lanes.get(&Lane::Column { link, block, column: before });
        let from = parts.links.get(link)?.from;
        let starts = parts.block_of.at(from) == block && parts.column_of.at(from) == before;
        lane.copied().or_else(|| starts.then(|| self.middle(from)))
    }

    /// At which height an edge comes to a layer.
    fn height_before_layer(&self, parts: &Parts, link: usize, layer: usize) -> Option<i32> {
        let before = layer.checked_sub(1)?;
        if let Some(lane) = self.lanes.get(&Lane::Layer { link, layer: before }) {
            return Some(*lane);
        }
        let (from, to) = (parts.links.get(link)?.from, parts.links.get(link)?.to);
        let block = parts.block_of.at(from);
        if parts.layer_of.at(block) != before || block == parts.block_of.at(to) {
            return None;
        }
        let column = parts.columns(block).checked_sub(1)?;
        let lane = self.lanes.get(&Lane::Column { link, block, column });
        Some(self.inner_top(block) + lane.copied().unwrap_or_else(|| self.middle(from)))
    }

    /// Remembers where things are.
    fn note(&mut self, placed: &[(Item, i32)]) {
        for (item, top) in placed {
            match item.what {
                What::Segment(segment) => self.segments.set(segment, *top),
                What::Block(block) => self.blocks.set(block, (*top, item.height)),
                What::Lane(lane) => {
                    self.lanes.insert(lane, top + item.height / 2);
                }
            }
        }
    }

    /// Moves things so that the uppermost is at 0, and says how high all of them are.
    fn move_up(&mut self, placed: &mut [(Item, i32)]) -> i32 {
        let top = placed.iter().map(|(_, top)| *top).min().unwrap_or(0);
        for (_, at) in &mut *placed {
            *at -= top;
        }
        self.note(placed);
        placed.iter().map(|(item, top)| top + item.height).max().unwrap_or(0)
    }
}

/// Whether an edge runs through a column of a block without ending there.
fn runs_through(parts: &Parts, link: usize, block: usize, column: usize) -> bool {
    let Some(link) = parts.links.get(link) else { return false };
    let begins_before = parts.block_of.at(link.from) == block && parts.column_of.at(link.from) < column;
    let ends_behind = parts.block_of.at(link.to) == block && parts.column_of.at(link.to) > column;
    let leaves = parts.block_of.at(link.to) != block;
    let comes = parts.block_of.at(link.from) != block;
    (begins_before && (ends_behind || leaves)) || (comes && ends_behind)
}

fn layers_of(parts: &Parts, link: usize) -> (usize, usize) {
    let layer = |segment: usize| parts.layer_of.at(parts.block_of.at(segment));
    parts.links.get(link).map(|link| (layer(link.from), layer(link.to))).unwrap_or_default()
}

/// Things one below the other in the order of their wishes, none over another, and on the whole where they wish to be; with each
/// the place of its upper end.
fn stack(mut items: Vec<Item>, gap: i32) -> Vec<(Item, i32)> {
    items.sort_by_key(|item| item.wish);
    let mut free = None;
    let mut placed: Vec<(Item, i32)> = Vec::with_capacity(items.len());
    for item in items {
        let wished = item.wish.map(|middle| middle - item.height / 2);
        let top = wished.max(free).unwrap_or(0);
        free = Some(top + item.height + gap);
        placed.push((item, top));
    }
    let too_low = |(item, top): &(Item, i32)| Some(top - (item.wish? - item.height / 2));
    let excess = mean(placed.iter().filter_map(too_low)).unwrap_or(0);
    placed.iter_mut().for_each(|(_, top)| *top -= excess);
    placed
}

fn mean(numbers: impl Iterator<Item = i32>) -> Option<i32> {
    let (sum, count) =
        numbers.fold((0_i64, 0_i64), |(sum, count), number| (sum + i64::from(number), count + 1));
    i32::try_from(sum.checked_div(count)?).ok()
}
