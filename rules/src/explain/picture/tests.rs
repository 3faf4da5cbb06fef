//! Whatever a graph looks like, everything in its picture can be seen.

use proptest::prelude::*;

use super::drawing::{LINE, PADDING};
use super::words::width;
use super::{Drawing, Edge, Node, NodeKind, Picture, Rect};
use crate::ruleset::Hook;

const HOOKS: [Hook; 6] =
    [Hook::Output, Hook::Prerouting, Hook::Input, Hook::Forward, Hook::Postrouting, Hook::Input];

/// How far on the way something is, and at which hook.
type Stage = (usize, Option<usize>);

/// Nodes in stages, each of which is a hook, one of two that exclude each other, or outside of hooks.
fn pictures() -> impl Strategy<Value = Picture> {
    let node = (
        0_usize..3,
        0_usize..3,
        "[a-z/\u{ac00}-\u{ac10}]{1,90}",
        prop::collection::vec("[a-z .]{0,70}", 0..4),
    );
    let edges = prop::collection::vec((0_usize..24, 0_usize..24, prop::option::of("[0-9/]{1,9}")), 0..40);
    (prop::collection::vec(node, 2..24), edges).prop_map(|(described, wanted)| {
        let mut stage = 0;
        let (mut nodes, mut stages) = (Vec::new(), Vec::new());
        for (advance, branch, title, lines) in described {
            stage = (stage + advance / 2).min(HOOKS.len());
            // Every other stage has two hooks.
            let hook = match stage % 3 {
                0 => None,
                1 => Some(stage - 1),
                _ => Some(stage - 1 + branch % 2),
            };
            let hook = hook.filter(|hook| *hook < HOOKS.len());
            stages.push((stage, hook));
            nodes.push(Node { kind: NodeKind::Chain, hook, title, lines, rule: None });
        }
        let mut edges: Vec<Edge> = Vec::new();
        let every = (1..nodes.len()).map(|to| (to - 1, to, None));
        for (a, b, share) in every.chain(wanted) {
            let (from, to) = (a.min(b), a.max(b));
            let may = |(from, to): (&Stage, &Stage)| from.0 < to.0 || (from.1 == to.1 && from.1.is_some());
            let is_new = !edges.iter().any(|edge| (edge.from, edge.to) == (from, to));
            if from != to && is_new && stages.get(from).zip(stages.get(to)).is_some_and(may) {
                edges.push(Edge { from, to, share });
            }
        }
        edges.sort_by_key(|edge| (edge.from, edge.to));
        Picture {
            title: "packet".to_owned(),
            text: vec!["why.".to_owned()],
            hooks: HOOKS.to_vec(),
            nodes,
            edges,
        }
    })
}

fn overlap(a: Rect, b: Rect) -> bool {
    a.x < b.right() && b.x < a.right() && a.y < b.bottom() && b.y < a.bottom()
}

fn holds(outer: Rect, inner: Rect) -> bool {
    outer.x <= inner.x
        && outer.y <= inner.y
        && inner.right() <= outer.right()
        && inner.bottom() <= outer.bottom()
}

/// What a part of a line covers.
fn covered(x: (i32, i32), y: (i32, i32)) -> Rect {
    let (top, bottom) = (y.0.min(y.1), y.0.max(y.1));
    Rect { x: x.0, y: top, width: x.1 - x.0, height: bottom - top + 1 }
}

fn pairs<T>(items: &[T]) -> impl Iterator<Item = (&T, &T)> {
    items.iter().enumerate().flat_map(|(index, a)| items.iter().skip(index + 1).map(move |b| (a, b)))
}

