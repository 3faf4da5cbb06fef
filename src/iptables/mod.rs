//! The iptables back end: reading what of ours is there, and changing it.
//!
//! iptables has no transaction over tables or families: each family is one call of its program, in which each table is
//! one commit. The order of the tables ([`TableName`]) keeps what a packet can meet in between harmless; where a call fails,
//! what was committed stays, and the next reading tells the rest. Others' rules are never touched; programs that hold
//! the lock of iptables are waited for.

mod clients;
mod error;
mod variant;

use std::collections::BTreeMap;

use svcnat_rules::iptables::{Change, Installed, InstalledTable, TableName, parse};
use svcnat_rules::net::Family;

use crate::program::run;
pub use clients::clients;
pub use error::Error;
pub use variant::Variant;

/// How many seconds `iptables-restore` may wait for another program to give up the lock.
const PATIENCE: &str = "5";

/// One variant's programs. Nothing is kept between calls, which run programs and wait for them: call it from a thread that
/// may wait.
#[derive(Debug, Clone)]
pub struct Iptables {
    variant: Variant,
}

impl Iptables {
    /// The variant that this host uses; its programs are asked for their rules.
    ///
    /// # Errors
    ///
    /// [`Error::NotInstalled`] without any, and those of reading.
    pub fn in_use() -> Result<Self, Error> {
        variant::in_use()
    }

    /// Every variant that is installed: rules of ours may be in one that is not in use any more.
    ///
    /// # Errors
    ///
    /// Where a program is there and does not run.
    pub fn installed() -> Result<Vec<Self>, Error> {
        variant::installed()
    }

    /// Which variant this is.
    #[must_use]
    pub fn variant(&self) -> Variant {
        self.variant
    }

    /// Whether its rules are in nf_tables, whose notifications tell of their changes.
    ///
    /// # Errors
    ///
    /// Where its program does not run.
    pub fn is_in_nf_tables(&self) -> Result<bool, Error> {
        variant::is_in_nf_tables(self.variant)
    }

    /// Reads what of ours is there in both families. A family whose program is not installed has nothing.
    ///
    /// # Errors
    ///
    /// Where a program fails or is not understood.
    pub fn read(&self) -> Result<Installed, Error> {
        let mut installed = Installed::default();
        for family in Family::ALL {
            installed.families.insert(family, self.read_family(family)?);
        }
        Ok(installed)
    }

    fn read_family(&self, family: Family) -> Result<BTreeMap<TableName, InstalledTable>, Error> {
        let saved = self.save(family)?.unwrap_or_default();
        parse(&saved).map_err(|source| Error::Parse { program: self.program(family, "save"), source })
    }

    /// What `iptables-save` prints; `None` where it is not installed.
    fn save(&self, family: Family) -> Result<Option<String>, Error> {
        Ok(run(&self.program(family, "save"), &[], "")?)
    }

    /// Makes a change: one call for each family that has any. A family that fails does not keep the other one from being
    /// changed. Gives how many bytes the programs were given.
    ///
    /// # Errors
    ///
    /// Why the first family failed that did; what is in force then is for [`Self::read`] to say.
    pub fn apply(&self, change: &Change<'_>) -> Result<usize, Error> {
        let mut result = Ok(());
        let mut bytes = 0;
        for (family, tables) in &change.families {
            let program = self.program(*family, "restore");
            let input = Change::input(tables);
            bytes += input.len();
            let done = match run(&program, &["--noflush", "-w", PATIENCE], &input) {
                Ok(Some(_)) => Ok(()),
                Ok(None) => Err(Error::Incomplete { program }),
                Err(error) => Err(Error::Restore(error)),
            };
            result = result.and(done);
        }
        result.map(|()| bytes)
    }

    fn program(&self, family: Family, action: &str) -> String {
        format!("{}-{action}", self.variant.program(family))
    }
}
