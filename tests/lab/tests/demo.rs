//! The demo itself: it must fail where svcnat fails, and leave nothing behind.
#![allow(clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const STAND_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stand-in/svcnat");

/// A folder for the demo's temporary files, which must be empty in the end.
struct Temporary(PathBuf);

impl Temporary {
    fn new(test: &str) -> Self {
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("demo-{test}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a temporary folder");
        Self(folder)
    }

    fn files(&self) -> usize {
        fs::read_dir(&self.0).expect("a folder").count()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn start(temporary: &Temporary, svcnat: &str, fault: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_svcnat-demo"))
        .args(["--svcnat", svcnat])
        .env("TMPDIR", &temporary.0)
        .env("FAULT", fault)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the demo starts")
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_good_svcnat_is_shown_to_the_end() {
    let temporary = Temporary::new("good");
    let output = start(&temporary, STAND_IN, "").wait_with_output().expect("the demo ends");
    let (stdout, stderr) = text(&output);
    assert!(output.status.success(), "{stdout}{stderr}");
    for expected in
        ["table ip svcnat {", "web-a", "web-b", "web-c", "web-d", "nothing to change", "192.168.1.3:30008"]
    {
        assert!(stdout.contains(expected), "no {expected:?} in:\n{stdout}");
    }
    assert!(!stdout.contains('\x1b'), "colours without a terminal");
    assert_eq!(stderr, "");
    assert_eq!(temporary.files(), 0);
}

#[test]
fn a_bad_svcnat_makes_the_demo_fail() {
    let temporary = Temporary::new("bad");
    let check = |svcnat: &str, fault: &str, expected: &str| {
        let output = start(&temporary, svcnat, fault).wait_with_output().expect("the demo ends");
        let (stdout, stderr) = text(&output);
        assert_eq!(output.status.code(), Some(1), "{fault}: {stdout}{stderr}");
        assert!(stderr.contains(expected), "{fault}: {stderr}");
        assert_eq!(temporary.files(), 0, "{fault}");
    };
    check(STAND_IN, "unfair", "not a fair share");
    check(STAND_IN, "forgetful", "changed the rules of node-a");
    check(STAND_IN, "idle", "asked http://192.168.1.2:30008 and got: connection refused");
    check(STAND_IN, "refused", "permission denied");
    check("/no/such/svcnat", "", "there is no svcnat at /no/such/svcnat");
}

#[test]
fn an_interrupted_demo_leaves_no_files() {
    let temporary = Temporary::new("interrupted");
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut demo = start(&temporary, STAND_IN, "slow");
        let patience = Instant::now() + Duration::from_secs(10);
        while temporary.files() == 0 {
            assert!(Instant::now() < patience, "the demo makes no copy of the manifests");
            thread::sleep(Duration::from_millis(2));
        }
        let pid = Pid::from_raw(i32::try_from(demo.id()).expect("a process id"));
        kill(pid, signal).expect("the demo runs");
        let status = demo.wait().expect("the demo ends");
        assert_eq!(status.code(), Some(128 + signal as i32), "{signal}");
        assert_eq!(temporary.files(), 0, "{signal}");
    }
}
