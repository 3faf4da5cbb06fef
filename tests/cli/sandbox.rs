//! Running programs in a network namespace of a test's own.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

/// The program under test.
pub const SVCNAT: &str = env!("CARGO_BIN_EXE_svcnat");

/// What a program did.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

/// Does something in a network namespace of its own, which ends with it.
pub fn sandbox<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let result = thread::scope(|scope| {
        let worker = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            work()
        });
        worker.join()
    });
    result.unwrap_or_else(|reason| panic::resume_unwind(reason))
}

/// Runs a program with something on its standard input.
pub fn run(program: &str, arguments: &[&str], input: &str) -> Run {
    let mut command = Command::new(program);
    // Colours and levels are the operator's, not ours.
    command.args(arguments).env_remove("RUST_LOG");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || match stdin.write_all(input.as_bytes()) {
            // Not everyone reads it.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => panic!("{error}"),
            _ => {}
        });
        Run::from(child.wait_with_output().unwrap())
    })
}

/// `svcnat ARGUMENTS`
pub fn svcnat(arguments: &[&str]) -> Run {
    run(SVCNAT, arguments, "")
}

/// `svcnat COMMAND -f PATH` on node-a with cluster CIDRs, which must go well; what it says.
pub fn on_node_a(command: &str, path: &Path, more: &[&str]) -> String {
    let head = [command, "-f", path.to_str().unwrap(), "--hostname-override", "node-a"];
    let run = svcnat(&[&head[..], &["--cluster-cidr", "10.244.0.0/16,fd00:10:244::/48"], more].concat());
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{command} {more:?}");
    run.out
}

/// `nft ARGUMENTS` with a script on standard input, which must go well; what it prints.
pub fn nft(arguments: &[&str], script: &str) -> String {
    let run = run("nft", arguments, script);
    assert_eq!(run.code, Some(0), "nft {arguments:?} {}: {script}", run.err);
    run.out
}

/// `nft list ruleset`
pub fn listing() -> String {
    nft(&["list", "ruleset"], "")
}

/// Files with these names and contents.
pub fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

/// The manifests of a golden case.
pub fn golden(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(case)
}
