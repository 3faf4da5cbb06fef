//! Committing: a transaction in as few batches as may be, each of them all or nothing.
//!
//! It is one batch but where a packet under way would be misled (see [`svcnat_rules::stages`]), or where the socket does
//! not take it in one piece.

use svcnat_rules::stages::{Importance, parts, stages};
use svcnat_rules::transaction::Transaction;

use super::encode::{Encoder, encode};
use super::error::{EncodeError, Error};
use super::socket::Transport;
use super::{Batch, Netlink, Options};

/// What a commit took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Commit {
    /// How many batches there were.
    pub batches: usize,
    /// How many bytes they had.
    pub bytes: usize,
}

/// Why a transaction is not in force, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The transaction cannot be said in netlink: a defect of svcnat.
    #[error("svcnat made an invalid transaction, nothing was done; please report it: {0}")]
    Encode(#[from] EncodeError),
    /// The kernel took none of it.
    #[error(transparent)]
    Kernel(#[from] Error),
    /// The kernel took the first batches and not the next one. What is in force is whole; what is missing is found by comparing
    /// with the kernel again.
    #[error(
        "{done} of {batches} parts of the transaction are in force, then: {error}; apply again to bring in the rest"
    )]
    Partly {
        /// How many batches are in force.
        done: usize,
        /// How many there were.
        batches: usize,
        /// Why the next one is not.
        error: Error,
    },
}

impl CommitError {
    /// Whether the kernel's ruleset was changed by others meanwhile, so that all should be read and computed again.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        matches!(
            self,
            Self::Kernel(Error::GenerationMoved) | Self::Partly { error: Error::GenerationMoved, .. }
        )
    }
}

/// Encodes a transaction as the batches to send one after the other.
///
/// # Errors
///
/// See [`encode`](super::encode()).
pub fn batches(transaction: &Transaction<'_>, options: &Options) -> Result<Vec<Batch>, EncodeError> {
    let mut options = *options;
    let mut batches = Vec::new();
    for stage in stages(transaction, options.chains_go) {
        batches.push(encode(&stage, &options)?);
        options = options.after_commit();
    }
    Ok(batches)
}

/// Encodes a transaction as the fewest batches of at most `limit` bytes, what `importance` puts first in the first ones.
///
/// # Errors
///
/// [`Error::TooLarge`] where not even a piece that cannot be cut fits; see [`encode`](super::encode()) for others.
pub fn batches_within(
    limit: usize,
    transaction: &Transaction<'_>,
    options: &Options,
    importance: &Importance,
) -> Result<Vec<Batch>, CommitError> {
    let mut options = *options;
    let mut batches = Vec::new();
    let mut encoder = Encoder::new(&options);
    for piece in parts(transaction, importance) {
        let before = encoder.mark();
        encoder.operations(&piece)?;
        if encoder.finished_len() <= limit {
            continue;
        }
        if !before.is_empty() {
            encoder.undo(before);
            batches.push(encoder.finish());
            options = options.after_commit();
            encoder = Encoder::new(&options);
            encoder.operations(&piece)?;
        }
        if encoder.finished_len() > limit {
            return Err(Error::TooLarge { needed: encoder.finished_len(), available: limit }.into());
        }
    }
    batches.push(encoder.finish());
    batches.retain(|batch| !batch.is_empty());
    Ok(batches)
}

/// Says that a transaction does not go in one piece.
pub(crate) fn warn_of_parts(parts: usize, needed: usize, available: usize) {
    tracing::warn!(
        "the socket takes {available} bytes at once, so the transaction goes in {parts} parts, the most important \
         Services first; to have it in force at once, raise net.core.wmem_max to {needed}"
    );
}

impl<T: Transport> Netlink<T> {
    /// Brings a transaction into force.
    ///
    /// Where the socket does not take it in one piece, it goes in several, which a warning says; `importance` is asked only
    /// then.
    ///
    /// # Errors
    ///
    /// See [`CommitError`].
    pub fn commit(
        &mut self,
        transaction: &Transaction<'_>,
        options: &Options,
        importance: impl FnOnce() -> Importance,
    ) -> Result<Commit, CommitError> {
        match self.apply_all(&batches(transaction, options)?) {
            Err(CommitError::Kernel(Error::TooLarge { needed, available })) if available > 0 => {
                let batches = batches_within(available, transaction, options, &importance())?;
                warn_of_parts(batches.len(), needed, available);
                self.apply_all(&batches)
            }
            result => result,
        }
    }

    /// Sends batches one after the other.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] before anything is sent, where one of them does not fit; else see [`CommitError`].
    pub fn apply_all(&mut self, batches: &[Batch]) -> Result<Commit, CommitError> {
        let largest = batches.iter().map(|batch| batch.as_bytes().len()).max().unwrap_or(0);
        self.transport.reserve(largest)?;
        let mut commit = Commit::default();
        for batch in batches {
            self.apply(batch).map_err(|error| match commit.batches {
                0 => CommitError::Kernel(error),
                done => CommitError::Partly { done, batches: batches.len(), error },
            })?;
            commit.batches += 1;
            commit.bytes += batch.as_bytes().len();
        }
        Ok(commit)
    }
}
