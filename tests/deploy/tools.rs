//! Files of deploy/, and the programs that read them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// A file or folder of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The content of a file in the repository.
#[track_caller]
pub fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs a program in the root of the repository, which must go well; what it prints.
#[track_caller]
pub fn run(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    // The operator's cluster is not ours.
    command.args(arguments).current_dir(repository("")).env("KUBECONFIG", "/dev/null");
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; `make deps` says what is missing"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether there is a kubectl that knows overlays as they are written today. Debian 12 has none, and what cannot be
/// rendered is not checked there; this says so.
#[expect(clippy::print_stderr, reason = "clippy does not see that helpers are tests")]
pub fn has_kubectl() -> bool {
    static FOUND: LazyLock<bool> = LazyLock::new(|| {
        let version = Command::new("kubectl").args(["version", "--client"]).output();
        let found = version.is_ok_and(|output| {
            let said = String::from_utf8_lossy(&output.stdout);
            said.lines().filter_map(|line| line.strip_prefix("Kustomize Version: v")).any(|v| v >= "5")
        });
        if !found {
            eprintln!(
                "NOT CHECKED: the manifests of deploy/, for want of a kubectl of version 1.27 or later"
            );
        }
        found
    });
    *FOUND
}

/// `kubectl kustomize FOLDER`: the objects as YAML. What kustomize warns of, deprecated fields for one, is an error.
#[track_caller]
pub fn kustomize(folder: &str) -> String {
    let output = Command::new("kubectl").args(["kustomize", folder]).current_dir(repository("")).output();
    let output = output.expect("kubectl: `make deps` says which one is needed");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{folder}");
    assert!(output.status.success(), "{folder}");
    String::from_utf8(output.stdout).unwrap()
}

/// Documents of YAML.
#[track_caller]
pub fn yaml(text: &str) -> Vec<serde_json::Value> {
    let documents = text.split("\n---\n");
    documents
        .map(|document| {
            serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{error}: {document}"))
        })
        .collect()
}
