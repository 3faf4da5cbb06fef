//! `svcnat trace -o dot` and `-o svg`: the exact pictures of some questions of `tests/trace/cases`, and what holds for all.
//!
//! `tests/trace/pictures/NAME` has the answers to the question of the case of that name, for both layouts and both modes:
//! `chains.dot`, `maps.svg` and so on. `BLESS=1 cargo test --test pictures` writes them anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "the golden tests need more of it")]
mod golden_support;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use golden_support::unified_diff;
use roxmltree::{Document, Node};
use serde_json::Value;

const TRACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trace");

/// What shapes the rules.
const SHAPES: [(&str, &[&str]); 3] = [
    ("chains", &["--layout", "chains"]),
    ("maps", &["--layout", "maps", "--backend-comments"]),
    ("iptables", &["--proxy-mode", "iptables"]),
];

/// A service port with so many backends behind 10.96.0.10:80.
struct Many(usize);

impl Many {
    fn manifests(&self) -> String {
        let mut yaml = "\
apiVersion: v1
kind: Service
metadata: {namespace: default, name: many}
spec: {clusterIP: 10.96.0.10, ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: default, name: many-1, labels: {kubernetes.io/service-name: many}}
addressType: IPv4
ports: [{port: 8080, name: http}]
endpoints:
"
        .to_owned();
        for i in 1..=self.0 {
            writeln!(yaml, "- addresses: [10.244.0.{i}]").unwrap();
        }
        yaml
    }
}

fn trace(manifests: &Path, question: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_svcnat"));
    command.env_remove("RUST_LOG").args(["trace", "--hostname-override", "worker-1", "-f"]).arg(manifests);
    let output = command.args(question).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{question:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The questions of all cases by their names; some say how the rules are shaped, which is asked otherwise here.
fn questions() -> Vec<(String, String)> {
    let cases = fs::read_dir(Path::new(TRACE).join("cases")).unwrap().map(|case| case.unwrap().path());
    let question = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().next().unwrap().strip_prefix("$ ").unwrap().to_owned()
    };
    let mut questions: Vec<(String, String)> =
        cases.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), question(&path))).collect();
    questions.sort();
    assert!(!questions.is_empty());
    questions
}

fn answer(question: &str, shape: &[&str], format: &str) -> String {
    let words: Vec<&str> = question.split_whitespace().chain(shape.iter().copied()).collect();
    trace(&Path::new(TRACE).join("cluster.yaml"), &[&words[..], &["-o", format]].concat())
}

