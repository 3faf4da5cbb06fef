//! The endpoints of a Service with a selector, as the cluster's endpoints controller would make them from Pods.
//!
//! Where a cluster runs, its controller writes the EndpointSlices; this stands in for it where only manifests are given.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use svcnat_rules::cluster::{Conditions, Endpoint, EndpointPort, EndpointSlice, Service};
use svcnat_rules::name::{Name, ObjectName};
use svcnat_rules::net::{Family, Protocol};

use super::check::{self, Checks};
use super::invalid::{Invalid, NameRule, Problem};
use super::pod::Pod;

/// Which Pods are the endpoints of a Service, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The Service.
    pub service: ObjectName,
    /// `spec.selector`: labels that a Pod must have, at least one.
    pub labels: BTreeMap<String, String>,
    ports: Vec<Target>,
    publish_not_ready: bool,
    families: Vec<Family>,
    hints: Hints,
}

/// Where the Pods listen for a service port.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    name: Name,
    protocol: Protocol,
    port: TargetPort,
}

/// `targetPort`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TargetPort {
    Number(NonZeroU16),
    Name(String),
}

/// The hints that the controller writes for `spec.trafficDistribution`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hints {
    None,
    SameZone,
    SameNode,
}

/// The selection of a Service that is programmed as `service`; `None` where the Service has no selector and so somebody
/// else names its endpoints.
///
/// # Errors
///
/// A target port out of range or with a name that no container's port can have, an unknown family.
pub fn selection(object: &core::Service, service: &Service) -> Result<Option<Selection>, Invalid> {
    let Some(spec) = &object.spec else { return Ok(None) };
    let Some(labels) = spec.selector.as_ref().filter(|labels| !labels.is_empty()) else { return Ok(None) };
    let mut checks = Checks::default();
    let mut ports = Vec::new();
    for (i, (found, port)) in spec.ports.iter().flatten().zip(&service.ports).enumerate() {
        let target = target_port(found.target_port.as_ref(), port.port);
        let target = checks.check(|| format!("spec.ports[{i}].targetPort"), target);
        ports.extend(target.map(|target| Target {
            name: port.name.clone(),
            protocol: port.protocol,
            port: target,
        }));
    }
    let families = families(spec, service, &mut checks);
    let hints = match spec.traffic_distribution.as_deref() {
        Some("PreferClose" | "PreferSameZone") => Hints::SameZone,
        Some("PreferSameNode") => Hints::SameNode,
        _ => Hints::None,
    };
    checks.finish(Some(Some(Selection {
        service: service.name.clone(),
        labels: labels.clone(),
        ports,
        publish_not_ready: spec.publish_not_ready_addresses.unwrap_or(false),
        families,
        hints,
    })))
}

/// The same number as the service port's where none is given, as the API server fills it in.
fn target_port(found: Option<&IntOrString>, port: NonZeroU16) -> Result<TargetPort, Problem> {
    match found {
        None | Some(IntOrString::Int(0)) => Ok(TargetPort::Number(port)),
        Some(IntOrString::Int(number)) => check::port(*number).map(TargetPort::Number),
        Some(IntOrString::String(name)) if name.is_empty() => Ok(TargetPort::Number(port)),
        Some(IntOrString::String(name)) => {
            check::name(name, NameRule::PortName).map(|name| TargetPort::Name(name.to_owned()))
        }
    }
}

/// `spec.ipFamilies`; where they are not given, those of the ClusterIPs; without those, whatever the Pods have.
fn families(spec: &core::ServiceSpec, service: &Service, checks: &mut Checks) -> Vec<Family> {
    let given = spec.ip_families.iter().flatten().enumerate();
    let given =
        given.filter_map(|(i, text)| checks.check(|| format!("spec.ipFamilies[{i}]"), check::family(text)));
    let mut families: Vec<_> = given.collect();
    if families.is_empty() {
        families = service.cluster_ips.iter().map(|address| Family::of(*address)).collect();
    }
    if families.is_empty() {
        families = Family::ALL.to_vec();
    }
    families.sort_unstable();
    families.dedup();
    families
}

impl Selection {
    /// Whether a Pod is one of the endpoints.
    #[must_use]
    pub fn matches(&self, pod: &Pod) -> bool {
        pod.name.namespace() == self.service.namespace()
            && self.labels.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
    }

    /// The slices for the Pods that match, in order of family. Pods whose named ports have different numbers land in
    /// different slices, in the order of the first Pod of each. `zone` gives the zone of a node.
    pub fn slices<'a>(
        &self,
        pods: impl IntoIterator<Item = &'a Pod>,
        zone: impl Fn(&str) -> Option<Name>,
    ) -> Vec<EndpointSlice> {
        let mut slices: Vec<EndpointSlice> = Vec::new();
        for pod in pods.into_iter().filter(|pod| self.matches(pod)) {
            let ports = self.ports_of(pod);
            if ports.is_empty() {
                continue;
            }
            for &family in &self.families {
                let Some(endpoint) = self.endpoint(pod, family, &zone) else { continue };
                let same = |slice: &&mut EndpointSlice| slice.family == family && slice.ports == ports;
                match slices.iter_mut().find(same) {
                    Some(slice) => slice.endpoints.push(endpoint),
                    None => slices.push(EndpointSlice {
                        service: self.service.clone(),
                        family,
                        ports: ports.clone(),
                        endpoints: vec![endpoint],
                    }),
                }
            }
        }
        slices.sort_by_key(|slice| slice.family);
        slices
    }

    /// The ports of a Pod; a service port whose target this Pod does not name is left out for it.
    fn ports_of(&self, pod: &Pod) -> Vec<EndpointPort> {
        let resolve = |target: &Target| {
            let port = match &target.port {
                TargetPort::Number(number) => *number,
                TargetPort::Name(name) => {
                    let named =
                        pod.ports.iter().find(|port| port.name == **name && port.protocol == target.protocol);
                    named?.port
                }
            };
            Some(EndpointPort { name: target.name.clone(), protocol: target.protocol, port })
        };
        self.ports.iter().filter_map(resolve).collect()
    }

    fn endpoint(&self, pod: &Pod, family: Family, zone: impl Fn(&str) -> Option<Name>) -> Option<Endpoint> {
        let address = pod.addresses.iter().copied().find(|address| Family::of(*address) == family)?;
        let conditions = Conditions {
            ready: self.publish_not_ready || (pod.ready && !pod.terminating),
            serving: pod.ready,
            terminating: pod.terminating,
        };
        let zone = pod.node.as_deref().and_then(zone);
        // The controller gives hints to ready endpoints only.
        let hinted = |wanted: bool, name: &Option<Name>| -> Box<[Name]> {
            name.iter().filter(|_| wanted && conditions.ready).cloned().collect()
        };
        Some(Endpoint {
            address,
            conditions,
            zone_hints: hinted(self.hints != Hints::None, &zone),
            node_hints: hinted(self.hints == Hints::SameNode, &pod.node),
            node: pod.node.clone(),
            zone,
            pod: Some(pod.name.clone()),
        })
    }
}
