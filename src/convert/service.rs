//! Service (core/v1).

use std::net::IpAddr;

use k8s_openapi::api::core::v1 as core;
use svcnat_rules::cluster::{Service, ServicePort, ServiceType, TrafficPolicy};
use svcnat_rules::net::Family;

use super::check::{self, Checks, not_supported};
use super::invalid::{Invalid, NameRule, Problem};
use super::{NotProgrammed, Outcome};

pub(super) const PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
pub(super) const HEADLESS: &str = "service.kubernetes.io/headless";

/// `sessionAffinityConfig.clientIP.timeoutSeconds` where it is not given (`DefaultClientIPServiceAffinitySeconds`).
const AFFINITY_SECONDS: u32 = 10_800;
/// The most that it may be (`MaxClientIPServiceAffinitySeconds`).
pub(super) const MAX_AFFINITY_SECONDS: i32 = 86_400;

/// Converts a Service.
///
/// A manifest that was never applied has no ClusterIP. It is programmed all the same where clients can reach it in
/// another way; from the API, such a Service has no node port and no address yet either.
///
/// # Errors
///
/// What the API server refuses as well: names that are none, ports out of range, the same port twice, addresses that
/// are not addresses or nobody's, words that the API does not know.
pub fn service(object: &core::Service) -> Result<Outcome<Service>, Invalid> {
    let default = core::ServiceSpec::default();
    let spec = object.spec.as_ref().unwrap_or(&default);
    if let Some(reason) = not_programmed(object, spec) {
        return Ok(Outcome::NotProgrammed(reason));
    }
    let mut checks = Checks::default();
    let name = check::object_name(&object.metadata, NameRule::Label, &mut checks);
    let kind = checks.check(|| "spec.type".into(), service_type(spec.type_.as_deref()));
    let cluster_ips = cluster_ips(spec, &mut checks);
    let external_ips = external_ips(spec, &mut checks);
    let load_balancer_ips = load_balancer_ips(object, &mut checks);
    let ranges = spec.load_balancer_source_ranges.as_ref();
    let source_ranges = check::networks(ranges, "spec.loadBalancerSourceRanges", &mut checks);
    let ports = ports(spec, kind, &mut checks);
    let policy = policy(spec.external_traffic_policy.as_deref());
    let external_policy = checks.check(|| "spec.externalTrafficPolicy".into(), policy);
    let internal_policy = self::policy(spec.internal_traffic_policy.as_deref());
    let internal_policy = checks.check(|| "spec.internalTrafficPolicy".into(), internal_policy);
    let affinity_seconds = affinity_seconds(spec, &mut checks);
    let health = check::optional_port(spec.health_check_node_port);
    let health = checks.check(|| "spec.healthCheckNodePort".into(), health);
    let labels = object.metadata.labels.iter().flatten();
    let labels = labels.map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let created = object.metadata.creation_timestamp.as_ref().map(|time| time.0.as_second());
    let service = || {
        Some(Service {
            name: name?,
            created,
            kind: kind?,
            cluster_ips,
            external_ips,
            load_balancer_ips,
            source_ranges,
            ports,
            external_policy: external_policy?,
            internal_policy: internal_policy?,
            affinity_seconds,
            health_check_node_port: health?,
            labels,
        })
    };
    let service = checks.finish(service())?;
    let reachable = has_frontend(&service);
    Ok(if reachable {
        Outcome::Programmed(service)
    } else {
        Outcome::NotProgrammed(NotProgrammed::NoFrontend)
    })
}

fn not_programmed(object: &core::Service, spec: &core::ServiceSpec) -> Option<NotProgrammed> {
    let cluster_ips = spec.cluster_ip.iter().chain(spec.cluster_ips.iter().flatten());
    if let Some(proxy) = check::label(&object.metadata, PROXY_NAME) {
        Some(NotProgrammed::OtherProxy(proxy.to_owned()))
    } else if spec.type_.as_deref() == Some("ExternalName") {
        Some(NotProgrammed::ExternalName)
    } else if cluster_ips.into_iter().any(|ip| ip == "None") {
        Some(NotProgrammed::Headless)
    } else {
        None
    }
}

