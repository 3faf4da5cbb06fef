//! What a source of cluster state (the Kubernetes API, a folder of manifests, a state file) tells whoever keeps the rules.

use std::time::{Instant, SystemTime};

use svcnat_rules::engine::Event;

/// One thing that a source tells. A source sends these over a bounded channel, in the order in which they count.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all news are changes")]
pub enum News {
    /// Something in the cluster is new, different or gone.
    Change(Change),
    /// All that existed when the source began has been told; before that, rules would take Services down that were
    /// only not told of yet. Told once.
    Complete,
    /// Whether load balancers should send traffic to this node: not when its Node is missing, being deleted, or about
    /// to be removed by the cluster autoscaler.
    Eligible(bool),
}

/// A change and its times, from which latencies are measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What is different now.
    pub event: Event,
    /// When the source had it read.
    pub read: Instant,
    /// When what led to it happened, where the object tells (annotation
    /// `endpoints.kubernetes.io/last-change-trigger-time` of slices).
    pub triggered: Option<SystemTime>,
}

impl Change {
    /// A change that was read just now.
    #[must_use]
    pub fn now(event: Event) -> Self {
        Self { event, read: Instant::now(), triggered: None }
    }
}
