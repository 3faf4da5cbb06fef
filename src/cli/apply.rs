//! `svcnat apply`: manifests to kernel, once.

use clap::Args;
use svcnat_rules::diff::diff;
use svcnat_rules::installed::Installed;
use svcnat_rules::iptables::{self, as_nftables};
use svcnat_rules::stages::Importance;
use svcnat_rules::transaction::Summary;

use super::desired::{self, Desired};
use super::options::ConnectionOptions;
use super::output::{self, ScriptFormat};
use super::progress::{Progress, READING_KERNEL};
use super::{Failure, ManifestOptions, RuleOptions};
use crate::iptables::Iptables;
use crate::netlink::{Netlink, Options};
use crate::other_mode::keep_only;
use crate::settings::Mode;
use crate::stale::{self, Removed};

/// Bring the kernel's rules in line with the manifests, in one transaction
///
/// What the kernel holds is read first and only the difference is sent, so connections, affinity and rules that stay
/// are not touched; a second time nothing changes. Either all of it is in force afterwards or nothing; a warning says
/// so where the kernel's limits on sockets make it go in parts, the most important Services first.
///
/// With --proxy-mode iptables there is no such transaction: each family is one call of iptables-restore, in which each table
/// is one commit. Rules of the other mode go once those of this one are in force.
#[derive(Debug, Args)]
pub(super) struct Apply {
    #[command(flatten)]
    manifests: ManifestOptions,
    #[command(flatten)]
    rules: RuleOptions,
    /// Print what is sent as a script too
    #[arg(short, long, value_enum)]
    output: Option<ScriptFormat>,
    /// Change nothing; with -o, print what would be sent
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connections: ConnectionOptions,
}

/// How often another program may change the ruleset between our reading and our writing before that is an error.
const ATTEMPTS: usize = 10;

impl Apply {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let (config, mode) = self.rules.load()?;
        ScriptFormat::check(self.output, mode)?;
        let progress = Progress::start();
        let desired = Desired::read(&self.manifests, config, &progress)?;
        match mode {
            Mode::Nftables => self.nftables(&desired, progress),
            Mode::Iptables => self.iptables(&desired, progress),
        }
    }

    fn nftables(&self, desired: &Desired, progress: Progress) -> Result<(), Failure> {
        let mut kernel = Netlink::open()?;
        let mut attempt = 1;
        loop {
            progress.phase(READING_KERNEL);
            let installed = kernel.read()?;
            let compiled = desired.compile(&installed, &progress)?;
            progress.phase("comparing");
            let transaction = diff(&compiled.ruleset, &installed);
            progress.phase(format!("sending {} operations to the kernel", transaction.operations.len()));
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
            progress.phase("removing what earlier connections left behind");
            desired::warn_of(&compiled.conflicts);
            let change = stale::Change {
                before: &installed,
                after: &compiled.ruleset,
                cluster: &desired.cluster,
                config: &desired.config,
                dead_connections: self.reset_dead_connections(),
                everywhere: false,
            };
            let removed = self.remove_stale(&change, transaction.is_empty(), &mut kernel);
            drop(progress);
            if self.output.is_some() {
                output::print_transaction(&transaction)?;
            }
            if !self.dry_run && installed.tables.is_empty() {
                // The rules are in force, so what of the other mode is left is only warned of.
                keep_only(None);
            }
            let summary = Summary::of(&transaction);
            let changed = (summary != Summary::default()).then(|| summary.to_string());
            return self.report(changed, &removed);
        }
    }

    fn iptables(&self, desired: &Desired, progress: Progress) -> Result<(), Failure> {
        let wanted = desired.compile_iptables(&progress)?;
        let kernel = Iptables::in_use()?;
        progress.phase(READING_KERNEL);
        let installed = kernel.read()?;
        progress.phase("comparing");
        let change = iptables::diff(&wanted, &installed);
        if !self.dry_run {
            progress.phase("running the programs of iptables");
            kernel.apply(&change)?;
        }
        drop(progress);
        if self.output.is_some() {
            output::print(&change)?;
        }
        let stale = stale::Change {
            before: &Installed::from(&as_nftables(&installed)),
            after: &as_nftables(&iptables::Installed::from(&wanted)),
            cluster: &desired.cluster,
            config: &desired.config,
            dead_connections: self.reset_dead_connections(),
            everywhere: false,
        };
        let removed = match Netlink::open() {
            Ok(mut kernel) => self.remove_stale(&stale, change.is_empty(), &mut kernel),
            Err(error) => {
                tracing::warn!(
                    "flows of earlier connections may still go to backends that are gone: {error}"
                );
                Removed::default()
            }
        };
        if !self.dry_run {
            keep_only(Some(kernel.variant()));
        }
        let summary = change.summary();
        self.report((!change.is_empty()).then(|| summary.to_string()), &removed)
    }

    /// The rules are in force, so what goes wrong here is only warned of.
    fn remove_stale(&self, change: &stale::Change<'_>, is_empty: bool, kernel: &mut Netlink) -> Removed {
        if self.dry_run || (is_empty && !self.reset_dead_connections()) {
            return Removed::default();
        }
        let removed = stale::remove_stale(std::slice::from_ref(change), kernel);
        for problem in &removed.problems {
            tracing::warn!("{problem}");
        }
        removed
    }

    fn reset_dead_connections(&self) -> bool {
        self.connections.reset_dead_connections.unwrap_or(false)
    }

    fn report(&self, changed: Option<String>, removed: &Removed) -> Result<(), Failure> {
        // The script must stay loadable.
        let head = if self.output.is_some() { "# " } else { "" };
        let mode = if self.dry_run { " (dry run)" } else { "" };
        let summary = with_removed(changed, removed);
        output::print(format_args!("{head}{summary}{mode}\n"))
    }
}

/// What was changed and what was removed behind it, such as `rules +1 -1, flows -3`.
fn with_removed(changed: Option<String>, removed: &Removed) -> String {
    let counts = [("affinity", removed.affinity), ("flows", removed.flows)];
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    let parts: Vec<String> =
        changed.into_iter().chain(counts.map(|(kind, count)| format!("{kind} -{count}"))).collect();
    if parts.is_empty() { Summary::default().to_string() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_what_was_removed() {
        #[track_caller]
        fn check(flows: usize, affinity: usize, expected: &str) {
            let removed = Removed { flows, affinity, ..Removed::default() };
            assert_eq!(with_removed(None, &removed), expected);
        }
        check(0, 0, "unchanged");
        check(3, 0, "flows -3");
        check(1, 2, "affinity -2, flows -1");
    }
}
