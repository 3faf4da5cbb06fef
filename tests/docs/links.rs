//! What the documents link to is there.

use std::fs;
use std::path::{Path, PathBuf};

/// Where documents are.
const FOLDERS: [&str; 2] = ["docs", "deploy"];

/// All Markdown files of the repository that are documents.
pub fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![root.join("README.md"), root.join("ARCHITECTURE.md")];
    FOLDERS.iter().for_each(|folder| find(&root.join(folder), &mut found));
    found
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The targets of links to files and to headings.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target).filter(|target| !target.starts_with("http"))
}

/// How headings are linked to: small letters, a dash for each blank, no punctuation.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    let heading = |line: &str| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let letters = words.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        letters.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(heading).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let mut count = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for target in targets(&text) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { document.clone() } else { document.parent().unwrap().join(file) };
            assert!(file.exists(), "{}: {target}", document.display());
            if !anchor.is_empty() {
                let known = anchors(&fs::read_to_string(&file).unwrap());
                assert!(
                    known.iter().any(|known| known == anchor),
                    "{}: {target}: {known:?}",
                    document.display()
                );
            }
            count += 1;
        }
    }
    assert!(count > 20, "{count} links");
}
