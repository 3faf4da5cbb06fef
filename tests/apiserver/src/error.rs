//! What can go wrong while a test uses the server. What clients are told is in `status`.

use std::io;
use std::net::SocketAddr;

/// The server's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the server could not do what a test wants.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be had in the network namespace of the calling thread.
    #[error(
        "cannot listen on {address}: {source} (is the address on an interface that is up, and the port free?)"
    )]
    Listen {
        /// Where the server should listen.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The thread or the runtime of the server could not be had.
    #[error("cannot start the server's thread: {0}")]
    Thread(#[source] io::Error),
    /// No certificates could be made.
    #[error("cannot make certificates: {0}")]
    Certificates(String),
    /// An object that the server does not know how to keep.
    #[error("cannot apply an object: {0}")]
    Object(&'static str),
}
