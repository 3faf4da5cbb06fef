//! The netlink socket that owns the tables. It belongs to the keeper's thread, as `mnl` sockets belong to theirs: a change is sent
//! where it is found out, and no thread waits for another. Others who must change an owned table hand their batches in.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use svcnat_rules::installed::Installed;
use tokio::sync::mpsc;

use crate::netlink::{self, Batch, Commit, CommitError, Netlink};

/// The socket.
pub(super) struct Kernel {
    netlink: Netlink,
    own: bool,
}

/// Batches that are in force.
#[derive(Debug, Clone, Copy)]
pub(super) struct Applied {
    pub(super) commit: Commit,
    /// How long the kernel took for all of them.
    pub(super) took: Duration,
}

/// A batch of another thread's, with the way for what becomes of it.
pub(super) struct Errand {
    batch: Batch,
    reply: SyncSender<Result<(), netlink::Error>>,
}

/// Where other threads hand their batches in.
#[derive(Debug, Clone)]
pub(super) struct Errands(mpsc::UnboundedSender<Errand>);

impl Kernel {
    /// Opens the socket, in the network namespace of the calling thread. With `own`, tables that their owner has left are taken over
    /// before they are read.
    pub(super) fn open(own: bool) -> Result<Self, netlink::Error> {
        Ok(Self { netlink: Netlink::open()?, own })
    }

    /// Whether the tables are made the socket's own.
    pub(super) fn owns(&self) -> bool {
        self.own
    }

    /// The number by which the kernel knows the socket.
    pub(super) fn number(&self) -> u32 {
        self.netlink.number()
    }

    /// What the kernel holds.
    pub(super) fn read(&mut self) -> Result<Installed, netlink::Error> {
        let installed = self.netlink.read()?;
        if !self.own {
            return Ok(installed);
        }
        let taken = self.netlink.take_over(&installed)?;
        let mut installed = if taken { self.netlink.read()? } else { installed };
        installed.demand_owners();
        Ok(installed)
    }

    /// Sends batches one after the other, and waits for as long as the kernel works on them.
    pub(super) fn apply(&mut self, batches: &[Batch]) -> Result<Applied, CommitError> {
        let began = Instant::now();
        let commit = self.netlink.apply_all(batches)?;
        Ok(Applied { commit, took: began.elapsed() })
    }

    /// Sends the batch of another thread. Who does not wait any more needs no answer.
    pub(super) fn run(&mut self, errand: Errand) {
        let done = self.apply(&[errand.batch]).map(drop);
        let done = done.map_err(|error| match error {
            CommitError::Kernel(error) | CommitError::Partly { error, .. } => error,
            CommitError::Encode(_) => gone(),
        });
        drop(errand.reply.send(done));
    }
}

impl Errands {
    /// The keeper's end comes second.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Errand>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Has a batch sent, and waits until it is.
    pub(super) fn run(&self, batch: Batch) -> Result<(), netlink::Error> {
        let (reply, answer) = sync_channel(1);
        self.0.send(Errand { batch, reply }).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

/// The keeper is gone: it ends only when the process does.
fn gone() -> netlink::Error {
    netlink::Error::Io {
        action: "ask the thread that owns the tables",
        source: std::io::ErrorKind::BrokenPipe.into(),
    }
}