fn check(picture: &Picture) -> Result<(), TestCaseError> {
    let drawing = Drawing::of(picture);
    let Drawing { width: w, height: h, frames, boxes, links, .. } = &drawing;
    let whole = Rect { x: 0, y: 0, width: *w, height: *h };
    for (a, b) in pairs(boxes) {
        prop_assert!(!overlap(a.rect, b.rect), "{a:?} {b:?}");
    }
    for (a, b) in pairs(frames) {
        prop_assert!(!overlap(a.rect, b.rect), "{a:?} {b:?}");
    }
    for (node, placed) in picture.nodes.iter().zip(boxes) {
        let lines = placed.title.iter().chain(&placed.lines);
        let room = placed.rect.width - 2 * PADDING;
        prop_assert!(lines.clone().all(|line| width(line) <= room), "{placed:?}");
        prop_assert!(LINE * i32::try_from(lines.count()).unwrap() <= placed.rect.height - 2 * PADDING);
        prop_assert!(holds(whole, placed.rect), "{placed:?}");
        let at: Vec<bool> = frames.iter().map(|frame| overlap(frame.rect, placed.rect)).collect();
        prop_assert_eq!(at.iter().filter(|is_at| **is_at).count(), usize::from(node.hook.is_some()));
    }
    prop_assert_eq!(links.len(), picture.edges.len());
    for link in links {
        let mut parts: Vec<Rect> = Vec::new();
        let mut at = link.start;
        for run in &link.runs {
            prop_assert!(at.0 <= run.from && run.from <= run.to, "{link:?}");
            parts.extend([
                covered((at.0, run.from), (at.1, run.y)),
                covered((run.from, run.to), (run.y, run.y)),
            ]);
            at = (run.to, run.y);
        }
        if link.runs.is_empty() {
            parts.push(covered((at.0, at.0), (at.1, link.end.1 - 1)));
            at = link.end;
        }
        prop_assert_eq!(at, link.end);
        for part in &parts {
            prop_assert!(holds(whole, *part), "{link:?}");
            prop_assert!(!boxes.iter().any(|placed| overlap(placed.rect, *part)), "{link:?} {boxes:?}");
        }
    }
    // Pieces between the first and the last have lanes of their own.
    let lanes = links.iter().flat_map(|link| link.runs.iter().skip(1).rev().skip(1));
    let lanes: Vec<Rect> = lanes.map(|run| covered((run.from, run.to), (run.y, run.y))).collect();
    for (a, b) in pairs(&lanes) {
        prop_assert!(!overlap(*a, *b), "{a:?} {b:?}");
    }
    let labels: Vec<Rect> =
        links.iter().filter_map(|link| link.label.as_ref()).map(|label| label.rect).collect();
    for (a, b) in pairs(&labels) {
        prop_assert!(!overlap(*a, *b), "{a:?} {b:?}");
    }
    prop_assert!(!labels.iter().any(|label| boxes.iter().any(|placed| overlap(placed.rect, *label))));
    Ok(())
}

proptest! {
    #[test]
    fn no_box_label_or_line_is_over_another_box(picture in pictures()) {
        check(&picture)?;
    }
}

#[test]
fn what_documents_take_for_their_own_is_escaped() {
    let node = |title: &str, rule: Option<&str>| Node {
        kind: NodeKind::Backend,
        hook: None,
        title: title.to_owned(),
        lines: Vec::new(),
        rule: rule.map(str::to_owned),
    };
    let picture = Picture {
        title: "a<b>".to_owned(),
        text: vec!["\"&\\\"".to_owned()],
        hooks: Vec::new(),
        nodes: vec![node("</text>&amp;", Some("comment \"x\\\"")), node("]\";", None)],
        edges: vec![Edge { from: 0, to: 1, share: Some("1/2".to_owned()) }],
    };
    let svg = picture.svg().to_string();
    assert!(svg.contains("<title>a&lt;b&gt;</title>\n<desc>&quot;&amp;\\&quot;</desc>"), "{svg}");
    assert!(svg.contains(">&lt;/text&gt;&amp;amp;</text>"), "{svg}");
    let dot = picture.dot().to_string();
    assert!(
        dot.contains(r##"n0 [label="</text>&amp;amp;", fillcolor="#d9f2df", tooltip="comment \"x\\\""]"##),
        "{dot}"
    );
    assert!(dot.contains(r##"n1 [label="]\";", "##), "{dot}");
    assert!(dot.contains(r##"n0 -> n1 [label="1/2"]"##), "{dot}");
}
