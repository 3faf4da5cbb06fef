//! Where rules go: the back end of the mode, as the keeper sees it.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use svcnat_rules::engine::{Delta, Engine};
use svcnat_rules::installed::Installed;
use svcnat_rules::layout::{Slots, slots_in};
use svcnat_rules::{iptables as rules, verify};

use super::iptables::Iptables;
use super::kernel::Errand;
use super::nftables::Nftables;
use crate::iptables;
use crate::metrics::Sent;
use crate::netlink::{self, CommitError};

/// Prints what would be sent.
pub type Print = Box<dyn Fn(&dyn Display) -> io::Result<()> + Send + Sync>;

/// Where rules go.
pub(super) enum Outlet {
    Nftables(Nftables),
    Iptables(Iptables),
}

/// What is in force by now.
pub(super) struct Done {
    /// What was sent; `None` where that was nothing.
    pub(super) sent: Option<Sent>,
    /// How much it changed, for people.
    pub(super) summary: String,
}

/// Why something is not in force.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Iptables(#[from] iptables::Error),
    #[error("svcnat made an invalid ruleset, nothing was done; please report it: {0}")]
    Invalid(#[from] verify::Violation),
    #[error("svcnat made invalid iptables rules, nothing was done; please report it: {0}")]
    InvalidIptables(#[from] rules::Violation),
    #[error("cannot print the transaction: {0}")]
    Print(#[from] io::Error),
    /// A thread that ends only when the process does.
    #[error("the thread that runs the programs of iptables is gone; please report it")]
    Gone,
}

impl From<netlink::Error> for SendError {
    fn from(error: netlink::Error) -> Self {
        Self::Commit(error.into())
    }
}

impl SendError {
    /// Whether others changed the ruleset meanwhile, so that all must be read again.
    pub(super) fn is_outdated(&self) -> bool {
        matches!(self, Self::Commit(error) if error.is_outdated())
    }
}

impl Outlet {
    /// Whether nobody else can change what is in force.
    pub(super) fn owns(&self) -> bool {
        self.is_dry_run() || matches!(self, Self::Nftables(nftables) if nftables.owns())
    }

    /// Whether nothing is changed on this machine.
    pub(super) fn is_dry_run(&self) -> bool {
        match self {
            Self::Nftables(nftables) => nftables.is_dry_run(),
            Self::Iptables(iptables) => iptables.is_dry_run(),
        }
    }

    /// How many tables are our own, once all that the engine says is in force.
    pub(super) fn owned(&self, engine: &Engine) -> usize {
        if self.owns() && !self.is_dry_run() { engine.extent().tables } else { 0 }
    }

    /// How long a disturbance waits for the next comparison after one that took so long. iptables prints all of its rules for
    /// one; neighbours that change theirs all the time should not keep the node at that.
    pub(super) fn pause(&self, took: Duration) -> Duration {
        match self {
            Self::Nftables(_) => Duration::ZERO,
            Self::Iptables(_) => took.saturating_mul(10),
        }
    }

    /// Whether a part of what was sent may be in force when sending fails.
    pub(super) fn fails_in_parts(&self) -> bool {
        matches!(self, Self::Iptables(_))
    }

    /// What is there, in the words of nftables.
    pub(super) async fn read(&mut self) -> Result<Installed, SendError> {
        match self {
            Self::Nftables(nftables) => nftables.read(),
            Self::Iptables(iptables) => iptables.read().await,
        }
    }

    /// The slots that backends have in what is there.
    pub(super) fn slots(&self, installed: &Installed) -> Slots {
        match self {
            Self::Nftables(_) => slots_in(installed),
            Self::Iptables(_) => Slots::default(),
        }
    }

    /// Sends the batch of another thread, where there is a socket that owns the tables.
    pub(super) fn run(&mut self, errand: Errand) {
        if let Self::Nftables(nftables) = self {
            nftables.run(errand);
        }
    }

    /// Brings the first complete ruleset into force. `loaded` is what the engine says of it, `installed` what was read.
    pub(super) async fn load(
        &mut self,
        engine: &Engine,
        loaded: &Delta,
        installed: &Installed,
    ) -> Result<Done, SendError> {
        match self {
            Self::Nftables(nftables) => nftables.make(engine, &loaded.after, installed),
            Self::Iptables(iptables) => iptables.change(engine).await,
        }
    }

    /// Brings what an update changes into force; `None` where that is nothing.
    pub(super) async fn update(&mut self, engine: &Engine, delta: &Delta) -> Result<Option<Sent>, SendError> {
        match self {
            Self::Nftables(nftables) => nftables.update(engine, delta),
            Self::Iptables(_) if !delta.rules && !delta.program => Ok(None),
            Self::Iptables(iptables) => Ok(iptables.change(engine).await?.sent),
        }
    }

    /// Reads everything back and brings into force what differs.
    pub(super) async fn compare(&mut self, engine: &Engine) -> Result<Done, SendError> {
        match self {
            Self::Nftables(nftables) => nftables.compare(engine),
            Self::Iptables(iptables) => iptables.compare(engine).await,
        }
    }
}
