//! Measures the agent: `svcnat agent`, as it is released, in a network namespace, against an API server in a process of its
//! own; and writes the section "The agent" of `docs/benchmarks.md`.
#![allow(clippy::print_stderr, reason = "it takes minutes, so it says where it is")]

mod agent;
#[path = "../cluster/mod.rs"]
mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod histogram;
mod measure;
mod options;
mod report;
mod server;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use common::{Result, page, sample};
use options::Options;

fn main() -> ExitCode {
    common::end(run(&Options::parse()))
}

fn run(options: &Options) -> Result<()> {
    if let Some(arguments) = &options.serve {
        return server::serve(arguments);
    }
    let parts = report::parts(&measure::measure(options)?);
    match &options.page {
        Some(page) => page::write(page, &parts),
        None => Ok(std::io::stdout().write_all(page::text(&parts).as_bytes())?),
    }
}
