//! What the benchmarks that write `docs/benchmarks.md` share.
#![allow(dead_code, reason = "each benchmark needs another part of it")]

pub mod page;
pub mod process;
pub mod progress;
pub mod sample;

use std::process::ExitCode;

/// Whatever goes wrong ends the benchmark, and is said.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// See [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// How a benchmark ends.
pub fn end(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benchmark: {error}");
            ExitCode::FAILURE
        }
    }
}
