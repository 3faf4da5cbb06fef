//! A state of the cluster that did not come through the conversions, held to the same rules.

use std::net::IpAddr;

use svcnat_rules::cluster::{Cluster, Endpoint, EndpointSlice, Node, Service, ServicePort};
use svcnat_rules::name::ObjectName;
use svcnat_rules::net::{Cidr, Family};

use super::check::{self, Checks};
use super::invalid::{Invalid, NameRule, Problem};
use super::service::MAX_AFFINITY_SECONDS;

/// Checks what whoever makes rules relies on. Fields are named as they are in the types, `services[shop/web].ports[0]`.
///
/// # Errors
///
/// Names that are none, addresses that are nobody's or of the wrong family, values that occur twice, lists that must be
/// sorted and are not.
pub fn validate(cluster: &Cluster) -> Result<(), Invalid> {
    let mut checks = Checks::default();
    for (name, service) in &cluster.services {
        check_service(name, service, &mut checks);
    }
    for (name, slice) in &cluster.slices {
        let field = || format!("slices[{name}]");
        checks.check(field, object_name(name, NameRule::Subdomain));
        check_slice(slice, &field, &mut checks);
    }
    if let Some(node) = &cluster.node {
        check_node(node, &mut checks);
    }
    ordered(&cluster.service_cidrs, || "serviceCidrs".into(), &mut checks);
    checks.finish(Some(()))
}

fn check_service(key: &ObjectName, service: &Service, checks: &mut Checks) {
    let field = |name: &str| format!("services[{key}].{name}");
    checks.check(|| field("name"), object_name(&service.name, NameRule::Label));
    if service.name != *key {
        let problem = Problem::Differs { found: service.name.to_string(), other: "its key" };
        checks.refuse(field("name"), problem);
    }
    for (name, addresses) in [
        ("clusterIps", &service.cluster_ips),
        ("externalIps", &service.external_ips),
        ("loadBalancerIps", &service.load_balancer_ips),
    ] {
        let unusable = addresses.iter().filter_map(|address| check::unicast(*address).err());
        unusable.for_each(|problem| checks.refuse(field(name), problem));
        if let Some(address) = twice(addresses) {
            checks.refuse(field(name), Problem::Duplicate(address.to_string()));
        }
    }
    let of = |family| service.cluster_ips.iter().filter(move |address| Family::of(**address) == family);
    for second in Family::ALL.into_iter().filter_map(|family| of(family).nth(1)) {
        checks.refuse(field("clusterIps"), Problem::SecondOfFamily(*second));
    }
    ordered(&service.source_ranges, || field("sourceRanges"), checks);
    check_ports(&service.ports, &field, checks);
    if let Some(seconds) = service.affinity_seconds {
        let found = i32::try_from(seconds).unwrap_or(i32::MAX);
        if !(1..=MAX_AFFINITY_SECONDS).contains(&found) {
            let problem = Problem::OutOfRange { least: 1, most: MAX_AFFINITY_SECONDS, found };
            checks.refuse(field("affinitySeconds"), problem);
        }
    }
}

fn check_ports(ports: &[ServicePort], field: &dyn Fn(&str) -> String, checks: &mut Checks) {
    for (i, port) in ports.iter().enumerate() {
        let name = || field(&format!("ports[{i}].name"));
        checks.check(name, optional_name(&port.name, NameRule::Label));
        if ports.iter().take(i).any(|other| other.name == port.name) {
            checks.refuse(name(), Problem::Duplicate(format!("\"{}\"", port.name)));
        }
    }
}

fn check_slice(slice: &EndpointSlice, field: &dyn Fn() -> String, checks: &mut Checks) {
    checks.check(|| format!("{}.service", field()), object_name(&slice.service, NameRule::Label));
    for (i, port) in slice.ports.iter().enumerate() {
        let name = optional_name(&port.name, NameRule::Label);
        checks.check(|| format!("{}.ports[{i}].name", field()), name);
    }
    for (i, endpoint) in slice.endpoints.iter().enumerate() {
        check_endpoint(endpoint, slice.family, &|name| format!("{}.endpoints[{i}].{name}", field()), checks);
    }
}

/// Zones are any text: they are compared and end up in no rule.
fn check_endpoint(endpoint: &Endpoint, family: Family, field: &dyn Fn(&str) -> String, checks: &mut Checks) {
    let address = check::unicast(endpoint.address).and_then(|address| match Family::of(address) {
        found if found == family => Ok(()),
        _ => Err(Problem::WrongFamily { address, expected: family }),
    });
    checks.check(|| field("address"), address);
    if let Some(node) = &endpoint.node {
        checks.check(|| field("node"), check::name(node, NameRule::Subdomain));
    }
    if let Some(pod) = &endpoint.pod {
        checks.check(|| field("pod"), object_name(pod, NameRule::Subdomain));
    }
}

fn check_node(node: &Node, checks: &mut Checks) {
    checks.check(|| "node.name".into(), check::name(&node.name, NameRule::Subdomain));
    for (i, address) in node.addresses.iter().enumerate() {
        checks.check(|| format!("node.addresses[{i}]"), check::not_mapped(*address));
    }
}

fn object_name(name: &ObjectName, rule: NameRule) -> Result<(), Problem> {
    check::name(name.namespace(), NameRule::Label)?;
    check::name(name.name(), rule).map(drop)
}

fn optional_name(name: &str, rule: NameRule) -> Result<(), Problem> {
    if name.is_empty() { Ok(()) } else { check::name(name, rule).map(drop) }
}

fn twice(addresses: &[IpAddr]) -> Option<IpAddr> {
    let mut sorted = addresses.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(*one),
        _ => None,
    })
}

fn ordered(networks: &[Cidr], field: impl FnOnce() -> String, checks: &mut Checks) {
    if !networks.is_sorted_by(|one, next| one < next) {
        checks.refuse(field(), Problem::Unordered);
    }
}
