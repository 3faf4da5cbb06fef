//! Metrics that kube-proxy has, for dashboards and alerts made for it.
//!
//! Names, types, labels, buckets and help texts are those of kube-proxy 1.36 in the same mode
//! (`pkg/proxy/metrics/metrics.go`). What a metric counts is said where [`Metrics`](super::Metrics) counts it.

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets, linear_buckets};
use svcnat_rules::iptables::TableName;
use svcnat_rules::net::Family;

use super::exposition::Page;
use super::series::Series;
use super::{Scope, Status};
use crate::settings::Mode;

/// Seconds since 1970, with a fraction.
pub(super) type Timestamp = Gauge<f64, AtomicU64>;

#[derive(Debug)]
pub(super) struct KubeProxy {
    pub(super) sync: Series<Family, Histogram>,
    pub(super) full_sync: Series<Family, Histogram>,
    pub(super) partial_sync: Series<Family, Histogram>,
    pub(super) last_queued: Series<Family, Timestamp>,
    pub(super) last_synced: Series<Family, Timestamp>,
    pub(super) network_programming: Series<Family, Histogram>,
    pub(super) endpoint_changes: Changes,
    pub(super) service_changes: Changes,
    pub(super) of_mode: OfMode,
    pub(super) no_local_endpoints: Series<(Family, Scope), Gauge>,
    pub(super) healthz: Series<Status, Counter>,
    pub(super) livez: Series<Status, Counter>,
    pub(super) conntrack: Series<Family, Histogram>,
    pub(super) conntrack_deleted: Series<Family, Counter>,
}

/// What kube-proxy counts in one mode only.
#[derive(Debug)]
pub(super) enum OfMode {
    Nftables { sync_failures: Series<Family, Counter>, cleanup_failures: Series<Family, Counter> },
    Iptables(Iptables),
}

#[derive(Debug)]
pub(super) struct Iptables {
    restore_failures: Series<Family, Counter>,
    partial_restore_failures: Series<Family, Counter>,
    rules: Series<(Family, TableName), Gauge>,
    written: Series<(Family, TableName), Gauge>,
}

impl OfMode {
    fn of(mode: Mode) -> Self {
        let counters = || Series::new(Counter::default);
        let gauges = || Series::new(Gauge::default);
        match mode {
            Mode::Nftables => Self::Nftables { sync_failures: counters(), cleanup_failures: counters() },
            Mode::Iptables => Self::Iptables(Iptables {
                restore_failures: counters(),
                partial_restore_failures: counters(),
                rules: gauges(),
                written: gauges(),
            }),
        }
    }

    pub(super) fn sync_failed(&self, full: bool) {
        let failures = match self {
            Self::Nftables { sync_failures, .. } => sync_failures,
            Self::Iptables(iptables) if full => &iptables.restore_failures,
            Self::Iptables(iptables) => &iptables.partial_restore_failures,
        };
        failures.each(|_, counter| {
            counter.inc();
        });
    }

    pub(super) fn cleanup_failed(&self, family: Family) {
        if let Self::Nftables { cleanup_failures, .. } = self {
            cleanup_failures.with(family, |counter| counter.inc());
        }
    }

    pub(super) fn iptables_synced(&self, family: Family, table: TableName, rules: i64, written: i64) {
        if let Self::Iptables(iptables) = self {
            iptables.rules.with((family, table), |gauge| gauge.set(rules));
            iptables.written.with((family, table), |gauge| gauge.set(written));
        }
    }

    fn encode(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        match self {
            Self::Nftables { sync_failures, cleanup_failures } => {
                page.add(
                    "kubeproxy_sync_proxy_rules_nftables_sync_failures",
                    "Cumulative proxy nftables sync failures",
                    sync_failures,
                )?;
                page.add(
                    "kubeproxy_sync_proxy_rules_nftables_cleanup_failures",
                    "Cumulative proxy nftables cleanup failures",
                    cleanup_failures,
                )
            }
            Self::Iptables(iptables) => iptables.encode(page),
        }
    }
}

impl Iptables {
    fn encode(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        page.add(
            "kubeproxy_sync_proxy_rules_iptables_restore_failures",
            "Cumulative proxy iptables restore failures",
            &self.restore_failures,
        )?;
        page.add(
            "kubeproxy_sync_proxy_rules_iptables_partial_restore_failures",
            "Cumulative proxy iptables partial restore failures",
            &self.partial_restore_failures,
        )?;
        page.add(
            "kubeproxy_sync_proxy_rules_iptables_total",
            "Total number of iptables rules owned by kube-proxy",
            &self.rules,
        )?;
        page.add(
            "kubeproxy_sync_proxy_rules_iptables_last",
            "Number of iptables rules written by kube-proxy in last sync",
            &self.written,
        )
    }
}

