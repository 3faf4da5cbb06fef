//! Metrics of what only svcnat has.

use std::fmt;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use svcnat_rules::layout::Picking;

use super::exposition::Page;
use super::series::Series;
use super::{Kind, RepairReason};

#[derive(Debug)]
pub(super) struct Own {
    build: Info<[(&'static str, &'static str); 1]>,
    pub(super) transactions: Counter,
    pub(super) transaction_failures: Counter,
    pub(super) operations: Histogram,
    pub(super) bytes: Histogram,
    pub(super) kernel: Histogram,
    pub(super) latency: Histogram,
    pub(super) repairs: Series<RepairReason, Counter>,
    pub(super) services: Gauge,
    pub(super) frontends: Gauge,
    pub(super) backends: Gauge,
    pub(super) conflicts: Gauge,
    pub(super) layout: Series<Picking, Gauge>,
    pub(super) owned_tables: Gauge,
    pub(super) connected: Series<Kind, Gauge>,
    pub(super) relists: Series<Kind, Counter>,
    pub(super) affinity_removed: Counter,
    pub(super) state_file_writes: Counter,
    pub(super) state_file_failures: Counter,
}

/// From 50 us, about what the smallest change takes, to 1 s, and fine where changes are expected to be.
const LATENCIES: [f64; 20] = [
    0.000_05, 0.000_1, 0.000_15, 0.000_2, 0.000_25, 0.000_3, 0.000_4, 0.000_5, 0.000_6, 0.000_8, 0.001,
    0.001_5, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0,
];

impl Default for Own {
    fn default() -> Self {
        Self {
            build: Info::new([("version", env!("CARGO_PKG_VERSION"))]),
            transactions: Counter::default(),
            transaction_failures: Counter::default(),
            // 1 ... 4,194,304: from one element to a cluster of a million backends.
            operations: Histogram::new(exponential_buckets(1.0, 4.0, 12)),
            // 256 B ... 256 MiB.
            bytes: Histogram::new(exponential_buckets(256.0, 4.0, 11)),
            kernel: Histogram::new(LATENCIES),
            latency: Histogram::new(LATENCIES),
            repairs: Series::new(Counter::default),
            services: Gauge::default(),
            frontends: Gauge::default(),
            backends: Gauge::default(),
            conflicts: Gauge::default(),
            layout: Series::new(Gauge::default),
            owned_tables: Gauge::default(),
            connected: Series::new(Gauge::default),
            relists: Series::new(Counter::default),
            affinity_removed: Counter::default(),
            state_file_writes: Counter::default(),
            state_file_failures: Counter::default(),
        }
    }
}

impl Own {
    pub(super) fn encode(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        page.add("svcnat_build", "The version that is running", &self.build)?;
        self.encode_transactions(page)?;
        self.encode_state(page)?;
        self.encode_surroundings(page)
    }

    fn encode_transactions(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        page.add("svcnat_transactions", "Transactions that the kernel has committed", &self.transactions)?;
        page.add(
            "svcnat_transaction_failures",
            "Transactions that the kernel has refused, or that could not be sent",
            &self.transaction_failures,
        )?;
        page.add("svcnat_transaction_operations", "Operations in a committed transaction", &self.operations)?;
        page.add("svcnat_transaction_size_bytes", "Bytes sent for a committed transaction", &self.bytes)?;
        page.add(
            "svcnat_transaction_kernel_duration_seconds",
            "Time inside the kernel for a committed transaction",
            &self.kernel,
        )?;
        page.add(
            "svcnat_change_duration_seconds",
            "Time from reading a change to its being in force",
            &self.latency,
        )?;
        page.add(
            "svcnat_repairs",
            "How often the tables were read back and brought to what they should be",
            &self.repairs,
        )
    }

    fn encode_state(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        page.add("svcnat_services", "Services that have rules", &self.services)?;
        page.add("svcnat_frontends", "Addresses and ports where clients can connect", &self.frontends)?;
        page.add("svcnat_backends", "Backends of all service ports", &self.backends)?;
        page.add("svcnat_conflicts", "Frontends that a Service wants and an older one has", &self.conflicts)?;
        page.add("svcnat_layout", "1 for the layout that is in force", &self.layout)?;
        page.add(
            "svcnat_owned_tables",
            "Tables that the kernel protects from everybody else",
            &self.owned_tables,
        )
    }

    fn encode_surroundings(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        page.add("svcnat_watch_connected", "1 while objects of this kind are watched", &self.connected)?;
        page.add(
            "svcnat_watch_relists",
            "How often all objects of this kind were listed anew",
            &self.relists,
        )?;
        page.add(
            "svcnat_stale_affinity_removed",
            "Remembered clients that were forgotten because their backend is gone",
            &self.affinity_removed,
        )?;
        page.add(
            "svcnat_state_file_writes",
            "How often the state file was written",
            &self.state_file_writes,
        )?;
        page.add(
            "svcnat_state_file_write_failures",
            "How often the state file could not be written",
            &self.state_file_failures,
        )
    }
}
