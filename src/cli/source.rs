//! Where the commands that show Services have them from.

use std::path::PathBuf;

use clap::Args;
use svcnat_rules::cluster::Cluster;
use svcnat_rules::compile::Conflict;
use svcnat_rules::config::Config;
use svcnat_rules::describe::{self, BackendSummary, Listed, ServiceSummary};
use svcnat_rules::explain::{Understood, understand};
use svcnat_rules::layout::Slots;
use svcnat_rules::name::ObjectName;

use super::{Failure, ManifestOptions, RuleOptions};
use crate::agent_api::{Client, LabelSelector, SOCKET};
use crate::compiler;
use crate::netlink::Netlink;

/// Where Services come from: the agent, manifests, or the kernel. Commands that flatten this make `filenames` optional and
/// the groups of options depend on it.
#[derive(Debug, Args)]
pub(super) struct SourceOptions {
    /// The Unix socket of the agent, which is asked
    #[arg(long, value_name = "PATH", default_value = SOCKET, conflicts_with_all = ["kernel", "filenames"])]
    socket: PathBuf,
    /// Show what the rules in the kernel tell, without an agent; what they do not tell is -
    ///
    /// Rules of mode nftables alone are read.
    #[arg(long, conflicts_with = "filenames")]
    kernel: bool,
    #[command(flatten)]
    manifests: ManifestOptions,
    #[command(flatten)]
    rules: RuleOptions,
}

/// An opened source.
pub(super) enum Source {
    Agent(Client),
    Kernel(Box<Understood>),
    Manifests(Box<Compiled>),
}

/// What manifests say, and who does not get what in them.
pub(super) struct Compiled {
    cluster: Cluster,
    config: Config,
    conflicts: Vec<Conflict>,
}

impl SourceOptions {
    /// Opens what was asked for.
    pub(super) fn open(&self) -> Result<Source, Failure> {
        if self.manifests.are_given() {
            let (config, _) = self.rules.load()?;
            let cluster = self.manifests.read(&config.node_name)?.cluster;
            let conflicts = compiler::compile(&cluster, &config, &Slots::default())?.conflicts;
            return Ok(Source::Manifests(Box::new(Compiled { cluster, config, conflicts })));
        }
        if self.kernel {
            let understood = understand(&Netlink::open()?.read()?);
            for note in &understood.left_out {
                tracing::warn!("{note}");
            }
            return Ok(Source::Kernel(Box::new(understood)));
        }
        Ok(Source::Agent(Client::new(&self.socket)?))
    }
}

impl Source {
    /// The Services in the order of their names, all or those of a namespace, all or those that are selected.
    pub(super) fn services(
        &self,
        namespace: Option<&str>,
        selector: Option<&LabelSelector>,
    ) -> Result<Vec<ServiceSummary>, Failure> {
        let mut services = match self {
            Self::Agent(client) => return Ok(client.services(namespace, selector)?.items),
            Self::Kernel(_) if selector.is_some() => {
                return Err(Failure::Usage(
                    "--selector cannot be used with --kernel: rules do not tell the labels of Services"
                        .to_owned(),
                ));
            }
            Self::Kernel(understood) => Listed::of(&understood.ruleset).services().collect(),
            Self::Manifests(compiled) => {
                describe::services(&compiled.cluster, &compiled.config, &compiled.conflicts)
            }
        };
        services.retain(|service| {
            namespace.is_none_or(|namespace| service.namespace == namespace)
                && selector.is_none_or(|selector| selector.selects(service))
        });
        Ok(services)
    }

    /// The backends of a Service; `None` where it is not there.
    pub(super) fn backends(&self, service: &ObjectName) -> Result<Option<Vec<BackendSummary>>, Failure> {
        match self {
            Self::Agent(client) => match client.backends(service) {
                Ok(list) => Ok(Some(list.items)),
                Err(crate::agent_api::Error::NotFound(_)) => Ok(None),
                Err(error) => Err(error.into()),
            },
            Self::Kernel(understood) => Ok(Listed::of(&understood.ruleset).backends(service)),
            Self::Manifests(compiled) => {
                Ok(describe::backends_of(&compiled.cluster, &compiled.config, service))
            }
        }
    }
}
