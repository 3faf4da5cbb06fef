//! EndpointSlice (discovery.k8s.io/v1).

use k8s_openapi::api::discovery::v1 as discovery;
use svcnat_rules::cluster::{Conditions, Endpoint, EndpointPort, EndpointSlice};
use svcnat_rules::name::{Name, ObjectName};
use svcnat_rules::net::Family;

use super::check::{self, Checks};
use super::invalid::{Invalid, NameRule, Problem};
use super::service::{HEADLESS, PROXY_NAME};
use super::{NotProgrammed, Outcome, trimmed};

const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Converts an EndpointSlice.
///
/// Only the first address of an endpoint counts; the API has deprecated the others. A port without a number stands for
/// all ports, which no service port can be forwarded to, and is left out.
///
/// # Errors
///
/// No label with the name of the Service, an address that is not one or is of the other family, a port out of range,
/// names that are none.
pub fn endpoint_slice(object: &trimmed::EndpointSlice) -> Result<Outcome<EndpointSlice>, Invalid> {
    if let Some(proxy) = check::label(&object.metadata, PROXY_NAME) {
        return Ok(Outcome::NotProgrammed(NotProgrammed::OtherProxy(proxy.to_owned())));
    }
    if check::label(&object.metadata, HEADLESS).is_some() {
        return Ok(Outcome::NotProgrammed(NotProgrammed::Headless));
    }
    if object.address_type == "FQDN" {
        return Ok(Outcome::NotProgrammed(NotProgrammed::FqdnAddresses));
    }
    let mut checks = Checks::default();
    let own = check::object_name(&object.metadata, NameRule::Subdomain, &mut checks);
    let service = check::label(&object.metadata, SERVICE_NAME).unwrap_or_default();
    let service = check::name(service, NameRule::Label);
    let service = checks.check(|| format!("metadata.labels.{SERVICE_NAME}"), service);
    let family = match object.address_type.as_str() {
        "IPv4" | "IPv6" | "" => check::family(&object.address_type),
        other => Err(check::not_supported("IPv4, IPv6, FQDN", other)),
    };
    let family = checks.check(|| "addressType".into(), family);
    let ports = ports(object, &mut checks);
    let namespace = own.as_ref().map_or("", ObjectName::namespace);
    let mut endpoints = Vec::with_capacity(object.endpoints.len());
    let found = object.endpoints.iter().enumerate();
    endpoints.extend(found.filter_map(|(i, found)| endpoint(i, found, family, namespace, &mut checks)));
    let service = service.map(|service| ObjectName::new(namespace, service));
    let slice =
        service.zip(family).map(|(service, family)| EndpointSlice { service, family, ports, endpoints });
    checks.finish(slice).map(Outcome::Programmed)
}

fn ports(object: &trimmed::EndpointSlice, checks: &mut Checks) -> Vec<EndpointPort> {
    let mut ports: Vec<EndpointPort> = Vec::with_capacity(object.ports.len());
    for (i, found) in object.ports.iter().enumerate() {
        let Some(number) = found.port else { continue };
        let name = checks.check(|| format!("ports[{i}].name"), check::port_name(found.name.as_deref()));
        let protocol = check::protocol(found.protocol.as_deref());
        let protocol = checks.check(|| format!("ports[{i}].protocol"), protocol);
        let port = checks.check(|| format!("ports[{i}].port"), check::port(number));
        let (Some(name), Some(protocol), Some(port)) = (name, protocol, port) else { continue };
        if ports.iter().any(|other| other.name == name && other.protocol == protocol) {
            checks.refuse(format!("ports[{i}].name"), Problem::Duplicate(format!("\"{name}\"")));
        }
        ports.push(EndpointPort { name, protocol, port });
    }
    ports
}

/// The `i`-th endpoint. Where the slice's own family is unknown, that is reported already and any family will do.
fn endpoint(
    i: usize,
    found: &trimmed::Endpoint,
    family: Option<Family>,
    namespace: &str,
    checks: &mut Checks,
) -> Option<Endpoint> {
    let first = found.addresses.as_ref().and_then(|addresses| addresses.first());
    let address = first.ok_or(Problem::Required).and_then(|text| check::unicast_address(text));
    let address = address.and_then(|address| match family {
        Some(expected) if expected != Family::of(address) => Err(Problem::WrongFamily { address, expected }),
        _ => Ok(address),
    });
    let field = if first.is_none() { "addresses" } else { "addresses[0]" };
    let address = checks.check(|| format!("endpoints[{i}].{field}"), address);
    let node =
        checks.check(|| format!("endpoints[{i}].nodeName"), check::node_name(found.node_name.as_deref()));
    let hints = found.hints.as_ref();
    let zones = hints.into_iter().flat_map(|hints| hints.for_zones.iter().flatten());
    let nodes = hints.into_iter().flat_map(|hints| hints.for_nodes.iter().flatten());
    Some(Endpoint {
        address: address?,
        conditions: conditions(found.conditions.as_ref()),
        node: node?,
        zone: check::given(found.zone.as_deref()).map(Name::from),
        pod: check::pod_of(found.target_ref.as_ref().map(Into::into), namespace),
        zone_hints: zones.map(|zone| Name::from(zone.name.as_str())).collect(),
        node_hints: nodes.map(|node| Name::from(node.name.as_str())).collect(),
    })
}

fn conditions(found: Option<&discovery::EndpointConditions>) -> Conditions {
    let Some(found) = found else { return Conditions::default() };
    Conditions {
        ready: found.ready.unwrap_or(true),
        serving: found.serving.unwrap_or(true),
        terminating: found.terminating.unwrap_or(false),
    }
}
