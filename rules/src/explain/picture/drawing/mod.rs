//! Where everything in a picture is, in pixels.
//!
//! From left to right: the packet, a frame for each hook, the ends of the ways. Inside of a frame, nodes that follow each other
//! stand below each other, and alternatives in a column beside. Edges run straight through columns, in lanes of their own, and
//! bend between them, so none crosses a box.

mod across;
mod vertical;

use super::parts::Parts;
use super::words::{CHARACTER, width, wrap};
use super::{Node, Picture};
use across::Across;
use vertical::Vertical;

/// The widest line of a box.
const MAX_LINE: i32 = 40 * CHARACTER;
/// From one line of text to the next.
pub(super) const LINE: i32 = 18;
/// Between the text of a box and its border.
pub(super) const PADDING: i32 = 10;
/// Around everything.
pub(super) const MARGIN: i32 = 16;
/// How much of a frame is above what is in it: its own name.
const FRAME_TOP: i32 = 30;
/// How much of a frame is on the other sides.
const FRAME_PADDING: i32 = 12;
/// Between boxes that follow each other in a column, for an arrow.
const STEP: i32 = 22;
/// Between two edges that come to the same box where they have labels.
const PORT: i32 = 20;
/// The narrowest picture; the lines above it need that.
const MIN_WIDTH: i32 = 80 * CHARACTER;

/// A picture with a place for everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawing {
    /// How wide it is.
    pub width: i32,
    /// How high it is.
    pub height: i32,
    /// The lines above it, from [`Picture::title`] and [`Picture::text`].
    pub heading: Vec<String>,
    /// A frame for each of [`Picture::hooks`].
    pub frames: Vec<Frame>,
    /// A box for each of [`Picture::nodes`], in their order.
    pub boxes: Vec<Placed>,
    /// A line for each of [`Picture::edges`].
    pub links: Vec<Link>,
}

/// A rectangle; `x` and `y` are its upper left corner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rect {
    /// From the left edge.
    pub x: i32,
    /// From the upper edge.
    pub y: i32,
    /// How wide it is.
    pub width: i32,
    /// How high it is.
    pub height: i32,
}

impl Rect {
    /// The first pixel behind it to the right.
    #[must_use]
    pub fn right(&self) -> i32 {
        self.x + self.width
    }

    /// The first pixel below it.
    #[must_use]
    pub fn bottom(&self) -> i32 {
        self.y + self.height
    }

    /// The height at which edges leave it.
    fn middle(&self) -> i32 {
        self.y + self.height / 2
    }
}

/// The frame of a hook, around all that is at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its name.
    pub title: String,
    /// Where it is.
    pub rect: Rect,
}

/// The box of a node with its text, wrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Where it is.
    pub rect: Rect,
    /// The lines of its name.
    pub title: Vec<String>,
    /// The lines below.
    pub lines: Vec<String>,
}

/// An edge as a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Level pieces from left to right, which bends connect; none where it goes straight down.
    pub runs: Vec<Run>,
    /// Where it ends.
    pub end: (i32, i32),
    /// Where it begins.
    pub start: (i32, i32),
    /// What is written on its last piece.
    pub label: Option<Label>,
}

/// A level piece of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Where it begins.
    pub from: i32,
    /// Where it ends.
    pub to: i32,
    /// At which height.
    pub y: i32,
}

/// Text on a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The text.
    pub text: String,
    /// The box that it fits in.
    pub rect: Rect,
}

impl Drawing {
    /// Gives everything in a picture its place.
    #[must_use]
    pub fn of(picture: &Picture) -> Self {
        let parts = Parts::of(picture);
        let mut boxes: Vec<Placed> = picture.nodes.iter().map(placed).collect();
        make_room_for_labels(&parts, &mut boxes);
        let vertical = Vertical::of(&parts, &boxes);
        let across = Across::of(&parts, &boxes);
        let width = (across.width + 2 * MARGIN).max(MIN_WIDTH);
        let heading = heading(picture, width - 2 * MARGIN);
        let top = MARGIN + LINE * count(heading.len()) + MARGIN;
        place_boxes(&parts, &vertical, &across, top, &mut boxes);
        let frames = frames(picture, &parts, &vertical, &across, top);
        let links = links(&parts, &vertical, &across, top, &boxes);
        Self { width, height: top + vertical.height + MARGIN, heading, frames, boxes, links }
    }
}

/// A number of things that are in memory, as pixels are counted.
fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn placed(node: &Node) -> Placed {
    let title = wrap(&node.title, MAX_LINE);
    let lines: Vec<String> = node.lines.iter().flat_map(|line| wrap(line, MAX_LINE)).collect();
    let widest = title.iter().chain(&lines).map(|line| width(line)).max().unwrap_or(0);
    let height = LINE * count(title.len() + lines.len()) + 2 * PADDING;
    let rect = Rect { x: 0, y: 0, width: widest + 2 * PADDING, height };
    Placed { rect, title, lines }
}

