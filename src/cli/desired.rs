//! What should be in the kernel, for the commands that compare it with what is.

use svcnat_rules::cluster::Cluster;
use svcnat_rules::compile::{Compiled, Conflict};
use svcnat_rules::config::Config;
use svcnat_rules::installed::Installed;
use svcnat_rules::iptables;
use svcnat_rules::layout::slots_in;

use super::progress::Progress;
use super::{Failure, ManifestOptions};
use crate::compiler;

/// All that the ruleset follows from, but for what is installed.
pub(super) struct Desired {
    pub(super) cluster: Cluster,
    pub(super) config: Config,
}

impl Desired {
    /// Reads the manifests.
    pub(super) fn read(
        manifests: &ManifestOptions,
        config: Config,
        progress: &Progress,
    ) -> Result<Self, Failure> {
        let cluster = manifests.read_showing(&config.node_name, progress)?.cluster;
        Ok(Self { cluster, config })
    }

    /// Compiles, with backends kept in the slots that they have in the kernel.
    pub(super) fn compile(&self, installed: &Installed, progress: &Progress) -> Result<Compiled, Failure> {
        self.say_compiling(progress);
        Ok(compiler::compile(&self.cluster, &self.config, &slots_in(installed))?)
    }

    /// Compiles to iptables rules, and warns of what Services do not get.
    pub(super) fn compile_iptables(&self, progress: &Progress) -> Result<iptables::Ruleset, Failure> {
        self.say_compiling(progress);
        let compiled = compiler::compile_iptables(&self.cluster, &self.config)?;
        compiled.notes().iter().for_each(|note| tracing::warn!("{note}"));
        Ok(compiled.ruleset)
    }

    fn say_compiling(&self, progress: &Progress) {
        progress.phase(format!("compiling {} Services", self.cluster.services.len()));
    }
}

/// Warns of frontends that Services want and do not get.
pub(super) fn warn_of(conflicts: &[Conflict]) {
    for conflict in conflicts {
        tracing::warn!("conflict: {conflict}");
    }
}
