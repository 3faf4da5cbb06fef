//! Where the commands that show Services have them from.

use std::path::PathBuf;

use clap::Args;
use svcnat_rules::compile::Conflict;
use svcnat_rules::config::Config;
use svcnat_rules::describe::{self, BackendSummary, Listed, ServiceSummary};
use svcnat_rules::explain::{Understood, understand};
use svcnat_rules::layout::Slots;
use svcnat_rules::name::ObjectName;

use super::selector::Labels;
use super::{Failure, ManifestOptions, RuleOptions};
use crate::agent_api::{Client, SOCKET};
use crate::compiler;
use crate::manifests::Manifests;
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

/// Manifests, and who does not get what in them.
pub(super) struct Compiled {
    manifests: Manifests,
    config: Config,
    conflicts: Vec<Conflict>,
}

impl SourceOptions {
    /// Opens what was asked for.
    pub(super) fn open(&self) -> Result<Source, Failure> {
        if self.manifests.are_given() {
            let (config, _) = self.rules.load()?;
            let manifests = self.manifests.read(&config.node_name)?;
            let conflicts = compiler::compile(&manifests.cluster, &config, &Slots::default())?.conflicts;
            return Ok(Source::Manifests(Box::new(Compiled { manifests, config, conflicts })));
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
    /// The Services in the order of their names, all or those of a namespace, that have the labels asked for.
    pub(super) fn services(
        &self,
        namespace: Option<&str>,
        labels: &Labels,
    ) -> Result<Vec<ServiceSummary>, Failure> {
        if !labels.is_empty() && !matches!(self, Self::Manifests(_)) {
            return Err(Failure::Usage(
                "--selector needs -f: no rule depends on the labels of Services, so neither the agent nor the kernel keeps them"
                    .to_owned(),
            ));
        }
        let mut services = match self {
            Self::Agent(client) => client.services(namespace)?.items,
            Self::Kernel(understood) => Listed::of(&understood.ruleset).services().collect(),
            Self::Manifests(compiled) => compiled.services(labels),
        };
        services.retain(|service| namespace.is_none_or(|namespace| service.namespace == namespace));
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
                Ok(describe::backends_of(&compiled.manifests.cluster, &compiled.config, service))
            }
        }
    }
}

impl Compiled {
    fn services(&self, labels: &Labels) -> Vec<ServiceSummary> {
        let mut services = describe::services(&self.manifests.cluster, &self.config, &self.conflicts);
        if !labels.is_empty() {
            let own = |service: &ServiceSummary| self.manifests.labels.get(&service.object_name());
            services.retain(|service| own(service).is_some_and(|own| labels.match_all(own)));
        }
        services
    }
}
