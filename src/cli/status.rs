//! `svcnat status`: how the agent fares, and whether its kernel has what it needs.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::Failure;
use super::check::{Format, is_complete};
use super::output::{is_coloured, print, print_json};
use crate::agent_api::{self, API_VERSION, Client, SOCKET, State};
use crate::netlink::{self, kernel_release};
use crate::preflight::{self, Finding, Library, libraries};

const NOTES: &str = "\
Exit codes:
  0  the kernel holds what it should, and has what svcnat needs
  1  the rules are not, or not yet, as they should be, or the kernel lacks something
  2  no agent answers
  more than 2: an error, as `svcnat --help` says";

/// Say how the agent fares: what is in force since when, what is pending, what was mended, and what the kernel lacks
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(super) struct Status {
    /// The Unix socket of the agent
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
    /// The form of the answer [default: text]
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

/// The answer for programs. Its shape is stable: members may be added.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    api_version: &'static str,
    /// What the agent says of itself; `null` where none answers.
    agent: Option<agent_api::Status>,
    /// The kernel's release.
    kernel: &'static str,
    libraries: Vec<Library>,
    /// What the kernel lacks; `null` where it could not be tried.
    missing: Option<Vec<Finding>>,
}

impl Status {
    pub(super) fn run(&self) -> Result<ExitCode, Failure> {
        let agent = match Client::new(&self.socket)?.status() {
            Ok(status) => Some(status),
            Err(error @ agent_api::Error::NoAgent { .. }) => {
                tracing::error!("{error}");
                None
            }
            Err(error) => return Err(error.into()),
        };
        let features = match preflight::look(false) {
            Ok(features) => Some(features),
            Err(netlink::Error::Privilege) => None,
            Err(error) => return Err(error.into()),
        };
        let code = match &agent {
            None => 2,
            Some(agent) => {
                let is_good = agent.state == State::InStep;
                u8::from(!is_good || features.as_ref().is_some_and(|features| !is_complete(features)))
            }
        };
        let missing = features.map(|features| {
            features.into_iter().filter(|finding| !finding.present && !finding.optional).collect()
        });
        let report = Report {
            api_version: API_VERSION,
            agent,
            kernel: kernel_release(),
            libraries: libraries(),
            missing,
        };
        match self.output {
            Some(Format::Json) => print_json(&report)?,
            None => print(Text { report: &report, coloured: is_coloured(), now: Timestamp::now() })?,
        }
        Ok(ExitCode::from(code))
    }
}

/// The answer for people: a line for each thing.
struct Text<'a> {
    report: &'a Report,
    coloured: bool,
    now: Timestamp,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(agent) = &self.report.agent {
            self.agent(f, agent)?;
        }
        let libraries = self.report.libraries.iter();
        let libraries: String =
            libraries.map(|library| format!(", {} {}", library.name, library.version)).collect();
        line(f, "kernel", format_args!("Linux {}{libraries}", self.report.kernel))?;
        match &self.report.missing {
            None => line(f, "features", "not tried: it takes CAP_NET_ADMIN"),
            Some(missing) if missing.is_empty() => line(f, "features", "all there"),
            Some(missing) => missing.iter().try_for_each(|finding| {
                let text = format!("{} ({})", finding.module, finding.option);
                line(f, "missing", self.styled(AnsiColor::Red, &text))
            }),
        }
    }
}

impl Text<'_> {
    fn agent(&self, f: &mut fmt::Formatter<'_>, agent: &agent_api::Status) -> fmt::Result {
        let (colour, state) = match agent.state {
            State::InStep => (AnsiColor::Green, "in step: the kernel holds what it should"),
            State::Waiting => (AnsiColor::Yellow, "waiting: not all that exists has been told yet"),
            State::OutOfStep => (AnsiColor::Red, "out of step: the kernel may hold something else"),
        };
        line(f, "state", self.styled(colour, state))?;
        if let Some(problem) = &agent.problem {
            line(f, "problem", self.styled(AnsiColor::Red, problem))?;
        }
        let (version, node, source) = (&agent.version, &agent.node, &agent.source);
        let running = self.since(agent.started);
        line(f, "agent", format_args!("svcnat {version} on {node}, for {running}, follows {source}"))?;
        let layout = agent.layout.as_ref().map(|layout| format!(", layout {layout}")).unwrap_or_default();
        line(f, "mode", format_args!("{}{layout}", agent.mode))?;
        let owner =
            if agent.owns_tables { "the agent's own" } else { "open to changes by others, which are mended" };
        line(f, "tables", owner)?;
        match &agent.last_sync {
            None => line(f, "last sync", "none")?,
            Some(sync) => {
                let (ago, took) = (self.since(sync.time), sync.seconds * 1000.0);
                let kind = if sync.full { "everything compared" } else { "a change" };
                let (operations, bytes) = (sync.operations, sync.bytes);
                line(
                    f,
                    "last sync",
                    format_args!(
                        "{ago} ago, {kind}, took {took:.1} ms, {operations} operations, {bytes} bytes"
                    ),
                )?;
            }
        }
        line(f, "pending", format_args!("{} changes", agent.pending))?;
        if let Some(counts) = &agent.counts {
            let agent_api::Counts { services, frontends, backends, conflicts } = counts;
            line(
                f,
                "rules for",
                format_args!(
                    "{services} Services, {frontends} frontends, {backends} backends, {conflicts} conflicts"
                ),
            )?;
        }
        let agent_api::Repairs { transaction_failed, changed_by_others, resync } = agent.repairs;
        line(
            f,
            "mended",
            format_args!(
                "{} times: {changed_by_others} after changes by others, {transaction_failed} after refusals, {resync} found \
                 by comparing",
                transaction_failed + changed_by_others + resync
            ),
        )?;
        line(f, "failures", agent.failures)?;
        if !agent.eligible {
            line(f, "node", self.styled(AnsiColor::Yellow, "load balancers should not send traffic here"))?;
        }
        Ok(())
    }

    /// How long that is ago, in whole seconds.
    fn since(&self, time: Timestamp) -> impl Display {
        let seconds = (self.now.as_second() - time.as_second()).max(0);
        super::services::age(seconds)
    }

    fn styled(&self, colour: AnsiColor, text: &str) -> String {
        let style: Style = colour.on_default();
        if self.coloured { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

fn line(f: &mut fmt::Formatter<'_>, what: &str, text: impl Display) -> fmt::Result {
    let what = format!("{what}:");
    writeln!(f, "{what:11}{text}")
}
