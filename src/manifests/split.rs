//! Splitting a file into documents.
//!
//! YAML ends a document at a line that begins with `---` or `...` (YAML 1.2.2, 9.1.2): such a line can stand neither
//! in a quoted nor in a block scalar. So the split needs no parser, and a document that cannot be parsed hides none of
//! those after it. JSON has no such line outside of a value.

/// A document that is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Document<'a> {
    /// Its text, with the `---` line before it.
    pub text: &'a str,
    /// The line of the file that the text begins with, counted from 1.
    pub first_line: u64,
    /// The first line of the file with content of it.
    pub content_line: u64,
}

/// The documents of a file without those that hold nothing but blanks, comments and directives.
pub(crate) fn documents(text: &str) -> Vec<Document<'_>> {
    let mut documents = Vec::new();
    let mut open = Open { start: 0, first_line: 1, content_line: None };
    let mut offset = 0;
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        if is_marker(line, "---") || is_marker(line, "...") {
            documents.extend(open.close(text, offset));
            open = Open { start: offset, first_line: number, content_line: None };
        }
        if is_marker(line, "...") {
            // The rest of this line belongs to no document.
            open = Open { start: offset + line.len(), first_line: number + 1, content_line: None };
        } else if has_content(line) {
            open.content_line.get_or_insert(number);
        }
        offset += line.len();
    }
    documents.extend(open.close(text, offset));
    documents
}

/// The document that the lines being read belong to.
struct Open {
    start: usize,
    first_line: u64,
    content_line: Option<u64>,
}

impl Open {
    fn close<'a>(&self, text: &'a str, end: usize) -> Option<Document<'a>> {
        let text = text.get(self.start..end)?;
        Some(Document { text, first_line: self.first_line, content_line: self.content_line? })
    }
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn has_content(line: &str) -> bool {
    let content = if is_marker(line, "---") { line.get(3..).unwrap_or_default() } else { line };
    let content = content.trim_matches([' ', '\t', '\r', '\n', '\u{feff}']);
    !(content.is_empty() || content.starts_with('#') || line.starts_with('%'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_end_at_markers_and_empty_ones_are_none() {
        let check = |text: &str, expected: &[(&str, u64, u64)]| {
            let found: Vec<_> = documents(text)
                .iter()
                .map(|found| (found.text, found.first_line, found.content_line))
                .collect();
            assert_eq!(found, expected, "{text:?}");
        };
        check("", &[]);
        check("\n# comment\n---\n---\n \n...\n", &[]);
        check("\u{feff}\n%YAML 1.2\n---\n", &[]);
        check("a: 1", &[("a: 1", 1, 1)]);
        check("# one\na: 1\n---\nb: 2\n", &[("# one\na: 1\n", 1, 2), ("---\nb: 2\n", 3, 4)]);
        check("--- {a: 1}\n--- # two\nb: 2", &[("--- {a: 1}\n", 1, 1), ("--- # two\nb: 2", 2, 3)]);
        check("a: 1\r\n---\r\nb: 2", &[("a: 1\r\n", 1, 1), ("---\r\nb: 2", 2, 3)]);
        check("a: 1\n...\nb: 2", &[("a: 1\n", 1, 1), ("b: 2", 3, 3)]);
        check("a: |\n  ---\n  b\n----\n", &[("a: |\n  ---\n  b\n----\n", 1, 1)]);
    }
}
