//! What the state of the cluster adds to an explanation.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::Explanation;
use super::lookup::service_of_port;
use crate::cluster::{Cluster, Endpoint, Service, ServiceType, TrafficPolicy};
use crate::compile::Conflict;
use crate::config::Config;
use crate::name::ObjectName;
use crate::net::Family;
use crate::route::FrontendAddress;

/// What the state of the cluster says about the Service that an explanation is about, a sentence each: its policies and
/// endpoints, and who else wants its frontend.
#[must_use]
pub fn notes_on(
    explanation: &Explanation,
    cluster: &Cluster,
    config: &Config,
    conflicts: &[Conflict],
) -> Vec<String> {
    let port = explanation.outcomes.iter().find_map(|outcome| outcome.service.as_deref());
    let mut notes: Vec<String> =
        port.and_then(|port| service(explanation, cluster, config, port)).into_iter().collect();
    let to = explanation.packet.destination;
    let meant = |conflict: &&Conflict| {
        let frontend = conflict.frontend;
        let here = match frontend.at {
            FrontendAddress::Address(address, port) => (address, port.get()) == (to.ip(), to.port()),
            FrontendAddress::NodePort(number) => {
                number.get() == to.port() && port.is_some_and(|port| port == conflict.winner.to_string())
            }
        };
        here && frontend.protocol == explanation.packet.protocol && frontend.family == Family::of(to.ip())
    };
    notes.extend(conflicts.iter().filter(meant).map(Conflict::to_string));
    notes
}

fn service(explanation: &Explanation, cluster: &Cluster, config: &Config, port: &str) -> Option<String> {
    let (namespace, name) = service_of_port(port).split_once('/')?;
    let name = ObjectName::new(namespace, name);
    let service = cluster.services.get(&name)?;
    let port_name = port.strip_prefix(name.as_str())?.trim_start_matches('/');
    let family = Family::of(explanation.packet.destination.ip());
    let endpoints = endpoints(explanation, cluster, &name, port_name);
    let count =
        |counts: fn(&Endpoint) -> bool| endpoints.values().filter(|endpoint| counts(endpoint)).count();
    let here =
        endpoints.values().filter(|endpoint| endpoint.node.as_ref() == Some(&config.node_name)).count();
    let terminating = count(|endpoint| {
        !endpoint.conditions.ready && endpoint.conditions.serving && endpoint.conditions.terminating
    });
    let mut note = format!("{name} {}; ", policies(service));
    note += &if port_name.is_empty() { "it has ".to_owned() } else { format!("port {port_name} has ") };
    note += &match endpoints.len() {
        0 => format!("no {family} endpoints"),
        1 => format!("1 {family} endpoint"),
        many => format!("{many} {family} endpoints"),
    };
    if !endpoints.is_empty() {
        note += &format!(": {} ready, {here} on this node", count(|endpoint| endpoint.conditions.ready));
        if terminating > 0 {
            note += &format!(", {terminating} serving while terminating");
        }
    }
    Some(note)
}

/// The endpoints of a service port by their address, each once.
fn endpoints<'a>(
    explanation: &Explanation,
    cluster: &'a Cluster,
    service: &ObjectName,
    port: &str,
) -> BTreeMap<SocketAddr, &'a Endpoint> {
    let protocol = explanation.packet.protocol;
    let family = Family::of(explanation.packet.destination.ip());
    let slices = cluster.slices.values().filter(|slice| slice.service == *service && slice.family == family);
    let mut endpoints = BTreeMap::new();
    for slice in slices {
        for number in slice.ports.iter().filter(|p| p.name == *port && p.protocol == protocol) {
            let each = slice
                .endpoints
                .iter()
                .map(|endpoint| (SocketAddr::new(endpoint.address, number.port.get()), endpoint));
            for (address, endpoint) in each {
                let known = endpoints.entry(address).or_insert(endpoint);
                if !known.conditions.ready {
                    *known = endpoint;
                }
            }
        }
    }
    endpoints
}

fn policies(service: &Service) -> String {
    let policy = |policy| match policy {
        TrafficPolicy::Cluster => "Cluster",
        TrafficPolicy::Local => "Local",
    };
    let kind = match service.kind {
        ServiceType::ClusterIp => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    };
    let mut text = format!("is of type {kind}, internalTrafficPolicy: {}", policy(service.internal_policy));
    if service.kind != ServiceType::ClusterIp || !service.external_ips.is_empty() {
        text += &format!(", externalTrafficPolicy: {}", policy(service.external_policy));
    }
    if let Some(seconds) = service.affinity_seconds {
        text += &format!(", sessionAffinity: ClientIP ({seconds} s)");
    }
    text
}