fn has_frontend(service: &Service) -> bool {
    let addresses = [&service.cluster_ips, &service.external_ips, &service.load_balancer_ips];
    addresses.into_iter().any(|list| !list.is_empty())
        || service.ports.iter().any(|port| port.node_port.is_some())
}

fn service_type(text: Option<&str>) -> Result<ServiceType, Problem> {
    match check::given(text) {
        None | Some("ClusterIP") => Ok(ServiceType::ClusterIp),
        Some("NodePort") => Ok(ServiceType::NodePort),
        Some("LoadBalancer") => Ok(ServiceType::LoadBalancer),
        Some(other) => Err(not_supported("ClusterIP, NodePort, LoadBalancer, ExternalName", other)),
    }
}

fn policy(text: Option<&str>) -> Result<TrafficPolicy, Problem> {
    match check::given(text) {
        None | Some("Cluster") => Ok(TrafficPolicy::Cluster),
        Some("Local") => Ok(TrafficPolicy::Local),
        Some(other) => Err(not_supported("Cluster, Local", other)),
    }
}

/// `spec.clusterIPs`, or `spec.clusterIP` where only that is given.
fn cluster_ips(spec: &core::ServiceSpec, checks: &mut Checks) -> Vec<IpAddr> {
    let single = check::given(spec.cluster_ip.as_deref());
    let list = spec.cluster_ips.as_deref().unwrap_or_default();
    if let (Some(single), Some(first)) = (single, list.first())
        && single != first
    {
        let problem = Problem::Differs { found: first.clone(), other: "spec.clusterIP" };
        checks.refuse("spec.clusterIPs[0]", problem);
    }
    if list.is_empty() {
        let address = single.map(check::unicast_address).transpose();
        return checks.check(|| "spec.clusterIP".into(), address).flatten().into_iter().collect();
    }
    let mut addresses: Vec<IpAddr> = Vec::new();
    for (i, text) in list.iter().enumerate() {
        let other = |address| addresses.iter().any(|other| Family::of(*other) == Family::of(address));
        let address = check::unicast_address(text).and_then(|address| match other(address) {
            true => Err(Problem::SecondOfFamily(address)),
            false => Ok(address),
        });
        addresses.extend(checks.check(|| format!("spec.clusterIPs[{i}]"), address));
    }
    addresses
}

fn external_ips(spec: &core::ServiceSpec, checks: &mut Checks) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for (i, text) in spec.external_ips.iter().flatten().enumerate() {
        let address = checks.check(|| format!("spec.externalIPs[{i}]"), check::unicast_address(text));
        push_once(&mut addresses, address);
    }
    addresses
}

/// The addresses that a load balancer delivers unchanged. With `ipMode: Proxy` it delivers to the node port or the pod,
/// so that traffic to its address must leave the cluster to reach it; a host name is no address.
fn load_balancer_ips(object: &core::Service, checks: &mut Checks) -> Vec<IpAddr> {
    let status = object.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.and_then(|balancer| balancer.ingress.as_ref());
    let mut addresses = Vec::new();
    for (i, found) in ingress.into_iter().flatten().enumerate() {
        let field = |name| move || format!("status.loadBalancer.ingress[{i}].{name}");
        let Some(text) = check::given(found.ip.as_deref()) else { continue };
        let mode = match check::given(found.ip_mode.as_deref()) {
            None | Some("VIP") => Ok(true),
            Some("Proxy") => Ok(false),
            Some(other) => Err(not_supported("VIP, Proxy", other)),
        };
        let programmed = checks.check(field("ipMode"), mode);
        let address = checks.check(field("ip"), check::unicast_address(text));
        push_once(&mut addresses, address.filter(|_| programmed == Some(true)));
    }
    addresses
}

