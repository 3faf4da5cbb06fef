//! `svcnat cleanup`: away with it all.

use clap::Args;
use svcnat_rules::diff::diff;
use svcnat_rules::ruleset::Ruleset;
use svcnat_rules::transaction::Summary;

use super::{Failure, output};
use crate::netlink::{Netlink, Options, encode};

/// Remove our tables from the kernel, and nothing else
#[derive(Debug, Args)]
pub(super) struct Cleanup {}

impl Cleanup {
    #[expect(clippy::unused_self, reason = "every command runs as a method of its options")]
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut kernel = Netlink::open()?;
        let nothing = Ruleset::default();
        let installed = kernel.read()?;
        let transaction = diff(&nothing, &installed);
        if !transaction.is_empty() {
            kernel.apply(&encode(&transaction, &Options::default())?)?;
        }
        output::print(format_args!("{}\n", Summary::of(&transaction)))
    }
}
