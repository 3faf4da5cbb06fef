//! The picture in SVG 1.1.

use std::fmt::{self, Write};

use super::drawing::{Drawing, Frame, LINE, Link, MARGIN, PADDING, Placed, Rect};
use super::{Node, NodeKind, Picture};

/// Where the line that text stands on is, from the upper end of its line.
const BASELINE: i32 = 13;
/// How long the head of an arrow is, and half as wide.
const ARROW: i32 = 8;

/// Colours for readers that prefer dark ones. Without style sheets, the attributes of the elements hold. In a page, they are those
/// of this picture alone.
const DARK: &str = "\
<style>@media (prefers-color-scheme: dark) {
.svcnat-way .paper { fill: #16181d }
.svcnat-way .frame { fill: #1f232b; stroke: #8a93a5 }
.svcnat-way text { fill: #f0f2f5 }
.svcnat-way .edge { stroke: #aab2c0 }
.svcnat-way .head { fill: #aab2c0 }
.svcnat-way .packet { fill: #1d2f5c; stroke: #8fb0ff }
.svcnat-way .chain { fill: #2b303a; stroke: #aab2c0 }
.svcnat-way .set { fill: #45380f; stroke: #e0bf5a }
.svcnat-way .mark { fill: #3b2357; stroke: #c79bf2 }
.svcnat-way .good { fill: #153d22; stroke: #6fcf8a }
.svcnat-way .bad { fill: #57201d; stroke: #ff8f87 }
}</style>
";

pub(super) struct Svg<'a> {
    pub(super) picture: &'a Picture,
    pub(super) drawing: Drawing,
}

impl fmt::Display for Svg<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { picture, drawing } = self;
        let Drawing { width, height, heading, frames, boxes, links } = drawing;
        writeln!(
            f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"svcnat-way\" role=\"img\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"monospace\" font-size=\"13\">"
        )?;
        writeln!(f, "<title>{}</title>", Escaped(&picture.title))?;
        writeln!(f, "<desc>{}</desc>", Escaped(&picture.text.join(" ")))?;
        f.write_str(DARK)?;
        writeln!(f, "<rect class=\"paper\" width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>")?;
        write_lines(f, MARGIN, MARGIN, (heading.get(..1), heading.get(1..)))?;
        frames.iter().try_for_each(|frame| write_frame(f, frame))?;
        links.iter().try_for_each(|link| write_link(f, link))?;
        let mut nodes = picture.nodes.iter().zip(boxes);
        nodes.try_for_each(|(node, placed)| write_box(f, node, placed))?;
        f.write_str("</svg>\n")
    }
}

fn write_rect(f: &mut fmt::Formatter<'_>, rect: Rect) -> fmt::Result {
    let Rect { x, y, width, height } = rect;
    write!(f, " x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"")
}

fn write_text(f: &mut fmt::Formatter<'_>, (x, y): (i32, i32), bold: bool, text: &str) -> fmt::Result {
    let weight = if bold { " font-weight=\"bold\"" } else { "" };
    writeln!(f, "<text x=\"{x}\" y=\"{y}\" fill=\"#14161a\"{weight}>{}</text>", Escaped(text))
}

/// Lines one below the other, the first ones bold.
fn write_lines(
    f: &mut fmt::Formatter<'_>,
    x: i32,
    top: i32,
    (bold, plain): (Option<&[String]>, Option<&[String]>),
) -> fmt::Result {
    let bold = bold.into_iter().flatten().map(|line| (line, true));
    let plain = plain.into_iter().flatten().map(|line| (line, false));
    let mut y = top + BASELINE;
    for (line, is_bold) in bold.chain(plain) {
        write_text(f, (x, y), is_bold, line)?;
        y += LINE;
    }
    Ok(())
}

fn write_frame(f: &mut fmt::Formatter<'_>, frame: &Frame) -> fmt::Result {
    f.write_str(
        "<rect class=\"frame\" rx=\"6\" fill=\"#f6f7f9\" stroke=\"#667085\" stroke-dasharray=\"5 4\"",
    )?;
    write_rect(f, frame.rect)?;
    f.write_str("/>\n")?;
    write_text(f, (frame.rect.x + PADDING, frame.rect.y + BASELINE + 6), true, &frame.title)
}

fn write_box(f: &mut fmt::Formatter<'_>, node: &Node, placed: &Placed) -> fmt::Result {
    let (class, fill, stroke) = colours(node.kind);
    let radius = if matches!(node.kind, NodeKind::Delivered | NodeKind::Lost) { 12 } else { 3 };
    f.write_str("<g>\n")?;
    if let Some(rule) = &node.rule {
        writeln!(f, "<title>{}</title>", Escaped(rule))?;
    }
    write!(f, "<rect class=\"{class}\" rx=\"{radius}\" fill=\"{fill}\" stroke=\"{stroke}\"")?;
    write_rect(f, placed.rect)?;
    f.write_str("/>\n")?;
    let (x, top) = (placed.rect.x + PADDING, placed.rect.y + PADDING);
    write_lines(f, x, top, (Some(&placed.title[..]), Some(&placed.lines[..])))?;
    f.write_str("</g>\n")
}

/// The class of a box, and its colours on light paper.
fn colours(kind: NodeKind) -> (&'static str, &'static str, &'static str) {
    match kind {
        NodeKind::Packet => ("packet", "#dce6fb", "#2f55b8"),
        NodeKind::Chain | NodeKind::Route => ("chain", "#ffffff", "#667085"),
        NodeKind::Lookup | NodeKind::Update => ("set", "#fdf1c7", "#8a6a00"),
        NodeKind::Mark | NodeKind::Masquerade => ("mark", "#eee0fb", "#7038a8"),
        NodeKind::Backend | NodeKind::Backends | NodeKind::Delivered => ("good", "#d9f2df", "#1f7a3d"),
        NodeKind::Lost => ("bad", "#fbdcdc", "#b3261e"),
    }
}

fn write_link(f: &mut fmt::Formatter<'_>, link: &Link) -> fmt::Result {
    let (x, y) = link.start;
    write!(f, "<path class=\"edge\" fill=\"none\" stroke=\"#475467\" d=\"M{x} {y}")?;
    let (end_x, end_y) = link.end;
    let mut at = link.start;
    for run in &link.runs {
        let middle = i32::midpoint(at.0, run.from);
        if at != (run.from, run.y) {
            write!(f, "C{middle} {} {middle} {} {} {}", at.1, run.y, run.from, run.y)?;
        }
        if run.to != run.from {
            write!(f, "H{}", run.to)?;
        }
        at = (run.to, run.y);
    }
    if link.runs.is_empty() {
        write!(f, "V{end_y}")?;
    }
    f.write_str("\"/>\n")?;
    let (back, side) = (ARROW, ARROW / 2);
    let points = if link.runs.is_empty() {
        [(end_x, end_y), (end_x - side, end_y - back), (end_x + side, end_y - back)]
    } else {
        [(end_x, end_y), (end_x - back, end_y - side), (end_x - back, end_y + side)]
    };
    let [a, b, c] = points.map(|(x, y)| format!("{x},{y}"));
    writeln!(f, "<polygon class=\"head\" fill=\"#475467\" points=\"{a} {b} {c}\"/>")?;
    let Some(label) = &link.label else { return Ok(()) };
    f.write_str("<rect class=\"paper\" fill=\"#ffffff\"")?;
    write_rect(f, label.rect)?;
    f.write_str("/>\n")?;
    write_text(f, (label.rect.x, label.rect.y + BASELINE), false, &label.text)
}

/// Text between tags or in an attribute.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            c => f.write_char(c),
        })
    }
}
