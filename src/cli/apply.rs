//! `svcnat apply`: manifests to kernel, once.

use clap::Args;
use svcnat_rules::diff::diff;
use svcnat_rules::stages::Importance;
use svcnat_rules::transaction::{Summary, Transaction};

use super::desired::{self, Desired};
use super::options::ConnectionOptions;
use super::output::{self, ScriptFormat};
use super::{Failure, ManifestOptions, RuleOptions};
use crate::netlink::{Netlink, Options};
use crate::stale::{self, Removed};

/// Bring the kernel's rules in line with the manifests, in one transaction
///
/// What the kernel holds is read first and only the difference is sent, so connections, affinity and rules that stay
/// are not touched; a second time nothing changes. Either all of it is in force afterwards or nothing; a warning says
/// so where the kernel's limits on sockets make it go in parts, the most important Services first.
#[derive(Debug, Args)]
pub(super) struct Apply {
    #[command(flatten)]
    manifests: ManifestOptions,
    #[command(flatten)]
    rules: RuleOptions,
    /// Print the transaction as an nft script too
    #[arg(short, long, value_enum)]
    output: Option<ScriptFormat>,
    /// Change nothing; with -o nft, print what would be sent
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connections: ConnectionOptions,
}

/// How often another program may change the ruleset between our reading and our writing before that is an error.
const ATTEMPTS: usize = 10;

impl Apply {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let desired = Desired::read(&self.manifests, &self.rules)?;
        let mut kernel = Netlink::open()?;
        let mut attempt = 1;
        loop {
            let installed = kernel.read()?;
            let compiled = desired.compile(&installed)?;
            let transaction = diff(&compiled.ruleset, &installed);
            if !self.dry_run && !transaction.is_empty() {
                let options = Options { generation: Some(installed.generation), ..Options::default() };
                match kernel.commit(&transaction, &options, || Importance::of(&desired.cluster)) {
                    Err(error) if error.is_outdated() && attempt < ATTEMPTS => {
                        attempt += 1;
                        continue;
                    }
                    result => result?,
                };
            }
            desired::warn_of(&compiled.conflicts);
            if let Some(format) = self.output {
                output::print_transaction(&transaction, format)?;
            }
            let change = stale::Change {
                before: &installed,
                after: &compiled.ruleset,
                cluster: &desired.cluster,
                config: &desired.config,
                dead_connections: self.reset_dead_connections(),
            };
            let removed = self.remove_stale(&change, &transaction, &mut kernel);
            return self.report(&Summary::of(&transaction), &removed);
        }
    }

    /// The rules are in force, so what goes wrong here is only warned of.
    fn remove_stale(
        &self,
        change: &stale::Change<'_>,
        transaction: &Transaction<'_>,
        kernel: &mut Netlink,
    ) -> Removed {
        if self.dry_run || (transaction.is_empty() && !self.reset_dead_connections()) {
            return Removed::default();
        }
        let removed = change.remove_stale(kernel);
        for problem in &removed.problems {
            tracing::warn!("{problem}");
        }
        removed
    }

    fn reset_dead_connections(&self) -> bool {
        self.connections.reset_dead_connections.unwrap_or(false)
    }

    fn report(&self, summary: &Summary, removed: &Removed) -> Result<(), Failure> {
        let head = match (self.output, self.dry_run) {
            // The script must stay loadable.
            (Some(ScriptFormat::Nft), _) => "# ",
            (None, _) => "",
        };
        let mode = if self.dry_run { " (dry run)" } else { "" };
        let summary = with_removed(summary, removed);
        output::print(format_args!("{head}{summary}{mode}\n"))
    }
}

/// The summary of the transaction and of what was removed behind it, such as `rules +1 -1, flows -3`.
fn with_removed(summary: &Summary, removed: &Removed) -> String {
    let changed = (*summary != Summary::default()).then(|| summary.to_string());
    let counts = [("affinity", removed.affinity), ("flows", removed.flows)];
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    let parts: Vec<String> =
        changed.into_iter().chain(counts.map(|(kind, count)| format!("{kind} -{count}"))).collect();
    if parts.is_empty() { summary.to_string() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_what_was_removed() {
        #[track_caller]
        fn check(flows: usize, affinity: usize, expected: &str) {
            let removed = Removed { flows, affinity, ..Removed::default() };
            assert_eq!(with_removed(&Summary::default(), &removed), expected);
        }
        check(0, 0, "unchanged");
        check(3, 0, "flows -3");
        check(1, 2, "affinity -2, flows -1");
    }
}
