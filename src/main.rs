//! The `svcnat` program.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap::Parser as _;
use svcnat::cli::{Cli, LogWriter};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt, reload};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let set_log_level = log_to_stderr(cli.verbosity());
    match cli.run(set_log_level) {
        Ok(code) => code,
        Err(failure) => {
            tracing::error!("{failure}");
            failure.exit_code()
        }
    }
}

/// Logs from now on; what is returned raises the level, but where RUST_LOG or `-v` ask for their own.
fn log_to_stderr(verbosity: u8) -> impl Fn(LevelFilter) + Send + Sync + 'static {
    let level = match verbosity {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let given = EnvFilter::try_from_default_env().ok();
    let fixed = given.is_some() || verbosity > 0;
    let (shown, handle) = reload::Layer::new(given.unwrap_or_else(|| filter(level)));
    tracing_subscriber::registry().with(shown).with(layer()).init();
    move |level| {
        if !fixed {
            // It fails only when nobody logs any more.
            drop(handle.reload(filter(level)));
        }
    }
}

/// All from a level on. The client library calls each attempt that fails an error, without a word of why; who uses it says
/// what failed, once.
fn filter(level: LevelFilter) -> EnvFilter {
    let library = if level < LevelFilter::DEBUG { ",kube_client=off" } else { "" };
    EnvFilter::new(format!("{level}{library}"))
}

fn layer<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    fmt::layer()
        .with_writer(|| LogWriter)
        .with_ansi(io::stderr().is_terminal())
        .without_time()
        .with_target(false)
}
