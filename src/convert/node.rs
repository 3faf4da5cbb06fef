//! Node (core/v1).

use k8s_openapi::api::core::v1 as core;
use svcnat_rules::cluster::Node;
use svcnat_rules::name::Name;
use svcnat_rules::net::Cidr;

use super::check::{self, Checks};
use super::invalid::{Invalid, NameRule};

const ZONE: &str = "topology.kubernetes.io/zone";

/// Converts a Node.
///
/// # Errors
///
/// A name that is none, an InternalIP that is not an address, a pod network that is not a network.
pub fn node(object: &core::Node) -> Result<Node, Invalid> {
    let mut checks = Checks::default();
    let name = check::name(object.metadata.name.as_deref().unwrap_or_default(), NameRule::Subdomain);
    let name = checks.check(|| "metadata.name".into(), name).map(Name::from);
    let addresses = object.status.iter().flat_map(|status| status.addresses.iter().flatten()).enumerate();
    let addresses = addresses
        .filter(|(_, address)| address.type_ == "InternalIP")
        .filter_map(|(i, found)| {
            checks.check(|| format!("status.addresses[{i}].address"), check::address(&found.address))
        })
        .collect();
    let zone = check::given(check::label(&object.metadata, ZONE)).map(Name::from);
    let pod_cidrs = pod_cidrs(object, &mut checks);
    checks.finish(name.map(|name| Node { name, addresses, zone, pod_cidrs }))
}

/// `spec.podCIDRs`, or `spec.podCIDR` where only that is given; the API server keeps the two alike.
fn pod_cidrs(object: &core::Node, checks: &mut Checks) -> Vec<Cidr> {
    let Some(spec) = &object.spec else { return Vec::new() };
    match (&spec.pod_cidrs, check::given(spec.pod_cidr.as_deref())) {
        (Some(list), _) if !list.is_empty() => check::networks(Some(list), "spec.podCIDRs", checks),
        (_, Some(one)) => checks.check(|| "spec.podCIDR".into(), check::network(one)).into_iter().collect(),
        _ => Vec::new(),
    }
}
