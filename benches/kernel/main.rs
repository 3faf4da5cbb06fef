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
    for size in options.sizes() {
        eprintln!("{size}: memory");
        results.memory.extend(memory::measure(size)?);
    }
    for size in options.sizes() {
        eprintln!("{size}: loads");
        results.loads.push(load::measure(size, patience)?);
    }
    for size in options.sizes().into_iter().filter(|size| size.backends == options.main_size().backends) {
        eprintln!("{size}: changes");
        results.changes.extend(changes::measure(size, patience)?);
    }
    // More Services would only fill the caches with other things than rules.
    for size in options.sizes().into_iter().filter(|size| size.services == options.main_size().services) {
        eprintln!("{size}: connections");
        results.connections.push(connections::measure(size, patience)?);
    }
    for size in options.iptables_sizes() {
        eprintln!("{size}: iptables");
        results.iptables.extend(iptables::measure(size, patience)?);
    }
    Ok(results)
}
