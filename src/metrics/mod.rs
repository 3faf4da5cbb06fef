//! Metrics: kube-proxy's where the meaning is the same, svcnat's own beside them, and those of the process.
//!
//! Updating one is an atomic addition, or for a histogram a lock that is held for a few instructions; nothing is
//! allocated and nothing is looked up, so all of it is fit for the path of a change.

mod connections;
mod exposition;
mod kube_proxy;
mod own;
mod process;
mod series;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use connections::Connections;
use exposition::Exposition;
use futures::future::BoxFuture;
use kube_proxy::KubeProxy;
use own::Own;
use prometheus_client::registry::Registry;
use svcnat_rules::iptables::TableName;
use svcnat_rules::layout::Picking;
use svcnat_rules::name::ObjectName;
use svcnat_rules::net::Family;

use crate::agent_api::FrontendConnections;
use crate::settings::Mode;

pub use exposition::CONTENT_TYPE;

/// A handle on the metrics of this process. Clones are the same metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    all: Arc<Exposition>,
    registry: Arc<Registry>,
    refresh: Arc<OnceLock<Refresh>>,
}

/// Brings metrics up to date that are read only when somebody asks for them.
pub struct Refresh(Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>);

impl Refresh {
    /// One that is done when the future of `refresh` is.
    pub fn new<F: Future<Output = ()> + Send + 'static>(
        refresh: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(move || Box::pin(refresh())))
    }
}

impl std::fmt::Debug for Refresh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Refresh")
    }
}

/// Changes that are in force.
#[derive(Debug, Clone, Copy, Default)]
pub struct Synced {
    /// Whether the tables were read back and compared as a whole, rather than changed where the cluster changed.
    pub full: bool,
    /// From taking the changes up to the kernel's answer.
    pub took: Duration,
    /// How many changes of Services are in it.
    pub service_changes: u32,
    /// How many changes of EndpointSlices are in it.
    pub endpoint_changes: u32,
    /// What was sent; `None` where the rules were as they should be.
    pub transaction: Option<Sent>,
}

/// A transaction that the kernel has committed.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// How many operations it had.
    pub operations: usize,
    /// How long the batch was.
    pub bytes: usize,
    /// How long the kernel took.
    pub kernel: Duration,
}

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub struct State {
    /// Services that have rules.
    pub services: usize,
    /// Addresses and ports where clients can connect.
    pub frontends: usize,
    /// Backends of all service ports.
    pub backends: usize,
    /// Frontends that a Service wants and an older one has.
    pub conflicts: usize,
    /// The layout in force; none in mode iptables.
    pub picking: Option<Picking>,
}

/// Why the tables were read back and brought to what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepairReason {
    /// A transaction was refused.
    TransactionFailed,
    /// Somebody else has changed our tables.
    ChangedByOthers,
    /// The periodic comparison found a difference.
    Resync,
}

/// A kind of object that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Service (core/v1).
    Service,
    /// EndpointSlice (discovery.k8s.io/v1).
    EndpointSlice,
    /// Endpoints (core/v1), where slices are not served.
    Endpoints,
    /// Node (core/v1).
    Node,
    /// ServiceCIDR (networking.k8s.io/v1).
    ServiceCidr,
}

/// Which traffic a policy `Local` is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `internalTrafficPolicy`.
    Internal,
    /// `externalTrafficPolicy`.
    External,
}

