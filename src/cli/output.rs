//! Writing results to standard output.

use std::fmt::Display;
use std::io::{self, BufWriter, Write as _};

use clap::ValueEnum;
use svcnat_rules::nft;
use svcnat_rules::transaction::Transaction;

use super::Failure;

/// The form in which a transaction is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ScriptFormat {
    /// A script for `nft -f`, made for the ruleset that is in the kernel now
    Nft,
}

/// Writes a transaction as what can be loaded in its place.
pub(super) fn print_transaction(transaction: &Transaction<'_>, format: ScriptFormat) -> Result<(), Failure> {
    let ScriptFormat::Nft = format;
    print(nft::transaction(transaction))
}

/// Writes a result. A reader that has seen enough (`svcnat render | head`) is no error.
pub(super) fn print(result: impl Display) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write!(out, "{result}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
