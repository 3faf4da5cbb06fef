//! How far long work is, on standard error where that is a terminal.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;

use crate::agent_support::agent::SVCNAT;
use crate::agent_support::run;
use crate::pty_support::Terminal;

/// `svcnat render -v -f PATH` on a terminal, with the script going elsewhere.
fn render(path: &Path) -> Terminal {
    let arguments = ["render", "-v", "-f", path.to_str().unwrap(), "--hostname-override", "node-a"];
    Terminal::start_with(SVCNAT, &arguments, (100, 24), |command| command.stdout(Stdio::null()))
}

/// A folder of so many Services in files of ten.
fn services(count: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in 0..count / 10 {
        let mut text = String::new();
        for number in file * 10..file * 10 + 10 {
            let (third, fourth) = (number / 250, number % 250);
            write!(
                text,
                "---\napiVersion: v1\nkind: Service\nmetadata: {{name: s-{number}, namespace: shop}}\n\
                 spec:\n  clusterIP: 10.96.{third}.{fourth}\n  ports: [{{name: http, port: 80}}]\n"
            )
            .unwrap();
        }
        fs::write(folder.path().join(format!("{file:05}.yaml")), text).unwrap();
    }
    folder
}

/// All percentages that were shown.
fn percentages(told: &str) -> BTreeSet<u32> {
    told.split(" %").filter_map(|before| before.rsplit([' ', ']']).next()?.parse().ok()).collect()
}

#[test]
fn reading_many_manifests_shows_a_bar_that_moves_and_goes() {
    let mut count = 2_000;
    loop {
        let folder = services(count);
        let mut terminal = render(folder.path());
        terminal.ended_as_it_began(0);
        terminal.until("nothing is left", |screen| screen.trim().is_empty().then_some(()));
        let (told, seen) = (terminal.told(), percentages(&terminal.told()));
        if seen.len() >= 3 {
            assert!(seen.iter().all(|percent| *percent <= 100), "{seen:?}");
            assert!(told.contains("reading manifests, ") && told.contains(" objects"), "{told:?}");
            return;
        }
        // This machine reads them in no time.
        count *= 2;
        assert!(count < 60_000, "{told:?}");
    }
}

#[test]
fn lines_of_the_log_stand_above_what_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("x.yaml");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let mut terminal = render(&fifo);
    // Nobody has written yet.
    terminal.until_shown("reading manifests");
    let headless =
        "{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {clusterIP: None, ports: [{port: 1}]}}";
    fs::write(&fifo, headless).unwrap();
    terminal.ended_as_it_began(0);
    terminal.until("the line alone", |screen| {
        let lines: Vec<&str> = screen.lines().filter(|line| !line.trim().is_empty()).collect();
        matches!(lines.as_slice(), [line] if line.trim().starts_with("INFO") && line.contains("headless"))
            .then_some(())
    });
}

#[test]
fn what_takes_no_time_shows_nothing() {
    let folder = services(10);
    let mut terminal = render(folder.path());
    terminal.ended_as_it_began(0);
    sleep(Duration::from_millis(100));
    assert_eq!(terminal.told(), "");
}

#[test]
fn a_pipe_is_told_nothing() {
    let folder = services(2_000);
    let output = run(SVCNAT, &["render", "-f", folder.path().to_str().unwrap()]);
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    assert!(output.stdout.len() > 100_000);
    // Also where another part of it is a terminal.
    let arguments = ["render", "-f", folder.path().to_str().unwrap()];
    let log = folder.path().join("log");
    let mut terminal = Terminal::start_with(SVCNAT, &arguments, (80, 24), |command: &mut Command| {
        command.stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap())
    });
    terminal.ended_as_it_began(0);
    assert_eq!((terminal.told(), fs::read_to_string(&log).unwrap()), (String::new(), String::new()));
}
