//! Writing results to standard output.

use std::fmt::Display;
use std::io::{self, BufWriter, Write as _};

use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;
use serde::Serialize;
use svcnat_rules::nft;
use svcnat_rules::transaction::Transaction;

use super::Failure;
use crate::settings::Mode;

/// The form in which a transaction is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ScriptFormat {
    /// A script for `nft -f`, made for the ruleset that is in the kernel now
    Nft,
    /// The same for `iptables-restore` and `ip6tables-restore`, with --proxy-mode iptables
    Iptables,
}

impl ScriptFormat {
    /// Each mode has one format.
    pub(super) fn check(format: Option<Self>, mode: Mode) -> Result<(), Failure> {
        match (format, mode) {
            (Some(Self::Iptables), Mode::Nftables) => {
                Err(Failure::Usage("--output iptables needs --proxy-mode iptables".to_owned()))
            }
            (Some(Self::Nft), Mode::Iptables) => {
                Err(Failure::Usage("with --proxy-mode iptables, it is --output iptables".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

/// Writes a transaction as what can be loaded in its place.
pub(super) fn print_transaction(transaction: &Transaction<'_>) -> Result<(), Failure> {
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

/// Writes a result for programs, in lines for people.
pub(super) fn print_json(result: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(result).map_err(io::Error::other)?;
    print(format_args!("{text}\n"))
}

/// The same as YAML.
pub(super) fn print_yaml(result: &impl Serialize) -> Result<(), Failure> {
    print(serde_saphyr::to_string(result).map_err(io::Error::other)?)
}

/// Whether standard output shows colours: a terminal, unless NO_COLOR is set.
pub(super) fn is_coloured() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}
