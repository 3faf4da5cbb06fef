//! Which endpoints may serve a service port.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use svcnat_rules::cluster::{Cluster, Endpoint, Service, ServicePort, TrafficPolicy};
use svcnat_rules::config::Config;
use svcnat_rules::name::Name;
use svcnat_rules::net::Family;

/// The endpoints of one service port in one family, each address and port once.
pub type Endpoints<'a> = BTreeMap<SocketAddr, &'a Endpoint>;

/// "Several slices of one Service are merged by address and port; the not-terminating duplicate wins", then the one in the
/// better condition, whatever the order of the slices. A slice counts where it has a port of the service port's name
/// and protocol.
#[must_use]
pub fn merged<'a>(
    cluster: &'a Cluster,
    service: &Service,
    port: &ServicePort,
    family: Family,
) -> Endpoints<'a> {
    let mut merged = Endpoints::new();
    for slice in
        cluster.slices.values().filter(|slice| slice.service == service.name && slice.family == family)
    {
        for target in slice.ports.iter().filter(|at| at.name == port.name && at.protocol == port.protocol) {
            for endpoint in &slice.endpoints {
                let kept =
                    merged.entry(SocketAddr::new(endpoint.address, target.port.get())).or_insert(endpoint);
                if precedence(endpoint) < precedence(kept) {
                    *kept = endpoint;
                }
            }
        }
    }
    merged
}

/// Which of several entries for one address and port counts: the least. What still differs is settled by name.
fn precedence(endpoint: &Endpoint) -> impl Ord + '_ {
    let Endpoint { conditions, node, zone, pod, zone_hints, node_hints, .. } = endpoint;
    let condition = (conditions.terminating, !conditions.ready, !conditions.serving);
    (condition, node, zone, pod, zone_hints, node_hints)
}

/// "no backends at all": none is ready, none is serving while it terminates, here or elsewhere.
#[must_use]
pub fn nobody_serves(endpoints: &Endpoints<'_>) -> bool {
    !endpoints.values().any(|endpoint| is_ready(endpoint) || serves_while_terminating(endpoint))
}

/// The backends that a traffic policy allows.
#[must_use]
pub fn chosen<'a>(
    policy: TrafficPolicy,
    endpoints: &Endpoints<'a>,
    cluster: &Cluster,
    config: &Config,
) -> Endpoints<'a> {
    match policy {
        TrafficPolicy::Cluster => near(ready_or_terminating(endpoints), cluster, config),
        TrafficPolicy::Local => ready_or_terminating(&only(endpoints, |endpoint| is_local(endpoint, config))),
    }
}

/// "Local means: nodeName equals this node's name."
#[must_use]
pub fn is_local(endpoint: &Endpoint, config: &Config) -> bool {
    endpoint.node.as_ref() == Some(&config.node_name)
}

/// Whether an endpoint is on this node for all that is known: it names this node or none.
#[must_use]
pub fn may_be_here(endpoint: &Endpoint, config: &Config) -> bool {
    endpoint.node.is_none() || is_local(endpoint, config)
}

/// "the ready ones; if there are none, those that are serving and terminating".
fn ready_or_terminating<'a>(endpoints: &Endpoints<'a>) -> Endpoints<'a> {
    let ready = only(endpoints, is_ready);
    if ready.is_empty() { only(endpoints, serves_while_terminating) } else { ready }
}

/// "if every ready endpoint has `hints.forNodes` and one names this node, those that name it; else if every ready endpoint
/// has `hints.forZones` and one names this node's zone, those; else all". Endpoints that are not ready have no say and, as
/// the fallback, no hints.
fn near<'a>(backends: Endpoints<'a>, cluster: &Cluster, config: &Config) -> Endpoints<'a> {
    if !backends.values().all(|endpoint| is_ready(endpoint)) {
        return backends;
    }
    let zone = cluster.node.as_ref().and_then(|node| node.zone.as_ref());
    hinted(&backends, Some(&config.node_name), |endpoint| &endpoint.node_hints)
        .or_else(|| hinted(&backends, zone, |endpoint| &endpoint.zone_hints))
        .unwrap_or(backends)
}

/// The endpoints whose hints name this place, where every endpoint has hints and at least one names it.
fn hinted<'a>(
    ready: &Endpoints<'a>,
    place: Option<&Name>,
    hints: impl Fn(&Endpoint) -> &[Name],
) -> Option<Endpoints<'a>> {
    let place = place?;
    let everyone_has_hints = ready.values().all(|endpoint| !hints(endpoint).is_empty());
    let here = only(ready, |endpoint| hints(endpoint).contains(place));
    (everyone_has_hints && !here.is_empty()).then_some(here)
}

fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.ready
}

fn serves_while_terminating(endpoint: &Endpoint) -> bool {
    endpoint.conditions.serving && endpoint.conditions.terminating
}

fn only<'a>(endpoints: &Endpoints<'a>, wanted: impl Fn(&Endpoint) -> bool) -> Endpoints<'a> {
    endpoints.iter().filter(|(_, endpoint)| wanted(endpoint)).map(|(at, endpoint)| (*at, *endpoint)).collect()
}
