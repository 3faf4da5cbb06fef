//! `svcnat completion`: scripts that complete command lines.

use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use super::{Cli, Failure, output};

const NOTES: &str = "\
Examples:
  svcnat completion bash > /usr/share/bash-completion/completions/svcnat
  svcnat completion zsh > /usr/share/zsh/site-functions/_svcnat
  svcnat completion fish > /usr/share/fish/vendor_completions.d/svcnat.fish";

/// Print a script that lets a shell complete svcnat's command lines
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(super) struct Completion {
    /// The shell
    shell: Shell,
}

impl Completion {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut Cli::command(), "svcnat", &mut script);
        output::print(String::from_utf8_lossy(&script))
    }
}
