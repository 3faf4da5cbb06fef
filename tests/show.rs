//! `svcnat services` and `svcnat backends`: the exact answers.
//!
//! `tests/show/cases/NAME` is a session: each line that begins with `$ ` is run by a shell in the root of the repository, all of a
//! session in one network namespace of its own, and what follows is what the command says, and its exit code where that is
//! not 0. `BLESS=1 cargo test --test show` writes the answers anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "the golden tests need more of it")]
mod golden_support;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use golden_support::{in_namespace, list, unified_diff};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Every session, in the order of their names.
fn sessions() -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(ROOT).join("tests/show/cases")).unwrap();
    let mut sessions: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    sessions.sort();
    assert!(!sessions.is_empty(), "there are no sessions");
    sessions
}

/// Runs a command, in which `svcnat` is the one that was just built; what it says.
fn run(command: &str) -> String {
    let programs = Path::new(env!("CARGO_BIN_EXE_svcnat")).parent().unwrap().to_owned();
    let mut path = vec![programs];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap()));
    let mut shell = Command::new("sh");
    // CI counts as a terminal with colours, whatever TERM says.
    for variable in ["RUST_LOG", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
        shell.env_remove(variable);
    }
    let path = env::join_paths(path).unwrap();
    let output =
        shell.current_dir(ROOT).env("PATH", path).env("TERM", "xterm").args(["-c", command]).output();
    let output = output.unwrap();
    let mut said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    match output.status.code() {
        Some(0) => {}
        Some(code) => writeln!(said, "exit code {code}").unwrap(),
        None => panic!("{command}: {}", output.status),
    }
    said
}

#[test]
fn answers_are_as_written_down() {
    let failures: Vec<String> = sessions()
        .iter()
        .filter_map(|session| {
            let expected = fs::read_to_string(session).unwrap();
            let commands: Vec<&str> = expected.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
            let actual = in_namespace(|| {
                Ok(commands
                    .iter()
                    .map(|command| format!("$ {command}\n{}", run(command)))
                    .collect::<String>())
            });
            let actual = actual.unwrap();
            if env::var_os("BLESS").is_some() {
                fs::write(session, &actual).unwrap();
            }
            let same = actual == expected || env::var_os("BLESS").is_some();
            (!same).then(|| {
                format!("{}\n{}", session.display(), unified_diff("expected", &expected, "actual", &actual))
            })
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn who_only_looks_changes_nothing() {
    in_namespace(|| {
        run("svcnat apply -f golden/external-policy-local --hostname-override node-a");
        let before = list()?;
        for command in ["svcnat services -A --kernel", "svcnat backends web --kernel", "svcnat check"] {
            assert!(!run(command).contains("exit code"), "{command}");
        }
        assert_eq!(list()?, before);
        Ok(())
    })
    .unwrap();
}

#[test]
fn only_terminals_that_want_it_get_colours() {
    let check = |command: &str, coloured: bool| {
        let said = run(command);
        assert!(said.contains("default"), "{command}: {said}");
        // What is wrong is red: there is no backend.
        assert_eq!(said.contains("\x1b[31m0\x1b[0m"), coloured, "{command}: {said}");
        assert_eq!(said.contains('\x1b'), coloured, "{command}: {said}");
    };
    let in_terminal = "script -qec 'svcnat services -A -f golden/no-endpoints' /dev/null";
    check(in_terminal, true);
    check(&format!("NO_COLOR=1 {in_terminal}"), false);
    check("svcnat services -A -f golden/no-endpoints", false);
}
