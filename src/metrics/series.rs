//! A metric with labels: one series for each value that the labels can have, all there from the start.

use std::fmt;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::{MetricType, TypedMetric};
use svcnat_rules::iptables::TableName;
use svcnat_rules::layout::Picking;
use svcnat_rules::net::Family;

use super::{Kind, RepairReason, Scope, Status};

/// Names and values of labels.
pub(super) type Labels = &'static [(&'static str, &'static str)];

/// What tells the series of a metric apart. There are few values, and all are known.
pub(super) trait Label: Copy + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// Every value, in the order of the exposition.
    const ALL: &'static [Self];

    /// The labels that stand for the value.
    fn labels(self) -> Labels;
}

/// The series of a metric. Updating one takes no lock but the metric's own and allocates nothing.
#[derive(Debug)]
pub(super) struct Series<L, M>(Box<[(L, M)]>);

impl<L: Label, M> Series<L, M> {
    pub(super) fn new(metric: impl Fn() -> M) -> Self {
        Self(L::ALL.iter().map(|label| (*label, metric())).collect())
    }

    /// Updates the series of one value.
    pub(super) fn with<R>(&self, label: L, update: impl FnOnce(&M) -> R) {
        if let Some((_, metric)) = self.0.iter().find(|(of, _)| *of == label) {
            update(metric);
        }
    }

    /// Updates every series.
    pub(super) fn each<R>(&self, update: impl Fn(L, &M) -> R) {
        for (label, metric) in &self.0 {
            update(*label, metric);
        }
    }
}

impl<L: Label, M: EncodeMetric + TypedMetric> EncodeMetric for Series<L, M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (label, metric) in &self.0 {
            metric.encode(encoder.encode_family(&label.labels())?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}

impl Label for Family {
    const ALL: &'static [Self] = &Self::ALL;

    fn labels(self) -> Labels {
        match self {
            Self::Ipv4 => &[("ip_family", "IPv4")],
            Self::Ipv6 => &[("ip_family", "IPv6")],
        }
    }
}

impl Label for (Family, Scope) {
    const ALL: &'static [Self] = &[
        (Family::Ipv4, Scope::Internal),
        (Family::Ipv4, Scope::External),
        (Family::Ipv6, Scope::Internal),
        (Family::Ipv6, Scope::External),
    ];

    fn labels(self) -> Labels {
        match self {
            (Family::Ipv4, Scope::Internal) => &[("ip_family", "IPv4"), ("traffic_policy", "internal")],
            (Family::Ipv4, Scope::External) => &[("ip_family", "IPv4"), ("traffic_policy", "external")],
            (Family::Ipv6, Scope::Internal) => &[("ip_family", "IPv6"), ("traffic_policy", "internal")],
            (Family::Ipv6, Scope::External) => &[("ip_family", "IPv6"), ("traffic_policy", "external")],
        }
    }
}

impl Label for (Family, TableName) {
    const ALL: &'static [Self] = &[
        (Family::Ipv4, TableName::Mangle),
        (Family::Ipv4, TableName::Filter),
        (Family::Ipv4, TableName::Nat),
        (Family::Ipv6, TableName::Mangle),
        (Family::Ipv6, TableName::Filter),
        (Family::Ipv6, TableName::Nat),
    ];

    fn labels(self) -> Labels {
        match self {
            (Family::Ipv4, TableName::Mangle) => &[("table", "mangle"), ("ip_family", "IPv4")],
            (Family::Ipv4, TableName::Filter) => &[("table", "filter"), ("ip_family", "IPv4")],
            (Family::Ipv4, TableName::Nat) => &[("table", "nat"), ("ip_family", "IPv4")],
            (Family::Ipv6, TableName::Mangle) => &[("table", "mangle"), ("ip_family", "IPv6")],
            (Family::Ipv6, TableName::Filter) => &[("table", "filter"), ("ip_family", "IPv6")],
            (Family::Ipv6, TableName::Nat) => &[("table", "nat"), ("ip_family", "IPv6")],
        }
    }
}

impl Label for Status {
    const ALL: &'static [Self] = &[Self::Ok, Self::Unavailable];

    fn labels(self) -> Labels {
        match self {
            Self::Ok => &[("code", "200")],
            Self::Unavailable => &[("code", "503")],
        }
    }
}

impl Label for RepairReason {
    const ALL: &'static [Self] = &[Self::TransactionFailed, Self::ChangedByOthers, Self::Resync];

    fn labels(self) -> Labels {
        match self {
            Self::TransactionFailed => &[("reason", "transaction_failed")],
            Self::ChangedByOthers => &[("reason", "changed_by_others")],
            Self::Resync => &[("reason", "resync")],
        }
    }
}

impl Label for Kind {
    const ALL: &'static [Self] =
        &[Self::Service, Self::EndpointSlice, Self::Endpoints, Self::Node, Self::ServiceCidr];

    fn labels(self) -> Labels {
        match self {
            Self::Service => &[("kind", "Service")],
            Self::EndpointSlice => &[("kind", "EndpointSlice")],
            Self::Endpoints => &[("kind", "Endpoints")],
            Self::Node => &[("kind", "Node")],
            Self::ServiceCidr => &[("kind", "ServiceCIDR")],
        }
    }
}

impl Label for Picking {
    const ALL: &'static [Self] = &[Self::Chains, Self::Maps];

    fn labels(self) -> Labels {
        match self {
            Self::Chains => &[("layout", "chains")],
            Self::Maps => &[("layout", "maps")],
        }
    }
}
