//! The outlet of mode nftables: transactions go to the kernel, or in a dry run to whoever prints them.

use svcnat_rules::diff::diff;
use svcnat_rules::engine::{Delta, Engine};
use svcnat_rules::installed::Installed;
use svcnat_rules::nft;
use svcnat_rules::ruleset::Ruleset;
use svcnat_rules::stages::Importance;
use svcnat_rules::transaction::{Summary, Transaction};
use svcnat_rules::verify::verify;

use super::kernel::{Applied, Errand, Kernel};
use super::outlet::{Done, Print, SendError};
use crate::metrics::Sent;
use crate::netlink::{self, CommitError, Options, batches, batches_within};

/// How often a comparison is repeated at once where others changed the ruleset meanwhile.
const ATTEMPTS: usize = 10;

/// Where transactions go.
pub(super) enum Nftables {
    /// Into force.
    Kernel(Kernel),
    /// Nowhere: each is printed. The state is what the kernel held at the start.
    DryRun {
        /// What is given each transaction.
        print: Print,
        /// What the kernel held.
        installed: Installed,
    },
}

impl Nftables {
    /// Whether nobody else can change what is in force.
    pub(super) fn owns(&self) -> bool {
        matches!(self, Self::Kernel(kernel) if kernel.owns())
    }

    /// Whether nothing is changed on this machine.
    pub(super) fn is_dry_run(&self) -> bool {
        matches!(self, Self::DryRun { .. })
    }

    /// What the kernel holds.
    pub(super) fn read(&mut self) -> Result<Installed, SendError> {
        match self {
            Self::Kernel(kernel) => Ok(kernel.read()?),
            Self::DryRun { installed, .. } => Ok(installed.clone()),
        }
    }

    /// Brings what an update changes into force; `None` where that is nothing.
    pub(super) fn update(&mut self, engine: &Engine, delta: &Delta) -> Result<Option<Sent>, SendError> {
        self.send(&delta.transaction(), None, engine)
    }

    /// Sends the batch of another thread.
    pub(super) fn run(&mut self, errand: Errand) {
        match self {
            Self::Kernel(kernel) => kernel.run(errand),
            // Nobody is left to clean up after a dry run.
            Self::DryRun { .. } => {}
        }
    }

    /// Reads everything back and brings into force what differs.
    pub(super) fn compare(&mut self, engine: &Engine) -> Result<Done, SendError> {
        let mut attempt = 1;
        loop {
            let installed = self.read()?;
            match self.make(engine, &engine.ruleset(), &installed) {
                Err(error) if error.is_outdated() && attempt < ATTEMPTS => attempt += 1,
                done => return done,
            }
        }
    }

    /// Brings a whole ruleset into force, where the kernel holds this.
    pub(super) fn make(
        &mut self,
        engine: &Engine,
        desired: &Ruleset,
        installed: &Installed,
    ) -> Result<Done, SendError> {
        verified(desired)?;
        let transaction = diff(desired, installed);
        let sent = self.send(&transaction, Some(installed.generation), engine)?;
        Ok(Done { sent, summary: Summary::of(&transaction).to_string() })
    }

    /// Brings a transaction into force; `None` where it is empty. The engine is asked where it does not go in one piece.
    fn send(
        &mut self,
        transaction: &Transaction<'_>,
        generation: Option<u32>,
        engine: &Engine,
    ) -> Result<Option<Sent>, SendError> {
        if transaction.is_empty() {
            return Ok(None);
        }
        match self {
            Self::DryRun { print, .. } => {
                print(&nft::transaction(transaction))?;
                Ok(None)
            }
            Self::Kernel(kernel) => {
                let own = kernel.owns();
                // Nobody else changes what is our own, and the kernel refuses to make our own what others made meanwhile. So
                // programs that change tables of theirs all the time need not keep us from ours.
                let generation = generation.filter(|_| !own);
                let options = Options { generation, own, ..Options::default() };
                let Applied { commit, took } = apply(kernel, transaction, &options, engine)?;
                let operations = transaction.operations.len();
                Ok(Some(Sent { operations, bytes: commit.bytes, kernel: took }))
            }
        }
    }
}

fn apply(
    kernel: &mut Kernel,
    transaction: &Transaction<'_>,
    options: &Options,
    engine: &Engine,
) -> Result<Applied, CommitError> {
    match kernel.apply(&batches(transaction, options)?) {
        Err(CommitError::Kernel(netlink::Error::TooLarge { needed, available })) if available > 0 => {
            let parts = batches_within(available, transaction, options, &Importance::of(&engine.cluster()))?;
            netlink::warn_of_parts(parts.len(), needed, available);
            kernel.apply(&parts)
        }
        result => result,
    }
}

/// Nothing is sent that breaks the rules of rulesets: a mistake of ours is better met by rules that are old.
fn verified(ruleset: &Ruleset) -> Result<(), SendError> {
    verify(ruleset).into_iter().next().map_or(Ok(()), |violation| Err(violation.into()))
}
