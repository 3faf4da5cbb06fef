//! How much memory svcnat holds, measured in child processes that do nothing else.

use std::io::Write;
use std::process::Command;

use svcnat::memory::give_back;
use svcnat_rules::compile::compile;
use svcnat_rules::config::Layout;
use svcnat_rules::engine::Engine;
use svcnat_rules::layout::Slots;
use svcnat_rules::net::Protocol;

use crate::cluster::{Maker, Size, config};
use crate::common::process;
use crate::{Result, reach};

/// What a process holds when it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The state of the cluster.
    Cluster,
    /// The state of the cluster and what is compiled of it.
    Compiled(Layout),
    /// The engine at rest: the state of the cluster and what its changes need. The ruleset that the load gave is dropped.
    Engine(Layout),
}

/// The contents with their names on the command line and on the page.
const CONTENTS: [(What, &str, &str); 5] = [
    (What::Cluster, "cluster", "state of the cluster"),
    (What::Compiled(Layout::Maps), "compiled-maps", "state and ruleset, `maps`"),
    (What::Compiled(Layout::Chains), "compiled-chains", "state and ruleset, `chains`"),
    (What::Engine(Layout::Maps), "engine-maps", "engine at rest, `maps`"),
    (What::Engine(Layout::Chains), "engine-chains", "engine at rest, `chains`"),
];

impl What {
    fn is_measured(self, size: Size) -> bool {
        match self {
            Self::Cluster => true,
            Self::Compiled(layout) | Self::Engine(layout) => reach::layout(layout, size),
        }
    }
}

/// The memory of one process.
#[derive(Debug)]
pub struct Memory {
    /// The size of the cluster.
    pub size: Size,
    /// What the process holds.
    pub what: What,
    /// The same for the page.
    pub title: &'static str,
    /// How much, when everything is there.
    pub process: process::Memory,
}

/// Measures one size.
pub fn measure(size: Size) -> Result<Vec<Memory>> {
    let contents = CONTENTS.into_iter().filter(|(what, ..)| what.is_measured(size));
    contents.map(|(what, argument, title)| measure_one(size, what, argument, title)).collect()
}

fn measure_one(size: Size, what: What, argument: &str, title: &'static str) -> Result<Memory> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--hold", argument, &size.services.to_string(), &size.backends.to_string()])
        .output()?;
    if !output.status.success() {
        return Err(format!("the child failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let status = String::from_utf8(output.stdout)?;
    Ok(Memory { size, what, title, process: process::Memory::parse(&status)? })
}

/// What a child does: makes what is asked for, holds it and prints `/proc/self/status`.
pub fn hold(arguments: &[String]) -> Result<()> {
    let [what, services, backends] = arguments else { return Err("three arguments".into()) };
    let size = Size { services: services.parse()?, backends: backends.parse()? };
    let known = CONTENTS.into_iter().find(|(_, argument, _)| argument == what);
    let (what, ..) = known.ok_or("no such content")?;
    let cluster = Maker::new(size, Protocol::Tcp).cluster();
    match what {
        What::Cluster => print_status(&cluster),
        What::Compiled(layout) => {
            let compiled = compile(&cluster, &config(layout), &Slots::default());
            print_status(&(cluster, compiled))
        }
        What::Engine(layout) => {
            let (engine, delta) = Engine::load(cluster, config(layout), &Slots::default());
            drop(delta);
            give_back();
            print_status(&engine)
        }
    }
}

/// Prints the status while something is held.
fn print_status<T>(_held: &T) -> Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    Ok(std::io::stdout().write_all(status.as_bytes())?)
}
