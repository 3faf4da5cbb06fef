//! Why a command failed, and which exit code tells it to scripts.

use std::io;
use std::process::ExitCode;

use svcnat_rules::name::ObjectName;
use thiserror::Error;

use crate::kube_proxy;
use crate::manifests::ManifestErrors;
use crate::{agent, agent_api, iptables, netlink, settings, trace};

/// The part of `--help` that documents exit codes.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  done, or nothing to do; diff: there is no difference
  1  diff: there are differences; backends, top: there is no such Service; status: the rules are not as they should
     be; check: something is missing
  2  the command line or the configuration file cannot be understood; status: there is no agent
  3  the manifests cannot be read; nothing was done
  4  the kernel or the agent cannot be asked, or refused; or a defect of svcnat was found; nothing was done, or what the
     message says
  5  the output cannot be written";

/// Why a command failed.
#[derive(Debug, Error)]
pub enum Failure {
    /// An option's value that clap cannot judge by itself.
    #[error("{0}")]
    Usage(String),
    /// Options or a configuration file that make no settings.
    #[error(transparent)]
    Settings(#[from] settings::Errors),
    /// Some manifests cannot be read.
    #[error(transparent)]
    Manifests(#[from] ManifestErrors),
    /// The kernel back end failed.
    #[error(transparent)]
    Kernel(#[from] netlink::Error),
    /// The agent cannot start.
    #[error(transparent)]
    Agent(#[from] agent::Error),
    /// The programs of iptables failed.
    #[error(transparent)]
    Iptables(#[from] iptables::Error),
    /// The transaction is not in force, or not all of it.
    #[error(transparent)]
    Commit(#[from] netlink::CommitError),
    /// The compiler made a ruleset that breaks its own rules: a defect of svcnat, found before it did harm.
    #[error("svcnat made an invalid ruleset, nothing was done; please report it: {0}")]
    Invalid(#[from] svcnat_rules::verify::Violation),
    /// The same of iptables rules.
    #[error("svcnat made invalid iptables rules, nothing was done; please report it: {0}")]
    InvalidIptables(#[from] svcnat_rules::iptables::Violation),
    /// What becomes of a packet cannot be told.
    #[error(transparent)]
    Trace(#[from] trace::Error),
    /// What kube-proxy has left cannot be looked at, or some of it cannot be removed.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    KubeProxy(Vec<kube_proxy::Error>),
    /// The agent cannot be asked, or has no answer.
    #[error(transparent)]
    Asking(#[from] agent_api::Error),
    /// There is nothing to count by.
    #[error("the rules in the kernel do not count connections: start the agent, or apply, with --counters")]
    NotCounted,
    /// A Service that was named does not exist, or wants no rules.
    #[error("no Service {0} wants rules; `svcnat services -A` lists those that do")]
    NoService(ObjectName),
    /// Standard output cannot be written to.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// The exit code, as `--help` documents it.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::NoService(_) => 1,
            Self::Usage(_)
            | Self::Settings(_)
            | Self::Trace(trace::Error::Families { .. } | trace::Error::Addresses(_)) => 2,
            Self::Manifests(_) => 3,
            Self::Kernel(_)
            | Self::Agent(_)
            | Self::Asking(_)
            | Self::NotCounted
            | Self::Commit(_)
            | Self::Invalid(_)
            | Self::Iptables(_)
            | Self::InvalidIptables(_)
            | Self::Trace(_)
            | Self::KubeProxy(_) => 4,
            Self::Output(_) => 5,
        })
    }
}
