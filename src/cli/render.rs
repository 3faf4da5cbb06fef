//! `svcnat render`: the dry run.

use clap::Args;
use svcnat_rules::layout::Slots;
use svcnat_rules::{iptables, nft};

use super::progress::Progress;
use super::{Failure, ManifestOptions, RuleOptions, output};
use crate::compiler;
use crate::settings::Mode;

/// Print the script that the manifests compile to; nothing is applied
///
/// An nft script replaces our tables as a whole and can be loaded with `nft -f`. With --proxy-mode iptables, each family has
/// a part for a program of its own, and is meant for a host that has no chains of ours yet. Neither depends on what is in
/// the kernel: the same manifests and options give the same bytes.
#[derive(Debug, Args)]
pub(super) struct Render {
    #[command(flatten)]
    manifests: ManifestOptions,
    #[command(flatten)]
    rules: RuleOptions,
}

impl Render {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let (config, mode) = self.rules.load()?;
        let progress = Progress::start();
        let manifests = self.manifests.read_showing(&config.node_name, &progress)?;
        progress.phase(format!("compiling {} Services", manifests.cluster.services.len()));
        match mode {
            Mode::Nftables => {
                let compiled = compiler::compile(&manifests.cluster, &config, &Slots::default())?;
                drop(progress);
                let notes = compiled.conflicts.iter().map(|conflict| format!("conflict: {conflict}"));
                output::print(nft::script(&compiled.ruleset, &notes.collect::<Vec<_>>()))
            }
            Mode::Iptables => {
                let compiled = compiler::compile_iptables(&manifests.cluster, &config)?;
                drop(progress);
                output::print(iptables::script(&compiled.ruleset, &compiled.notes()))
            }
        }
    }
}
