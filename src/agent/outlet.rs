//! Where transactions go: to the kernel, or in a dry run to whoever prints them.

use std::io;

use svcnat_rules::cluster::Cluster;
use svcnat_rules::installed::Installed;
use svcnat_rules::stages::Importance;
use svcnat_rules::transaction::Transaction;
use svcnat_rules::verify::Violation;

use super::kernel::{Applied, Kernel};
use crate::metrics::Sent;
use crate::netlink::{self, CommitError, Options, batches, batches_within};

/// Prints a transaction.
pub type Print = Box<dyn Fn(&Transaction<'_>) -> io::Result<()> + Send + Sync>;

/// Where transactions go.
pub(super) enum Outlet {
    /// Into force.
    Kernel {
        /// The thread that owns the tables.
        kernel: Kernel,
        /// Whether tables are made our own.
        own: bool,
    },
    /// Nowhere: each is printed. The state is what the kernel held at the start.
    DryRun {
        /// What is given each transaction.
        print: Print,
        /// What the kernel held.
        installed: Installed,
    },
}

/// Why a transaction is not in force.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error("svcnat made an invalid ruleset, nothing was done; please report it: {0}")]
    Invalid(#[from] Violation),
    #[error("cannot print the transaction: {0}")]
    Print(#[from] io::Error),
}

impl From<netlink::Error> for SendError {
    fn from(error: netlink::Error) -> Self {
        Self::Commit(error.into())
    }
}

impl SendError {
    /// Whether others changed the ruleset meanwhile, so that all must be read again.
    pub(super) fn is_outdated(&self) -> bool {
        matches!(self, Self::Commit(error) if error.is_outdated())
    }
}

impl Outlet {
    /// Whether nobody else can change what is in force.
    pub(super) fn owns(&self) -> bool {
        matches!(self, Self::Kernel { own: true, .. } | Self::DryRun { .. })
    }

    /// Whether nothing is changed on this machine.
    pub(super) fn is_dry_run(&self) -> bool {
        matches!(self, Self::DryRun { .. })
    }

    /// How many tables are our own.
    pub(super) fn owned(&self) -> usize {
        if matches!(self, Self::Kernel { own: true, .. }) { 2 } else { 0 }
    }

    /// What the kernel holds.
    pub(super) async fn read(&self) -> Result<Installed, netlink::Error> {
        match self {
            Self::Kernel { kernel, .. } => kernel.read().await,
            Self::DryRun { installed, .. } => Ok(installed.clone()),
        }
    }

    /// Brings a transaction into force; `None` where it is empty. `cluster` is asked where it does not go in one piece.
    pub(super) async fn send(
        &self,
        transaction: &Transaction<'_>,
        generation: Option<u32>,
        cluster: &impl Fn() -> Cluster,
    ) -> Result<Option<Sent>, SendError> {
        if transaction.is_empty() {
            return Ok(None);
        }
        match self {
            Self::DryRun { print, .. } => {
                print(transaction)?;
                Ok(None)
            }
            Self::Kernel { kernel, own } => {
                // Nobody else changes what is our own, and the kernel refuses to make our own what others made meanwhile. So
                // programs that change tables of theirs all the time need not keep us from ours.
                let generation = generation.filter(|_| !*own);
                let options = Options { generation, own: *own, ..Options::default() };
                let Applied { commit, took } = apply(kernel, transaction, &options, cluster).await?;
                let operations = transaction.operations.len();
                Ok(Some(Sent { operations, bytes: commit.bytes, kernel: took }))
            }
        }
    }
}

async fn apply(
    kernel: &Kernel,
    transaction: &Transaction<'_>,
    options: &Options,
    cluster: &impl Fn() -> Cluster,
) -> Result<Applied, CommitError> {
    match kernel.apply(batches(transaction, options)?).await {
        Err(CommitError::Kernel(netlink::Error::TooLarge { needed, available })) if available > 0 => {
            let parts = batches_within(available, transaction, options, &Importance::of(&cluster()))?;
            netlink::warn_of_parts(parts.len(), needed, available);
            kernel.apply(parts).await
        }
        result => result,
    }
}
