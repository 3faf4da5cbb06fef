//! The command line: what operators type, and what they are told.
//!
//! Results go to standard output, everything else to standard error; [`Failure`] says which exit code means what.

mod agent;
mod apply;
mod backends;
mod check;
mod cleanup;
mod completion;
mod desired;
mod diff;
mod failure;
mod man;
mod namespace;
mod options;
mod output;
mod progress;
mod render;
mod services;
mod source;
mod status;
mod table;
mod top;
mod trace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing::level_filters::LevelFilter;

pub use agent::{AgentFlags, Start};
pub use failure::Failure;
pub use options::{ManifestOptions, RuleOptions};
pub use progress::LogWriter;

/// Kubernetes Services as nftables rules: compiled, compared with the kernel, applied in one transaction.
#[derive(Debug, Parser)]
#[command(name = "svcnat", version, max_term_width = 100, after_help = failure::EXIT_CODES)]
pub struct Cli {
    /// Say more on standard error; twice for even more (RUST_LOG overrides it)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Render(render::Render),
    Diff(diff::Diff),
    Apply(apply::Apply),
    Cleanup(cleanup::Cleanup),
    Services(Box<services::Services>),
    Backends(Box<backends::Backends>),
    Top(top::Top),
    Trace(trace::Trace),
    Status(status::Status),
    Check(check::Check),
    Completion(completion::Completion),
    Man(man::Man),
    Agent(Box<agent::Agent>),
}

impl Cli {
    /// How much to say on standard error, 0 for warnings only.
    #[must_use]
    pub fn verbosity(&self) -> u8 {
        self.verbose
    }

    /// Does what was asked for and says which exit code tells of it; 0, but where `diff` finds differences. `set_log_level`
    /// is called by the agent, whose settings say how much it logs.
    ///
    /// # Errors
    ///
    /// See [`Failure`].
    pub fn run(
        &self,
        set_log_level: impl Fn(LevelFilter) + Send + Sync + 'static,
    ) -> Result<ExitCode, Failure> {
        match &self.command {
            Command::Render(render) => render.run(),
            Command::Diff(diff) => return diff.run(),
            Command::Apply(apply) => apply.run(),
            Command::Cleanup(cleanup) => cleanup.run(),
            Command::Services(services) => services.run(),
            Command::Backends(backends) => backends.run(),
            Command::Top(top) => top.run(),
            Command::Trace(trace) => trace.run(),
            Command::Status(status) => return status.run(),
            Command::Check(check) => return check.run(),
            Command::Completion(completion) => completion.run(),
            Command::Man(man) => man.run(),
            Command::Agent(agent) => agent.run(set_log_level),
        }
        .map(|()| ExitCode::SUCCESS)
    }
}