fn push_once(addresses: &mut Vec<IpAddr>, address: Option<IpAddr>) {
    addresses.extend(address.filter(|address| !addresses.contains(address)));
}

fn ports(spec: &core::ServiceSpec, kind: Option<ServiceType>, checks: &mut Checks) -> Vec<ServicePort> {
    let list = spec.ports.as_deref().unwrap_or_default();
    if list.is_empty() {
        checks.refuse("spec.ports", Problem::Required);
    }
    let mut ports: Vec<ServicePort> = Vec::new();
    for (i, found) in list.iter().enumerate() {
        let Some(port) = port(i, found, kind, checks) else { continue };
        if port.name.is_empty() && list.len() > 1 {
            checks.refuse(format!("spec.ports[{i}].name"), Problem::Required);
        } else if ports.iter().any(|other| other.name == port.name) {
            checks.refuse(format!("spec.ports[{i}].name"), Problem::Duplicate(format!("\"{}\"", port.name)));
        }
        let same = |other: &&ServicePort| other.protocol == port.protocol;
        if ports.iter().filter(same).any(|other| other.port == port.port) {
            let twice = Problem::Duplicate(format!("{}/{}", port.protocol, port.port));
            checks.refuse(format!("spec.ports[{i}].port"), twice);
        }
        if let Some(number) = port.node_port
            && ports.iter().filter(same).any(|other| other.node_port == Some(number))
        {
            let twice = Problem::Duplicate(format!("{}/{number}", port.protocol));
            checks.refuse(format!("spec.ports[{i}].nodePort"), twice);
        }
        ports.push(port);
    }
    ports
}

fn port(
    i: usize,
    found: &core::ServicePort,
    kind: Option<ServiceType>,
    checks: &mut Checks,
) -> Option<ServicePort> {
    let field = |name| move || format!("spec.ports[{i}].{name}");
    let name = checks.check(field("name"), check::port_name(found.name.as_deref()));
    let protocol = checks.check(field("protocol"), check::protocol(found.protocol.as_deref()));
    let port = checks.check(field("port"), check::port(found.port));
    let node_port = check::optional_port(found.node_port).and_then(|number| match kind {
        Some(ServiceType::ClusterIp) if number.is_some() => Err(Problem::NodePortOfClusterIp),
        _ => Ok(number),
    });
    let node_port = checks.check(field("nodePort"), node_port);
    Some(ServicePort { name: name?, protocol: protocol?, port: port?, node_port: node_port? })
}

