//! The same cluster in the shape that kube-proxy 1.36 gives it in its mode `nftables`
//! (`pkg/proxy/nftables/proxier.go`): for each service port a chain with an anonymous verdict map, for each endpoint a
//! chain with its DNAT rule, one command a line, loaded by the program nft.

use std::fmt::Write;
use std::time::{Duration, Instant};

use svcnat_rules::cluster::{Cluster, Endpoint, EndpointSlice, Service};

use crate::cluster::{POD_CIDR, POD_PORT, SERVICE_CIDR};
use crate::{Result, kernel};

/// What is there without any Service.
const BASE: &str = include_str!("peer.nft");

/// The script that makes everything.
pub fn full(cluster: &Cluster) -> String {
    let mut script = BASE.replace("SERVICE_CIDR", SERVICE_CIDR);
    for (service, slice) in cluster.services.values().zip(cluster.slices.values()) {
        add_service(&mut script, service, slice);
    }
    script
}

/// How many Services are loaded at a time where the time does not matter.
const PIECE: usize = 250;

/// Loads everything in pieces, for what comes behind: `nft -f` takes more than in proportion for one large script. Whether all is
/// loaded before `patience` is lost.
pub fn load_in_pieces(cluster: &Cluster, patience: Duration) -> Result<bool> {
    let until = Instant::now() + patience;
    let mut script = BASE.replace("SERVICE_CIDR", SERVICE_CIDR);
    for (index, (service, slice)) in cluster.services.values().zip(cluster.slices.values()).enumerate() {
        add_service(&mut script, service, slice);
        let full = (index + 1).is_multiple_of(PIECE) || index + 1 == cluster.services.len();
        if full
            && kernel::nft(&std::mem::take(&mut script), until.saturating_duration_since(Instant::now()))?
                .is_none()
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The script for a Service that is new.
pub fn service_added(service: &Service, slice: &EndpointSlice) -> String {
    let mut script = String::new();
    add_service(&mut script, service, slice);
    script
}

/// The script for a Service whose endpoints changed: its chains are written anew, all of them. A chain that is not
/// wanted any more is emptied now and deleted later.
pub fn endpoints_changed(service: &Service, before: &EndpointSlice, after: &EndpointSlice) -> String {
    let mut script = String::new();
    for endpoint in before.endpoints.iter().filter(|endpoint| !after.endpoints.contains(endpoint)) {
        line(&mut script, format_args!("flush chain ip kube-proxy {}", endpoint_chain(service, endpoint)));
    }
    add_chains(&mut script, service, after);
    script
}

fn add_service(script: &mut String, service: &Service, slice: &EndpointSlice) {
    add_chains(script, service, slice);
    for port in &service.ports {
        for address in &service.cluster_ips {
            let (protocol, number) = (port.protocol, port.port);
            let chain = service_chain(service);
            line(script, format_args!("add element ip kube-proxy cluster-ips {{ {address} }}"));
            line(
                script,
                format_args!(
                    "add element ip kube-proxy service-ips {{ {address} . {protocol} . {number} : goto {chain} }}"
                ),
            );
        }
    }
}

fn add_chains(script: &mut String, service: &Service, slice: &EndpointSlice) {
    let chain = service_chain(service);
    // kube-proxy adds and empties every chain that it writes, since it may be there.
    made(script, &chain);
    for port in &service.ports {
        for address in &service.cluster_ips {
            let (protocol, number) = (port.protocol, port.port);
            line(
                script,
                format_args!(
                    "add rule ip kube-proxy {chain} ip daddr {address} {protocol} dport {number} ip saddr != {POD_CIDR} \
                     jump mark-for-masquerade"
                ),
            );
        }
    }
    let picks: Vec<String> = slice
        .endpoints
        .iter()
        .enumerate()
        .map(|(index, endpoint)| format!("{index} : goto {}", endpoint_chain(service, endpoint)))
        .collect();
    for endpoint in &slice.endpoints {
        add_endpoint(script, service, endpoint);
    }
    line(
        script,
        format_args!(
            "add rule ip kube-proxy {chain} numgen random mod {} vmap {{ {} }}",
            picks.len(),
            picks.join(" , ")
        ),
    );
}

fn add_endpoint(script: &mut String, service: &Service, endpoint: &Endpoint) {
    let chain = endpoint_chain(service, endpoint);
    let address = endpoint.address;
    made(script, &chain);
    line(script, format_args!("add rule ip kube-proxy {chain} ip saddr {address} jump mark-for-masquerade"));
    for port in &service.ports {
        line(
            script,
            format_args!(
                "add rule ip kube-proxy {chain} meta l4proto {} dnat to {address}:{POD_PORT}",
                port.protocol
            ),
        );
    }
}

fn made(script: &mut String, chain: &str) {
    line(script, format_args!("add chain ip kube-proxy {chain}"));
    line(script, format_args!("flush chain ip kube-proxy {chain}"));
}

fn line(script: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = writeln!(script, "{text}");
}

fn service_chain(service: &Service) -> String {
    let port = service_port(service);
    format!("service-{}-{port}", hash(&port))
}

fn endpoint_chain(service: &Service, endpoint: &Endpoint) -> String {
    let chain = format!("{}__{}/{POD_PORT}", service_port(service), endpoint.address);
    format!("endpoint-{}-{chain}", hash(&chain))
}

fn service_port(service: &Service) -> String {
    let protocol = service.ports.first().map_or("tcp", |port| port.protocol.keyword());
    format!("{}/{protocol}/", service.name)
}

/// Eight letters, as kube-proxy has them; which ones does not matter.
fn hash(text: &str) -> String {
    let start = 0xcbf2_9ce4_8422_2325_u64;
    let sum = text.bytes().fold(start, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    sum.to_be_bytes().map(|byte| char::from(b'A' + byte % 26)).iter().collect()
}
