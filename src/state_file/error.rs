//! What can be wrong with a state file, and what the operator loses by it.

use std::io;
use std::path::PathBuf;

use super::codec::{OLDEST, VERSION};

/// What is wrong with a state file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("{}: cannot be read: {source}; {UNKNOWN}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is something else.
    #[error("{}: not a state file of svcnat; it is left as it is: give another path, or remove it", .0.display())]
    Foreign(PathBuf),
    /// It is of a version that is not understood.
    #[error(
        "{}: of format {found}, and this svcnat knows {OLDEST} to {VERSION}; {UNKNOWN} and the file is written anew",
        .path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// Its length is not what its head says.
    #[error(
        "{}: {found} bytes of state where {expected} were written, so the disk or a copy has lost some; {UNKNOWN} and \
         the file is written anew",
        .path.display()
    )]
    Cut {
        /// The file.
        path: PathBuf,
        /// How many bytes were written.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// Its checksum or its head is wrong.
    #[error(
        "{}: damaged, it does not have its checksum, so the disk may be failing or somebody has edited it; {UNKNOWN} \
         and the file is written anew",
        .0.display()
    )]
    Damaged(PathBuf),
    /// It is undamaged, and says something that is not allowed.
    #[error("{}: not written by svcnat: {reason}; {UNKNOWN} and the file is written anew", .path.display())]
    Meaning {
        /// The file.
        path: PathBuf,
        /// What it says.
        reason: String,
    },
    /// It cannot be written.
    #[error(
        "{}: cannot be written: {source}; after a reboot without the control plane, this node will not know what has \
         changed since the last time",
        .path.display()
    )]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What is lost with the file.
const UNKNOWN: &str = "no Service is known until the cluster can be asked";
