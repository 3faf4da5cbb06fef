//! The sockets behind health checks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use svcnat_rules::cluster::Node;
use svcnat_rules::config::{Config, NodePortAddresses};
use svcnat_rules::flows::node_port_addresses;
use svcnat_rules::name::ObjectName;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::super::connections::serve;
use super::super::listen::listen;
use super::{Problem, Shared, answer};

/// How soon a port is tried again that could not be had, at first; twice as late each time.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest that a port waits to be tried again.
const LAST_RETRY: Duration = Duration::from_secs(60);

/// On which addresses to listen.
#[derive(Debug, PartialEq)]
pub(super) enum Selection {
    /// On all.
    All,
    /// On those where these serve node ports.
    Of(Box<(Config, Option<Node>)>),
}

impl Selection {
    pub(super) fn new(config: &Config, node: Option<&Node>) -> Self {
        match (&config.node_port_addresses, node) {
            (NodePortAddresses::All, _) | (NodePortAddresses::Primary, None) => Self::All,
            _ => Self::Of(Box::new((config.clone(), node.cloned()))),
        }
    }

    fn addresses(&self, local: &BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
        match self {
            Self::All => [Ipv6Addr::UNSPECIFIED.into()].into(),
            Self::Of(of) => {
                let (config, node) = &**of;
                let mut addresses = node_port_addresses(config, node.as_ref(), local);
                // An address that the machine does not have yet can come later. A link-local one means nothing
                // without its interface.
                addresses.retain(|address| local.contains(address) && !is_link_local(*address));
                addresses
            }
        }
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// Keeps the listening sockets equal to what the Services want.
pub(super) struct Listeners {
    shared: Arc<Shared>,
    addresses: BTreeSet<IpAddr>,
    /// The task that answers, by port and address.
    open: HashMap<NonZeroU16, HashMap<IpAddr, JoinSet<()>>>,
    failing: BTreeMap<NonZeroU16, Failing>,
}

/// A port that could not be had on some address.
struct Failing {
    retry: Instant,
    delay: Duration,
    /// The Service for which it was told.
    told: ObjectName,
}

impl Listeners {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, addresses: BTreeSet::new(), open: HashMap::new(), failing: BTreeMap::new() }
    }

    pub(super) async fn run(
        mut self,
        mut selection: watch::Receiver<Selection>,
        mut local: watch::Receiver<BTreeSet<IpAddr>>,
    ) {
        let shared = Arc::clone(&self.shared);
        self.addresses = selection.borrow_and_update().addresses(&local.borrow_and_update());
        loop {
            let retry = self.failing.values().map(|failing| failing.retry).min();
            tokio::select! {
                () = shared.changed.notified() => {
                    let touched = shared.claims().take_touched();
                    self.update(touched).await;
                }
                Ok(()) = selection.changed() => self.move_to(&selection, &local).await,
                Ok(()) = local.changed() => self.move_to(&selection, &local).await,
                () = until(retry) => {
                    let now = Instant::now();
                    let due = self.failing.iter().filter(|(_, failing)| failing.retry <= now);
                    let due: Vec<_> = due.map(|(port, _)| *port).collect();
                    self.update(due).await;
                }
            }
        }
    }

    async fn move_to(
        &mut self,
        selection: &watch::Receiver<Selection>,
        local: &watch::Receiver<BTreeSet<IpAddr>>,
    ) {
        let addresses = selection.borrow().addresses(&local.borrow());
        if addresses != self.addresses {
            self.addresses = addresses;
            let ports = self.shared.claims().ports();
            self.update(ports).await;
        }
    }

    async fn update(&mut self, ports: impl IntoIterator<Item = NonZeroU16>) {
        for port in ports {
            let service = self.shared.claims().holder(port).map(|(service, _)| service.clone());
            self.close_unwanted(port, service.is_some()).await;
            let failure = match &service {
                Some(_) => self.open_missing(port),
                None => None,
            };
            match service.zip(failure) {
                Some((service, failure)) => self.failed(port, service, failure),
                None => drop(self.failing.remove(&port)),
            }
        }
    }

    /// Waits until the sockets are closed, since one on all addresses keeps others from listening on one of them.
    async fn close_unwanted(&mut self, port: NonZeroU16, wanted: bool) {
        let Some(open) = self.open.get_mut(&port) else { return };
        for (_, mut task) in open.extract_if(|address, _| !wanted || !self.addresses.contains(address)) {
            task.shutdown().await;
        }
        if open.is_empty() {
            self.open.remove(&port);
        }
    }

    /// Listens where nothing does yet, and gives the first failure.
    fn open_missing(&mut self, port: NonZeroU16) -> Option<(SocketAddr, io::Error)> {
        let mut failure = None;
        for ip in &self.addresses {
            if self.open.get(&port).is_some_and(|open| open.contains_key(ip)) {
                continue;
            }
            let address = SocketAddr::new(*ip, port.get());
            match listen(address) {
                Ok(listener) => {
                    let state = (Arc::clone(&self.shared), port);
                    let router = Router::new().fallback(answer).with_state(state);
                    let mut task = JoinSet::new();
                    task.spawn(serve(listener, router, Arc::clone(&self.shared.pool)));
                    self.open.entry(port).or_default().insert(*ip, task);
                }
                Err(error) => failure = failure.or(Some((address, error))),
            }
        }
        failure
    }

    fn failed(&mut self, port: NonZeroU16, service: ObjectName, (address, source): (SocketAddr, io::Error)) {
        let now = Instant::now();
        let before = self.failing.get(&port);
        let delay = before.map_or(FIRST_RETRY, |before| LAST_RETRY.min(before.delay * 2));
        if before.is_none_or(|before| before.told != service) {
            self.shared.tell(Problem::Listen { service: service.clone(), address, source });
        }
        self.failing.insert(port, Failing { retry: now + delay, delay, told: service });
    }
}

/// Waits for a time, or forever.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