fn affinity_seconds(spec: &core::ServiceSpec, checks: &mut Checks) -> Option<u32> {
    match check::given(spec.session_affinity.as_deref()) {
        None | Some("None") => return None,
        Some("ClientIP") => {}
        Some(other) => checks.refuse("spec.sessionAffinity", not_supported("ClientIP, None", other)),
    }
    let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
    let Some(found) = config.and_then(|config| config.timeout_seconds) else { return Some(AFFINITY_SECONDS) };
    let valid = u32::try_from(found).ok().filter(|_| (1..=MAX_AFFINITY_SECONDS).contains(&found));
    let seconds = valid.ok_or(Problem::OutOfRange { least: 1, most: MAX_AFFINITY_SECONDS, found });
    checks.check(|| "spec.sessionAffinityConfig.clientIP.timeoutSeconds".into(), seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a Service with one port 80, a ClusterIP and this in its spec.
    fn convert(spec: &str) -> Result<Outcome<Service>, Invalid> {
        let ports = if spec.contains("ports:") { "" } else { "ports: [{port: 80}], " };
        let address = if spec.contains("clusterIP") { "" } else { "clusterIP: 10.0.0.1, " };
        let (spec, status) = spec.split_once(" / ").unwrap_or((spec, "{}"));
        let text = format!(
            "{{metadata: {{name: web, namespace: shop}}, spec: {{{ports}{address}{spec}}}, status: {{loadBalancer: {status}}}}}"
        );
        service(&serde_saphyr::from_str(&text).unwrap())
    }

    #[test]
    fn what_the_api_server_refuses_is_refused() {
        let check = |spec: &str, expected: &str| {
            let found =
                convert(spec).map_or_else(|invalid| invalid.to_string(), |service| format!("{service:?}"));
            assert!(found.starts_with(expected), "{spec}: {found}");
        };
        check("ports: []", "spec.ports: is required");
        check("ports: [{port: 65536}]", "spec.ports[0].port: must be from 1 to 65535, not 65536");
        check("ports: [{port: -1}]", "spec.ports[0].port: must be from 1 to 65535, not -1");
        check("ports: [{port: 1}, {port: 2, name: b}]", "spec.ports[0].name: is required");
        check("ports: [{port: 1, name: A}]", "spec.ports[0].name: \"A\" is not a name");
        check("ports: [{port: 1, name: a}, {port: 2, name: a}]", "spec.ports[1].name: \"a\" is given twice");
        check("ports: [{port: 1, name: a}, {port: 1, name: b}]", "spec.ports[1].port: tcp/1 is given twice");
        check("ports: [{port: 1, protocol: tcp}]", "spec.ports[0].protocol: must be one of TCP, UDP, SCTP");
        check(
            "ports: [{port: 1, nodePort: 2}]",
            "spec.ports[0].nodePort: may not be used with type ClusterIP",
        );
        check(
            "type: NodePort, ports: [{port: 1, nodePort: 9, name: a}, {port: 2, nodePort: 9, name: b}]",
            "spec.ports[1].nodePort: tcp/9 is given twice",
        );
        check(
            "type: NodePort, ports: [{port: 1, nodePort: 70000}]",
            "spec.ports[0].nodePort: must be from 1 to",
        );
        check("clusterIP: 10.0.0.300", "spec.clusterIP: \"10.0.0.300\" is not an IP address");
        check(
            "clusterIP: 10.0.0.1, clusterIPs: [10.0.0.2]",
            "spec.clusterIPs[0]: \"10.0.0.2\" must be the same as",
        );
        check(
            "clusterIPs: [\"fd00::1\", \"fd00::2\"]",
            "spec.clusterIPs[1]: fd00::2 is the second address of its",
        );
        check(
            "externalIPs: [127.0.0.1]",
            "spec.externalIPs[0]: 127.0.0.1 cannot be used: it is a loopback address",
        );
        check(
            "externalIPs: [\"::ffff:1.2.3.4\"]",
            "spec.externalIPs[0]: ::ffff:1.2.3.4 cannot be used: it is an IPv4",
        );
        check(
            "loadBalancerSourceRanges: [10.0.0.0]",
            "spec.loadBalancerSourceRanges[0]: \"10.0.0.0\" is not a network",
        );
        check("externalTrafficPolicy: local", "spec.externalTrafficPolicy: must be one of Cluster, Local");
        check("internalTrafficPolicy: None", "spec.internalTrafficPolicy: must be one of Cluster, Local");
        check(
            "sessionAffinity: Cookie",
            "spec.sessionAffinity: must be one of ClientIP, None, not \"Cookie\"",
        );
        for seconds in [-1, 0, 86_401] {
            check(
                &format!(
                    "sessionAffinity: ClientIP, sessionAffinityConfig: {{clientIP: {{timeoutSeconds: {seconds}}}}}"
                ),
                "spec.sessionAffinityConfig.clientIP.timeoutSeconds: must be from 1 to 86400",
            );
        }
        check("healthCheckNodePort: 65536", "spec.healthCheckNodePort: must be from 1 to 65535");
        check("x: 1 / {ingress: [{ip: a}]}", "status.loadBalancer.ingress[0].ip: \"a\" is not an IP address");
        check(
            "x: 1 / {ingress: [{ip: 1.2.3.4, ipMode: L2}]}",
            "status.loadBalancer.ingress[0].ipMode: must be one of",
        );
    }

    #[test]
    fn what_is_valid_is_taken_over() {
        let check = |spec: &str, show: fn(Service) -> String, expected: &str| match convert(spec).unwrap() {
            Outcome::Programmed(service) => assert_eq!(show(service), expected, "{spec}"),
            Outcome::NotProgrammed(reason) => panic!("{spec}: {reason}"),
        };
        let addresses: fn(Service) -> String = |service| {
            format!("{:?} {:?} {:?}", service.cluster_ips, service.external_ips, service.load_balancer_ips)
        };
        check(
            "clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, \"fd00::1\"]",
            addresses,
            "[10.0.0.1, fd00::1] [] []",
        );
        check(
            "externalIPs: [192.0.2.2, 192.0.2.1, 192.0.2.2]",
            addresses,
            "[10.0.0.1] [192.0.2.2, 192.0.2.1] []",
        );
        check(
            "x: 1 / {ingress: [{hostname: a}, {ip: 192.0.2.1}, {ip: 192.0.2.2, ipMode: Proxy}, {ip: 192.0.2.3, ipMode: VIP}]}",
            addresses,
            "[10.0.0.1] [] [192.0.2.1, 192.0.2.3]",
        );
        let ranges: fn(Service) -> String =
            |service| service.source_ranges.iter().map(|range| format!("{range} ")).collect();
        check(
            "loadBalancerSourceRanges: [\" 10.1.2.3/8 \", 10.0.0.0/8, 0.0.0.0/0]",
            ranges,
            "0.0.0.0/0 10.0.0.0/8 ",
        );
        let affinity: fn(Service) -> String = |service| format!("{:?}", service.affinity_seconds);
        check("sessionAffinity: None", affinity, "None");
        check("sessionAffinity: ClientIP", affinity, "Some(10800)");
        check(
            "sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 86400}}",
            affinity,
            "Some(86400)",
        );
        let policies: fn(Service) -> String =
            |service| format!("{:?} {:?}", service.external_policy, service.internal_policy);
        check("externalTrafficPolicy: Local", policies, "Local Cluster");
        check("internalTrafficPolicy: Local", policies, "Cluster Local");
        let ports: fn(Service) -> String = |service| {
            let port = |port: &ServicePort| {
                format!("{}:{}/{}>{:?} ", port.name, port.protocol, port.port, port.node_port.map(u16::from))
            };
            service.ports.iter().map(port).collect()
        };
        check(
            "type: NodePort, ports: [{name: a, port: 53, nodePort: 30053}, {name: b, port: 53, protocol: UDP, nodePort: 30053}]",
            ports,
            "a:tcp/53>Some(30053) b:udp/53>Some(30053) ",
        );
        check("ports: [{port: 9, protocol: SCTP, nodePort: 0}]", ports, ":sctp/9>None ");
    }

    #[test]
    fn a_service_without_a_frontend_takes_no_part() {
        let check = |spec: &str, expected: Option<NotProgrammed>| {
            let found = match convert(spec).unwrap() {
                Outcome::Programmed(_) => None,
                Outcome::NotProgrammed(reason) => Some(reason),
            };
            assert_eq!(found, expected, "{spec}");
        };
        check("clusterIP: None", Some(NotProgrammed::Headless));
        check("clusterIP: None, clusterIPs: [None]", Some(NotProgrammed::Headless));
        check("type: ExternalName, externalName: example.org", Some(NotProgrammed::ExternalName));
        check("clusterIP: \"\"", Some(NotProgrammed::NoFrontend));
        check("clusterIP: \"\", type: NodePort", Some(NotProgrammed::NoFrontend));
        check("clusterIP: \"\", type: NodePort, ports: [{port: 80, nodePort: 30080}]", None);
        check("clusterIP: \"\", externalIPs: [192.0.2.1]", None);
        check("clusterIP: \"\", type: LoadBalancer / {ingress: [{ip: 192.0.2.1}]}", None);
        check(
            "clusterIP: \"\", type: LoadBalancer / {ingress: [{hostname: a}]}",
            Some(NotProgrammed::NoFrontend),
        );
    }
}