/// Changes of a kind of object.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) pending: Gauge,
    pub(super) total: Counter,
}

impl Changes {
    pub(super) fn queued(&self) {
        self.pending.inc();
        self.total.inc();
    }

    pub(super) fn done(&self, count: u32) {
        self.pending.dec_by(i64::from(count));
    }
}

/// 1 ms, 2 ms, 4 ms ... 16.384 s.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

/// As in the service level indicator of SIG Scalability for network programming latency. The first bucket is kube-proxy's.
fn network_programming() -> Histogram {
    let fractions = linear_buckets(0.25, 0.25, 2);
    let seconds = linear_buckets(1.0, 1.0, 59);
    let two_minutes = linear_buckets(60.0, 5.0, 12);
    let five_minutes = linear_buckets(120.0, 30.0, 7);
    Histogram::new([0.0].into_iter().chain(fractions).chain(seconds).chain(two_minutes).chain(five_minutes))
}

impl KubeProxy {
    pub(super) fn of(mode: Mode) -> Self {
        Self {
            sync: Series::new(durations),
            full_sync: Series::new(durations),
            partial_sync: Series::new(durations),
            last_queued: Series::new(Timestamp::default),
            last_synced: Series::new(Timestamp::default),
            network_programming: Series::new(network_programming),
            endpoint_changes: Changes::default(),
            service_changes: Changes::default(),
            of_mode: OfMode::of(mode),
            no_local_endpoints: Series::new(Gauge::default),
            healthz: Series::new(Counter::default),
            livez: Series::new(Counter::default),
            conntrack: Series::new(durations),
            conntrack_deleted: Series::new(Counter::default),
        }
    }
}

impl KubeProxy {
    pub(super) fn encode(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        self.encode_syncs(page)?;
        self.encode_changes(page)?;
        self.encode_the_rest(page)
    }

    fn encode_syncs(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        page.add(
            "kubeproxy_sync_proxy_rules_duration_seconds",
            "SyncProxyRules latency in seconds",
            &self.sync,
        )?;
        page.add(
            "kubeproxy_sync_full_proxy_rules_duration_seconds",
            "SyncProxyRules latency in seconds for full resyncs",
            &self.full_sync,
        )?;
        page.add(
            "kubeproxy_sync_partial_proxy_rules_duration_seconds",
            "SyncProxyRules latency in seconds for partial resyncs",
            &self.partial_sync,
        )?;
        page.add(
            "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds",
            "The last time a sync of proxy rules was queued",
            &self.last_queued,
        )?;
        page.add(
            "kubeproxy_sync_proxy_rules_last_timestamp_seconds",
            "The last time proxy rules were successfully synced",
            &self.last_synced,
        )?;
        self.of_mode.encode(page)
    }

    fn encode_changes(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        page.add(
            "kubeproxy_sync_proxy_rules_endpoint_changes_pending",
            "Pending proxy rules Endpoint changes",
            &self.endpoint_changes.pending,
        )?;
        page.add(
            "kubeproxy_sync_proxy_rules_endpoint_changes",
            "Cumulative proxy rules Endpoint changes",
            &self.endpoint_changes.total,
        )?;
        page.add(
            "kubeproxy_sync_proxy_rules_service_changes_pending",
            "Pending proxy rules Service changes",
            &self.service_changes.pending,
        )?;
        page.add(
            "kubeproxy_sync_proxy_rules_service_changes",
            "Cumulative proxy rules Service changes",
            &self.service_changes.total,
        )?;
        page.add(
            "kubeproxy_network_programming_duration_seconds",
            "In Cluster Network Programming Latency in seconds",
            &self.network_programming,
        )
    }

    fn encode_the_rest(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        page.add(
            "kubeproxy_sync_proxy_rules_no_local_endpoints_total",
            "Number of services with a Local traffic policy and no endpoints",
            &self.no_local_endpoints,
        )?;
        page.add(
            "kubeproxy_conntrack_reconciler_sync_duration_seconds",
            "ReconcileConntrackFlowsLatency latency in seconds",
            &self.conntrack,
        )?;
        page.add(
            "kubeproxy_conntrack_reconciler_deleted_entries",
            "Cumulative conntrack flows deleted by conntrack reconciler",
            &self.conntrack_deleted,
        )?;
        page.add("kubeproxy_proxy_healthz", "Cumulative proxy healthz HTTP status", &self.healthz)?;
        page.add("kubeproxy_proxy_livez", "Cumulative proxy livez HTTP status", &self.livez)
    }
}
