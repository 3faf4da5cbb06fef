//! `svcnat diff`: what `apply` would change, as people read it.

use std::fmt;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::Args;
use svcnat_rules::diff::diff;
use svcnat_rules::iptables::{self, Section};
use svcnat_rules::patch::{Mark, Patch};

use super::desired::{self, Desired};
use super::output::{self, ScriptFormat};
use super::progress::{Progress, READING_KERNEL};
use super::{Failure, ManifestOptions, RuleOptions};
use crate::iptables::Iptables;
use crate::netlink::Netlink;
use crate::settings::Mode;

const NOTES: &str = "\
What differs is said in the words of nft, under the Service that it belongs to:
  - is in the kernel and should not be
  + should be in the kernel and is not
What serves several Services is under `shared`, what serves all and names none under `program`,
and what svcnat never makes under `not ours`.
With --proxy-mode iptables it is said in the words of iptables-save, under the chain that it belongs to.

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
        let (config, mode) = self.rules.load()?;
        ScriptFormat::check(self.output, mode)?;
        let progress = Progress::start();
        let desired = Desired::read(&self.manifests, config, &progress)?;
        let is_same = match mode {
            Mode::Nftables => self.nftables(&desired, progress)?,
            Mode::Iptables => self.iptables(&desired, progress)?,
        };
        Ok(if is_same { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }

    /// Gives whether there is no difference.
    fn nftables(&self, desired: &Desired, progress: Progress) -> Result<bool, Failure> {
        progress.phase(READING_KERNEL);
        let installed = Netlink::open()?.read()?;
        let compiled = desired.compile(&installed, &progress)?;
        desired::warn_of(&compiled.conflicts);
        progress.phase("comparing");
        let transaction = diff(&compiled.ruleset, &installed);
        drop(progress);
        match self.output {
            Some(_) => output::print_transaction(&transaction)?,
            None => {
                let patch = Patch::between(&compiled.ruleset, &installed);
                let section = |section: &svcnat_rules::patch::Section<'_>| {
                    let lines = section.lines.iter().map(|line| (line.mark, line.to_string()));
                    (section.owner.to_string(), lines.collect())
                };
                print_listing(patch.sections.iter().map(section).collect())?;
            }
        }
        Ok(transaction.is_empty())
    }

    fn iptables(&self, desired: &Desired, progress: Progress) -> Result<bool, Failure> {
        let wanted = desired.compile_iptables(&progress)?;
        progress.phase(READING_KERNEL);
        let installed = Iptables::in_use()?.read()?;
        progress.phase("comparing");
        let change = iptables::diff(&wanted, &installed);
        drop(progress);
        match self.output {
            Some(_) => output::print(&change)?,
            None => {
                let line = |(mark, rule): (Mark, String)| (mark, format!("{} {rule}", mark.sign()));
                let section = |Section { chain, lines }| (chain, lines.into_iter().map(line).collect());
                print_listing(change.sections().into_iter().map(section).collect())?;
            }
        }
        Ok(change.is_empty())
    }
}

/// What has a heading, with its lines.
type Sections = Vec<(String, Vec<(Mark, String)>)>;

fn print_listing(sections: Sections) -> Result<(), Failure> {
    output::print(Listing { sections, coloured: output::is_coloured() })
}

/// Differences as they are printed: a heading for each section, blank lines between.
struct Listing {
    sections: Sections,
    coloured: bool,
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (heading, lines)) in self.sections.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            self.line(f, Style::new().bold(), heading)?;
            for (mark, line) in lines {
                self.line(f, style(*mark), line)?;
            }
        }
        Ok(())
    }
}

impl Listing {
    fn line(&self, f: &mut fmt::Formatter<'_>, style: Style, text: &str) -> fmt::Result {
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