/// The packet and what becomes of it in lines; a long sentence has several.
fn heading(picture: &Picture, width: i32) -> Vec<String> {
    let text = picture.text.iter().flat_map(|sentence| wrap(sentence, width));
    [picture.title.clone()].iter().flat_map(|title| wrap(title, width)).chain(text).collect()
}

/// Boxes to which several edges with labels come are high enough for them.
fn make_room_for_labels(parts: &Parts, boxes: &mut [Placed]) {
    for (segment, nodes) in parts.segments.iter().enumerate() {
        let ways_in = ports(parts, segment);
        if ways_in > 1
            && let Some(first) = nodes.first()
            && let Some(placed) = boxes.get_mut(*first)
        {
            placed.rect.height = placed.rect.height.max(PORT * (count(ways_in) + 1));
        }
    }
}

/// At how many heights edges come to a segment: at the middle all of them, unless one of several has a label.
fn ports(parts: &Parts, segment: usize) -> usize {
    let has_label = |link: usize| parts.links.get(link).is_some_and(|link| link.share.is_some());
    if parts.links_to(segment).any(has_label) { parts.links_to(segment).count() } else { 1 }
}

fn place_boxes(parts: &Parts, vertical: &Vertical, across: &Across, top: i32, boxes: &mut [Placed]) {
    for (segment, nodes) in parts.segments.iter().enumerate() {
        let mut y = top + vertical.top_of(parts, segment);
        let column = across.column(parts.block_of.at(segment), parts.column_of.at(segment));
        for node in nodes {
            if let Some(placed) = boxes.get_mut(*node) {
                let height = placed.rect.height;
                placed.rect = Rect { x: column.from, y, width: column.to - column.from, height };
                y += height + STEP;
            }
        }
    }
}

fn frames(picture: &Picture, parts: &Parts, vertical: &Vertical, across: &Across, top: i32) -> Vec<Frame> {
    let mut frames: Vec<(usize, Frame)> = Vec::new();
    for (block, hook) in parts.blocks.iter().enumerate() {
        let Some((number, name)) = hook.and_then(|number| Some((number, picture.hooks.get(number)?))) else {
            continue;
        };
        let span = across.block(block);
        let (y, height) = vertical.block(block);
        let rect = Rect { x: span.from, y: top + y, width: span.to - span.from, height };
        frames.push((number, Frame { title: format!("hook {}", name.keyword()), rect }));
    }
    frames.sort_by_key(|(number, _)| *number);
    frames.into_iter().map(|(_, frame)| frame).collect()
}

/// Lines for all edges.
fn links(parts: &Parts, vertical: &Vertical, across: &Across, top: i32, boxes: &[Placed]) -> Vec<Link> {
    let mut across_links = Vec::new();
    for (number, link) in parts.links.iter().enumerate() {
        let first = |segment: usize| parts.segments.get(segment).and_then(|nodes| nodes.first());
        let last = |segment: usize| parts.segments.get(segment).and_then(|nodes| nodes.last());
        let rect = |node: Option<&usize>| node.and_then(|node| boxes.get(*node)).map(|placed| placed.rect);
        let (Some(from), Some(to)) = (rect(last(link.from)), rect(first(link.to))) else { continue };
        let runs = across.runs(parts, number, from.middle(), |lane| top + vertical.lane(lane));
        across_links.push((number, link, from, to, runs));
    }
    let mut lines: Vec<Link> = Vec::new();
    for (number, link, from, to, runs) in &across_links {
        // Edges that come to the same box do so in the order of the heights that they come from.
        let height = |runs: &[Run]| runs.last().map(|run| run.y);
        let others = across_links.iter().filter(|(_, other, ..)| other.to == link.to);
        let above =
            others.filter(|(other, .., others)| (height(others), *other) < (height(runs), *number)).count();
        let y = match ports(parts, link.to) {
            1 => to.middle(),
            many => to.y + to.height * (count(above) + 1) / (count(many) + 1),
        };
        let column = across.column(parts.block_of.at(link.to), parts.column_of.at(link.to));
        let end = Run { from: column.approach, to: to.x, y };
        let label = link.share.clone().map(|text| {
            let rect =
                Rect { x: end.from + across::LABEL_GAP, y: y - LINE / 2, width: width(&text), height: LINE };
            Label { text, rect }
        });
        let runs = runs.iter().copied().chain([end]).collect();
        lines.push(Link { runs, start: (from.right(), from.middle()), end: (to.x, y), label });
    }
    lines.extend(down(parts, boxes));
    lines
}

/// The edges within segments, which go straight down.
fn down(parts: &Parts, boxes: &[Placed]) -> Vec<Link> {
    let pairs = parts.segments.iter().flat_map(|nodes| nodes.iter().zip(nodes.iter().skip(1)));
    let line = |(above, below): (&usize, &usize)| {
        let (above, below) = (boxes.get(*above)?.rect, boxes.get(*below)?.rect);
        let x = above.x + above.width / 2;
        Some(Link { runs: Vec::new(), start: (x, above.bottom()), end: (x, below.y), label: None })
    };
    pairs.filter_map(line).collect()
}
