//! `svcnat cleanup`: away with it all.

use clap::Args;
use svcnat_rules::iptables;
use svcnat_rules::transaction::Summary;

use super::{Failure, output};
use crate::kube_proxy::Leftovers;
use crate::other_mode::{remove_iptables, remove_nftables};

/// Remove our rules from the kernel, those of both modes, or what kube-proxy has left, and nothing else
#[derive(Debug, Args)]
pub(super) struct Cleanup {
    /// Remove what kube-proxy has left on this node, in whichever of its modes, and leave our rules
    ///
    /// Stop kube-proxy first, or it makes everything anew. What other programs need of it stays, with a warning; so do
    /// virtual servers (mode ipvs) and sysctls. Connections go on.
    #[arg(long)]
    kube_proxy: bool,
    /// Change nothing; print what would be removed
    #[arg(long)]
    dry_run: bool,
}

impl Cleanup {
    pub(super) fn run(&self) -> Result<(), Failure> {
        if self.kube_proxy { self.remove_kube_proxys() } else { self.remove_ours() }
    }

    fn remove_ours(&self) -> Result<(), Failure> {
        let tables = remove_nftables(self.dry_run)?;
        let chains = remove_iptables(None, self.dry_run)?;
        let mode = self.mode();
        if chains == iptables::Summary::default() {
            output::print(format_args!("{tables}{mode}\n"))
        } else if tables == Summary::default() {
            output::print(format_args!("{chains}{mode}\n"))
        } else {
            output::print(format_args!("{tables}, {chains}{mode}\n"))
        }
    }

    fn remove_kube_proxys(&self) -> Result<(), Failure> {
        let mut leftovers = Leftovers::find().map_err(|error| Failure::KubeProxy(vec![error]))?;
        let removed = if self.dry_run { Ok(()) } else { leftovers.remove() };
        for note in leftovers.notes() {
            tracing::warn!("{note}");
        }
        removed.map_err(Failure::KubeProxy)?;
        if leftovers.is_empty() {
            return output::print(format_args!("unchanged{}\n", self.mode()));
        }
        let head = if self.dry_run { "would be removed" } else { "removed" };
        output::print(format_args!("{head}:\n{leftovers}"))
    }

    fn mode(&self) -> &'static str {
        if self.dry_run { " (dry run)" } else { "" }
    }
}
