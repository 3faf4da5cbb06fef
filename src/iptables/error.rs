//! What can go wrong between us and the programs of iptables, in the operator's words.

use std::io;
use std::process::ExitStatus;

use svcnat_rules::iptables::ParseError;

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
    /// A program that is there and does not start.
    #[error("{program} cannot be run: {source}")]
    Start {
        /// Which program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A program that says that it failed, as for want of privilege.
    #[error("{program} failed ({status}): {said}")]
    Failed {
        /// Which program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        said: String,
    },
    /// The same of one that makes changes; also where another program held the lock for too long.
    #[error(
        "{program} failed ({status}): {said}; tables that it had committed by then are in force, the others as they \
         were"
    )]
    Restore {
        /// Which program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        said: String,
    },
    /// A program whose output makes no sense.
    #[error("{program} prints what is not understood: {source}; please report it")]
    Parse {
        /// Which program.
        program: String,
        /// What is wrong.
        source: ParseError,
    },
}
