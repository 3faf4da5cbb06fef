//! Which endpoints may be chosen, for each traffic policy.

use std::net::SocketAddr;

use super::View;
use crate::cluster::{Conditions, Endpoint, EndpointSlice, ServicePort};
use crate::net::Family;
use crate::route::Backend;

/// The backends of a service port in one family.
#[derive(Debug, Default)]
pub(super) struct Pools<'a> {
    /// Those that policy Cluster allows, sorted, each once.
    pub cluster: Vec<Backend<'a>>,
    /// Those that policy Local allows, sorted, each once.
    pub local: Vec<Backend<'a>>,
}

impl Pools<'_> {
    /// Whether no backend exists anywhere.
    pub(super) fn is_empty(&self) -> bool {
        self.cluster.is_empty() && self.local.is_empty()
    }
}

/// An endpoint with the port at which it serves the service port in question.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) address: SocketAddr,
    pub(super) endpoint: &'a Endpoint,
}

/// Which of the ready endpoints topology hints leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Near {
    /// All: no hints count.
    All,
    /// Those whose hints name this node.
    Node,
    /// Those whose hints name this node's zone.
    Zone,
}

/// Chooses the backends of both policies.
pub(super) fn pools<'a>(
    view: View<'_>,
    port: &ServicePort,
    family: Family,
    slices: &[&'a EndpointSlice],
) -> Pools<'a> {
    let candidates = merge(port, family, slices);
    let local = for_local(view, &candidates);
    let (cluster, _) = for_cluster(view, candidates);
    let backends =
        |chosen: Vec<Candidate<'a>>| chosen.into_iter().map(|candidate| backend(view, candidate)).collect();
    Pools { cluster: backends(cluster), local: backends(local) }
}

/// The candidates that policy Cluster allows.
pub(super) fn for_cluster<'a>(view: View<'_>, candidates: Vec<Candidate<'a>>) -> (Vec<Candidate<'a>>, Near) {
    let usable = usable(candidates);
    let are_ready = usable.first().is_some_and(|candidate| candidate.endpoint.conditions.ready);
    if are_ready { near(view, usable) } else { (usable, Near::All) }
}

/// The candidates that policy Local allows.
pub(super) fn for_local<'a>(view: View<'_>, candidates: &[Candidate<'a>]) -> Vec<Candidate<'a>> {
    let local = candidates.iter().copied().filter(|candidate| is_local(view, candidate.endpoint));
    usable(local.collect())
}

/// All endpoints that serve the port, sorted by address, each address once.
///
/// The EndpointSlice API allows the same endpoint in several slices while it moves from one to another. The one that
/// is not terminating wins, then the one that is ready, then serving; what is still equal is settled by its other
/// fields, so that the order of the slices does not matter.
pub(super) fn merge<'a>(
    port: &ServicePort,
    family: Family,
    slices: &[&'a EndpointSlice],
) -> Vec<Candidate<'a>> {
    let mut candidates = Vec::new();
    for slice in slices.iter().filter(|slice| slice.family == family) {
        let serves = |p: &&crate::cluster::EndpointPort| p.name == port.name && p.protocol == port.protocol;
        for number in slice.ports.iter().filter(serves).map(|p| p.port.get()) {
            candidates.extend(
                slice.endpoints.iter().map(|endpoint| Candidate {
                    address: SocketAddr::new(endpoint.address, number),
                    endpoint,
                }),
            );
        }
    }
    candidates.sort_unstable_by(|a, b| rank(a).cmp(&rank(b)));
    candidates.dedup_by_key(|candidate| candidate.address);
    candidates
}

/// The order of candidates; of those with one address the first one counts.
fn rank<'a>(candidate: &Candidate<'a>) -> impl Ord + use<'a> {
    let Endpoint { conditions, node, zone, pod, zone_hints, node_hints, .. } = candidate.endpoint;
    (
        candidate.address,
        conditions.terminating,
        !conditions.ready,
        !conditions.serving,
        (node, zone, pod, zone_hints, node_hints),
    )
}

/// The ready ones; if there are none, those that still serve while they terminate.
fn usable(mut candidates: Vec<Candidate<'_>>) -> Vec<Candidate<'_>> {
    if candidates.iter().any(|candidate| candidate.endpoint.conditions.ready) {
        candidates.retain(|candidate| candidate.endpoint.conditions.ready);
    } else {
        let last_hope = |conditions: Conditions| conditions.serving && conditions.terminating;
        candidates.retain(|candidate| last_hope(candidate.endpoint.conditions));
    }
    candidates
}

/// Of the ready ones those whose topology hints name this node, else its zone, else all. Hints count only where every
/// ready endpoint has them, since a partial set would overload the ones that have.
fn near<'a>(view: View<'_>, ready: Vec<Candidate<'a>>) -> (Vec<Candidate<'a>>, Near) {
    let hinted = |wanted: Option<&str>, hints: fn(&Endpoint) -> &[crate::name::Name]| -> Vec<Candidate<'a>> {
        let Some(wanted) = wanted else { return Vec::new() };
        if ready.iter().any(|candidate| hints(candidate.endpoint).is_empty()) {
            return Vec::new();
        }
        let names_us =
            |candidate: &&Candidate<'a>| hints(candidate.endpoint).iter().any(|hint| *hint == *wanted);
        ready.iter().filter(names_us).copied().collect()
    };
    let for_node = hinted(Some(&view.config.node_name), |endpoint| &endpoint.node_hints);
    if !for_node.is_empty() {
        return (for_node, Near::Node);
    }
    let zone = view.node.and_then(|node| node.zone.as_deref());
    let for_zone = hinted(zone, |endpoint| &endpoint.zone_hints);
    if for_zone.is_empty() { (ready, Near::All) } else { (for_zone, Near::Zone) }
}

pub(super) fn is_local(view: View<'_>, endpoint: &Endpoint) -> bool {
    endpoint.node.as_ref() == Some(&view.config.node_name)
}

fn backend<'a>(view: View<'_>, candidate: Candidate<'a>) -> Backend<'a> {
    let endpoint = candidate.endpoint;
    Backend {
        address: candidate.address,
        maybe_here: endpoint.node.is_none() || is_local(view, endpoint),
        pod: endpoint.pod.as_ref(),
    }
}
