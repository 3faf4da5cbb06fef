//! What can go wrong between us and the programs of iptables, in the operator's words.

use svcnat_rules::iptables::ParseError;

use crate::program;

/// Why the rules cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No variant of iptables.
    #[error("iptables is not installed: install the package iptables, or use --proxy-mode nftables")]
    NotInstalled,
    /// The programs of one family alone.
    #[error("{program} is not installed, although its kin is; install the package iptables as a whole")]
    Incomplete {
        /// Which program.
        program: String,
    },
    /// A program that fails to tell what is there.
    #[error(transparent)]
    Program(#[from] program::Error),
    /// One that fails to change it; also where another program held the lock for too long.
    #[error("{0}; tables that it had committed by then are in force, the others as they were")]
    Restore(#[source] program::Error),
    /// A program whose output makes no sense.
    #[error("{program} prints what is not understood: {source}; please report it")]
    Parse {
        /// Which program.
        program: String,
        /// What is wrong.
        source: ParseError,
    },
}
