//! Starting what rules go to: the threads of the mode's back end, who notices disturbances, who cleans up.

use std::io;
use std::thread;
use std::time::Duration;

use svcnat_rules::installed::Installed;
use svcnat_rules::iptables as rules;
use svcnat_rules::net::Family;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::backoff::Backoff;
use super::cleaner::Cleaner;
use super::error::Error;
use super::iptables::{Iptables, Sink};
use super::iptables_watch::Watch;
use super::kernel::{Errand, Errands, Kernel};
use super::nftables::Nftables;
use super::outlet::{Outlet, Print};
use crate::iptables::{self, Variant};
use crate::metrics::Metrics;
use crate::netlink::{Listen, Monitor, Netlink, Socket};
use crate::other_mode;
use crate::settings::{Mode, OwnTables, Settings};

/// The longest wait between two attempts to remove what another mode has left.
const RETRY: Duration = Duration::from_secs(3600);

/// A back end that was started.
pub(super) struct BackEnd {
    pub(super) outlet: Outlet,
    /// None in a dry run.
    pub(super) cleaner: Option<Cleaner>,
    /// None in a dry run.
    pub(super) predecessor: Option<Predecessor>,
    /// What others want sent by the socket that owns the tables.
    pub(super) errands: mpsc::UnboundedReceiver<Errand>,
}

/// Whoever kept rules of ours here in another mode, or in another variant of iptables.
pub(super) struct Predecessor {
    /// The variant whose rules are kept; none in mode nftables.
    variant: Option<Variant>,
}

/// Starts the back end of the settings' mode, in the network namespace of the calling thread, to which the netlink socket belongs from
/// then on. Disturbances are told by the sender.
pub(super) fn start(
    settings: &Settings,
    metrics: &Metrics,
    disturbances: &mpsc::Sender<()>,
) -> Result<BackEnd, Error> {
    match settings.mode {
        Mode::Nftables => {
            let own = settings.own_tables == OwnTables::Auto && Netlink::<Socket>::can_own();
            let kernel = Kernel::open(own)?;
            if !own {
                listen(Monitor::open(Listen::Nftables)?, kernel.number(), disturbances.clone())?;
            }
            let (errands, inbox) = Errands::new();
            let cleaner = Cleaner::start(Some(errands), metrics.clone())?;
            let outlet = Outlet::Nftables(Nftables::Kernel(kernel));
            let predecessor = Some(Predecessor { variant: None });
            Ok(BackEnd { outlet, cleaner: Some(cleaner), predecessor, errands: inbox })
        }
        Mode::Iptables => {
            let iptables = iptables::Iptables::in_use()?;
            let variant = iptables.variant();
            tracing::info!("the variant of iptables in use is {variant}");
            let watch = if iptables.is_in_nf_tables()? {
                Watch::nft(disturbances.clone())?
            } else {
                Watch::legacy(disturbances.clone())?
            };
            let iptables =
                Iptables::start(Sink::Programs(iptables, watch, metrics.clone())).map_err(thread_failed)?;
            let cleaner = Cleaner::start(None, metrics.clone())?;
            let predecessor = Predecessor { variant: Some(variant) };
            let outlet = Outlet::Iptables(iptables);
            let (_, errands) = Errands::new();
            Ok(BackEnd { outlet, cleaner: Some(cleaner), predecessor: Some(predecessor), errands })
        }
    }
}

/// What a dry run has instead. Who may not ask what is there sees one from nothing.
pub(super) fn for_dry_run(mode: Mode, print: Print) -> Result<BackEnd, Error> {
    let outlet = match mode {
        Mode::Nftables => {
            let read = Netlink::open().and_then(|mut kernel| kernel.read());
            let installed = read.unwrap_or_else(|error| {
                warn_of_nothing(&error);
                Installed::default()
            });
            Outlet::Nftables(Nftables::DryRun { print, installed })
        }
        Mode::Iptables => {
            let read = iptables::Iptables::in_use().and_then(|iptables| iptables.read());
            let installed = read.unwrap_or_else(|error| {
                warn_of_nothing(&error);
                rules::Installed::default()
            });
            Outlet::Iptables(Iptables::start(Sink::DryRun(print, installed)).map_err(thread_failed)?)
        }
    };
    let (_, errands) = Errands::new();
    Ok(BackEnd { outlet, cleaner: None, predecessor: None, errands })
}

fn warn_of_nothing(error: &dyn std::error::Error) {
    tracing::warn!("{error}; what follows begins with no rules");
}

fn thread_failed(source: io::Error) -> Error {
    Error::Io { action: "start a thread", source }
}

/// Tells the keeper when somebody else changes our tables, from a thread of its own: `monitor` is polled without tokio.
fn listen(monitor: Monitor, own: u32, disturbances: mpsc::Sender<()>) -> Result<(), Error> {
    let work = move || {
        while !disturbances.is_closed() {
            match monitor.wait().and_then(|()| monitor.take()) {
                // One that waits already says the same.
                Ok(heard) if heard.disturbs(own) => drop(disturbances.try_send(())),
                Ok(_) => {}
                Err(error) => tracing::warn!("cannot hear of changes of the rules: {error}"),
            }
        }
    };
    thread::Builder::new().name("monitor".to_owned()).spawn(work).map(drop).map_err(thread_failed)
}

impl Predecessor {
    /// Removes its rules once those of this mode are in force.
    pub(super) async fn remove_after(self, in_force: oneshot::Receiver<()>, metrics: Metrics) {
        let mut backoff = Backoff::new(RETRY);
        if in_force.await.is_err() {
            return;
        }
        while let Ok(false) = spawn_blocking(move || other_mode::keep_only(self.variant)).await {
            Family::ALL.into_iter().for_each(|family| metrics.cleanup_failed(family));
            tokio::time::sleep(backoff.next()).await;
        }
    }
}
