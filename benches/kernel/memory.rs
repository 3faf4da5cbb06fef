//! How much memory svcnat holds, measured in child processes that do nothing else.

use std::io::Write;
use std::process::Command;

use svcnat_rules::compile::compile;
use svcnat_rules::config::Layout;
use svcnat_rules::layout::Slots;
use svcnat_rules::net::Protocol;

use crate::Result;
use crate::cluster::{Maker, Size, config};

/// What a process holds when it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The state of the cluster.
    Cluster,
    /// The state of the cluster and what is compiled of it.
    Compiled(Layout),
}

impl What {
    /// Everything that is measured.
    pub const ALL: [Self; 3] = [Self::Cluster, Self::Compiled(Layout::Maps), Self::Compiled(Layout::Chains)];

    /// For the page.
    pub fn title(self) -> &'static str {
        match self {
            Self::Cluster => "state of the cluster",
            Self::Compiled(Layout::Chains) => "state and ruleset, `chains`",
            Self::Compiled(_) => "state and ruleset, `maps`",
        }
    }

    fn argument(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Compiled(Layout::Chains) => "chains",
            Self::Compiled(_) => "maps",
        }
    }
}

/// The memory of one process, in bytes.
#[derive(Debug)]
pub struct Memory {
    /// The size of the cluster.
    pub size: Size,
    /// What the process holds.
    pub what: What,
    /// `VmRSS`: resident when everything is there.
    pub resident: usize,
    /// `VmHWM`: the most that was ever resident.
    pub peak: usize,
}

/// Measures one size.
pub fn measure(size: Size) -> Result<Vec<Memory>> {
    What::ALL.into_iter().map(|what| measure_one(size, what)).collect()
}

fn measure_one(size: Size, what: What) -> Result<Memory> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--hold", what.argument(), &size.services.to_string(), &size.backends.to_string()])
        .output()?;
    if !output.status.success() {
        return Err(format!("the child failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let status = String::from_utf8(output.stdout)?;
    Ok(Memory { size, what, resident: field(&status, "VmRSS:")?, peak: field(&status, "VmHWM:")? })
}

fn field(status: &str, name: &str) -> Result<usize> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line in status")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? * 1024)
}

/// What a child does: makes what is asked for, holds it and prints `/proc/self/status`.
pub fn hold(arguments: &[String]) -> Result<()> {
    let [what, services, backends] = arguments else { return Err("three arguments".into()) };
    let size = Size { services: services.parse()?, backends: backends.parse()? };
    let cluster = Maker::new(size, Protocol::Tcp).cluster();
    let layout = match what.as_str() {
        "maps" => Some(Layout::Maps),
        "chains" => Some(Layout::Chains),
        _ => None,
    };
    let compiled = layout.map(|layout| compile(&cluster, &config(layout), &Slots::default()));
    let status = std::fs::read_to_string("/proc/self/status")?;
    std::io::stdout().write_all(status.as_bytes())?;
    drop((cluster, compiled));
    Ok(())
}
