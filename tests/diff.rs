//! `svcnat diff`: the exact patches between manifests and what a kernel holds, in both layouts.
//!
//! `tests/diff/cases/NAME/commands` is run by a shell in `tests/diff`, in a network namespace of its own; the last line is the
//! one that asks for the patch. `chains` and `maps`, which are `$LAYOUT`, hold its exit code and output. `BLESS=1 cargo
//! test --test diff` writes them anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "the golden tests need more of it")]
mod golden_support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use golden_support::{in_namespace, list, load, unified_diff};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/diff");
const OPTIONS: &str = "--hostname-override node-a --cluster-cidr 10.244.0.0/16";
/// A layout and the other one.
const LAYOUTS: [[&str; 2]; 2] = [["chains", "maps"], ["maps", "chains"]];

/// A case in one layout.
struct Case {
    folder: PathBuf,
    layouts: [&'static str; 2],
}

impl Case {
    fn all() -> Vec<Self> {
        let entries = fs::read_dir(Path::new(FOLDER).join("cases")).unwrap();
        let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        assert!(!folders.is_empty(), "there are no cases");
        let case = |folder: &PathBuf, layouts| Self { folder: folder.clone(), layouts };
        folders.iter().flat_map(|folder| LAYOUTS.map(|layouts| case(folder, layouts))).collect()
    }

    fn expected(&self) -> PathBuf {
        self.folder.join(self.layouts[0])
    }

    /// Brings the kernel of this namespace into the state that the case begins with and returns the command that asks.
    fn prepare(&self) -> Result<String, String> {
        let text = fs::read_to_string(self.folder.join("commands")).unwrap();
        let (before, last) = text.trim_end().rsplit_once('\n').unwrap_or(("", text.trim_end()));
        let output = self.shell(&format!("set -e\n{before}"));
        if !output.status.success() {
            return Err(format!("{before}\n{}", stderr(&output)));
        }
        Ok(last.to_owned())
    }

    fn shell(&self, commands: &str) -> Output {
        let [layout, other] = self.layouts;
        shell(&format!("LAYOUT={layout} OTHER={other}\n{commands}"))
    }
}

/// Runs commands, in which `svcnat` is the one that was just built.
fn shell(commands: &str) -> Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_svcnat")).parent().unwrap().to_owned();
    let mut path = vec![programs];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap()));
    let mut command = Command::new("sh");
    // CI counts as a terminal with colours, whatever TERM says.
    for variable in ["RUST_LOG", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
        command.env_remove(variable);
    }
    command.env("PATH", env::join_paths(path).unwrap()).env("OPTIONS", OPTIONS).env("TERM", "xterm");
    command.current_dir(FOLDER).args(["-c", commands]).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a check on every case in both layouts, each in a namespace of its own, and reports all failures at once.
fn for_every_case(check: impl Fn(&Case, &str) -> Result<(), String> + Sync) {
    let failures: Vec<String> = Case::all()
        .iter()
        .filter_map(|case| {
            let result = in_namespace(|| check(case, &case.prepare()?));
            result.err().map(|failure| format!("{}: {failure}", case.expected().display()))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn patches_are_as_written_down_and_the_kernel_stays_as_it_was() {
    for_every_case(|case, command| {
        let before = list()?;
        let output = case.shell(command);
        if list()? != before {
            return Err("the ruleset was changed".to_owned());
        }
        let Some(code) = output.status.code().filter(|_| output.stderr.is_empty()) else {
            return Err(stderr(&output));
        };
        let actual = format!("exit {code}\n{}", stdout(&output));
        if env::var_os("BLESS").is_some() {
            return fs::write(case.expected(), actual).map_err(|error| error.to_string());
        }
        let expected = fs::read_to_string(case.expected()).map_err(|error| error.to_string())?;
        if actual == expected { Ok(()) } else { Err(unified_diff("expected", &expected, "actual", &actual)) }
    });
}

#[test]
fn the_script_is_what_apply_would_run_and_leaves_no_difference() {
    for_every_case(|case, command| {
        let patch = case.shell(command);
        let script = case.shell(&format!("{command} -o nft"));
        if script.status.code() != patch.status.code() {
            return Err(format!("{} with -o nft, {} without", script.status, patch.status));
        }
        let script = stdout(&script);
        let dry_run =
            case.shell(&format!("{} -o nft --dry-run", command.replace("svcnat diff", "svcnat apply")));
        let dry_run = stdout(&dry_run);
        let commands =
            dry_run.trim_end().rsplit_once('\n').map_or(String::new(), |(head, _)| format!("{head}\n"));
        if commands != script {
            return Err(unified_diff("apply --dry-run", &commands, "diff", &script));
        }
        load(&script)?;
        for command in [command.to_owned(), format!("{command} -o nft")] {
            let again = case.shell(&command);
            if again.status.code() != Some(0) || !again.stdout.is_empty() {
                return Err(format!("left to do: {}\n{}", again.status, stdout(&again)));
            }
        }
        Ok(())
    });
}

#[test]
fn exit_codes_tell_differences_from_errors() {
    let check = |commands: &str, code: i32, reason: &str| {
        let output = in_namespace(|| Ok(shell(commands))).unwrap();
        assert_eq!(output.status.code(), Some(code), "{commands}: {}", stderr(&output));
        assert!(stderr(&output).contains(reason), "{commands}: {}", stderr(&output));
        assert_eq!(output.stdout.is_empty(), code != 1, "{commands}: {}", stdout(&output));
    };
    check("svcnat diff -f node.yaml $OPTIONS", 0, "");
    check("svcnat diff -f web.yaml $OPTIONS", 1, "");
    check("svcnat diff -f web.yaml $OPTIONS -o nft", 1, "");
    check("svcnat diff", 2, "--filename <PATH>");
    check("svcnat diff -f web.yaml -o yaml", 2, "[possible values: nft, iptables]");
    check("svcnat diff -f web.yaml --masquerade-bit 32", 2, "32 is not in 0..=31");
    check("svcnat diff -f web.yaml --detect-local-mode BridgeInterface", 2, "needs --pod-bridge-interface");
    check("svcnat diff -f nowhere.yaml $OPTIONS", 3, "nowhere.yaml");
    check("setpriv --bounding-set -net_admin svcnat diff -f web.yaml $OPTIONS", 4, "CAP_NET_ADMIN");
    check("svcnat diff -f web.yaml $OPTIONS >/dev/full", 5, "cannot write the output");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let output = in_namespace(|| Ok(shell("svcnat diff -f web.yaml $OPTIONS | head -n 1"))).unwrap();
    assert_eq!((stdout(&output), stderr(&output)), ("default/web/http\n".to_owned(), String::new()));
}

#[test]
fn only_terminals_that_want_it_get_colours() {
    let check = |command: &str, coloured: bool| {
        let output = in_namespace(|| Ok(shell(command))).unwrap();
        let text = stdout(&output);
        assert!(text.contains("default/web/http"), "{command}: {text}");
        assert_eq!(text.contains("\x1b["), coloured, "{command}: {text}");
        for line in ["\x1b[1mdefault/web/http\x1b[0m", "\x1b[32m+ ip chain service-default/web/http\x1b[0m"] {
            assert_eq!(text.contains(line), coloured, "{command}: {text}");
        }
    };
    let in_terminal = "script -qec 'svcnat diff -f web.yaml '\"$OPTIONS\" /dev/null";
    check(in_terminal, true);
    check(&format!("NO_COLOR=1 {in_terminal}"), false);
    check(&format!("TERM=dumb {in_terminal}"), false);
    check("svcnat diff -f web.yaml $OPTIONS", false);
}
