//! The thread that owns the netlink socket, which owns the tables: `mnl` sockets belong to their threads, and a commit
//! blocks for as long as the kernel works.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use svcnat_rules::installed::Installed;
use tokio::sync::oneshot;

use crate::netlink::{self, Batch, Commit, CommitError, Netlink};

/// A handle on the thread. It ends when all handles are gone, and the tables stay.
#[derive(Debug, Clone)]
pub(super) struct Kernel {
    requests: mpsc::Sender<Request>,
    number: u32,
}

enum Request {
    Read(oneshot::Sender<Result<Installed, netlink::Error>>),
    Apply(Vec<Batch>, oneshot::Sender<Result<Applied, CommitError>>),
}

/// Batches that are in force.
#[derive(Debug, Clone, Copy)]
pub(super) struct Applied {
    pub(super) commit: Commit,
    /// How long the kernel took for all of them.
    pub(super) took: Duration,
}

/// The thread is gone: it ends only when the process does.
fn gone() -> netlink::Error {
    netlink::Error::Io {
        action: "ask the thread that owns the tables",
        source: std::io::ErrorKind::BrokenPipe.into(),
    }
}

impl Kernel {
    /// Starts the thread, in the network namespace of the calling one. With `own`, tables that their owner has left are taken
    /// over before they are read.
    pub(super) fn start(own: bool) -> Result<Self, netlink::Error> {
        let (requests, inbox) = mpsc::channel();
        let (opened, open) = mpsc::channel();
        let serve = move || match Netlink::open() {
            Err(error) => drop(opened.send(Err(error))),
            Ok(kernel) => {
                drop(opened.send(Ok(kernel.number())));
                serve(kernel, own, &inbox);
            }
        };
        thread::Builder::new()
            .name("netlink".to_owned())
            .spawn(serve)
            .map_err(|source| netlink::Error::Io { action: "start a thread", source })?;
        let number = open.recv().map_err(|_| gone())??;
        Ok(Self { requests, number })
    }

    /// The number by which the kernel knows the thread's socket.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// What the kernel holds.
    pub(super) async fn read(&self) -> Result<Installed, netlink::Error> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Read(reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Sends batches one after the other.
    pub(super) async fn apply(&self, batches: Vec<Batch>) -> Result<Applied, CommitError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Apply(batches, reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// The same for a caller that is not a task.
    pub(super) fn apply_blocking(&self, batch: Batch) -> Result<(), netlink::Error> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Apply(vec![batch], reply)).map_err(|_| gone())?;
        match answer.blocking_recv().map_err(|_| gone())? {
            Ok(_) => Ok(()),
            Err(CommitError::Kernel(error) | CommitError::Partly { error, .. }) => Err(error),
            Err(CommitError::Encode(_)) => Err(gone()),
        }
    }
}

/// Who asked and does not wait any more needs no answer.
fn serve(mut kernel: Netlink, own: bool, inbox: &mpsc::Receiver<Request>) {
    while let Ok(request) = inbox.recv() {
        match request {
            Request::Read(reply) => drop(reply.send(read(&mut kernel, own))),
            Request::Apply(batches, reply) => {
                let began = Instant::now();
                let applied =
                    kernel.apply_all(&batches).map(|commit| Applied { commit, took: began.elapsed() });
                drop(reply.send(applied));
            }
        }
    }
}

fn read(kernel: &mut Netlink, own: bool) -> Result<Installed, netlink::Error> {
    let installed = kernel.read()?;
    if !own {
        return Ok(installed);
    }
    let mut installed = if kernel.take_over(&installed)? { kernel.read()? } else { installed };
    installed.demand_owners();
    Ok(installed)
}
