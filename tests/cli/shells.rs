//! Completion in shells, and manual pages.

use std::fs;

use clap::CommandFactory as _;
use svcnat::cli::Cli;

use crate::sandbox::{folder, run, svcnat};

#[track_caller]
fn script(shell: &str) -> String {
    let script = svcnat(&["completion", shell]);
    assert_eq!((script.code, script.err.as_str()), (Some(0), ""), "{shell}");
    assert!(script.out.contains("svcnat") && script.out.contains("hostname-override"), "{shell}");
    script.out
}

#[test]
fn every_shell_gets_a_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        script(shell);
    }
    assert_eq!(svcnat(&["completion", "tcsh"]).code, Some(2));
}

#[test]
fn bash_completes_commands_options_and_their_values() {
    let folder = folder(&[("svcnat.bash", &script("bash"))]);
    let file = folder.path().join("svcnat.bash");
    let file = file.to_str().unwrap();
    let check = run("bash", &["-n", file], "");
    assert_eq!((check.code, check.err.as_str()), (Some(0), ""));
    #[track_caller]
    fn complete(file: &str, words: &[&str], expected: &[&str]) {
        let last = words.last().unwrap();
        let before = words.iter().rev().nth(1).unwrap();
        let commands = format!(
            "source {file}; COMP_WORDS=({}); COMP_CWORD={}; _svcnat svcnat '{last}' '{before}'
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.iter().map(|word| format!("'{word}' ")).collect::<String>(),
            words.len() - 1,
        );
        let run = run("bash", &["-c", &commands], "");
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{words:?}");
        assert_eq!(run.out.split_whitespace().collect::<Vec<_>>(), expected, "{words:?}");
    }
    complete(file, &["svcnat", "serv"], &["services"]);
    complete(file, &["svcnat", "c"], &["cleanup", "check", "completion"]);
    complete(file, &["svcnat", "services", "--all"], &["--all-namespaces"]);
    complete(file, &["svcnat", "services", "--output", ""], &["wide", "json", "yaml", "name"]);
    complete(file, &["svcnat", "apply", "--layout", "m"], &["maps"]);
}

#[test]
fn every_command_has_a_manual_page_that_man_takes() {
    let folder = folder(&[]);
    let path = folder.path().join("man1");
    let written = svcnat(&["man", path.to_str().unwrap()]);
    assert_eq!((written.code, written.err.as_str()), (Some(0), ""));
    let mut expected = vec!["svcnat.1".to_owned()];
    let cli = Cli::command();
    expected.extend(cli.get_subcommands().map(|command| format!("svcnat-{}.1", command.get_name())));
    expected.sort();
    let mut found: Vec<String> =
        fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    assert_eq!(found, expected);
    for page in &found {
        let file = path.join(page);
        let arguments = ["LC_ALL=C.UTF-8", "MANWIDTH=100", "man", "--warnings", "--local-file"];
        let shown = run("env", &[&arguments[..], &[file.to_str().unwrap()]].concat(), "");
        assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""), "{page}");
        for heading in ["NAME", "SYNOPSIS", "OPTIONS"] {
            assert!(shown.out.contains(heading), "{page}: {}", shown.out);
        }
    }
    let services = path.join("svcnat-services.1");
    let shown = run("man", &["--local-file", services.to_str().unwrap()], "").out;
    // Lines are filled with blanks between words.
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("--all-namespaces") && words.contains("READY, LOCAL, TOTAL"), "{shown}");
    let nowhere = svcnat(&["man", "/proc/nowhere"]);
    assert_eq!(nowhere.code, Some(5));
    assert!(nowhere.err.contains("/proc/nowhere"), "{}", nowhere.err);
}
