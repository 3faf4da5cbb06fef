//! Metrics that kube-proxy has, for dashboards and alerts made for it.
//!
//! Names, types, labels, buckets and help texts are those of kube-proxy 1.36 in the same mode
//! (`pkg/proxy/metrics/metrics.go`). What a metric counts is said where [`Metrics`](super::Metrics) counts it.

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets, linear_buckets};
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
    pub(super) failures: Failures,
    pub(super) no_local_endpoints: Series<(Family, Scope), Gauge>,
    pub(super) healthz: Series<Status, Counter>,
    pub(super) livez: Series<Status, Counter>,
    pub(super) conntrack: Series<Family, Histogram>,
    pub(super) conntrack_deleted: Series<Family, Counter>,
}

/// Changes that failed, in the terms of the mode.
#[derive(Debug)]
pub(super) enum Failures {
    Nftables { sync: Series<Family, Counter>, cleanup: Series<Family, Counter> },
    Iptables { restore: Series<Family, Counter>, partial_restore: Series<Family, Counter> },
}

impl Failures {
    fn of(mode: Mode) -> Self {
        let counters = || Series::new(Counter::default);
        match mode {
            Mode::Nftables => Self::Nftables { sync: counters(), cleanup: counters() },
            Mode::Iptables => Self::Iptables { restore: counters(), partial_restore: counters() },
        }
    }

    pub(super) fn sync_failed(&self, full: bool) {
        let failures = match self {
            Self::Nftables { sync, .. } => sync,
            Self::Iptables { restore, .. } if full => restore,
            Self::Iptables { partial_restore, .. } => partial_restore,
        };
        failures.each(|_, counter| {
            counter.inc();
        });
    }

    pub(super) fn cleanup_failed(&self, family: Family) {
        if let Self::Nftables { cleanup, .. } = self {
            cleanup.with(family, |counter| counter.inc());
        }
    }

    fn encode(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        match self {
            Self::Nftables { sync, cleanup } => {
                page.add(
                    "kubeproxy_sync_proxy_rules_nftables_sync_failures",
                    "Cumulative proxy nftables sync failures",
                    sync,
                )?;
                page.add(
                    "kubeproxy_sync_proxy_rules_nftables_cleanup_failures",
                    "Cumulative proxy nftables cleanup failures",
                    cleanup,
                )
            }
            Self::Iptables { restore, partial_restore } => {
                page.add(
                    "kubeproxy_sync_proxy_rules_iptables_restore_failures",
                    "Cumulative proxy iptables restore failures",
                    restore,
                )?;
                page.add(
                    "kubeproxy_sync_proxy_rules_iptables_partial_restore_failures",
                    "Cumulative proxy iptables partial restore failures",
                    partial_restore,
                )
            }
        }
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
            failures: Failures::of(mode),
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
        self.failures.encode(page)
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
