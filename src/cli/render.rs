//! `svcnat render`: the dry run.

use clap::Args;
use svcnat_rules::layout::Slots;
use svcnat_rules::nft;

use super::{Failure, ManifestOptions, RuleOptions, output};
use crate::compiler;

/// Print the nft script that the manifests compile to; nothing is applied
///
/// The script replaces our tables as a whole and can be loaded with `nft -f`. It does not depend on what is in the
/// kernel: the same manifests and options give the same bytes.
#[derive(Debug, Args)]
pub(super) struct Render {
    #[command(flatten)]
    manifests: ManifestOptions,
    #[command(flatten)]
    rules: RuleOptions,
}

impl Render {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let config = self.rules.config()?;
        let manifests = self.manifests.read(&config.node_name)?;
        let compiled = compiler::compile(&manifests.cluster, &config, &Slots::default())?;
        let notes: Vec<String> =
            compiled.conflicts.iter().map(|conflict| format!("conflict: {conflict}")).collect();
        output::print(nft::script(&compiled.ruleset, &notes))
    }
}