#[test]
fn pictures_are_as_written_down() {
    let questions = questions();
    let mut failures = String::new();
    for folder in fs::read_dir(Path::new(TRACE).join("pictures")).unwrap() {
        let folder = folder.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let (_, question) = questions.iter().find(|(case, _)| case == name).expect("a case of that name");
        for (shape, options) in SHAPES {
            for format in ["dot", "svg"] {
                let path = folder.join(format!("{shape}.{format}"));
                let actual = answer(question, options, format);
                if env::var_os("BLESS").is_some() {
                    fs::write(&path, actual).unwrap();
                    continue;
                }
                let expected = fs::read_to_string(&path).unwrap();
                if actual != expected {
                    let diff = unified_diff("expected", &expected, "actual", &actual);
                    writeln!(failures, "{}:\n{diff}", path.display()).unwrap();
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn graphviz_draws_every_graph() {
    let graphs: Vec<String> = questions()
        .iter()
        .flat_map(|(_, question)| SHAPES.map(|(_, shape)| answer(question, shape, "dot")))
        .collect();
    let mut dot = Command::new("dot");
    let dot = dot.arg("-Tsvg").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = dot.spawn().expect("the program dot");
    let mut input = child.stdin.take().unwrap();
    let text = graphs.concat();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let svg = String::from_utf8(output.stdout).unwrap();
    let drawn: Vec<&str> = svg.split("</svg>").filter(|svg| svg.contains("<svg")).collect();
    assert_eq!(drawn.len(), graphs.len());
    for (svg, graph) in drawn.iter().zip(&graphs) {
        let count = |text: &str, class: &str| text.matches(&format!("class=\"{class}\"")).count();
        assert_eq!(
            count(svg, "node"),
            graph.lines().filter(|line| line.contains(" [label=") && !line.contains("->")).count()
        );
        assert_eq!(count(svg, "edge"), graph.matches(" -> n").count());
        assert_eq!(count(svg, "cluster"), graph.matches("subgraph ").count());
    }
}

#[derive(Debug, Clone, Copy)]
struct Rect {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Rect {
    fn of(element: Node<'_, '_>) -> Self {
        let number = |name| element.attribute(name).unwrap().parse::<f64>().unwrap();
        let (left, top) = (number("x"), number("y"));
        Self { left, top, right: left + number("width"), bottom: top + number("height") }
    }

    fn overlaps(self, other: Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn holds(self, x: f64, y: f64) -> bool {
        (self.left..=self.right).contains(&x) && (self.top..=self.bottom).contains(&y)
    }
}

/// What is to be seen in a picture: the texts of its boxes, by box.
fn look_at(svg: &str) -> Vec<String> {
    let document = Document::parse(svg).unwrap_or_else(|error| panic!("{error}: {svg}"));
    let root = document.root_element();
    let first: Vec<&str> =
        root.children().filter(Node::is_element).map(|node| node.tag_name().name()).collect();
    assert_eq!(first[..2], ["title", "desc"]);
    for element in document.descendants().filter(Node::is_element) {
        let name = element.tag_name().name();
        let known = ["svg", "title", "desc", "style", "rect", "text", "g", "path", "polygon"];
        assert!(known.contains(&name), "{name} may need something from elsewhere");
        let refers = |text: &str| text.contains("url(") || text.contains("@import");
        let links = |name: &str, value: &str| name == "href" || name.starts_with("on") || refers(value);
        assert!(!element.attributes().any(|a| links(a.name(), a.value())), "{element:?}");
        assert!(!element.text().is_some_and(refers), "{element:?}");
    }
    let groups = root.children().filter(|node| node.has_tag_name("g"));
    let boxes: Vec<(Rect, Vec<Node<'_, '_>>)> = groups
        .map(|group| {
            let rect = group.children().find(|node| node.has_tag_name("rect")).unwrap();
            (Rect::of(rect), group.children().filter(|node| node.has_tag_name("text")).collect())
        })
        .collect();
    for (index, (rect, texts)) in boxes.iter().enumerate() {
        assert!(!boxes[..index].iter().any(|(other, _)| other.overlaps(*rect)), "{rect:?}: {svg}");
        for text in texts {
            let number = |name| text.attribute(name).unwrap().parse::<f64>().unwrap();
            // The widest of the common monospaced fonts, DejaVu Sans Mono, has 0.602 em; it is drawn at 13 pixels.
            let wide = text.text().unwrap().chars().count() as f64 * 13.0 * 0.61;
            let (x, y) = (number("x"), number("y"));
            assert!(rect.holds(x, y - 11.0) && rect.holds(x + wide, y + 4.0), "{text:?}: {svg}");
        }
    }
    let words = |texts: &[Node<'_, '_>]| texts.iter().filter_map(Node::text).collect::<Vec<_>>().join("\n");
    boxes.iter().map(|(_, texts)| words(texts)).collect()
}

#[test]
fn boxes_hold_their_text_and_show_every_way() {
    for (name, question) in questions() {
        for (shape, options) in SHAPES {
            let boxes = look_at(&answer(&question, options, "svg"));
            let json: Value = serde_json::from_str(&answer(&question, options, "json")).unwrap();
            // Wherever the lines end.
            let bare = |text: &str| text.split_whitespace().collect::<String>();
            let shown = |text: &str| boxes.iter().any(|shown| bare(shown).contains(&bare(text)));
            for outcome in json["outcomes"].as_array().unwrap() {
                for part in ["destination", "pod", "fate"] {
                    let text = outcome[part].as_str().unwrap_or_default();
                    assert!(shown(text), "{name}, {shape}: {text}: {boxes:#?}");
                }
                assert!(
                    outcome["masqueraded"] == false || shown("masqueraded"),
                    "{name}, {shape}: {boxes:#?}"
                );
                for step in outcome["path"].as_array().unwrap() {
                    for part in ["chain", "set"] {
                        let text = step[part].as_str().unwrap_or_default();
                        assert!(shown(text), "{name}, {shape}: {text}: {boxes:#?}");
                    }
                }
            }
        }
    }
}

#[test]
fn many_backends_are_a_few_boxes_and_one_for_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.yaml");
    let check = |count: usize, alone: usize, others: Option<&str>, shares: [&str; 3]| {
        fs::write(&path, Many(count).manifests()).unwrap();
        for ((shape, options), share) in SHAPES.iter().zip(shares) {
            let question =
                ["tcp", "10.244.3.9", "10.96.0.10:80", "--local-address", "192.168.1.2", "-o", "svg"];
            let boxes = look_at(&trace(&path, &[&question[..], options].concat()));
            let backends = boxes.iter().filter(|text| text.starts_with("10.244.0.")).count();
            assert_eq!(backends, alone, "{count}, {shape}: {boxes:#?}");
            let found: Vec<&str> =
                boxes.iter().filter(|text| text.contains("more backends")).map(String::as_str).collect();
            let expected: Vec<String> =
                others.iter().map(|others| format!("{others}\neach with {share}")).collect();
            assert_eq!(found, expected, "{count}, {shape}");
            assert!(boxes.iter().any(|text| text.contains(&format!("draws one of {count} backends"))));
            assert!(
                boxes.iter().any(|text| text.replace('\n', " ").contains("Service default/many port http"))
            );
        }
    };
    check(12, 12, None, ["", "", ""]);
    // One box for one backend would say less.
    check(13, 13, None, ["", "", ""]);
    check(14, 12, Some("2 more backends"), ["1/14", "7.14 %", "7.14 %"]);
    check(50, 12, Some("38 more backends"), ["1/50", "2.00 %", "2.00 %"]);
}

#[test]
fn the_help_says_how_many_backends_are_shown() {
    let help = Command::new(env!("CARGO_BIN_EXE_svcnat")).args(["trace", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let shown = svcnat_rules::explain::picture::SHOWN_BACKENDS;
    let words: Vec<&str> = help.split_whitespace().collect();
    assert!(words.join(" ").contains(&format!("Of more than {shown} backends")), "{help}");
}
