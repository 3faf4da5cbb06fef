//! What kube-proxy leaves on a node that it does not run on any more, and how to be rid of it.
//!
//! It is what `kube-proxy --cleanup` removes, for all of its modes and whichever of them was in use:
//!
//! - nftables: the tables `ip kube-proxy` and `ip6 kube-proxy`.
//! - iptables: its chains in the tables nat, filter and mangle, and the rules that lead there from the kernel's own
//!   chains, for both families and for both kinds of iptables that are installed.
//! - ipvs: its chains too, its sets of addresses, and the interface `kube-ipvs0`.
//!
//! Everything is told by its exact name; what kubelet and others have made stays, and so does what they still refer
//! to. A [`Note`] tells of each thing that stays. Sysctls and tracked connections stay, as they do for kube-proxy.
//! Virtual servers stay as well: kube-proxy would remove those of others with its own, since nothing tells whose they
//! are.

mod interface;
mod ipset;
mod iptables;
mod names;
mod note;

use std::fmt;

use svcnat_rules::net::Family;

use crate::netlink::{self, Netlink};
use crate::program;
use interface::Interface;
use iptables::Leftover;
pub use note::Note;

/// Why something could not be looked at or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// nf_tables cannot be asked, or refused.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// A program has failed.
    #[error("{0}; run this again once that is mended")]
    Program(#[from] program::Error),
    /// The interfaces cannot be asked for, or changed.
    #[error("cannot {action} the interface {}: {reason}", names::INTERFACE)]
    Interface {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        reason: String,
    },
}

/// What kube-proxy has left.
#[derive(Debug, Default)]
pub struct Leftovers {
    tables: Vec<Family>,
    iptables: Vec<Leftover>,
    sets: Vec<String>,
    interface: Option<Interface>,
    /// What stays, and what was not looked at.
    notes: Vec<Note>,
}

impl Leftovers {
    /// Looks at this node: the network namespace of the calling thread. Nothing is changed.
    ///
    /// # Errors
    ///
    /// Whatever cannot be looked at, a missing privilege first of all. That a program is not installed is no error but a
    /// note.
    pub fn find() -> Result<Self, Error> {
        let tables = match Netlink::open().and_then(|mut kernel| kernel.kube_proxy_tables()) {
            Err(netlink::Error::NoNfTables) => None,
            tables => Some(tables?),
        };
        let kinds: &[_] = if tables.is_some() { &iptables::KINDS } else { &[iptables::LEGACY] };
        let mut found = Self { tables: tables.unwrap_or_default(), ..Self::default() };
        iptables::find(kinds, &mut found.iptables, &mut found.notes)?;
        found.interface = interface::find(&mut found.notes)?;
        match ipset::find()? {
            Some(sets) => found.sets = sets,
            None if found.interface.is_some() => found.notes.push(Note::NoIpset),
            None => {}
        }
        Ok(found)
    }

    /// Whether there is nothing to remove.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.iptables.is_empty() && self.sets.is_empty() && self.interface.is_none()
    }

    /// What stays, and what was not looked at.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Removes all of it. What fails does not keep the rest from being removed.
    ///
    /// # Errors
    ///
    /// Everything that failed; there is at least one.
    pub fn remove(&mut self) -> Result<(), Vec<Error>> {
        let mut errors = Vec::new();
        if !self.tables.is_empty() {
            let deleted =
                Netlink::open().and_then(|mut kernel| kernel.delete_kube_proxy_tables(&self.tables));
            errors.extend(deleted.err().map(Error::from));
        }
        errors.extend(self.iptables.iter().filter_map(|leftover| leftover.remove().err()));
        // After the rules that refer to them.
        for set in &self.sets {
            match ipset::destroy(set) {
                Ok(true) => {}
                Ok(false) => self.notes.push(Note::SetInUse(set.clone())),
                Err(error) => errors.push(error),
            }
        }
        errors.extend(self.interface.as_ref().and_then(|interface| interface.remove().err()));
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

impl fmt::Display for Leftovers {
    /// One line for each thing to remove.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for family in &self.tables {
            writeln!(f, "nftables: table {} {}", family.keyword(), netlink::KUBE_PROXY_TABLE)?;
        }
        for leftover in &self.iptables {
            leftover.fmt(f)?;
        }
        for set in &self.sets {
            writeln!(f, "ipset: {set}")?;
        }
        if self.interface.is_some() {
            writeln!(f, "interface: {}", names::INTERFACE)?;
        }
        Ok(())
    }
}
