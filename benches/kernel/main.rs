//! Measures svcnat against the kernel, side by side with the rules that kube-proxy would load, and writes the page
//! `docs/benchmarks.md`. Everything happens in network namespaces.
#![allow(clippy::print_stderr, reason = "it takes minutes, so it says where it is")]

mod changes;
#[path = "../cluster/mod.rs"]
mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod connections;
mod iptables;
mod kernel;
mod load;
mod machine;
mod memory;
mod options;
mod peer;
mod plot;
mod reach;
mod report;
mod targets;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use svcnat_rules::config::Layout;

use common::progress::Progress;
use common::{Error, Result, page, sample};
use options::Options;
use report::Results;

/// svcnat's layouts, in the order of every table.
pub const LAYOUTS: [(&str, Layout); 2] = [("maps", Layout::Maps), ("chains", Layout::Chains)];

fn main() -> ExitCode {
    common::end(run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    if let Some(arguments) = &options.hold {
        return memory::hold(arguments);
    }
    let results = measure(options)?;
    match &options.page {
        Some(page) => report::write(&results, page),
        None => Ok(std::io::stdout().write_all(report::text(&results).as_bytes())?),
    }
}

fn measure(options: &Options) -> Result<Results> {
    let patience = options.patience();
    let mut results = Results { main: options.main_size(), ..Results::default() };
    results.machine = machine::describe()?;
    let (sizes, main, iptables_sizes) = (options.sizes(), options.main_size(), options.iptables_sizes());
    let changed: Vec<_> = sizes.iter().filter(|size| size.backends == main.backends).copied().collect();
    // More Services would only fill the caches with other things than rules.
    let connected: Vec<_> = sizes.iter().filter(|size| size.services == main.services).copied().collect();
    let phases = 2 * sizes.len() + changed.len() + connected.len() + iptables_sizes.len();
    let progress = Progress::of(phases)?;
    for &size in &sizes {
        progress.phase(format_args!("{size}: memory"));
        results.memory.extend(memory::measure(size)?);
    }
    for &size in &sizes {
        progress.phase(format_args!("{size}: loads"));
        results.loads.push(load::measure(size, patience)?);
    }
    for size in changed {
        progress.phase(format_args!("{size}: changes"));
        results.changes.extend(changes::measure(size, patience)?);
    }
    for size in connected {
        progress.phase(format_args!("{size}: connections"));
        results.connections.push(connections::measure(size, patience)?);
    }
    for size in iptables_sizes {
        progress.phase(format_args!("{size}: iptables"));
        results.iptables.extend(iptables::measure(size, patience)?);
    }
    Ok(results)
}
