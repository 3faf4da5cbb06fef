//! Endpoints (core/v1), the elder form of EndpointSlice.

use k8s_openapi::api::core::v1 as core;
use svcnat_rules::cluster::{Conditions, Endpoint, EndpointPort, EndpointSlice};
use svcnat_rules::name::ObjectName;
use svcnat_rules::net::Family;

use super::check::{self, Checks};
use super::invalid::{Invalid, NameRule};
use super::service::{HEADLESS, PROXY_NAME};
use super::{NotProgrammed, Outcome};

/// Converts an Endpoints object: one slice for each of its subsets and each family that occurs in it, in that order.
///
/// The object has the name of its Service. Addresses under `notReadyAddresses` become endpoints that are not ready.
///
/// # Errors
///
/// An address that is not one, a port out of range, names that are none.
pub fn endpoints(object: &core::Endpoints) -> Result<Outcome<Vec<EndpointSlice>>, Invalid> {
    if let Some(proxy) = check::label(&object.metadata, PROXY_NAME) {
        return Ok(Outcome::NotProgrammed(NotProgrammed::OtherProxy(proxy.to_owned())));
    }
    if check::label(&object.metadata, HEADLESS).is_some() {
        return Ok(Outcome::NotProgrammed(NotProgrammed::Headless));
    }
    let mut checks = Checks::default();
    let service = check::object_name(&object.metadata, NameRule::Label, &mut checks);
    let namespace = service.as_ref().map_or("", ObjectName::namespace);
    let mut slices = Vec::new();
    for (i, subset) in object.subsets.iter().flatten().enumerate() {
        let field = format!("subsets[{i}]");
        let ports = ports(&field, subset, &mut checks);
        let mut endpoints = Vec::new();
        for (list, addresses, ready) in [
            ("addresses", &subset.addresses, true),
            ("notReadyAddresses", &subset.not_ready_addresses, false),
        ] {
            for (k, found) in addresses.iter().flatten().enumerate() {
                endpoints.extend(endpoint(
                    &format!("{field}.{list}[{k}]"),
                    found,
                    ready,
                    namespace,
                    &mut checks,
                ));
            }
        }
        slices.extend(service.iter().flat_map(|service| by_family(service, &ports, &endpoints)));
    }
    checks.finish(Some(slices)).map(Outcome::Programmed)
}

fn ports(field: &str, subset: &core::EndpointSubset, checks: &mut Checks) -> Vec<EndpointPort> {
    let mut ports = Vec::new();
    for (i, found) in subset.ports.iter().flatten().enumerate() {
        let name =
            checks.check(|| format!("{field}.ports[{i}].name"), check::port_name(found.name.as_deref()));
        let protocol = check::protocol(found.protocol.as_deref());
        let protocol = checks.check(|| format!("{field}.ports[{i}].protocol"), protocol);
        let port = checks.check(|| format!("{field}.ports[{i}].port"), check::port(found.port));
        if let (Some(name), Some(protocol), Some(port)) = (name, protocol, port) {
            ports.push(EndpointPort { name, protocol, port });
        }
    }
    ports
}

fn endpoint(
    field: &str,
    found: &core::EndpointAddress,
    ready: bool,
    namespace: &str,
    checks: &mut Checks,
) -> Option<Endpoint> {
    let address = checks.check(|| format!("{field}.ip"), check::unicast_address(&found.ip));
    let node = checks.check(|| format!("{field}.nodeName"), check::node_name(found.node_name.as_deref()));
    Some(Endpoint {
        address: address?,
        conditions: Conditions { ready, serving: ready, terminating: false },
        node: node?,
        zone: None,
        pod: check::pod_of(found.target_ref.as_ref().map(Into::into), namespace),
        zone_hints: Box::default(),
        node_hints: Box::default(),
    })
}

fn by_family(service: &ObjectName, ports: &[EndpointPort], endpoints: &[Endpoint]) -> Vec<EndpointSlice> {
    let of = |family| endpoints.iter().filter(move |found| Family::of(found.address) == family);
    let slice = |family| EndpointSlice {
        service: service.clone(),
        family,
        ports: ports.to_vec(),
        endpoints: of(family).cloned().collect(),
    };
    Family::ALL.into_iter().map(slice).filter(|slice| !slice.endpoints.is_empty()).collect()
}
