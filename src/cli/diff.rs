//! `svcnat diff`: what `apply` would change, as people read it.

use std::fmt;
use std::io;
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use clap::Args;
use svcnat_rules::diff::diff;
use svcnat_rules::patch::{Mark, Patch};

use super::desired::{self, Desired};
use super::output::{self, ScriptFormat};
use super::{Failure, ManifestOptions, RuleOptions};
use crate::netlink::Netlink;

const NOTES: &str = "\
What differs is said in the words of nft, under the Service that it belongs to:
  - is in the kernel and should not be
  + should be in the kernel and is not
What serves several Services is under `shared`, what serves all and names none under `program`,
and what svcnat never makes under `not ours`.

Exit codes:
  0  there is no difference
  1  there are differences
  more than 1: an error, as `svcnat --help` says";

/// Say what apply would change in the kernel, Service by Service; nothing is changed
///
/// In a terminal the lines are coloured, but where NO_COLOR is set.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(super) struct Diff {
    #[command(flatten)]
    manifests: ManifestOptions,
    #[command(flatten)]
    rules: RuleOptions,
    /// Print what apply would send instead
    #[arg(short, long, value_enum)]
    output: Option<ScriptFormat>,
}

impl Diff {
    /// The exit code is that of `diff` and of `kubectl diff`.
    pub(super) fn run(&self) -> Result<ExitCode, Failure> {
        let desired = Desired::read(&self.manifests, &self.rules)?;
        let installed = Netlink::open()?.read()?;
        let compiled = desired.compile(&installed)?;
        desired::warn_of(&compiled.conflicts);
        let transaction = diff(&compiled.ruleset, &installed);
        match self.output {
            Some(format) => output::print_transaction(&transaction, format)?,
            None => {
                let patch = Patch::between(&compiled.ruleset, &installed);
                let coloured = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
                output::print(Listing { patch: &patch, coloured })?;
            }
        }
        Ok(if transaction.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

/// A patch as it is printed: a heading for each owner, blank lines between.
struct Listing<'a> {
    patch: &'a Patch<'a>,
    coloured: bool,
}

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, section) in self.patch.sections.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            self.line(f, Style::new().bold(), &section.owner)?;
            for line in &section.lines {
                self.line(f, style(line.mark), line)?;
            }
        }
        Ok(())
    }
}

impl Listing<'_> {
    fn line(&self, f: &mut fmt::Formatter<'_>, style: Style, text: &impl fmt::Display) -> fmt::Result {
        if self.coloured { writeln!(f, "{style}{text}{style:#}") } else { writeln!(f, "{text}") }
    }
}

fn style(mark: Mark) -> Style {
    match mark {
        Mark::Same => Style::new(),
        Mark::Gone => AnsiColor::Red.on_default(),
        Mark::New => AnsiColor::Green.on_default(),
    }
}
