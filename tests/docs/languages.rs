//! The quick start is the same in both languages.

use crate::documents::read;
use crate::markdown::steps;

const ENGLISH: &str = "docs/quick-start.md";
const KOREAN: &str = "docs/quick-start.ko.md";

/// A document without its words: headings by their depth, list entries, and the targets of links, from top to bottom.
fn skeleton(document: &str) -> Vec<String> {
    let text = read(document);
    let mut found = Vec::new();
    for line in text.lines() {
        let depth = line.chars().take_while(|c| *c == '#').count();
        if depth > 1 {
            found.push(line.chars().take_while(|c| !c.is_alphabetic()).collect());
        } else if line.starts_with("- ") {
            found.push("- ".to_owned());
        }
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        let others = targets.map(|(target, _)| target).filter(|target| !target.starts_with("quick-start."));
        found.extend(others.map(str::to_owned));
    }
    found
}

#[test]
fn both_languages_have_the_same_commands_with_the_same_output() {
    let without_lines = |document| {
        let steps = steps(&read(document)).unwrap();
        steps.into_iter().map(|step| (step.command, step.code, step.expected)).collect::<Vec<_>>()
    };
    assert_eq!(without_lines(ENGLISH), without_lines(KOREAN));
}

#[test]
fn both_languages_have_the_same_chapters_and_links() {
    assert_eq!(skeleton(ENGLISH), skeleton(KOREAN));
}
