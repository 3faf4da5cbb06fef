//! What can go wrong while a lab is built or used.

use std::io;
use std::process::ExitStatus;

/// The lab's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the lab could not do something. A packet that is not answered is no error but an
/// [`Outcome`](crate::Outcome).
#[derive(thiserror::Error)]
pub enum Error {
    /// The kernel refuses network namespaces to this process.
    #[error(
        "this process may not make network namespaces ({0}): run it as root, or allow user namespaces (sysctls \
         user.max_user_namespaces and user.max_net_namespaces, and on some distributions kernel.unprivileged_userns_clone=1 or \
         kernel.apparmor_restrict_unprivileged_userns=0; containers need CAP_SYS_ADMIN and CAP_NET_ADMIN)"
    )]
    NotAllowed(#[source] io::Error),
    /// A system call or a file operation failed.
    #[error("{attempt}: {source}")]
    Io {
        /// What was tried, with the host's name.
        attempt: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A program ended with a failure.
    #[error("{program} on {host}: {status}\n{stderr}")]
    Command {
        /// The command line.
        program: String,
        /// Where it ran.
        host: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        stderr: String,
    },
    /// The address plan has no room for another host of this kind.
    #[error("the lab has room for {limit} {kind}")]
    Full {
        /// What there are too many of.
        kind: &'static str,
        /// How many fit.
        limit: usize,
    },
}

impl Error {
    /// Wraps an I/O error with what was tried.
    pub(crate) fn io(attempt: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let attempt = attempt.into();
        move |source| Self::Io { attempt, source }
    }
}

/// A test that returns an error prints its `Debug` form: make that the readable one.
impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}
