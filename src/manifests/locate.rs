//! Finding the lines of fields.
//!
//! Objects are read without their positions, which would cost time and memory for every field of every object. Where
//! something is wrong, the document is walked once more for the lines of the fields at fault. JSON is YAML as well, so
//! one walk serves both.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Parser};

/// The line, counted from 1 within the text, of each path. Where a path does not exist in the text, as with a missing
/// field, it is the line of the nearest parent that does.
pub(crate) fn lines<'a>(text: &str, paths: impl IntoIterator<Item = &'a str>) -> Vec<Option<u64>> {
    let paths: Vec<&str> = paths.into_iter().collect();
    let mut walk = Walk { wanted: HashMap::new(), path: String::new(), frames: Vec::new() };
    for path in &paths {
        for ancestor in ancestors(path) {
            walk.wanted.insert(ancestor, None);
        }
    }
    for event in Parser::new_from_str(text) {
        // Beyond a syntax error nothing can be found; what was found before it counts.
        let Ok((event, span)) = event else { break };
        walk.step(&event, span.start.line() as u64);
    }
    let line = |path| ancestors(path).find_map(|ancestor| walk.wanted.get(ancestor).copied().flatten());
    paths.into_iter().map(line).collect()
}

/// The path and its parents, the nearest first, the document's root left out.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| parent(path)).filter(|path| !path.is_empty())
}

fn parent(path: &str) -> Option<&str> {
    path.rfind(['.', '[']).and_then(|end| path.get(..end))
}

struct Walk<'a> {
    wanted: HashMap<&'a str, Option<u64>>,
    /// The path of the node being read.
    path: String,
    frames: Vec<Frame>,
}

/// An open collection, with the length of its own path.
enum Frame {
    Mapping { base: usize, at_key: bool },
    Sequence { base: usize, index: usize },
}

impl Walk<'_> {
    fn step(&mut self, event: &Event<'_>, line: u64) {
        match event {
            Event::Scalar(text, ..) => self.leaf(text, line),
            // What an alias stands for is elsewhere; its own line is where whoever reads the error looks first.
            Event::Alias(_) => self.leaf("*", line),
            Event::MappingStart(..) => {
                self.enter("?", line);
                self.frames.push(Frame::Mapping { base: self.path.len(), at_key: true });
            }
            Event::SequenceStart(..) => {
                self.enter("?", line);
                self.frames.push(Frame::Sequence { base: self.path.len(), index: 0 });
            }
            Event::MappingEnd | Event::SequenceEnd => {
                self.frames.pop();
                self.leave();
            }
            _ => {}
        }
    }

    fn leaf(&mut self, text: &str, line: u64) {
        self.enter(text, line);
        self.leave();
    }

    /// Begins a node: a key, the value of the last key, or the next entry of a sequence. `key` is its text if it turns
    /// out to be a key. A field's line is that of its key.
    fn enter(&mut self, key: &str, line: u64) {
        match self.frames.last() {
            Some(Frame::Mapping { base, at_key: true }) => {
                self.path.truncate(*base);
                if *base > 0 {
                    self.path.push('.');
                }
                self.path.push_str(key);
            }
            Some(Frame::Sequence { base, index }) => {
                self.path.truncate(*base);
                self.path.push_str(&format!("[{index}]"));
            }
            _ => return,
        }
        if let Some(found) = self.wanted.get_mut(self.path.as_str()) {
            found.get_or_insert(line);
        }
    }

    /// Ends a node.
    fn leave(&mut self) {
        match self.frames.last_mut() {
            Some(Frame::Mapping { at_key, .. }) => *at_key = !*at_key,
            Some(Frame::Sequence { index, .. }) => *index += 1,
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_where_its_key_stands() {
        let yaml = "---\nkind: Service\nspec:\n  ports:\n  # a comment\n  - port: 0\n    name: web\n  - {port: 1,\n    \
                    name: x}\n  x: &a {y: 1}\n  z: *a\n  ? [a, b]\n  : c\nmetadata:\n  labels:\n    a.b/c: d\n";
        let json = "{\n \"kind\": \"List\",\n\t\"items\": [\n {\"a\": 1},\n {\"a\":\n [1,\n 2]}]}";
        let check = |text: &str, path: &str, expected: Option<u64>| {
            assert_eq!(lines(text, [path]), [expected], "{path}");
        };
        check(yaml, "kind", Some(2));
        check(yaml, "spec.ports", Some(4));
        check(yaml, "spec.ports[0].port", Some(6));
        check(yaml, "spec.ports[0].name", Some(7));
        check(yaml, "spec.ports[1]", Some(8));
        check(yaml, "spec.ports[1].name", Some(9));
        check(yaml, "spec.ports[1].protocol", Some(8));
        check(yaml, "spec.z.y", Some(11));
        check(yaml, "metadata.labels.a.b/c", Some(16));
        check(yaml, "metadata.labels.kubernetes.io/service-name", Some(15));
        check(yaml, "metadata.name", Some(14));
        check(yaml, "apiVersion", None);
        check(json, "items[1].a[1]", Some(7));
        check(json, "items[0].b", Some(4));
        check("a: 1\nb: \"", "b", Some(2));
        check("a: 1\n\t- c: [\nd: 1", "d", None);
    }
}