/// The answer to a health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 200.
    Ok,
    /// 503.
    Unavailable,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics of mode nftables that have counted nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Mode::Nftables)
    }

    /// Those of an agent in this mode.
    #[must_use]
    pub fn of(mode: Mode) -> Self {
        let (kube_proxy, own, connections) = (KubeProxy::of(mode), Own::default(), Mutex::default());
        let all = Arc::new(Exposition { kube_proxy, own, connections });
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Arc::clone(&all)));
        Self { all, registry: Arc::new(registry), refresh: Arc::default() }
    }

    /// All metrics in the text format 0.0.4 ([`CONTENT_TYPE`]).
    #[must_use]
    pub fn text(&self) -> String {
        exposition::text(&self.registry)
    }

    /// Sets what is done before metrics are shown to somebody. Only the first one counts.
    pub fn set_refresh(&self, refresh: Refresh) {
        // There is one agent in a process.
        let _ = self.refresh.set(refresh);
    }

    /// The same as [`text`](Self::text), with what is read only when somebody asks.
    pub async fn refreshed_text(&self) -> String {
        if let Some(Refresh(refresh)) = self.refresh.get() {
            refresh().await;
        }
        self.text()
    }

    /// Takes the counts of the connections of all frontends. So many of them have a series of their own; gives the Services of
    /// these.
    pub fn count_frontends(&self, series: usize, counted: &[FrontendConnections]) -> BTreeSet<ObjectName> {
        self.connections(|connections| connections.get_or_insert_default().count_frontends(series, counted))
    }

    /// Takes the counts of the backends of those Services.
    pub fn count_backends(&self, series: usize, counted: &[FrontendConnections]) {
        self.connections(|connections| connections.get_or_insert_default().count_backends(series, counted));
    }

    /// Connections are not counted any more.
    pub fn count_no_connections(&self) {
        self.connections(|connections| *connections = None);
    }

    fn connections<R>(&self, update: impl FnOnce(&mut Option<Connections>) -> R) -> R {
        update(&mut self.all.connections.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A change of a Service has come and is not in force yet.
    pub fn service_change_queued(&self) {
        self.all.kube_proxy.service_changes.queued();
        self.queued();
    }

    /// A change of an EndpointSlice has come and is not in force yet.
    pub fn endpoint_change_queued(&self) {
        self.all.kube_proxy.endpoint_changes.queued();
        self.queued();
    }

    /// One transaction carries both families, so what is said of one is true of the other here and below.
    fn queued(&self) {
        let now = timestamp();
        self.all.kube_proxy.last_queued.each(|_, gauge| gauge.set(now));
    }

    /// Changes are in force.
    pub fn synced(&self, synced: &Synced) {
        let kube_proxy = &self.all.kube_proxy;
        let took = synced.took.as_secs_f64();
        let by_extent = if synced.full { &kube_proxy.full_sync } else { &kube_proxy.partial_sync };
        for durations in [&kube_proxy.sync, by_extent] {
            durations.each(|_, histogram| histogram.observe(took));
        }
        let now = timestamp();
        kube_proxy.last_synced.each(|_, gauge| gauge.set(now));
        kube_proxy.service_changes.done(synced.service_changes);
        kube_proxy.endpoint_changes.done(synced.endpoint_changes);
        if let Some(sent) = &synced.transaction {
            self.committed(sent);
        }
    }

    fn committed(&self, sent: &Sent) {
        let own = &self.all.own;
        own.transactions.inc();
        own.operations.observe(float(sent.operations));
        own.bytes.observe(float(sent.bytes));
        own.kernel.observe(sent.kernel.as_secs_f64());
    }

    /// A transaction was refused, or could not be sent; its changes are still pending. `full` is as in [`Synced`].
    pub fn sync_failed(&self, full: bool) {
        self.all.own.transaction_failures.inc();
        self.all.kube_proxy.of_mode.sync_failed(full);
    }

    /// A table of iptables has so many rules of ours, of which so many were written by the latest sync.
    pub fn iptables_synced(&self, family: Family, table: TableName, rules: usize, written: usize) {
        let of_mode = &self.all.kube_proxy.of_mode;
        of_mode.iptables_synced(family, table, integer(rules), integer(written));
    }

    /// A change is in force, so long after it was read.
    pub fn change_in_force(&self, latency: Duration) {
        self.all.own.latency.observe(latency.as_secs_f64());
    }

    /// A change of endpoints is in force, so long after what led to it happened.
    pub fn network_programmed(&self, family: Family, latency: Duration) {
        let network_programming = &self.all.kube_proxy.network_programming;
        network_programming.with(family, |histogram| histogram.observe(latency.as_secs_f64()));
    }

    /// The tables were read back and brought to what they should be.
    pub fn repaired(&self, reason: RepairReason) {
        self.all.own.repairs.with(reason, |counter| counter.inc());
    }

    /// How much there is by now.
    pub fn set_state(&self, state: &State) {
        let own = &self.all.own;
        own.services.set(integer(state.services));
        own.frontends.set(integer(state.frontends));
        own.backends.set(integer(state.backends));
        own.conflicts.set(integer(state.conflicts));
        own.layout.each(|layout, gauge| gauge.set(i64::from(Some(layout) == state.picking)));
    }

    /// How many Services have policy `Local` and no backend on this node, though elsewhere.
    pub fn set_no_local_endpoints(&self, family: Family, scope: Scope, services: usize) {
        let no_local_endpoints = &self.all.kube_proxy.no_local_endpoints;
        no_local_endpoints.with((family, scope), |gauge| gauge.set(integer(services)));
    }

    /// How many of our tables have the flag `owner`, so that nobody else can change them.
    pub fn set_owned_tables(&self, tables: usize) {
        self.all.own.owned_tables.set(integer(tables));
    }

    /// Whether objects of a kind are watched, as opposed to a connection that is down or being made.
    pub fn set_watch_connected(&self, kind: Kind, connected: bool) {
        self.all.own.connected.with(kind, |gauge| gauge.set(i64::from(connected)));
    }

    /// All objects of a kind were listed, after a watch could not go on.
    pub fn relisted(&self, kind: Kind) {
        self.all.own.relists.with(kind, |counter| counter.inc());
    }

    /// Tracked flows were looked through for stale ones, of which so many were deleted.
    pub fn conntrack_reconciled(&self, family: Family, took: Duration, deleted: usize) {
        let kube_proxy = &self.all.kube_proxy;
        kube_proxy.conntrack.with(family, |histogram| histogram.observe(took.as_secs_f64()));
        kube_proxy.conntrack_deleted.with(family, |counter| counter.inc_by(unsigned(deleted)));
    }

    /// So many remembered clients were forgotten because their backend is gone.
    pub fn affinity_removed(&self, clients: usize) {
        self.all.own.affinity_removed.inc_by(unsigned(clients));
    }

    /// Elements that a change has made stale could not be deleted from the tables.
    pub fn cleanup_failed(&self, family: Family) {
        self.all.kube_proxy.of_mode.cleanup_failed(family);
    }

    /// The state file was written, or could not be.
    pub fn state_file_written(&self, written: bool) {
        let own = &self.all.own;
        if written { &own.state_file_writes } else { &own.state_file_failures }.inc();
    }

    /// `/healthz` was answered.
    pub fn healthz_answered(&self, status: Status) {
        self.all.kube_proxy.healthz.with(status, |counter| counter.inc());
    }

    /// `/livez` was answered.
    pub fn livez_answered(&self, status: Status) {
        self.all.kube_proxy.livez.with(status, |counter| counter.inc());
    }
}

/// Seconds since 1970.
fn timestamp() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn integer(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn unsigned(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53, and which bucket it falls into beyond")]
fn float(count: usize) -> f64 {
    count as f64
}
