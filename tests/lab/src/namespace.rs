//! A network namespace without a name: a file descriptor holds it, a thread enters it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

use crate::{Error, Result};

/// A network namespace. Clones are the same namespace, which lives as long as one of them or a socket in it.
#[derive(Debug, Clone)]
pub struct Namespace {
    file: Arc<File>,
}

impl Namespace {
    /// Makes an empty network namespace: its loopback interface is down, nothing else is in it.
    ///
    /// # Errors
    ///
    /// [`Error::NotAllowed`] without CAP_SYS_ADMIN, [`Error::Io`] where the kernel fails otherwise.
    pub fn new() -> Result<Self> {
        let made = on_a_thread(|| -> io::Result<File> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        });
        match made {
            Ok(file) => Ok(Self { file: Arc::new(file) }),
            // ENOSPC is about the limits user.max_*_namespaces: unshare(2).
            Err(e) if matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::StorageFull) => {
                Err(Error::NotAllowed(e))
            }
            Err(e) => Err(Error::io("make a network namespace")(e)),
        }
    }

    /// Runs `work` on a thread inside the namespace and gives its value. Sockets that it opens stay in the namespace
    /// wherever they are used later; processes that it spawns run in it. A panic of `work` goes on in the caller.
    ///
    /// # Panics
    ///
    /// If the thread cannot enter the namespace, since it must not go on in the machine's own network.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let entered = on_a_thread(|| {
            setns(self, CloneFlags::CLONE_NEWNET)?;
            Ok::<T, nix::Error>(work())
        });
        #[allow(clippy::panic, reason = "packets of a test must never leave by the machine's own network")]
        entered.unwrap_or_else(|errno| panic!("cannot enter a network namespace of the lab: {errno}"))
    }

    /// A path by which other programs open the namespace while this process lives, as in `ip link set ... netns PATH`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A thread of its own, because a thread that changed its namespace cannot be trusted by anybody else.
fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
