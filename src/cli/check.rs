//! `svcnat check`: whether the kernel has what svcnat needs.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Failure;
use super::output::{is_coloured, print, print_json};
use super::table::{Cell, Table};
use crate::agent_api::API_VERSION;
use crate::netlink::kernel_release;
use crate::preflight::{self, Finding, Library, libraries, neighbours};

const NOTES: &str = "\
Each feature is tried with the rules that need it: the kernel checks them and takes them back, so that nothing is changed,
but that it may load modules. It takes CAP_NET_ADMIN. Mode iptables needs other features, which iptables itself tells.

Exit codes:
  0  everything is there
  1  something is missing
  more than 1: an error, as `svcnat --help` says";

/// Try whether the kernel has what svcnat needs, and say who else is at work; nothing is changed
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(super) struct Check {
    /// The form of the answer [default: a table]
    #[arg(short, long, value_enum)]
    output: Option<Format>,
    /// Try what --counters takes too
    #[arg(long)]
    counters: bool,
}

/// The form of an answer that is a table otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For programs
    Json,
}

/// The answer for programs. Its shape is stable: members may be added.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    api_version: &'static str,
    /// The kernel's release.
    kernel: &'static str,
    libraries: Vec<Library>,
    features: Vec<Finding>,
    /// Sentences for people.
    warnings: Vec<String>,
}

impl Check {
    pub(super) fn run(&self) -> Result<ExitCode, Failure> {
        let features = preflight::look(self.counters)?;
        let is_complete = is_complete(&features);
        let warnings = neighbours();
        match self.output {
            Some(Format::Json) => print_json(&Report {
                api_version: API_VERSION,
                kernel: kernel_release(),
                libraries: libraries(),
                features,
                warnings,
            })?,
            None => {
                let mut table = Table::new(is_coloured(), &["FEATURE", "STATE", "FOR", "PROVIDED BY"]);
                features.iter().for_each(|finding| table.add(row(finding)));
                let notes = features.iter().filter_map(note);
                let notes: Vec<String> =
                    notes.chain(warnings.into_iter().map(|text| format!("{text}\n"))).collect();
                let gap = if notes.is_empty() { "" } else { "\n" };
                print(format_args!("{table}{gap}{}", notes.concat()))?;
            }
        }
        Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

/// Whether nothing is missing that svcnat cannot do without.
pub(super) fn is_complete(features: &[Finding]) -> bool {
    features.iter().all(|finding| finding.present || finding.optional)
}

fn row(finding: &Finding) -> Vec<Cell> {
    let state = match (finding.present, finding.optional) {
        (true, _) => Cell::from("ok"),
        (false, true) => Cell::from("absent"),
        (false, false) => Cell::from("missing").red_if(true),
    };
    vec![Cell::from(finding.module), state, Cell::from(finding.purpose), Cell::from(finding.option)]
}

/// What the kernel said of something that is not there.
pub(super) fn note(finding: &Finding) -> Option<String> {
    Some(format!("{}: {}\n", finding.module, finding.reason.as_ref()?))
}
