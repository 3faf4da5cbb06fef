//! Why manifests cannot be followed.

use std::io;
use std::path::PathBuf;

use crate::manifests::ManifestErrors;

/// Why manifests cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Some of them cannot be read.
    #[error(transparent)]
    Manifests(#[from] ManifestErrors),
    /// They changed during every attempt to read them.
    #[error(
        "the manifests change all the time, so they cannot be read as a whole; stop what writes them, or let it pause"
    )]
    Unsettled,
    /// Too many programs use inotify.
    #[error(
        "cannot watch the manifests: this user has as many inotify instances as are allowed; raise \
         fs.inotify.max_user_instances (`sysctl -w fs.inotify.max_user_instances=512`)"
    )]
    Instances,
    /// Too many files are watched.
    #[error(
        "cannot watch {}: this user watches as many files as are allowed; raise fs.inotify.max_user_watches \
         (`sysctl -w fs.inotify.max_user_watches=65536`)", .0.display()
    )]
    Watches(PathBuf),
    /// Another failure to watch.
    #[error("cannot watch {}: {source}", .path.display())]
    Watch {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}
