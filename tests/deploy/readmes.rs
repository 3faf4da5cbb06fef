//! What the READMEs of deploy/ name must exist.

use std::fs;
use std::path::{Path, PathBuf};

use crate::manifests::OVERLAYS;
use crate::tools::{read, repository};

fn readmes(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            readmes(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

#[test]
fn every_command_names_files_that_exist() {
    let mut found = Vec::new();
    readmes(&repository("deploy"), &mut found);
    for readme in &found {
        let text = fs::read_to_string(readme).unwrap();
        let prompts = ["$ ", "# "];
        let commands =
            text.lines().filter(|line| prompts.iter().any(|prompt| line.trim_start().starts_with(prompt)));
        for word in commands.flat_map(str::split_whitespace).filter(|word| word.starts_with("deploy/")) {
            assert!(repository(word).exists(), "{}: {word}", readme.display());
        }
    }
}

#[test]
fn every_overlay_says_how_to_go_there_and_back() {
    for overlay in OVERLAYS {
        let readme = read(&format!("{overlay}/README.md"));
        for needed in ["\n## There\n", "\n## Back\n", &format!("kubectl apply --kustomize {overlay}\n")] {
            assert!(readme.contains(needed), "{overlay}: {needed}");
        }
    }
}
