//! The real `svcnat agent` beside an API server for tests, in network namespaces of a test's own, and what the kernel must
//! hold by then: what a full compile makes of the objects that the server was given.

#![allow(dead_code, reason = "each test that uses this leaves something out")]

pub mod agent;
pub mod cluster;
pub mod http;
pub mod iptables;
pub mod objects;

use std::panic::Location;
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use svcnat::netlink::Netlink;
use svcnat_lab::Namespace;
use svcnat_rules::installed::Installed;

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Does something in a network namespace of its own that has the addresses of `node-a`, and ends with it.
pub fn on_node_a<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    Namespace::new().expect("a network namespace").run(|| {
        must("ip", &["link", "set", "lo", "up"]);
        must("ip", &["addr", "add", &format!("{}/32", objects::NODE_A), "dev", "lo"]);
        work()
    })
}

/// Runs a program in the namespace of the calling thread.
pub fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).env_remove("RUST_LOG").output().expect("the program starts")
}

/// Runs a program that must go well; what it prints.
#[track_caller]
pub fn must(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {} {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What the kernel holds, in the namespace of the calling thread.
pub fn installed() -> Installed {
    Netlink::open().unwrap().read().unwrap()
}

/// What the kernel holds without what every change or every agent makes different: the generation and the owners.
pub fn tables() -> Installed {
    let mut installed = installed();
    installed.generation = 0;
    for table in installed.tables.values_mut() {
        table.owner = svcnat_rules::installed::Owner::Nobody;
    }
    installed
}

/// Waits until something holds; gives how long that took. `look` says what is missing.
#[track_caller]
pub fn wait_for(what: &str, look: impl FnMut() -> Result<(), String>) -> Duration {
    wait_or(what, look, String::new)
}

/// The same; `explain` adds to the message where it never comes true.
#[track_caller]
pub fn wait_or(
    what: &str,
    mut look: impl FnMut() -> Result<(), String>,
    explain: impl FnOnce() -> String,
) -> Duration {
    let (began, place) = (Instant::now(), Location::caller());
    loop {
        match look() {
            Ok(()) => return began.elapsed(),
            Err(missing) if began.elapsed() > PATIENCE => {
                panic!("{what}, {place}: {missing}\n{}", explain());
            }
            Err(_) => sleep(Duration::from_millis(5)),
        }
    }
}

/// `Ok` where something holds, else `missing`.
pub fn holds(condition: bool, missing: impl Into<String>) -> Result<(), String> {
    if condition { Ok(()) } else { Err(missing.into()) }
}
