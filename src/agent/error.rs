//! Why the agent cannot start.

use std::io;
use std::path::PathBuf;

use crate::{addresses, folder, http, iptables, kubernetes, netlink};

/// Why the agent cannot start. Once it runs, nothing but a signal ends it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The programs of iptables cannot be used, in mode iptables.
    #[error(transparent)]
    Iptables(#[from] iptables::Error),
    /// Another agent runs in this network namespace.
    #[error(
        "another svcnat agent runs here already (it holds the abstract socket @svcnat-agent, which `ss -xl` shows); this one ends"
    )]
    AnotherAgent,
    /// The runtime or the lock cannot be had.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The kernel cannot be asked.
    #[error(transparent)]
    Kernel(#[from] netlink::Error),
    /// The kernel's addresses cannot be followed.
    #[error(transparent)]
    Addresses(#[from] addresses::Error),
    /// An HTTP server cannot listen, with `bindAddressHardFail`.
    #[error(transparent)]
    Http(#[from] http::server::Error),
    /// There is no way to the API server.
    #[error(transparent)]
    Kubernetes(#[from] kubernetes::ClientError),
    /// The manifests cannot be read.
    #[error(transparent)]
    Manifests(#[from] folder::Error),
    /// The manifests' place makes no sense for a program that runs on.
    #[error("{} cannot be followed: name files or folders", path.display())]
    NotAFile {
        /// The place.
        path: PathBuf,
    },
}
