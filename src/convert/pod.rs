//! Pod (core/v1), as far as it can be an endpoint.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;

use k8s_openapi::api::core::v1 as core;
use svcnat_rules::name::{Name, ObjectName};
use svcnat_rules::net::Protocol;

use super::check::{self, Checks};
use super::invalid::{Invalid, NameRule};
use super::{NotProgrammed, Outcome};

/// A Pod that has an address and has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Namespace and name.
    pub name: ObjectName,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `status.podIPs`, or `status.podIP` where only that is given. At least one.
    pub addresses: Vec<IpAddr>,
    /// `spec.nodeName`.
    pub node: Option<Name>,
    /// Condition `Ready`. A Pod with an address but without any condition counts as ready: whoever wrote it by hand gave
    /// it the address for traffic to arrive.
    pub ready: bool,
    /// Whether `metadata.deletionTimestamp` is set.
    pub terminating: bool,
    /// The named ports of its containers.
    pub ports: Vec<ContainerPort>,
}

/// A named port of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerPort {
    /// `name`.
    pub name: Name,
    /// `protocol`.
    pub protocol: Protocol,
    /// `containerPort`.
    pub port: NonZeroU16,
}

/// Converts a Pod.
///
/// # Errors
///
/// A name that is none, an address that is not one, a port out of range.
pub fn pod(object: &core::Pod) -> Result<Outcome<Pod>, Invalid> {
    let default = core::PodStatus::default();
    let status = object.status.as_ref().unwrap_or(&default);
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return Ok(Outcome::NotProgrammed(NotProgrammed::PodEnded));
    }
    let mut checks = Checks::default();
    let name = check::object_name(&object.metadata, NameRule::Subdomain, &mut checks);
    let addresses = addresses(status, &mut checks);
    let node = object.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let node = checks.check(|| "spec.nodeName".into(), check::node_name(node));
    let ports = object.spec.as_ref().map_or_else(Vec::new, |spec| ports(spec, &mut checks));
    let pod = || {
        Some(Pod {
            name: name?,
            labels: object.metadata.labels.clone().unwrap_or_default(),
            addresses,
            node: node?,
            ready: is_ready(status),
            terminating: object.metadata.deletion_timestamp.is_some(),
            ports,
        })
    };
    let pod = checks.finish(pod())?;
    Ok(match pod.addresses.is_empty() {
        true => Outcome::NotProgrammed(NotProgrammed::PodWithoutAddress),
        false => Outcome::Programmed(pod),
    })
}

fn addresses(status: &core::PodStatus, checks: &mut Checks) -> Vec<IpAddr> {
    let list = status.pod_ips.as_deref().unwrap_or_default();
    if list.is_empty() {
        let single = check::given(status.pod_ip.as_deref()).map(check::unicast_address).transpose();
        return checks.check(|| "status.podIP".into(), single).flatten().into_iter().collect();
    }
    let list = list.iter().enumerate();
    let address = |(i, found): (usize, &core::PodIP)| {
        checks.check(|| format!("status.podIPs[{i}].ip"), check::unicast_address(&found.ip))
    };
    list.filter_map(address).collect()
}

fn is_ready(status: &core::PodStatus) -> bool {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    conditions.is_empty() || conditions.iter().any(|found| found.type_ == "Ready" && found.status == "True")
}

/// Where the endpoints controller looks for a named port: the containers, then the init containers that keep running
/// (`restartPolicy: Always`, "sidecars").
fn ports(spec: &core::PodSpec, checks: &mut Checks) -> Vec<ContainerPort> {
    let containers = spec.containers.iter().enumerate().map(|entry| ("containers", entry));
    let sidecars = spec.init_containers.iter().flatten().enumerate();
    let sidecars = sidecars.filter(|(_, found)| found.restart_policy.as_deref() == Some("Always"));
    let mut ports = Vec::new();
    for (list, (i, container)) in containers.chain(sidecars.map(|entry| ("initContainers", entry))) {
        for (k, found) in container.ports.iter().flatten().enumerate() {
            let field = |name: &'static str| move || format!("spec.{list}[{i}].ports[{k}].{name}");
            let Some(name) = check::given(found.name.as_deref()) else { continue };
            let protocol = checks.check(field("protocol"), check::protocol(found.protocol.as_deref()));
            let port = checks.check(field("containerPort"), check::port(found.container_port));
            if let (Some(protocol), Some(port)) = (protocol, port) {
                ports.push(ContainerPort { name: Name::from(name), protocol, port });
            }
        }
    }
    ports
}
