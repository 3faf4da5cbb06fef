//! Going from one mode to the other: the rules of the mode before go once those of the new one are in force.
//!
//! Until then both are, and do the same: who is first translates a connection, and the same bit of the mark asks for
//! masquerading.

use std::fmt::Display;

use svcnat_rules::diff::diff;
use svcnat_rules::iptables;
use svcnat_rules::ruleset::Ruleset;
use svcnat_rules::transaction::Summary;

use crate::iptables::{Error, Iptables, Variant};
use crate::netlink::{self, CommitError, Netlink, Options, encode};

/// Removes all rules of ours but those of the mode in force: of one variant of iptables, or without one of nftables. Logs what
/// that was, and gives whether nothing is left. It runs the programs of iptables: call it from a thread that may wait.
pub fn keep_only(variant: Option<Variant>) -> bool {
    match variant {
        None => log("iptables", &remove_iptables(None, false)),
        Some(_) => {
            let nftables = log("nftables", &remove_nftables(false));
            log("another variant of iptables", &remove_iptables(variant, false)) && nftables
        }
    }
}

fn log<T: Display + Default + PartialEq>(place: &str, removed: &Result<T, impl Display>) -> bool {
    match removed {
        Ok(summary) if *summary == T::default() => {}
        Ok(summary) => tracing::info!("rules of ours in {place}: {summary}"),
        Err(error) => tracing::warn!("rules of ours may be left in {place}: {error}"),
    }
    removed.is_ok()
}

/// Removes our tables from nftables, and says what that was. A dry run only says it. A kernel without nf_tables has none.
///
/// # Errors
///
/// Where the kernel cannot be asked, or refuses.
pub fn remove_nftables(dry_run: bool) -> Result<Summary, CommitError> {
    let opened = Netlink::open().and_then(|mut kernel| Ok((kernel.read()?, kernel)));
    let (installed, mut kernel) = match opened {
        Err(netlink::Error::NoNfTables) => return Ok(Summary::default()),
        opened => opened?,
    };
    let nothing = Ruleset::default();
    let transaction = diff(&nothing, &installed);
    if !dry_run && !transaction.is_empty() {
        kernel.apply(&encode(&transaction, &Options::default())?)?;
    }
    Ok(Summary::of(&transaction))
}

/// Removes our chains from every variant of iptables but one, and says what that was. A dry run only says it. It runs the
/// programs of iptables: call it from a thread that may wait.
///
/// # Errors
///
/// Where a program is there and fails; what was removed by then stays so.
pub fn remove_iptables(but: Option<Variant>, dry_run: bool) -> Result<iptables::Summary, Error> {
    let mut summary = iptables::Summary::default();
    for variant in Iptables::installed()? {
        if Some(variant.variant()) != but {
            let nothing = iptables::Ruleset::default();
            let installed = variant.read()?;
            let change = iptables::diff(&nothing, &installed);
            if !dry_run {
                variant.apply(&change)?;
            }
            summary.add(change.summary());
        }
    }
    Ok(summary)
}
