//! The cases on disk.

use std::path::{Path, PathBuf};
use std::{env, fs};

use clap::Parser;
use similar::TextDiff;
use svcnat::cli::AgentFlags;
use svcnat::settings::{Loaded, Settings};

#[derive(Parser)]
pub struct Agent {
    #[command(flatten)]
    pub flags: AgentFlags,
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/settings/cases");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(!cases.is_empty(), "there are no cases");
    cases
}

/// The words of the file `flags`, without comments.
fn words(case: &Path) -> Vec<String> {
    let text = fs::read_to_string(case.join("flags")).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

fn load(case: &Path) -> Result<Loaded, String> {
    let arguments = ["agent".to_owned()].into_iter().chain(words(case));
    let source = Agent::try_parse_from(arguments).map_err(|error| error.to_string())?.flags.source();
    let loaded = match fs::read_to_string(case.join("config.yaml")) {
        Ok(text) => source.load_text("config.yaml", &text),
        Err(_) => source.load(),
    };
    loaded.map_err(|errors| format!("{errors}\n"))
}

/// Settings of a file that another set of settings was written as.
fn load_again(settings: &Settings) -> Loaded {
    let text = settings.to_yaml().unwrap();
    let flags = settings.client.master.iter().map(|master| format!("--master={master}"));
    let arguments = ["agent".to_owned()].into_iter().chain(flags);
    let source = Agent::try_parse_from(arguments).unwrap().flags.source();
    source.load_text("written.yaml", &text).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn describe(loaded: &Result<Loaded, String>) -> String {
    match loaded {
        Err(errors) => errors.clone(),
        Ok(Loaded { settings, notes }) => {
            let notes: String = notes.iter().map(|note| format!("# {note}\n")).collect();
            let master = settings.client.master.iter().map(|master| format!("# --master {master}\n"));
            let master: String = master.collect();
            format!("{notes}{master}{}", settings.to_yaml().unwrap())
        }
    }
}

#[test]
fn configurations_come_to_what_is_written_down() {
    let mut failures = Vec::new();
    for case in cases() {
        let found = describe(&load(&case));
        let path = case.join("expected");
        if env::var_os("BLESS").is_some() {
            fs::write(&path, found).unwrap();
            continue;
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if found != expected {
            let diff = TextDiff::from_lines(&expected, &found).unified_diff().to_string();
            failures.push(format!("{}\n{diff}", case.display()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_is_written_loads_as_the_same_without_notes() {
    let mut count = 0;
    for case in cases() {
        let Ok(Loaded { settings, .. }) = load(&case) else { continue };
        count += 1;
        let again = load_again(&settings);
        assert_eq!(again.settings, settings, "{}", case.display());
        assert_eq!(again.notes, [], "{}", case.display());
    }
    assert!(count > 5);
}

#[test]
fn errors_are_only_where_a_case_is_named_so() {
    for case in cases() {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let wrong = name.starts_with("error-");
        assert_eq!(load(&case).is_err(), wrong, "{name}");
    }
}
