//! The `svcnat` program.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap::Parser as _;
use svcnat::cli::Cli;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(cli.verbosity());
    match cli.run() {
        Ok(code) => code,
        Err(failure) => {
            tracing::error!("{failure}");
            failure.exit_code()
        }
    }
}

fn log_to_stderr(verbosity: u8) {
    let level = match verbosity {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .init();
}
